//! The inner side of a sandbox: what our executable does when it is started again as a zygote, and what
//! the helpers do that are forked from it. Begin at [`helper_main_if_asked`]; then `zygote.rs`,
//! `first.rs`, `root.rs`, `program.rs` in that order.
//!
//! Everything here runs in processes with one thread, so forking is harmless. What goes wrong is
//! said over the socket, never on a terminal.

mod apart;
mod emulator;
mod filter;
mod first;
mod kernel;
mod program;
mod root;
mod walls;
mod zygote;

use std::fs::File;
use std::io::{Read, Seek};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

use super::spec::{Root, Spec};
use super::wire::{Failure, Message, Stage};

pub(super) use zygote::Reply;

/// The first argument that asks for the helper.
pub(super) const HELPER_ARGUMENT: &str = "__sandbox";

/// Turns this process into the zygote of a sandbox if it was started as one, and then never returns.
/// A program that uses [`super::Sandbox`] calls it before anything else in `main`. Zygote or not,
/// it hears of the deaths of its children from then on, whatever it inherited.
pub fn helper_main_if_asked() {
    kernel::hear_of_deaths();
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == HELPER_ARGUMENT)
    {
        std::process::exit(zygote_main());
    }
}

/// What the outer side handed over.
struct Orders {
    spec: Spec,
    stdio: [OwnedFd; 3],
    control: Control,
    /// What is to be shown, where it was opened as root: see `apart.rs`.
    sources: Option<root::Sources>,
}

/// The socket to the outer side. It closes when every process of ours that holds it is dead, and
/// that is how the outer side knows.
struct Control(OwnedFd);

impl Control {
    fn tell(&self, message: &Message) {
        // Nobody listens any more: then the sandbox ends anyway, see `first.rs`.
        let _ = rustix::net::send(&self.0, &message.encode(), SendFlags::NOSIGNAL);
    }
}

/// Serves until it is not needed any more. Its exit code is 0 then, and that of each helper is 0 unless
/// it was disturbed from outside.
fn zygote_main() -> i32 {
    kernel::close_all_but_stdio();
    // It keeps no directory of the host busy, and what helpers make does not depend on the caller.
    let _ = rustix::process::chdir("/");
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let owners = apart::owners();
    // A copy above 2, for the program's own descriptors will be put at 0 to 2.
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3);
    let socket = socket.and_then(|socket| take_stdin_away().map(|()| socket));
    match socket.and_then(zygote::serve) {
        Ok(None) => 0,
        Ok(Some(control)) => helper_main(Control(control), owners.as_ref()),
        Err(_) => {
            eprintln!("`{HELPER_ARGUMENT}` is for this program itself; nobody else can use it");
            2
        }
    }
}

/// Or every helper would hold the zygote's socket open there.
fn take_stdin_away() -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let nothing = rustix::fs::open("/dev/null", flags, Mode::empty())?;
    rustix::stdio::dup2_stdin(nothing)
}

/// Receives orders, carries them out, and ends after the last process of the sandbox.
fn helper_main(control: Control, owners: Option<&OwnedFd>) -> i32 {
    let _ = rustix::process::setpgid(None, None);
    let Ok(teller) = control.0.try_clone().map(Control) else {
        return 1;
    };
    let Ok(orders) = receive_orders(control) else {
        return 1;
    };
    match carry_out(orders, owners) {
        Ok(code) => code,
        Err(failure) => {
            teller.tell(&Message::Failed(failure));
            0
        }
    }
}

fn carry_out(mut orders: Orders, owners: Option<&OwnedFd>) -> Result<i32, Failure> {
    if orders.spec.root == Root::Host {
        return first::without_namespaces(orders);
    }
    if orders.spec.apart && rustix::process::geteuid().is_root() {
        orders.sources = apart::prepare(&orders.spec, owners)?;
    }
    let namespaces = namespaces(&orders.spec);
    // Root can shed the groups it came with. An ordinary user cannot; they show as 65534 inside.
    let _ = rustix::thread::set_thread_groups(&[]);
    let failed = |e| Failure::new(Stage::Namespaces, "making namespaces", e);
    if orders.sources.is_some() {
        let inside = orders.spec.identity.number();
        return match apart::fork_into(namespaces, inside).map_err(failed)? {
            apart::Forked::Inside(identity) => {
                std::process::exit(first::in_namespaces(orders, || identity.take()))
            }
            apart::Forked::Outside(first) => {
                drop(orders);
                Ok(wait_for(first))
            }
        };
    }
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    match kernel::fork_into(namespaces).map_err(failed)? {
        None => {
            let inside = orders.spec.identity.number();
            let code = first::in_namespaces(orders, || be_ourselves(inside, user, group));
            std::process::exit(code)
        }
        Some(first) => {
            drop(orders);
            Ok(wait_for(first))
        }
    }
}

/// Waiting for the first process is waiting for all: the kernel lets it go last.
fn wait_for(first: Pid) -> i32 {
    loop {
        match waitpid(Some(first), WaitOptions::empty()) {
            Ok(Some((_, status))) => return status.exit_status().unwrap_or(1),
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => return 1,
        }
    }
}

fn namespaces(spec: &Spec) -> UnshareFlags {
    let mut flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    flags.set(UnshareFlags::NEWNET, !spec.network);
    flags
}

/// In a new user namespace, for whoever may map nobody but itself.
fn be_ourselves(inside: u32, user: Uid, group: Gid) -> Result<(), Errno> {
    write("/proc/self/setgroups", "deny")?;
    write(
        "/proc/self/uid_map",
        &format!("{inside} {} 1", user.as_raw()),
    )?;
    write(
        "/proc/self/gid_map",
        &format!("{inside} {} 1", group.as_raw()),
    )
}

fn write(path: &str, text: &str) -> Result<(), Errno> {
    std::fs::write(path, text).map_err(|e| errno(&e))
}

/// The system's number of an error of the standard library.
fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn receive_orders(control: Control) -> Result<Orders, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut data = [0; 16];
    let mut slices = [std::io::IoSliceMut::new(&mut data)];
    rustix::net::recvmsg(
        control.0.as_fd(),
        &mut slices,
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    let [spec, stdin, stdout, stderr] = <[OwnedFd; 4]>::try_from(fds).map_err(|_| Errno::BADMSG)?;
    let mut spec = File::from(spec);
    let mut bytes = Vec::new();
    spec.rewind()
        .and_then(|()| spec.read_to_end(&mut bytes))
        .map_err(|e| errno(&e))?;
    let spec = Spec::decode(&bytes).ok_or(Errno::BADMSG)?;
    Ok(Orders {
        spec,
        stdio: [stdin, stdout, stderr],
        control,
        sources: None,
    })
}
