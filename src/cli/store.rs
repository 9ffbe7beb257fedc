//! `recipe store`: looking after the store.

use recipe_store::Damage;

use super::app::App;
use super::exit::Failed;
use super::render::{bytes, report};

/// What `recipe store` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Hash every object again and compare
    Verify,
    /// Drop what is damaged, so that the next build makes or fetches it anew
    Repair,
    /// Print the store's folder
    Path,
}

pub(super) fn run(command: &Command, app: &App) -> Result<(), Failed> {
    match command {
        Command::Path => app.say(app.config.store.as_str()),
        Command::Verify => verify(app),
        Command::Repair => repair(app),
    }
}

fn repair(app: &App) -> Result<(), Failed> {
    let store = app.store()?;
    let found = store.verify()?;
    if found.findings.is_empty() {
        return app.say(&format!("{} objects: none is damaged", found.objects));
    }
    let done = store.drop_damaged(&found)?;
    let left = found.findings.len() as u64 - done;
    app.say(&format!(
        "{done} findings mended or dropped, {left} left alone; build again"
    ))
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

fn verify(app: &App) -> Result<(), Failed> {
    let found = app.store()?.verify()?;
    for finding in &found.findings {
        app.say(&format!("{}: {}", finding.path, words(&finding.damage)))?;
    }
    if found.findings.is_empty() {
        return app.say(&format!(
            "{} objects, {}: all as they should be",
            found.objects,
            bytes(found.bytes)
        ));
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
