//! The only room that prints, reads the environment, or chooses an exit code. Begin at [`main`].
//!
//! One file for each command; `app.rs` is what they share, `config.rs` joins flags, environment
//! and file, `render.rs` turns events and errors into text.

mod advice;
mod answer;
mod app;
mod besides;
mod build;
mod bundle;
mod caches;
mod changes;
mod check;
pub mod config;
mod diff;
mod doctor;
mod durations;
mod edit;
mod exit;
mod export;
mod fmt;
mod found;
mod gc;
mod init;
mod interrupt;
mod key;
mod lock;
mod log;
mod manual;
mod memo;
#[cfg(test)]
mod messages;
mod options;
mod plan;
mod planned;
mod push;
mod record;
mod render;
mod report_table;
mod retry;
mod run;
mod running;
mod scene;
mod serve;
mod shell;
mod standing;
mod store;
mod suites;
mod test_closure;
mod verify;
mod why;

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand};

use app::App;
use config::Config;

/// Builds relocatable closures: an interpreter, its packages and their libraries in one folder
/// that runs from any directory on any Linux.
#[derive(Debug, Parser)]
#[command(name = "recipe", version, max_term_width = 100, after_help = after_help())]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  recipe build scylla-python            make result/scylla-python
  recipe run scylla-python -- python3   start a program of it
  recipe export scylla-python           write scylla-python-VERSION-x86_64-linux.tar.zst
  recipe verify /opt/scylla-python      check any copy of a closure
  recipe test-closure /opt/python       test what a closure promises, of any tool's output
  recipe doctor                         what this machine cannot do, and what mends it";

fn after_help() -> String {
    let codes = exit::CODES.iter();
    let lines: String = codes
        .map(|(code, short, _)| format!("\n  {code:<4} {short}"))
        .collect();
    format!("{EXAMPLES}\n\nExit codes:{lines}")
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// Folder of the store [default: recipe/store in the user's data directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Settings")]
    pub store: Option<Utf8PathBuf>,
    /// How many steps run at once [default: one more than there are cores]
    #[arg(long, short, global = true, value_name = "N", value_parser = jobs, help_heading = "Settings")]
    pub jobs: Option<usize>,
    /// Never use the network
    #[arg(long, global = true, help_heading = "Settings")]
    pub offline: bool,
    /// A Debian mirror; several are tried in order [default: those of the machine's apt]
    #[arg(long, global = true, value_name = "URL", help_heading = "Settings")]
    pub debian_mirror: Vec<String>,
    /// A Debian security mirror; several are tried in order
    #[arg(long, global = true, value_name = "URL", help_heading = "Settings")]
    pub debian_security_mirror: Vec<String>,
    /// A Python package index; several are tried in order [default: that of pip]
    #[arg(long, global = true, value_name = "URL", help_heading = "Settings")]
    pub python_index: Vec<String>,
    /// A cache that is asked before a step is run: a folder, or a URL of file:, http:, https: or s3:; several are
    /// asked in order, before those of the configuration
    #[arg(long, global = true, value_name = "URL", help_heading = "Settings")]
    pub cache: Vec<String>,
    /// Ask no cache
    #[arg(long, global = true, help_heading = "Settings")]
    pub no_cache: bool,
    /// Say nothing but errors and results
    #[arg(long, short, global = true, help_heading = "Settings")]
    pub quiet: bool,
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number above 0 is wanted".into()),
        Ok(jobs) => Ok(jobs),
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a small recipe that builds, to begin with
    Init(init::Args),
    /// Add Python requirements or Debian packages to a recipe
    Add(edit::Args),
    /// Remove Python requirements or Debian packages from a recipe
    Remove(edit::Args),
    /// Write recipes in their one canonical text
    Fmt(fmt::Args),
    /// Build a recipe; the closure is linked at result/NAME
    Build(build::Args),
    /// Write down every file a build needs, exact and hashed
    Lock(lock::Args),
    /// Tell what a build would do: what is present, fetched, built
    Plan(plan::Args),
    /// Put what a build made into a cache, signed, for others to take
    Push(push::Args),
    /// Take a closure from a cache; nothing is built
    Pull(build::Pull),
    /// Serve what is built here to the team, read-only
    Serve(serve::Args),
    /// Carry builds to a place without network, in one signed file
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Look after the keys that sign and that are trusted
    #[command(subcommand)]
    Key(key::Command),
    /// Write a built closure as an archive
    Export(export::Args),
    /// Run a program of a closure
    Run(run::Args),
    /// Run again what failed in the last build, and show what it prints as it prints it
    Retry(retry::Args),
    /// Start a shell that finds the closure's programs first, or one in the sandbox of a build step
    Shell(shell::Args),
    /// Tell what each step of the last build did and said
    Log(log::Args),
    /// Tell why a step would run again, or why a package or file is in the closure
    Why(why::Args),
    /// Compare two closures, folders, archives or locks
    Diff(diff::Args),
    /// Prove and check a closure again; with --rebuild, show that its bytes depend on nothing else
    Check(check::Args),
    /// Check a copy of a closure, anywhere, against the manifest it carries
    Verify(verify::Args),
    /// Test a closure, or what another tool made: what holds, what does not, and why
    TestClosure(test_closure::Args),
    /// Delete what no root keeps from the store
    Gc(gc::Args),
    /// Tell what this machine cannot do, and the line that mends it
    Doctor(doctor::Args),
    /// Look after the store
    #[command(subcommand)]
    Store(store::Command),
    /// Print what makes a shell complete this program's commands and flags
    Completions(manual::Completions),
    /// Write the manual pages, one for each command
    Man(manual::Man),
}

