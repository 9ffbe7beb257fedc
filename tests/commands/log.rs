use std::fs;

use crate::support::{Scratch, built, sources};

#[test]
fn the_log_has_every_step_of_the_build_and_what_its_checks_printed() {
    let Some(scratch) = built() else { return };
    let all = scratch.run(["log", "python"]).ok().out;
    let plan = scratch.run(["plan", "python", "--verbose"]).ok().out;
    for line in plan.lines().filter(|line| line.starts_with("present")) {
        let mut words = line.split_whitespace().skip(1);
        let step = [words.next().unwrap(), words.next().unwrap()].join(" ");
        assert!(all.contains(&step), "{step} is not in\n{all}");
    }
    let check = scratch.run(["log", "python", "check"]).ok().out;
    assert!(check.contains("check run bin/python3 -m venv"), "{check}");
    assert!(
        check.contains("1 ran") || check.contains(" ran, "),
        "{check}"
    );
}

#[test]
fn a_step_that_the_build_had_not_is_said_to_be_none() {
    let Some(scratch) = built() else { return };
    let ran = scratch.run(["log", "python", "unpack", "nothing"]);
    assert!(ran.fails_with(2).err.contains("unpack nothing"));
    for command in ["log", "retry"] {
        let ran = Scratch::new().run([command, "python"]).fails_with(2);
        assert!(
            ran.err.contains("nothing is known of a build"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_failed_build_has_a_log_names_every_failed_check_and_shows_places_that_exist() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let path = scratch.work().join("recipes/python/python.kdl");
    let text = fs::read_to_string(&path).unwrap();
    let bad = "check {\n        python \"print('said at length'); import nothing.at_all\"\n        \
               run \"bin/no-such-program\"\n        python \"import sys; sys.path.append(sys.prefix); \
               raise SystemExit(sys.executable)\"\n";
    fs::write(&path, text.replacen("check {\n", bad, 1)).unwrap();
    let ran = scratch.run(["build", "python", "--locked"]).fails_with(1);
    for said in [
        "3 checks failed",
        "nothing.at_all",
        "bin/no-such-program",
        "SystemExit",
    ] {
        assert!(ran.err.contains(said), "{said} is not in\n{}", ran.err);
    }
    assert!(!ran.err.contains("/in/closure"), "{}", ran.err);
    let place = ran
        .err
        .split_whitespace()
        .find(|word| word.starts_with('/') && word.contains("/bin/python3"));
    assert!(
        fs::exists(place.expect("the program's path")).unwrap(),
        "{}",
        ran.err
    );
    let log = scratch.run(["log", "python", "check"]).ok().out;
    assert!(log.starts_with("failed"), "{log}");
    assert!(
        log.contains("said at length") && log.contains("nothing.at_all"),
        "{log}"
    );
    // What a check said stands there once, though the failure quotes it.
    let traceback = "ModuleNotFoundError: No module named 'nothing'";
    assert_eq!(log.matches(traceback).count(), 1, "{log}");
    assert!(log.contains("(exit code 1)"), "{log}");
    let why = scratch.run(["why", "python", "check"]).ok().out;
    assert!(
        why.contains("check python: it was never done here"),
        "{why}"
    );
}

#[test]
fn a_step_whose_log_is_lost_is_not_run_again() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    scratch.run(["build", "python", "--locked"]).ok();
    let said = |scratch: &Scratch| scratch.run(["log", "python", "check"]).ok().out;
    assert!(
        said(&scratch).contains("check run bin/python3"),
        "{}",
        said(&scratch)
    );
    let memos = scratch.store().join("memo");
    fs::remove_dir_all(&memos).unwrap();
    fs::create_dir(&memos).unwrap();
    let plan = scratch.run(["plan", "python"]).ok().out;
    assert!(plan.contains(" 0 to fetch (0 bytes), 0 to build"), "{plan}");
    scratch
        .run(["build", "python", "--locked", "--offline"])
        .ok();
    assert!(!said(&scratch).contains("check run bin/python3"));
}

#[test]
fn a_recipe_that_was_given_by_path_is_named_by_it_in_what_to_type_next() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let from = scratch.work().join("recipes/python");
    let text = fs::read_to_string(from.join("python.kdl")).unwrap();
    let bad = text.replacen(
        "check {\n",
        "check {\n        python \"raise SystemExit(3)\"\n",
        1,
    );
    scratch.write("there.kdl", &bad);
    fs::copy(
        from.join("python.lock.kdl"),
        scratch.work().join("there.lock.kdl"),
    )
    .unwrap();
    let ran = scratch.run(["log", "there.kdl"]).fails_with(2);
    assert!(ran.err.contains("`recipe build there.kdl`"), "{}", ran.err);
    let ran = scratch
        .run(["build", "there.kdl", "--locked"])
        .fails_with(1);
    assert!(ran.err.contains("`recipe log there.kdl`"), "{}", ran.err);
    scratch.run(["log", "there.kdl"]).ok();
    let ran = scratch
        .run(["lock", "there.kdl@3.11", "--locked"])
        .fails_with(3);
    let told = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("`recipe lock there.kdl@3.11`"), "{told}");
    scratch.write("there.lock.kdl", "lock 99\n");
    let ran = scratch
        .run(["build", "there.kdl", "--locked"])
        .fails_with(3);
    let told = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("`recipe lock there.kdl`"), "{told}");
}
