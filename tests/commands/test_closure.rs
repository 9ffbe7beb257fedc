//! `recipe test-closure`: faults are planted in copies of a closure, one for each test, and have to
//! be told with their cause. That the closure itself is sound is proved elsewhere
//! (`promises/relocatable.rs`), without this command.

mod faults;

use std::fs;

use camino::Utf8PathBuf;
use serde_json::Value;

use crate::support::{Ran, Scratch, built, closure, copy, skip};

/// A copy of the closure that may be spoiled; the store's files are read-only.
fn spoilt(scratch: &Scratch) -> Option<Utf8PathBuf> {
    let place = scratch.path().join("tree");
    copy(closure()?, &place);
    Some(place)
}

/// What the command says of these checks.
fn test(scratch: &Scratch, tree: &str, checks: &[&str], more: &[&str]) -> Ran {
    let mut words = vec!["test-closure", tree, "--json"];
    for check in checks {
        words.extend(["--only", check]);
    }
    words.extend(more);
    scratch.run(words)
}

/// What failed: the place, what was found, and the cause.
#[track_caller]
fn failures(ran: Ran, check: &str) -> Vec<[String; 3]> {
    let ran = ran.fails_with(1);
    let report: Value = serde_json::from_str(&ran.out).expect("JSON");
    let checks = report["checks"].as_array().expect("checks").iter();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let failed: Vec<[String; 3]> = checks
        .filter(|entry| entry["name"] == check)
        .flat_map(|entry| entry["results"].as_array().expect("results"))
        .filter(|result| result["result"] == "fails")
        .map(|result| ["place", "found", "cause"].map(|name| word(&result[name])))
        .collect();
    assert!(!failed.is_empty(), "{check} did not fail: {}", ran.out);
    failed
}

#[test]
fn a_sound_closure_passes_all_that_this_machine_makes_possible() {
    // One without packages: theirs are asked in `promises/relocatable.rs`, which makes its places by itself.
    let Some(python) = built() else { return };
    let closure = python.work().join("result/python");
    let scratch = Scratch::new();
    let ran = scratch.run(["test-closure", closure.as_str()]).ok();
    assert!(ran.out.contains(" hold, 0 fail, "), "{}", ran.out);
    assert!(ran.out.contains("libraries_of_the_host"), "{}", ran.out);
}

/// Whether this machine's own mirrors have the releases that roots are made of.
fn mirrors(scratch: &Scratch) -> bool {
    let words = [
        "test-closure",
        "/",
        "--program",
        "bin/sh",
        "--only",
        "links",
        "--suite",
        "bookworm",
    ];
    let ran = scratch.run(words);
    let there = ran.code != Some(4);
    if !there {
        skip(&format!("no release can be fetched here: {}", ran.err));
    }
    there
}

#[test]
#[ignore = "takes long: .ci/long slow"]
fn the_root_of_a_release_is_made_once_and_the_next_time_without_a_network() {
    let Some(closure) = closure() else { return };
    let scratch = Scratch::new();
    if !mirrors(&scratch) {
        return;
    }
    let mut words = vec![
        "test-closure",
        closure.as_str(),
        "--suite",
        "bookworm",
        "--offline",
    ];
    // What a root without users, zones, programs or a C library would answer otherwise or not at all.
    let checks = [
        "users",
        "host_names",
        "children_of_the_host",
        "zones",
        "certificates",
        "c_library",
    ];
    for check in checks {
        words.extend(["--only", check]);
    }
    let ran = scratch.run(words.iter().chain(&["--json"])).ok();
    let report: Value = serde_json::from_str(&ran.out).expect("JSON");
    for check in report["checks"].as_array().expect("checks") {
        for user in ["bookworm, user", "bookworm, root"] {
            let results = check["results"].as_array().expect("results").iter();
            let held = results
                .filter(|it| it["place"] == user && it["result"] == "holds")
                .count();
            assert_eq!(held, 1, "{} in {user}: {check}", check["name"]);
        }
    }
    assert!(!ran.err.contains("Making a root"), "{}", ran.err);
}

#[test]
fn a_release_that_was_named_must_be_had_and_one_of_all_is_skipped_with_the_reason() {
    let Some(closure) = closure() else { return };
    let scratch = Scratch::new().set("RECIPE_DEBIAN_MIRROR", "http://mirror.test/debian");
    let ask = |suite: &str| {
        let words = [
            "test-closure",
            closure.as_str(),
            "--only",
            "starts",
            "--offline",
            "--suite",
        ];
        scratch.run(words.iter().chain(&[suite]))
    };
    let ran = ask("trixie").fails_with(4);
    assert!(
        ran.err.contains("dists/trixie/InRelease") && ran.err.contains("--offline"),
        "{}",
        ran.err
    );
    let ran = ask("all").ok();
    for suite in ["bullseye", "bookworm", "trixie"] {
        let told = format!("dists/{suite}/InRelease");
        assert!(ran.out.contains(&told), "{suite}: {}", ran.out);
    }
    assert!(ran.out.contains(" 0 fail, 3 skipped"), "{}", ran.out);
}

