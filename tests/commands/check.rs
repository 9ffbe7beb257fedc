use std::fs;

use serde_json::Value;

use crate::support::{Scratch, built, skip};

/// A recipe whose build runs this shell script in the folder of its sources.
fn recipe(scratch: &Scratch, script: &str) {
    let text = r#"recipe "told" version="1" {
    source "src" { path "told-src"; }
    sysroot "debian" suite="trixie" { package "coreutils" "dash" "bash" "hostname" "libc-bin"; }
    build {
        run "mkdir" "-p" "$out/share/told"
        run "bash" "build.sh" in="src"
    }
}
"#;
    scratch.write("recipes/told.kdl", text);
    for name in ["b", "a", "d", "c", "e"] {
        scratch.write(&format!("recipes/told-src/files/{name}"), name);
    }
    scratch.write("recipes/told-src/build.sh", script);
}

/// What the build reads of its machine, each in a file of its own.
const READS: &str = r#"set -eu
cd "$out/share/told"
date +%Y >year
date >date
date +%s >seconds
hostname >host
umask >umask
nproc >processors
id -u >user
echo "$LC_ALL" >locale
echo "$HOME" >home
echo "$jobs" >jobs
(cd "$OLDPWD" && pwd | wc -c) >path
(cd "$OLDPWD" && ls -U files) >order
echo "$RANDOM$RANDOM$RANDOM" >random
touch executable
[ "$LC_ALL" = C.UTF-8 ] || chmod +x executable
echo same >same
"#;

const READS_NOTHING: &str = r#"set -eu
cd "$out/share/told"
date -u -d "@$SOURCE_DATE_EPOCH" +%Y >year
(cd "$OLDPWD" && ls files) >order
echo same >same
"#;

/// Runs the command; none where no mirror can be reached.
fn checked(script: &str, args: &[&str], code: i32) -> Option<String> {
    let scratch = Scratch::new().sharing();
    recipe(&scratch, script);
    let ran = scratch.run([&["check", "told"], args].concat());
    if ran.code == Some(4) {
        skip("no mirror can be reached");
        return None;
    }
    assert_eq!(ran.code, Some(code), "{}\n{}", ran.out, ran.err);
    scratch.store_verifies();
    Some(ran.out)
}

#[test]
fn what_a_build_reads_of_its_machine_is_found_and_explained() {
    let Some(out) = checked(READS, &["--rebuild", "--json"], 5) else {
        return;
    };
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    let steps = answer["differing"].as_array().expect("a list");
    assert_eq!(
        steps.len(),
        1,
        "one step reads it, and no other is blamed: {out}"
    );
    assert_eq!(steps[0]["kind"], "build");
    let files = steps[0]["files"].as_array().expect("a list");
    let count = steps[0]["count"].as_u64().expect("a number");
    let cause = |name: &str| {
        let path = format!("share/told/{name}");
        let file = files.iter().find(|file| file["path"] == path.as_str());
        file.map(|file| {
            file["differences"][0]["cause"]
                .as_str()
                .unwrap_or("none")
                .to_owned()
        })
    };
    assert_eq!(cause("same"), None);
    for (name, wanted) in [
        ("date", "clock"),
        ("host", "host name"),
        ("home", "home"),
        ("jobs", "jobs"),
        ("locale", "locale"),
        ("order", "order"),
        // A path itself would have been refused; what it comes to is not recognised.
        ("path", "none"),
    ] {
        let found = cause(name).unwrap_or_else(|| panic!("{name} is not found: {out}"));
        assert!(found.contains(wanted), "{name}: {found}");
    }
    let executable = files
        .iter()
        .find(|file| file["path"] == "share/told/executable");
    assert_eq!(executable.expect("found")["differences"][0]["kind"], "mode");
    // As many as can be told, of all: year, date, seconds, host, umask, user, locale, home, jobs, path,
    // order, random, executable; and processors, where there are two.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(count, 13 + u64::from(cores > 1), "{out}");
}

#[test]
fn a_build_that_reads_nothing_of_its_machine_gives_the_same_bytes_elsewhere() {
    let Some(out) = checked(READS_NOTHING, &["--rebuild"], 0) else {
        return;
    };
    assert!(out.contains(", 0 did not; "), "{out}");
    assert!(out.contains("build path, host name, user, umask"), "{out}");
}

#[test]
fn a_build_that_fails_elsewhere_is_told_as_that() {
    let scratch = Scratch::new().sharing();
    recipe(
        &scratch,
        "[ $(hostname) = recipe ] || { echo 'error: who am I'; exit 3; }; touch $out/share/told/a",
    );
    let ran = scratch.run(["check", "told", "--rebuild"]);
    if ran.code == Some(4) {
        return skip("no mirror can be reached");
    }
    let ran = ran.fails_with(1);
    assert!(ran.err.contains("has succeeded before"), "{}", ran.err);
    assert!(ran.err.contains("who am I"), "{}", ran.err);
}

#[test]
fn every_step_of_a_python_gives_the_same_bytes_elsewhere_and_the_store_keeps_none_of_it() {
    let Some(scratch) = built() else { return };
    let files = || {
        let mut count = 0;
        let mut folders = ["blobs", "dirs"]
            .map(|name| scratch.store().join(name))
            .to_vec();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                count += 1;
                if entry.path().is_dir() {
                    folders.extend(camino::Utf8PathBuf::from_path_buf(entry.path()));
                }
            }
        }
        assert!(count > 1_000, "{count} files");
        count
    };
    // The proof runs in the session of a build, which may keep what it checks out.
    scratch.run(["check", "python"]).ok();
    let before = files();
    let ran = scratch.run(["check", "python", "--rebuild"]).ok();
    assert!(ran.out.contains(", 0 did not; "), "{}", ran.out);
    assert_eq!(files(), before);
}

#[test]
fn a_closure_is_proved_again_without_a_build() {
    let Some(scratch) = built() else { return };
    let ran = scratch.run(["check", "python"]).ok();
    assert!(ran.out.starts_with("python: "), "{}", ran.out);
    assert!(ran.out.contains("hold"), "{}", ran.out);
}
