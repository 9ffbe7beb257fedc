//! `recipe doctor`: what this machine cannot do, and the one line that mends it.
//!
//! Nothing is changed: what has to be tried is tried in a sandbox or with a file that goes at once.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use miette::Diagnostic as _;
use reqwest::Url;
use rustix::fs::StatVfsMountFlags;
use serde::Serialize;

use super::advice::{advice, report};
use super::answer::Form;
use super::app::App;
use super::config::here;
use super::exit::Failed;
use super::render::{bytes, plural, printable};
use crate::net::{Machine, Net, NetError, Settings, Silence, shown};
use crate::platform::Platform;
use crate::recipe::Recipe;
use crate::sandbox::Level;

/// What `recipe doctor` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    sound: bool,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    check: &'static str,
    state: State,
    found: String,
    /// What to do, where something is to be done.
    mend: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    /// Builds work, with less.
    Limited,
    Bad,
}

/// Below this a build may not end.
const ROOM: u64 = 2_000_000_000;
/// `mount_setattr`, which makes a sandbox's files read-only.
const KERNEL: (u32, u32) = (5, 12);
const INDEX_PAGE: &str = "application/vnd.pypi.simple.v1+json, text/html;q=0.5";

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let mut checks = vec![processor(app), kernel(), sandbox(app)];
    checks.extend(store(app));
    checks.extend(network(app));
    checks.extend([recipes(app), folder()]);
    let bad = checks.iter().filter(|check| check.state == State::Bad);
    let bad = bad.count();
    let answer = Answer {
        sound: bad == 0,
        checks,
    };
    app.answer(args.form, "doctor", &answer, || printable(&answer.text()))?;
    if answer.sound {
        return Ok(());
    }
    Err(Failed::Unfit(report(
        format!(
            "{} of this machine {} in the way",
            plural(bad, "thing"),
            if bad == 1 { "stands" } else { "stand" }
        ),
        "do what is said after `mend:` above, then ask again".into(),
    )))
}

impl Answer {
    fn text(&self) -> String {
        let lines: Vec<String> = self.checks.iter().map(Check::line).collect();
        lines.join("\n")
    }
}

impl Check {
    fn good(check: &'static str, found: impl Into<String>) -> Check {
        Check {
            check,
            state: State::Good,
            found: found.into(),
            mend: None,
        }
    }

