//! `recipe plan`: what a build would do, and what it would cost.

use std::collections::{BTreeMap, HashMap};

use petgraph::graph::NodeIndex;
use recipe_store::{ObjectId, Session};

use super::app::App;
use super::build::durations;
use super::exit::Failed;
use super::found::Forms;
use super::render::bytes;
use crate::build::Durations;
use crate::plan::{Node, Plan, Step};

/// What `recipe plan` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    /// Name every step, not only the counts
    #[arg(long, short)]
    verbose: bool,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Present,
    Fetch,
    Build,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let mut found = app.find(&args.name, &args.forms)?;
    let recipe = found.recipe()?;
    let store = app.store()?;
    let session = store.session()?;
    let lock = app.lock_for(&recipe, &found, &session, true)?;
    let plan = Plan::of(&recipe, &lock);
    let states = states(&plan, &session)?;
    let last = durations(&session, &recipe.title())?;
    if args.verbose {
        for (node, state) in &states {
            app.say(&line(&plan.graph()[*node], *state, &last))?;
        }
    }
    app.say(&totals(&plan, &states, &last))
}

/// Nodes are numbered after their inputs, so one pass in order knows what each input came to.
fn states(plan: &Plan, session: &Session) -> Result<Vec<(NodeIndex, State)>, Failed> {
    let mut outputs: HashMap<NodeIndex, ObjectId> = HashMap::new();
    let mut states = Vec::new();
    for node in plan.graph().node_indices() {
        let step = &plan.graph()[node].step;
        let resolved = step.map(|input| outputs.get(input).copied().ok_or(()));
        let output = match resolved {
            Ok(step) => session
                .find(&step.key())?
                .and_then(|trace| trace.outputs.get("out").copied()),
            Err(()) => None,
        };
        let state = match (output, step) {
            (Some(output), _) => {
                outputs.insert(node, output);
                State::Present
            }
            (None, Step::Fetch(_)) => State::Fetch,
            (None, _) => State::Build,
        };
        states.push((node, state));
    }
    Ok(states)
}

fn line(node: &Node, state: State, last: &Durations) -> String {
    let word = match state {
        State::Present => "present",
        State::Fetch => "fetch",
        State::Build => "build",
    };
    let kind = node.step.kind();
    let size = match &node.step {
        Step::Fetch(source) if state == State::Fetch => format!("  {}", bytes(source.size)),
        _ => String::new(),
    };
    let time = last
        .get(&(kind.to_owned(), node.subject.clone()))
        .filter(|_| state != State::Present)
        .map_or_else(String::new, |time| format!("  {time} ms last time"));
    format!("{word:8} {kind:12} {}{size}{time}", node.subject)
}

fn totals(plan: &Plan, states: &[(NodeIndex, State)], last: &Durations) -> String {
    let mut count: BTreeMap<State, usize> = BTreeMap::new();
    let (mut size, mut time) = (0, 0);
    for (node, state) in states {
        *count.entry(*state).or_default() += 1;
        let node = &plan.graph()[*node];
        if *state == State::Present {
            continue;
        }
        if let Step::Fetch(source) = &node.step {
            size += source.size;
        }
        time += last
            .get(&(node.step.kind().to_owned(), node.subject.clone()))
            .unwrap_or(&0);
    }
    let of = |state| count.get(&state).copied().unwrap_or(0);
    let mut text = format!(
        "{} steps: {} present, {} to fetch ({}), {} to build",
        states.len(),
        of(State::Present),
        of(State::Fetch),
        bytes(size),
        of(State::Build)
    );
    if time > 0 {
        text.push_str(&format!(
            "; they took {:.1} s of work last time",
            time as f64 / 1000.0
        ));
    }
    text
}
