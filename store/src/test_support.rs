//! A throw-away store for the tests of this package.

use camino::{Utf8Path, Utf8PathBuf};

use crate::layout::Store;

/// A directory that is gone when the test ends.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> Utf8PathBuf {
        Utf8Path::from_path(self.dir.path()).unwrap().join("store")
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.path()).unwrap()
    }
}
