//! `recipe log`: what each step of the last build said, how long it took, whether it ran.

use std::collections::HashSet;

use recipe_store::{ObjectId, Store, Trace};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::App;
use super::exit::Failed;
use super::found::{Forms, split_step, step_is};
use super::record::{Line, Record, State};
use super::render::{plural, printable};
use crate::build::log_of;
use crate::build::steps::LOG_FILE;

/// What `recipe log` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT; NAME:STEP for a step alone
    #[arg(value_name = "NAME[:STEP]")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    /// Only these steps, with all they said: KIND, SUBJECT, or both, such as `check` or `unpack libc6`
    #[arg(value_name = "STEP")]
    step: Vec<String>,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Log {
    /// What to type for the recipe.
    #[serde(skip)]
    typed: String,
    name: String,
    /// The lock that was built.
    lock: String,
    /// Milliseconds since 1970.
    ended: u64,
    planned: usize,
    ran: usize,
    reused: usize,
    failed: usize,
    steps: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    kind: String,
    subject: String,
    state: &'static str,
    /// For a step that was reused: what it took when it ran.
    milliseconds: u64,
    key: String,
    isolation: Option<String>,
    said: String,
}

/// So many lines of a step are shown where all steps are.
const FEW: usize = 6;
/// So many of one that failed.
const LAST: usize = 60;

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let (name, mut words) = split_step(&args.name);
    words.extend(args.step.iter().cloned());
    let mut found = app.find(name, &args.forms)?;
    // A variant may share the lock of the recipe as it is written: only the recipe knows.
    let recipe = found.recipe()?;
    let store = app.store()?;
    let Some(record) = Record::find(&store, &found.lock_path, &recipe.title())? else {
        return Err(never_built(name, &found.typed()));
    };
    let last = || {
        let lines = record.lines.iter();
        lines.filter(|line| line.state != State::Earlier)
    };
    let count = |state| last().filter(|line| line.state == state).count();
    let wanted = last().filter(|line| step_is(&line.kind, &line.subject, &words));
    let steps: Vec<Told> = wanted
        .map(|line| told(&store, line))
        .collect::<Result<_, _>>()?;
    if steps.is_empty() && !words.is_empty() {
        return Err(Failed::Usage(report(
            format!("the last build had no step `{}`", words.join(" ")),
            format!("`recipe log {}` lists its steps", found.typed()),
        )));
    }
    if record.is_from_elsewhere(&found.lock_path) {
        app.tell(&format!(
            "{name} was not built here yet: this is its last build with {}",
            record.lock
        ));
    }
    let log = Log {
        name: name.to_owned(),
        typed: found.typed(),
        lock: record.lock.to_string(),
        ended: record.ended,
        planned: record.planned,
        ran: count(State::Ran),
        reused: count(State::Reused),
        failed: count(State::Failed),
        steps,
    };
    app.answer(args.form, "log", &log, || {
        printable(&log.text(!words.is_empty()))
    })
}

/// There is no record of a build, as when no lock could be made for it.
pub(super) fn never_built(name: &str, typed: &str) -> Failed {
    Failed::Usage(report(
        format!("nothing is known of a build of {name}: none has begun"),
        format!("`recipe build {typed}` makes one"),
    ))
}

fn told(store: &Store, line: &Line) -> Result<Told, Failed> {
    let trace = match line.state {
        State::Failed => None,
        _ => store.find(&line.key)?,
    };
    Ok(Told {
        kind: line.kind.clone(),
        subject: line.subject.clone(),
        state: line.state.word(),
        milliseconds: match (&trace, line.state) {
            (Some(trace), State::Reused) => trace.duration,
            _ => line.took,
        },
        key: line.key.to_string(),
        isolation: trace.as_ref().map(|trace| trace.isolation.reached.clone()),
        said: match &trace {
            Some(trace) => said(store, trace)?,
            None => {
                let said = whole(store, line)?.unwrap_or_else(|| line.said.clone());
                let new = news(&said, &line.why);
                said + &new
            }
        },
    })
}

/// The lines of why a step failed that it did not say itself: the last of its own words are quoted there.
fn news(said: &str, why: &str) -> String {
    let known: HashSet<&str> = said.lines().map(str::trim).collect();
    let new = why.lines().filter(|line| !known.contains(line.trim()));
    new.map(|line| format!("{line}\n")).collect()
}

/// All that a failed step said, as long as what it left is kept.
fn whole(store: &Store, line: &Line) -> Result<Option<String>, Failed> {
    let Some(kept) = store.kept(&line.key)? else {
        return Ok(None);
    };
    let Ok(log) = std::fs::read(kept.path().join(LOG_FILE)) else {
        return Ok(None);
    };
    Ok(Some(String::from_utf8_lossy(&log).into_owned()))
}

/// What the step of a trace said, as long as it is kept.
fn said(store: &Store, trace: &Trace) -> Result<String, Failed> {
    if let Some(said) = store.memo_get(&log_of(&trace.key))? {
        return Ok(String::from_utf8_lossy(&said).into_owned());
    }
    match trace.outputs.get(ONCE) {
        Some(ObjectId::Blob(blob)) => {
            Ok(String::from_utf8_lossy(&store.read_blob(blob)?).into_owned())
        }
        _ => Ok(String::new()),
    }
}

/// Stores of earlier versions have it as an output beside what was made.
const ONCE: &str = "log";

impl Log {
    fn text(&self, whole: bool) -> String {
        let mut text = String::new();
        for step in &self.steps {
            text.push_str(&format!(
                "{:6} {:>8}  {} {}\n",
                step.state,
                time(step.milliseconds),
                step.kind,
                step.subject
            ));
            let lines: Vec<&str> = step.said.lines().collect();
            let count = lines.len();
            let shown = match step.state == State::Failed.word() {
                _ if whole => 0..count,
                // Why it failed stands at the end.
                true => count.saturating_sub(LAST)..count,
                false => 0..count.min(FEW),
            };
            let rest = |hidden: usize, word: &str| match hidden {
                0 => String::new(),
                hidden => format!(
                    "    … {} {word}: recipe log {} {} {}\n",
                    plural(hidden, "line"),
                    self.typed,
                    step.kind,
                    step.subject
                ),
            };
            text.push_str(&rest(shown.start, "before"));
            for line in &lines[shown.clone()] {
                text.push_str(&format!("    {line}\n"));
            }
            text.push_str(&rest(count - shown.end, "more"));
        }
        let tried = self.ran + self.reused + self.failed;
        text.push_str(&format!("{} ran, {} reused", self.ran, self.reused));
        if self.failed > 0 {
            text.push_str(&format!(", {} failed", self.failed));
        }
        if tried < self.planned {
            text.push_str(&format!(", {} not tried", self.planned - tried));
        }
        text
    }
}

fn time(milliseconds: u64) -> String {
    format!("{:.2} s", milliseconds as f64 / 1000.0)
}
