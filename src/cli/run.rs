//! `recipe run`: a program of a closure, in place of this process.

use std::ffi::OsString;

use super::advice::report;
use super::app::App;
use super::build::make;
use super::exit::Failed;
use super::found::Forms;
use super::options::Options;

/// What `recipe run` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    /// A program in the closure's bin folder, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// Fail rather than change the lock
    #[arg(long)]
    locked: bool,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let made = make(
        &args.name,
        &args.forms,
        app,
        &Options {
            locked: args.locked,
            ..Options::default()
        },
    )?;
    let session = made.store.session()?;
    let place = session.checkout(&made.memo.closure)?;
    drop(session);
    let [program, rest @ ..] = args.command.as_slice() else {
        return Err(Failed::Usage(report(
            "no program is named".into(),
            format!("for example: recipe run {} -- python3", args.name),
        )));
    };
    let name = program.to_string_lossy();
    let path = if name.contains('/') {
        place.join(name.trim_start_matches('/'))
    } else {
        place.join("bin").join(&*name)
    };
    // Started anyway, a shell would be asked to read the machine code.
    if !app.starts(made.memo.platform) {
        let platform = made.memo.platform;
        return Err(Failed::Usage(report(
            format!("the closure is for {platform}, and this machine cannot start its programs"),
            "`recipe export` writes it for a machine that can; an emulator that is registered with \
             the kernel (binfmt_misc) starts them here"
                .into(),
        )));
    }
    super::interrupt::unwatch();
    let error = crate::sandbox::replace(&path, rest);
    Err(Failed::Usage(report(
        format!(
            "{} could not be started: {error}",
            path.strip_prefix(&place).unwrap_or(&path)
        ),
        format!("the programs of this closure are in {place}/bin"),
    )))
}
