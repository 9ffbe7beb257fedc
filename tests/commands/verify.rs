use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use camino::Utf8PathBuf;

use crate::support::{MAIN_JOB, Scratch, sources};

/// A built closure, copied with `cp` and these flags.
fn copied(scratch: &Scratch, flags: &str) -> Utf8PathBuf {
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    let copy = scratch.work().join("a copy");
    let from = format!("{}/.", scratch.result());
    let status = Command::new("cp")
        .args([flags, &from, copy.as_str()])
        .status();
    assert!(status.expect("cp starts").success());
    copy
}

#[test]
fn a_copy_verifies_also_one_whose_links_became_files() {
    let Some(sources) = sources() else { return };
    for flags in ["-a", "-aL"] {
        let scratch = Scratch::new().warm(sources);
        let copy = copied(&scratch, flags);
        scratch.run(["verify", copy.as_str()]).ok();
    }
}

#[test]
fn a_changed_a_missing_and_an_extra_file_are_told_apart() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let copy = copied(&scratch, "-a");
    let change = |path: &str, text: &str| {
        let path = copy.join(path);
        // A file that cannot be removed was not there.
        let _ = fs::remove_file(&path);
        if !text.is_empty() {
            fs::write(path, text).expect("written");
        }
    };
    change("lib/python3.13/json/__init__.py", "changed");
    change("lib/python3.13/json/tool.py", "");
    change("lib/extra", "extra");
    let ran = scratch.run(["verify", copy.as_str()]).fails_with(5);
    let expected = "changed  lib/python3.13/json/__init__.py\n\
                    missing  lib/python3.13/json/tool.py\n";
    assert!(
        ran.out.contains(expected) && ran.out.contains("extra    lib/extra\n"),
        "{}",
        ran.out
    );
    assert_eq!(ran.out.lines().count(), 3);
}

#[test]
fn bits_that_give_others_rights_are_found_and_a_group_that_may_write_is_none() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let copy = copied(&scratch, "-a");
    let set = |path: &str, mode: u32| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(copy.join(path), mode).expect("mine");
    };
    // As a copy has it that was made under umask 002; files that were linked to the store's stay alone.
    let chmod = Command::new("chmod")
        .args(["-R", "g+w", copy.as_str()])
        .status();
    assert!(chmod.expect("chmod starts").success());
    scratch.run(["verify", copy.as_str()]).ok();
    set("bin/python3.13", 0o4755);
    set("lib/python3.13/json/tool.py", 0o666);
    set("lib/python3.13/json", 0o777);
    let ran = scratch.run(["verify", copy.as_str()]).fails_with(5);
    let expected = "set-id   bin/python3.13\n\
                    writable lib/python3.13/json\n\
                    writable lib/python3.13/json/tool.py\n";
    assert_eq!(ran.out, expected);
    assert!(ran.err.contains("chmod -R o-w,ug-s"), "{}", ran.err);
}

#[test]
fn a_folder_that_is_no_closure_is_said_to_be_none() {
    let scratch = Scratch::new();
    let ran = scratch.run(["verify", "."]).fails_with(2);
    assert!(ran.err.contains("is not a closure"), "{}", ran.err);
}

#[test]
fn what_is_no_folder_is_a_mistake_of_usage_and_an_archive_has_to_be_unpacked() {
    let scratch = Scratch::new();
    let ran = scratch.run(["verify", "nowhere"]).fails_with(2);
    assert!(ran.err.contains("nowhere is not there"), "{}", ran.err);
    scratch.write("x.tar.zst", "an archive");
    let ran = scratch.run(["verify", "x.tar.zst"]).fails_with(2);
    assert!(ran.err.contains("unpack an archive first"), "{}", ran.err);
}
