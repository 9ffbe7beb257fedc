//! A plan whose steps are known → those that give other bytes when they are run again. Begin at [`again`].
//!
//! Each step gets the inputs that are known, so each is judged alone: what one step makes differently
//! does not spread to the next. Nothing is recorded and nothing is committed: what is made lies in the
//! session, to be compared, and goes with it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use petgraph::graph::NodeIndex;
use recipe_store::ObjectId;

use super::{
    BuildError, Ear, End, Ended, Event, Scribe, StepError, Workshop, add_failure, cost, pool, steps,
};
use crate::plan::Plan;

/// What came of running steps again.
#[derive(Debug, Default)]
pub struct Again {
    /// Steps that gave the same bytes.
    pub same: Vec<NodeIndex>,
    /// Steps that gave others, in the order of the plan.
    pub differing: Vec<Differing>,
}

/// A step that gave other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differing {
    /// The step.
    pub node: NodeIndex,
    /// What is known to come of it.
    pub known: ObjectId,
    /// What came of it now.
    pub found: ObjectId,
}

/// Runs `nodes` of `plan` again, `threads` of them at once, and compares with `outputs`, which has to
/// have theirs and those of all that they need. Every step is tried, whatever becomes of others.
pub fn again(
    plan: &Plan,
    outputs: &HashMap<NodeIndex, ObjectId>,
    nodes: &[NodeIndex],
    shop: &Workshop<'_>,
    threads: usize,
    ear: &dyn Ear,
) -> Result<Again, BuildError> {
    ear.hear(Event::Planned(nodes.len()));
    let mut order = nodes.to_vec();
    order.sort_by_key(|node| std::cmp::Reverse(cost(plan, shop.durations, *node)));
    let made = Mutex::new(Vec::new());
    pool(threads.max(1))?.in_place_scope_fifo(|scope| {
        for node in order {
            let made = &made;
            scope.spawn_fifo(move |_| {
                let result = run(plan, outputs, node, shop, ear);
                let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                made.push((node, result));
            });
        }
    });
    let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    made.sort_by_key(|(node, _)| *node);
    compare(plan, outputs, made)
}

fn compare(
    plan: &Plan,
    outputs: &HashMap<NodeIndex, ObjectId>,
    made: Vec<(NodeIndex, Result<ObjectId, StepError>)>,
) -> Result<Again, BuildError> {
    let mut again = Again::default();
    let mut failures = Vec::new();
    for (node, result) in made {
        match (result, outputs.get(&node)) {
            (Ok(found), Some(known)) if found == *known => again.same.push(node),
            (Ok(found), Some(known)) => again.differing.push(Differing {
                node,
                known: *known,
                found,
            }),
            (Ok(_), None) => {}
            (Err(error), _) => add_failure(&mut failures, &plan.graph()[node], error),
        }
    }
    if failures.is_empty() {
        return Ok(again);
    }
    Err(BuildError::Failed {
        failures,
        skipped: 0,
        recipe: "NAME".to_owned(),
    })
}

fn run(
    plan: &Plan,
    outputs: &HashMap<NodeIndex, ObjectId>,
    index: NodeIndex,
    shop: &Workshop<'_>,
    ear: &dyn Ear,
) -> Result<ObjectId, StepError> {
    let node = &plan.graph()[index];
    let step = node
        .step
        .map(|input| outputs.get(input).copied().ok_or(StepError::Panicked))?;
    ear.hear(Event::Started(index, node));
    let begun = Instant::now();
    let scribe = Scribe::new(ear);
    let key = step.key();
    let bench = steps::Bench {
        shop,
        scribe: &scribe,
        key: &key,
    };
    let made = catch_unwind(AssertUnwindSafe(|| steps::run(&step, &bench)));
    let made = made.unwrap_or(Err(StepError::Panicked));
    let said = scribe.said();
    let why = made.as_ref().err().map(ToString::to_string);
    ear.hear(Event::Ended(&Ended {
        index,
        node,
        key,
        end: match made {
            Ok(_) => End::Ran,
            Err(_) => End::Failed,
        },
        took: begun.elapsed(),
        said: &said,
        why: why.as_deref().unwrap_or_default(),
    }));
    made.map(|made| made.output)
}
