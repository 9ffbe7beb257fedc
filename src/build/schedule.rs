//! Which steps are ready, and which of them goes first. A pure state machine: no thread, no clock.
//!
//! Downloads and work are kept in two queues, as they wait for different things. Within a queue
//! the step with the longest way still to go comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::Direction::{Incoming, Outgoing};
use petgraph::graph::NodeIndex;

use crate::plan::{Plan, Step};

/// What is ready, waiting, or will never run.
pub(super) struct Schedule<'p> {
    plan: &'p Plan,
    /// For each node, how many inputs are still missing.
    missing: Vec<usize>,
    /// For each node, the length of the longest way to the end of the plan.
    length: Vec<u64>,
    downloads: BinaryHeap<(u64, Reverse<NodeIndex>)>,
    work: BinaryHeap<(u64, Reverse<NodeIndex>)>,
    skipped: Vec<bool>,
    /// How many steps it is about.
    count: usize,
}

impl<'p> Schedule<'p> {
    /// A schedule of all of `plan`; `cost` says how long a step takes, in any unit.
    pub(super) fn new(plan: &'p Plan, cost: impl Fn(NodeIndex) -> u64) -> Schedule<'p> {
        Schedule::of(plan, cost, |_| true)
    }

    /// A schedule of what has to be there before `end` can be run.
    pub(super) fn before(
        plan: &'p Plan,
        end: NodeIndex,
        cost: impl Fn(NodeIndex) -> u64,
    ) -> Schedule<'p> {
        let graph = plan.graph();
        let mut wanted = vec![false; graph.node_count()];
        let mut open = vec![end];
        while let Some(node) = open.pop() {
            for input in graph.neighbors_directed(node, Incoming) {
                if !std::mem::replace(&mut wanted[input.index()], true) {
                    open.push(input);
                }
            }
        }
        Schedule::of(plan, cost, |node| wanted[node.index()])
    }

    fn of(
        plan: &'p Plan,
        cost: impl Fn(NodeIndex) -> u64,
        is_wanted: impl Fn(NodeIndex) -> bool,
    ) -> Schedule<'p> {
        let graph = plan.graph();
        let mut length = vec![0; graph.node_count()];
        // Nodes are numbered after their inputs, so going backwards meets dependants first.
        for node in graph.node_indices().rev() {
            let behind = graph
                .neighbors_directed(node, Outgoing)
                .map(|next| length[next.index()]);
            length[node.index()] = cost(node).saturating_add(behind.max().unwrap_or(0));
        }
        let missing: Vec<usize> = graph
            .node_indices()
            .map(|node| match is_wanted(node) {
                true => graph.neighbors_directed(node, Incoming).count(),
                // Never ready.
                false => usize::MAX,
            })
            .collect();
        let mut schedule = Schedule {
            plan,
            length,
            downloads: BinaryHeap::new(),
            work: BinaryHeap::new(),
            skipped: vec![false; graph.node_count()],
            count: missing.iter().filter(|count| **count != usize::MAX).count(),
            missing: missing.clone(),
        };
        for node in graph
            .node_indices()
            .filter(|node| missing[node.index()] == 0)
        {
            schedule.enqueue(node);
        }
        schedule
    }

    /// How many steps it is about.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The download to start next.
    pub(super) fn next_download(&mut self) -> Option<NodeIndex> {
        self.downloads.pop().map(|(_, Reverse(node))| node)
    }

    /// The work to start next.
    pub(super) fn next_work(&mut self) -> Option<NodeIndex> {
        self.work.pop().map(|(_, Reverse(node))| node)
    }

    /// Whether a download is ready.
    pub(super) fn has_downloads(&self) -> bool {
        !self.downloads.is_empty()
    }

    /// Whether work is ready.
    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// `node` has its output: what waited only for it becomes ready.
    pub(super) fn done(&mut self, node: NodeIndex) {
        let plan = self.plan;
        for next in plan.graph().neighbors_directed(node, Outgoing) {
            self.missing[next.index()] -= 1;
            if self.missing[next.index()] == 0 && !self.skipped[next.index()] {
                self.enqueue(next);
            }
        }
    }

    /// `node` will never have an output: neither will what depends on it.
    pub(super) fn failed(&mut self, node: NodeIndex) {
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            for next in self.plan.graph().neighbors_directed(node, Outgoing) {
                if !std::mem::replace(&mut self.skipped[next.index()], true) {
                    open.push(next);
                }
            }
        }
    }

    /// Nothing more is started.
    pub(super) fn stop(&mut self) {
        self.downloads.clear();
        self.work.clear();
    }

    /// How many steps were skipped because something they need has failed.
    pub(super) fn skipped(&self) -> usize {
        self.skipped.iter().filter(|skipped| **skipped).count()
    }

    fn enqueue(&mut self, node: NodeIndex) {
        let entry = (self.length[node.index()], Reverse(node));
        match self.plan.graph()[node].step {
            Step::Fetch(_) => self.downloads.push(entry),
            _ => self.work.push(entry),
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
