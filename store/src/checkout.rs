//! [`TreeId`] → files. Begin at [`Session::checkout`].
//!
//! A checked-out tree is for reading: its files are hard links to the store's own, which are
//! read-only. Where a link is not possible (too many links, another device, a file system without
//! them) the file shares blocks, else it is a copy. Empty files are made, since one inode with
//! thousands of links helps nobody. Directories have mode 0755: whoever copies the tree must be
//! able to remove the copy, and [`crate::verify`] lists what does not belong.
//!
//! It is built aside and moved into place when it is complete and durable, so a tree under
//! `trees/` is whole. Two who build the same one at once do no harm: the second throws its own away.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use rustix::io::Errno;

use crate::digest::{BlobId, TreeId};
use crate::disk::{Dir, Placed};
use crate::error::{Result, StoreError};
use crate::layout::{Folders, Key, Kind, Store};
use crate::lease::locked;
use crate::objects::clone_or_copy;
use crate::session::{Place, Session, staged_name};
use crate::tree::{DEPTH_LIMIT, Entry, TreeError, shown};

impl Store {
    /// Where the tree is checked out, if it is.
    pub fn checked_out(&self, id: &TreeId) -> Result<Option<Utf8PathBuf>> {
        let hex = id.digest.hex();
        Ok(self.folders.trees.has(&hex)?.then(|| self.tree_path(&hex)))
    }
}

impl Session {
    /// The tree as files under `trees/<hex>` of the store, made now if it is not there. It is durable,
    /// so a tree that is only staged is committed first, with all else that is staged.
    pub fn checkout(&self, id: &TreeId) -> Result<Utf8PathBuf> {
        self.pin(&(*id).into())?;
        if let Some(path) = self.store.checked_out(id)? {
            return Ok(path);
        }
        // Opened before building: it hears of every write error since, and takes none from a commit.
        let syncing = self.folders().root.again()?;
        let name = self.build_aside(id)?;
        // Afterwards, as building may have added files in the other mode.
        self.commit()?;
        syncing.sync_all()?;
        let inside = self.enter()?;
        let hex = id.digest.hex();
        let placed = self.staging.place(&name, &self.folders().trees, &hex)?;
        drop(inside);
        match placed {
            Placed::New => self.folders().trees.sync()?,
            Placed::Taken => self.staging.remove_all(name.as_bytes())?,
        }
        Ok(self.store.tree_path(&hex))
    }

    /// The tree as files, which are gone when the session ends unless the tree was checked out before:
    /// for what is read on the way to a result. Nothing is synced, and it need not be committed.
    pub fn checkout_private(&self, id: &TreeId) -> Result<Utf8PathBuf> {
        self.pin(&(*id).into())?;
        if let Some(path) = self.store.checked_out(id)? {
            return Ok(path);
        }
        if let Some(name) = locked(&self.private).get(id) {
            return Ok(self.staging.path().join(name));
        }
        let name = self.build_aside(id)?;
        let path = self.staging.path().join(&name);
        locked(&self.private).insert(*id, name);
        Ok(path)
    }

    /// The tree as files that can be moved about, gone when the session ends. The files are still
    /// the store's: for reading only.
    pub fn checkout_movable(&self, id: &TreeId) -> Result<Movable> {
        self.pin(&(*id).into())?;
        let tree = self.build_aside(id)?;
        let folder = format!("t{}", self.fresh());
        self.make_dir(&self.staging, &folder)?;
        let folder = self.staging.path().join(folder);
        Ok(Movable {
            path: self.staging.path().join(tree),
            folder,
        })
    }

    /// An empty folder for whoever needs files on the way to a result; gone with the session at the latest.
    pub fn scratch(&self) -> Result<Scratch> {
        let name = format!("t{}", self.fresh());
        self.make_dir(&self.staging, &name)?;
        Ok(Scratch {
            path: self.staging.path().join(&name),
            staging: self.staging.again()?,
            folders: self.store.folders.clone(),
            name,
        })
    }

    /// The tree as files that a program may write: blocks are shared where the file system can, copied
    /// elsewhere. All of them have the same time, `seconds` since 1970. `to` is a folder that is there.
    pub fn checkout_writable(&self, id: &TreeId, to: &Utf8Path, seconds: u64) -> Result<()> {
        self.pin(&(*id).into())?;
        self.fill_all(id, &Dir::open(to)?, Files::Own { seconds })
    }

    /// The tree in the staging folder, under a new name.
    fn build_aside(&self, id: &TreeId) -> Result<String> {
        let name = format!("t{}", self.fresh());
        self.build(id, &name)
            .inspect_err(|_| drop(self.staging.remove_all(name.as_bytes())))?;
        Ok(name)
    }

    /// Builds the tree in the staging folder.
    fn build(&self, id: &TreeId, name: &str) -> Result<()> {
        self.make_dir(&self.staging, name)?;
        self.fill_all(id, &self.staging.sub(name)?, Files::Linked)
    }

    /// Makes all that a tree has, level by level.
    fn fill_all(&self, id: &TreeId, top: &Dir, files: Files) -> Result<()> {
        let mut level = vec![(String::from("."), *id)];
        let mut depth = 0;
        while !level.is_empty() {
            if depth == DEPTH_LIMIT {
                return Err(TreeError::Depth {
                    path: shown(&level[0].0),
                }
                .into());
            }
            depth += 1;
            let below: Result<Vec<_>> = level
                .par_iter()
                .map(|(path, id)| self.fill(top, path, id, files))
                .collect();
            level = below?.into_iter().flatten().collect();
        }
        Ok(())
    }

