//! `recipe diff`: two closures, folders, archives or locks, and what differs between them.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::{App, unreadable};
use super::changes::{LockChange, changes};
use super::exit::Failed;
use super::found::Forms;
use super::memo::{self, Memo};
use super::render::{bytes, printable};
use crate::closure::contents::{self, Change, Contents, Item};
use crate::lock::{self, Lock};

/// What `recipe diff` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A recipe that is built, a folder, an archive (tar, zip, deb), or a lock file. That they differ is no failure: the
    /// exit code is 0
    #[arg(value_name = "A")]
    before: String,
    /// Another one
    #[arg(value_name = "B")]
    now: String,
    #[command(flatten)]
    form: Form,
}

/// One side.
enum Side {
    Lock(Box<Lock>),
    Files(Contents),
}

/// The answer for two trees of files.
#[derive(Serialize)]
struct Differences<'a> {
    added: usize,
    removed: usize,
    changed: usize,
    /// Bytes that the second has more; negative where it has less.
    bytes: i64,
    files: Vec<OnePath<'a>>,
}

#[derive(Serialize)]
struct OnePath<'a> {
    path: &'a str,
    change: &'static str,
    before: Option<OneItem<'a>>,
    now: Option<OneItem<'a>>,
}

#[derive(Serialize)]
struct OneItem<'a> {
    /// `file`, `program`, `link`.
    kind: &'static str,
    bytes: Option<u64>,
    blake3: Option<String>,
    target: Option<&'a str>,
}

/// The answer for two locks.
#[derive(Serialize)]
struct Locks {
    changes: Vec<LockChange>,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let (before, now) = (side(&args.before, app)?, side(&args.now, app)?);
    match (before, now) {
        (Side::Lock(before), Side::Lock(now)) => {
            let answer = Locks {
                changes: changes(&before, &now),
            };
            app.answer(args.form, "diff", &answer, || lock_text(&answer.changes))
        }
        (Side::Files(before), Side::Files(now)) => {
            let answer = Differences::of(&contents::differences(&before, &now));
            app.answer(args.form, "diff", &answer, || printable(&answer.text()))
        }
        _ => Err(Failed::Usage(report(
            format!(
                "{} and {} cannot be compared: one is a lock, the other is not",
                args.before, args.now
            ),
            "name two locks, or two closures".into(),
        ))),
    }
}

fn lock_text(locks: &[LockChange]) -> String {
    if locks.is_empty() {
        return "no locked file differs".into();
    }
    let lines: String = locks.iter().map(LockChange::line).collect();
    lines.trim_end().to_owned()
}

fn side(word: &str, app: &App) -> Result<Side, Failed> {
    let path = Utf8PathBuf::from(word);
    if word.ends_with(".lock.kdl") {
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        return Ok(Side::Lock(Box::new(lock::file::read(word, &text)?)));
    }
    if path.is_dir() {
        return Ok(Side::Files(contents::of_folder(&path)?));
    }
    if path.is_file() && !word.ends_with(".kdl") {
        let contents = contents::of_archive(&path)?;
        return contents
            .map(Side::Files)
            .ok_or_else(|| not_comparable(&path));
    }
    if word.contains('/') && !path.exists() {
        return Err(Failed::Usage(report(
            format!("{word} is not there"),
            "name a folder, an archive or a lock file, or a recipe that is built".into(),
        )));
    }
    built(word, app).map(Side::Files)
}

fn not_comparable(path: &Utf8Path) -> Failed {
    Failed::Usage(report(
        format!("{path} is neither a folder, an archive, nor a lock"),
        "the name of an archive ends in .tar, .tar.zst, .tar.gz, .tar.bz2, .tar.xz, .zip, .whl or .deb; \
         that of a lock in .lock.kdl"
            .into(),
    ))
}

/// The closure that the recipe of this name came to, as it is now.
fn built(name: &str, app: &App) -> Result<Contents, Failed> {
    let found = app.find(name, &Forms::default())?;
    let store = app.store()?;
    let key = memo::key(&found.text, &found.lock_text, &found.form());
    let Some(memo) = Memo::find(&store, &key, &found)? else {
        return Err(Failed::Usage(report(
            format!("{name} is not built as its recipe and lock are now"),
            format!("run `recipe build {name}`, or name a folder: `result/{name}`"),
        )));
    };
    Ok(contents::of_tree(&store, &memo.closure)?)
}

impl<'a> Differences<'a> {
    fn of(changes: &[Change<'a>]) -> Differences<'a> {
        let count = |is: fn(&Change<'_>) -> bool| changes.iter().filter(|c| is(c)).count();
        let size = |item: Option<&Item>| item.map_or(0, Item::size) as i64;
        Differences {
            added: count(|change| change.before.is_none()),
            removed: count(|change| change.now.is_none()),
            changed: count(|change| change.before.is_some() && change.now.is_some()),
            bytes: changes
                .iter()
                .map(|change| size(change.now) - size(change.before))
                .sum(),
            files: changes.iter().map(OnePath::of).collect(),
        }
    }

    fn text(&self) -> String {
        if self.files.is_empty() {
            return "no file differs".into();
        }
        let mut text: String = self.files.iter().map(OnePath::line).collect();
        let sign = if self.bytes < 0 { '-' } else { '+' };
        text.push_str(&format!(
            "{} added, {} removed, {} changed, {sign}{}",
            self.added,
            self.removed,
            self.changed,
            bytes(self.bytes.unsigned_abs())
        ));
        text
    }
}

impl<'a> OnePath<'a> {
    fn of(change: &Change<'a>) -> OnePath<'a> {
        OnePath {
            path: change.path,
            change: match (change.before, change.now) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            },
            before: change.before.map(OneItem::of),
            now: change.now.map(OneItem::of),
        }
    }

    fn line(&self) -> String {
        let path = self.path;
        match (&self.before, &self.now) {
            (None, Some(now)) => format!("  + {path} {}\n", now.words()),
            (Some(before), None) => format!("  - {path} {}\n", before.words()),
            (Some(before), Some(now)) if before.words() == now.words() => {
                format!("  ~ {path} {}, other bytes\n", now.words())
            }
            (before, now) => {
                let words = |item: &Option<OneItem<'_>>| item.as_ref().map(OneItem::words);
                format!(
                    "  ~ {path} {} -> {}\n",
                    words(before).unwrap_or_default(),
                    words(now).unwrap_or_default()
                )
            }
        }
    }
}

impl<'a> OneItem<'a> {
    fn of(item: &'a Item) -> OneItem<'a> {
        match item {
            Item::File {
                digest,
                size,
                executable,
            } => OneItem {
                kind: if *executable { "program" } else { "file" },
                bytes: Some(*size),
                blake3: Some(digest.to_string()),
                target: None,
            },
            Item::Link(target) => OneItem {
                kind: "link",
                bytes: None,
                blake3: None,
                target: Some(target),
            },
        }
    }

    fn words(&self) -> String {
        match (self.kind, self.bytes, self.target) {
            (_, _, Some(target)) => format!("link to {target}"),
            ("program", Some(size), _) => format!("{}, a program", bytes(size)),
            (_, size, _) => bytes(size.unwrap_or(0)),
        }
    }
}