/// Runs the command that argv names and says how it ended.
pub fn main() -> ExitCode {
    // A helper process of the sandbox: it never comes back from here.
    crate::sandbox::helper_main_if_asked();
    // What is left of a run that was interrupted: nor does it.
    interrupt::clean_if_asked();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell if the terminal is gone.
            let _ = error.print();
            if !error.use_stderr() {
                return ExitCode::from(exit::DONE);
            }
            if answer::is_wanted() {
                answer::fail_usage(&error);
            }
            return ExitCode::from(exit::USAGE);
        }
    };
    render::set_up_errors();
    let quiet = cli.global.quiet;
    // A variable that is not UTF-8 is none of ours, and no reason to stop.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let config = match Config::gather(&cli.global, environment) {
        Ok(config) => config,
        Err(error) => {
            let failed = exit::Failed::Usage(error.into());
            if answer::is_wanted() {
                answer::fail(&failed);
            }
            return render::fail(&failed);
        }
    };
    interrupt::watch(&config.store);
    let app = App::new(config, quiet);
    let result = app.check_mirrors().and_then(|()| run(cli.command, &app));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            if answer::is_wanted() && !app.has_answered() {
                answer::fail(&failed);
            }
            render::fail(&failed)
        }
    }
}

fn run(command: Command, app: &App) -> Result<(), exit::Failed> {
    match command {
        Command::Init(args) => init::run(&args, app),
        Command::Add(args) => edit::add(&args, app),
        Command::Remove(args) => edit::remove(&args, app),
        Command::Fmt(args) => fmt::run(&args, app),
        Command::Build(args) => build::run(&args, app),
        Command::Lock(args) => lock::run(&args, app),
        Command::Plan(args) => plan::run(&args, app),
        Command::Push(args) => push::run(&args, app),
        Command::Pull(args) => build::pull(&args, app),
        Command::Serve(args) => serve::run(&args, app),
        Command::Bundle(command) => bundle::run(&command, app),
        Command::Key(command) => key::run(&command, app),
        Command::Export(args) => export::run(&args, app),
        Command::Run(args) => run::run(&args, app),
        Command::Retry(args) => retry::run(&args, app),
        Command::Shell(args) => shell::run(&args, app),
        Command::Log(args) => log::run(&args, app),
        Command::Why(args) => why::run(&args, app),
        Command::Diff(args) => diff::run(&args, app),
        Command::Doctor(args) => doctor::run(&args, app),
        Command::Check(args) => check::run(&args, app),
        Command::Verify(args) => verify::run(&args, app),
        Command::TestClosure(args) => test_closure::run(&args, app),
        Command::Gc(args) => gc::run(&args, app),
        Command::Store(command) => store::run(&command, app),
        Command::Completions(args) => manual::completions(&args, app),
        Command::Man(args) => manual::man(&args, app),
    }
}
