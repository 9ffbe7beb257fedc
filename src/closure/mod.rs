//! Objects → [`Closure`]: a complete tree that works from any directory. Begin at [`Closure::of`].
//!
//! A closure in the store is a tree whose manifest was read; a copy of one, anywhere, is checked
//! against the manifest that it carries: see [`verify()`]. What two of them have in common, however
//! they are kept, is told by [`contents`]; where two versions of one file differ, by [`mod@explain`].

pub mod contents;
pub mod explain;
mod verify;

use miette::Diagnostic;
use recipe_store::{Entry, Session, TreeId};
use thiserror::Error;

pub use crate::build::steps::manifest::{Contract, Listed, Manifest, PATH as MANIFEST};
pub use verify::{Problem, Report, verify};

/// A complete tree in the store, and what its manifest says.
#[derive(Debug, Clone)]
pub struct Closure {
    /// The tree.
    pub tree: TreeId,
    /// Its manifest.
    pub manifest: Manifest,
}

impl Closure {
    /// Reads the manifest of the closure `tree`.
    pub fn of(tree: TreeId, session: &Session) -> Result<Closure, ClosureError> {
        let root = session.read_tree(&tree)?;
        let Some(Entry::File { blob, .. }) = root.get(MANIFEST) else {
            return Err(ClosureError::NoManifest {
                place: format!("tree:{}", tree.digest),
            });
        };
        let text = String::from_utf8_lossy(&session.read_blob(blob)?).into_owned();
        let manifest = Manifest::parse(&text).map_err(|line| ClosureError::Manifest {
            place: format!("tree:{}", tree.digest),
            line,
        })?;
        Ok(Closure { tree, manifest })
    }

    /// How many files and links there are, and how many bytes the files have.
    pub fn size(&self) -> (usize, u64) {
        let bytes = self
            .manifest
            .entries
            .iter()
            .map(|(_, listed)| match listed {
                Listed::File { size, .. } => *size,
                Listed::Link(_) => 0,
            });
        (self.manifest.entries.len(), bytes.sum())
    }
}

/// Policies that let code of the host in, where they are not as usual.
const CODE: [&str; 2] = ["name-service", "preloads"];

impl Manifest {
    /// What it runs on, in words: processor, kernel, and whether code of the host is used.
    pub fn runs_on(&self) -> String {
        let contract = &self.contract;
        if contract.machine.is_empty() {
            return "nothing but a Linux kernel: it holds no programs".into();
        }
        let level = match contract.level {
            0 | 1 => "any processor".to_owned(),
            level => format!("processor level v{level}"),
        };
        let kernel = if contract.kernel.is_empty() {
            "any version"
        } else {
            &contract.kernel
        };
        let matters = self.host.iter().map(|(matter, _)| matter.as_str());
        let code: Vec<&str> = matters.filter(|matter| CODE.contains(matter)).collect();
        let used = match code.as_slice() {
            [] => "no code of the host is used".to_owned(),
            code => format!("code of the host is used for {}", code.join(" and ")),
        };
        format!(
            "{} ({level}), Linux {kernel} or later; glibc {} is inside, {used}",
            contract.machine, contract.glibc
        )
    }
}

/// Why a directory or tree is not a closure.
#[derive(Debug, Error, Diagnostic)]
pub enum ClosureError {
    /// There is no manifest.
    #[error("{place} is not a closure: it has no {MANIFEST}")]
    #[diagnostic(
        code(closure::no_manifest),
        help("name the top folder of a closure, such as result/NAME or a copy of it")
    )]
    NoManifest {
        /// The directory or tree.
        place: String,
    },
    /// The manifest is not understood.
    #[error("line {line} of {place}/{MANIFEST} is not understood")]
    #[diagnostic(
        code(closure::manifest),
        help(
            "the manifest is damaged, or was written by a newer version of recipe: copy the closure again"
        )
    )]
    Manifest {
        /// The directory or tree.
        place: String,
        /// Counted from 1.
        line: usize,
    },
    /// A file or directory could not be read.
    #[error("{path} could not be read: {error}")]
    #[diagnostic(
        code(closure::unreadable),
        help("check its permissions, and that the disk is sound")
    )]
    Read {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// An archive of a closure is damaged, or is none.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(Box<crate::archive::ArchiveError>),
    /// The store failed. `cli` says what to do.
    #[error(transparent)]
    #[diagnostic(code(store::failed))]
    Store(#[from] recipe_store::StoreError),
}
