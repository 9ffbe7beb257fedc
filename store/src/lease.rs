//! What a live session relies on → a file that garbage collection reads. Begin at [`Lease::keep`].
//!
//! The lease file is also the session's lock: it is held with `flock` for as long as the process
//! lives, so a dead session is one whose lease can be locked. Records are 33 bytes: a letter for the
//! kind and a digest.
//!
//! The [`Gate`] keeps collection and publication apart without a lock that lasts: sessions hold it
//! shared for the microseconds in which they look whether an object exists and note that they rely
//! on it, or move staged objects into place; collection holds it exclusively for each batch that it
//! removes.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use crate::digest::{Digest, StepKey};
use crate::disk::Dir;
use crate::error::{Result, StoreError};
use crate::layout::{Folders, Key, Kind};

/// The name of a session's lease in its staging folder.
pub(crate) const LEASE: &str = "lease";
/// The name of the gate's file in the store.
pub(crate) const GATE: &str = "gate";
/// The name of the lock that a collection holds from its beginning to its end.
const COLLECTING: &str = "collecting";
/// Length of a record in bytes.
pub(crate) const RECORD: usize = 33;

/// One thing a session relies on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kept {
    Object(Key),
    Step(StepKey),
}

/// The lease of a live session.
#[derive(Debug)]
pub(crate) struct Lease {
    file: Mutex<File>,
}

impl Lease {
    /// Takes the lease of a staging folder; `None` when another process has it.
    pub(crate) fn take(staging: &Dir) -> Result<Option<Lease>, Errno> {
        let file = staging.open_lock(LEASE)?;
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(Some(Lease {
                file: Mutex::new(file),
            })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether the lease still has a name; a folder that was reclaimed has lost it.
    pub(crate) fn is_linked(&self) -> bool {
        locked(&self.file)
            .metadata()
            .is_ok_and(|stat| stat.nlink() > 0)
    }

    /// Notes that these are relied on. To be called while the gate is held.
    pub(crate) fn keep(&self, kept: &[Kept]) -> std::io::Result<()> {
        let mut records = Vec::with_capacity(kept.len() * RECORD);
        for one in kept {
            records.push(match one {
                Kept::Object(Key {
                    kind: Kind::Plain, ..
                }) => b'b',
                Kept::Object(Key {
                    kind: Kind::Exec, ..
                }) => b'x',
                Kept::Object(Key {
                    kind: Kind::Dir, ..
                }) => b'd',
                Kept::Step(_) => b's',
            });
            records.extend_from_slice(match one {
                Kept::Object(key) => key.digest.as_bytes(),
                Kept::Step(key) => key.0.as_bytes(),
            });
        }
        locked(&self.file).write_all(&records)
    }
}

/// Reads the records of a lease; a torn last one belongs to a session that died.
pub(crate) fn read_lease(bytes: &[u8]) -> impl Iterator<Item = Kept> {
    bytes.chunks_exact(RECORD).filter_map(|record| {
        let digest = Digest::from_bytes(record[1..].try_into().ok()?);
        match record[0] {
            b'b' => Some(Kept::Object(Key {
                kind: Kind::Plain,
                digest,
            })),
            b'x' => Some(Kept::Object(Key {
                kind: Kind::Exec,
                digest,
            })),
            b'd' => Some(Kept::Object(Key {
                kind: Kind::Dir,
                digest,
            })),
            b's' => Some(Kept::Step(StepKey(digest))),
            _ => None,
        }
    })
}

impl Folders {
    /// Takes the lock of collections: exclusively to collect, shared to keep collections out.
    pub(crate) fn lock_collecting(&self, how: FlockOperation) -> Result<File> {
        let failed = |e| self.root.error("lock", COLLECTING, e);
        let file = self.root.open_lock(COLLECTING).map_err(failed)?;
        retry_on_intr(|| flock(&file, how)).map_err(failed)?;
        Ok(file)
    }

    /// Keeps collections out, unless there is one already: it has to read the leases of all sessions
    /// that lived while it went on, so they stay until it is over.
    pub(crate) fn not_collecting(&self) -> Result<Option<File>> {
        match self.lock_collecting(FlockOperation::NonBlockingLockShared) {
            Ok(file) => Ok(Some(file)),
            Err(StoreError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::WouldBlock =>
            {
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

/// The shared side of the lock between sessions and collection.
#[derive(Debug)]
pub(crate) struct Gate {
    file: File,
    inside: Mutex<usize>,
}

/// While it lives, no collection removes anything.
pub(crate) struct Inside<'a>(&'a Gate);

impl Gate {
    pub(crate) fn open(root: &Dir) -> Result<Gate> {
        let file = root
            .open_lock(GATE)
            .map_err(|e| root.error("open", GATE, e))?;
        Ok(Gate {
            file,
            inside: Mutex::new(0),
        })
    }

    /// Waits until no collection is removing a batch, and keeps the next one out.
    pub(crate) fn enter(&self) -> std::io::Result<Inside<'_>> {
        let mut inside = locked(&self.inside);
        if *inside == 0 {
            retry_on_intr(|| flock(&self.file, FlockOperation::LockShared))?;
        }
        *inside += 1;
        Ok(Inside(self))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut inside = locked(&self.0.inside);
        *inside -= 1;
        if *inside == 0 {
            // Unlocking cannot fail on a lock that is held.
            let _ = retry_on_intr(|| flock(&self.0.file, FlockOperation::Unlock));
        }
    }
}

/// Locks, whatever a thread that panicked has left: every change under these locks is one step.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
