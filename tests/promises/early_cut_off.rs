use std::fs;

use crate::support::{MAIN_JOB, Scratch, sources};

#[test]
fn a_requirement_that_goes_leaves_all_other_steps_as_they_are() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    let lock = scratch.work().join("recipes/app/scylla-python.lock.kdl");
    let text = fs::read_to_string(&lock).expect("a lock");
    // A comment changes the bytes of the lock, hence the memo, but no step.
    fs::write(&lock, format!("// a comment\n{text}")).expect("written");
    let ran = scratch
        .run(["build", MAIN_JOB, "--locked", "--offline"])
        .ok();
    assert!(ran.out.contains(" 0 steps run, "), "{}", ran.out);
}

#[test]
fn a_check_that_changes_runs_only_the_checks() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    let id = scratch.closure_id();
    let path = scratch.work().join("recipes/app/scylla-python.kdl");
    let text = fs::read_to_string(&path).expect("a recipe");
    fs::write(
        &path,
        text.replace("check {", "check { python \"import sys\"\n"),
    )
    .expect("written");
    let ran = scratch
        .run(["build", MAIN_JOB, "--locked", "--offline"])
        .ok();
    assert!(ran.out.contains(" 1 step run, "), "{}", ran.out);
    assert_eq!(id, scratch.closure_id());
}

#[test]
fn a_check_that_fails_leaves_no_result_and_names_itself() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let path = scratch.work().join("recipes/app/scylla-python.kdl");
    let text = fs::read_to_string(&path).expect("a recipe");
    let check = "check { python \"raise SystemExit('no luck')\"\n";
    fs::write(&path, text.replace("check {", check)).expect("written");
    let ran = scratch.run(["build", MAIN_JOB, "--locked"]).fails_with(1);
    assert!(ran.err.contains("no luck"), "{}", ran.err);
    assert!(!scratch.result().exists());
    scratch.store_verifies();
}
