use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::{Fault, MAIN_JOB, Scratch, Server, sources};

#[test]
fn the_main_job_makes_a_python_that_imports_yaml() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    let ran = scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    assert!(ran.out.starts_with("result/scylla-python\n"), "{}", ran.out);
    let python = scratch.result().join("bin/python3");
    let code = "import yaml; assert yaml.__with_libyaml__";
    assert!(
        Command::new(python)
            .args(["-c", code])
            .status()
            .expect("starts")
            .success()
    );
}

#[test]
fn nothing_is_done_when_nothing_changed() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    let before = scratch.closure_id();
    let ran = scratch
        .run(["build", MAIN_JOB, "--locked", "--offline"])
        .ok();
    assert!(ran.out.contains("nothing to do"), "{}", ran.out);
    assert_eq!(before, scratch.closure_id());
}

#[test]
fn with_keep_going_a_recipe_that_fails_does_not_keep_others_from_being_built() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    fs::write(scratch.work().join("broken.kdl"), "recipe \"broken\"").expect("written");
    let words = ["build", "./broken.kdl", MAIN_JOB, "--locked", "--json"];
    let stops = scratch.run(words);
    assert_eq!(stops.code, Some(3), "{}", stops.err);
    assert!(!scratch.result().exists());
    let goes_on = scratch.run(words.into_iter().chain(["--keep-going"]));
    assert_eq!(goes_on.code, Some(3), "{}", goes_on.err);
    assert!(goes_on.err.contains("broken.kdl"), "{}", goes_on.err);
    assert!(goes_on.out.contains("\"closures\""), "{}", goes_on.out);
    assert!(scratch.result().join("bin/python3").exists());
}

#[test]
fn another_link_is_a_root_of_its_own() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    scratch
        .run(["build", MAIN_JOB, "--locked", "-o", "there"])
        .ok();
    fs::remove_file(scratch.result()).expect("removed");
    scratch.run(["gc"]).ok();
    assert!(scratch.work().join("there/bin/python3").exists());
    scratch.store_verifies();
}

#[test]
fn after_gc_a_built_recipe_is_still_built() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    scratch.run(["gc"]).ok();
    let ran = scratch
        .run(["build", MAIN_JOB, "--locked", "--offline"])
        .ok();
    assert!(ran.out.contains("nothing to do"), "{}", ran.out);
}

#[test]
fn gc_tells_what_it_would_delete_and_then_deletes_just_that() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    fs::remove_file(scratch.result()).expect("removed");
    let told = scratch.run(["gc", "--dry-run"]).ok().out;
    let done = scratch.run(["gc"]).ok().out;
    assert_eq!(told.replace("would delete", "deleted"), done);
    scratch.store_verifies();
}

#[test]
fn a_locked_file_that_is_gone_is_named() {
    let Some(sources) = sources() else { return };
    let server = Server::of(sources.folder());
    server.fault(Fault::Gone(BTreeSet::from(["zlib1g".to_owned()])));
    let scratch = Scratch::new().from(&server);
    let lock = scratch.work().join("recipes/python/python.lock.kdl");
    let text = fs::read_to_string(lock).expect("a lock");
    let path = text
        .split('"')
        .find(|word| word.contains("/zlib1g_"))
        .expect("zlib is locked");
    server.fault(Fault::Gone(BTreeSet::from([path.to_owned()])));
    let ran = scratch.run(["build", "python", "--locked"]).fails_with(4);
    assert!(
        ran.err.contains(path) && ran.err.contains("no mirror has it"),
        "{}",
        ran.err
    );
    scratch.store_verifies();
    server.heal();
    scratch.run(["build", "python", "--locked"]).ok();
}

#[test]
fn a_file_with_other_bytes_is_refused_and_not_kept() {
    let Some(sources) = sources() else { return };
    let server = Server::of(sources.folder());
    server.fault(Fault::Changed(".whl".into()));
    let scratch = Scratch::new().from(&server);
    let ran = scratch.run(["build", MAIN_JOB, "--locked"]).fails_with(5);
    assert!(
        ran.err.contains("is not the file that was locked"),
        "{}",
        ran.err
    );
    scratch.store_verifies();
    server.heal();
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
}

#[test]
fn offline_with_an_empty_store_says_what_is_missing() {
    let scratch = Scratch::new();
    let ran = scratch
        .run(["build", MAIN_JOB, "--locked", "--offline"])
        .fails_with(4);
    assert!(ran.err.contains("--offline forbids"), "{}", ran.err);
}

#[test]
fn a_name_that_is_nearly_right_is_suggested() {
    let ran = Scratch::new().run(["build", "scyla-python"]).fails_with(3);
    assert!(ran.err.contains("scylla-python"), "{}", ran.err);
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    Scratch::new().run(["build"]).fails_with(2);
    Scratch::new()
        .run(["build", "--jobs", "0", "x"])
        .fails_with(2);
}

#[test]
fn a_store_of_another_kind_of_file_is_refused() {
    let scratch = Scratch::new();
    let file = scratch.write("a-file", "x");
    let ran = scratch
        .run(["build", MAIN_JOB, "--locked", "--store", file.as_str()])
        .fails_with(6);
    assert!(ran.err.contains("a-file"), "{}", ran.err);
}

