//! One question to a project's build backend, in the sandbox → its answer. Begin at [`ask`].
//!
//! The backend sees the sysroot, the environment with its build requirements, and a copy of its source;
//! no network, ever. Locking and building ask in the same way, so that what was locked is what is built.
//! The Python is the distribution's own, at its usual place in the sysroot: its headers, its `sysconfig`
//! and the name that it gives to extension modules are what the closure's Python was made with, which
//! is the same package made relocatable.

use std::fs;
use std::io::Read as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{BlobId, Session, StepKey, TreeId};
use serde::Deserialize;

use super::environment::PLACE;
use super::source::BuildSystem;
use super::{SdistError, missing};
use crate::archive::{Limits, zip_with_plain_modes};
use crate::lock::error::offer_files;
use crate::python::WheelName;
use crate::sandbox::{Channel, Elsewhere, Level, Root, Sandbox, Spec, Status, Stdin, elsewhere};

const FRONT_END: &str = include_str!("hooks.py");
/// All that a try has said, beside the folders that it saw.
pub(crate) const LOG_FILE: &str = "log";
/// Where the backend puts what it makes.
const OUT: &str = "/out/answer";
/// How far a build can go: processes, bytes on disk, bytes said, time.
const PROCESSES: u64 = 4096;
const DISK: u64 = 64 << 30;
const LOG: u64 = 256 << 20;
const WALL: Duration = Duration::from_secs(6 * 3600);
/// No debugging information, which would name the folders of the build and be most of each file.
const FLAGS: &str = "-O2 -DNDEBUG -fwrapv -g0 -ffile-prefix-map=/tmp/build=.";

/// What a backend is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// What it needs besides what `pyproject.toml` says.
    Requires,
    /// The metadata that its wheel will have.
    Metadata,
    /// The wheel.
    Wheel,
}

/// Whom to ask, and what is there.
pub(crate) struct Work<'a> {
    /// The store.
    pub session: &'a Session,
    /// Where the backend runs.
    pub sandbox: &'a Sandbox,
    /// The machine that it sees.
    pub sysroot: &'a TreeId,
    /// Its build requirements: [`super::environment`].
    pub environment: &'a TreeId,
    /// Its source.
    pub source: &'a TreeId,
    /// How it is built.
    pub system: &'a BuildSystem,
    /// `psutil-7.0.0`: the folder of its source.
    pub name: &'a str,
    /// SOURCE_DATE_EPOCH, seconds since 1970.
    pub date: u64,
    /// How many jobs run at once; no fact of the result.
    pub jobs: usize,
    /// The step that asks: what a backend leaves that gives no answer is kept for it.
    pub step: Option<&'a StepKey>,
    /// Hears what the backend prints, as it prints it.
    pub ear: &'a dyn Fn(&[u8]),
    /// Another machine to ask on, where it is to be shown that the answer is the same there.
    pub elsewhere: Option<&'a Elsewhere>,
}

impl Work<'_> {
    /// Where the source lies, in a folder of its name.
    fn sources(&self) -> &'static str {
        elsewhere::sources(self.elsewhere)
    }
}

/// What it answered, and all that was said.
pub(crate) struct Heard {
    /// The version of the Python that ran.
    pub python: String,
    /// [`Question::Requires`].
    pub requires: Vec<String>,
    /// [`Question::Metadata`].
    pub metadata: String,
    /// [`Question::Wheel`]: its file name, and the file.
    pub wheel: Option<(String, BlobId)>,
    /// All that was said.
    pub log: Vec<u8>,
    /// How far it was shut in.
    pub level: Level,
}

#[derive(Deserialize)]
struct Answer {
    python: String,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    metadata: String,
    wheel: Option<String>,
}

/// A backend that gave no answer.
#[derive(Debug)]
pub struct FailedHook {
    /// What it was to tell or make.
    pub what: &'static str,
    /// How it ended.
    pub how: String,
    /// The first line that tells why, and the last lines.
    pub said: String,
    /// All that was said.
    pub log: Vec<u8>,
    /// Files that it missed, and the Debian packages that have them, as far as somebody looked.
    pub offered: Vec<(String, Vec<String>)>,
}

