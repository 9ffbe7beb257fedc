use std::fs;
use std::process::Command;

use crate::support::{Scratch, built};

#[test]
fn a_folder_differs_from_its_copy_just_where_it_was_changed() {
    let Some(scratch) = built() else { return };
    let other = Scratch::new();
    let copy = other.work().join("copy");
    let from = scratch.work().join("result/python/.");
    let status = Command::new("cp")
        .args(["-r", from.as_str(), copy.as_str()])
        .status();
    assert!(status.unwrap().success());
    fs::write(copy.join("new"), "four").unwrap();
    fs::remove_file(copy.join("bin/python3")).unwrap();
    let ran = scratch.run(["diff", "result/python", copy.as_str()]).ok();
    assert!(ran.out.contains("  + new 4 bytes\n"), "{}", ran.out);
    assert!(
        ran.out.contains("  - bin/python3 link to python3.13\n"),
        "{}",
        ran.out
    );
}

#[test]
fn a_closure_its_folder_and_its_archives_hold_the_same() {
    let Some(scratch) = built() else { return };
    let other = Scratch::new();
    let output = other.work();
    let mut archives = Vec::new();
    for format in ["tar.zst", "tar.gz", "zip"] {
        let mut args = vec!["export", "python", "--format", format, "--level", "1"];
        args.extend(["--json", "--output", output.as_str()]);
        let answer: serde_json::Value =
            serde_json::from_str(&scratch.run(args).ok().out).expect("JSON");
        let path = answer["archives"][0]["path"].as_str().expect("a path");
        archives.push(path.to_owned());
    }
    let id = fs::read_link(scratch.work().join("result/python")).expect("a link");
    let in_store = id.to_str().expect("UTF-8");
    let [zst, gz, zip] = archives.as_slice() else {
        panic!("{archives:?}");
    };
    for (one, two) in [
        ("python", zst.as_str()),
        ("python", "result/python"),
        ("python", in_store),
        (zst, gz),
        (gz, zip),
        (zip, "result/python"),
    ] {
        let ran = scratch.run(["diff", one, two]).ok();
        assert_eq!(ran.out, "no file differs\n", "{one} {two}");
    }
}

#[test]
fn a_lock_that_moved_shows_the_old_and_the_new_version() {
    let scratch = Scratch::new();
    let old = scratch.work().join("recipes/python/python.lock.kdl");
    let text = fs::read_to_string(&old).unwrap();
    let version = text.split("deb \"libffi8\" \"").nth(1).unwrap();
    let version = version.split('"').next().unwrap();
    let moved = text.replace(
        &format!("deb \"libffi8\" \"{version}\""),
        "deb \"libffi8\" \"99\"",
    );
    let new = scratch.write("new.lock.kdl", &moved);
    let ran = scratch.run(["diff", old.as_str(), new.as_str()]).ok();
    assert_eq!(ran.out, format!("  ~ libffi8 {version} -> 99\n"));
    scratch.run(["diff", old.as_str(), "recipes"]).fails_with(2);
}

#[test]
fn a_path_that_is_not_there_is_said_not_to_be_there() {
    let ran = Scratch::new().run(["diff", "recipes", "./nonexist"]);
    let ran = ran.fails_with(2);
    assert!(ran.err.contains("./nonexist is not there"), "{}", ran.err);
    assert!(ran.err.contains("a folder, an archive"), "{}", ran.err);
}
