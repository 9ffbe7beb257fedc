//! [`Spec`] → [`Started`]: gives the zygote its orders, waits until the program runs.
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
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, Shutdown, SocketFlags,
    SocketType,
};

use super::disk::Disk;
use super::wire::Message;
use super::zygote::First;
use super::{Level, Limits, Sandbox, SandboxError, Spec};

/// How long a sandbox that was told to end may take before its first process is killed
/// outright.
const GRACE: Duration = Duration::from_secs(5);

/// A sandbox with a process in it. Dropping it ends it and waits for its last process.
pub(super) struct Started {
    /// The executable of the zygote, for messages.
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
    /// `None` where the zygote forked none, and when it was waited for.
    first: Option<First>,
    told_to_end: Option<Instant>,
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
    let written = write_down(spec)
        .map_err(|e| SandboxError::system(&spec.program, "writing down what to do", e))?;
    let first = sandbox.zygote.fork(&Orders {
        control: &theirs,
        spec: &written,
        ends: &ends,
    })?;
    // Ours are the other ends.
    drop((theirs, ends));
    Ok(Started {
        helper_path: sandbox.zygote.helper.clone(),
        program: spec.program.clone(),
        limits: spec.limits.clone(),
        level: Level::None,
        disk: Disk::of(spec),
        control: Arc::new(ours),
        since,
        pid: 0,
        first,
        told_to_end: None,
    })
}

/// What the zygote is given.
pub(super) struct Orders<'a> {
    /// The first process's end of the socket to us.
    control: &'a OwnedFd,
    /// What [`write_down`] gave.
    spec: &'a File,
    ends: &'a Ends,
}

impl Orders<'_> {
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 5] {
        let Ends {
            stdin,
            stdout,
            stderr,
        } = self.ends;
        [
            self.control.as_fd(),
            self.spec.as_fd(),
            stdin.as_fd(),
            stdout.as_fd(),
            stderr.as_fd(),
        ]
    }
}

/// The spec in a memory file, for it may be larger than any packet.
fn write_down(spec: &Spec) -> io::Result<File> {
    let file = rustix::fs::memfd_create("orders", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(&spec.encode())?;
    Ok(file)
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
        // A reset says that somebody died with what we sent unread.
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

/// A time to wait as the system wants it.
pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
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
            let wait = self.time_left().map(timespec);
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
        let status = self.reap()?;
        Err(match failure {
            Some(failure) => SandboxError::from_failure(&self.program, failure),
            None if self.told_to_end.is_some() => {
                let late = io::Error::from(io::ErrorKind::TimedOut);
                SandboxError::system(&self.program, "its time was over before it began", late)
            }
            None => self.lost(status),
        })
    }

    /// How long to wait for anything: the wall time, or after that the time of grace.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let end = match self.told_to_end {
            Some(told) => told + GRACE,
            None => self.since.checked_add(self.limits.wall?)?,
        };
        Some(end.saturating_duration_since(Instant::now()))
    }

    /// Whether the time that [`Started::time_left`] counts is over.
    pub(super) fn is_time_over(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }

    /// First the polite end; a first process that does not react is killed, and its sandbox with it.
    pub(super) fn time_is_over(&mut self) {
        match self.told_to_end {
            None => self.end(),
            Some(_) => {
                self.kill();
                self.told_to_end = Some(Instant::now());
            }
        }
    }

    /// Tells the sandbox to end: its first process exits, and the kernel kills all the others.
    pub(super) fn end(&mut self) {
        let _ = rustix::net::shutdown(&*self.control, Shutdown::Write);
        self.told_to_end.get_or_insert_with(Instant::now);
    }

    fn kill(&self) {
        self.first.iter().for_each(First::kill);
    }

    /// Collects the first process, which ends last. Tells how it ended: well, unless it was disturbed.
    pub(super) fn reap(&mut self) -> Result<ExitStatus, SandboxError> {
        let Some(first) = self.first.take() else {
            return Ok(ExitStatus::default());
        };
        first
            .wait()
            .map_err(|e| SandboxError::system(&self.program, "waiting for the sandbox", e))
    }

    /// For a sandbox that ended without a word.
    pub(super) fn lost(&self, status: ExitStatus) -> SandboxError {
        SandboxError::HelperLost {
            helper: self.helper_path.clone(),
            how: status.to_string(),
        }
    }

    pub(super) fn broken(&self, errno: Errno) -> SandboxError {
        SandboxError::system(&self.program, "listening to the sandbox", errno)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.first.is_none() {
            return;
        }
        self.end();
        while !self.is_time_over() {
            let mut fds = [PollFd::new(&*self.control, PollFlags::IN)];
            let wait = self.time_left().map(timespec);
            match retry(|| poll(&mut fds, wait.as_ref())) {
                Ok(1..) => match receive(self.control.as_fd()) {
                    Ok(Packet::Message(..)) => {}
                    Ok(Packet::Closed) | Err(_) => break,
                },
                Ok(0) | Err(_) => break,
            }
        }
        self.kill();
        let _ = self.reap();
    }
}