impl FailedHook {
    /// Headers, libraries and programs that were looked for and not found.
    pub fn missing(&self) -> Vec<String> {
        missing::files(&String::from_utf8_lossy(&self.log))
    }

    pub(super) fn advice(&self) -> String {
        match offer_files(&self.offered) {
            offers if offers.is_empty() => {
                "what its build needs besides Python's own packages has \
                                            to be in the recipe's `sysroot`"
                    .to_owned()
            }
            offers => offers.join("; "),
        }
    }
}

/// Asks.
pub(crate) fn ask(work: &Work<'_>, question: Question) -> Result<Heard, SdistError> {
    let scratch = work.session.scratch()?;
    let place = Place::new(work, scratch.path())?;
    place.fill(work)?;
    let answered = ask_in(work, question, &place);
    if let (Err(SdistError::Hook(failed)), Some(step)) = (&answered, work.step) {
        let path = scratch.path().join(LOG_FILE);
        fs::write(&path, &failed.log).map_err(|error| SdistError::Folder { path, error })?;
        scratch.keep(step)?;
    }
    answered
}

/// What one would type to ask for the wheel.
pub(crate) fn by_hand(system: &BuildSystem) -> String {
    let (module, attribute) = match system.backend.split_once(':') {
        Some((module, attribute)) => (module, format!(".{attribute}")),
        None => (system.backend.as_str(), String::new()),
    };
    let path = match system.paths.as_slice() {
        [] => String::new(),
        paths => format!("PYTHONPATH={} ", paths.join(":")),
    };
    format!("{path}python3 -c 'import {module}; print({module}{attribute}.build_wheel(\"{OUT}\"))'")
}

/// The sandbox of a backend for a person, in `folder`: as it was left there, or `fresh`.
pub(crate) fn attended(
    work: &Work<'_>,
    folder: &Utf8Path,
    fresh: bool,
) -> Result<Spec, SdistError> {
    let place = Place::new(work, folder)?;
    if fresh {
        place.fill(work)?;
    }
    Ok(spec(work, &place, Question::Wheel))
}

fn ask_in(work: &Work<'_>, question: Question, place: &Place) -> Result<Heard, SdistError> {
    let spec = spec(work, place, question);
    let (mut answer, mut log) = (Vec::new(), Vec::new());
    let outcome = work.sandbox.run_watched(
        &spec,
        Stdin::Empty,
        &mut |channel: Channel, bytes| match channel {
            Channel::Stdout => answer.extend_from_slice(bytes),
            Channel::Stderr => {
                (work.ear)(bytes);
                log.extend_from_slice(bytes);
            }
        },
    )?;
    let failed = |how: String, log: Vec<u8>| {
        SdistError::Hook(Box::new(FailedHook {
            what: question.what(),
            how,
            said: missing::told(&log),
            log,
            offered: Vec::new(),
        }))
    };
    if !outcome.success() {
        return Err(failed(ended(outcome.status), log));
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(&answer) else {
        return Err(failed("its answer makes no sense".to_owned(), log));
    };
    let wheel = match answer.wheel {
        Some(name) => match wheel(work.session, place, &name)? {
            Some(blob) => Some((name, blob)),
            None => return Err(failed(format!("it made no wheel {name:?}"), log)),
        },
        None => None,
    };
    Ok(Heard {
        python: answer.python,
        requires: answer.requires,
        metadata: answer.metadata,
        wheel,
        log,
        level: outcome.level,
    })
}

impl Question {
    fn word(self) -> &'static str {
        match self {
            Question::Requires => "requires",
            Question::Metadata => "metadata",
            Question::Wheel => "wheel",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Question::Requires => "what it needs to be built",
            Question::Metadata => "its metadata",
            Question::Wheel => "its wheel",
        }
    }
}

