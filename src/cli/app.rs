//! What commands share: configuration, store, network, and how a recipe becomes a closure.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{Session, Store};

use super::config::{Config, here};
use super::exit::Failed;
use super::found::Found;
use super::interrupt::Unfinished;
use super::render::{self, Progress};
use crate::lock::Lock;
use crate::net::{Machine, Net, Watch};
use crate::recipe::{Recipe, Search};
use crate::sandbox::Sandbox;

/// One run of the command.
pub(super) struct App {
    pub(super) config: Config,
    pub(super) quiet: bool,
    /// Where recipes are looked for that others build on.
    pub(super) search: Search,
    /// Whether an answer in JSON was printed: there is only ever one.
    answered: AtomicBool,
}

impl App {
    pub(super) fn new(config: Config, quiet: bool) -> App {
        let here = std::iter::once(Utf8PathBuf::from("recipes"));
        let folders: Vec<_> = here.chain(config.recipes.iter().cloned()).collect();
        App {
            search: folders.into(),
            config,
            quiet,
            answered: AtomicBool::new(false),
        }
    }

    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn store(&self) -> Result<Store, Failed> {
        Ok(Store::open(&self.config.store)?)
    }

    /// A mirror on the command line that cannot be one is told, also where nothing is fetched.
    pub(super) fn check_mirrors(&self) -> Result<(), Failed> {
        let flags = &self.config.network.flags;
        let checked = flags.check("the command line");
        checked.map_err(|error| Failed::Usage(error.into()))
    }

    /// The store, where there is one to look after.
    pub(super) fn present_store(&self) -> Result<Store, Failed> {
        let path = &self.config.store;
        if !path.exists() {
            return Err(Failed::Usage(super::advice::report(
                format!("there is no store at {path}"),
                "a build makes one; `--store DIR` names another".into(),
            )));
        }
        self.store()
    }

    pub(super) fn net(&self, watch: Arc<dyn Watch>) -> Result<Net, Failed> {
        let network = &self.config.network;
        let settings = Machine::read(network.environment.clone())
            .settings(&network.flags, &network.file)
            .map_err(|error| Failed::Usage(error.into()))?;
        Ok(Net::new(settings, watch))
    }

    pub(super) fn sandbox(&self) -> Result<Sandbox, Failed> {
        let helper = std::env::current_exe()
            .ok()
            .and_then(|path| Utf8PathBuf::from_path_buf(path).ok())
            .ok_or_else(|| {
                Failed::Usage(super::advice::report(
                    "the path of this program cannot be found".into(),
                    "mount /proc, and keep the program where its path is valid UTF-8".into(),
                ))
            })?;
        Ok(Sandbox::new(helper))
    }

