//! What a program gets: [`Spec`], plain data. Begin at [`Spec::new`]; [`Spec::check`] refuses what
//! could not be meant.
//!
//! All of it is exact: what is not said here is not there. Nothing is taken from the environment,
//! the current directory, the umask or the signal settings of the caller.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::SandboxError;
use super::emulator::Emulator;

/// One program to run, and all that it may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What lies at `/`.
    pub root: Root,
    /// Files and directories of the host that appear inside, in this order.
    pub binds: Vec<Bind>,
    /// Small files made inside: absolute path and content, mode 0644. Only where no bind lies.
    pub files: Vec<(Utf8PathBuf, Vec<u8>)>,
    /// A writable, empty `/tmp` in memory.
    pub tmp: bool,
    /// Whether what lies in `/tmp` can be neither executed nor mapped as code.
    pub noexec: bool,
    /// A read-only `/proc` that shows the processes of this sandbox and no setting of the host.
    pub proc: bool,
    /// A `/dev` with null, zero, full, random, urandom, fd, stdin, stdout, stderr and a `shm`.
    pub dev: bool,
    /// The executable: an absolute path inside, never looked up in `PATH`.
    pub program: Utf8PathBuf,
    /// What the program finds as its own name (`argv[0]`); `None` means [`Spec::program`].
    pub name: Option<OsString>,
    /// The arguments after the name.
    pub args: Vec<OsString>,
    /// The whole environment, in this order.
    pub env: Vec<(OsString, OsString)>,
    /// The current directory: an absolute path inside.
    pub cwd: Utf8PathBuf,
    /// Whether the program shares the host's network. Without, it has not even a loopback.
    pub network: bool,
    /// What starts programs of another processor. Needs [`Identity::Root`], to whom the kernel's list
    /// of formats belongs.
    pub emulator: Option<Emulator>,
    /// Who the program thinks it is.
    pub identity: Identity,
    /// Whether it runs under a number of its own ([`APART`]) where the caller is root, so that what the
    /// kernel counts for each user is counted. Root's files are shown as that number's; where the file
    /// system cannot do that, what may be written is given to it, with all below, and inputs have to be
    /// readable for everybody. No difference for an ordinary user.
    pub apart: bool,
    /// Whether there are walls behind the first one: system calls that no build needs are refused, and
    /// set-user-id bits with them, and Landlock forbids to write anywhere else.
    pub hardened: bool,
    /// Whether things lie at the same addresses each time, as far as the kernel lets us say so: there are
    /// programs whose output follows the order in which their objects lie in memory.
    pub same_addresses: bool,
    /// The name of the host.
    pub hostname: String,
    /// The permission bits that new files do not get.
    pub umask: u32,
    /// On how many processors it runs at most; `None` means on all that the caller has.
    pub cpus: Option<u32>,
    /// Whether what it executes may give it privileges (set-user-id bits, file capabilities), as on
    /// any host: only in [`Root::Host`].
    pub privileges: bool,
    /// Whether its descriptor 0 is a terminal that it controls: see [`super::Sandbox::attend`].
    pub terminal: bool,
    /// How far it can go.
    pub limits: Limits,
}

/// What lies at `/` before binds are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// Nothing.
    Empty,
    /// The entries of this directory of the host, read-only. Mount points that it lacks can be
    /// made at the top level only.
    Tree(Utf8PathBuf),
    /// The host as it is, without any isolation: [`super::Level::None`]. Never chosen by itself;
    /// a caller that may fall back says so by asking for this. Binds, files and the rest must be
    /// absent, and paths "inside" are paths of the host.
    Host,
}

/// One file or directory of the host that appears inside. Set-user-id bits and devices have no
/// effect there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Where it lies on the host.
    pub host: Utf8PathBuf,
    /// Where it appears: an absolute path without `.` and `..`.
    pub at: Utf8PathBuf,
    /// Whether the program may write there.
    pub writable: bool,
}

/// The user and group number that a program runs under outside where [`Spec::apart`] is set and the
/// caller is root. No distribution gives it to anybody (it is the last one that Debian reserves), it
/// is none of systemd's numbers that come and go, and it exists in containers, which have 65536.
pub const APART: u32 = 65533;

/// The host name that a program sees when nobody chose another.
pub const HOSTNAME: &str = "recipe";

/// The user a program runs as, as seen from inside. Outside it is the caller, or [`APART`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Identity {
    /// User and group 1000.
    #[default]
    User,
    /// User and group 0, but without any capability.
    Root,
    /// User and group of this number: a build's result must not depend on it.
    Other(u32),
}

