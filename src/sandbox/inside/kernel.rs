//! The few calls of the kernel that no crate offers as safe functions. Each is sound because the
//! zygote and all that is forked from it have one thread: see [`super`].
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::libc;
use nix::sched::CloneFlags;
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

/// Forks a child of our parent, who waits for it, into new namespaces. `None` in the child.
pub(super) fn fork_beside(namespaces: UnshareFlags) -> Result<Option<Pid>, Errno> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD | namespaces.bits() as libc::c_int;
    // SAFETY: as for `fork`. No memory is shared, and without a stack of its own the child goes on with
    // its copy of ours. All the other arguments are zero, so their order does not matter.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    let pid = nix::errno::Errno::result(pid).map_err(from_nix)?;
    Ok(i32::try_from(pid).ok().and_then(Pid::from_raw))
}

/// Starts a process that uses our memory, and stands still until it executes another program or ends:
/// nothing is copied that would be thrown away. `life` is its life until then, and gives its exit code.
pub(super) fn lend_memory(life: &mut dyn FnMut() -> i32) -> Result<Pid, Errno> {
    /// Bytes. What is not used is never touched.
    const STACK: usize = 512 << 10;
    let mut stack = vec![0; STACK];
    let life = Box::new(|| life() as isize);
    let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
    // SAFETY: this process has one thread, and it does not run while the new one has its memory; the
    // new one has a stack of its own, and comes back to nobody.
    let pid = unsafe { nix::sched::clone(life, &mut stack, flags, Some(libc::SIGCHLD)) };
    // We are about to wait for the end: to give it back costs more than to keep it.
    std::mem::forget(stack);
    Pid::from_raw(pid.map_err(from_nix)?.as_raw()).ok_or(Errno::SRCH)
}

/// Ends this process at once. What it has is not dropped, and nothing that waits for an orderly end runs: all of
/// it would be done in copies of the zygote's memory that are made for that alone.
pub(super) fn leave(code: i32) -> ! {
    // SAFETY: it ends the process, whatever state it is in.
    unsafe { libc::_exit(code) }
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
    set(at, attributes, 0, below)
}

/// Shows the owners of a mount that lies nowhere yet, and of all below it, as `users` maps them.
pub(super) fn map_owners(at: BorrowedFd<'_>, users: BorrowedFd<'_>) -> Result<(), Errno> {
    let users = users.as_raw_fd() as u64;
    set(at, libc::MOUNT_ATTR_IDMAP, users, true)
}

fn set(at: BorrowedFd<'_>, attributes: u64, users: u64, below: bool) -> Result<(), Errno> {
    let change = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users,
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

/// Puts `program` before every system call of this process from now on.
pub(super) fn filter_calls(program: &mut [libc::sock_filter]) -> Result<(), Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        filter: program.as_mut_ptr(),
    };
    // Without the flag, older kernels make every program of the sandbox slower.
    for flags in [libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0] {
        // SAFETY: the structure and the instructions it points to outlive the call, which copies them.
        let done = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        match nix::errno::Errno::result(done).map_err(from_nix) {
            Err(Errno::INVAL) if flags != 0 => {}
            other => return other.map(drop),
        }
    }
    Err(Errno::INVAL)
}

/// The version of Landlock that the kernel has.
pub(super) fn landlock_version() -> Result<i64, Errno> {
    // SAFETY: with this flag (1) the kernel wants no structure.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    nix::errno::Errno::result(version).map_err(from_nix)
}

/// A set that forbids the accesses `handled`, but for what is added to it.
pub(super) fn landlock_rules(handled: u64) -> Result<OwnedFd, Errno> {
    let size = size_of::<u64>();
    // SAFETY: the first field of the structure is all that this size tells of.
    let made = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const handled,
            size,
            0,
        )
    };
    let fd = nix::errno::Errno::result(made).map_err(from_nix)?;
    // SAFETY: the descriptor was made by this call and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Allows `accesses` below an open directory, or on an open file.
pub(super) fn landlock_allow(
    rules: BorrowedFd<'_>,
    place: BorrowedFd<'_>,
    accesses: u64,
) -> Result<(), Errno> {
    #[repr(C, packed)]
    struct PathBeneath {
        allowed: u64,
        parent: i32,
    }
    let rule = PathBeneath {
        allowed: accesses,
        parent: place.as_raw_fd(),
    };
    // SAFETY: rule type 1 has this structure, which outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            rules.as_raw_fd(),
            1,
            &raw const rule,
            0,
        )
    };
    nix::errno::Errno::result(done).map(drop).map_err(from_nix)
}

/// Puts this process and all it starts under the rules.
pub(super) fn landlock_enter(rules: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointer is passed.
    let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) };
    nix::errno::Errno::result(done).map(drop).map_err(from_nix)
}
