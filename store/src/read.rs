//! Ids → bytes, checked. Begin at [`Objects`]; [`walk`] visits a whole tree.
//!
//! A [`Store`] sees what is published; a [`Session`] looks at what it has staged first. Bytes that
//! are read whole are hashed before they are given out, except those this session has just written.

use std::fs::File;

use crate::digest::{BlobId, Digest, ObjectId, TreeId};
use crate::disk::read_all;
use crate::error::{Result, StoreError, wrong_hash};
use crate::layout::{Folders, Key, Kind, Store, keys_of};
use crate::session::{Place, Session, staged_name};
use crate::tree::{DEPTH_LIMIT, Entry, Tree, TreeError, shown};

/// Whoever can give objects: a [`Store`] or a [`Session`].
pub trait Objects: Sync {
    /// Opens a blob for reading, its size checked, its bytes not.
    fn open_blob(&self, id: &BlobId) -> Result<File>;
    /// Reads a blob and checks its hash.
    fn read_blob(&self, id: &BlobId) -> Result<Vec<u8>>;
    /// Reads one directory and checks its hash.
    fn read_tree(&self, id: &TreeId) -> Result<Tree>;
}

/// An open file of an object.
pub(crate) struct Opened {
    file: File,
    key: Key,
    /// Written by this session, so there is no need to look at the bytes again.
    staged: bool,
}

impl Opened {
    fn damaged(&self, folders: &Folders, why: String) -> StoreError {
        StoreError::corrupt(
            folders
                .of(self.key.kind)
                .path()
                .join(self.key.path().as_str()),
            why,
        )
    }

    fn check_size(self, folders: &Folders, size: u64) -> Result<Opened> {
        let metadata = self.file.metadata();
        let found = metadata
            .map_err(|e| StoreError::io("look at", self.path(folders), e))?
            .len();
        if found != size {
            return Err(self.damaged(
                folders,
                format!("it has {found} bytes where {size} are wanted"),
            ));
        }
        Ok(self)
    }

    fn path(&self, folders: &Folders) -> camino::Utf8PathBuf {
        folders
            .of(self.key.kind)
            .path()
            .join(self.key.path().as_str())
    }

    fn read(self, folders: &Folders, digest: Digest, size: u64) -> Result<Vec<u8>> {
        let (path, staged) = (self.path(folders), self.staged);
        let bytes = read_all(self.file).map_err(|e| StoreError::io("read", &path, e))?;
        if bytes.len() as u64 != size {
            return Err(StoreError::corrupt(
                path,
                format!("it has {} bytes where {size} are wanted", bytes.len()),
            ));
        }
        if !staged {
            let found = Digest::of(&bytes);
            if found != digest {
                return Err(StoreError::corrupt(path, wrong_hash(&found)));
            }
        }
        Ok(bytes)
    }
}

impl Folders {
    fn open_key(&self, key: Key) -> Result<Option<Opened>> {
        let file = self.of(key.kind).open_file(key.path().as_str())?;
        Ok(file.map(|file| Opened {
            file,
            key,
            staged: false,
        }))
    }
}

impl Store {
    fn open_object(&self, id: ObjectId) -> Result<Opened> {
        for key in keys_of(&id) {
            if let Some(opened) = self.folders.open_key(key)? {
                return Ok(opened);
            }
        }
        Err(StoreError::Missing { id })
    }

    /// Opens a published blob for reading. Its size is checked, its bytes are not.
    pub fn open_blob(&self, id: &BlobId) -> Result<File> {
        Ok(self
            .open_object((*id).into())?
            .check_size(&self.folders, id.size)?
            .file)
    }

    /// Reads a published blob and checks its hash.
    pub fn read_blob(&self, id: &BlobId) -> Result<Vec<u8>> {
        self.open_object((*id).into())?
            .read(&self.folders, id.digest, id.size)
    }

    /// Reads a published directory and checks its hash.
    pub fn read_tree(&self, id: &TreeId) -> Result<Tree> {
        let opened = self.open_object((*id).into())?;
        decode(opened, &self.folders, id)
    }

