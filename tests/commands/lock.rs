use std::fs;

use crate::support::{MAIN_JOB, Scratch, skip};

#[test]
fn the_committed_locks_are_up_to_date() {
    for name in [MAIN_JOB, "python"] {
        Scratch::new()
            .run(["lock", name, "--locked", "--offline"])
            .ok();
    }
}

#[test]
fn a_lock_is_out_of_date_when_a_requirement_was_added() {
    let scratch = Scratch::new();
    let path = scratch.work().join("recipes/app/scylla-python.kdl");
    let text = fs::read_to_string(&path).expect("a recipe");
    fs::write(&path, text.replace("\"PyYAML\"", "\"PyYAML\" \"attrs\"")).expect("written");
    let ran = scratch
        .run(["lock", MAIN_JOB, "--locked", "--offline"])
        .fails_with(3);
    assert!(ran.err.contains("attrs"), "{}", ran.err);
    assert!(ran.err.contains("recipe lock"), "{}", ran.err);
}

#[test]
fn a_check_that_changes_leaves_the_lock_up_to_date() {
    let scratch = Scratch::new();
    let path = scratch.work().join("recipes/app/scylla-python.kdl");
    let text = fs::read_to_string(&path).expect("a recipe");
    fs::write(
        &path,
        text.replace("check {", "check { python \"import sys\""),
    )
    .expect("written");
    scratch
        .run(["lock", MAIN_JOB, "--locked", "--offline"])
        .ok();
}

#[test]
fn no_lock_names_a_host() {
    for group in fs::read_dir(crate::support::checkout().join("recipes")).expect("recipes") {
        for file in fs::read_dir(group.expect("a group").path()).expect("a folder") {
            let text = fs::read_to_string(file.expect("a file").path()).expect("text");
            // A recipe may speak of the protocol (`https://'`); a host would follow.
            let hosts = ["http://", "https://", "ftp://", "ssh://"]
                .into_iter()
                .flat_map(|scheme| text.split(scheme).skip(1))
                .filter(|rest| rest.starts_with(char::is_alphanumeric));
            assert_eq!(hosts.count(), 0, "{text}");
        }
    }
}

#[test]
fn a_lock_with_conflict_markers_is_refused_with_its_line() {
    let scratch = Scratch::new();
    let path = scratch.work().join("recipes/app/scylla-python.lock.kdl");
    let text = fs::read_to_string(&path).expect("a lock");
    let broken = format!("<<<<<<< ours\n{text}=======\n>>>>>>> theirs\n");
    fs::write(&path, &broken).expect("written");
    let ran = scratch.run(["build", MAIN_JOB, "--offline"]).fails_with(3);
    assert!(ran.err.contains("conflict"), "{}", ran.err);
    assert_eq!(
        fs::read_to_string(&path).expect("a lock"),
        broken,
        "the lock is left as it was"
    );
}

#[test]
fn a_package_that_is_misspelt_after_upgrade_is_refused_with_a_suggestion() {
    let ran = Scratch::new()
        .run(["lock", MAIN_JOB, "--upgrade", "requets"])
        .fails_with(2);
    assert!(ran.err.contains("did you mean requests?"), "{}", ran.err);
    assert!(
        ran.err.contains("recipes/app/scylla-python.lock.kdl"),
        "{}",
        ran.err
    );
}

#[test]
fn the_recipe_is_the_first_name_wherever_upgrade_stands() {
    let scratch = Scratch::new();
    for words in [
        ["lock", "--upgrade", MAIN_JOB, "requets"],
        ["lock", MAIN_JOB, "requets", "--upgrade"],
    ] {
        let ran = scratch.run(words).fails_with(2);
        assert!(ran.err.contains("did you mean requests?"), "{}", ran.err);
    }
    scratch.run(["lock", MAIN_JOB, "requests"]).fails_with(2);
}

#[test]
fn a_broken_lock_is_written_anew_and_its_serial_number_goes_on() {
    let scratch = Scratch::new();
    let path = scratch.work().join("recipes/python/python.lock.kdl");
    let text = fs::read_to_string(&path).expect("a lock");
    let serial = |text: &str| {
        let line = text.lines().find(|line| line.trim().starts_with("serial "));
        line.expect("a serial number").trim().to_owned()
    };
    let counted = text.replacen(&serial(&text), "serial 41", 1);
    fs::write(&path, counted.replacen("platform", "platfrom", 1)).expect("written");
    let ran = scratch.run(["lock", "python"]);
    if ran.code == Some(4) {
        return skip("the mirrors of this machine do not answer");
    }
    let ran = ran.ok();
    assert!(ran.err.contains("written anew"), "{}", ran.err);
    let now = fs::read_to_string(&path).expect("a lock");
    assert_eq!(serial(&now), "serial 42");
}
