use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{MAIN_JOB, Scratch, sources};

#[test]
fn one_changed_bit_in_the_store_is_found() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm_to_be_damaged(sources);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    let shard = fs::read_dir(scratch.store().join("blobs"))
        .expect("blobs")
        .next();
    let blob = fs::read_dir(shard.expect("a shard").expect("readable").path())
        .expect("blobs")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.metadata().is_ok_and(|facts| facts.len() > 0))
        .expect("a blob");
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).expect("writable");
    let mut bytes = fs::read(&blob).expect("read");
    bytes[0] ^= 1;
    fs::write(&blob, bytes).expect("written");
    let ran = scratch.run(["store", "verify"]).fails_with(5);
    let name = blob
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    assert!(ran.out.contains(name.trim_end_matches(".x")), "{}", ran.out);
    // What was dropped is told with the results that lack it, and building them puts it back.
    let link = scratch.work().canonicalize_utf8().expect("a folder");
    let link = link.join("result").join(MAIN_JOB);
    let repaired = scratch.run(["store", "repair"]).ok().out;
    let lacks = repaired.contains(link.as_str());
    assert!(
        lacks || repaired.contains("no result lacks anything"),
        "{repaired}"
    );
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    scratch.store_verifies();
    scratch.run(["verify", scratch.result().as_str()]).ok();
}

#[test]
fn a_variable_that_is_not_utf8_stops_nothing() {
    let scratch = Scratch::new();
    let ran = scratch
        .command(["store", "path"])
        .env("SOMEBODYS", OsStr::from_bytes(b"\xff"))
        .output()
        .expect("it starts");
    assert!(ran.status.success(), "{ran:?}");
}

#[test]
fn what_repair_drops_the_next_build_makes_anew() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm_to_be_damaged(sources);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    let id = scratch.closure_id();
    // The interpreter, which is also in the result: a hard link.
    let python = scratch.result().join("bin/python3.13");
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("writable");
    let mut bytes = fs::read(&python).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&python, bytes).expect("written");
    scratch.run(["store", "verify"]).fails_with(5);
    scratch.run(["store", "repair"]).ok();
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    assert_eq!(id, scratch.closure_id());
    scratch.run(["verify", scratch.result().as_str()]).ok();
    scratch.store_verifies();
}

#[test]
fn a_folder_of_the_store_that_was_deleted_is_made_again() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    fs::remove_dir_all(scratch.store().join("trees")).expect("removed");
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    scratch.run(["verify", scratch.result().as_str()]).ok();
}

#[test]
fn a_store_that_is_not_there_is_not_called_sound_nor_made() {
    let scratch = Scratch::new();
    for what in ["verify", "repair"] {
        let ran = scratch.run(["store", what]).fails_with(2);
        assert!(ran.err.contains("there is no store at"), "{}", ran.err);
        assert!(!scratch.store().exists());
    }
}
