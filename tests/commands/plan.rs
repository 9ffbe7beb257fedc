use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{MAIN_JOB, Scratch, sources};

#[test]
fn a_plan_tells_what_will_be_fetched_and_later_that_all_is_present() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    let before = scratch.run(["plan", MAIN_JOB]).ok().out;
    assert!(
        before.contains(" 0 present") && before.contains(" to fetch ("),
        "{before}"
    );
    assert_eq!(sources.server().answered(), sources.server().answered());
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    let after = scratch.run(["plan", MAIN_JOB]).ok().out;
    assert!(
        after.contains(" 0 to fetch (0 bytes), 0 to build"),
        "{after}"
    );
}

#[test]
fn no_two_steps_of_a_plan_are_called_the_same() {
    let scratch = Scratch::new();
    for name in [
        "scylla-python-full",
        "salt",
        "zlib",
        "scylla-python-from-source",
        "science-python@aarch64",
    ] {
        let plan = scratch.run(["plan", name, "--json", "--offline"]).ok().out;
        let plan: Value = serde_json::from_str(&plan).expect("JSON");
        let steps = plan["steps"].as_array().expect("steps");
        let mut seen = BTreeSet::new();
        for step in steps {
            let called = format!("{} {}", step["kind"], step["subject"]);
            assert!(seen.insert(called.clone()), "{name} has {called} twice");
        }
    }
}
