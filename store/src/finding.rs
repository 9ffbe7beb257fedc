//! [`Finding`]: one thing that is wrong with a store or a tree, and whom it concerns.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use crate::digest::{Digest, StepKey};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file or directory.
    pub path: Utf8PathBuf,
    /// What is wrong with it.
    pub damage: Damage,
    /// Steps whose outputs contain it.
    pub steps: BTreeSet<StepKey>,
    /// Links of roots that keep it.
    pub roots: BTreeSet<Utf8PathBuf>,
    /// Directories that contain it, near or far.
    pub trees: BTreeSet<Digest>,
}

/// Kinds of damage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// The bytes are not those that its name promises.
    Bytes {
        /// How one can tell.
        why: String,
    },
    /// It is named somewhere, and not there.
    Missing,
    /// Nothing here would have made it.
    Extra,
    /// Its permission bits were changed.
    Mode {
        /// What they are.
        found: u32,
        /// What they should be.
        wanted: u32,
    },
    /// It is a directory, a link, a device where a regular file should be, or the like.
    Kind,
}

impl Finding {
    /// What is wrong at `path`, before anybody has looked who depends on it.
    pub(crate) fn of(path: Utf8PathBuf, damage: Damage) -> Finding {
        Finding {
            path,
            damage,
            steps: BTreeSet::new(),
            roots: BTreeSet::new(),
            trees: BTreeSet::new(),
        }
    }
}
