//! Ctrl-C → nothing half-done is left, and one line says so. Begin at [`watch`].
//!
//! Threads in the middle of their work cannot be asked to tidy up. So a thread of its own waits for the signal and
//! then puts a small program in the place of this process: this one again, started as a cleaner.
//! The kernel ends all other threads, closes every file (with that the leases end, and every
//! sandbox), and the cleaner removes what is left. Its process number and exit code are ours.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::{SigSet, Signal};
use recipe_store::Store;

use super::exit;

/// The first argument of the cleaner: not a command that anybody types.
const CLEANER: &str = "recipe:clean-up";

/// Files that are being written aside, outside of the store, and folders that do not last: those end in
/// a slash.
static UNFINISHED: Mutex<Vec<Utf8PathBuf>> = Mutex::new(Vec::new());

/// The signals that are waited for, and that reach nobody else in this process.
static WATCHED: Mutex<Vec<Signal>> = Mutex::new(Vec::new());

/// A file, or a folder whose path ends in a slash, that is removed when the run is interrupted, for as long
/// as this lives.
pub(super) struct Unfinished(Utf8PathBuf);

impl Unfinished {
    pub(super) fn new(path: &Utf8Path) -> Unfinished {
        let path = super::config::here().join(path);
        unfinished(|all| all.push(path.clone()));
        Unfinished(path)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished(|all| all.retain(|path| *path != self.0));
    }
}

/// A folder for files that do not last; it goes when this is dropped, and when the run is interrupted.
pub(super) struct Passing {
    path: Utf8PathBuf,
    _unfinished: Unfinished,
}

impl Passing {
    /// A new folder below `folder`, readable by all.
    pub(super) fn below(folder: &Utf8Path) -> std::io::Result<Passing> {
        let random = RandomState::new().build_hasher().finish();
        let path = folder.join(format!("recipe-test-{random:016x}"));
        // Before it is there: an interrupt in between would leave it.
        let unfinished = Unfinished::new(&path.join(""));
        DirBuilder::new().mode(0o755).create(&path)?;
        Ok(Passing {
            path,
            _unfinished: unfinished,
        })
    }

    pub(super) fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // A folder that stays is no reason to lose a result.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn unfinished<T>(with: impl FnOnce(&mut Vec<Utf8PathBuf>) -> T) -> T {
    with(&mut UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// From now on SIGINT and SIGTERM end the process tidily. Before any other thread is started, as
/// those inherit that they do not hear the signals.
pub(super) fn watch(store: &Utf8Path) {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // What the caller ignores (`nohup`, a job in the background) stays ignored.
        if !is_ignored(signal) {
            signals.add(signal);
        }
    }
    if signals.iter().next().is_none() || signals.thread_block().is_err() {
        return;
    }
    *watched() = signals.iter().collect();
    let store = store.to_owned();
    let waits = std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if let Ok(signal) = signals.wait() {
                clean_up(signal, &store);
            }
        });
    if waits.is_err() {
        // Then signals do what they always do.
        let _ = signals.thread_unblock();
    }
}

fn watched() -> std::sync::MutexGuard<'static, Vec<Signal>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Signals do what they always do: for a program that takes the place of this process, which would
/// inherit that it does not hear them.
pub(super) fn unwatch() {
    let signals: SigSet = watched().drain(..).collect();
    // It fails for no set that was made of signals.
    let _ = signals.thread_unblock();
}

fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal as i32 - 1)) != 0)
}

/// Becomes the cleaner.
fn clean_up(signal: Signal, store: &Utf8Path) -> ! {
    let code = match signal {
        Signal::SIGTERM => exit::TERMINATED,
        _ => exit::INTERRUPTED,
    };
    let mut args: Vec<OsString> = vec![CLEANER.into(), code.to_string().into(), store.into()];
    unfinished(|all| args.extend(all.iter().map(Into::into)));
    // It comes back only where the program's file is gone: the next session tidies up then.
    let _ = crate::sandbox::replace(Utf8Path::new("/proc/self/exe"), &args);
    std::process::exit(code.into())
}

/// Removes what was registered. It may have got its name in the last moment.
fn remove(path: &str) {
    if !path.ends_with('/') {
        let _ = std::fs::remove_file(path);
        return;
    }
    // Programs that ran there are being killed, and may still have written something.
    for _ in 0..100 {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => return,
        }
    }
}

/// In the cleaner, does its work and ends; else does nothing.
pub(super) fn clean_if_asked() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() != Some(CLEANER) {
        return;
    }
    let code = args.next().and_then(|code| code.parse().ok());
    if let Some(store) = args.next().map(Utf8PathBuf::from)
        && store.join("version").exists()
        && let Ok(store) = Store::open(&store)
    {
        // Beginning a session removes what dead ones have left, and ending it leaves nothing.
        drop(store.session());
    }
    for path in args {
        remove(&path);
    }
    let mut err = std::io::stderr();
    let over_the_bar = if err.is_terminal() { "\r\x1b[2K" } else { "" };
    // Nobody is left to tell if the terminal is gone.
    let _ = writeln!(
        err,
        "{over_the_bar}interrupted: nothing is left half done, run the same command again"
    );
    std::process::exit(code.unwrap_or(exit::INTERRUPTED).into())
}
