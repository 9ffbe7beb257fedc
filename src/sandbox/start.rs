//! [`Spec`] → [`Started`]: starts the helper, hands it its orders, waits until the program runs.
//! Begin at [`start`].

use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};

use super::disk::Disk;
use super::wire::Message;
use super::zygote::Helper;
use super::{Level, Limits, Sandbox, SandboxError, Spec};

/// How long a sandbox that was told to end may take before its helper is killed outright.
const GRACE: Duration = Duration::from_secs(5);

/// A sandbox with a process in it. Dropping it ends it and waits for its last process.
pub(super) struct Started {
    /// The executable of the helper, for messages.
    helper_path: Utf8PathBuf,
    /// The program, for messages.
    pub(super) program: Utf8PathBuf,
    pub(super) limits: Limits,
    pub(super) level: Level,
    /// What it may write to disk.
    pub(super) disk: Option<Disk>,
    /// Our end of the socket: while it is open the sandbox lives.
    pub(super) control: Arc<OwnedFd>,
    pub(super) since: Instant,
    /// The program's process id as seen by us.
    pub(super) pid: u32,
    helper: Helper,
    told_to_end: Option<Instant>,
    reaped: bool,
}

/// The program's own ends of its descriptors 0, 1 and 2.
pub(super) struct Ends {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// What came over the socket.
pub(super) enum Packet {
    Message(Message, Option<u32>),
    Closed,
}

/// Starts the program of `spec` and returns once it runs.
pub(super) fn start(sandbox: &Sandbox, spec: &Spec, ends: Ends) -> Result<Started, SandboxError> {
    let mut started = begin(sandbox, spec, ends)?;
    started.wait_until_running()?;
    Ok(started)
}

/// The level that a program of `spec` reaches, be it there or not.
pub(super) fn reached(sandbox: &Sandbox, spec: &Spec, ends: Ends) -> Result<Level, SandboxError> {
    let mut started = begin(sandbox, spec, ends)?;
    match started.wait_until_running() {
        Err(error) if !error.is_programs() => Err(error),
        _ => Ok(started.level),
    }
}

fn begin(sandbox: &Sandbox, spec: &Spec, ends: Ends) -> Result<Started, SandboxError> {
    spec.check()?;
    let since = Instant::now();
    let failed = |what: &str, errno: Errno| SandboxError::system(&spec.program, what, errno);
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|e| failed("making a socket", e))?;
    rustix::net::sockopt::set_socket_passcred(&ours, true)
        .map_err(|e| failed("asking for credentials", e))?;
    let orders = orders(spec)
        .map_err(|e| SandboxError::system(&spec.program, "writing down what to do", e))?;
    let helper = sandbox.zygote.fork(&theirs)?;
    drop(theirs);
    let started = Started {
        helper_path: sandbox.zygote.helper.clone(),
        program: spec.program.clone(),
        limits: spec.limits.clone(),
        level: Level::None,
        disk: Disk::of(spec),
        control: Arc::new(ours),
        since,
        pid: 0,
        helper,
        told_to_end: None,
        reaped: false,
    };
    match send(started.control.as_fd(), &orders, &ends) {
        // A helper that is gone already says why, or its exit status does.
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => drop(ends),
        Err(e) => return Err(failed("giving the helper its orders", e)),
    }
    Ok(started)
}

