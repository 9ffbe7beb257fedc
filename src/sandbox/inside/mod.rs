//! The inner side of a sandbox: what our executable does when it is started again as a helper.
//! Begin at [`helper_main_if_asked`]; then `first.rs`, `root.rs`, `program.rs` in that order.
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

use std::fs::File;
use std::io::{Read, Seek};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

use super::spec::{Root, Spec};
use super::wire::{Failure, Message, Stage};

/// The first argument that asks for the helper.
pub(super) const HELPER_ARGUMENT: &str = "__sandbox";

/// Turns this process into a sandbox's helper if it was started as one, and then never returns.
/// A program that uses [`super::Sandbox`] calls it before anything else in `main`. Helper or not,
/// it hears of the deaths of its children from then on, whatever it inherited.
pub fn helper_main_if_asked() {
    kernel::hear_of_deaths();
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == HELPER_ARGUMENT)
    {
        std::process::exit(helper_main());
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

/// Receives orders, carries them out, and ends after the last process of the sandbox. Its exit
/// code is 0 unless that was disturbed from outside.
fn helper_main() -> i32 {
    kernel::close_all_but_stdio();
    let orders = match receive_orders() {
        Ok(orders) => orders,
        Err(_) => {
            eprintln!("`{HELPER_ARGUMENT}` is for this program itself; nobody else can use it");
            return 2;
        }
    };
    // It keeps no directory of the host busy, and what it makes does not depend on the caller.
    let _ = rustix::process::chdir("/");
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let control = match orders.control.0.try_clone() {
        Ok(clone) => Control(clone),
        Err(_) => return 1,
    };
    match carry_out(orders) {
        Ok(code) => code,
        Err(failure) => {
            control.tell(&Message::Failed(failure));
            0
        }
    }
}

fn carry_out(mut orders: Orders) -> Result<i32, Failure> {
    if orders.spec.root == Root::Host {
        return first::without_namespaces(orders);
    }
    if orders.spec.apart && rustix::process::geteuid().is_root() {
        orders.sources = apart::prepare(&orders.spec)?;
    }
    make_namespaces(&orders.spec, orders.sources.is_some())
        .map_err(|e| Failure::new(Stage::Namespaces, "making namespaces", e))?;
    match kernel::fork().map_err(|e| Failure::new(Stage::System, "forking", e))? {
        None => std::process::exit(first::in_namespaces(orders)),
        Some(first) => {
            drop(orders.stdio);
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

fn make_namespaces(spec: &Spec, apart: bool) -> Result<(), Errno> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    // Root can shed the groups it came with. An ordinary user cannot; they show as 65534 inside.
    let _ = rustix::thread::set_thread_groups(&[]);
    let mut flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    flags.set(UnshareFlags::NEWNET, !spec.network);
    let inside = spec.identity.number();
    if apart {
        return apart::unshare(flags, inside);
    }
    kernel::unshare(flags)?;
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

fn receive_orders() -> Result<Orders, Errno> {
    // A copy above 2, for the program's own descriptors will be put at 0 to 2.
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut data = [0; 16];
    let mut slices = [std::io::IoSliceMut::new(&mut data)];
    rustix::net::recvmsg(
        control.as_fd(),
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
        control: Control(control),
        sources: None,
    })
}
