//! `recipe lock`: every file a build needs, exact and hashed, written beside the recipe.

use super::app::{App, write_lock};
use super::exit::Failed;
use super::found::{Forms, Found};
use super::render::report;
use crate::lock::{Lock, Upgrade};

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
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    if args.all_variants {
        return all(args, app);
    }
    let mut found = app.find(&args.name, &args.forms)?;
    one(args, app, &mut found)
}

/// Each form after the other.
fn all(args: &Args, app: &App) -> Result<(), Failed> {
    for word in app.all_variants(&args.name, &args.forms)? {
        one(args, app, &mut app.find(&word, &args.forms)?)?;
    }
    Ok(())
}

fn one(args: &Args, app: &App, found: &mut Found) -> Result<(), Failed> {
    let recipe = found.recipe()?;
    let found = &*found;
    let store = app.store()?;
    let session = store.session()?;
    if args.locked {
        app.lock_for(&recipe, found, &session, true)?;
        return app.say(&format!("{} is up to date", found.lock_path));
    }
    let previous = previous(found, app)?;
    let upgrade = match args.packages.as_slice() {
        _ if !args.upgrade => Upgrade::Nothing,
        [] => Upgrade::Everything,
        names => {
            known(names, previous.as_ref())?;
            Upgrade::These(names.to_vec())
        }
    };
    let lock = app.make_lock(&recipe, previous.as_ref(), &session, upgrade)?;
    session.commit()?;
    let changes = changes(previous.as_ref(), &lock);
    if previous.as_ref().is_some_and(|previous| *previous == lock) {
        return app.say(&format!(
            "{} is up to date: nothing changed",
            found.lock_path
        ));
    }
    write_lock(&found.lock_path, &lock)?;
    let text = format!(
        "Wrote {}: {} files\n{changes}",
        found.lock_path,
        lock.files.len()
    );
    app.say(text.trim_end())
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

/// Every name has to be one that the lock knows: a typing mistake would upgrade nothing, silently.
fn known(names: &[String], previous: Option<&Lock>) -> Result<(), Failed> {
    let files = || previous.into_iter().flat_map(|lock| &lock.files);
    for name in names {
        if files().any(|file| file.name == *name || file.source == *name) {
            continue;
        }
        let near = crate::lock::near::nearest(name, files().map(|file| file.name.as_str()));
        return Err(Failed::Usage(report(
            format!("the lock has no package {name} that could be upgraded"),
            match near.as_slice() {
                [] => "the lock file lists what there is".to_owned(),
                near => format!("did you mean {}?", near.join(", ")),
            },
        )));
    }
    Ok(())
}

/// What a new lock has that the old one had not, a line for each file.
fn changes(previous: Option<&Lock>, lock: &Lock) -> String {
    let Some(previous) = previous else {
        return String::new();
    };
    let mut text = String::new();
    let find = |lock: &Lock, file: &crate::lock::Locked| {
        lock.files
            .iter()
            .find(|other| (other.kind, &other.name) == (file.kind, &file.name))
            .cloned()
    };
    for file in &lock.files {
        match find(previous, file) {
            None => text.push_str(&format!("  + {} {}\n", file.name, file.version)),
            Some(old) if old.version != file.version => {
                text.push_str(&format!(
                    "  ~ {} {} -> {}\n",
                    file.name, old.version, file.version
                ));
            }
            Some(old) if old.sha256 != file.sha256 => {
                text.push_str(&format!(
                    "  ~ {} {}: other bytes\n",
                    file.name, file.version
                ));
            }
            Some(_) => {}
        }
    }
    for file in previous
        .files
        .iter()
        .filter(|file| find(lock, file).is_none())
    {
        text.push_str(&format!("  - {} {}\n", file.name, file.version));
    }
    text
}
