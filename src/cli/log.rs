//! `recipe log`: what each step of the last build said, how long it took, whether it ran.

use recipe_store::{ObjectId, Store, Trace};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::App;
use super::exit::Failed;
use super::found::Forms;
use super::record::{Line, Record, State};
use super::render::{plural, printable};
use crate::build::log_of;

/// What `recipe log` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT
    #[arg(value_name = "NAME")]
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

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let mut found = app.find(&args.name, &args.forms)?;
    // A variant may share the lock of the recipe as it is written: only the recipe knows.
    let recipe = found.recipe()?;
    let store = app.store()?;
    let Some(record) = Record::find(&store, &found.lock_path, &recipe.title())? else {
        return Err(Failed::Usage(report(
            format!("nothing is known of a build of {}", args.name),
            format!("`recipe build {}` makes one", found.typed()),
        )));
    };
    let last = || {
        let lines = record.lines.iter();
        lines.filter(|line| line.state != State::Earlier)
    };
    let count = |state| last().filter(|line| line.state == state).count();
    let wanted = last().filter(|line| is_wanted(line, &args.step));
    let steps: Vec<Told> = wanted
        .map(|line| told(&store, line))
        .collect::<Result<_, _>>()?;
    if steps.is_empty() && !args.step.is_empty() {
        return Err(Failed::Usage(report(
            format!("the last build had no step `{}`", args.step.join(" ")),
            format!("`recipe log {}` lists its steps", found.typed()),
        )));
    }
    if record.is_from_elsewhere(&found.lock_path) {
        app.tell(&format!(
            "{} was not built here yet: this is its last build with {}",
            args.name, record.lock
        ));
    }
    let log = Log {
        name: args.name.clone(),
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
        printable(&log.text(!args.step.is_empty()))
    })
}

/// Whether the words name this step: its kind, its subject, or one after the other.
pub(super) fn is_wanted(line: &Line, words: &[String]) -> bool {
    match words {
        [] => true,
        [word] => *word == line.kind || *word == line.subject,
        [kind, subject @ ..] => *kind == line.kind && subject.join(" ") == line.subject,
    }
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
            None => line.said.clone(),
        },
    })
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
            let shown = if whole || step.state == State::Failed.word() {
                lines.len()
            } else {
                lines.len().min(FEW)
            };
            for line in &lines[..shown] {
                text.push_str(&format!("    {line}\n"));
            }
            if shown < lines.len() {
                text.push_str(&format!(
                    "    … {} more: recipe log {} {} {}\n",
                    plural(lines.len() - shown, "line"),
                    self.typed,
                    step.kind,
                    step.subject
                ));
            }
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
