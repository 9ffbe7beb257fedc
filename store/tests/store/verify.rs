//! Verification finds every kind of damage, tells the kinds apart, and whom it hurts.

use std::os::unix::fs::PermissionsExt;

use camino::Utf8PathBuf;
use recipe_store::{Damage, Finding, TreeId};

use crate::support::{Scratch, trace, tree};

struct Damaged {
    scratch: Scratch,
    id: TreeId,
}

impl Damaged {
    /// A store with one root, one trace, a checked-out tree; and then something happens to a file.
    fn new() -> Damaged {
        let scratch = Scratch::new();
        let session = scratch.session();
        let id = tree(&session, &[("a/b", "content"), ("c*", "run"), ("e", "")]);
        let _ = session.record(trace("asked", id)).unwrap();
        session
            .add_root(&scratch.dir().join("result"), &id, &[])
            .unwrap();
        drop(session);
        assert_eq!(scratch.store().verify().unwrap().findings, []);
        Damaged { scratch, id }
    }

    fn path(&self, folder: &str, digest: impl ToString, suffix: &str) -> Utf8PathBuf {
        let hex = digest.to_string();
        self.scratch
            .path()
            .join(folder)
            .join(&hex[..2])
            .join(hex + suffix)
    }

    fn blob(&self) -> Utf8PathBuf {
        self.path("blobs", recipe_store::Digest::of(b"content"), "")
    }

    fn findings(&self) -> Vec<Finding> {
        self.scratch.store().verify().unwrap().findings
    }

    /// What is found at one path; everything that is found there hurts the step and the root.
    fn at(&self, path: &Utf8PathBuf) -> Damage {
        let findings = self.findings();
        let finding = findings
            .iter()
            .find(|finding| finding.path == *path)
            .unwrap();
        assert_eq!(finding.steps.len(), 1, "{finding:?}");
        assert_eq!(
            finding.roots.first(),
            Some(
                &self
                    .scratch
                    .dir()
                    .canonicalize_utf8()
                    .unwrap()
                    .join("result")
            )
        );
        finding.damage.clone()
    }
}

fn rewrite(path: &Utf8PathBuf, bytes: &[u8], mode: u32) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn changed_and_empty_and_swapped_bytes_are_found() {
    let store = Damaged::new();
    for bytes in ["Content", "", "content "] {
        rewrite(&store.blob(), bytes.as_bytes(), 0o444);
        assert!(matches!(store.at(&store.blob()), Damage::Bytes { .. }));
    }
    let dir = store.path("dirs", store.id.digest, "");
    rewrite(&dir, b"\x0a\x00", 0o444);
    assert!(
        store
            .findings()
            .iter()
            .any(|f| f.path == dir && matches!(f.damage, Damage::Bytes { .. }))
    );
}

#[test]
fn every_single_flipped_byte_of_a_store_is_found() {
    let store = Damaged::new();
    for folder in ["blobs", "dirs", "traces", "roots"] {
        for name in store.scratch.files(folder) {
            let path = store.scratch.path().join(folder).join(&name);
            let good = std::fs::read(&path).unwrap();
            let mode = path.metadata().unwrap().permissions().mode() & 0o7777;
            for at in (0..good.len()).step_by(7) {
                let mut bad = good.clone();
                bad[at] ^= 1 << (at % 8);
                rewrite(&path, &bad, mode);
                let findings = store.findings();
                assert!(
                    findings.iter().any(|f| f.path == path),
                    "{path} at {at}: {findings:?}"
                );
            }
            rewrite(&path, &good, mode);
        }
    }
}

#[test]
fn a_missing_blob_directory_or_output_is_found() {
    let store = Damaged::new();
    std::fs::remove_file(store.blob()).unwrap();
    assert_eq!(store.at(&store.blob()), Damage::Missing);
    let dir = store.path("dirs", store.id.digest, "");
    std::fs::remove_file(&dir).unwrap();
    assert_eq!(store.at(&dir), Damage::Missing);
}

