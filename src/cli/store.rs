//! `recipe store`: looking after the store.

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

fn verify(app: &App) -> Result<(), Failed> {
    let found = app.store()?.verify()?;
    for problem in &found.problems {
        app.say(&problem.to_string())?;
    }
    if found.problems.is_empty() {
        return app.say(&format!("{} objects, {}: all as they should be", found.objects, bytes(found.bytes)));
    }
    Err(Failed::Damaged(report(
        format!("{} of {} objects are damaged", found.problems.len(), found.objects),
        "delete the store's folder and build again: every object can be made anew".into(),
    )))
}
