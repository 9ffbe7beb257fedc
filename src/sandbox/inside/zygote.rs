//! The zygote: waits to be asked for helpers, and forks them. Begin at [`serve`].

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};
use rustix::process::Pid;

use super::kernel;

/// What the zygote answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Reply {
    /// The helper's process id, as the zygote and its parent see it.
    Forked(Pid),
    /// There is none.
    Failed(Errno),
}

impl Reply {
    /// Bytes of one.
    pub(in crate::sandbox) const SIZE: usize = size_of::<i32>();

    fn encode(self) -> [u8; Reply::SIZE] {
        match self {
            Reply::Forked(pid) => pid.as_raw_nonzero().get().to_ne_bytes(),
            Reply::Failed(errno) => (-errno.raw_os_error()).to_ne_bytes(),
        }
    }

    /// `None` for what is no reply.
    pub(in crate::sandbox) fn decode(bytes: &[u8]) -> Option<Reply> {
        match i32::from_ne_bytes(bytes.try_into().ok()?) {
            0 => None,
            number @ 1.. => Pid::from_raw(number).map(Reply::Forked),
            number => Some(Reply::Failed(Errno::from_raw_os_error(-number))),
        }
    }
}

/// Forks a helper for each request, until nobody can ask any more: `None`. In a helper: its end of the
/// socket to the outer side.
///
/// # Errors
/// When `socket` is not one to a [`super::super::Sandbox`].
pub(super) fn serve(socket: OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    while let Some(control) = receive(&socket)? {
        let reply = match kernel::fork_beside() {
            Ok(None) => return Ok(Some(control)),
            Ok(Some(helper)) => Reply::Forked(helper),
            Err(errno) => Reply::Failed(errno),
        };
        rustix::net::send(&socket, &reply.encode(), SendFlags::NOSIGNAL)?;
    }
    Ok(None)
}

/// The next request, which is the helper's end of a socket. `None` at the end.
fn receive(socket: &OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut data = [0; 16];
    let mut slices = [std::io::IoSliceMut::new(&mut data)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(socket.as_fd(), &mut slices, &mut ancillary, flags)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut fds = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let control = fds.next().and_then(|mut fds| fds.next());
    control.map(Some).ok_or(Errno::BADMSG)
}
