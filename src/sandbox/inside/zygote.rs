//! The zygote: waits for orders, and forks the first process of a sandbox for each. Begin at [`serve`].
//!
//! What has to be done as whoever the caller is, is done before the fork: sources are opened, and a
//! number of its own is given to the new process.

use std::fs::File;
use std::io::{Read, Seek};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use super::dev::DevTree;
use super::networks::Networks;
use super::{Control, Orders, apart, first, kernel};
use crate::sandbox::spec::{Root, Spec};
use crate::sandbox::wire::{Failure, Message, Stage};

/// What the zygote answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Reply {
    /// The process id of the first process, as the zygote and its parent see it.
    Forked(Pid),
    /// There is none; why not was said to whom the orders came from.
    Refused,
}

impl Reply {
    /// Bytes of one.
    pub(in crate::sandbox) const SIZE: usize = size_of::<i32>();

    fn encode(self) -> [u8; Reply::SIZE] {
        match self {
            Reply::Forked(pid) => pid.as_raw_nonzero().get().to_ne_bytes(),
            Reply::Refused => 0_i32.to_ne_bytes(),
        }
    }

    /// `None` for what is no reply.
    pub(in crate::sandbox) fn decode(bytes: &[u8]) -> Option<Reply> {
        match i32::from_ne_bytes(bytes.try_into().ok()?) {
            0 => Some(Reply::Refused),
            number @ 1.. => Pid::from_raw(number).map(Reply::Forked),
            _ => None,
        }
    }
}

/// What this process is after a fork.
enum Side {
    Zygote(Pid),
    /// The first process of a sandbox, whose life this is.
    First(Box<dyn FnOnce() -> i32>),
}

/// Carries out orders until nobody can give any more. What it forks ends here, when its life does.
///
/// # Errors
/// When `socket` is not one to a [`super::super::Sandbox`].
pub(super) fn serve(socket: OwnedFd) -> Result<i32, Errno> {
    let mut assets = Assets {
        owners: apart::owners(),
        dev: apart::dev(),
        networks: Networks::of_root(),
    };
    while let Some(orders) = receive(&socket)? {
        let control = orders.control.again()?;
        let reply = match fork(orders, &mut assets, |message| control.tell(message)) {
            Ok(Side::First(life)) => {
                // Who holds it keeps the outer side from noticing that the zygote is gone.
                drop((socket, control));
                return Ok(life());
            }
            Ok(Side::Zygote(first)) => Reply::Forked(first),
            Err(failure) => {
                control.tell(&Message::Failed(failure));
                Reply::Refused
            }
        };
        drop(control);
        rustix::net::send(&socket, &reply.encode(), SendFlags::NOSIGNAL)?;
    }
    Ok(0)
}

/// What the zygote keeps from one sandbox to the next, where it is root.
struct Assets {
    /// See [`apart::owners`].
    owners: Option<OwnedFd>,
    /// See [`apart::dev`].
    dev: Option<DevTree>,
    networks: Option<Networks>,
}

/// `tell` says what went wrong with a process that was forked all the same.
fn fork(mut orders: Orders, assets: &mut Assets, tell: impl Fn(&Message)) -> Result<Side, Failure> {
    if orders.spec.root == Root::Host {
        let forked = kernel::fork_beside(UnshareFlags::empty());
        return match forked.map_err(|e| Failure::new(Stage::System, "forking", e))? {
            Some(first) => Ok(Side::Zygote(first)),
            None => Ok(Side::First(Box::new(|| first::without_namespaces(orders)))),
        };
    }
    if orders.spec.apart && rustix::process::geteuid().is_root() {
        orders.sources = apart::prepare(&orders.spec, assets.owners.as_ref(), assets.dev.as_ref())?;
    }
    let (mut namespaces, inside) = (namespaces(&orders.spec), orders.spec.identity.number());
    let failed = |e| Failure::new(Stage::Namespaces, "making namespaces", e);
    if orders.sources.is_none() {
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        return match kernel::fork_beside(namespaces).map_err(failed)? {
            Some(first) => Ok(Side::Zygote(first)),
            None => Ok(Side::First(Box::new(move || {
                first::in_namespaces(orders, || apart::be_ourselves(inside, user, group))
            }))),
        };
    }
    let networks = assets.networks.as_mut();
    let networks = networks.filter(|_| namespaces.contains(UnshareFlags::NEWNET));
    let forked = match networks {
        None => apart::fork_into(namespaces, inside),
        Some(networks) => {
            namespaces.remove(UnshareFlags::NEWNET);
            networks.fork(|| apart::fork_into(namespaces, inside))
        }
    };
    match forked.map_err(failed)? {
        apart::Forked::Outside(first, named) => {
            if let Err(e) = named {
                tell(&Message::Failed(failed(e)));
            }
            Ok(Side::Zygote(first))
        }
        apart::Forked::Inside(nobody) => Ok(Side::First(Box::new(|| {
            first::in_namespaces(orders, || nobody.take())
        }))),
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

/// The next orders. `None` at the end.
fn receive(socket: &OwnedFd) -> Result<Option<Orders>, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(5))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut data = [0; 16];
    let mut slices = [std::io::IoSliceMut::new(&mut data)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(socket.as_fd(), &mut slices, &mut ancillary, flags)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    let [control, spec, stdin, stdout, stderr] =
        <[OwnedFd; 5]>::try_from(fds).map_err(|_| Errno::BADMSG)?;
    let mut spec = File::from(spec);
    let mut bytes = Vec::new();
    spec.rewind()
        .and_then(|()| spec.read_to_end(&mut bytes))
        .map_err(|e| super::errno(&e))?;
    Ok(Some(Orders {
        spec: Spec::decode(&bytes).ok_or(Errno::BADMSG)?,
        stdio: [stdin, stdout, stderr],
        control: Control(control),
        sources: None,
    }))
}
