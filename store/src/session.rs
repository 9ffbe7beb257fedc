//! A [`Store`] → [`Session`]: the lease and the staging folder that everything written goes through.
//!
//! Begin at [`Store::session`]. A session may be used from many threads. It sees what it staged at once; others see it
//! when [`Session::commit`] has made it durable. What a session wrote or looked at stays until it is
//! dropped. Dropping it without a commit removes what was staged; a process that dies leaves its
//! staging folder to the next session, which knows by the lock that nobody needs it.

use std::collections::HashMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;

use crate::digest::{ObjectId, StepKey, TreeId};
use crate::disk::{Dir, utf8};
use crate::error::{Result, StoreError};
use crate::layout::{Folders, Key, Store, aside, keys_of};
use crate::lease::{Gate, Inside, Kept, LEASE, Lease, locked};
use crate::trace::Trace;

/// Staged files are spread over so many folders: threads that create files in one folder wait for
/// each other.
const SPREAD: u64 = 16;
const SHARDS: usize = 64;

/// A lease on the store and a staging folder. `Send` and `Sync`; dropped without a commit it leaves nothing.
#[derive(Debug)]
pub struct Session {
    pub(crate) store: Store,
    pub(crate) staging: Dir,
    name: String,
    pub(crate) lease: Lease,
    gate: Gate,
    /// Opened before anything is written, so that it hears of every write error since.
    pub(crate) syncing: Dir,
    /// Permission bits that the process takes from every new file.
    masked: u32,
    next: AtomicU64,
    known: [Mutex<HashMap<Key, Place>>; SHARDS],
    pub(crate) pending: Mutex<Pending>,
    pub(crate) traces: Mutex<HashMap<StepKey, Trace>>,
    /// Trees that are checked out in the staging folder, and by what name.
    pub(crate) private: Mutex<HashMap<TreeId, String>>,
    pub(crate) committing: Mutex<()>,
    pub(crate) poisoned: AtomicBool,
}

/// Where an object that this session knows lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In the staging folder, under this number.
    Staged(u64),
    /// Under its final name, and this session's lease names it.
    Published,
}

/// What the next commit publishes, in the order it was put.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) objects: Vec<(Key, u64)>,
    pub(crate) traces: Vec<Trace>,
}

impl Store {
    /// Begins a session, after clearing away what dead ones have left.
    pub fn session(&self) -> Result<Session> {
        reclaim(&self.folders)?;
        let (name, staging, lease) = loop {
            if let Some(begun) = begin(&self.folders.tmp)? {
                break begun;
            }
        };
        Ok(Session {
            gate: Gate::open(&self.folders.root)?,
            syncing: self.folders.root.again()?,
            masked: masked(&staging)?,
            store: self.clone(),
            staging,
            name,
            lease,
            next: AtomicU64::new(0),
            known: std::array::from_fn(|_| Mutex::default()),
            pending: Mutex::default(),
            traces: Mutex::default(),
            private: Mutex::default(),
            committing: Mutex::new(()),
            poisoned: AtomicBool::new(false),
        })
    }
}

/// Makes a staging folder and takes its lease; `None` when somebody reclaimed it in between.
fn begin(tmp: &Dir) -> Result<Option<(String, Dir, Lease)>> {
    let name = aside()[1..].to_owned();
    match tmp.try_make(&name, 0o700) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(None),
        Err(e) => return Err(tmp.error("make the directory", &name, e)),
    }
    let begun = || -> Result<Option<(Dir, Lease)>, Errno> {
        let staging = tmp.try_sub(&name)?;
        Ok(Lease::take(&staging)?.map(|lease| (staging, lease)))
    };
    match begun() {
        // Between making and locking it looks like a dead session's: it must still be linked.
        Ok(Some((staging, lease))) if lease.is_linked() => Ok(Some((name, staging, lease))),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(tmp.error("lock", &name, e)),
    }
}

/// Removes the staging folders of dead sessions.
pub(crate) fn reclaim(folders: &Folders) -> Result<()> {
    let Some(_held) = folders.not_collecting()? else {
        return Ok(());
    };
    for entry in folders.tmp.names()? {
        let Some(name) = utf8(&entry.name) else {
            continue;
        };
        // A folder that vanishes meanwhile was reclaimed by somebody else.
        let Ok(staging) = folders.tmp.try_sub(name) else {
            continue;
        };
        if let Ok(Some(dead)) = Lease::take(&staging) {
            staging.empty(LEASE)?;
            remove_lease(&folders.tmp, name, &staging)?;
            drop(dead);
        }
    }
    Ok(())
}