impl Identity {
    /// The user and group number seen inside.
    pub fn number(self) -> u32 {
        match self {
            Identity::User => 1000,
            Identity::Root => 0,
            Identity::Other(number) => number,
        }
    }
}

/// How far a program can go. `None` means no limit of ours; a limit above the caller's own hard
/// limit is lowered to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of address space of each process.
    pub memory: Option<u64>,
    /// Processes and threads at once. Not enforced by the kernel when the caller is root, but for
    /// [`Spec::apart`].
    pub processes: Option<u64>,
    /// Open files of each process.
    pub open_files: u64,
    /// Bytes of each file written.
    pub file_size: Option<u64>,
    /// Bytes on disk of all writable [`Bind`]s together, looked at a few times a second. What was
    /// deleted and is still open is not seen: `file_size` bounds each such file.
    pub disk: Option<u64>,
    /// Bytes of everything in `/tmp`, and of everything in `/dev/shm`.
    pub tmp: u64,
    /// Bytes on each of stdout and stderr, as far as we read them.
    pub output: u64,
    /// From the request to the end.
    pub wall: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: None,
            processes: None,
            open_files: 4096,
            file_size: None,
            disk: None,
            tmp: 1 << 30,
            output: 64 << 20,
            wall: Some(Duration::from_secs(3600)),
        }
    }
}

impl Spec {
    /// `program` alone in an empty root with an empty environment.
    pub fn new(program: impl Into<Utf8PathBuf>) -> Spec {
        Spec {
            root: Root::Empty,
            binds: Vec::new(),
            files: Vec::new(),
            tmp: false,
            noexec: false,
            proc: false,
            dev: false,
            program: program.into(),
            name: None,
            args: Vec::new(),
            env: Vec::new(),
            cwd: "/".into(),
            network: false,
            emulator: None,
            identity: Identity::User,
            apart: false,
            hardened: true,
            same_addresses: false,
            hostname: HOSTNAME.to_owned(),
            umask: 0o022,
            cpus: None,
            privileges: false,
            terminal: false,
            limits: Limits::default(),
        }
    }

