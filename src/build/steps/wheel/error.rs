//! What can be wrong with a wheel, and what is merely worth telling.

use std::fmt;

use miette::Diagnostic;
use recipe_store::{StoreError, TreeError};
use thiserror::Error;

use crate::archive::ArchiveError;
use crate::python::{PythonError, Target, WheelName};

/// Why a wheel was not unpacked.
#[derive(Debug, Error, Diagnostic)]
pub enum WheelError {
    /// Its tags do not fit the closure.
    #[error("{wheel} does not run on {target}")]
    #[diagnostic(
        code(build::wheel_does_not_run),
        help("it is for {}; `recipe lock` chooses one that fits", offered.join(", "))
    )]
    DoesNotRun {
        /// Its file name.
        wheel: String,
        /// The closure's Python and libc.
        target: Box<Target>,
        /// Its own tags.
        offered: Vec<String>,
    },
    /// A text in it cannot be read.
    #[error("{wheel}: {cause}")]
    #[diagnostic(
        code(build::wheel_bad),
        help("the file is as its author made it: use another version, or tell the author")
    )]
    Bad {
        /// Its file name.
        wheel: String,
        /// What is wrong.
        cause: PythonError,
    },
    /// It contradicts itself, or wants a place that is not its own.
    #[error("{wheel}: {reason}")]
    #[diagnostic(
        code(build::wheel_layout),
        help("the file is as its author made it: use another version, or tell the author")
    )]
    Layout {
        /// Its file name.
        wheel: String,
        /// What is wrong.
        reason: String,
    },
    /// The zip is damaged or hostile.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(#[from] ArchiveError),
    /// The store failed.
    #[error(transparent)]
    #[diagnostic(code(store::failed))]
    Store(#[from] StoreError),
}

impl From<TreeError> for WheelError {
    fn from(error: TreeError) -> Self {
        WheelError::Store(error.into())
    }
}

impl WheelError {
    pub(super) fn does_not_run(wheel: &str, target: &Target, name: &WheelName) -> Self {
        WheelError::DoesNotRun {
            wheel: wheel.to_owned(),
            target: Box::new(target.clone()),
            offered: name.tags.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What a person may want to know of a wheel that was unpacked. Paths are those in the wheel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WheelNote {
    /// RECORD has another hash or size for this file.
    RecordDiffers {
        /// Which file.
        path: String,
    },
    /// RECORD does not list this file.
    NotInRecord {
        /// Which file.
        path: String,
    },
    /// RECORD lists this file, which is not there.
    NotInWheel {
        /// Which file.
        path: String,
    },
    /// The tags inside differ from those of the file name, which are the ones that count.
    Tags {
        /// The tags inside.
        inside: String,
    },
    /// Runs code at every start of the interpreter: a `.pth` file or `sitecustomize.py`.
    RunsAtStart {
        /// Which file.
        path: String,
        /// Whether it is in the closure.
        kept: bool,
    },
}

impl fmt::Display for WheelNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WheelNote::RecordDiffers { path } => {
                write!(
                    f,
                    "RECORD has another hash or size for {path}; it is written anew"
                )
            }
            WheelNote::NotInRecord { path } => {
                write!(f, "RECORD does not list {path}; it is written anew")
            }
            WheelNote::NotInWheel { path } => write!(f, "RECORD lists {path}, which is not there"),
            WheelNote::Tags { inside } => {
                write!(f, "the tags inside differ from the file name: {inside}")
            }
            WheelNote::RunsAtStart { path, kept: true } => {
                write!(f, "{path} runs code at every start")
            }
            WheelNote::RunsAtStart { path, kept: false } => {
                write!(
                    f,
                    "{path} would run code at every start; that code is left out"
                )
            }
        }
    }
}
