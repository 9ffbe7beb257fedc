//! The few calls of the kernel that no crate offers as safe functions. Each is sound because the
//! helper has one thread: see [`super`].
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Forks. `None` in the child.
pub(super) fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: this process has one thread, so no lock can be held by a thread that the child lacks.
    match unsafe { nix::unistd::fork() }.map_err(from_nix)? {
        nix::unistd::ForkResult::Child => Ok(None),
        nix::unistd::ForkResult::Parent { child } => Ok(Pid::from_raw(child.as_raw())),
    }
}

/// Leaves the namespaces of our parent.
pub(super) fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: unsafe only for `CLONE_FILES`, which nobody here asks for.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Closes what a careless ancestor left open. Every descriptor that we open ourselves closes by
/// itself when the program is executed.
pub(super) fn close_all_but_stdio() {
    // SAFETY: runs first in `main`, when nothing owns a descriptor above 2.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if done == 0 {
        return;
    }
    // Linux before 5.9. The names are read before anything is closed, the directory's own too.
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // SAFETY: as above; the one that belonged to `read_dir` is closed already, which is harmless.
        unsafe { libc::close(fd) };
    }
}

/// Adds `MOUNT_ATTR_*` to the mount at `at`, and with `below` to all that lie below it. What is
/// already forbidden there stays so.
pub(super) fn restrict(at: BorrowedFd<'_>, attributes: u64, below: bool) -> Result<(), Errno> {
    let change = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if below { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, the structure has the size that is told, both outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(from_nix(nix::Error::last()))
    }
}

/// Makes the kernel tell of dead children. Whoever started us may ignore SIGCHLD, which programs
/// inherit; then the dead vanish untold, and who waits for the news waits for ever.
pub(super) fn hear_of_deaths() {
    // SAFETY: the default action runs no code of ours.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigDfl) };
}

/// Gives every signal its default action, and blocks none.
pub(super) fn reset_signals() {
    for signal in Signal::iterator() {
        // SAFETY: default actions run no code of ours. KILL and STOP refuse, which is right.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// A number of `nix` as a number of `rustix`.
pub(super) fn from_nix(error: nix::Error) -> Errno {
    Errno::from_raw_os_error(error as i32)
}
