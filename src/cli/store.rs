//! `recipe store`: looking after the store.

use recipe_store::Damage;
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::App;
use super::exit::Failed;
use super::render::bytes;

/// What `recipe store` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Hash every object again and compare
    Verify(Form),
    /// Drop what is damaged, so that the next build makes or fetches it anew
    Repair(Form),
    /// Print the store's folder
    Path(Form),
}

pub(super) fn run(command: &Command, app: &App) -> Result<(), Failed> {
    match command {
        Command::Path(form) => {
            let path = app.config.store.as_str();
            app.answer(*form, "store path", &Folder { path }, || path.to_owned())
        }
        Command::Verify(form) => verify(*form, app),
        Command::Repair(form) => repair(*form, app),
    }
}

/// The answer of `path`.
#[derive(Serialize)]
struct Folder<'a> {
    path: &'a str,
}

/// The answer of `verify`.
#[derive(Serialize)]
struct Verified {
    objects: u64,
    bytes: u64,
    findings: Vec<OneFinding>,
}

#[derive(Serialize)]
struct OneFinding {
    path: String,
    /// `bytes`, `missing`, `extra`, `mode`, `kind`.
    damage: &'static str,
    why: String,
}

/// The answer of `repair`.
#[derive(Serialize)]
struct Repaired {
    objects: u64,
    findings: usize,
    mended: u64,
    left: u64,
}

fn repair(form: Form, app: &App) -> Result<(), Failed> {
    let store = app.store()?;
    let found = store.verify()?;
    let findings = found.findings.len();
    let mended = if findings == 0 {
        0
    } else {
        store.drop_damaged(&found)?
    };
    let answer = Repaired {
        objects: found.objects,
        findings,
        mended,
        left: (findings as u64).saturating_sub(mended),
    };
    app.answer(form, "store repair", &answer, || {
        if findings == 0 {
            return format!("{} objects: none is damaged", answer.objects);
        }
        format!(
            "{mended} findings mended or dropped, {} left alone; build again",
            answer.left
        )
    })
}

fn kind(damage: &Damage) -> &'static str {
    match damage {
        Damage::Bytes { .. } => "bytes",
        Damage::Missing => "missing",
        Damage::Extra => "extra",
        Damage::Mode { .. } => "mode",
        Damage::Kind => "kind",
    }
}

fn words(damage: &Damage) -> String {
    match damage {
        Damage::Bytes { why } => why.clone(),
        Damage::Missing => "it is named and not there".into(),
        Damage::Extra => "nothing of the store made it".into(),
        Damage::Mode { found, wanted } => format!("its mode is {found:04o}, not {wanted:04o}"),
        Damage::Kind => "it is of another kind than it should be".into(),
    }
}

fn verify(form: Form, app: &App) -> Result<(), Failed> {
    let found = app.store()?.verify()?;
    let answer = Verified {
        objects: found.objects,
        bytes: found.bytes,
        findings: found
            .findings
            .iter()
            .map(|finding| OneFinding {
                path: finding.path.to_string(),
                damage: kind(&finding.damage),
                why: words(&finding.damage),
            })
            .collect(),
    };
    app.answer(form, "store verify", &answer, || answer.text())?;
    if answer.findings.is_empty() {
        return Ok(());
    }
    Err(Failed::Damaged(report(
        format!(
            "{} of {} objects are damaged",
            found.findings.len(),
            found.objects
        ),
        "`recipe store repair` drops what is damaged; the next build makes it anew".into(),
    )))
}

impl Verified {
    fn text(&self) -> String {
        if self.findings.is_empty() {
            return format!(
                "{} objects, {}: all as they should be",
                self.objects,
                bytes(self.bytes)
            );
        }
        let lines: Vec<String> = self
            .findings
            .iter()
            .map(|finding| format!("{}: {}", finding.path, finding.why))
            .collect();
        lines.join("\n")
    }
}
