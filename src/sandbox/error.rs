//! Why a program could not be started. Begin at [`SandboxError`]; [`SandboxError::from_failure`]
//! turns what the helper reports into words, and adds what this host would have to allow.

use std::io;

use camino::Utf8PathBuf;
use miette::Diagnostic;
use thiserror::Error;

use super::wire::{Failure, Stage};

/// Why a program could not be started. A program that started and failed is no error here.
#[derive(Debug, Error, Diagnostic)]
pub enum SandboxError {
    /// The declaration contradicts itself.
    #[error("a program was declared in a way that cannot be carried out: {reason}")]
    #[diagnostic(
        code(sandbox::declaration),
        help(
            "a `run` of a check names a program by a path in the closure; anything else is a fault of recipe itself"
        )
    )]
    Spec {
        /// What is wrong with it.
        reason: String,
    },

    /// Our own executable could not be started again.
    #[error("cannot start `{helper}`, which prepares every sandbox")]
    #[diagnostic(
        code(sandbox::helper),
        help("it is this program's own file: is it still there, and executable?")
    )]
    Start {
        /// The executable.
        helper: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// The helper ended without saying how the program fared.
    #[error("`{helper}`, which prepares every sandbox, ended early: {how}")]
    #[diagnostic(
        code(sandbox::helper_lost),
        help("if the machine ran out of memory, run fewer steps at once (`--jobs`)")
    )]
    HelperLost {
        /// The executable.
        helper: Utf8PathBuf,
        /// Its exit status.
        how: String,
    },

    /// Neither a sandbox nor anything less was made, for the host forbids it.
    #[error("this machine does not let us make namespaces, so `{program}` was not started")]
    #[diagnostic(code(sandbox::no_namespaces), help("{remedy}"))]
    NoNamespaces {
        /// What was to run.
        program: Utf8PathBuf,
        /// One line that says how to allow it.
        remedy: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// A `/proc` was declared where the host forbids to mount one.
    #[error("this machine does not let us mount a `/proc` for `{program}`")]
    #[diagnostic(
        code(sandbox::no_proc),
        help(
            "containers hide parts of `/proc`: run this one with `--security-opt systempaths=unconfined`"
        )
    )]
    NoProc {
        /// What was to run.
        program: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// A declared file or directory of the host cannot be opened.
    #[error("`{path}` cannot be shown to `{program}`")]
    #[diagnostic(
        code(sandbox::input),
        help(
            "it has to be there, and readable for you; `recipe store verify` tells whether the store lost it"
        )
    )]
    Input {
        /// What was to run.
        program: Utf8PathBuf,
        /// The file or directory of the host.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// The sandbox's tree of files cannot be made as declared.
    #[error("the files that `{program}` was to see cannot be put together at {what}")]
    #[diagnostic(
        code(sandbox::mount),
        help(
            "a place inside a declared tree must already exist there, and no part of it may be a symlink"
        )
    )]
    Mount {
        /// What was to run.
        program: Utf8PathBuf,
        /// Which place.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// The program cannot be executed.
    #[error("`{program}` cannot be started inside its sandbox")]
    #[diagnostic(
        code(sandbox::program),
        help(
            "it, the loader it names, or the interpreter of its `#!` line is not inside, or is not for this machine"
        )
    )]
    Program {
        /// What was to run.
        program: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// Another part of the preparation failed.
    #[error("cannot prepare `{program}`: {what}")]
    #[diagnostic(
        code(sandbox::system),
        help(
            "`recipe doctor` tells what this machine does not allow; a limit of processes or memory does this too"
        )
    )]
    System {
        /// What was to run.
        program: Utf8PathBuf,
        /// What we were doing.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    /// For calls of our own side: pipes, sockets, waiting.
    pub(super) fn system(program: &Utf8PathBuf, what: &str, source: impl Into<io::Error>) -> Self {
        SandboxError::System {
            program: program.clone(),
            what: what.into(),
            source: source.into(),
        }
    }

    /// What the helper reports, in words.
    pub(super) fn from_failure(program: &Utf8PathBuf, failure: Failure) -> SandboxError {
        let source = io::Error::from_raw_os_error(failure.errno);
        let program = program.clone();
        let what = failure.what;
        match failure.stage {
            Stage::Namespaces => SandboxError::NoNamespaces {
                program,
                remedy: remedy(failure.errno),
                source,
            },
            Stage::Proc => SandboxError::NoProc { program, source },
            Stage::Source => SandboxError::Input {
                program,
                path: what,
                source,
            },
            Stage::Mount => SandboxError::Mount {
                program,
                what,
                source,
            },
            Stage::Program => SandboxError::Program { program, source },
            Stage::System => SandboxError::System {
                program,
                what,
                source,
            },
        }
    }

    /// Whether the host forbids namespaces altogether: the one case in which a caller may think
    /// of running without a sandbox.
    pub fn is_no_namespaces(&self) -> bool {
        matches!(self, SandboxError::NoNamespaces { .. })
    }

    /// Whether it is the program's own fault: it is not there, or not for this machine.
    pub fn is_programs(&self) -> bool {
        matches!(self, SandboxError::Program { .. })
    }
}

/// The one line that allows namespaces on this host, as far as it can be told from its settings.
fn remedy(errno: i32) -> String {
    let setting = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
        text.trim().parse::<i64>().ok()
    };
    let line = if setting("user/max_user_namespaces") == Some(0) {
        "sysctl user.max_user_namespaces=15000"
    } else if setting("kernel/unprivileged_userns_clone") == Some(0) {
        "sysctl kernel.unprivileged_userns_clone=1"
    } else if setting("kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else if errno == nix::libc::ENOSPC {
        "sysctl user.max_user_namespaces=15000 (also max_mnt_, max_pid_, max_net_namespaces)"
    } else {
        return "in a container, allow them with `--security-opt seccomp=unconfined` or \
                `--privileged`; inside a chroot they cannot be had at all"
            .into();
    };
    format!("as root: {line}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    /// The message, its cause and its advice, as a person reads them.
    fn told(stage: Stage, what: &str, errno: Errno) -> String {
        let failure = Failure::new(stage, what, errno);
        let error = SandboxError::from_failure(&"/bin/tool".into(), failure);
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let help = error.help().map(|help| help.to_string());
        format!(
            "{error}: {}; {}",
            cause.unwrap_or_default(),
            help.unwrap_or_default()
        )
    }

    #[test]
    fn every_failure_names_the_program_and_the_place() {
        for (stage, what) in [
            (Stage::Source, "/home/somebody/input"),
            (Stage::Mount, "`/in/input`"),
            (Stage::System, "entering `/work`"),
        ] {
            let told = told(stage, what, Errno::ACCESS);
            assert!(told.contains("/bin/tool") && told.contains(what), "{told}");
            assert!(told.contains("Permission denied"), "{told}");
        }
        assert!(told(Stage::Program, "", Errno::NOENT).contains("its `#!` line"));
        assert!(told(Stage::Proc, "", Errno::PERM).contains("systempaths=unconfined"));
    }

    #[test]
    fn forbidden_namespaces_come_with_one_line_that_allows_them() {
        let told = told(Stage::Namespaces, "", Errno::PERM);
        assert!(
            told.contains("sysctl") || told.contains("--security-opt"),
            "{told}"
        );
    }
}
