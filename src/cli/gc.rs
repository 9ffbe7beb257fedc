//! `recipe gc`: what no root keeps goes from the store.

use super::app::App;
use super::exit::Failed;
use super::render::bytes;

/// What `recipe gc` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Tell what would go, and delete nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let store = app.store()?;
    let report = store.gc(&recipe_store::GcOptions {
        dry_run: args.dry_run,
        ..Default::default()
    })?;
    let verb = if args.dry_run {
        "would delete"
    } else {
        "deleted"
    };
    app.say(&format!(
        "{verb} {} objects, {}",
        report.removed.files,
        bytes(report.removed.bytes)
    ))
}
