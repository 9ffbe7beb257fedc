//! Why there is no byte code.

use miette::Diagnostic;
use recipe_store::{StoreError, TreeError};
use thiserror::Error;

use crate::sandbox::SandboxError;

/// Why a tree was not compiled.
#[derive(Debug, Error, Diagnostic)]
pub enum BytecodeError {
    /// The interpreter is not the one the closure has.
    #[error("byte code for {wanted} was wanted, but the interpreter makes it for {found}")]
    #[diagnostic(
        code(build::bytecode_version),
        help(
            "`recipe lock RECIPE --upgrade` takes both from the suite at one time; if it stays, please report it"
        )
    )]
    Version {
        /// Its cache tag, `cpython-313`.
        wanted: String,
        /// The cache tag of the one that answered.
        found: String,
    },
    /// The interpreter ended, or said something that is no answer.
    #[error("the interpreter stopped while it compiled {path}: {reason}")]
    #[diagnostic(code(build::bytecode_worker), help("{}", worker_help(reason)))]
    Worker {
        /// The source it was given.
        path: String,
        /// How it ended, with the last of what it wrote.
        reason: String,
        /// All that it wrote to standard error, for the step's log.
        said: String,
    },
    /// The interpreter could not be started.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store failed. `cli` says what to do.
    #[error(transparent)]
    #[diagnostic(code(store::failed))]
    Store(#[from] StoreError),
}

fn worker_help(reason: &str) -> &'static str {
    if reason.contains("error while loading shared libraries") {
        "a library that Python needs is not in the closure: see what `system { exclude ... }` leaves out"
    } else {
        "if it is this file's fault, leave the file out of the closure"
    }
}

impl BytecodeError {
    /// What the interpreter wrote before it ended.
    pub fn said(&self) -> &str {
        match self {
            BytecodeError::Worker { said, .. } => said,
            _ => "",
        }
    }
}

impl From<TreeError> for BytecodeError {
    fn from(error: TreeError) -> Self {
        BytecodeError::Store(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_was_left_out_is_not_the_fault_of_a_file() {
        let told = |reason: &str| {
            let error = BytecodeError::Worker {
                path: "a.py".into(),
                reason: reason.into(),
                said: String::new(),
            };
            error
                .help()
                .map(|help| help.to_string())
                .unwrap_or_default()
        };
        let lacks = "python3: error while loading shared libraries: libz.so.1: cannot open";
        assert!(told(lacks).contains("exclude"));
        assert!(told("exit code 1").contains("this file's fault"));
    }
}