    /// Prints a result to standard output.
    pub(super) fn say(&self, text: &str) -> Result<(), Failed> {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            // Whoever read it has seen enough (`recipe ... | head -1`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failed::File(super::advice::report(
                format!("the result could not be printed: {error}"),
                "give standard output a place that takes it".into(),
            ))),
            Ok(()) => Ok(()),
        }
    }

    /// Tells something on standard error, unless quiet.
    pub(super) fn tell(&self, text: &str) {
        if !self.quiet {
            // A closed standard error stops nothing.
            let _ = writeln!(std::io::stderr(), "{}", render::printable(text));
        }
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::new(Progress::new(self.quiet))
    }

    /// The lock that belongs to `recipe`: the file, or a new one where it is absent or out of date.
    pub(super) fn lock_for(
        &self,
        recipe: &Recipe,
        found: &Found,
        session: &Session,
        locked: bool,
    ) -> Result<Lock, Failed> {
        let lock = self.read_lock(found)?;
        self.lock_in_force(lock, recipe, found, session, locked)
    }

    /// The same for a lock that was read from its file.
    pub(super) fn lock_in_force(
        &self,
        lock: Option<Lock>,
        recipe: &Recipe,
        found: &Found,
        session: &Session,
        locked: bool,
    ) -> Result<Lock, Failed> {
        let why = match lock {
            Some(lock) if lock.platform != recipe.platform => {
                format!("its lock is for {}", lock.platform)
            }
            Some(lock) => {
                let differences = crate::lock::out_of_date(&lock, recipe);
                if differences.is_empty() {
                    return Ok(lock);
                }
                format!("its lock is out of date\n  {}", first_lines(&differences))
            }
            None => "it has no lock yet".to_owned(),
        };
        if locked {
            return Err(Failed::Stale(super::advice::report(
                format!("{}: {why}", recipe.title()),
                format!("run `recipe lock {}` and review the change", found.typed()),
            )));
        }
        self.tell(&format!("Locking {}: {why}", recipe.title()));
        let previous = self.read_lock(found)?;
        let lock = self.make_lock(
            recipe,
            previous.as_ref(),
            session,
            crate::lock::Upgrade::Nothing,
        )?;
        write_lock(&found.lock_path, &lock)?;
        Ok(lock)
    }

    /// The lock file, if there is one.
    pub(super) fn read_lock(&self, found: &Found) -> Result<Option<Lock>, Failed> {
        if found.lock_text.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8(found.lock_text.clone()).map_err(|_| {
            Failed::Stale(super::advice::report(
                format!("{} is not text", found.lock_path),
                "restore it from version control, or delete it and run `recipe lock`".into(),
            ))
        })?;
        Ok(Some(crate::lock::file::read(
            found.lock_path.as_str(),
            &text,
        )?))
    }

    /// Asks the world, and gives a lock that is not yet written.
    pub(super) fn make_lock(
        &self,
        recipe: &Recipe,
        previous: Option<&Lock>,
        session: &Session,
        upgrade: crate::lock::Upgrade,
    ) -> Result<Lock, Failed> {
        let progress = self.progress();
        let (net, sandbox) = (self.net(progress.clone())?, self.sandbox()?);
        let context = crate::lock::Context::new(&net, session, &sandbox, now());
        let options = crate::lock::Options {
            upgrade,
            allow_expired: false,
            platform: recipe.platform,
            builder: super::running::own_platform(),
        };
        let lock = crate::lock::lock(recipe, previous, &context, &options);
        progress.finish();
        Ok(lock?)
    }
}

/// As many as one can take in, and how many more there are.
fn first_lines(lines: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = lines[..lines.len().min(SHOWN)].join("\n  ");
    if lines.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", lines.len() - SHOWN));
    }
    text
}

/// Seconds since 1970: whether an index has expired is a question to the clock.
pub(super) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Writes a lock beside its recipe.
pub(super) fn write_lock(path: &Utf8Path, lock: &Lock) -> Result<(), Failed> {
    replace(path, crate::lock::file::write(lock).as_bytes())
}

/// Writes a file of the user: aside first, then renamed, so that it is old or new, whole. A link
/// stays a link, and what may be done with the file stays as it was.
pub(super) fn replace(path: &Utf8Path, bytes: &[u8]) -> Result<(), Failed> {
    let real = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
    let aside = Utf8PathBuf::from(format!("{real}.{}", std::process::id()));
    let _unfinished = Unfinished::new(&aside);
    let written = fs::write(&aside, bytes)
        .and_then(|()| match fs::metadata(&real) {
            Ok(before) => fs::set_permissions(&aside, before.permissions()),
            Err(_) => Ok(()),
        })
        .and_then(|()| fs::File::open(&aside)?.sync_all())
        .and_then(|()| fs::rename(&aside, &real));
    written.map_err(|error| {
        // Whether it is there to be removed or not, the message below is what matters.
        let _ = fs::remove_file(&aside);
        Failed::File(super::advice::report(
            format!("{path} could not be written: {error}"),
            "make its folder writable, or copy the recipe to a folder of your own".into(),
        ))
    })
}

pub(super) fn unreadable(path: &Utf8Path, error: &std::io::Error) -> Failed {
    Failed::File(super::advice::report(
        format!("{path} could not be read: {error}"),
        "check that it is a file you may read".into(),
    ))
}

/// `result/NAME` below the current directory, or what `-o` says.
pub(super) fn link_path(name: &str, link: Option<&Utf8Path>) -> Utf8PathBuf {
    here().join(link.map_or_else(|| Utf8Path::new("result").join(name), Utf8Path::to_owned))
}
