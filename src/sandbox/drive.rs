//! [`Started`] → [`Outcome`]: feeds a program, reads it, and keeps its clock, in one loop on one
//! thread. Begin at [`run`].

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use super::disk::Watch;
use super::start::{Ends, Packet, Started, reached, receive, retry, start, timespec};
use super::wire::Message;
use super::{Channel, Level, Outcome, Sandbox, SandboxError, Spec, Status, Stdin};

/// As much as a user may ask of one pipe by default. Fewer wake-ups on both sides.
const PIPE_SIZE: usize = 1 << 20;

/// Bytes that are taken from a pipe at once. Most programs say little, and each pays for the room.
const PIECE: usize = 32 << 10;

/// Our ends of what is still open.
#[derive(Default)]
pub(super) struct Pipes<'a> {
    pub(super) stdin: Option<(File, &'a [u8])>,
    pub(super) stdout: Option<File>,
    pub(super) stderr: Option<File>,
}

/// Runs a program to its end.
pub(super) fn run(
    sandbox: &Sandbox,
    spec: &Spec,
    stdin: Stdin<'_>,
    ear: &mut dyn FnMut(Channel, &[u8]),
) -> Result<Outcome, SandboxError> {
    let failed = |e: std::io::Error| SandboxError::system(&spec.program, "making pipes", e);
    let mut pipes = Pipes::default();
    let stdin = match stdin {
        Stdin::Empty => nothing().map_err(failed)?,
        Stdin::Bytes(bytes) => {
            let (read, write) = pipe().map_err(failed)?;
            pipes.stdin = Some((unblocked(write).map_err(failed)?, bytes));
            read
        }
    };
    let (read, stdout) = pipe().map_err(failed)?;
    pipes.stdout = Some(unblocked(read).map_err(failed)?);
    let (read, stderr) = pipe().map_err(failed)?;
    pipes.stderr = Some(unblocked(read).map_err(failed)?);
    let started = start(
        sandbox,
        spec,
        Ends {
            stdin,
            stdout,
            stderr,
        },
    )?;
    drive(started, pipes, ear)
}

/// The level that programs reach on this machine, told without starting one.
pub(super) fn level(sandbox: &Sandbox) -> Result<Level, SandboxError> {
    // Everything before it has to work, and nothing is there to be run.
    let spec = Spec::build("/nothing");
    let failed = |e| SandboxError::system(&spec.program, "opening /dev/null", e);
    let ends = Ends {
        stdin: nothing().map_err(failed)?,
        stdout: unread().map_err(failed)?,
        stderr: unread().map_err(failed)?,
    };
    reached(sandbox, &spec, ends)
}

/// What a program whose words nobody wants writes to.
fn unread() -> std::io::Result<OwnedFd> {
    Ok(File::options().write(true).open("/dev/null")?.into())
}

/// A pipe whose ends no other program inherits.
pub(super) fn pipe() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    // Refused when this user's pipes hold much already; a small one works as well.
    let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_SIZE);
    Ok((read, write))
}

/// Our end of a pipe, so that reading or writing it never waits. The other end is not affected.
pub(super) fn unblocked(end: OwnedFd) -> std::io::Result<File> {
    let flags = rustix::fs::fcntl_getfl(&end)?;
    rustix::fs::fcntl_setfl(&end, flags | OFlags::NONBLOCK)?;
    Ok(File::from(end))
}

/// What a program without input reads from.
pub(super) fn nothing() -> std::io::Result<OwnedFd> {
    Ok(File::open("/dev/null")?.into())
}