    fn with(
        check: &'static str,
        state: State,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Check {
        Check {
            check,
            state,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }

    fn line(&self) -> String {
        let state = match self.state {
            State::Good => "good",
            State::Limited => "limited",
            State::Bad => "bad",
        };
        let mut line = format!("{state:8} {:15} {}", self.check, self.found);
        if let Some(mend) = &self.mend {
            line.push_str(&format!("\n{:8} {:15} mend: {mend}", "", ""));
        }
        line
    }
}

/// This machine's processor, and how closures for others are proved here.
fn processor(app: &App) -> Check {
    let Some(own) = Platform::here() else {
        return Check::with(
            "processor",
            State::Bad,
            format!("{}; closures are run to be proved", std::env::consts::ARCH),
            "build on an x86_64 or aarch64 machine",
        );
    };
    let mut found = own.processor().to_owned();
    for other in Platform::ALL.into_iter().filter(|other| *other != own) {
        let running = app.running(other);
        let how = match running.emulator() {
            Some(emulator) => format!("are run by {}", emulator.program),
            None => format!("are proved by their files: {}", running.reason()),
        };
        found.push_str(&format!("; closures for {} {how}", other.processor()));
    }
    Check::good("processor", found)
}

fn kernel() -> Check {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let found = format!("Linux {release}");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|text| text.parse::<u32>().ok());
    let version = (number().unwrap_or(0), number().unwrap_or(0));
    if version >= KERNEL {
        return Check::good("kernel", found);
    }
    let (major, minor) = KERNEL;
    Check::with(
        "kernel",
        State::Bad,
        format!("{found}; builds want {major}.{minor} or later, closures run on older ones too"),
        "build on a machine with a newer kernel",
    )
}

/// How far programs are shut in here.
fn sandbox(app: &App) -> Check {
    let sandbox = match app.sandbox() {
        Ok(sandbox) => sandbox,
        Err(failed) => {
            return Check::with("sandbox", State::Bad, failed.message(), advice(&failed));
        }
    };
    let namespaces = "programs run in namespaces of their own";
    match sandbox.level() {
        Ok(Level::Landlocked) => Check::good(
            "sandbox",
            format!("{namespaces}, behind a filter of system calls and Landlock"),
        ),
        Ok(Level::Filtered) => Check::with(
            "sandbox",
            State::Limited,
            format!("{namespaces}, behind a filter of system calls; there is no Landlock"),
            "as root: add `landlock` to the kernel's parameter `lsm=`; Linux 5.19 or later has it",
        ),
        Ok(Level::Namespaces | Level::None) => Check::with(
            "sandbox",
            State::Limited,
            format!("{namespaces}; system calls are not filtered"),
            "use a kernel with CONFIG_SECCOMP_FILTER, as every distribution's has it",
        ),
        Err(error) => {
            let source = std::error::Error::source(&error);
            let why = source.map_or_else(String::new, |source| format!(": {source}"));
            let mend = error
                .help()
                .map_or_else(|| "please report this".to_owned(), |help| help.to_string());
            Check::with("sandbox", State::Bad, format!("{error}{why}"), mend)
        }
    }
}

fn store(app: &App) -> Vec<Check> {
    let store = match app.store() {
        Ok(store) => store,
        Err(failed) => {
            return vec![Check::with(
                "store",
                State::Bad,
                failed.message(),
                advice(&failed),
            )];
        }
    };
    let path = store.path();
    let mut checks = vec![Check::good("store", path.as_str())];
    checks.extend(match rustix::fs::statvfs(path.as_std_path()) {
        Ok(stat) => vec![
            room(stat.f_bavail.saturating_mul(stat.f_frsize)),
            mount(path, stat.f_flag),
        ],
        Err(error) => vec![Check::with(
            "disk",
            State::Bad,
            format!("{path}: {error}"),
            "name another place for the store: `--store DIR`",
        )],
    });
    checks.push(links(path));
    checks
}

fn room(free: u64) -> Check {
    let found = format!("{} free for the store", bytes(free));
    if free >= ROOM {
        return Check::good("disk", found);
    }
    Check::with(
        "disk",
        State::Limited,
        format!(
            "{found}; a first build of a Python takes about {}",
            bytes(ROOM)
        ),
        "`recipe gc` deletes what no result needs, or put the store elsewhere: `--store DIR`",
    )
}

fn mount(path: &Utf8Path, flags: StatVfsMountFlags) -> Check {
    let elsewhere = "put the store elsewhere: `--store DIR`";
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Check::with(
            "mount",
            State::Bad,
            format!("{path} is read-only"),
            elsewhere,
        );
    }
    if flags.contains(StatVfsMountFlags::NOEXEC) {
        let found = format!("{path} is mounted noexec: closures run only after they are exported");
        return Check::with("mount", State::Bad, found, elsewhere);
    }
    Check::good("mount", "files may be written and run")
}

/// Tries what the store does to files, with two files that go at once.
fn links(path: &Utf8Path) -> Check {
    let name = |what: &str| path.join(format!("tmp/.doctor-{}-{what}", std::process::id()));
    let (one, link, copy) = (name("file"), name("link"), name("copy"));
    let tried = try_links(&one, &link, &copy);
    for file in [one, link, copy] {
        // What was never made need not go.
        let _ = fs::remove_file(file);
    }
    match tried {
        Ok((true, true)) => Check::good("file system", "hard links and shared blocks"),
        Ok((true, false)) => Check::good("file system", "hard links; copies do not share blocks"),
        Ok((false, shares)) => Check::with(
            "file system",
            State::Limited,
            if shares {
                "no hard links; copies share blocks"
            } else {
                "neither hard links nor shared blocks: every result is a full copy"
            },
            "put the store on a file system of Linux (ext4, xfs, btrfs): `--store DIR`",
        ),
        Err(error) => Check::with(
            "file system",
            State::Bad,
            format!("nothing can be written to {path}: {error}"),
            "make it writable, or put the store elsewhere: `--store DIR`",
        ),
    }
}

/// Whether hard links work, and whether copies share blocks.
fn try_links(one: &Utf8Path, link: &Utf8Path, copy: &Utf8Path) -> std::io::Result<(bool, bool)> {
    let mut file = File::create_new(one)?;
    file.write_all(&[7; 4096])?;
    file.sync_all()?;
    let linked = fs::hard_link(one, link).is_ok() && fs::metadata(link)?.nlink() > 1;
    let shared = rustix::fs::ioctl_ficlone(File::create_new(copy)?, File::open(one)?).is_ok();
    Ok((linked, shared))
}