#[test]
fn extra_files_changed_modes_and_wrong_kinds_are_found() {
    let store = Damaged::new();
    let stray = store.scratch.path().join("blobs/zz");
    std::fs::write(&stray, "").unwrap();
    std::fs::set_permissions(store.blob(), PermissionsExt::from_mode(0o644)).unwrap();
    let mode = Damage::Mode {
        found: 0o644,
        wanted: 0o444,
    };
    assert_eq!(store.at(&store.blob()), mode);
    let findings = store.findings();
    // The checked-out tree has the same inode.
    assert_eq!(
        findings
            .iter()
            .filter(|finding| finding.damage == mode)
            .count(),
        2
    );
    assert!(
        findings
            .iter()
            .any(|finding| finding.path == stray && finding.damage == Damage::Extra)
    );
    std::fs::remove_file(store.blob()).unwrap();
    std::os::unix::fs::symlink("elsewhere", store.blob()).unwrap();
    assert_eq!(store.at(&store.blob()), Damage::Kind);
}

#[test]
fn a_changed_checkout_is_found_here_and_anywhere() {
    let store = Damaged::new();
    let trees = store
        .scratch
        .path()
        .join("trees")
        .join(store.id.digest.to_string());
    let copy = store.scratch.dir().join("copy");
    for top in [&trees, &copy] {
        std::fs::create_dir_all(top.join("a/__pycache__")).unwrap();
        rewrite(&top.join("a/b"), b"other", 0o444);
        rewrite(&top.join("c"), b"run", 0o755);
        let _ = std::fs::remove_file(top.join("e"));
    }
    let wanted = |top: &Utf8PathBuf| {
        vec![
            (top.join("a/__pycache__"), Damage::Extra),
            (top.join("a/b"), Damage::Bytes { why: String::new() }),
            (
                top.join("c"),
                Damage::Mode {
                    found: 0o755,
                    wanted: 0o555,
                },
            ),
            (top.join("e"), Damage::Missing),
        ]
    };
    let told = |findings: Vec<Finding>| -> Vec<_> {
        let blank = |damage| match damage {
            Damage::Bytes { .. } => Damage::Bytes { why: String::new() },
            other => other,
        };
        findings
            .into_iter()
            .map(|finding| (finding.path, blank(finding.damage)))
            .collect()
    };
    assert_eq!(told(store.findings()), wanted(&trees));
    assert_eq!(
        told(store.scratch.store().verify_tree(&store.id, &copy).unwrap()),
        wanted(&copy)
    );
}

#[test]
fn what_was_damaged_is_made_again_once_it_is_dropped() {
    let store = Damaged::new();
    let dir = store.path("dirs", store.id.digest, "");
    for path in [store.blob(), dir] {
        rewrite(&path, b"rotten", 0o444);
        let report = store.scratch.store().verify().unwrap();
        assert!(store.scratch.store().drop_damaged(&report).unwrap() > 0);
        assert!(store.scratch.files("trees").is_empty());
        let session = store.scratch.session();
        assert_eq!(session.find(&trace("asked", store.id).key).unwrap(), None);
        let id = tree(&session, &[("a/b", "content"), ("c*", "run"), ("e", "")]);
        let _ = session.record(trace("asked", id)).unwrap();
        session
            .add_root(&store.scratch.dir().join("result"), &id, &[])
            .unwrap();
        assert_eq!(store.findings(), []);
    }
    std::fs::set_permissions(store.blob(), PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(
        store
            .scratch
            .path()
            .join("trees")
            .join(store.id.digest.to_string())
            .join("new"),
        "",
    )
    .unwrap();
    let report = store.scratch.store().verify().unwrap();
    store.scratch.store().drop_damaged(&report).unwrap();
    assert_eq!(store.findings(), []);
    assert_eq!(store.scratch.store().checked_out(&store.id).unwrap(), None);
}

/// What a step made on the way to something else: a result has none of it, so nothing need ever make it again.
#[test]
fn what_no_result_has_leaves_a_sound_store_once_it_is_dropped() {
    for gone in [false, true] {
        let store = Damaged::new();
        let session = store.scratch.session();
        let between = tree(&session, &[("x/y/z", "between"), ("w", "other")]);
        let _ = session.record(trace("between", between)).unwrap();
        session.commit().unwrap();
        drop(session);
        let blob = store.path("blobs", recipe_store::Digest::of(b"between"), "");
        if gone {
            std::fs::remove_file(&blob).unwrap();
        } else {
            rewrite(&blob, b"rotten", 0o444);
        }
        let report = store.scratch.store().verify().unwrap();
        store.scratch.store().drop_damaged(&report).unwrap();
        assert_eq!(store.findings(), []);
        let session = store.scratch.session();
        assert_eq!(session.find(&trace("between", between).key).unwrap(), None);
        assert_eq!(
            session.find(&trace("asked", store.id).key).unwrap(),
            Some(trace("asked", store.id))
        );
    }
}