fn ended(status: Status) -> String {
    match status {
        Status::Exited(code) => format!("exit code {code}"),
        Status::Signalled(signal) => format!("killed by signal {signal}"),
        Status::TimedOut => "stopped: it took too long".into(),
        Status::TooMuchOutput => "stopped: it printed too much".into(),
        Status::TooMuchDisk => "stopped: it wrote too much to disk".into(),
        Status::Stopped => "stopped".into(),
    }
}

/// The folders of one question.
struct Place {
    /// What holds `/tmp` and `/out`.
    folder: Utf8PathBuf,
    sysroot: Utf8PathBuf,
    environment: Utf8PathBuf,
}

impl Place {
    fn new(work: &Work<'_>, folder: &Utf8Path) -> Result<Place, SdistError> {
        Ok(Place {
            sysroot: match work.elsewhere {
                // The next build finds it laid out.
                None => work.session.checkout(work.sysroot)?,
                // Of what is only compared nothing is committed.
                Some(_) => work.session.checkout_private(work.sysroot)?,
            },
            environment: work.session.checkout_private(work.environment)?,
            folder: folder.to_owned(),
        })
    }

    /// Makes the folders, with the source in them.
    fn fill(&self, work: &Work<'_>) -> Result<(), SdistError> {
        let source = self.host(work.sources()).join(work.name);
        for folder in [&source, &self.host(OUT)] {
            fs::create_dir_all(folder).map_err(|error| SdistError::Folder {
                path: folder.clone(),
                error,
            })?;
        }
        work.session
            .checkout_writable(work.source, &source, work.date)?;
        Ok(())
    }

    /// Where a writable path of the sandbox lies.
    fn host(&self, path: &str) -> Utf8PathBuf {
        self.folder.join(path.trim_start_matches('/'))
    }
}

fn spec(work: &Work<'_>, place: &Place, question: Question) -> Spec {
    let path = format!("{PLACE}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    let system = work.system;
    let flags = elsewhere::moved(work.elsewhere, FLAGS);
    let mut spec = Spec::build(format!("{PLACE}/bin/python3"))
        .args(["-B", "-s", "-c", FRONT_END, question.word(), OUT])
        .args([&system.backend])
        .args(&system.paths)
        .input(&place.environment, PLACE)
        .output(place.host("/tmp"), "/tmp")
        .output(place.host("/out"), "/out")
        .env("PATH", path)
        .env("VIRTUAL_ENV", PLACE)
        .env("SOURCE_DATE_EPOCH", work.date.to_string())
        .env("LD_LIBRARY_PATH", "/usr/local/lib")
        .env("PYTHONHASHSEED", "0")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CFLAGS", &flags)
        .env("CXXFLAGS", &flags)
        .env("CMAKE_BUILD_PARALLEL_LEVEL", work.jobs.max(1).to_string())
        .env("MAX_JOBS", work.jobs.max(1).to_string());
    if let Some(elsewhere) = work.elsewhere {
        spec = elsewhere.change(spec);
    }
    spec.root = Root::Tree(place.sysroot.clone());
    spec.tmp = false;
    spec.cwd = format!("{}/{}", work.sources(), work.name).into();
    spec.limits.processes = Some(PROCESSES);
    spec.limits.disk = Some(DISK);
    spec.limits.output = LOG;
    spec.limits.wall = Some(WALL);
    spec
}

/// The wheel that was made. Whatever lies there was made by strangers: only a plain file of a wheel's
/// name is opened, and nothing runs any more that could put another in its place.
fn wheel(session: &Session, place: &Place, name: &str) -> Result<Option<BlobId>, SdistError> {
    if name.contains('/') || name.parse::<WheelName>().is_err() {
        return Ok(None);
    }
    let path = place.host(OUT).join(name);
    let failed = |error| SdistError::Folder {
        path: path.clone(),
        error,
    };
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_file() => {}
        _ => return Ok(None),
    }
    let file = open_no_follow(&path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    // What packed it took modes from its folder: the umask has no say in a wheel.
    let mut plain = zip_with_plain_modes(file, name, &Limits::default())?.take(size);
    Ok(Some(session.put_reader(&mut plain, false, size)?))
}

fn open_no_follow(path: &Utf8Path) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
}