    /// `program` as a step of a build: `/tmp`, `/proc` and `/dev` are there, time zone, locale and
    /// home are fixed, addresses are the same each time, and it runs [`Spec::apart`]. Root, inputs,
    /// outputs and `PATH` are for the caller to add.
    pub fn build(program: impl Into<Utf8PathBuf>) -> Spec {
        let mut spec = Spec::new(program).usual_places();
        (spec.apart, spec.same_addresses) = (true, true);
        spec.env("HOME", "/tmp")
            .env("LC_ALL", "C.UTF-8")
            .env("TMPDIR", "/tmp")
            .env("TZ", "UTC")
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Spec {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The same without the program that looks the real one up: that lies at `path`, and its name is the first
    /// argument.
    pub fn direct(&self, path: impl Into<Utf8PathBuf>) -> Spec {
        let mut args = self.args.iter().cloned();
        Spec {
            program: path.into(),
            name: args.next(),
            args: args.collect(),
            ..self.clone()
        }
    }

    /// Adds one variable to the environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Spec {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Shows `host` read-only at `at`.
    pub fn input(mut self, host: impl Into<Utf8PathBuf>, at: impl Into<Utf8PathBuf>) -> Spec {
        self.binds.push(Bind {
            host: host.into(),
            at: at.into(),
            writable: false,
        });
        self
    }

    /// Shows `host` writable at `at`.
    pub fn output(mut self, host: impl Into<Utf8PathBuf>, at: impl Into<Utf8PathBuf>) -> Spec {
        self.binds.push(Bind {
            host: host.into(),
            at: at.into(),
            writable: true,
        });
        self
    }

    /// Adds `/tmp`, `/proc` and `/dev`: what most programs take for granted.
    pub fn usual_places(mut self) -> Spec {
        (self.tmp, self.proc, self.dev) = (true, true, true);
        self
    }

    /// Lets `emulator` start programs of its processor.
    pub fn emulated(mut self, emulator: Option<&Emulator>) -> Spec {
        if let Some(emulator) = emulator {
            self.emulator = Some(emulator.clone());
            self.identity = Identity::Root;
        }
        self
    }

    /// Refuses what could not be carried out as it is written.
    pub(super) fn check(&self) -> Result<(), SandboxError> {
        self.check_paths()?;
        self.check_words()?;
        let declares = !self.binds.is_empty() || !self.files.is_empty() || self.emulator.is_some();
        if self.root == Root::Host && (declares || self.tmp || self.proc || self.dev) {
            return Err(refused(
                "binds, files, an emulator, tmp, proc and dev cannot be had in the host's root",
            ));
        }
        let name = self.hostname.as_bytes();
        if name.is_empty() || name.len() > 64 || !name.iter().all(u8::is_ascii_graphic) {
            return Err(refused(format!("{:?} cannot name a host", self.hostname)));
        }
        if self.umask > 0o777 || self.cpus == Some(0) || self.identity == Identity::Other(u32::MAX)
        {
            return Err(refused(
                "a umask, a number of processors or a user cannot be had",
            ));
        }
        if self.privileges && self.root != Root::Host {
            return Err(refused("privileges can be had in the host's root only"));
        }
        Ok(())
    }

    fn check_paths(&self) -> Result<(), SandboxError> {
        for path in [&self.program, &self.cwd] {
            if !path.is_absolute() {
                return Err(refused(format!("`{path}` is not an absolute path")));
            }
        }
        let made = self.binds.iter().map(|bind| &bind.at);
        for at in made.chain(self.files.iter().map(|(at, _)| at)) {
            if !is_plain(at) {
                return Err(refused(format!(
                    "`{at}` is not an absolute path below `/` without `.`, `..` and NUL"
                )));
            }
        }
        Ok(())
    }

    fn check_words(&self) -> Result<(), SandboxError> {
        let pairs = self.env.iter().flat_map(|(name, value)| [name, value]);
        let words = self
            .args
            .iter()
            .chain(&self.name)
            .chain(pairs)
            .map(OsString::as_os_str);
        let hosts = self.binds.iter().map(|bind| OsStr::new(bind.host.as_str()));
        let paths = [
            OsStr::new(self.program.as_str()),
            OsStr::new(self.cwd.as_str()),
        ];
        for word in words.chain(hosts).chain(paths) {
            if word.as_bytes().contains(&0) {
                return Err(refused(format!("{word:?} holds a NUL byte")));
            }
        }
        for (name, _) in &self.env {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return Err(refused(format!(
                    "{name:?} cannot name an environment variable"
                )));
            }
        }
        Ok(())
    }
}

fn is_plain(at: &Utf8Path) -> bool {
    let mut parts = at.as_str().split('/');
    parts.next() == Some("")
        && at
            .components()
            .skip(1)
            .all(|part| matches!(part, Utf8Component::Normal(_)))
        && parts.clone().count() > 0
        && parts.all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
}

fn refused(reason: impl Into<String>) -> SandboxError {
    SandboxError::Spec {
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_places_can_be_bound() {
        for at in ["/in", "/in/a b", "/in/é"] {
            assert!(Spec::new("/p").input("/h", at).check().is_ok(), "{at}");
        }
        for at in [
            "/", "", "in", "/in/", "/in//a", "/in/../a", "/in/./a", "/..", "/a\0b",
        ] {
            assert!(Spec::new("/p").input("/h", at).check().is_err(), "{at}");
        }
    }

    #[test]
    fn words_that_no_kernel_takes_are_refused() {
        assert!(Spec::new("/p").args(["a\0b"]).check().is_err());
        assert!(Spec::new("/p").env("A=B", "c").check().is_err());
        assert!(Spec::new("/p").env("", "c").check().is_err());
        assert!(Spec::new("p").check().is_err());
    }

    #[test]
    fn what_no_kernel_can_be_set_to_is_refused() {
        let changes: [fn(&mut Spec); 5] = [
            |spec| spec.hostname = String::new(),
            |spec| spec.hostname = "x".repeat(65),
            |spec| spec.umask = 0o1000,
            |spec| spec.cpus = Some(0),
            |spec| spec.identity = Identity::Other(u32::MAX),
        ];
        for change in changes {
            let mut spec = Spec::new("/p");
            change(&mut spec);
            assert!(spec.check().is_err());
        }
    }

    #[test]
    fn the_hosts_root_takes_no_declarations() {
        let mut spec = Spec::new("/p");
        spec.root = Root::Host;
        assert!(spec.check().is_ok());
        assert!(spec.clone().input("/h", "/in").check().is_err());
        assert!(spec.usual_places().check().is_err());
    }
}
