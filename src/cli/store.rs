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
    /// Print the store's folder
    Path,
}

pub(super) fn run(command: &Command, app: &App) -> Result<(), Failed> {
    match command {
        Command::Path => app.say(app.config.store.as_str()),
        Command::Verify => verify(app),
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
        "delete the store's folder and build again: every object can be made anew".into(),
    )))
}
