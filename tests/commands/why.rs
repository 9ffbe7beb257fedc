use std::fs;

use crate::support::{Scratch, built};

#[test]
fn nothing_would_run_again_after_a_build() {
    let Some(scratch) = built() else { return };
    let why = scratch.run(["why", "python"]).ok().out;
    assert!(why.starts_with("nothing would run"), "{why}");
}

#[test]
fn the_fact_that_makes_a_step_run_again_is_named() {
    let Some(scratch) = built() else { return };
    let recipe = fs::read_to_string(scratch.work().join("recipes/python/python.kdl")).unwrap();
    let changed = recipe.replacen("check {\n", "check {\n        python \"import json\"\n", 1);
    let lock = scratch.work().join("recipes/python/python.lock.kdl");
    // Beside the lock that the record of the build belongs to.
    let path = scratch.write("recipes/python/another.kdl", &changed);
    let same = path.with_extension("lock.kdl");
    std::os::unix::fs::symlink(lock, &same).unwrap();
    let why = scratch.run(["why", path.as_str()]).ok().out;
    assert!(
        why.contains("check python: `python` is new: import json"),
        "{why}"
    );
    fs::remove_file(path).unwrap();
    fs::remove_file(same).unwrap();
}

#[test]
fn a_library_names_its_package_who_needs_that_and_who_needs_the_file() {
    let Some(scratch) = built() else { return };
    for path in ["lib/libz.so.1", "result/python/lib/libz.so.1"] {
        let why = scratch.run(["why", "python", path]).ok().out;
        for said in ["from zlib1g", "needs libz.so.1", "bin/python3.13 needs it"] {
            assert!(why.contains(said), "{said} is not in\n{why}");
        }
    }
    let why = scratch.run(["why", "python", "libssl3t64"]).ok().out;
    assert!(why.contains("needs libcrypto.so.3"), "{why}");
    let ran = scratch.run(["why", "python", "lib/no-such-file"]);
    ran.fails_with(2);
}

#[test]
fn a_recipe_that_was_never_built_says_so() {
    let own = Scratch::new();
    let why = own.run(["why", "python"]).ok().out;
    assert!(why.contains("fetch libc6: it was never done here"), "{why}");
}

#[test]
fn a_recipe_that_was_built_from_another_checkout_is_known() {
    let Some(scratch) = built() else { return };
    let other = Scratch::new();
    let store = scratch.store();
    let file = other.work().join("recipes/python/python.kdl");
    let recipe = fs::read_to_string(&file).unwrap();
    let changed = recipe.replacen("check {\n", "check {\n        python \"import json\"\n", 1);
    fs::write(file, changed).unwrap();
    let ask = |words: &[&str]| {
        let mut args = vec!["--store", store.as_str()];
        args.extend(words);
        other.run(args).ok()
    };
    let why = ask(&["why", "python"]).out;
    assert!(
        why.contains("check python: `python` is new: import json"),
        "{why}"
    );
    let lock = scratch.work().join("recipes/python/python.lock.kdl");
    let lock = lock.canonicalize_utf8().unwrap();
    assert!(why.contains(lock.as_str()), "{why}");
    let log = ask(&["log", "python", "check"]);
    assert!(log.err.contains(lock.as_str()), "{}", log.err);
    assert!(log.out.contains("check python"), "{}", log.out);
}
