//! Why an sdist has no wheel.

use camino::Utf8PathBuf;
use miette::Diagnostic;
use recipe_store::{StoreError, TreeError};
use thiserror::Error;

use super::hooks::FailedHook;
use crate::archive::ArchiveError;
use crate::lock::wheels::WheelsError;
use crate::python::PythonError;
use crate::sandbox::SandboxError;

/// Why an sdist has no metadata, or no wheel.
#[derive(Debug, Error, Diagnostic)]
pub enum SdistError {
    /// Its build backend failed.
    #[error("its build backend does not tell {}: {}\n{}", .0.what, .0.how, .0.said)]
    #[diagnostic(
        code(sdist::backend),
        help("{}", .0.advice())
    )]
    Hook(Box<FailedHook>),
    /// Its build requirements cannot be had.
    #[error("what it needs to be built cannot be had: {0}")]
    #[diagnostic(code(sdist::needs), help("{}", needs_help(.0)))]
    Needs(Box<WheelsError>),
    /// The archive is not one folder.
    #[error("{file} is no source distribution: there is not one folder at its top")]
    #[diagnostic(
        code(sdist::shape),
        help("the file is as its author made it: use another version, or tell the author")
    )]
    Shape {
        /// Its name.
        file: String,
    },
    /// `pyproject.toml` makes no sense.
    #[error("pyproject.toml: {reason}")]
    #[diagnostic(
        code(sdist::pyproject),
        help("the file is as its author made it: use another version, or tell the author")
    )]
    Project {
        /// Why.
        reason: String,
    },
    /// What came out is not what was asked for.
    #[error("{file} says that it is {wanted}, and {found_in} says {found}")]
    #[diagnostic(
        code(sdist::another),
        help("the sdist is as its author made it: use another version, or tell the author")
    )]
    Another {
        /// The sdist.
        file: String,
        /// Name and version of what was asked for.
        wanted: String,
        /// Where another is named.
        found_in: &'static str,
        /// That.
        found: String,
    },
    /// A wheel needs something else than what was locked.
    #[error(
        "the metadata of {subject} are not those that were locked\n  locked: {locked}\n  in the wheel that was built: {found}"
    )]
    #[diagnostic(
        code(sdist::metadata),
        help(
            "what a project needs must not depend on when or where it is built: use another version, or tell its author"
        )
    )]
    Metadata {
        /// Name and version.
        subject: String,
        /// What was locked.
        locked: String,
        /// What the wheel says.
        found: String,
    },
    /// A build requirement that the lock does not have.
    #[error("{subject} asks for {requirement} to be built, and the lock has {found}")]
    #[diagnostic(
        code(sdist::requirement),
        help("`recipe lock` writes the lock anew, with what builds need")
    )]
    Requirement {
        /// Name and version of what is built.
        subject: String,
        /// What it asks for.
        requirement: String,
        /// What there is.
        found: String,
    },
    /// To build it, it is needed itself.
    #[error("to build {}, {} is needed itself", chain.first().map_or("it", String::as_str), last)]
    #[diagnostic(
        code(sdist::cycle),
        help("{}; a wheel of one of them would end it: `override` a version that has one", chain.join(" needs "))
    )]
    Cycle {
        /// From the first to the one before the last.
        chain: Vec<String>,
        /// What comes again.
        last: String,
    },
    /// The build requirements of build requirements, and so on.
    #[error("build requirements that have to be built themselves lie more than {limit} deep")]
    #[diagnostic(code(sdist::depth), help("{}", chain.join(" needs ")))]
    Depth {
        /// How deep.
        limit: usize,
        /// The way.
        chain: Vec<String>,
    },
    /// A folder for a build could not be made or read.
    #[error("the folder {path} of a build cannot be used: {error}")]
    #[diagnostic(
        code(sdist::folder),
        help("the store lies on this disk: `recipe store verify` tells if it can be written")
    )]
    Folder {
        /// The folder.
        path: Utf8PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Data that cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Python(#[from] PythonError),
    /// An archive cannot be unpacked.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(#[from] ArchiveError),
    /// The sandbox failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store failed.
    #[error(transparent)]
    #[diagnostic(code(store::failed))]
    Store(#[from] StoreError),
}

fn needs_help(error: &WheelsError) -> String {
    let help = error.help().map(|help| help.to_string());
    help.unwrap_or_else(|| "another version of the project may be built with others".to_owned())
}

impl From<TreeError> for SdistError {
    fn from(error: TreeError) -> SdistError {
        SdistError::Store(error.into())
    }
}
