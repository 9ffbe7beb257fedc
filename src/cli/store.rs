//! `recipe store`: looking after the store.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use recipe_store::{Damage, Finding};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::App;
use super::exit::Failed;
use super::render::{bytes, plural};

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
    /// Links to the results that need it.
    roots: Vec<String>,
}

/// The answer of `repair`.
#[derive(Serialize)]
struct Repaired {
    objects: u64,
    findings: usize,
    mended: u64,
    left: u64,
    /// Links to the results that lack something now.
    roots: Vec<String>,
}

fn repair(form: Form, app: &App) -> Result<(), Failed> {
    let store = app.present_store()?;
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
        roots: lacking(&found.findings),
    };
    app.answer(form, "store repair", &answer, || answer.text())
}

/// The results that lack what is dropped; a mode that is set right again takes nothing away.
fn lacking(findings: &[Finding]) -> Vec<String> {
    let dropped = findings
        .iter()
        .filter(|finding| !matches!(finding.damage, Damage::Mode { .. } | Damage::Extra));
    let roots: BTreeSet<&Utf8PathBuf> = dropped.flat_map(|finding| &finding.roots).collect();
    roots.into_iter().map(ToString::to_string).collect()
}

impl Repaired {
    fn text(&self) -> String {
        if self.findings == 0 {
            return format!("{} objects: none is damaged", self.objects);
        }
        let mut text = format!(
            "{} mended or dropped",
            plural(self.mended as usize, "finding")
        );
        if self.left > 0 {
            text.push_str(&format!(", {} left alone", self.left));
        }
        match self.roots.as_slice() {
            [] => text.push_str("\nno result lacks anything"),
            roots => {
                text.push_str(
                    "\nthese results lack what was dropped; building them again makes it anew:",
                );
                roots
                    .iter()
                    .for_each(|root| text.push_str(&format!("\n  {root}")));
            }
        }
        text
    }
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
    let found = app.present_store()?.verify()?;
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
                roots: finding.roots.iter().map(ToString::to_string).collect(),
            })
            .collect(),
    };
    app.answer(form, "store verify", &answer, || answer.text())?;
    if answer.findings.is_empty() {
        return Ok(());
    }
    Err(Failed::Damaged(report(
        format!(
            "{} in a store of {}",
            plural(found.findings.len(), "finding"),
            plural(found.objects as usize, "object")
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
        let mut lines: Vec<String> = self
            .findings
            .iter()
            .map(|finding| format!("{}: {}", finding.path, finding.why))
            .collect();
        let roots: BTreeSet<&String> = self.findings.iter().flat_map(|it| &it.roots).collect();
        lines.extend(
            roots
                .iter()
                .map(|root| format!("{root} has something of it")),
        );
        lines.join("\n")
    }
}
