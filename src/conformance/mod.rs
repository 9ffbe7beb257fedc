//! A folder with a Python in it → [`Report`]: what holds there, and the cause of what does not.
//! Begin at [`test()`].
//!
//! Any tool's output can be asked: nothing is known of the folder but the program that starts its
//! Python, and what it says of itself where it carries a closure's manifest (`said.rs`). Most checks run inside that Python (`probe/`), once in every root that this machine can
//! make; a short one runs at every odd place (`places.rs`); a few read files only (`tree.rs`).
//! `checks.rs` is the list of all, with what is expected.

mod cause;
mod checks;
mod error;
mod places;
mod report;
mod roots;
mod runner;
mod said;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

pub use checks::{CHECKS, Check, How};
pub use error::ConformanceError;
pub use report::{Answer, Counts, Found, Report};

use crate::sandbox::Sandbox;
use runner::Runner;

/// What is asked, and of what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder.
    pub tree: Utf8PathBuf,
    /// What starts its Python, from there.
    pub program: Utf8PathBuf,
    /// Other distributions.
    pub distributions: Vec<Distribution>,
    /// The names of the checks that are wanted; all, when there are none.
    pub only: Vec<String>,
    /// Paths that no file may hold, besides the folder's own.
    pub forbid: Vec<String>,
    /// An empty folder for the files of the test. Who made it takes it away again.
    pub temporary: Utf8PathBuf,
    /// A static busybox, for a root without any C library.
    pub busybox: Option<Utf8PathBuf>,
}

/// Another distribution than this machine's.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// How the report calls it.
    pub name: String,
    /// Its root folder, or why there is none.
    pub root: Result<Utf8PathBuf, String>,
}

impl Options {
    fn wants(&self, check: &Check) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == check.name)
    }
}

/// Hears the place that is asked next, how many were begun with it, and how many there are.
pub type Ear<'a> = dyn Fn(&str, usize, usize) + Sync + 'a;

/// Asks everything, in every root and place. `ear` hears which one is next, and which of how many it is.
///
/// # Errors
/// When there is no such folder or program, or nothing can be written for the test. A tree that fails is a
/// [`Report`].
pub fn test(
    options: &Options,
    sandbox: &Sandbox,
    ear: &Ear<'_>,
) -> Result<Report, ConformanceError> {
    let known: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
    if let Some(name) = options
        .only
        .iter()
        .find(|name| !known.contains(name.as_str()))
    {
        return Err(ConformanceError::UnknownCheck { name: name.clone() });
    }
    Runner::new(options, sandbox, ear)?.run()
}
