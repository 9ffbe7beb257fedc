//! Content-addressed storage of blobs, trees and traces, ignorant of what they are for.
//!
//! Bytes in, ids out. Begin at [`Store::open`]; everything that writes goes through a [`Session`]:
//!
//! ```
//! # fn main() -> Result<(), recipe_store::StoreError> {
//! # let home = tempfile::tempdir().expect("a directory");
//! # let home = camino::Utf8Path::from_path(home.path()).expect("UTF-8").join("store");
//! use recipe_store::{Entry, Store, Tree};
//!
//! let session = Store::open(&home)?.session()?;
//! let blob = session.put_blob(b"hello", false)?;
//! let mut tree = Tree::new();
//! tree.insert("greeting", Entry::File { blob, executable: false })?;
//! let tree = session.put_tree(&tree)?;
//! session.commit()?; // from here on neither kill -9 nor a power cut takes it away
//! assert_eq!(session.read_blob(&blob)?, b"hello");
//! # let _ = tree; Ok(()) }
//! ```
//!
//! Files are the truth: there is no index. What lies where is in `FORMAT.md`. Rules that hold
//! everywhere: an object under its final name is complete, durable and never changes; what is not
//! yet so lies in the staging folder of a session that lives; nothing recurses over input.

mod builder;
mod checkout;
mod commit;
mod compare;
mod digest;
mod disk;
mod encode;
mod error;
mod examine;
mod finding;
mod gc;
mod kept;
mod layout;
mod lease;
mod list;
mod mark;
mod memo;
mod objects;
mod read;
mod remove;
mod repair;
mod roots;
mod session;
mod survey;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod test_support;
mod trace;
mod traces;
mod tree;
mod verify;

pub use builder::TreeBuilder;
pub use checkout::{Movable, Scratch};
pub use commit::{Committed, Difference};
pub use digest::{BlobId, Digest, Hex, IdError, ObjectId, StepKey, TreeId};
pub use error::{Result, StoreError};
pub use finding::{Damage, Finding};
pub use kept::Kept;
pub use layout::{FORMAT, Store};
pub use read::{Objects, walk};
pub use roots::Root;
pub use session::Session;
pub use survey::{Amount, GcOptions, GcReport};
pub use trace::{Isolation, Trace};
pub use traces::Recorded;
pub use tree::{DEPTH_LIMIT, Entry, NAME_LIMIT, TARGET_LIMIT, Tree, TreeError};
pub use verify::VerifyReport;
