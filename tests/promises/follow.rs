//! `lock "follow"`: the distribution has moved on since the lock was written. The mirrors are those
//! of this machine, as only they hold indexes that Debian signed.

use std::fs;
use std::process::Command;

use crate::support::{MAIN_JOB, Scratch, skip};

/// A copy of the checkout whose lock names a version of zlib that no mirror has.
fn outdated() -> Option<(Scratch, String)> {
    let targets = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)"])
        .output();
    if !targets.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("/debian")) {
        skip("apt knows no mirror of Debian");
        return None;
    }
    let scratch = Scratch::new();
    let path = scratch.work().join("recipes/app/scylla-python.lock.kdl");
    let text = fs::read_to_string(&path).expect("a lock");
    let start = text.find("deb \"zlib1g\"").expect("zlib is locked");
    let end = start + text[start..].find("\n}").expect("a block ends");
    let entry = &text[start..end];
    let version = entry.split('"').nth(3).expect("a version").to_owned();
    let pool = entry
        .split('"')
        .find(|word| word.starts_with("pool/"))
        .expect("a path");
    let old = entry
        .replace(&format!("\"{version}\""), "\"1:1.2.0-1\"")
        .replace(pool, "pool/main/z/zlib/zlib1g_1.2.0-1_amd64.deb");
    fs::write(&path, text.replace(entry, &old)).expect("written");
    Some((scratch, version))
}

#[test]
fn a_version_that_the_mirrors_have_dropped_is_followed_and_the_lock_moves() {
    let Some((scratch, version)) = outdated() else {
        return;
    };
    let ran = scratch.run(["build", MAIN_JOB]);
    if ran.code == Some(4) && ran.err.contains("cannot fetch") {
        return skip("the mirrors of this machine do not answer");
    }
    let ran = ran.ok();
    assert!(ran.err.contains("zlib1g 1:1.2.0-1 -> "), "{}", ran.err);
    let lock = fs::read_to_string(scratch.work().join("recipes/app/scylla-python.lock.kdl"));
    let lock = lock.expect("a lock");
    assert!(!lock.contains("1.2.0-1"), "{lock}");
    // The mirrors may have moved on from what is committed here, too: then it is a newer one.
    assert!(
        lock.contains(&version) || lock.contains("deb \"zlib1g\""),
        "{lock}"
    );
    scratch
        .run(["build", MAIN_JOB, "--locked", "--offline"])
        .ok();
}

#[test]
fn locked_forbids_to_follow_and_leaves_the_lock_as_it_was() {
    let Some((scratch, _)) = outdated() else {
        return;
    };
    let path = scratch.work().join("recipes/app/scylla-python.lock.kdl");
    let before = fs::read_to_string(&path).expect("a lock");
    let ran = scratch.run(["build", MAIN_JOB, "--locked"]).fails_with(4);
    if ran.err.contains("cannot fetch") {
        return skip("the mirrors of this machine do not answer");
    }
    assert!(ran.err.contains("--upgrade zlib1g"), "{}", ran.err);
    let newest = "zlib1g 1:1.2.0-1 is gone from every mirror; the suite has 1:1.";
    assert!(ran.err.contains(newest), "{}", ran.err);
    assert_eq!(before, fs::read_to_string(&path).expect("a lock"));
}
