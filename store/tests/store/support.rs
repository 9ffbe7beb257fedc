//! A throw-away store, and small things to put into it.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{
    Entry, Isolation, ObjectId, Session, StepKey, Store, Trace, TreeBuilder, TreeId,
};

/// A directory that is gone when the test ends.
pub struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn dir(&self) -> &Utf8Path {
        Utf8Path::from_path(self.dir.path()).unwrap()
    }

    pub fn path(&self) -> Utf8PathBuf {
        self.dir().join("store")
    }

    pub fn store(&self) -> Store {
        Store::open(&self.path()).unwrap()
    }

    pub fn session(&self) -> Session {
        self.store().session().unwrap()
    }

    /// All regular files under a folder of the store, by their path from there.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let top = self.path().join(folder);
        let mut waiting = vec![top.clone()];
        let mut files = Vec::new();
        while let Some(dir) = waiting.pop() {
            for entry in dir.read_dir_utf8().unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    waiting.push(entry.path().to_owned());
                } else {
                    files.push(entry.path().strip_prefix(&top).unwrap().to_string());
                }
            }
        }
        files.sort();
        files
    }
}

/// Stores files by their paths as a tree; a name that ends in `*` is executable.
pub fn tree(session: &Session, files: &[(&str, impl AsRef<[u8]>)]) -> TreeId {
    let mut builder = TreeBuilder::new();
    for (path, bytes) in files {
        let executable = path.ends_with('*');
        let blob = session.put_blob(bytes.as_ref(), executable).unwrap();
        builder
            .insert(path.trim_end_matches('*'), Entry::File { blob, executable })
            .unwrap();
    }
    builder.finish(session).unwrap()
}

/// A trace for the step that `asked` describes.
pub fn trace(asked: &str, output: impl Into<ObjectId>) -> Trace {
    Trace {
        key: StepKey::of(asked.as_bytes()),
        outputs: BTreeMap::from([("out".to_owned(), output.into())]),
        maker: "test 1".into(),
        started: 1,
        duration: 2,
        isolation: Isolation {
            reached: "full".into(),
            required: "full".into(),
        },
        preimage: asked.into(),
    }
}

/// Fails unless every byte of the store is as it should be.
pub fn clean(store: &Store) {
    assert_eq!(store.verify().unwrap().findings, []);
}
