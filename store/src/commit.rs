//! Staged → published: durable, then named, then traced. Begin at [`Session::commit`].
//!
//! The order is what makes "there" mean "durable": the bytes of all staged files are synced, then
//! the files are moved to their final names, the names are synced, and only then do the traces that
//! speak of them get theirs. A name that is taken stays as it is: equal names hold equal bytes.
//!
//! Few files are synced one by one; for many, one sync of the whole file system is far cheaper
//! (measured on ext4: 0.15 ms for each file against 80 ms for 7,000 of them). After a failed sync
//! the kernel may hold pages that look clean and are not on disk, so nothing is tried again: what was
//! staged is thrown away and the session says so from then on.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use crate::disk::{Dir, Placed};
use crate::error::{Result, StoreError};
use crate::layout::{Key, Kind};
use crate::lease::{Kept, locked};
use crate::session::{Pending, Place, Session, staged_name};
use crate::trace::Trace;
use crate::traces::{Recorded, compare, trace_path};

/// Up to so many files or directories are synced one by one.
const FEW: usize = 8;

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// How many files of objects were published by this commit, not by somebody else before it.
    pub objects: u64,
    /// How many traces were published.
    pub traces: u64,
    /// Steps for which somebody else published other outputs first. Theirs stay.
    pub differences: Vec<Difference>,
}

/// One step, two results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The trace that stays.
    pub first: Trace,
    /// The one that came too late.
    pub second: Trace,
}

impl Session {
    /// Makes all that was put and recorded so far durable and visible to everybody. Other threads may go
    /// on putting; what they put meanwhile belongs to the next commit.
    ///
    /// After an error nothing of this session is published any more: see [`StoreError::Poisoned`].
    pub fn commit(&self) -> Result<Committed> {
        let _one_at_a_time = locked(&self.committing);
        if self.poisoned.load(Ordering::Acquire) {
            return Err(StoreError::Poisoned);
        }
        let pending = std::mem::take(&mut *locked(&self.pending));
        if pending.objects.is_empty() && pending.traces.is_empty() {
            return Ok(Committed::default());
        }
        self.publish(&pending)
            .inspect_err(|_| self.discard(&pending))
    }

    fn publish(&self, pending: &Pending) -> Result<Committed> {
        let traces = self.stage_traces(&pending.traces)?;
        let files: Vec<u64> = pending
            .objects
            .iter()
            .map(|(_, number)| *number)
            .chain(traces.iter().copied())
            .collect();
        self.sync_files(&files)?;
        let mut done = Committed {
            objects: self.name_objects(&pending.objects)?,
            ..Committed::default()
        };
        self.sync_names(&pending.objects)?;
        self.name_traces(&pending.traces, &traces, &mut done)?;
        Ok(done)
    }

    fn stage_traces(&self, traces: &[Trace]) -> Result<Vec<u64>> {
        use std::io::Write;

        let write = |trace: &Trace| {
            let bytes = trace.encode()?;
            let (number, mut file) = self.stage(0o444)?;
            file.write_all(&bytes)
                .map_err(|e| self.staging.error("write", &staged_name(number), e))?;
            Ok(number)
        };
        traces.iter().map(write).collect()
    }

    fn sync_files(&self, numbers: &[u64]) -> Result<()> {
        if numbers.len() > FEW && syncfs_tells_errors() {
            return self.syncing.sync_all();
        }
        for number in numbers {
            let name = staged_name(*number);
            let Some(file) = self.staging.open_file(&name)? else {
                return Err(StoreError::corrupt(
                    self.staging.path().join(name),
                    "it vanished from the staging folder",
                ));
            };
            file.sync_all()
                .map_err(|e| self.staging.error("sync", &name, e))?;
        }
        Ok(())
    }

