//! [`Spec`] → [`Outcome`]: the only room that starts programs. Begin at [`Sandbox::run`].
//!
//! A program sees what its [`Spec`] declares and nothing else: own user, mount, process, network,
//! IPC and UTS namespaces, a root made from nothing, three descriptors, exactly the given
//! environment. Whatever way it ends, everything it started is dead before we return. Behind the
//! namespaces stand two more walls: a list of system calls that are refused, and Landlock.
//!
//! How it works: our own executable is started again, once, as a small single-threaded *zygote*
//! (`inside/`), so that no page table of a large parent is copied and nothing is allocated between
//! fork and exec of a program with threads. It forks the *first process* of each sandbox, which is our
//! child. The two talk over one socket, which is also what ties their lives together: when it closes,
//! the sandbox dies.
//!
//! ```text
//! recipe ─────────── zygote
//!    └─────socket── first process ── program ── …
//!  start, drive      mounts, reaps    what the Spec names
//! ```
//!
//! The zygote has a process group of its own, so Ctrl-C reaches only `recipe`, which decides: when
//! it ends, or drops a [`Running`], the sandbox ends too, `kill -9` included. Ctrl-Z stops
//! `recipe` alone. The program has no controlling terminal.

mod disk;
mod drive;
pub mod elsewhere;
mod emulator;
mod error;
mod inside;
mod running;
mod spec;
mod start;
mod terminal;
mod wire;
mod zygote;

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

pub use elsewhere::Elsewhere;
pub use emulator::Emulator;
pub use error::SandboxError;
pub use inside::helper_main_if_asked;
pub use running::Running;
use zygote::Zygote;

pub use spec::{APART, Bind, HOSTNAME, Identity, Limits, Root, Spec};

/// Starts programs, each in a sandbox of its own. Cheap to clone; use it from any thread. The first
/// program costs the start of a process more, so keep it.
#[derive(Debug, Clone)]
pub struct Sandbox {
    zygote: Arc<Zygote>,
}

/// What a program reads on descriptor 0.
#[derive(Debug, Clone, Copy, Default)]
pub enum Stdin<'a> {
    /// Nothing: the end of the file at once.
    #[default]
    Empty,
    /// These bytes, fed while the program's output is read: any amount, no deadlock.
    Bytes(&'a [u8]),
}

/// Which descriptor a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// How far a program was really shut in. Ordered: a later level shuts in more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Not at all ([`Root::Host`]): a clean environment, limits, and descendants hunted down as
    /// well as can be; they escape when somebody kills the first process itself.
    None,
    /// User, mount, process, network, IPC and UTS namespaces; no capabilities, no new privileges.
    Namespaces,
    /// And system calls that no build needs are refused.
    Filtered,
    /// And Landlock forbids to write anywhere but where it was declared.
    Landlocked,
}

impl Level {
    /// All of them, the weakest first.
    pub const ALL: [Level; 4] = [
        Level::None,
        Level::Namespaces,
        Level::Filtered,
        Level::Landlocked,
    ];

    /// The word for it, in traces and for people.
    pub fn word(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Namespaces => "namespaces",
            Level::Filtered => "filtered",
            Level::Landlocked => "landlocked",
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this code; 0 is success.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// Killed because [`Limits::wall`] was over.
    TimedOut,
    /// Killed because it wrote more than [`Limits::output`] on one channel.
    TooMuchOutput,
    /// Killed because what it wrote to disk is more than [`Limits::disk`].
    TooMuchDisk,
    /// Killed because the caller asked: see [`Running::kill`].
    Stopped,
}

/// What is left when a program and everything it started are dead.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How the program itself ended.
    pub status: Status,
    /// What it wrote on descriptor 1; empty where the caller read that as it came.
    pub stdout: Vec<u8>,
    /// What it wrote on descriptor 2; empty where the caller read that as it came.
    pub stderr: Vec<u8>,
    /// From the request to the death of the last process.
    pub duration: Duration,
    /// The isolation that was reached.
    pub level: Level,
}