#[test]
fn a_package_that_lacks_what_it_asks_for_fails_and_one_that_lacks_what_it_never_asked_for_does_not()
{
    let scratch = Scratch::new();
    let Some(tree) = spoilt(&scratch) else { return };
    let packages = tree.join("lib/python3.13/site-packages");
    for (name, asks) in [
        ("asking", "Requires-Dist: nobody-has-this\n"),
        ("silent", ""),
    ] {
        let about = packages.join(format!("{name}-1.dist-info"));
        fs::create_dir(&about).expect("created");
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{asks}");
        fs::write(about.join("METADATA"), metadata).expect("written");
        fs::write(about.join("RECORD"), format!("{name}.py,,\n")).expect("written");
        fs::write(
            packages.join(format!("{name}.py")),
            "import nobody_has_this\n",
        )
        .expect("written");
    }
    let checks = ["third_party_modules"];
    let failed = failures(
        test(&scratch, tree.as_str(), &checks, &[]),
        "third_party_modules",
    );
    for [place, found, _] in failed {
        assert!(
            found.starts_with("asking: ") && !found.contains("silent"),
            "{place}: {found}"
        );
    }
}

/// The command in a namespace in which root does this first.
fn after(preparation: &str, scratch: &Scratch, tree: &str) -> Option<Ran> {
    let mut words = vec!["test-closure", tree, "--json"];
    let checks = [
        "starts",
        "places",
        "executable",
        "mapped_files",
        "venv",
        "spawn",
    ];
    checks
        .iter()
        .for_each(|check| words.extend(["--only", check]));
    let plain = scratch.command(words);
    let script = format!("{preparation} && exec setpriv --no-new-privs \"$@\"");
    let mut words = vec!["--user", "--map-root-user", "--mount", "--pid", "--fork"];
    words.extend(["--mount-proc", "sh", "-c", &script, "sh"]);
    let mut command = std::process::Command::new("unshare");
    command
        .args(words)
        .arg(plain.get_program())
        .args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().expect("unshare starts");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    if err.contains("unshare: ") {
        skip(&format!("no namespace for a test: {err}"));
        return None;
    }
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = output.status.code();
    Some(Ran { code, out, err })
}

#[test]
fn where_namespaces_are_forbidden_the_tree_is_asked_where_it_is_and_the_rest_says_what_to_allow() {
    let Some(closure) = closure() else { return };
    let scratch = Scratch::new();
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces";
    let Some(ran) = after(forbid, &scratch, closure.as_str()) else {
        return;
    };
    let report: Value = serde_json::from_str(&ran.ok().out).expect("JSON");
    assert_eq!(
        report["places"],
        serde_json::json!(["this machine, in place"])
    );
    let remedy = "as root: sysctl user.max_user_namespaces=15000";
    for name in ["starts", "places"] {
        let skipped = results(&report, name, "skipped");
        let told = |result: &&Value| {
            result["why"]
                .as_str()
                .is_some_and(|why| why.ends_with(remedy))
        };
        assert!(
            !skipped.is_empty() && skipped.iter().all(told),
            "{name}: {skipped:?}"
        );
    }
    for name in ["starts", "executable", "mapped_files", "venv", "spawn"] {
        assert_eq!(results(&report, name, "holds").len(), 1, "{name}");
    }
}

#[test]
fn where_proc_cannot_be_mounted_what_needs_none_is_asked_in_its_roots_all_the_same() {
    let Some(closure) = closure() else { return };
    let scratch = Scratch::new();
    // As containers do it: from then on the kernel gives nobody a whole one.
    let hide = "mount -t tmpfs none /proc/sys";
    let Some(ran) = after(hide, &scratch, closure.as_str()) else {
        return;
    };
    let report: Value = serde_json::from_str(&ran.ok().out).expect("JSON");
    let places: Vec<&str> = report["places"]
        .as_array()
        .expect("places")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let wanted = [
        "this machine, in place",
        "host without /proc, user",
        "empty without /proc, root",
    ];
    assert!(
        wanted.iter().all(|place| places.contains(place)),
        "{places:?}"
    );
    assert!(!places.contains(&"host, user"), "{places:?}");
    let skipped = results(&report, "starts", "skipped");
    let told = |result: &&Value| {
        result["why"]
            .as_str()
            .is_some_and(|why| why.contains("systempaths=unconfined"))
    };
    assert!(
        !skipped.is_empty() && skipped.iter().all(told),
        "{skipped:?}"
    );
    assert_eq!(results(&report, "venv", "holds").len(), 1);
    assert!(results(&report, "places", "holds").len() > 10);
}

/// What a report says of a check, of one kind.
fn results<'a>(report: &'a Value, check: &str, kind: &str) -> Vec<&'a Value> {
    let checks = report["checks"].as_array().expect("checks").iter();
    let results = checks
        .filter(|entry| entry["name"] == check)
        .flat_map(|entry| entry["results"].as_array().expect("results"));
    results.filter(|result| result["result"] == kind).collect()
}

#[test]
fn an_interrupted_test_leaves_nothing_in_the_folder_for_temporary_files() {
    let Some(closure) = closure() else { return };
    let scratch = Scratch::new();
    let place = scratch.path().join("tmp");
    fs::create_dir(&place).expect("created");
    for signal in ["INT", "TERM"] {
        // A shell's background jobs ignore SIGINT, and what they start inherits that.
        let mut command = std::process::Command::new("env");
        command.args([
            "--default-signal=INT,TERM",
            env!("CARGO_BIN_EXE_recipe"),
            "test-closure",
        ]);
        command
            .arg(closure)
            .env("TMPDIR", &place)
            .env("HOME", scratch.home());
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut running = command.spawn().expect("started");
        let entries = || fs::read_dir(&place).expect("a folder").count();
        while entries() == 0 {
            assert!(
                running.try_wait().expect("a process").is_none(),
                "it ended too early"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let number = running.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &number])
            .status();
        assert!(sent.expect("kill starts").success());
        let code = running.wait().expect("ended").code();
        assert_eq!(code, Some(if signal == "INT" { 130 } else { 143 }));
        assert_eq!(entries(), 0, "after SIG{signal}");
    }
}
