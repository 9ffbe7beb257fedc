//! Roots, leases and traces → what is reached from them. Begin at [`Marker::mark`].
//!
//! Walks with an explicit stack and decodes each directory once, however often it is reached.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::digest::{Digest, ObjectId, StepKey};
use crate::error::{Result, StoreError, wrong_hash};
use crate::layout::{Key, Kind, Store};
use crate::tree::{Entry, Tree};

/// Digests that are reached. Both variants of a blob count as one.
#[derive(Clone, Default, Debug)]
pub(crate) struct Reached {
    pub(crate) dirs: HashSet<Digest>,
    pub(crate) blobs: HashSet<Digest>,
    pub(crate) steps: HashSet<StepKey>,
}

/// What a directory names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Child {
    pub(crate) is_dir: bool,
    pub(crate) digest: Digest,
}

/// Finds what is reached.
pub(crate) struct Marker<'a> {
    store: &'a Store,
    decoded: HashMap<Digest, Arc<[Child]>>,
}

impl Reached {
    pub(crate) fn has(&self, child: Child) -> bool {
        if child.is_dir {
            self.dirs.contains(&child.digest)
        } else {
            self.blobs.contains(&child.digest)
        }
    }

    fn add(&mut self, child: Child) -> bool {
        if child.is_dir {
            self.dirs.insert(child.digest)
        } else {
            self.blobs.insert(child.digest)
        }
    }

    pub(crate) fn remove(&mut self, child: Child) {
        if child.is_dir {
            self.dirs.remove(&child.digest)
        } else {
            self.blobs.remove(&child.digest)
        };
    }

    pub(crate) fn extend(&mut self, other: &Reached) {
        self.dirs.extend(&other.dirs);
        self.blobs.extend(&other.blobs);
        self.steps.extend(&other.steps);
    }
}

impl From<ObjectId> for Child {
    fn from(id: ObjectId) -> Child {
        Child {
            is_dir: matches!(id, ObjectId::Tree(_)),
            digest: id.digest(),
        }
    }
}

impl<'a> Marker<'a> {
    pub(crate) fn new(store: &'a Store) -> Marker<'a> {
        Marker {
            store,
            decoded: HashMap::new(),
        }
    }

    /// Marks an object and all below it; what is marked already is not looked at again. Tells what is new.
    pub(crate) fn mark(&mut self, reached: &mut Reached, from: Child) -> Result<Vec<Child>> {
        let mut new = Vec::new();
        let mut waiting = vec![from];
        while let Some(child) = waiting.pop() {
            if !reached.add(child) {
                continue;
            }
            new.push(child);
            if child.is_dir {
                waiting.extend(self.children(child.digest)?.iter());
            }
        }
        Ok(new)
    }

    /// Marks a step's trace with all its outputs. One whose trace or outputs are gone marks nothing.
    pub(crate) fn mark_step(&mut self, reached: &mut Reached, key: &StepKey) -> Result<Vec<Child>> {
        let mut new = Vec::new();
        if reached.steps.contains(key) {
            return Ok(new);
        }
        if let Some(trace) = self.store.find(key)? {
            reached.steps.insert(*key);
            for id in trace.outputs.values() {
                new.extend(self.mark(reached, (*id).into())?);
            }
        }
        Ok(new)
    }

    /// What a directory names. One that is missing or damaged is an error: nobody can tell what it kept.
    pub(crate) fn children(&mut self, digest: Digest) -> Result<Arc<[Child]>> {
        if let Some(children) = self.decoded.get(&digest) {
            return Ok(children.clone());
        }
        let children = self.read(digest)?;
        self.decoded.insert(digest, children.clone());
        Ok(children)
    }

    fn read(&self, digest: Digest) -> Result<Arc<[Child]>> {
        let path = Key {
            kind: Kind::Dir,
            digest,
        }
        .path();
        let dirs = &self.store.folders.dirs;
        let damaged = |why: String| StoreError::corrupt(dirs.path().join(path.as_str()), why);
        let bytes = dirs
            .read(path.as_str())?
            .ok_or_else(|| damaged("it is missing".into()))?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(damaged(wrong_hash(&found)));
        }
        let tree = Tree::decode(&bytes).map_err(|e| damaged(e.to_string()))?;
        Ok(tree
            .iter()
            .filter_map(|(_, entry)| child_of(entry))
            .collect())
    }
}

/// The object that an entry names, if it names one.
pub(crate) fn child_of(entry: &Entry) -> Option<Child> {
    match entry {
        Entry::File { blob, .. } => Some(Child {
            is_dir: false,
            digest: blob.digest,
        }),
        Entry::Directory(tree) => Some(Child {
            is_dir: true,
            digest: tree.digest,
        }),
        Entry::Symlink { .. } => None,
    }
}