/// Keeps a running program company until its last process is dead.
pub(super) fn drive(
    mut started: Started,
    mut pipes: Pipes<'_>,
    ear: &mut dyn FnMut(Channel, &[u8]),
) -> Result<Outcome, SandboxError> {
    let mut watch = Watch::of(&started);
    let mut listener = Listener::new(started.limits.output, ear);
    let (mut ended, mut stopped) = (None, None);
    loop {
        let look = watch.as_ref().and_then(Watch::time_left);
        let news = wait(&started, &pipes, look)?;
        if let Some(watch) = &mut watch {
            watch.begin_in_time(&started)?;
        }
        feed(&mut pipes.stdin);
        listener.hear(&mut pipes);
        if listener.had_enough && stopped.is_none() {
            stopped = Some(Status::TooMuchOutput);
            started.end();
        }
        if started.is_time_over() {
            stopped.get_or_insert(Status::TimedOut);
            started.time_is_over();
        }
        if news {
            match receive(started.control.as_fd()).map_err(|e| started.broken(e))? {
                Packet::Message(Message::Exited(code), _) => ended = Some(Status::Exited(code)),
                Packet::Message(Message::Signalled(n), _) => ended = Some(Status::Signalled(n)),
                Packet::Message(..) => {}
                Packet::Closed => break,
            }
        }
    }
    let status = started.reap()?;
    let full = watch.is_some_and(Watch::end);
    // All writers are dead; what they wrote last still lies in the pipes.
    while listener.hear(&mut pipes) {}
    let status = match (ended, stopped) {
        _ if full => Status::TooMuchDisk,
        _ if listener.had_enough => Status::TooMuchOutput,
        (Some(status), _) | (None, Some(status)) => status,
        (None, None) if status.success() => Status::Stopped,
        (None, None) => return Err(started.lost(status)),
    };
    Ok(Outcome {
        status,
        stdout: Vec::new(),
        stderr: Vec::new(),
        duration: started.since.elapsed(),
        level: started.level,
    })
}

/// Sleeps until something can be done, or for as long as `most`. Tells whether the sandbox has said something.
fn wait(
    started: &Started,
    pipes: &Pipes<'_>,
    most: Option<Duration>,
) -> Result<bool, SandboxError> {
    let mut fds = vec![PollFd::new(&*started.control, PollFlags::IN)];
    let inward = pipes
        .stdin
        .iter()
        .map(|(pipe, _)| PollFd::new(pipe, PollFlags::OUT));
    let outward = pipes.stdout.iter().chain(&pipes.stderr);
    fds.extend(inward.chain(outward.map(|pipe| PollFd::new(pipe, PollFlags::IN))));
    let left = started.time_left().into_iter().chain(most).min();
    let left = left.map(timespec);
    retry(|| poll(&mut fds, left.as_ref())).map_err(|e| started.broken(e))?;
    Ok(!fds[0].revents().is_empty())
}

/// Writes what the pipe takes. Closes it at the end, or when nobody reads any more.
fn feed(stdin: &mut Option<(File, &[u8])>) {
    while let Some((pipe, rest)) = stdin {
        match pipe.write(rest) {
            _ if rest.is_empty() => *stdin = None,
            Ok(count) => *rest = &rest[count..],
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => *stdin = None,
        }
    }
}

/// Passes output on until one channel has had its share; later pieces are dropped.
struct Listener<'a> {
    ear: &'a mut dyn FnMut(Channel, &[u8]),
    left: [u64; 2],
    had_enough: bool,
    buffer: Vec<u8>,
}

impl<'a> Listener<'a> {
    fn new(limit: u64, ear: &'a mut dyn FnMut(Channel, &[u8])) -> Self {
        Listener {
            ear,
            left: [limit; 2],
            had_enough: false,
            buffer: vec![0; PIECE],
        }
    }

    /// One piece of each channel that has one. Tells whether there was any.
    fn hear(&mut self, pipes: &mut Pipes<'_>) -> bool {
        let stdout = self.hear_one(Channel::Stdout, &mut pipes.stdout);
        let stderr = self.hear_one(Channel::Stderr, &mut pipes.stderr);
        stdout || stderr
    }

    fn hear_one(&mut self, channel: Channel, pipe: &mut Option<File>) -> bool {
        let Some(open) = pipe else { return false };
        match open.read(&mut self.buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => {
                let left = &mut self.left[channel as usize];
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(count);
                *left -= taken as u64;
                self.had_enough |= taken < count;
                if taken > 0 {
                    (self.ear)(channel, &self.buffer[..taken]);
                }
                // Nothing that is still to come would be passed on.
                return !self.had_enough;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => return true,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => *pipe = None,
        }
        false
    }
}
