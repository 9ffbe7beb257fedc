//! Full disks, other users, other file systems. What needs root says so where there is none.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use camino::Utf8Path;
use recipe_store::{GcOptions, Store, StoreError};

use crate::support::{Scratch, clean, trace, tree};

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: not root, and this mounts or changes users");
    }
    root
}

/// A small file system in memory, gone when the test ends.
struct Tiny<'a>(&'a Utf8Path);

impl<'a> Tiny<'a> {
    fn mount(at: &'a Utf8Path, options: &str) -> Option<Tiny<'a>> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs", at.as_str()])
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("skipped: nothing can be mounted here");
            return None;
        }
        Some(Tiny(at))
    }

    fn grow(&self, options: &str) {
        let grown = Command::new("mount")
            .args(["-o", &format!("remount,{options}"), self.0.as_str()])
            .status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for Tiny<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .args(["-l", self.0.as_str()])
            .status();
    }
}

/// Puts until the disk is full, then finds the store whole and, with more room, does it all.
fn fills(small: &str, large: &str) {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let Some(tiny) = Tiny::mount(scratch.dir(), small) else {
        return;
    };
    let put_all = |store: &Store| -> Result<(), StoreError> {
        for round in 0..40 {
            let session = store.session()?;
            let blobs: Result<Vec<_>, _> = (0..10)
                .map(|n| {
                    session.put_blob(
                        format!("{round} {n} {}", "x".repeat(6000)).as_bytes(),
                        false,
                    )
                })
                .collect();
            for blob in blobs? {
                let _ = session.record(trace(&format!("{round} {blob}"), blob))?;
            }
            session.commit()?;
        }
        Ok(())
    };
    let store = Store::open(&scratch.path()).unwrap();
    let refused = put_all(&store).unwrap_err();
    assert!(refused.is_full(), "{refused:?}");
    clean(&store);
    drop(Store::open(&scratch.path()).unwrap().session());
    tiny.grow(large);
    put_all(&store).unwrap();
    clean(&store);
}

#[test]
fn a_full_disk_is_said_to_be_full_and_harms_nothing() {
    fills("size=1m", "size=32m");
}

#[test]
fn a_disk_without_inodes_is_said_to_be_full_and_harms_nothing() {
    fills("size=32m,nr_inodes=300", "nr_inodes=9000");
}

#[test]
fn another_users_store_is_refused() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    drop(scratch.store());
    chown(scratch.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let refused = Store::open(&scratch.path()).unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Owner {
                owner: NOBODY,
                user: 0,
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn a_store_that_others_can_write_to_is_refused() {
    let scratch = Scratch::new();
    drop(scratch.store());
    std::fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let refused = Store::open(&scratch.path()).unwrap_err();
    assert!(
        matches!(refused, StoreError::Exposed { mode: 0o777, .. }),
        "{refused}"
    );
}

#[test]
fn an_ordinary_user_can_do_all_of_it_but_not_in_roots_store() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    drop(scratch.store());
    std::fs::set_permissions(scratch.dir(), PermissionsExt::from_mode(0o755)).unwrap();
    let home = scratch.dir().join("home");
    std::fs::create_dir(&home).unwrap();
    chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    // A copy that the other user may run, wherever the original lies.
    let program = scratch.dir().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = Command::new(program);
    child
        .args(["--exact", "machine::ordinary_user"])
        .env("STORE_TEST_USER", scratch.dir());
    let output = child
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

/// Does nothing in an ordinary run; see the test above.
#[test]
fn ordinary_user() {
    let Ok(dir) = std::env::var("STORE_TEST_USER") else {
        return;
    };
    let dir = Utf8Path::new(&dir);
    let refused = Store::open(&dir.join("store")).unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Owner {
                owner: 0,
                user: NOBODY,
                ..
            }
        ),
        "{refused}"
    );
    let store = Store::open(&dir.join("home/store")).unwrap();
    let session = store.session().unwrap();
    let id = tree(&session, &[("a/b", "1"), ("c*", "2")]);
    let _ = session.record(trace("asked", id)).unwrap();
    session
        .add_root(&dir.join("home/result"), &id, &[])
        .unwrap();
    drop(session);
    store.gc(&GcOptions::default()).unwrap();
    std::fs::remove_file(dir.join("home/result")).unwrap();
    assert_eq!(store.gc(&GcOptions::default()).unwrap().trees, 1);
    clean(&store);
}
