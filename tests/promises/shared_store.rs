use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::{fs, thread};

use crate::support::{Scratch, is_root, skip, sources};

#[test]
fn six_builds_at_once_in_one_store_come_to_one_closure() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    let names: Vec<String> = (0..6).map(|number| format!("link{number}")).collect();
    thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| {
                scratch
                    .run(["build", "python", "--locked", "-j", "1", "-o", name])
                    .ok()
            });
        }
    });
    let targets: std::collections::BTreeSet<_> = names
        .iter()
        .map(|name| fs::read_link(scratch.work().join(name)).expect("a link"))
        .collect();
    assert_eq!(targets.len(), 1);
    scratch.store_verifies();
}

#[test]
fn a_store_is_for_its_owner_alone() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    scratch.run(["build", "python", "--locked"]).ok();
    let mode = fs::metadata(scratch.store())
        .expect("a store")
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0);
    if !is_root() {
        return skip("only root can become another user");
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(env!("CARGO_BIN_EXE_recipe"))
        .args(["store", "verify", "--store", scratch.store().as_str()])
        .env("HOME", "/nonexistent")
        .output();
    assert!(!output.expect("setpriv starts").status.success());
}
