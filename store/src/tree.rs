//! Names → [`Tree`]: one directory's sorted entries. Begin at [`Tree::insert`].
//!
//! A tree knows regular files with one executable bit, directories and symlinks; no owner, time or
//! other mode exists. Its bytes, which are what is hashed, are the business of `encode.rs`.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::digest::{BlobId, TreeId};

/// The longest name of an entry, in bytes.
pub const NAME_LIMIT: usize = 255;
/// A symlink's target is shorter than this many bytes.
pub const TARGET_LIMIT: usize = 4096;
/// How deep a tree may nest. Whoever walks trees stops there.
pub const DEPTH_LIMIT: usize = 64;

/// One directory: entries sorted by the bytes of their names, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<Box<str>, Entry>,
}

/// What a name in a directory stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A regular file.
    File {
        /// Its content.
        blob: BlobId,
        /// Whether it may be run (mode 0555 instead of 0444).
        executable: bool,
    },
    /// A directory.
    Directory(TreeId),
    /// A symbolic link, its target kept as written.
    Symlink {
        /// Where it points; not empty, no NUL, under [`TARGET_LIMIT`] bytes.
        target: String,
    },
}

/// A tree that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TreeError {
    /// The name of an entry is not one file name.
    #[error("{name:?} cannot name a file in a tree: {why}")]
    Name {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The target of a symlink is empty, too long, or has a NUL.
    #[error("the symlink {name:?} cannot be in a tree: its target {why}")]
    Target {
        /// The link's name.
        name: String,
        /// What is wrong with the target.
        why: &'static str,
    },
    /// Two entries want one name, or a file stands where a directory is needed.
    #[error("{name:?} is in the tree twice")]
    Duplicate {
        /// The name or path.
        name: String,
    },
    /// Sizes are signed 64-bit numbers where trees travel.
    #[error("{name:?} cannot be in a tree: its size {size} does not fit 63 bits")]
    Size {
        /// The name of the entry.
        name: String,
        /// The size given.
        size: u64,
    },
    /// A path goes deeper than [`DEPTH_LIMIT`].
    #[error("{path:?} is more than {DEPTH_LIMIT} directories deep")]
    Depth {
        /// The path, or its beginning.
        path: String,
    },
    /// The bytes are not the one canonical encoding of any tree.
    #[error("not a canonical Directory message: {why} at byte {at}")]
    Encoding {
        /// Offset into the message.
        at: usize,
        /// What was wrong there.
        why: &'static str,
    },
}

impl Tree {
    /// A directory without entries.
    pub fn new() -> Tree {
        Tree::default()
    }

    /// Adds an entry. Refuses names and targets that no tree may have, and a name that is there.
    pub fn insert(&mut self, name: &str, entry: Entry) -> Result<(), TreeError> {
        check_name(name)?;
        check_entry(name, &entry)?;
        match self.entries.entry(name.into()) {
            std::collections::btree_map::Entry::Vacant(place) => place.insert(entry),
            std::collections::btree_map::Entry::Occupied(_) => {
                return Err(TreeError::Duplicate {
                    name: name.to_owned(),
                });
            }
        };
        Ok(())
    }

    /// Adds an entry or puts it in the place of the one of that name, which is returned.
    pub fn replace(&mut self, name: &str, entry: Entry) -> Result<Option<Entry>, TreeError> {
        check_name(name)?;
        check_entry(name, &entry)?;
        Ok(self.entries.insert(name.into(), entry))
    }

    /// Takes an entry out.
    pub fn remove(&mut self, name: &str) -> Option<Entry> {
        self.entries.remove(name)
    }

    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All entries in the order of their names' bytes.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (&**name, entry))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The id it will have in any store.
    pub fn id(&self) -> TreeId {
        TreeId::of(&self.encode())
    }
}

/// Refuses what is not exactly one file name.
pub(crate) fn check_name(name: &str) -> Result<(), TreeError> {
    let why = match name {
        "" => "it is empty",
        "." | ".." => "it means another directory",
        _ if name.len() > NAME_LIMIT => "it is longer than 255 bytes",
        _ if name.contains('/') => "it contains a slash",
        _ if name.contains('\0') => "it contains a NUL",
        _ => return Ok(()),
    };
    Err(TreeError::Name {
        name: shown(name),
        why,
    })
}

pub(crate) fn check_entry(name: &str, entry: &Entry) -> Result<(), TreeError> {
    let size = match entry {
        Entry::File { blob, .. } => blob.size,
        Entry::Directory(tree) => tree.size,
        Entry::Symlink { target } => return check_target(name, target),
    };
    if i64::try_from(size).is_err() {
        return Err(TreeError::Size {
            name: shown(name),
            size,
        });
    }
    Ok(())
}

fn check_target(name: &str, target: &str) -> Result<(), TreeError> {
    let why = match target {
        "" => "is empty",
        _ if target.len() >= TARGET_LIMIT => "has 4096 bytes or more",
        _ if target.contains('\0') => "contains a NUL",
        _ => return Ok(()),
    };
    Err(TreeError::Target {
        name: shown(name),
        why,
    })
}

/// Foreign text that goes into a message: its beginning.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(300).collect()
}

impl Tree {
    /// The entries themselves, in order.
    pub(crate) fn into_entries(self) -> impl DoubleEndedIterator<Item = (Box<str>, Entry)> {
        self.entries.into_iter()
    }
}
