//! A plan and a store → where each step stands: present, in a cache, to be fetched, to be built.

use std::collections::HashMap;

use petgraph::graph::NodeIndex;
use recipe_store::{ObjectId, Session};

use super::exit::Failed;
use crate::build::{Alone, OUT, Shared};
use crate::plan::{Plan, Resolved, Step};

/// Where the steps of a plan stand.
pub(super) struct Standing {
    /// Each step, in the order of the plan.
    pub(super) states: Vec<(NodeIndex, State)>,
    /// What the steps that are present have made.
    pub(super) outputs: HashMap<NodeIndex, ObjectId>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Present,
    /// A cache knows what it made.
    Cached,
    Fetch,
    Build,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Present => "present",
            State::Cached => "cached",
            State::Fetch => "fetch",
            State::Build => "build",
        }
    }
}

impl Standing {
    /// Nodes are numbered after their inputs, so one pass in order knows what each input came to.
    pub(super) fn of(plan: &Plan, session: &Session) -> Result<Standing, Failed> {
        Standing::with(plan, session, &Alone)
    }

    /// The same where caches are asked as well.
    pub(super) fn with(
        plan: &Plan,
        session: &Session,
        shared: &dyn Shared,
    ) -> Result<Standing, Failed> {
        let mut standing = Standing {
            states: Vec::new(),
            outputs: HashMap::new(),
        };
        for node in plan.graph().node_indices() {
            let key = standing.resolved(plan, node).map(|step| step.key());
            let output = match key {
                Some(key) => session
                    .find(&key)?
                    .and_then(|trace| trace.outputs.get(OUT).copied()),
                None => None,
            };
            let elsewhere = key
                .filter(|_| output.is_none())
                .and_then(|key| shared.made(&key, true));
            if let Some(made) = elsewhere {
                standing.outputs.insert(node, made.output);
                standing.states.push((node, State::Cached));
                continue;
            }
            let state = match (output, &plan.graph()[node].step) {
                (Some(output), _) => {
                    standing.outputs.insert(node, output);
                    State::Present
                }
                (None, Step::Fetch(_)) => State::Fetch,
                (None, _) => State::Build,
            };
            standing.states.push((node, state));
        }
        Ok(standing)
    }

    /// Whether every step was made here.
    pub(super) fn is_whole(&self) -> bool {
        let mut states = self.states.iter();
        states.all(|(_, state)| *state == State::Present)
    }

    /// The step with all its inputs, if they all exist.
    pub(super) fn resolved(&self, plan: &Plan, node: NodeIndex) -> Option<Resolved> {
        let step = &plan.graph()[node].step;
        let resolved = step.map(|input| self.outputs.get(input).copied().ok_or(()));
        resolved.ok()
    }
}
