//! How much a program has written to disk, looked at while it runs. Begin at [`Watch::begin_in_time`].
//!
//! Folders are walked, since no kernel counts a folder and a quota is a setting of the whole disk. The
//! time between two looks grows with what a look costs. Another thread looks, so that output is heard
//! meanwhile.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::Shutdown;

use super::start::Started;
use super::{SandboxError, Spec};

/// Between two looks at least.
const PAUSE: Duration = Duration::from_millis(200);
/// And at most, however long a look takes.
const LONGEST: Duration = Duration::from_secs(2);
/// A look takes at most one in so many parts of the time.
const SHARE: u32 = 8;
/// What an entry costs a disk beside its content.
const ENTRY: u64 = 512;

/// The folders that are counted together, and what they may hold.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    folders: Vec<PathBuf>,
    limit: u64,
}

impl Disk {
    pub(super) fn of(spec: &Spec) -> Option<Disk> {
        let writable = spec.binds.iter().filter(|bind| bind.writable);
        Some(Disk {
            folders: writable.map(|bind| bind.host.clone().into()).collect(),
            limit: spec.limits.disk?,
        })
    }

    /// Whether there is more than may be. What cannot be read, or vanishes meanwhile, is not counted.
    fn is_over(&self) -> bool {
        let mut todo = self.folders.clone();
        let mut linked = HashSet::new();
        let mut sum = 0_u64;
        while let Some(folder) = todo.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(meta) = entry.metadata() else { continue };
                if meta.is_dir() {
                    todo.push(entry.path());
                } else if meta.nlink() > 1 && !linked.insert((meta.dev(), meta.ino())) {
                    continue;
                }
                sum = sum.saturating_add(meta.blocks() * 512 + ENTRY);
                if sum > self.limit {
                    return true;
                }
            }
        }
        false
    }
}

/// Looks, and ends the sandbox when there is too much.
pub(super) struct Watch {
    disk: Disk,
    since: Instant,
    looking: Option<Looking>,
}

struct Looking {
    over: Arc<AtomicBool>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Where the spec has a limit.
    pub(super) fn of(started: &Started) -> Option<Watch> {
        Some(Watch {
            disk: started.disk.clone()?,
            since: Instant::now(),
            looking: None,
        })
    }

    /// Until somebody has to look for the first time. Most programs end before it.
    pub(super) fn time_left(&self) -> Option<Duration> {
        match self.looking {
            Some(_) => None,
            None => Some(PAUSE.saturating_sub(self.since.elapsed())),
        }
    }

    /// Begins to look, when that time is over.
    pub(super) fn begin_in_time(&mut self, started: &Started) -> Result<(), SandboxError> {
        if self.time_left().is_none_or(|left| !left.is_zero()) {
            return Ok(());
        }
        let over = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = channel();
        let (seen, counted) = (Arc::clone(&over), self.disk.clone());
        let control: Arc<OwnedFd> = Arc::clone(&started.control);
        let look = move || {
            let mut pause = Duration::ZERO;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                if counted.is_over() {
                    seen.store(true, Ordering::Relaxed);
                    // As `Running::kill` does.
                    let _ = rustix::net::shutdown(&*control, Shutdown::Write);
                    return;
                }
                pause = (begun.elapsed() * SHARE).clamp(PAUSE, LONGEST);
            }
        };
        let thread = std::thread::Builder::new()
            .name("disk".into())
            .spawn(look)
            .map_err(|e| SandboxError::system(&started.program, "starting a thread", e))?;
        self.looking = Some(Looking { over, stop, thread });
        Ok(())
    }

    /// Looks a last time, now that nobody writes. Tells whether there was ever too much.
    pub(super) fn end(self) -> bool {
        let over = self.looking.is_some_and(|Looking { over, stop, thread }| {
            drop(stop);
            let _ = thread.join();
            over.load(Ordering::Relaxed)
        });
        over || self.disk.is_over()
    }
}
