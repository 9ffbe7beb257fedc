//! `recipe lock`: every file a build needs, exact and hashed, written beside the recipe.

use camino::Utf8Path;
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::{App, write_lock};
use super::changes::{LockChange, changes};
use super::exit::Failed;
use super::found::{Forms, Found};
use crate::lock::{Lock, Upgrade, near};

/// What `recipe lock` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    /// With --upgrade: only these, by the name of a package, of its source package, or of a project
    #[arg(value_name = "PACKAGE", requires = "upgrade")]
    packages: Vec<String>,
    /// Take the newest versions: of everything, or of the packages named
    #[arg(long)]
    upgrade: bool,
    /// Change nothing: fail when the lock is absent or out of date. Needs no network
    #[arg(long, alias = "check", conflicts_with = "upgrade")]
    locked: bool,
    /// The recipe as it is written and all its variants, one after the other
    #[arg(long)]
    all_variants: bool,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    locks: Vec<OneLock>,
}

#[derive(Serialize)]
struct OneLock {
    path: String,
    files: usize,
    written: bool,
    changes: Vec<LockChange>,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let words = if args.all_variants {
        app.all_variants(&args.name, &args.forms)?
    } else {
        vec![args.name.clone()]
    };
    let mut answer = Answer { locks: Vec::new() };
    for word in words {
        let lock = one(args, app, &mut app.find(&word, &args.forms)?)?;
        if !args.form.json {
            app.say(&lock.text(args.locked))?;
        }
        answer.locks.push(lock);
    }
    app.answer(args.form, "lock", &answer, String::new)
}

/// One form of the recipe.
fn one(args: &Args, app: &App, found: &mut Found) -> Result<OneLock, Failed> {
    let recipe = found.recipe()?;
    let found = &*found;
    let store = app.store()?;
    let session = store.session()?;
    if args.locked {
        let lock = app.lock_for(&recipe, found, &session, true)?;
        return Ok(OneLock {
            path: found.lock_path.to_string(),
            files: lock.files.len(),
            written: false,
            changes: Vec::new(),
        });
    }
    let previous = previous(found, app)?;
    let upgrade = match args.packages.as_slice() {
        _ if !args.upgrade => Upgrade::Nothing,
        [] => Upgrade::Everything,
        names => {
            known(names, previous.as_ref(), &found.lock_path)?;
            Upgrade::These(names.to_vec())
        }
    };
    let mut lock = app.make_lock(&recipe, previous.as_ref(), &session, upgrade)?;
    if previous.is_none() {
        lock.serial += serial(&found.lock_text);
    }
    session.commit()?;
    let same = previous.as_ref().is_some_and(|previous| *previous == lock);
    if !same {
        write_lock(&found.lock_path, &lock)?;
    }
    Ok(OneLock {
        path: found.lock_path.to_string(),
        files: lock.files.len(),
        written: !same,
        changes: previous.map_or_else(Vec::new, |previous| changes(&previous, &lock)),
    })
}

impl OneLock {
    fn text(&self, locked: bool) -> String {
        if locked {
            return format!("{} is up to date", self.path);
        }
        if !self.written {
            return format!("{} is up to date: nothing changed", self.path);
        }
        let lines: String = self.changes.iter().map(LockChange::line).collect();
        let text = format!("Wrote {}: {} files\n{lines}", self.path, self.files);
        text.trim_end().to_owned()
    }
}

/// The lock before, if it can be read. One that cannot is what this command mends: it is told, and
/// written anew; but not one that a later version of this program wrote.
fn previous(found: &Found, app: &App) -> Result<Option<Lock>, Failed> {
    let failed = match app.read_lock(found) {
        Ok(lock) => return Ok(lock),
        Err(failed) => failed,
    };
    let text = String::from_utf8_lossy(&found.lock_text);
    let format = text
        .lines()
        .find_map(|line| line.strip_prefix("lock ")?.split(' ').next());
    let format: Option<u64> = format.and_then(|format| format.parse().ok());
    if format.is_some_and(|format| format > crate::lock::file::FORMAT) {
        return Err(failed);
    }
    app.tell(&format!(
        "{} cannot be read, so nothing of it is kept: it is written anew",
        found.lock_path
    ));
    Ok(None)
}

/// The serial number of a lock that cannot be read: counting goes on from it. 0 where there is none.
fn serial(text: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let serial = lines.find_map(|line| line.trim().strip_prefix("serial ")?.parse().ok());
    // A number that leaves no room to count on was never written by us.
    serial
        .filter(|serial| *serial < u64::from(u32::MAX))
        .unwrap_or(0)
}

/// Every name has to be one that the lock knows: a typing mistake would upgrade nothing, silently.
fn known(names: &[String], previous: Option<&Lock>, path: &Utf8Path) -> Result<(), Failed> {
    let files = || previous.into_iter().flat_map(|lock| &lock.files);
    for name in names {
        if files().any(|file| file.is_called(name) || file.source == *name) {
            continue;
        }
        let question = near::question(name, files().map(|file| file.name.as_str()));
        return Err(Failed::Usage(report(
            format!("{path} has no package {name} that could be upgraded"),
            question.unwrap_or_else(|| "that file lists what there is".to_owned()),
        )));
    }
    Ok(())
}
