//! A plan and a store → where each step stands: present, to be fetched, to be built.

use std::collections::HashMap;

use petgraph::graph::NodeIndex;
use recipe_store::{ObjectId, Session};

use super::exit::Failed;
use crate::build::OUT;
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
    Fetch,
    Build,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Present => "present",
            State::Fetch => "fetch",
            State::Build => "build",
        }
    }
}

impl Standing {
    /// Nodes are numbered after their inputs, so one pass in order knows what each input came to.
    pub(super) fn of(plan: &Plan, session: &Session) -> Result<Standing, Failed> {
        let mut standing = Standing {
            states: Vec::new(),
            outputs: HashMap::new(),
        };
        for node in plan.graph().node_indices() {
            let output = match standing.resolved(plan, node) {
                Some(step) => session
                    .find(&step.key())?
                    .and_then(|trace| trace.outputs.get(OUT).copied()),
                None => None,
            };
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

    /// The step with all its inputs, if they all exist.
    pub(super) fn resolved(&self, plan: &Plan, node: NodeIndex) -> Option<Resolved> {
        let step = &plan.graph()[node].step;
        let resolved = step.map(|input| self.outputs.get(input).copied().ok_or(()));
        resolved.ok()
    }
}
