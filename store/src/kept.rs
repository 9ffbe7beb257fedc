//! What a step that failed has left → a folder that stays for whoever wants to look into it. Begin at
//! [`Scratch::keep`], then [`Store::kept`].
//!
//! It is nobody's result: no object, no root, nothing that `verify` reads. The newest few stay; a
//! collection takes all of them, but for those that somebody is in.

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock, fstat};
use rustix::io::retry_on_intr;

use crate::checkout::Scratch;
use crate::digest::{Digest, StepKey};
use crate::disk::{Dir, Placed, utf8};
use crate::error::Result;
use crate::layout::{Folders, Store};
use crate::survey::Amount;

/// So many stay.
const MOST: usize = 8;

/// A kept folder, which stays for as long as this lives.
#[derive(Debug)]
pub struct Kept {
    path: Utf8PathBuf,
    _lock: Dir,
}

impl Kept {
    /// Where it is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Scratch {
    /// Leaves the folder in the store as what `step` has left, in the place of what an earlier try left.
    /// Where somebody is in that one, it stays and this is dropped.
    pub fn keep(self, step: &StepKey) -> Result<()> {
        let folders = &self.folders;
        let name = step.0.hex();
        if !remove(folders, &self.staging, &name)? {
            return Ok(());
        }
        match self.staging.place(&self.name, &folders.kept, &name)? {
            Placed::New => prune(folders, &self.staging, &name),
            // Another process did the same at the same time.
            Placed::Taken => Ok(()),
        }
    }
}

impl Store {
    /// What the last try of `step` has left, if it failed and that is still there.
    pub fn kept(&self, step: &StepKey) -> Result<Option<Kept>> {
        let kept = &self.folders.kept;
        let name = step.0.hex();
        let Ok(folder) = kept.try_sub(&name) else {
            return Ok(None);
        };
        retry_on_intr(|| flock(&folder, FlockOperation::LockShared))
            .map_err(|e| kept.error("lock", &name, e))?;
        // It may have been removed before it was locked.
        Ok(kept.has(&name)?.then(|| Kept {
            path: kept.path().join(&*name),
            _lock: folder,
        }))
    }
}

/// Removes the folder of that name, and tells whether it could: nobody is in it.
fn remove(folders: &Folders, staging: &Dir, name: &str) -> Result<bool> {
    let Ok(folder) = folders.kept.try_sub(name) else {
        return Ok(true);
    };
    if retry_on_intr(|| flock(&folder, FlockOperation::NonBlockingLockExclusive)).is_err() {
        return Ok(false);
    }
    staging.take_from(&folders.kept, name)?;
    staging.remove_all(name.as_bytes())?;
    Ok(true)
}

/// All kept folders, the newest first.
fn all(folders: &Folders) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in folders.kept.names()? {
        let Some(name) = utf8(&entry.name).filter(|name| name.parse::<Digest>().is_ok()) else {
            continue;
        };
        let Ok(folder) = folders.kept.try_sub(name) else {
            continue;
        };
        if let Ok(stat) = fstat(&folder) {
            all.push((stat.st_mtime, stat.st_mtime_nsec, name.to_owned()));
        }
    }
    all.sort_unstable();
    Ok(all.into_iter().rev().map(|(_, _, name)| name).collect())
}

/// Removes the oldest, but never `new`.
fn prune(folders: &Folders, staging: &Dir, new: &str) -> Result<()> {
    let others = all(folders)?.into_iter().filter(|name| name != new);
    for name in others.skip(MOST - 1) {
        remove(folders, staging, &name)?;
    }
    Ok(())
}

/// What all kept folders hold.
pub(crate) fn survey(folders: &Folders) -> Result<Amount> {
    let mut amount = Amount::default();
    let mut open: Vec<Utf8PathBuf> = Vec::new();
    for name in all(folders)? {
        open.push(folders.kept.path().join(name));
    }
    while let Some(folder) = open.pop() {
        // What a build left may be closed to its owner, and is gone when somebody removes it.
        for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(about) if about.is_dir() => open.push(entry.into_path()),
                Ok(about) => amount.add(about.len()),
                Err(_) => {}
            }
        }
    }
    Ok(amount)
}

/// Removes all of them that nobody is in.
pub(crate) fn collect(store: &Store) -> Result<()> {
    let all = all(&store.folders)?;
    if all.is_empty() {
        return Ok(());
    }
    let session = store.session()?;
    for name in all {
        remove(&store.folders, &session.staging, &name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::survey::GcOptions;
    use crate::test_support;

    fn leave(store: &Store, step: &StepKey, text: &str) {
        let session = store.session().unwrap();
        let scratch = session.scratch().unwrap();
        std::fs::write(scratch.path().join("left"), text).unwrap();
        scratch.keep(step).unwrap();
    }

    fn left(store: &Store, step: &StepKey) -> Option<String> {
        let kept = store.kept(step).unwrap()?;
        Some(std::fs::read_to_string(kept.path().join("left")).unwrap())
    }

    #[test]
    fn what_was_left_outlives_its_session_and_gives_way_to_what_is_left_next() {
        let home = test_support::Scratch::new();
        let store = home.store();
        let step = StepKey::of(b"step");
        assert_eq!(left(&store, &step), None);
        leave(&store, &step, "first");
        leave(&store, &step, "second");
        assert_eq!(left(&store, &step).as_deref(), Some("second"));
        assert!(store.verify().unwrap().findings.is_empty());
    }

    #[test]
    fn only_the_newest_stay() {
        let home = test_support::Scratch::new();
        let store = home.store();
        let steps: Vec<StepKey> = (0..12_u8).map(|n| StepKey::of(&[n])).collect();
        for step in &steps {
            leave(&store, step, "x");
        }
        let there = steps.iter().filter(|step| left(&store, step).is_some());
        assert_eq!(there.count(), MOST);
        assert!(left(&store, &steps[11]).is_some());
    }

    #[test]
    fn a_collection_takes_what_nobody_is_in() {
        let home = test_support::Scratch::new();
        let store = home.store();
        let (one, two) = (StepKey::of(b"1"), StepKey::of(b"2"));
        leave(&store, &one, "12345");
        leave(&store, &two, "123");
        let inside = store.kept(&one).unwrap();
        let report = store.gc(&GcOptions::default()).unwrap();
        assert_eq!((report.left.files, report.left.bytes), (2, 8));
        assert!(left(&store, &one).is_some());
        assert!(left(&store, &two).is_none());
        // Not taken from under whoever is in it by the next failure either.
        leave(&store, &one, "new");
        assert_eq!(left(&store, &one).as_deref(), Some("12345"));
        drop(inside);
        store.gc(&GcOptions::default()).unwrap();
        assert!(left(&store, &one).is_none());
    }
}
