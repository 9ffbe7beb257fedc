//! Everything the store can say went wrong. Facts only: advice is added where commands are known.

use std::io;

use camino::Utf8PathBuf;
use rustix::io::Errno;
use thiserror::Error;

use crate::digest::{Digest, ObjectId};
use crate::tree::TreeError;

/// What went wrong in the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("cannot {operation} {path}")]
    Io {
        /// The verb: "open", "sync", ...
        operation: &'static str,
        /// The file or directory it was done to.
        path: Utf8PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The reader that was to give a blob's bytes failed; not the store's doing.
    #[error("the bytes to be stored could not be read")]
    Reader {
        /// What the reader said.
        source: io::Error,
    },
    /// The object is not in the store. Nothing is damaged.
    #[error("{id} is not in the store")]
    Missing {
        /// The object.
        id: ObjectId,
    },
    /// A file of the store does not hold what its name says.
    #[error("{path} is damaged: {why}")]
    Corrupt {
        /// The file.
        path: Utf8PathBuf,
        /// How one can tell.
        why: String,
    },
    /// A reader gave more bytes than allowed.
    #[error("more than the {limit} bytes that were announced")]
    TooLarge {
        /// The most that was allowed, in bytes.
        limit: u64,
    },
    /// An entry, path or message that no tree can hold.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The store was written by a later version of this program.
    #[error("the store {path} has the format {found:?}; formats up to {known:?} are known")]
    Version {
        /// The store.
        path: Utf8PathBuf,
        /// What its version file says.
        found: String,
        /// The newest format this code reads.
        known: &'static str,
    },
    /// The store belongs to another user.
    #[error("the store {path} belongs to the user with id {owner}, not to the one with id {user}")]
    Owner {
        /// The store.
        path: Utf8PathBuf,
        /// The user id that owns it.
        owner: u32,
        /// The user id that tried to open it.
        user: u32,
    },
    /// Other users can write to the store.
    #[error("the store {path} can be written to by others: its mode is {mode:04o}")]
    Exposed {
        /// The store.
        path: Utf8PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory that has files but no store in it.
    #[error("{path} is not empty, and not a store")]
    NotAStore {
        /// The directory.
        path: Utf8PathBuf,
    },
    /// Syncing failed earlier in this session: nothing it staged can be trusted.
    #[error("an earlier sync of this session failed, so what it staged was thrown away")]
    Poisoned,
    /// The place where a root's link should be is taken by something that is not a symlink.
    #[error("{path} exists and is not a symlink")]
    NotALink {
        /// The place.
        path: Utf8PathBuf,
    },
    /// A value that has to be one line or of a certain form is not.
    #[error("{what} cannot be stored: {why}")]
    Refused {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// The result of most calls here.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<Utf8PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        StoreError::Io {
            operation,
            path: path.into(),
            source: source.into(),
        }
    }

    pub(crate) fn corrupt(path: impl Into<Utf8PathBuf>, why: impl Into<String>) -> Self {
        StoreError::Corrupt {
            path: path.into(),
            why: why.into(),
        }
    }

    /// What the operating system said, if it was the one to refuse.
    pub fn os(&self) -> Option<&io::Error> {
        match self {
            StoreError::Io { source, .. } | StoreError::Reader { source } => Some(source),
            _ => None,
        }
    }

    /// Whether the disk, the quota or the number of files is exhausted.
    pub fn is_full(&self) -> bool {
        let full = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG].map(Errno::raw_os_error);
        let code = self.os().and_then(io::Error::raw_os_error);
        code.is_some_and(|code| full.contains(&code))
    }

    /// Whether an object is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, StoreError::Missing { .. })
    }

    /// Whether stored bytes are not what their name says.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, StoreError::Corrupt { .. })
    }
}

/// "its bytes hash to ..." for an object whose bytes are not its own.
pub(crate) fn wrong_hash(found: &Digest) -> String {
    format!("its bytes have the hash {found}")
}
