//! The inner side of a sandbox: what our executable does when it is started again as a zygote, and in
//! the processes that are forked from it. Begin at [`helper_main_if_asked`]; then `zygote.rs`,
//! `first.rs`, `root.rs`, `program.rs` in that order.
//!
//! Everything here runs in processes with one thread, so forking is harmless. What goes wrong is
//! said over the socket, never on a terminal.

mod apart;
mod dev;
mod emulator;
mod filter;
mod first;
mod kernel;
mod mounts;
mod networks;
mod program;
mod root;
mod walls;
mod zygote;

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::spec::Spec;
use super::wire::Message;

pub(super) use zygote::Reply;

/// The first argument that asks for the zygote.
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
        kernel::leave(zygote_main());
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

    fn again(&self) -> Result<Control, Errno> {
        self.0.try_clone().map(Control).map_err(|e| errno(&e))
    }
}

/// The life of the zygote, and of all that it forks. Gives the zygote's exit code, which is 0 unless
/// somebody disturbed it.
fn zygote_main() -> i32 {
    kernel::close_all_but_stdio();
    // It keeps no directory of the host busy, and what is made does not depend on the caller.
    let _ = rustix::process::chdir("/");
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    // Root can shed the groups it came with. An ordinary user cannot; they show as 65534 inside.
    let _ = rustix::thread::set_thread_groups(&[]);
    // A copy above 2, for the program's own descriptors will be put at 0 to 2.
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3);
    let socket = socket.and_then(|socket| take_stdin_away().map(|()| socket));
    match socket.and_then(zygote::serve) {
        Ok(code) => code,
        Err(_) => {
            eprintln!("`{HELPER_ARGUMENT}` is for this program itself; nobody else can use it");
            2
        }
    }
}

/// Or every sandbox would hold the zygote's socket open there.
fn take_stdin_away() -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let nothing = rustix::fs::open("/dev/null", flags, Mode::empty())?;
    rustix::stdio::dup2_stdin(nothing)
}

fn write(path: &str, text: &str) -> Result<(), Errno> {
    std::fs::write(path, text).map_err(|e| errno(&e))
}

/// The system's number of an error of the standard library.
fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