    /// Makes what is in one directory; tells which directories are to be filled next.
    fn fill(
        &self,
        top: &Dir,
        path: &str,
        id: &TreeId,
        files: Files,
    ) -> Result<Vec<(String, TreeId)>> {
        let tree = self.read_tree(id)?;
        let dir = top.sub(path)?;
        let mut below = Vec::new();
        for (name, entry) in tree.iter() {
            match entry {
                Entry::File { blob, executable } => match files {
                    Files::Linked => self.make_file(&dir, name, blob, *executable)?,
                    Files::Own { seconds } => {
                        self.make_own(&dir, name, blob, *executable, seconds)?;
                    }
                },
                Entry::Symlink { target } => dir.symlink(target, name)?,
                Entry::Directory(id) => {
                    self.make_dir(&dir, name)?;
                    below.push((format!("{path}/{name}"), *id));
                }
            }
        }
        Ok(below)
    }

    fn make_dir(&self, dir: &Dir, name: &str) -> Result<()> {
        dir.try_make(name, 0o755)
            .map_err(|e| dir.error("make the directory", name, e))?;
        if self.masks(0o755) {
            dir.set_mode(name, 0o755)
        } else {
            Ok(())
        }
    }

    fn make_file(&self, dir: &Dir, name: &str, blob: &BlobId, executable: bool) -> Result<()> {
        let key = Key {
            kind: Kind::of(executable),
            digest: blob.digest,
        };
        if blob.size == 0 {
            return self.copy_file(dir, name, blob, key);
        }
        let linked = match self.link(&key, dir, name) {
            // Only the other variant is there.
            Err(Errno::NOENT) => {
                self.ensure_variant(blob, executable)?;
                self.link(&key, dir, name)
            }
            other => other,
        };
        match linked {
            Ok(()) => Ok(()),
            Err(e) if copy_mends(e) => self.copy_file(dir, name, blob, key),
            Err(e) => Err(dir.error("link", name, e)),
        }
    }

    fn make_own(
        &self,
        dir: &Dir,
        name: &str,
        blob: &BlobId,
        executable: bool,
        seconds: u64,
    ) -> Result<()> {
        let mode = if executable { 0o755 } else { 0o644 };
        let to = dir
            .try_create(name, mode)
            .map_err(|e| dir.error("create", name, e))?;
        if self.masks(mode) {
            dir.set_mode(name, mode)?;
        }
        if blob.size > 0 {
            clone_or_copy(&self.open_blob(blob)?, &to).map_err(|e| dir.error("write", name, e))?;
        }
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        to.set_modified(time)
            .map_err(|e| dir.error("set the time of", name, e))
    }

    fn link(&self, key: &Key, dir: &Dir, name: &str) -> Result<(), Errno> {
        if let Some(Place::Staged(number)) = self.place_of(key) {
            match self.staging.link(&staged_name(number), dir, name) {
                // A commit has just moved it into place.
                Err(Errno::NOENT) => {}
                other => return other,
            }
        }
        self.folders()
            .of(key.kind)
            .link(key.path().as_str(), dir, name)
    }

    fn copy_file(&self, dir: &Dir, name: &str, blob: &BlobId, key: Key) -> Result<()> {
        let mode = key.kind.mode();
        let to = dir
            .try_create(name, mode)
            .map_err(|e| dir.error("create", name, e))?;
        if self.masks(mode) {
            dir.set_mode(name, mode)?;
        }
        if blob.size == 0 {
            return Ok(());
        }
        let copied = clone_or_copy(&self.open_blob(blob)?, &to);
        copied.map_err(|e| dir.error("write", name, e))
    }
}

/// Whose the files of a tree are that is being made.
#[derive(Clone, Copy)]
enum Files {
    /// The store's: for reading.
    Linked,
    /// Whoever asks may write them; all have this time.
    Own { seconds: u64 },
}

/// A folder that is removed when this is dropped, whatever a program has made of it.
#[derive(Debug)]
pub struct Scratch {
    path: Utf8PathBuf,
    pub(crate) staging: Dir,
    pub(crate) folders: Arc<Folders>,
    pub(crate) name: String,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now goes with the session, or with the next one that clears up.
        let _ = self.staging.remove_all(self.name.as_bytes());
    }
}

/// A checked-out tree without a fixed place.
#[derive(Debug)]
pub struct Movable {
    folder: Utf8PathBuf,
    path: Utf8PathBuf,
}

impl Movable {
    /// Where it is now.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Renames it to `below`, a relative path that nothing has yet, inside a folder of its own.
    pub fn move_to(&mut self, below: &str) -> Result<()> {
        let to = self.folder.join(below);
        let moved = std::fs::create_dir_all(to.parent().unwrap_or(&self.folder))
            .and_then(|()| std::fs::rename(&self.path, &to));
        moved.map_err(|e| StoreError::io("move a tree to", to.clone(), e))?;
        self.path = to;
        Ok(())
    }
}

fn copy_mends(e: Errno) -> bool {
    [
        Errno::MLINK,
        Errno::XDEV,
        Errno::PERM,
        Errno::ACCESS,
        Errno::NOSYS,
        Errno::OPNOTSUPP,
    ]
    .contains(&e)
}
