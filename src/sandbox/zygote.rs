//! The process that the first process of every sandbox is forked from. Begin at [`Zygote::fork`].
//!
//! To execute a program of our size costs as much as all its namespaces, so it is done once; a fork of
//! a small process costs a tenth. What is forked is our own child, not the zygote's: we wait for it,
//! and whatever becomes of the zygote does not touch it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use camino::Utf8PathBuf;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType,
};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::SandboxError;
use super::inside::{HELPER_ARGUMENT, Reply};
use super::start::{Orders, retry};

/// Started when it is first needed; ends with this.
#[derive(Debug)]
pub(super) struct Zygote {
    pub(super) helper: Utf8PathBuf,
    living: Mutex<Option<Living>>,
}

#[derive(Debug)]
struct Living {
    /// Closes before anybody waits for the process: that is what ends it.
    socket: OwnedFd,
    process: Child,
}

/// The first process of a sandbox, which ends last. Somebody has to wait for it.
#[derive(Debug)]
pub(super) struct First(Pid);

impl First {
    /// Waits for its end.
    pub(super) fn wait(&self) -> Result<ExitStatus, Errno> {
        let ended = retry(|| waitpid(Some(self.0), WaitOptions::empty()))?;
        let (_, status) = ended.ok_or(Errno::CHILD)?;
        Ok(ExitStatus::from_raw(status.as_raw()))
    }

    /// Kills it, and the kernel all of its namespace; only while nobody has waited for it.
    pub(super) fn kill(&self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

impl Zygote {
    pub(super) fn new(helper: Utf8PathBuf) -> Zygote {
        Zygote {
            helper,
            living: Mutex::new(None),
        }
    }

    /// The first process of a new sandbox. `None` when there is none: the other end of `orders` hears why.
    ///
    /// # Errors
    /// When the executable cannot be started, or is not one of ours.
    pub(super) fn fork(&self, orders: &Orders<'_>) -> Result<Option<First>, SandboxError> {
        let mut living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zygote) = &*living
            && let Ok(reply) = zygote.ask(orders)
        {
            return Ok(made(reply));
        }
        // The first time, and when somebody killed it.
        if let Some(dead) = living.take() {
            let _ = dead.end();
        }
        let zygote = self.start().map_err(|source| self.unstartable(source))?;
        match zygote.ask(orders) {
            Ok(reply) => {
                *living = Some(zygote);
                Ok(made(reply))
            }
            Err(_) => Err(match zygote.end() {
                Ok(status) => SandboxError::HelperLost {
                    helper: self.helper.clone(),
                    how: status.to_string(),
                },
                Err(source) => self.unstartable(source),
            }),
        }
    }

    fn unstartable(&self, source: io::Error) -> SandboxError {
        SandboxError::Start {
            helper: self.helper.clone(),
            source,
        }
    }

    /// It has no descriptor but its end of the socket, and no environment. Without `pre_exec` the
    /// standard library uses `posix_spawn`, whose cost does not grow with our memory.
    fn start(&self) -> io::Result<Living> {
        let (socket, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let process = Command::new(&self.helper)
            .arg0("recipe")
            .arg(HELPER_ARGUMENT)
            .env_clear()
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Living { socket, process })
    }
}

fn made(reply: Reply) -> Option<First> {
    match reply {
        Reply::Forked(pid) => Some(First(pid)),
        Reply::Refused => None,
    }
}

impl Living {
    fn ask(&self, orders: &Orders<'_>) -> Result<Reply, Errno> {
        let fds = orders.descriptors();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(5))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let data = [io::IoSlice::new(b"orders")];
        retry(|| rustix::net::sendmsg(&self.socket, &data, &mut ancillary, SendFlags::NOSIGNAL))?;
        let mut answer = [0; Reply::SIZE];
        let (length, _) =
            retry(|| rustix::net::recv(&self.socket, &mut answer, RecvFlags::empty()))?;
        Reply::decode(&answer[..length]).ok_or(Errno::PROTO)
    }

    fn end(self) -> io::Result<ExitStatus> {
        let Living {
            socket,
            mut process,
        } = self;
        drop(socket);
        process.wait()
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        let living = self
            .living
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(zygote) = living.take() {
            let _ = zygote.end();
        }
    }
}
