//! Why an output is refused.

use std::io;

use camino::Utf8PathBuf;
use miette::Diagnostic;
use recipe_store::{StoreError, TreeError};
use thiserror::Error;

use super::shown;

/// Why what a build left cannot be taken into the store. Paths are those inside the output.
#[derive(Debug, Error, Diagnostic)]
pub enum CollectError {
    /// Nothing was made.
    #[error("the build ended well and left no output")]
    #[diagnostic(
        code(collect::no_output),
        help(
            "what it makes has to be installed below `$out`, as `make install` does after `./configure --prefix=$out`; nothing was in {folder}"
        )
    )]
    NoOutput {
        /// Where it was looked for.
        folder: Utf8PathBuf,
    },
    /// The output is something else.
    #[error("the output has to be a directory, and {kind} is there")]
    #[diagnostic(
        code(collect::not_a_folder),
        help(
            "`$out` is a directory that is there when the build begins: put files into it, and leave it itself as it is"
        )
    )]
    NotAFolder {
        /// Where it lies.
        folder: Utf8PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Neither a file nor a directory nor a symlink.
    #[error("{} in the output is {kind}", shown(path))]
    #[diagnostic(
        code(collect::kind),
        help(
            "a store holds files, directories and symlinks: let the build delete it, or make it when the program is run"
        )
    )]
    Kind {
        /// Path inside the output.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// It would run as somebody else.
    #[error(
        "{} in the output is set-user-id or set-group-id (mode {mode:04o})",
        shown(path)
    )]
    #[diagnostic(
        code(collect::privileged),
        help(
            "no program of a store gets the rights of another user: let the build install it with mode 0755"
        )
    )]
    Privileged {
        /// Path inside the output.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// A name that is no text.
    #[error("{path} in the output has a name that is not UTF-8")]
    #[diagnostic(
        code(collect::name),
        help(
            "let the build rename or delete it; a test suite's sample is the usual case, and need not be installed"
        )
    )]
    Name {
        /// Path inside the output, escaped.
        path: String,
    },
    /// A symlink whose target is no text.
    #[error(
        "{} in the output is a symlink to {target}, which is not UTF-8",
        shown(path)
    )]
    #[diagnostic(code(collect::target), help("let the build make it anew or delete it"))]
    Target {
        /// Path inside the output.
        path: String,
        /// Its target, escaped.
        target: String,
    },
    /// A symlink that leads out.
    #[error(
        "{} in the output is a symlink that leads out of it, to {}",
        shown(path),
        shown(target)
    )]
    #[diagnostic(
        code(collect::escapes),
        help(
            "what it points to is not there when the output is used elsewhere: let it point inside the output, or copy the file"
        )
    )]
    Escapes {
        /// Path inside the output.
        path: String,
        /// Its target.
        target: String,
    },
    /// More bytes than may be.
    #[error(
        "the output holds more than {limit} bytes: {} was one too many",
        shown(path)
    )]
    #[diagnostic(
        code(collect::too_large),
        help("let the build install less (no tests, no static libraries, no debug symbols)")
    )]
    TooLarge {
        /// Path inside the output.
        path: String,
        /// How many there may be.
        limit: u64,
    },
    /// More entries than may be.
    #[error(
        "the output holds more than {limit} files: {} was one too many",
        shown(path)
    )]
    #[diagnostic(
        code(collect::too_many),
        help("let the build install less, or keep what it has as one archive")
    )]
    TooMany {
        /// Path inside the output.
        path: String,
        /// How many there may be.
        limit: u64,
    },
    /// It cannot be read.
    #[error("{} in the output cannot be read", shown(path))]
    #[diagnostic(
        code(collect::read),
        help(
            "the build's folder has to stay as it is until the build has ended: who else works there?"
        )
    )]
    Read {
        /// Path inside the output.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A tree cannot hold it.
    #[error("the output cannot be kept in a store")]
    #[diagnostic(
        code(collect::tree),
        help("let the build install it under a shorter path, or as one archive")
    )]
    Tree(#[from] TreeError),
    /// The store failed. `cli` says what to do.
    #[error(transparent)]
    #[diagnostic(code(store::failed))]
    Store(#[from] StoreError),
}
