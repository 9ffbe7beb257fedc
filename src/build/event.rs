//! What happens during a build, told to a listener. `cli` shows it; tests collect it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use petgraph::graph::NodeIndex;
use recipe_store::StepKey;

use crate::plan::Node;

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The build begins; so many steps are planned.
    Planned(usize),
    /// A step is being run.
    Started(NodeIndex, &'a Node),
    /// A step has ended.
    Ended(&'a Ended<'a>),
    /// Something a person should know, that stops nothing.
    Note(&'a str),
    /// What a program just printed, in pieces that need not be lines: see [`super::Workshop::loud`].
    Printed(&'a str),
}

/// How one step ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// Its place in the plan.
    pub index: NodeIndex,
    /// The step.
    pub node: &'a Node,
    /// Its key: what its trace and its log are found by.
    pub key: StepKey,
    /// What became of it.
    pub end: End,
    /// How long it took.
    pub took: Duration,
    /// What it said, where it failed. What other steps said is kept beside their trace.
    pub said: &'a str,
    /// Why it failed, if it did.
    pub why: &'a str,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was run.
    Ran,
    /// Its output was known already.
    Reused,
    /// It failed.
    Failed,
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

/// Passes everything on, and keeps what one step says: its notes, and what its programs print.
pub struct Scribe<'a> {
    ear: &'a dyn Ear,
    said: Mutex<String>,
}

/// So much of what a step says is kept: its beginning and, mostly, its end.
const HEAD: usize = 16 << 10;
const TAIL: usize = 112 << 10;

impl<'a> Scribe<'a> {
    /// One that has heard nothing yet.
    pub fn new(ear: &'a dyn Ear) -> Scribe<'a> {
        Scribe {
            ear,
            said: Mutex::default(),
        }
    }

    /// Keeps `text`, which nobody has to see now.
    pub fn keep(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_str(text);
        if !text.ends_with('\n') {
            said.push('\n');
        }
        if said.len() > 2 * (HEAD + TAIL) {
            *said = shortened(&said);
        }
    }

    /// All that was said, without its middle if that was too much.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() > HEAD + TAIL {
            shortened(&said)
        } else {
            said.clone()
        }
    }
}

fn shortened(said: &str) -> String {
    let head = said.floor_char_boundary(HEAD);
    let tail = said.ceil_char_boundary(said.len() - TAIL);
    format!(
        "{}\n[{} bytes are left out here]\n{}",
        &said[..head],
        tail - head,
        &said[tail..]
    )
}

impl Ear for Scribe<'_> {
    fn hear(&self, event: Event<'_>) {
        if let Event::Note(text) = event {
            self.keep(text);
        }
        self.ear.hear(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_says_is_kept_up_to_a_bound_with_its_beginning_and_its_end() {
        let scribe = Scribe::new(&Deaf);
        scribe.hear(Event::Note("the first line"));
        for line in 0..100_000 {
            scribe.keep(&format!("line {line} with ümlauts"));
        }
        scribe.keep("the last line\n");
        let said = scribe.said();
        assert!(said.len() < HEAD + TAIL + 100, "{}", said.len());
        assert!(said.starts_with("the first line\nline 0 "));
        assert!(said.ends_with("\nthe last line\n"));
        assert!(said.contains("bytes are left out here]"));
    }
}