/// The spec in a memory file, for it may be larger than any packet.
fn orders(spec: &Spec) -> io::Result<File> {
    let file = rustix::fs::memfd_create("orders", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(&spec.encode())?;
    Ok(file)
}

fn send(control: BorrowedFd<'_>, orders: &File, ends: &Ends) -> Result<(), Errno> {
    let fds = [
        orders.as_fd(),
        ends.stdin.as_fd(),
        ends.stdout.as_fd(),
        ends.stderr.as_fd(),
    ];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    let data = [io::IoSlice::new(b"orders")];
    retry(|| rustix::net::sendmsg(control, &data, &mut ancillary, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// The next packet, if there is one now or `wait` is set.
pub(super) fn receive(control: BorrowedFd<'_>) -> Result<Packet, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut data = [0u8; 16 << 10];
    let got = retry(|| {
        let mut slices = [io::IoSliceMut::new(&mut data)];
        rustix::net::recvmsg(
            control,
            &mut slices,
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
    });
    let length = match got {
        // A reset says that the helper died with our orders unread.
        Ok(received) if received.bytes == 0 => return Ok(Packet::Closed),
        Err(Errno::CONNRESET) => return Ok(Packet::Closed),
        Ok(received) => received.bytes,
        Err(e) => return Err(e),
    };
    let sender = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(who) => Some(who.pid.as_raw_nonzero().get() as u32),
        _ => None,
    });
    match Message::decode(&data[..length]) {
        Some(message) => Ok(Packet::Message(message, sender)),
        None => Err(Errno::PROTO),
    }
}

/// Repeats a call that a signal interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

impl Started {
    fn wait_until_running(&mut self) -> Result<(), SandboxError> {
        let mut failure = None;
        loop {
            let mut fds = [PollFd::new(&*self.control, PollFlags::IN)];
            let wait = self.time_left();
            match retry(|| poll(&mut fds, wait.as_ref())) {
                Ok(0) => self.time_is_over(),
                Ok(_) => match receive(self.control.as_fd()).map_err(|e| self.broken(e))? {
                    Packet::Message(Message::Starting(level), Some(pid)) => {
                        (self.level, self.pid) = (level, pid);
                    }
                    Packet::Message(Message::Started, _) if failure.is_none() => return Ok(()),
                    Packet::Message(Message::Failed(reason), _) => failure = Some(reason),
                    Packet::Message(..) => {}
                    Packet::Closed => break,
                },
                Err(e) => return Err(self.broken(e)),
            }
        }
        let helper = self.reap()?;
        Err(match failure {
            Some(failure) => SandboxError::from_failure(&self.program, failure),
            None if self.told_to_end.is_some() => {
                let late = io::Error::from(io::ErrorKind::TimedOut);
                SandboxError::system(&self.program, "its time was over before it began", late)
            }
            None => self.lost(helper),
        })
    }

    /// Until when to wait for anything: the wall time, or after that the time of grace.
    pub(super) fn time_left(&self) -> Option<Timespec> {
        let end = match self.told_to_end {
            Some(told) => told + GRACE,
            None => self.since.checked_add(self.limits.wall?)?,
        };
        let left = end.saturating_duration_since(Instant::now());
        Some(Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        })
    }

    /// Whether the time that [`Started::time_left`] counts is over.
    pub(super) fn is_time_over(&self) -> bool {
        self.time_left()
            .is_some_and(|left| left.tv_sec == 0 && left.tv_nsec == 0)
    }

    /// First the polite end; a helper that does not react is killed, and its sandbox with it.
    pub(super) fn time_is_over(&mut self) {
        match self.told_to_end {
            None => self.end(),
            Some(_) => {
                self.helper.kill();
                self.told_to_end = Some(Instant::now());
            }
        }
    }

    /// Tells the sandbox to end: its first process exits, and the kernel kills all the others.
    pub(super) fn end(&mut self) {
        let _ = rustix::net::shutdown(&*self.control, Shutdown::Write);
        self.told_to_end.get_or_insert_with(Instant::now);
    }

    /// Collects the helper, which ends last. Tells how it ended: well, unless it was disturbed.
    pub(super) fn reap(&mut self) -> Result<ExitStatus, SandboxError> {
        let status = self.helper.wait();
        self.reaped = true;
        status.map_err(|e| SandboxError::system(&self.program, "waiting for the helper", e))
    }

    /// For a helper that ended without a word.
    pub(super) fn lost(&self, status: ExitStatus) -> SandboxError {
        SandboxError::HelperLost {
            helper: self.helper_path.clone(),
            how: status.to_string(),
        }
    }

    pub(super) fn broken(&self, errno: Errno) -> SandboxError {
        SandboxError::system(&self.program, "listening to the helper", errno)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        self.end();
        while !self.is_time_over() {
            let mut fds = [PollFd::new(&*self.control, PollFlags::IN)];
            let wait = self.time_left();
            match retry(|| poll(&mut fds, wait.as_ref())) {
                Ok(1..) => match receive(self.control.as_fd()) {
                    Ok(Packet::Message(..)) => {}
                    Ok(Packet::Closed) | Err(_) => break,
                },
                Ok(0) | Err(_) => break,
            }
        }
        self.helper.kill();
        let _ = self.helper.wait();
    }
}
