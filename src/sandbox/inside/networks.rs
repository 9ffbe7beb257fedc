//! Network namespaces without a network, used again when the sandbox that had one is gone. Begin at
//! [`Networks::fork`].
//!
//! To make one and to tear it down was a sixth of all that a sandbox costs processors, half of it after the
//! last process was gone. Nothing that a program
//! without capabilities can do to one outlasts its processes: sockets go with them, and devices,
//! addresses and rules are not its to change. No two sandboxes have the same one at once, since
//! programs could talk over its abstract sockets.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::apart::Forked;
use super::kernel;

/// Those that were made, and the way back to the host's.
pub(super) struct Networks {
    host: OwnedFd,
    made: Vec<Network>,
}

struct Network {
    namespace: OwnedFd,
    /// The first process of the sandbox that has it: it ends after all the others.
    holder: Option<OwnedFd>,
}

impl Network {
    fn is_free(&self) -> bool {
        let Some(holder) = &self.holder else {
            return true;
        };
        let mut fds = [PollFd::new(holder, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())) == Ok(1)
    }
}

impl Networks {
    /// For root: nobody else can enter what it has left. `None` where the kernel is too old to tell of
    /// an end.
    pub(super) fn of_root() -> Option<Networks> {
        let is_root = rustix::process::geteuid().is_root();
        let us = rustix::process::getpid();
        if !is_root || pidfd_open(us, PidfdFlags::empty()).is_err() {
            return None;
        }
        Some(Networks {
            host: current().ok()?,
            made: Vec::new(),
        })
    }

    /// Forks inside one that nobody has, and that nobody else gets while what was forked lives.
    pub(super) fn fork(
        &mut self,
        fork: impl FnOnce() -> Result<Forked, Errno>,
    ) -> Result<Forked, Errno> {
        let mut network = self.take()?;
        let forked = fork();
        if let Ok(Forked::Inside(_)) = forked {
            return forked;
        }
        enter(&self.host)?;
        if let Ok(Forked::Outside(first, _)) = &forked {
            // It can be gone already and collected by our parent: then this one is not used again.
            match pidfd_open(*first, PidfdFlags::empty()) {
                Ok(holder) => network.holder = Some(holder),
                Err(_) => return forked,
            }
        }
        self.made.push(network);
        forked
    }

    /// Enters one that nobody has.
    fn take(&mut self) -> Result<Network, Errno> {
        if let Some(which) = self.made.iter().position(Network::is_free) {
            let network = self.made.swap_remove(which);
            enter(&network.namespace)?;
            return Ok(Network {
                holder: None,
                ..network
            });
        }
        kernel::unshare(UnshareFlags::NEWNET)?;
        match current() {
            Ok(namespace) => Ok(Network {
                namespace,
                holder: None,
            }),
            Err(e) => enter(&self.host).and(Err(e)),
        }
    }
}

fn current() -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open("/proc/self/ns/net", flags, Mode::empty())
}

fn enter(namespace: &OwnedFd) -> Result<(), Errno> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
}
