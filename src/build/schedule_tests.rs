use std::sync::Arc;

use camino::Utf8Path;
use recipe_store::Digest;

use super::*;
use crate::lock::{FileKind, Lock, Locked};
use crate::recipe::Recipe;

/// A plan with three packages, each with a chain of its own until they are joined.
fn plan() -> Plan {
    let text = r#"recipe "small" version="1" {
        interpreter "python" "3.13" from="debian" suite="trixie"
    }"#;
    let recipe = Recipe::parse("small.kdl", Arc::from(text), Utf8Path::new("/")).expect("parses");
    let file = |name: &str, size| Locked {
        kind: FileKind::Deb,
        name: name.into(),
        version: "1".into(),
        architecture: "amd64".into(),
        source: String::new(),
        archive: "debian".into(),
        path: format!("pool/{name}"),
        size,
        sha256: Digest::of(name.as_bytes()).to_string(),
        reason: "recipe".into(),
        requires: Vec::new(),
    };
    let lock = Lock {
        serial: 1,
        recipe: Digest::of(b""),
        platform: crate::platform::Platform::X86_64,
        date: 0,
        python: None,
        asked: Vec::new(),
        suites: Vec::new(),
        files: vec![file("small", 1), file("large", 1000), file("middle", 10)],
    };
    let host = crate::plan::Host {
        platform: Some(lock.platform),
        emulates: None,
    };
    Plan::of(&recipe, &lock, host)
}

fn drain(schedule: &mut Schedule<'_>) -> Vec<NodeIndex> {
    let mut order = Vec::new();
    while let Some(node) = schedule.next_download().or_else(|| schedule.next_work()) {
        schedule.done(node);
        order.push(node);
    }
    order
}

#[test]
fn every_step_comes_once_and_after_its_inputs() {
    let plan = plan();
    let order = drain(&mut Schedule::new(&plan, |_| 1));
    assert_eq!(order.len(), plan.len());
    let place = |node: NodeIndex| order.iter().position(|other| *other == node);
    for edge in plan.graph().edge_indices() {
        let (from, to) = plan.graph().edge_endpoints(edge).expect("an edge has ends");
        assert!(place(from) < place(to));
    }
}

#[test]
fn the_longest_way_goes_first() {
    let plan = plan();
    let cost = |node: NodeIndex| match &plan.graph()[node].step {
        Step::Fetch(source) => source.size,
        _ => 1,
    };
    let mut schedule = Schedule::new(&plan, cost);
    let names: Vec<String> = std::iter::from_fn(|| schedule.next_download())
        .map(|node| plan.graph()[node].subject.clone())
        .collect();
    assert_eq!(names, ["large", "middle", "small"]);
}

#[test]
fn a_step_that_fails_skips_its_dependants_and_nothing_else() {
    let plan = plan();
    let mut schedule = Schedule::new(&plan, |_| 1);
    let failed = schedule.next_download().expect("a download");
    schedule.failed(failed);
    let order = drain(&mut schedule);
    // Unpack, relocate and scan of the failed package, and what joins all packages.
    assert_eq!(order.len() + 1 + schedule.skipped(), plan.len());
    assert!(
        order
            .iter()
            .all(|node| plan.graph()[*node].subject != plan.graph()[failed].subject)
    );
    assert!(!order.contains(&plan.closure()));
}