    /// Blobs come first and trees in the order they were put, which is children before parents: so
    /// even a process that dies in the midst of it leaves no tree without what it names.
    fn name_objects(&self, objects: &[(Key, u64)]) -> Result<u64> {
        if objects.is_empty() {
            return Ok(0);
        }
        let inside = self.enter()?;
        self.keep(
            &objects
                .iter()
                .map(|(key, _)| Kept::Object(*key))
                .collect::<Vec<_>>(),
        )?;
        let mut new = 0;
        let is_dir = |object: &&(Key, u64)| object.0.kind == Kind::Dir;
        let blobs = objects.iter().filter(|object| !is_dir(object));
        for (key, number) in blobs.chain(objects.iter().filter(is_dir)) {
            let to = self.folders().of(key.kind);
            match self
                .staging
                .place(&staged_name(*number), to, key.path().as_str())?
            {
                Placed::New => new += 1,
                Placed::Taken => self.unstage(*number)?,
            }
            locked(self.shard(key)).insert(*key, Place::Published);
        }
        drop(inside);
        Ok(new)
    }

    fn sync_names(&self, objects: &[(Key, u64)]) -> Result<()> {
        let touched = objects
            .iter()
            .map(|(key, _)| (key.kind == Kind::Dir, key.path().as_str()[..2].to_owned()));
        let touched: BTreeSet<_> = touched.collect();
        let dir = |is_dir: bool| {
            self.folders()
                .of(if is_dir { Kind::Dir } else { Kind::Plain })
        };
        self.sync_shards(
            touched
                .iter()
                .map(|(is_dir, shard)| (dir(*is_dir), shard.as_str()))
                .collect(),
        )
    }

    fn sync_shards(&self, shards: Vec<(&Dir, &str)>) -> Result<()> {
        if shards.len() > FEW && syncfs_tells_errors() {
            return self.syncing.sync_all();
        }
        for (folder, shard) in &shards {
            folder.sub(shard)?.sync()?;
        }
        for folder in shards.iter().map(|(folder, _)| *folder) {
            folder.sync()?;
        }
        Ok(())
    }

    fn name_traces(&self, traces: &[Trace], numbers: &[u64], done: &mut Committed) -> Result<()> {
        if traces.is_empty() {
            return Ok(());
        }
        let folder = &self.folders().traces;
        let inside = self.enter()?;
        self.keep(
            &traces
                .iter()
                .map(|trace| Kept::Step(trace.key))
                .collect::<Vec<_>>(),
        )?;
        for (trace, number) in traces.iter().zip(numbers) {
            let (from, path) = (staged_name(*number), trace_path(&trace.key));
            if self.staging.place(&from, folder, path.as_str())? == Placed::New {
                done.traces += 1;
                continue;
            }
            match self.store.find(&trace.key)? {
                // Its outputs are gone, or it is damaged: it is as good as absent.
                None => {
                    self.staging.replace(&from, folder, path.as_str())?;
                    done.traces += 1;
                }
                Some(first) => {
                    self.unstage(*number)?;
                    if let Recorded::Differs { first } = compare(trace, first) {
                        locked(&self.traces).insert(trace.key, (*first).clone());
                        done.differences.push(Difference {
                            first: *first,
                            second: trace.clone(),
                        });
                    }
                }
            }
        }
        drop(inside);
        let shards: BTreeSet<String> = traces
            .iter()
            .map(|trace| trace.key.0.hex()[..2].to_owned())
            .collect();
        self.sync_shards(
            shards
                .iter()
                .map(|shard| (folder, shard.as_str()))
                .collect(),
        )
    }

    /// Forgets a batch whose sync or move failed, and all that is still staged.
    fn discard(&self, pending: &Pending) {
        self.poisoned.store(true, Ordering::Release);
        let later = std::mem::take(&mut *locked(&self.pending));
        for (key, number) in pending.objects.iter().chain(&later.objects) {
            let mut known = locked(self.shard(key));
            if known.get(key) == Some(&Place::Staged(*number)) {
                known.remove(key);
            }
            drop(known);
            let _ = self.unstage(*number);
        }
        for trace in pending.traces.iter().chain(&later.traces) {
            locked(&self.traces).remove(&trace.key);
        }
    }
}

/// Since Linux 5.8 `syncfs` tells of write errors; before, only `fsync` did.
fn syncfs_tells_errors() -> bool {
    static TELLS: OnceLock<bool> = OnceLock::new();
    *TELLS.get_or_init(|| {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map(|part| part.parse::<u32>().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 8)
    })
}
