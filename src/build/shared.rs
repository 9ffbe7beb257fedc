//! What others have made already, and what is needed of it here. Begin at [`Shared`].
//!
//! A step that somebody who is believed has run elsewhere counts as run: its output is known by its id, and the steps
//! after it have their keys. Its bytes are brought only when a step that does run here reads them. What cannot be
//! brought is made here after all, with what it needs in turn.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use petgraph::Direction::Incoming;
use petgraph::graph::NodeIndex;
use recipe_store::{ObjectId, StepKey, StoreError};

use super::{Scribe, StepError, Workshop};
use crate::plan::{Plan, Resolved};

/// What a step made elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedStep {
    /// What it made.
    pub output: ObjectId,
    /// Who says so: the tool, and the keys that signed.
    pub maker: String,
    /// The isolation that was reached there.
    pub isolation: String,
}

/// What others have made.
pub trait Shared: Sync {
    /// What the step of this key made, if somebody who is believed says so. For a `dear` one it is worth
    /// asking for it alone.
    fn made(&self, key: &StepKey, dear: bool) -> Option<SharedStep>;

    /// Brings objects into the session, as far as that is possible.
    fn bring(&self, wanted: &[ObjectId]) -> Result<(), StoreError>;

    /// Whether it is an error to make something here.
    fn required(&self) -> bool;
}

/// Nobody shares anything.
pub struct Alone;

impl Shared for Alone {
    fn made(&self, _: &StepKey, _: bool) -> Option<SharedStep> {
        None
    }

    fn bring(&self, _: &[ObjectId]) -> Result<(), StoreError> {
        Ok(())
    }

    fn required(&self) -> bool {
        false
    }
}

/// What each step came to, also where only its id is here.
#[derive(Default)]
pub(super) struct Outputs(Mutex<HashMap<NodeIndex, ObjectId>>);

impl Outputs {
    pub(super) fn get(&self, node: NodeIndex) -> Option<ObjectId> {
        let outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.get(&node).copied()
    }

    pub(super) fn set(&self, node: NodeIndex, output: ObjectId) {
        let mut outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.insert(node, output);
    }

    /// The step with all its inputs, if they are all known.
    pub(super) fn resolved(&self, plan: &Plan, node: NodeIndex) -> Option<Resolved> {
        let step = &plan.graph()[node].step;
        step.map(|input| self.get(*input).ok_or(())).ok()
    }
}

/// Sees to it that the outputs of `nodes` are here: brought, else made.
pub(super) fn supply(
    nodes: &[NodeIndex],
    plan: &Plan,
    outputs: &Outputs,
    shop: &Workshop<'_>,
    scribe: &Scribe<'_>,
) -> Result<(), StepError> {
    let absent = |nodes: &[NodeIndex]| -> Result<Vec<(NodeIndex, ObjectId)>, StepError> {
        let known = nodes
            .iter()
            .filter_map(|node| Some((*node, outputs.get(*node)?)));
        let mut absent = Vec::new();
        for (node, id) in known {
            if !shop.session.has(&id)? {
                absent.push((node, id));
            }
        }
        Ok(absent)
    };
    let wanted = absent(nodes)?;
    if wanted.is_empty() {
        return Ok(());
    }
    let ids: Vec<ObjectId> = wanted.iter().map(|(_, id)| *id).collect();
    shop.shared.bring(&ids)?;
    for (node, id) in absent(nodes)? {
        make(node, &id, plan, outputs, shop, scribe)?;
    }
    Ok(())
}

/// Makes what was said to be made elsewhere.
fn make(
    node: NodeIndex,
    wanted: &ObjectId,
    plan: &Plan,
    outputs: &Outputs,
    shop: &Workshop<'_>,
    scribe: &Scribe<'_>,
) -> Result<(), StepError> {
    let planned = &plan.graph()[node];
    if shop.shared.required() {
        return Err(StepError::NotShared);
    }
    let inputs: Vec<NodeIndex> = plan.graph().neighbors_directed(node, Incoming).collect();
    supply(&inputs, plan, outputs, shop, scribe)?;
    let step = outputs.resolved(plan, node).ok_or(StepError::Panicked)?;
    let done = super::perform_here(node, planned, &step, shop, scribe)?;
    if done.output == *wanted {
        return Ok(());
    }
    Err(StepError::Unexpected {
        what: format!(
            "{} {}, which a cache says is {wanted}",
            planned.step.kind(),
            planned.subject
        ),
        found: format!("{}; `--no-cache` makes everything here", done.output),
    })
}
