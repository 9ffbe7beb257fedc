//! A program that its caller talks with while it runs: [`Running`], from [`Sandbox::spawn`].
//!
//! One thread of ours keeps the clock and reads descriptor 2, so that the program never waits for
//! us; descriptors 0 and 1 are the caller's business. Whoever writes much and reads much does
//! each on a thread of its own.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::net::Shutdown;

use super::drive::{Pipes, drive, pipe, unblocked};
use super::start::{Ends, Started, start};
use super::{Outcome, Sandbox, SandboxError, Spec};

/// A program that runs. Dropping it kills the program and all that it started, and waits for
/// their death.
#[derive(Debug)]
pub struct Running {
    /// What the program reads on descriptor 0. Drop it (`running.stdin.take()`) to show it the end.
    pub stdin: Option<File>,
    /// What the program writes on descriptor 1.
    pub stdout: Option<File>,
    program: Utf8PathBuf,
    pid: u32,
    control: Arc<OwnedFd>,
    /// Closes when the keeper is done; nothing is ever sent.
    ended: Receiver<()>,
    keeper: Option<JoinHandle<Result<Outcome, SandboxError>>>,
}

impl Running {
    pub(super) fn start(sandbox: &Sandbox, spec: &Spec) -> Result<Running, SandboxError> {
        let failed = |e: std::io::Error| SandboxError::system(&spec.program, "making pipes", e);
        let (stdin, to_program) = pipe().map_err(failed)?;
        let (from_program, stdout) = pipe().map_err(failed)?;
        let (read, stderr) = pipe().map_err(failed)?;
        let said = unblocked(read).map_err(failed)?;
        let started = start(
            sandbox,
            spec,
            Ends {
                stdin,
                stdout,
                stderr,
            },
        )?;
        let (pid, control) = (started.pid, Arc::clone(&started.control));
        let (open, ended) = channel();
        let keeper = std::thread::Builder::new()
            .name("sandbox".into())
            .spawn(move || {
                let _open = open;
                keep(started, said)
            })
            .map_err(|e| SandboxError::system(&spec.program, "starting a thread", e))?;
        Ok(Running {
            stdin: Some(File::from(to_program)),
            stdout: Some(File::from(from_program)),
            program: spec.program.clone(),
            pid,
            control,
            ended,
            keeper: Some(keeper),
        })
    }

    /// The program's process id on this machine, good for reading `/proc/<pid>/maps` while it runs.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits at most so long for the end. Tells whether it has come.
    pub fn ends_within(&self, time: Duration) -> bool {
        self.ended.recv_timeout(time) != Err(RecvTimeoutError::Timeout)
    }

    /// Kills the program and all that it started. [`Running::wait`] then tells
    /// [`super::Status::Stopped`], unless it had already ended.
    pub fn kill(&self) {
        // The socket is only gone when the sandbox is.
        let _ = rustix::net::shutdown(&*self.control, Shutdown::Write);
    }

    /// Closes what is left of descriptors 0 and 1, and waits for the end. The outcome holds what
    /// was written on descriptor 2.
    ///
    /// # Errors
    /// When the machinery around the program broke; never for how the program ended.
    pub fn wait(mut self) -> Result<Outcome, SandboxError> {
        drop((self.stdin.take(), self.stdout.take()));
        let lost = || {
            let source = std::io::Error::other("the thread that watched it panicked");
            SandboxError::system(&self.program, "watching it", source)
        };
        match self.keeper.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) | None => Err(lost()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            self.kill();
            let _ = keeper.join();
        }
    }
}

fn keep(started: Started, said: File) -> Result<Outcome, SandboxError> {
    let mut stderr = Vec::new();
    let pipes = Pipes {
        stderr: Some(said),
        ..Pipes::default()
    };
    let outcome = drive(started, pipes, &mut |_, bytes| {
        stderr.extend_from_slice(bytes)
    })?;
    Ok(Outcome { stderr, ..outcome })
}