    /// Whether the object is published. Collection may take it away the next moment, unless a root or
    /// a session keeps it.
    pub fn has(&self, id: &ObjectId) -> Result<bool> {
        for key in keys_of(id) {
            if self.folders.has(&key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Session {
    fn open_object(&self, id: ObjectId) -> Result<Opened> {
        for key in keys_of(&id) {
            if let Some(opened) = self.open_key(key)? {
                return Ok(opened);
            }
        }
        Err(StoreError::Missing { id })
    }

    fn open_key(&self, key: Key) -> Result<Option<Opened>> {
        if let Some(Place::Staged(number)) = self.place_of(&key)
            && let Some(file) = self.staging.open_file(&staged_name(number))?
        {
            return Ok(Some(Opened {
                file,
                key,
                staged: true,
            }));
        }
        // Not staged here, or moved into place since we looked.
        self.folders().open_key(key)
    }

    /// Opens a blob for reading, staged or published. Its size is checked, its bytes are not.
    pub fn open_blob(&self, id: &BlobId) -> Result<File> {
        Ok(self
            .open_object((*id).into())?
            .check_size(self.folders(), id.size)?
            .file)
    }

    /// Reads a blob, staged or published, and checks its hash.
    pub fn read_blob(&self, id: &BlobId) -> Result<Vec<u8>> {
        self.open_object((*id).into())?
            .read(self.folders(), id.digest, id.size)
    }

    /// Reads a directory, staged or published, and checks its hash.
    pub fn read_tree(&self, id: &TreeId) -> Result<Tree> {
        let opened = self.open_object((*id).into())?;
        decode(opened, self.folders(), id)
    }
}

fn decode(opened: Opened, folders: &Folders, id: &TreeId) -> Result<Tree> {
    debug_assert_eq!(opened.key.kind, Kind::Dir);
    let path = opened.path(folders);
    let bytes = opened.read(folders, id.digest, id.size)?;
    Tree::decode(&bytes).map_err(|e| StoreError::corrupt(path, e.to_string()))
}

macro_rules! objects {
    ($($who:ty),*) => {$(
        impl Objects for $who {
            fn open_blob(&self, id: &BlobId) -> Result<File> {
                self.open_blob(id)
            }
            fn read_blob(&self, id: &BlobId) -> Result<Vec<u8>> {
                self.read_blob(id)
            }
            fn read_tree(&self, id: &TreeId) -> Result<Tree> {
                self.read_tree(id)
            }
        }
    )*};
}

objects!(Store, Session);

/// Visits every entry below a tree, a directory before what is in it, names in the order of their
/// bytes. `visit` gets the path from the root (`a/b/c`, never empty) and the entry; its first error
/// ends the walk. Trees deeper than [`DEPTH_LIMIT`] are refused.
pub fn walk<E: From<StoreError>>(
    objects: &(impl Objects + ?Sized),
    root: &TreeId,
    visit: &mut dyn FnMut(&str, &Entry) -> Result<(), E>,
) -> Result<(), E> {
    // Each level is a directory's entries that are still to come, last first, and where its name ends.
    let mut levels = vec![(entries_reversed(objects, root)?, 0)];
    let mut path = String::new();
    while let Some((entries, parent)) = levels.last_mut() {
        path.truncate(*parent);
        let Some((name, entry)) = entries.pop() else {
            levels.pop();
            continue;
        };
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&name);
        visit(&path, &entry)?;
        if let Entry::Directory(id) = entry {
            if levels.len() == DEPTH_LIMIT {
                return Err(StoreError::from(TreeError::Depth { path: shown(&path) }).into());
            }
            levels.push((entries_reversed(objects, &id)?, path.len()));
        }
    }
    Ok(())
}

fn entries_reversed(
    objects: &(impl Objects + ?Sized),
    id: &TreeId,
) -> Result<Vec<(Box<str>, Entry)>> {
    let tree = objects.read_tree(id)?;
    Ok(tree.into_entries().rev().collect())
}
