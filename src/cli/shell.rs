//! `recipe shell`: a shell that finds a closure's programs first, in place of this process; or one in the
//! sandbox of a step that builds.

use std::ffi::OsString;

use petgraph::graph::NodeIndex;

use super::advice::report;
use super::app::App;
use super::build::make;
use super::exit::Failed;
use super::found::{Forms, split_step, step_is};
use super::options::Options;
use super::planned::Planned;
use super::scene::Scene;
use crate::build::steps::{Attended, Left, attended};
use crate::build::{BuildError, Failure, StepError};
use crate::plan::{Plan, Step};
use crate::sandbox::Status;

/// What `recipe shell` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT; NAME:STEP for the sandbox of a step
    /// that builds, such as `zlib:build`
    #[arg(value_name = "NAME[:STEP]")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    /// What to start instead of a shell, found as a shell would find it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// Fail rather than change the lock
    #[arg(long)]
    locked: bool,
    /// With NAME:STEP: the folders as the last try has left them that failed
    #[arg(long)]
    failed: bool,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let (name, step) = split_step(&args.name);
    match step.as_slice() {
        [] if args.failed => Err(Failed::Usage(report(
            "`--failed` is about a step, and none is named".into(),
            format!("name the step that failed: `recipe shell {name}:build --failed`"),
        ))),
        [] => in_closure(args, app),
        step => in_step(name, step, args, app),
    }
}

fn in_closure(args: &Args, app: &App) -> Result<(), Failed> {
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

fn in_step(name: &str, step: &[String], args: &Args, app: &App) -> Result<(), Failed> {
    let Planned {
        found,
        recipe,
        lock,
        gathered,
        plan,
        session,
    } = &app.planned(name, &args.forms, args.locked)?;
    let node = named(plan, name, step)?;
    let scene = Scene {
        recipe,
        besides: &gathered.besides,
        found,
        session,
        app,
        options: &Options::default(),
    };
    let ready = scene.ready(lock, plan, node)?;
    let scratch = session.scratch()?;
    let kept = match args.failed {
        true => Some(session.store().kept(&ready.key())?.ok_or_else(|| {
            Failed::Usage(report(
                format!("no failed try of `{}` is kept", step.join(" ")),
                "only the last few that failed are, until `recipe gc`; without `--failed` the step's \
                 sandbox is as before its first program"
                    .into(),
            ))
        })?),
        false => None,
    };
    let place = match &kept {
        Some(kept) => Left::There(kept.path()),
        None => Left::Fresh(scratch.path()),
    };
    let sandbox = app.sandbox()?;
    let attended = attended(session, &sandbox, &ready, place, app.config.jobs);
    let Some(attended) = attended.map_err(|error| unready(plan, node, error))? else {
        return Err(no_such_step(plan, name, step));
    };
    let Attended { runs, .. } = &attended;
    if args.command.is_empty() {
        app.tell(&format!("The step runs:\n  {}", runs.join("\n  ")));
        app.tell("Leave this shell to return; what is done here changes no result");
    }
    let prompt = format!("[{} \\w] ", step.join(" "));
    let Some(spec) = attended.starting(&args.command, &prompt) else {
        let program = "sh".to_owned();
        return Err(unready(plan, node, StepError::NoProgram { program }));
    };
    let ended = sandbox.attend(&spec);
    let status = ended
        .map_err(|error| unready(plan, node, error.into()))?
        .status;
    drop((scratch, kept, session));
    match status {
        Status::Exited(0) => Ok(()),
        // What a person's own program said is passed on as it is.
        Status::Exited(code) => std::process::exit(code),
        Status::Signalled(signal) => std::process::exit(128 + signal),
        _ => std::process::exit(i32::from(super::exit::STEP)),
    }
}

/// The one step that builds among those that the words name.
fn named(plan: &Plan, name: &str, step: &[String]) -> Result<NodeIndex, Failed> {
    let nodes = builds(plan);
    let is_meant = |node: &NodeIndex| {
        let node = &plan.graph()[*node];
        step_is(node.step.kind(), &node.subject, step)
    };
    let mut meant = nodes.into_iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(node), None) => Ok(node),
        _ => Err(no_such_step(plan, name, step)),
    }
}

fn builds(plan: &Plan) -> Vec<NodeIndex> {
    let graph = plan.graph();
    let is_build = |node: &NodeIndex| {
        matches!(
            graph[*node].step,
            Step::Build { .. } | Step::BuildSdist { .. }
        )
    };
    graph.node_indices().filter(is_build).collect()
}

fn no_such_step(plan: &Plan, name: &str, step: &[String]) -> Failed {
    let subjects: Vec<String> = builds(plan)
        .into_iter()
        .map(|node| format!("`{name}:build {}`", plan.graph()[node].subject))
        .collect();
    let advice = match subjects.as_slice() {
        [] => format!("{name} has none: everything in it is taken as others built it"),
        subjects => format!("these can be named: {}", subjects.join(", ")),
    };
    Failed::Usage(report(
        format!("`{}` names no one step that builds", step.join(" ")),
        advice,
    ))
}

/// A step whose sandbox cannot be had.
fn unready(plan: &Plan, node: NodeIndex, error: StepError) -> Failed {
    let node = &plan.graph()[node];
    let failure = Failure {
        kind: node.step.kind(),
        subject: node.subject.clone(),
        also: Vec::new(),
        places: Vec::new(),
        error,
    };
    BuildError::Failed {
        failures: vec![failure],
        skipped: 0,
        recipe: "NAME".to_owned(),
    }
    .into()
}
