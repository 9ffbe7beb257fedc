//! `recipe shell`: a shell that finds a closure's programs first, in place of this process.

use std::ffi::OsString;

use super::advice::report;
use super::app::App;
use super::build::{Options, make};
use super::exit::Failed;
use super::found::Forms;

/// What `recipe shell` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    /// What to start instead of a shell, found as a shell would find it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// Fail rather than change the lock
    #[arg(long)]
    locked: bool,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let options = Options {
        locked: args.locked,
        ..Options::default()
    };
    let made = make(&args.name, &args.forms, app, &options)?;
    let place = made.store.session()?.checkout(&made.memo.closure)?;
    let bin = place.join("bin");
    let path = match std::env::var_os("PATH").filter(|path| !path.is_empty()) {
        Some(path) => {
            let mut first = OsString::from(format!("{bin}:"));
            first.push(path);
            first
        }
        None => OsString::from(bin.as_str()),
    };
    let shell = || {
        let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
        shell.unwrap_or_else(|| OsString::from("/bin/sh"))
    };
    let (program, rest) = match args.command.as_slice() {
        [program, rest @ ..] => (program.clone(), rest),
        [] => {
            app.tell(&format!(
                "{} {} comes first on PATH; leave this shell to return",
                made.memo.title(),
                made.memo.version
            ));
            (shell(), &[][..])
        }
    };
    super::interrupt::unwatch();
    let error = crate::sandbox::replace_on_path(&program, rest, &path);
    Err(Failed::Usage(report(
        format!(
            "{} could not be started: {error}",
            program.to_string_lossy()
        ),
        format!(
            "name a program that is there: `recipe shell {} -- sh`",
            args.name
        ),
    )))
}