#[test]
fn a_closure_without_byte_code_holds_none_and_still_works() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let path = scratch.work().join("recipes/app/scylla-python.kdl");
    let text = fs::read_to_string(&path).expect("a recipe");
    fs::write(
        &path,
        text.replace("closure {", "closure {\n        byte-code #false\n"),
    )
    .expect("written");
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    let found = Command::new("find")
        .arg("-L")
        .arg(scratch.result())
        .args(["-name", "*.pyc"])
        .output();
    assert!(found.expect("find starts").stdout.is_empty());
    scratch.run(["verify", scratch.result().as_str()]).ok();
}

#[test]
fn a_place_where_no_link_can_be_made_is_told_before_anything_is_built() {
    let scratch = Scratch::new();
    let file = scratch.write("result", "a file");
    for args in [
        ["build", "python", "--offline"].as_slice(),
        &[
            "build",
            "python",
            "--offline",
            "--out-link",
            "result/deep/link",
        ],
    ] {
        let ran = scratch.run(args).fails_with(6);
        assert!(ran.err.contains("result is no folder"), "{}", ran.err);
        assert!(!ran.err.contains("NAME"), "{}", ran.err);
        assert!(ran.err.contains("--out-link LINK"), "{}", ran.err);
    }
    assert_eq!(fs::read_to_string(file).expect("still there"), "a file");
    assert!(!scratch.store().exists(), "nothing was begun");
}

/// The recipe `python` with other checks and closure, beside its lock.
fn failing(scratch: &Scratch, closure: &str, checks: &str) -> camino::Utf8PathBuf {
    let folder = scratch.work().join("recipes/python");
    let mut text = fs::read_to_string(folder.join("python.kdl")).expect("a recipe");
    for node in ["recipe", "variant"] {
        let (from, to) = (format!("{node} \"python\""), format!("{node} \"failing\""));
        text = text.replace(&from, &to);
    }
    for (node, more) in [("closure {\n", closure), ("check {\n", checks)] {
        text = text.replacen(node, &format!("{node}{more}"), 1);
    }
    let lock = folder.join("failing.lock.kdl");
    fs::copy(folder.join("python.lock.kdl"), lock).expect("copied");
    scratch.write("recipes/python/failing.kdl", &text)
}

/// Line and column, counted from 1.
fn place(text: &str, word: &str) -> (usize, usize) {
    let at = text.find(word).expect("there");
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    (
        line,
        at - before.rfind('\n').map_or(0, |newline| newline + 1) + 1,
    )
}

#[test]
fn a_failed_check_shows_its_line_in_the_recipe() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let checks =
        "        python \"import good\"\n        python \"import os\"\n        run \"bin/false\"\n";
    let path = failing(&scratch, "", checks);
    let text = fs::read_to_string(&path).expect("a recipe");
    let ran = scratch
        .run(["build", "failing", "--locked", "--json"])
        .fails_with(1);
    let (first, second) = (
        place(&text, "python \"import good\""),
        place(&text, "run \"bin/false\""),
    );
    let shown = format!("failing.kdl:{}:{}", first.0, first.1);
    assert!(ran.err.contains(&shown), "{shown} is not in\n{}", ran.err);
    assert!(
        ran.err.contains("the closure has no `bin/false`"),
        "{}",
        ran.err
    );
    let error: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(error["answer"], "error");
    assert_eq!(error["exit_code"], 1);
    let failure = &error["errors"][0];
    assert_eq!(failure["code"], "build::check");
    let places = failure["places"].as_array().expect("a list");
    let places: Vec<_> = places
        .iter()
        .map(|place| (place["line"].as_u64(), place["column"].as_u64()))
        .collect();
    let wanted = [first, second].map(|(line, column)| (Some(line as u64), Some(column as u64)));
    assert_eq!(places, wanted, "{error:#}");
    let file = failure["places"][0]["file"].as_str().expect("a file");
    assert!(file.ends_with("recipes/python/failing.kdl"), "{file}");
}

#[test]
fn an_entry_that_runs_nothing_shows_its_line_in_the_recipe_and_what_was_meant() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let path = failing(&scratch, "        entry \"x\" runs=\"bin/pyton3\"\n", "");
    let text = fs::read_to_string(&path).expect("a recipe");
    let (line, column) = place(&text, "\"x\"");
    let ran = scratch.run(["build", "failing", "--locked"]).fails_with(1);
    let shown = format!("failing.kdl:{line}:{column}");
    assert!(ran.err.contains(&shown), "{shown} is not in\n{}", ran.err);
    assert!(ran.err.contains("did you mean bin/python3"), "{}", ran.err);
}

#[test]
fn a_check_that_takes_longer_than_it_may_is_stopped_and_says_how_it_gets_longer() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let sleeps = "        python \"import time; time.sleep(600)\" timeout=\"1s\"\n";
    let path = failing(&scratch, "", sleeps);
    let ran = scratch.run(["build", "failing", "--locked"]).fails_with(1);
    let told = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("it was stopped after 1 s: `timeout=\"2m\"`"),
        "{told}"
    );
    let text = fs::read_to_string(&path).expect("a recipe");
    for bad in ["1h", "0s", "1441m", "m"] {
        let text = text.replace("timeout=\"1s\"", &format!("timeout=\"{bad}\""));
        fs::write(&path, text).expect("written");
        let ran = scratch.run(["build", "failing", "--locked"]).fails_with(3);
        assert!(ran.err.contains("90s or 20m"), "{bad}: {}", ran.err);
    }
}
