//! A throw-away home, store and working directory.

use std::ffi::OsStr;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Server, Sources, checkout};

/// Everything below one temporary folder; gone when it is dropped.
pub struct Scratch {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The same, after it is sure that the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    /// The same, after it is sure that the command failed in a civil way: the documented code, no
    /// panic, no backtrace, no control characters.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for word in ["panicked", "stack backtrace", "RUST_BACKTRACE"] {
            assert!(!self.err.contains(word), "{}", self.err);
        }
        let control = |char: char| char.is_control() && char != '\n';
        assert!(!self.err.contains(control), "{:?}", self.err);
        assert!(!self.err.trim().is_empty(), "a failure has to say why");
        self
    }
}

impl Scratch {
    /// An empty home and store, and a copy of this checkout's recipes to work in.
    pub fn new() -> Scratch {
        Scratch::below(None)
    }

    /// The same inside a folder of this name, which may hold blanks and more.
    pub fn below(name: Option<&str>) -> Scratch {
        let folder = tempfile::Builder::new()
            .prefix("recipe-test-")
            .tempdir()
            .expect("a folder");
        let mut scratch = Scratch {
            folder,
            variables: Vec::new(),
        };
        if let Some(name) = name {
            scratch.variables.push(("BELOW".into(), name.into()));
        }
        fs::create_dir_all(scratch.home()).expect("a home");
        fs::create_dir_all(scratch.work()).expect("a working directory");
        copy(&checkout().join("recipes"), &scratch.work().join("recipes"));
        scratch
    }

    /// The folder itself.
    pub fn path(&self) -> Utf8PathBuf {
        let path = Utf8Path::from_path(self.folder.path())
            .expect("UTF-8")
            .to_owned();
        match self.variables.iter().find(|(name, _)| name == "BELOW") {
            Some((_, name)) => path.join(name),
            None => path,
        }
    }

    pub fn home(&self) -> Utf8PathBuf {
        self.path().join("home")
    }

    /// Where commands are run.
    pub fn work(&self) -> Utf8PathBuf {
        self.path().join("work")
    }

    pub fn store(&self) -> Utf8PathBuf {
        self.home().join(".local/share/recipe/store")
    }

    /// The closure of the main job, once it is built.
    pub fn result(&self) -> Utf8PathBuf {
        self.work().join("result").join(super::MAIN_JOB)
    }

    /// Sets a variable for all commands.
    pub fn set(mut self, name: &str, value: &str) -> Scratch {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// All sources come from `server`, which is asked as if it were the machine's mirrors.
    pub fn from(self, server: &Server) -> Scratch {
        self.set("RECIPE_DEBIAN_MIRROR", &server.url("debian"))
            .set(
                "RECIPE_DEBIAN_SECURITY_MIRROR",
                &server.url("debian-security"),
            )
            .set("RECIPE_PYTHON_INDEX", &server.url("simple"))
    }

    /// All sources are local files: nothing is waited for.
    pub fn local(self, sources: &Sources) -> Scratch {
        self.from(sources.server())
    }

    /// The same, with a store that has every step of `python` and of the main job, as if somebody had built
    /// them: for tests of what comes after. Its files are those of other tests too: they may be deleted, and
    /// nobody damages them.
    pub fn warm(self, sources: &Sources) -> Scratch {
        self.filled(sources, "-al")
    }

    /// The same, with files of its own, for tests that damage them.
    pub fn warm_to_be_damaged(self, sources: &Sources) -> Scratch {
        self.filled(sources, "-a")
    }

    fn filled(self, sources: &Sources, how: &str) -> Scratch {
        let scratch = self.local(sources);
        let there = warmed(sources).store();
        fs::create_dir_all(scratch.store()).expect("a store");
        for folder in ["version", "blobs", "dirs", "traces"] {
            let from = there.join(folder);
            let status = Command::new("cp")
                .args([how, from.as_str(), scratch.store().as_str()])
                .status();
            assert!(status.expect("cp runs").success());
        }
        scratch
    }

    /// Steps are kept in one store by all tests of this run that ask for it, which come to the same
    /// sources from the live mirror. Nobody collects it or damages it.
    pub fn sharing(self) -> Scratch {
        static SHARED: OnceLock<tempfile::TempDir> = OnceLock::new();
        let folder = SHARED.get_or_init(|| {
            let mut folder = tempfile::Builder::new();
            folder.prefix("recipe-test-").tempdir().expect("a folder")
        });
        let store = folder.path().join("store");
        self.set("RECIPE_STORE", store.to_str().expect("UTF-8"))
    }

    /// Writes a file below [`Scratch::work`].
    pub fn write(&self, path: &str, text: &str) -> Utf8PathBuf {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(&path, text).expect("written");
        path
    }

    /// The command, not yet started.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_recipe"));
        command
            .args(args)
            .current_dir(self.work())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars() {
            if name.starts_with("RECIPE_") || name.starts_with("XDG_") {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.home())
            .envs(self.variables.iter().map(|(n, v)| (n, v)));
        command
    }

    /// Runs the command to its end.
    pub fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        let output = self.command(args).output().expect("the command starts");
        Ran {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts the command and does not wait for it.
    pub fn start(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Child {
        hearing(&self.command(args))
            .spawn()
            .expect("the command starts")
    }

    /// The id of the tree that the link of the main job leads to.
    pub fn closure_id(&self) -> String {
        let target = fs::read_link(self.result()).expect("a link");
        target
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    }

    /// The store is sound, says the store.
    #[track_caller]
    pub fn store_verifies(&self) {
        self.run(["store", "verify"]).ok();
    }
}

/// A store in which `python` and the main job were built.
fn warmed(sources: &Sources) -> &'static Scratch {
    static WARMED: OnceLock<Scratch> = OnceLock::new();
    WARMED.get_or_init(|| {
        let scratch = Scratch::new().local(sources);
        scratch
            .run(["build", "python", super::MAIN_JOB, "--locked"])
            .ok();
        scratch
    })
}

/// A closure of Python alone that is built already, for tests that only look; nobody changes it.
pub fn built() -> Option<&'static Scratch> {
    static BUILT: OnceLock<Option<Scratch>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let scratch = Scratch::new().local(super::sources()?);
        scratch.run(["build", "python", "--locked"]).ok();
        Some(scratch)
    });
    built.as_ref()
}

/// The same command, deaf to no signal: a shell's background jobs ignore SIGINT, and what they
/// start inherits that.
pub fn hearing(command: &Command) -> Command {
    let mut hearing = Command::new("env");
    hearing
        .arg("--default-signal=INT,TERM,HUP")
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().expect("a folder"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => hearing.env(name, value),
            None => hearing.env_remove(name),
        };
    }
    hearing
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    let status = Command::new("cp")
        .args(["-r", from.as_str(), to.as_str()])
        .status();
    assert!(status.expect("cp runs").success());
}
