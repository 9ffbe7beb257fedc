use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{MAIN_JOB, Scratch, sources};

#[test]
fn one_changed_bit_in_the_store_is_found() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
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
