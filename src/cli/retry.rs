//! `recipe retry`: what failed in the last build, again, while one looks on.

use super::advice::report;
use super::answer::Form;
use super::app::App;
use super::build;
use super::exit::Failed;
use super::found::Forms;
use super::log::never_built;
use super::record::{Line, Record, State};

/// What `recipe retry` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let mut found = app.find(&args.name, &args.forms)?;
    let recipe = found.recipe()?;
    let record = Record::find(&app.store()?, &found.lock_path, &recipe.title())?;
    let Some(record) = record else {
        return Err(never_built(&args.name, &found.typed()));
    };
    let lines = record.lines;
    let failed = lines.iter().filter(|line| line.state == State::Failed);
    let named = |line: &Line| format!("{} {}", line.kind, line.subject);
    let failed: Vec<String> = failed.map(named).collect();
    if failed.is_empty() {
        return Err(Failed::Usage(report(
            format!("no step failed in the last build of {}", args.name),
            format!(
                "`recipe build {}` builds it; a lock that could not be made is made by that, too",
                found.typed()
            ),
        )));
    }
    app.tell(&format!("Again: {}", failed.join(", ")));
    build::run(&build::Args::again(&args.name, &args.forms, args.form), app)
}
