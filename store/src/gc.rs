//! What nobody keeps → free space. Begin at [`Store::gc`].
//!
//! Kept is what roots reach, what the steps made that a root names, and what live sessions rely on. With a
//! cap, what other steps made is kept too, the most recently used first, until the cap is reached.
//! A trace stays as long as its outputs do.
//!
//! Sessions go on meanwhile. What is to go is found without any lock; it is removed in small batches,
//! each behind the gate that sessions pass when they begin to rely on an object (see `lease.rs`),
//! and before each batch the leases and roots are read again. The order is traces, checked-out trees,
//! directories (a parent before what it names), blobs, with a sync in between: so whatever is there
//! at any moment, after a power cut too, is there with all that it names.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;

use crate::disk::{ShardPath, utf8};
use crate::error::Result;
use crate::kept;
use crate::layout::{Folders, Key, Kind, Store};
use crate::lease::GATE;
use crate::list::list;
use crate::mark::Child;
use crate::session::reclaim;
use crate::survey::{GcOptions, GcReport, Work};
use crate::traces::trace_path;

/// So many files are removed while sessions wait.
const BATCH: usize = 512;
/// So many memos stay, the newest ones.
const MEMOS: usize = 1000;

impl Store {
    /// Removes what nobody keeps, beside other processes at work, and tells exactly what. A second
    /// collection waits for the first. A root that reaches a damaged directory is an error, and then
    /// nothing is removed: nobody can tell what that directory kept.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport> {
        reclaim(&self.folders)?;
        let collecting = self
            .folders
            .lock_collecting(FlockOperation::LockExclusive)?;
        let mut work = Work::survey(self, options)?;
        if !options.dry_run {
            work.remove()?;
            kept::collect(self)?;
            self.remove_leftovers()?;
        }
        drop(collecting);
        if !options.dry_run {
            reclaim(&self.folders)?;
        }
        Ok(work.report)
    }

    /// Memos beyond the newest, and files that processes left which died while moving them into place.
    fn remove_leftovers(&self) -> Result<()> {
        let gate = Exclusive::take(&self.folders)?;
        for folder in [&self.folders.memo, &self.folders.roots] {
            for entry in folder.names()? {
                if let Some(name) = utf8(&entry.name).filter(|name| name.starts_with('.')) {
                    folder.unlink(name)?;
                }
            }
        }
        let mut memos = list(&self.folders.memo, false)?.files;
        memos.sort_by_key(|memo| std::cmp::Reverse(memo.stat.st_mtime));
        for memo in memos.iter().skip(MEMOS) {
            self.folders
                .memo
                .unlink(ShardPath::new(&memo.digest.hex(), "").as_str())?;
        }
        drop(gate);
        Ok(())
    }
}

impl Work<'_> {
    fn remove(&mut self) -> Result<()> {
        let folders: &Folders = &self.store.folders;
        let steps = std::mem::take(&mut self.steps);
        self.batches(&steps, |work, key| {
            if work.stays(key)? {
                work.report.traces -= 1;
                return Ok(());
            }
            folders.traces.unlink(trace_path(key).as_str())
        })?;
        for root in std::mem::take(&mut self.report.gone) {
            let gate = Exclusive::take(folders)?;
            if self.store.forget(&root)? {
                self.report.gone.push(root);
            }
            drop(gate);
        }
        self.remove_trees()?;
        for generation in std::mem::take(&mut self.dirs) {
            self.sync()?;
            self.batches(&generation, |work, digest| {
                work.remove_object(Key {
                    kind: Kind::Dir,
                    digest: *digest,
                })
            })?;
        }
        self.sync()?;
        let blobs = std::mem::take(&mut self.blobs);
        self.batches(&blobs, |work, key| work.remove_object(*key))
    }

    /// What was unlinked stays unlinked, before anything that it named is.
    fn sync(&self) -> Result<()> {
        self.store.folders.root.sync_all()
    }

    /// Removes in batches, each behind the gate and after another look at roots and leases.
    fn batches<T>(
        &mut self,
        all: &[T],
        mut remove: impl FnMut(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        for batch in all.chunks(BATCH) {
            let gate = Exclusive::take(&self.store.folders)?;
            self.look_again()?;
            for one in batch {
                remove(self, one)?;
            }
            drop(gate);
        }
        Ok(())
    }

    fn look_again(&mut self) -> Result<()> {
        self.reach_leases()?;
        for (root, alive) in self.store.roots()? {
            let known = self.reached.dirs.contains(&root.tree.digest)
                && root
                    .steps
                    .iter()
                    .all(|step| self.reached.steps.contains(step));
            if alive && !known {
                let own = self.reach_root(&root)?;
                self.reached.extend(&own);
            }
        }
        Ok(())
    }

    fn remove_object(&mut self, key: Key) -> Result<()> {
        let size = self.sizes.get(&key).copied().unwrap_or(0);
        if self.reached.has(Child {
            is_dir: key.kind == Kind::Dir,
            digest: key.digest,
        }) {
            // Somebody has come to rely on it since.
            self.report.removed.files -= 1;
            self.report.removed.bytes -= size;
            self.report.kept.add(size);
            return Ok(());
        }
        self.store.folders.of(key.kind).unlink(key.path().as_str())
    }

    /// A tree vanishes in one step, and is taken apart where nobody looks.
    fn remove_trees(&mut self) -> Result<()> {
        let trees = std::mem::take(&mut self.trees);
        if trees.is_empty() {
            return Ok(());
        }
        let session = self.store.session()?;
        let folders: &Folders = &self.store.folders;
        self.batches(&trees, |work, digest| {
            if work.reached.dirs.contains(digest) {
                work.report.trees -= 1;
                return Ok(());
            }
            session.staging.take_from(&folders.trees, &digest.hex())
        })?;
        drop(session);
        Ok(())
    }
}

/// The gate, closed to sessions.
pub(crate) struct Exclusive {
    _file: File,
}

impl Exclusive {
    pub(crate) fn take(folders: &Folders) -> Result<Exclusive> {
        let locked = |e| folders.root.error("lock", GATE, e);
        let file = folders.root.open_lock(GATE).map_err(locked)?;
        retry_on_intr(|| flock(&file, FlockOperation::LockExclusive)).map_err(locked)?;
        Ok(Exclusive { _file: file })
    }
}