fn network(app: &App) -> Vec<Check> {
    let network = &app.config.network;
    let settings =
        Machine::read(network.environment.clone()).settings(&network.flags, &network.file);
    let mut settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            let mend = error
                .help()
                .map_or_else(String::new, |help| help.to_string());
            return vec![Check::with("network", State::Bad, error.to_string(), mend)];
        }
    };
    // Whoever asks a doctor does not wait for minutes.
    settings.timing.tries = 1;
    settings.timing.connect = Duration::from_secs(5);
    settings.timing.idle = Duration::from_secs(10);
    let mut checks: Vec<Check> = settings
        .notes
        .iter()
        .map(|note| Check::good("settings", note.clone()))
        .collect();
    if let Some(variables) =
        (!settings.proxies.variables.is_empty()).then(|| settings.proxies.variables.join(", "))
    {
        checks.push(Check::good("proxy", format!("set by {variables}")));
    }
    checks.extend(mirrors(&settings));
    checks
}

fn mirrors(settings: &Settings) -> Vec<Check> {
    let net = Net::new(settings.clone(), Arc::new(Silence));
    let mut checks = Vec::new();
    for (check, archive, file, setting) in [
        (
            "Debian mirror",
            "debian",
            "dists/stable/InRelease",
            "--debian-mirror",
        ),
        (
            "Debian security",
            "debian-security",
            "dists/stable-security/InRelease",
            "--debian-security-mirror",
        ),
        ("Python index", "python", "pip/", "--python-index"),
    ] {
        let mirrors = settings.mirrors(archive);
        checks.extend(
            mirrors
                .iter()
                .map(|mirror| answers(check, mirror, file, &net)),
        );
        match (mirrors, archive) {
            ([], "python") => checks.push(Check::good(
                check,
                "none is set: the one that the locked pip has built in is used",
            )),
            ([], _) => checks.push(Check::with(
                check,
                State::Limited,
                "none is set, and apt of this machine knows none: what is not in the store cannot be fetched",
                format!("name one: `{setting} URL`, or set it in the configuration file"),
            )),
            _ => {}
        }
    }
    checks
}

/// Any answer counts, also that it has no such file: only silence is told.
fn answers(check: &'static str, mirror: &Url, file: &str, net: &Net) -> Check {
    let name = shown(mirror);
    let mut url = mirror.clone();
    url.set_path(&format!("{}/{file}", mirror.path().trim_end_matches('/')));
    match net.page(&url, INDEX_PAGE, 64 << 20) {
        Ok(_) | Err(NetError::Gone { .. }) => Check::good(check, format!("{name} answers")),
        Err(NetError::Offline { .. }) => Check::with(
            check,
            State::Limited,
            format!("{name} was not asked: the network is forbidden"),
            "leave out --offline, or unset RECIPE_OFFLINE",
        ),
        Err(error) => {
            let mend = error
                .help()
                .map_or_else(String::new, |help| help.to_string());
            let said = error.to_string();
            let last = said.lines().last().unwrap_or_default().trim();
            Check::with(check, State::Bad, last.to_owned(), mend)
        }
    }
}

/// A build writes the lock beside a recipe in `./recipes`, and links to the closure from `./result`.
fn folder() -> Check {
    let here = here();
    let path = here.join(format!(".doctor-{}", std::process::id()));
    let tried = File::create_new(&path);
    // What was never made need not go.
    let _ = fs::remove_file(&path);
    match tried {
        Ok(_) => Check::good("current folder", here.as_str()),
        Err(error) => Check::with(
            "current folder",
            State::Limited,
            format!("nothing can be written to {here}: {error}"),
            "change to a folder that you may write to, or name the result of a build: `--out-link LINK`",
        ),
    }
}

fn recipes(app: &App) -> Check {
    let names = Recipe::names(&app.config.recipes);
    if names.is_empty() {
        let folders: Vec<&str> = app
            .config
            .recipes
            .iter()
            .map(|folder| folder.as_str())
            .collect();
        let found = match folders.as_slice() {
            [] => "none in ./recipes".to_owned(),
            folders => format!("none in ./recipes, {}", folders.join(", ")),
        };
        let mend = "change to a folder with recipes, or name one: `recipes \"DIR\"` in the configuration file";
        return Check::with("recipes", State::Limited, found, mend);
    }
    Check::good("recipes", plural(names.len(), "recipe"))
}
