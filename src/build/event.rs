//! What happens during a build, told to a listener. `cli` shows it; tests collect it.

use std::time::Duration;

use petgraph::graph::NodeIndex;

use crate::plan::Node;

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The build begins; so many steps are planned.
    Planned(usize),
    /// A step's output was known already.
    Reused(&'a Node),
    /// A step is being run.
    Started(NodeIndex, &'a Node),
    /// A step has ended well.
    Finished(NodeIndex, &'a Node, Duration),
    /// A step has failed.
    Failed(NodeIndex, &'a Node),
    /// Something a person should know, that stops nothing.
    Note(&'a str),
}

/// Hears what happens, from many threads.
pub trait Ear: Sync {
    /// Called for each event.
    fn hear(&self, event: Event<'_>);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy)]
pub struct Deaf;

impl Ear for Deaf {
    fn hear(&self, _: Event<'_>) {}
}
