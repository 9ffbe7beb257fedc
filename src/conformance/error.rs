//! Why a tree could not be asked at all.

use std::io;

use camino::Utf8PathBuf;
use miette::Diagnostic;
use thiserror::Error;

use crate::sandbox::SandboxError;

/// Why a tree could not be asked at all. One that was asked and fails is a report.
#[derive(Debug, Error, Diagnostic)]
pub enum ConformanceError {
    /// A folder cannot be read.
    #[error("the folder {path} cannot be read")]
    #[diagnostic(
        code(conformance::folder),
        help("name the top folder of what is to be tested, or of the root to test it in")
    )]
    Folder {
        /// Which.
        path: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// There is no Python where one was expected.
    #[error("there is no program {program} in {tree}")]
    #[diagnostic(
        code(conformance::program),
        help(
            "`--program PATH` names what starts its Python, from that folder: a program that takes the \
             file to run as its first argument"
        )
    )]
    NoProgram {
        /// What was looked for.
        program: Utf8PathBuf,
        /// Where.
        tree: Utf8PathBuf,
    },

    /// A check was asked for that is not in the list.
    #[error("there is no check named {name}")]
    #[diagnostic(
        code(conformance::unknown_check),
        help("the table that the command prints without `--only` names them all")
    )]
    UnknownCheck {
        /// What was asked for.
        name: String,
    },

    /// The files of the test cannot be written.
    #[error("the files of the test cannot be written to {path}")]
    #[diagnostic(
        code(conformance::temporary),
        help("set TMPDIR to a folder that can be written to")
    )]
    Temporary {
        /// Where.
        path: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// A program could not be started for a reason that has nothing to do with the tree.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sandbox(#[from] SandboxError),
}
