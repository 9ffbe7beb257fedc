use std::fs;
use std::process::Command;

use crate::support::{MAIN_JOB, Scratch, sources};

const ARCHIVE: &str = "scylla-python-3.13-x86_64-linux";

fn listing(scratch: &Scratch, name: &str) -> String {
    let output = Command::new("tar")
        .args(["--list", "--verbose", "--numeric-owner", "--file", name])
        .current_dir(scratch.work())
        .output()
        .expect("tar starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_export_is_the_same_to_the_byte_each_time() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let name = format!("{ARCHIVE}.tar.zst");
    scratch.run(["export", MAIN_JOB, "--locked"]).ok();
    let first = fs::read(scratch.work().join(&name)).expect("an archive");
    scratch
        .run(["export", MAIN_JOB, "--locked", "--jobs", "1"])
        .ok();
    assert!(first == fs::read(scratch.work().join(&name)).expect("an archive"));
}

#[test]
fn tar_unpacks_an_export_to_a_closure_that_verifies_and_runs() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    for format in ["tar.zst", "tar.gz"] {
        scratch
            .run([
                "export", MAIN_JOB, "--locked", "--format", format, "--level", "1",
            ])
            .ok();
        let archive = format!("{ARCHIVE}.{format}");
        let all_root = listing(&scratch, &archive)
            .lines()
            .all(|line| line.contains(" 0/0 "));
        assert!(all_root, "an archive has no owner of its own");
        let status = Command::new("tar")
            .args(["--extract", "--file", &archive])
            .current_dir(scratch.work())
            .status();
        assert!(status.expect("tar starts").success());
        let closure = scratch.work().join(ARCHIVE);
        scratch.run(["verify", closure.as_str()]).ok();
        let python = closure.join("bin/python3");
        assert!(
            Command::new(python)
                .args(["-c", "import yaml"])
                .status()
                .expect("starts")
                .success()
        );
        fs::remove_dir_all(closure).expect("removed");
    }
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let ran = scratch
        .run(["export", MAIN_JOB, "--locked", "-o", "nowhere"])
        .fails_with(2);
    assert!(ran.err.contains("nowhere"), "{}", ran.err);
}

#[test]
fn a_zip_unpacks_to_a_closure_that_verifies_and_runs() {
    let Some(scratch) = crate::support::built() else {
        return;
    };
    let place = Scratch::new();
    let output = place.work();
    let args = [
        "export",
        "python",
        "--format",
        "zip",
        "--output",
        output.as_str(),
    ];
    scratch.run(args).ok();
    let name = fs::read_dir(&output)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .find(|name| name.ends_with(".zip"))
        .expect("a zip");
    let unzip = Command::new("unzip")
        .args(["-q", &name])
        .current_dir(&output)
        .status();
    let Ok(status) = unzip else {
        return crate::support::skip("there is no unzip");
    };
    assert!(status.success());
    let closure = output.join(name.trim_end_matches(".zip"));
    scratch.run(["verify", closure.as_str()]).ok();
    let python = Command::new(closure.join("bin/python3"))
        .args(["-c", "import ssl"])
        .status();
    assert!(python.expect("starts").success());
}

#[test]
fn a_level_that_the_format_has_not_is_told_before_anything_is_done() {
    let scratch = Scratch::new();
    for words in [
        ["--level", "99"].as_slice(),
        &["--level", "10", "--format", "zip"],
    ] {
        let words = [["export", MAIN_JOB].as_slice(), words].concat();
        let ran = scratch.run(words).fails_with(2);
        assert!(ran.err.contains("compression level"), "{}", ran.err);
    }
    assert!(!scratch.store().exists());
}
