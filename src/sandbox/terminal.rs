//! A program that a person talks with → [`Outcome`]. Begin at [`attend`].
//!
//! The caller's terminal is not given away: whoever controls it could type on it after the sandbox is
//! gone. The program has a terminal of its own, and all that is typed and written is passed on, byte by
//! byte, until its last process is dead.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::drive::{Pipes, drive, unblocked};
use super::start::{Ends, Packet, Started, receive, retry, start};
use super::wire::Message;
use super::{Outcome, Sandbox, SandboxError, Spec, Status};

/// How often somebody looks whether the window has another size.
const LOOK: Duration = Duration::from_millis(200);
/// What is not typed yet and what is not shown yet hold at most so much.
const PIECE: usize = 64 << 10;

/// Runs a program for the person at the terminal.
pub(super) fn attend(sandbox: &Sandbox, spec: &Spec) -> Result<Outcome, SandboxError> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned();
        let ends = || {
            Ok::<_, std::io::Error>(Ends {
                stdin: own(std::io::stdin().as_fd())?,
                stdout: own(std::io::stdout().as_fd())?,
                stderr: own(std::io::stderr().as_fd())?,
            })
        };
        let ends = ends().map_err(|e| SandboxError::system(&spec.program, "sharing files", e))?;
        let started = start(sandbox, spec, ends)?;
        return drive(started, Pipes::default(), &mut |_, _| {});
    }
    let failed = |e: std::io::Error| SandboxError::system(&spec.program, "making a terminal", e);
    let (master, slave) = pair().map_err(failed)?;
    let again = || slave.try_clone();
    let ends = Ends {
        stdin: again().map_err(failed)?,
        stdout: again().map_err(failed)?,
        stderr: again().map_err(failed)?,
    };
    let _ = resize(&master);
    let mut spec = spec.clone();
    spec.terminal = true;
    let started = start(sandbox, &spec, ends)?;
    drop(slave);
    let raw = Raw::begin().map_err(|e| failed(e.into()))?;
    let outcome = pass_on(started, master);
    drop(raw);
    outcome
}

/// A new terminal: our end, and the program's.
fn pair() -> std::io::Result<(File, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name, flags, Mode::empty())?;
    Ok((unblocked(master)?, slave))
}

/// Gives the program's terminal the size of ours.
fn resize(master: &File) -> Result<(), Errno> {
    tcsetwinsize(master, tcgetwinsize(std::io::stdin())?)
}

/// Our terminal hands every key on as it is, for as long as this lives.
struct Raw(Termios);

impl Raw {
    fn begin() -> Result<Raw, Errno> {
        let before = tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone, and then needs nothing.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}

fn pass_on(mut started: Started, mut master: File) -> Result<Outcome, SandboxError> {
    let mut typed: Vec<u8> = Vec::new();
    let (mut ended, mut hung_up) = (None, false);
    let mut looked = Instant::now();
    loop {
        let news = {
            let mut fds = vec![
                PollFd::new(&*started.control, PollFlags::IN),
                PollFd::from_borrowed_fd(master.as_fd(), wanted(&typed)),
            ];
            let stdin = std::io::stdin();
            if typed.is_empty() && !hung_up {
                fds.push(PollFd::new(&stdin, PollFlags::IN));
            }
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: LOOK.as_nanos() as i64,
            };
            retry(|| poll(&mut fds, Some(&wait))).map_err(|e| started.broken(e))?;
            if fds.get(2).is_some_and(|fd| !fd.revents().is_empty()) {
                hung_up = !hear(&mut typed);
            }
            !fds[0].revents().is_empty()
        };
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            let _ = resize(&master);
        }
        feed(&mut master, &mut typed);
        let closed = !show(&mut master);
        if hung_up && ended.is_none() {
            // Whoever was there is gone.
            started.end();
            ended = Some(Status::Stopped);
        }
        if news {
            match receive(started.control.as_fd()).map_err(|e| started.broken(e))? {
                Packet::Message(Message::Exited(code), _) => ended = Some(Status::Exited(code)),
                Packet::Message(Message::Signalled(n), _) => ended = Some(Status::Signalled(n)),
                Packet::Message(..) => {}
                Packet::Closed => break,
            }
        } else if closed {
            // Nobody has the terminal open any more; the end of the last process is near.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let status = started.reap()?;
    while show(&mut master) && has_more(&master) {}
    match ended {
        Some(status) => Ok(Outcome {
            status,
            stdout: Vec::new(),
            stderr: Vec::new(),
            duration: started.since.elapsed(),
            level: started.level,
        }),
        None => Err(started.lost(status)),
    }
}

fn wanted(typed: &[u8]) -> PollFlags {
    if typed.is_empty() {
        PollFlags::IN
    } else {
        PollFlags::IN | PollFlags::OUT
    }
}

/// Takes what was typed; tells whether more can come.
fn hear(typed: &mut Vec<u8>) -> bool {
    let mut piece = [0; 4096];
    match rustix::io::read(std::io::stdin(), &mut piece) {
        Ok(0) => false,
        Ok(count) => {
            typed.extend_from_slice(&piece[..count]);
            true
        }
        Err(Errno::INTR | Errno::AGAIN) => true,
        Err(_) => false,
    }
}

fn feed(master: &mut File, typed: &mut Vec<u8>) {
    if typed.is_empty() {
        return;
    }
    match master.write(typed) {
        Ok(count) => drop(typed.drain(..count)),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        Err(_) => typed.clear(),
    }
}

/// Shows what was written; tells whether the program's terminal is still open.
fn show(master: &mut File) -> bool {
    let mut piece = vec![0; PIECE];
    match master.read(&mut piece) {
        Ok(0) => false,
        Ok(count) => {
            // Nobody may be looking any more.
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(&piece[..count]).and_then(|()| out.flush());
            true
        }
        Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

fn has_more(master: &File) -> bool {
    let mut fds = [PollFd::new(master, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::IN)
}
