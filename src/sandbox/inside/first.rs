//! The first process of a sandbox: makes its files, starts the program, reaps what is orphaned,
//! and exits when the program does or the outer side is gone. Begin at [`in_namespaces`].
//!
//! When the first process of a process namespace exits, the kernel kills all others in it, be
//! they daemons, sessions of their own or deaf to signals. So "nothing is left alive" needs no
//! hunt, except where there are no namespaces.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, WaitOptions, WaitStatus, kill_process, wait};

use super::{Control, Orders, emulator, kernel, program, root};
use crate::sandbox::spec::Spec;
use crate::sandbox::wire::{Failure, Message, Stage};

/// The life of the first process, which becomes somebody by `identity`. Its exit code is 0, whatever
/// became of the program.
pub(super) fn in_namespaces(orders: Orders, identity: impl FnOnce() -> Result<(), Errno>) -> ! {
    let Orders {
        spec,
        stdio,
        control,
        sources,
    } = orders;
    let emulator = match identity() {
        // Why, is said by the zygote.
        Err(Errno::CANCELED) => kernel::leave(1),
        Err(e) => Err(Failure::new(Stage::Namespaces, "making namespaces", e)),
        Ok(()) => register(&spec),
    };
    let done = match &emulator {
        Ok(_) => name_the_host(&spec)
            .and_then(|()| root::make(&spec, sources))
            .and_then(|()| hide())
            .and_then(|()| start(&spec, stdio, &control)),
        Err(failure) => Err(failure.clone()),
    };
    match done {
        Ok(program) => watch(&control, program),
        Err(failure) => control.tell(&Message::Failed(failure)),
    }
    kernel::leave(0)
}

/// While the host is in sight; the emulator is started as long as the descriptor is open.
fn register(spec: &Spec) -> Result<Option<OwnedFd>, Failure> {
    let Some(emulator) = &spec.emulator else {
        return Ok(None);
    };
    let failed = |e| {
        Failure::new(
            Stage::System,
            format!("registering {}", emulator.program),
            e,
        )
    };
    emulator::register(emulator).map(Some).map_err(failed)
}

/// The same work in the host's namespaces. Descendants are hunted down as well as can be.
pub(super) fn without_namespaces(orders: Orders) -> ! {
    let Orders {
        spec,
        stdio,
        control,
        sources: _,
    } = orders;
    // Orphans become our children, where they are found.
    let own = Some(rustix::process::getpid());
    let done = rustix::process::set_child_subreaper(own)
        .map_err(|e| system("adopting orphans", e))
        .and_then(|()| start(&spec, stdio, &control));
    match done {
        Ok(program) => {
            watch(&control, program);
            kill_descendants();
        }
        Err(failure) => control.tell(&Message::Failed(failure)),
    }
    kernel::leave(0)
}

/// The program, and the way to know of its end.
struct Program {
    pid: Pid,
    /// Becomes readable when a child has died.
    deaths: SignalFd,
}

fn start(spec: &Spec, stdio: [OwnedFd; 3], control: &Control) -> Result<Program, Failure> {
    let deaths = notice_deaths().map_err(|e| system("watching for deaths", e))?;
    let pid = kernel::lend_memory(&mut || {
        let failure = program::become_program(spec, &stdio, control);
        control.tell(&Message::Failed(failure));
        127
    });
    // Our copies of the program's descriptors end here, or its pipes would never close.
    drop(stdio);
    let pid = pid.map_err(|e| system("forking", e))?;
    control.tell(&Message::Started);
    Ok(Program { pid, deaths })
}

/// Waits until the program has ended, or nobody wants it any more.
fn watch(control: &Control, program: Program) {
    let Program { pid, deaths } = program;
    loop {
        let mut fds = [
            PollFd::new(&control.0, PollFlags::IN | PollFlags::RDHUP),
            PollFd::from_borrowed_fd(deaths.as_fd(), PollFlags::IN),
        ];
        if poll(&mut fds, None).is_err_and(|e| e != Errno::INTR) {
            return;
        }
        let [unwanted, deaths_told] = fds.map(|fd| !fd.revents().is_empty());
        if deaths_told && let Some(status) = reap(&deaths, pid) {
            return tell_end(control, status);
        }
        if unwanted {
            return;
        }
    }
}

fn tell_end(control: &Control, status: WaitStatus) {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => control.tell(&Message::Exited(code)),
        (None, Some(signal)) => control.tell(&Message::Signalled(signal)),
        (None, None) => {}
    }
}

/// Collects every dead child. Tells how the program ended if it is among them.
fn reap(deaths: &SignalFd, program: Pid) -> Option<WaitStatus> {
    while let Ok(Some(_)) = deaths.read_signal() {}
    let mut end = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == program {
            end = Some(status);
        }
    }
    end
}

fn notice_deaths() -> Result<SignalFd, Errno> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block().map_err(kernel::from_nix)?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(&mask, flags).map_err(kernel::from_nix)
}

fn name_the_host(spec: &Spec) -> Result<(), Failure> {
    rustix::system::sethostname(spec.hostname.as_bytes())
        .and_then(|()| rustix::system::setdomainname(b"(none)"))
        .map_err(|e| system("naming the host", e))
}

/// From here on the program can neither trace this process nor look at it through `/proc/1`.
fn hide() -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|e| system("hiding the first process", e))
}

/// Kills children until there are none: the death of one may hand us its own.
fn kill_descendants() {
    let own = rustix::process::getpid().as_raw_nonzero();
    let list = format!("/proc/{own}/task/{own}/children");
    loop {
        let children = std::fs::read_to_string(&list).unwrap_or_default();
        for child in children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
        {
            if let Some(pid) = Pid::from_raw(child) {
                let _ = kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn system(what: &str, errno: Errno) -> Failure {
    Failure::new(Stage::System, what, errno)
}
