//! Words of the Python world: text and bytes from strangers → types that leave no wrong state.
//!
//! Project names and versions ([`name`]), wheel file names ([`wheel_name`]) and the tags that say
//! where a wheel runs ([`tag`]), the files inside a wheel ([`metadata`], [`entry_points`],
//! [`record`], [`pth`]), the pages of a package index ([`index`]) and what a resolver answers
//! ([`pylock`]) to what somebody asked for ([`requirement`]). No I/O: callers bring bytes. All of
//! it is foreign input, so every parser is bounded and none panics.

pub mod entry_points;
mod html;
pub mod index;
pub mod metadata;
pub mod name;
pub mod pth;
pub mod pylock;
pub mod record;
pub mod requirement;
pub mod tag;
pub mod wheel_name;

pub use name::ProjectName;
pub use pep508_rs::pep440_rs::{Version, VersionSpecifiers};
pub use requirement::{Environment, Requirement};
pub use tag::Target;
pub use wheel_name::WheelName;

use miette::Diagnostic;
use thiserror::Error;

/// What is wrong with a piece of Python packaging data.
///
/// These errors name the word that was refused; whoever read it adds the file it came from.
#[derive(Debug, Clone, PartialEq, Eq, Error, Diagnostic)]
pub enum PythonError {
    /// A project name that PEP 508 does not allow.
    #[error("{name:?} is not a project name: wanted letters, digits and . _ - between them")]
    #[diagnostic(
        code(python::name),
        help("write the name as the package index shows it, such as scylla-driver")
    )]
    Name {
        /// What was found.
        name: String,
    },
    /// A version that PEP 440 does not allow.
    #[error("{version:?} is not a version: {reason}")]
    #[diagnostic(
        code(python::version),
        help("write it as PEP 440 has versions, such as 2.32.1")
    )]
    Version {
        /// What was found.
        version: String,
        /// What the version parser says.
        reason: String,
    },
    /// A wheel's file name that does not follow PEP 427.
    #[error("{file:?} is not the name of a wheel: {reason}")]
    #[diagnostic(
        code(python::wheel_name),
        help("a wheel is called NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl")
    )]
    WheelName {
        /// What was found.
        file: String,
        /// Which part is wrong.
        reason: String,
    },
    /// A Python version or architecture that no wheel could be chosen for.
    #[error("{text:?} is not a {wanted}")]
    #[diagnostic(
        code(python::target),
        help("closures are made for Python 3, on x86_64 or aarch64")
    )]
    Target {
        /// What was found.
        text: String,
        /// What was wanted.
        wanted: &'static str,
    },
    /// A header file (METADATA, WHEEL) that cannot be read.
    #[error("{file}: {reason}")]
    #[diagnostic(
        code(python::metadata),
        help("the file is as its author made it: use another version, or tell the author")
    )]
    Metadata {
        /// `METADATA` or `WHEEL`.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An `entry_points.txt` that cannot be read, or that names something dangerous.
    #[error("entry_points.txt, line {line}: {reason}")]
    #[diagnostic(
        code(python::entry_points),
        help("the file is as its author made it: use another version, or tell the author")
    )]
    EntryPoints {
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A RECORD that is not the CSV of PEP 376, or that points outside the wheel.
    #[error("RECORD, row {row}: {reason}")]
    #[diagnostic(
        code(python::record),
        help("the file is as its author made it: use another version, or tell the author")
    )]
    Record {
        /// Counted from one.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A `.pth` file whose line leads out of the closure.
    #[error("path {line:?} leads out of the closure")]
    #[diagnostic(
        code(python::pth),
        help("the file is as its author made it: use another version, or tell the author")
    )]
    Pth {
        /// The line.
        line: String,
    },
    /// An index page that cannot be read.
    #[error("index page: {reason}")]
    #[diagnostic(
        code(python::index),
        help("is this the address of a package index? name another one: `--python-index URL`")
    )]
    Index {
        /// What is wrong with it.
        reason: String,
    },
    /// A file that the index page does not have, or not with the locked hash.
    #[error("the index page lacks {file} with sha256 {sha256}: {reason}")]
    #[diagnostic(
        code(python::index_lacks),
        help(
            "another index may have the file; `recipe lock RECIPE --upgrade PROJECT` takes what there is now"
        )
    )]
    IndexLacks {
        /// The file's name.
        file: String,
        /// The hash that was wanted.
        sha256: String,
        /// What the page has instead.
        reason: String,
    },
    /// A requirement that is not PEP 508, or asks for more than a project of an index.
    #[error("requirement {text:?}: {reason}")]
    #[diagnostic(
        code(python::requirement),
        help("write NAME, or NAME with versions and markers, such as requests[socks]>=2.32,<3")
    )]
    Requirement {
        /// What was found.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A `pylock.toml` that cannot be read.
    #[error("pylock.toml: {reason}")]
    #[diagnostic(
        code(python::pylock),
        help("if a tool wrote it, write it anew with a current version of that tool")
    )]
    Pylock {
        /// What is wrong with it.
        reason: String,
    },
}