/// The lease goes last: while it is locked nobody else touches the folder.
fn remove_lease(tmp: &Dir, name: &str, staging: &Dir) -> Result<()> {
    staging.unlink(LEASE)?;
    match tmp.remove_dir(name.as_bytes()) {
        // Another process looked whether the session is dead, and now finds that it is.
        Err(StoreError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::DirectoryNotEmpty =>
        {
            Ok(())
        }
        other => other,
    }
}

/// The permission bits that new files do not get here.
fn masked(staging: &Dir) -> Result<u32> {
    let probe = staging
        .try_create("mode", 0o777)
        .map_err(|e| staging.error("create", "mode", e))?;
    let mode = probe
        .metadata()
        .map_err(|e| staging.error("look at", "mode", e))?
        .mode();
    staging.unlink("mode")?;
    Ok(!mode & 0o777)
}

impl Session {
    /// The store this session writes to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn folders(&self) -> &Folders {
        &self.store.folders
    }

    pub(crate) fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Place>> {
        &self.known[usize::from(key.digest.as_bytes()[31]) % SHARDS]
    }

    /// Where this session knows the object to be.
    pub(crate) fn place_of(&self, key: &Key) -> Option<Place> {
        locked(self.shard(key)).get(key).copied()
    }

    /// Whether the object is staged here, or published and from now on kept for this session.
    pub(crate) fn relies_on(&self, key: &Key) -> Result<bool> {
        if self.place_of(key).is_some() {
            return Ok(true);
        }
        // Without the gate this proves only absence, which is what a first build asks most.
        if !self.folders().has(key)? {
            return Ok(false);
        }
        let inside = self.enter()?;
        if !self.folders().has(key)? {
            return Ok(false);
        }
        self.keep(&[Kept::Object(*key)])?;
        drop(inside);
        locked(self.shard(key))
            .entry(*key)
            .or_insert(Place::Published);
        Ok(true)
    }

    pub(crate) fn enter(&self) -> Result<Inside<'_>> {
        self.gate
            .enter()
            .map_err(|e| StoreError::io("lock", self.folders().root.path(), e))
    }

    pub(crate) fn keep(&self, kept: &[Kept]) -> Result<()> {
        self.lease
            .keep(kept)
            .map_err(|e| self.staging.error("write", LEASE, e))
    }

    /// Whether the object is there, staged or published. What is found stays for this session.
    pub fn has(&self, id: &ObjectId) -> Result<bool> {
        for key in keys_of(id) {
            if self.relies_on(&key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps an object, and for a tree all below it, for as long as the session lives. An object that
    /// is not there is [`StoreError::Missing`].
    pub fn pin(&self, id: &ObjectId) -> Result<()> {
        if self.has(id)? {
            Ok(())
        } else {
            Err(StoreError::Missing { id: *id })
        }
    }

    /// A number for a new staged file, and its name.
    pub(crate) fn fresh(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Creates a file in the staging folder with the mode it will have for ever.
    pub(crate) fn stage(&self, mode: u32) -> Result<(u64, std::fs::File)> {
        let number = self.fresh();
        let name = staged_name(number);
        let file = match self.staging.try_create(&name, mode) {
            Err(Errno::NOENT) => {
                self.staging.make(&name[..1], 0o700)?;
                self.staging.try_create(&name, mode)
            }
            other => other,
        };
        let file = file.map_err(|e| self.staging.error("create", &name, e))?;
        if mode & self.masked != 0 {
            let set = file.set_permissions(std::fs::Permissions::from_mode(mode));
            set.map_err(|e| self.staging.error("change the mode of", &name, e))?;
        }
        Ok((number, file))
    }

    /// Whether new directories lack permissions that checked-out trees should have.
    pub(crate) fn masks(&self, mode: u32) -> bool {
        mode & self.masked != 0
    }

    pub(crate) fn unstage(&self, number: u64) -> Result<()> {
        self.staging.unlink(&staged_name(number))
    }

    /// Enters a complete staged file under its key; a second one of the same key is thrown away.
    pub(crate) fn staged(&self, key: Key, number: u64) -> Result<()> {
        let mut known = locked(self.shard(&key));
        if known.contains_key(&key) {
            drop(known);
            return self.unstage(number);
        }
        known.insert(key, Place::Staged(number));
        // Inside the lock: whoever sees the object as known may count on the next commit.
        locked(&self.pending).objects.push((key, number));
        Ok(())
    }
}

/// The name of a staged file in its session's folder.
pub(crate) fn staged_name(number: u64) -> String {
    format!("{:x}/{number}", number % SPREAD)
}

impl Session {
    fn end(&self) -> Result<()> {
        self.staging.empty(LEASE)?;
        match self.folders().not_collecting()? {
            Some(_held) => remove_lease(&self.folders().tmp, &self.name, &self.staging),
            None => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Best effort: what remains is reclaimed by the next session.
        let _ = self.end();
    }
}