impl Outcome {
    /// Whether the program exited with code 0.
    pub fn success(&self) -> bool {
        self.status == Status::Exited(0)
    }
}

impl Sandbox {
    /// A sandbox whose zygote is the executable at `helper`: a program that calls
    /// [`helper_main_if_asked`] first in its `main`.
    pub fn new(helper: impl Into<Utf8PathBuf>) -> Sandbox {
        Sandbox {
            zygote: Arc::new(Zygote::new(helper.into())),
        }
    }

    /// A sandbox whose zygote is the running program itself, even if its file was replaced since.
    pub fn of_this_program() -> Sandbox {
        Sandbox::new("/proc/self/exe")
    }

    /// Runs a program to its end and keeps what it writes, up to [`Limits::output`].
    ///
    /// # Errors
    /// When the program could not be started. A program that starts and fails is an [`Outcome`].
    pub fn run(&self, spec: &Spec, stdin: Stdin<'_>) -> Result<Outcome, SandboxError> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut keep = |channel, bytes: &[u8]| match channel {
            Channel::Stdout => stdout.extend_from_slice(bytes),
            Channel::Stderr => stderr.extend_from_slice(bytes),
        };
        let outcome = self.run_watched(spec, stdin, &mut keep)?;
        Ok(Outcome {
            stdout,
            stderr,
            ..outcome
        })
    }

    /// Runs a program to its end and hands over what it writes as it comes, in pieces that need
    /// not be lines. The [`Outcome`] has no output.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn run_watched(
        &self,
        spec: &Spec,
        stdin: Stdin<'_>,
        ear: &mut dyn FnMut(Channel, &[u8]),
    ) -> Result<Outcome, SandboxError> {
        drive::run(self, spec, stdin, ear)
    }

    /// Runs a program for the person at the caller's terminal, to its end: it reads and writes what the
    /// caller's own descriptors do. Where those are a terminal it gets another, of which it is in
    /// control, so that Ctrl-C, job control and the size of the window are as on any. The
    /// [`Outcome`] has no output.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn attend(&self, spec: &Spec) -> Result<Outcome, SandboxError> {
        terminal::attend(self, spec)
    }

    /// How far this machine lets programs of a build be shut in, told without running one.
    ///
    /// # Errors
    /// As [`Sandbox::run`], where nothing could be run at all.
    pub fn level(&self) -> Result<Level, SandboxError> {
        drive::level(self)
    }

    /// Starts a program and returns once it runs, with the other ends of its descriptors 0 and 1.
    /// Its descriptor 2 is kept, as is the clock.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn spawn(&self, spec: &Spec) -> Result<Running, SandboxError> {
        Running::start(self, spec)
    }
}

/// Starts the program at `path` in place of this process, which ends with it: same process number,
/// same environment, same descriptors, nothing shut in. Comes back only with the reason why not.
pub fn replace(path: &Utf8Path, args: &[OsString]) -> io::Error {
    use std::os::unix::process::CommandExt as _;
    std::process::Command::new(path).args(args).exec()
}

/// Runs one of our own programs in `folder` with nothing of our environment but `env`, and where that is allowed
/// without any network. Whether there was none is told beside what it printed.
pub fn run_apart(
    program: &Utf8Path,
    args: &[OsString],
    env: &[(&str, &str)],
    folder: &Utf8Path,
) -> io::Result<(bool, std::process::Output)> {
    // A network belongs to a thread: what it starts inherits it, and it ends with the thread.
    let run = || {
        let apart = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_ok();
        let mut command = std::process::Command::new(program);
        command.args(args).env_clear().current_dir(folder);
        command
            .envs(env.iter().copied())
            .output()
            .map(|output| (apart, output))
    };
    std::thread::scope(|scope| {
        let ran = scope.spawn(run).join();
        ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The same for a program that is looked for on `path`, which is also the `PATH` that it gets.
pub fn replace_on_path(program: &OsStr, args: &[OsString], path: &OsStr) -> io::Error {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(program);
    command.args(args).env("PATH", path).exec()
}
