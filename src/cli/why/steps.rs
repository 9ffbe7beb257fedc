//! Why steps would run again: the first thing in which they differ from what was done before.

use std::collections::HashSet;

use petgraph::graph::NodeIndex;
use petgraph::visit::Dfs;
use recipe_store::{ObjectId, Session};
use serde::Serialize;

use super::Scene;
use crate::cli::exit::Failed;
use crate::cli::record::Record;
use crate::cli::render::plural;
use crate::closure::contents::{differences, of_tree};
use crate::plan::Resolved;
use crate::plan::why::{Difference, difference};

/// The answer.
#[derive(Serialize)]
pub(super) struct Answer {
    /// How many of the steps that were asked for are known, and would not run.
    known: usize,
    /// The lock of another checkout, where the recipe was built there and not here.
    elsewhere: Option<String>,
    steps: Vec<Reason>,
}

/// Why one step would run.
#[derive(Serialize)]
struct Reason {
    step: String,
    /// `new`, `lost`, `differs`, `input`.
    cause: &'static str,
    /// The fact that differs.
    field: Option<String>,
    before: Option<String>,
    now: Option<String>,
    /// The step whose output that fact is, or that has to run first.
    input: Option<String>,
    /// The first path at which that input differs.
    path: Option<String>,
    /// How many steps wait for this one.
    waiting: usize,
}

/// Explains the steps that would run; where all were asked for, only those that others wait for.
pub(super) fn why(scene: &Scene<'_>, nodes: &[NodeIndex], all: bool) -> Result<Answer, Failed> {
    let title = scene.recipe.title();
    let record = Record::find(scene.session.store(), &scene.found.lock_path, &title)?;
    let record = record.unwrap_or_default();
    let would_run = |node: &NodeIndex| !scene.standing.outputs.contains_key(node);
    let known = nodes.iter().filter(|node| !would_run(node)).count();
    let mut steps = Vec::new();
    for node in nodes.iter().copied().filter(would_run) {
        let ready = scene.standing.resolved(scene.plan, node);
        if let Some(step) = ready {
            steps.push(ready_step(scene, &record, node, &step)?);
        } else if !all {
            steps.push(waiting_step(scene, node));
        }
    }
    let elsewhere = record.is_from_elsewhere(&scene.found.lock_path);
    let elsewhere = (elsewhere && !record.lines.is_empty()).then(|| record.lock.to_string());
    Ok(Answer {
        known,
        elsewhere,
        steps,
    })
}

/// A step that has all its inputs.
fn ready_step(
    scene: &Scene<'_>,
    record: &Record,
    node: NodeIndex,
    step: &Resolved,
) -> Result<Reason, Failed> {
    let planned = &scene.plan.graph()[node];
    let mut reason = Reason::of(scene, node);
    let Some(before) = record.key_of(planned.step.kind(), &planned.subject) else {
        return Ok(reason);
    };
    let trace = scene.session.store().read_trace(&before);
    let Some(trace) = trace.ok().flatten() else {
        // gc took it, or it is damaged: what it was made of is not known any more.
        reason.cause = "lost";
        return Ok(reason);
    };
    let Some(found) = difference(&trace.preimage, step) else {
        reason.cause = "lost";
        return Ok(reason);
    };
    reason.cause = "differs";
    reason.path = first_path(scene.session, &found);
    reason.input = found
        .input
        .and_then(|place| planned.step.inputs().get(place).copied())
        .map(|input| scene.called(input));
    reason.field = Some(found.field);
    (reason.before, reason.now) = (found.before, found.now);
    Ok(reason)
}

/// A step that waits for others: the first of those that have all they need is named.
fn waiting_step(scene: &Scene<'_>, node: NodeIndex) -> Reason {
    let mut reason = Reason::of(scene, node);
    reason.cause = "input";
    let mut at = node;
    let inputs = |node: NodeIndex| scene.plan.graph()[node].step.inputs();
    while let Some(input) = inputs(at)
        .into_iter()
        .find(|input| !scene.standing.outputs.contains_key(input))
    {
        at = input;
    }
    reason.input = Some(scene.called(at));
    reason
}

/// The first path at which two trees differ, if both are in the store.
fn first_path(session: &Session, found: &Difference) -> Option<String> {
    let tree = |text: &Option<String>| match text.as_ref()?.parse().ok()? {
        ObjectId::Tree(tree) => of_tree(session, &tree).ok(),
        ObjectId::Blob(_) => None,
    };
    let (before, now) = (tree(&found.before)?, tree(&found.now)?);
    let changes = differences(&before, &now);
    changes.first().map(|change| change.path.to_owned())
}

impl Reason {
    fn of(scene: &Scene<'_>, node: NodeIndex) -> Reason {
        let graph = scene.plan.graph();
        let mut after = Dfs::new(graph, node);
        let mut seen = HashSet::new();
        while let Some(next) = after.next(graph) {
            seen.insert(next);
        }
        Reason {
            step: scene.called(node),
            cause: "new",
            field: None,
            before: None,
            now: None,
            input: None,
            path: None,
            waiting: seen.len() - 1,
        }
    }

    fn line(&self) -> String {
        let step = &self.step;
        let input = self.input.as_deref().unwrap_or_default();
        let mut text = match self.cause {
            "new" => format!("{step}: it was never done here"),
            "lost" => format!("{step}: it was done, and what it made is not in the store any more"),
            "input" => return format!("{step}: {input} has to run first"),
            _ => format!("{step}: {}", self.differs()),
        };
        if self.waiting > 0 {
            text.push_str(&format!("\n  {} after it", plural(self.waiting, "step")));
        }
        text
    }

    fn differs(&self) -> String {
        let field = self.field.as_deref().unwrap_or_default();
        let named = match &self.input {
            Some(input) => format!("`{field}`, made by {input},"),
            None if field == "step" => "what this version of recipe does in such a step".into(),
            None => format!("`{field}`"),
        };
        let mut text = match (&self.before, &self.now) {
            (None, Some(now)) => format!("{named} is new: {now}"),
            (Some(before), None) => format!("{named} is gone: {before}"),
            (before, now) => format!(
                "{named} was {} and is {}",
                before.as_deref().unwrap_or_default(),
                now.as_deref().unwrap_or_default()
            ),
        };
        if let Some(path) = &self.path {
            text.push_str(&format!("\n  the first path that differs: {path}"));
        }
        text
    }
}

impl Answer {
    pub(super) fn text(&self) -> String {
        if self.steps.is_empty() {
            return format!(
                "nothing would run: {} known",
                match self.known {
                    1 => "the step is".to_owned(),
                    known => format!("all {known} steps are"),
                }
            );
        }
        let mut lines: Vec<String> = self.steps.iter().map(Reason::line).collect();
        if let Some(lock) = &self.elsewhere {
            lines.push(format!(
                "(not built here yet: this is against the last build with {lock})"
            ));
        }
        lines.join("\n")
    }
}
