//! A wheel (a zip under a hash) → its tree in a closure's layout. Begin at [`unpack_wheel`].
//!
//! ```text
//! pkg/…  X.data/{purelib,platlib}/…  →  lib/python3.13/site-packages/…
//! X.data/headers/…                   →  include/python3.13/NAME/…
//! X.data/data/…                      →  …
//! X.data/scripts/x, entry points     →  bin/x (the launcher) and libexec/scripts/x (Python)
//! ```
//!
//! pip is not run. Every byte goes from the zip into the store once and is hashed on the way;
//! `contents.rs` collects, `layout.rs` says where each file goes, `check.rs` compares the wheel with
//! what it says of itself. Nothing depends on time, place or order, so a wheel and the options
//! give one tree everywhere. Specification: PEP 427 and its successor, the binary distribution
//! format of the Python packaging guide.

mod check;
mod contents;
mod error;
mod layout;
#[cfg(test)]
mod tests;

use recipe_store::{BlobId, Session, TreeId};

use crate::archive::{Limits, unpack_zip};
use crate::python::{Target, WheelName};

pub(crate) use error::{WheelError, WheelNote};
pub(super) use layout::{SCRIPTS, runs_python};

/// What besides its bytes decides how a wheel is unpacked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WheelOptions<'a> {
    /// The wheel's file name: it says project, version and where the wheel runs.
    pub file_name: &'a str,
    /// The Python and libc inside the closure.
    pub target: &'a Target,
    /// The program that starts `../libexec/scripts/<own name>` with the closure's Python.
    pub launcher: &'a [u8],
    /// Keep `.pth` files that run code at every start of the interpreter.
    pub keep_pth: bool,
}

/// A wheel, unpacked.
#[derive(Debug, Clone)]
pub(crate) struct UnpackedWheel {
    /// Its files in the closure's layout.
    pub tree: TreeId,
    /// What a person may want to know.
    pub notes: Vec<WheelNote>,
}

/// Unpacks the wheel `wheel` into the store.
///
/// # Errors
/// When the wheel does not run on the target, breaks a rule of its format, or wants a place that
/// is not its own. Nothing is visible in the store then but loose blobs.
pub(crate) fn unpack_wheel(
    session: &Session,
    wheel: &BlobId,
    options: &WheelOptions<'_>,
) -> Result<UnpackedWheel, WheelError> {
    let file_name = options.file_name;
    let bad = |cause| WheelError::Bad {
        wheel: file_name.to_owned(),
        cause,
    };
    let name: WheelName = file_name.parse().map_err(bad)?;
    if name.rank(options.target).is_none() {
        return Err(WheelError::does_not_run(file_name, options.target, &name));
    }
    let file = session.open_blob(wheel)?;
    let mut contents = contents::Contents::new(session);
    unpack_zip(&file, file_name, &Limits::default(), &mut contents)?;
    let facts = check::check(file_name, &name, &contents)?;
    let mut layout = layout::Layout::new(options, &facts, session);
    layout.fill(&contents)?;
    layout.finish(facts)
}
