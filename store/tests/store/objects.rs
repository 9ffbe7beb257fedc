//! What goes in comes out, once, in the right mode, and only if it is whole.

use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use recipe_store::{BlobId, Entry, ObjectId, StoreError, Tree, TreeId};

use crate::support::{Scratch, tree};

#[test]
fn what_is_put_is_read_before_and_after_the_commit() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let big = vec![7; 1 << 20];
    let small = session.put_blob(b"small", false).unwrap();
    let large = session.put_reader(&mut &big[..], false, 1 << 20).unwrap();
    let id = tree(&session, &[("a/b", "c"), ("d*", "e")]);
    assert_eq!(large, BlobId::of(&big));
    for _ in 0..2 {
        assert_eq!(session.read_blob(&small).unwrap(), b"small");
        assert_eq!(session.read_blob(&large).unwrap(), big);
        assert_eq!(session.read_tree(&id).unwrap().len(), 2);
        session.commit().unwrap();
    }
    let store = scratch.store();
    assert_eq!(store.read_blob(&large).unwrap(), big);
    assert_eq!(store.read_tree(&id).unwrap().len(), 2);
    let mut text = String::new();
    store
        .open_blob(&small)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "small");
}

#[test]
fn bytes_that_are_not_the_blob_that_was_named_are_not_stored() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let (good, bad) = (BlobId::of(b"good"), BlobId::of(b"bad"));
    assert!(!session.put_blob_if(&good, b"bad", false).unwrap());
    for id in [good, bad] {
        assert!(!session.has(&id.into()).unwrap());
    }
    assert!(session.put_blob_if(&good, b"good", true).unwrap());
    assert_eq!(session.read_blob(&good).unwrap(), b"good");
}

#[test]
fn nothing_is_published_before_the_commit_and_nothing_staged_after_the_end() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let blob = session.put_blob(b"x", false).unwrap();
    assert!(!scratch.store().has(&blob.into()).unwrap());
    assert!(session.has(&blob.into()).unwrap());
    drop(session);
    assert!(scratch.store().read_blob(&blob).unwrap_err().is_missing());
    assert_eq!(
        scratch.path().join("tmp").read_dir_utf8().unwrap().count(),
        0
    );
}

#[test]
fn the_same_bytes_are_written_once() {
    let scratch = Scratch::new();
    let session = scratch.session();
    for _ in 0..3 {
        session.put_blob(b"same", false).unwrap();
        session.put_reader(&mut &b"same"[..], false, 4).unwrap();
    }
    assert_eq!(session.commit().unwrap().objects, 1);
    let other = scratch.session();
    other.put_blob(b"same", false).unwrap();
    assert_eq!(
        scratch
            .files("tmp")
            .iter()
            .filter(|name| !name.ends_with("lease"))
            .count(),
        0
    );
    assert_eq!(other.commit().unwrap().objects, 0);
    assert_eq!(scratch.files("blobs").len(), 1);
}

#[test]
fn files_have_one_of_two_modes_whatever_the_umask() {
    let scratch = Scratch::new();
    let session = scratch.session();
    session.put_blob(b"x", false).unwrap();
    session.put_blob(b"x", true).unwrap();
    session.put_tree(&Tree::new()).unwrap();
    session.commit().unwrap();
    for (folder, name) in [
        ("blobs", scratch.files("blobs")),
        ("dirs", scratch.files("dirs")),
    ] {
        for name in name {
            let mode = scratch
                .path()
                .join(folder)
                .join(&name)
                .metadata()
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(
                mode & 0o7777,
                if name.ends_with(".x") { 0o555 } else { 0o444 },
                "{name}"
            );
        }
    }
    assert_eq!(scratch.path().metadata().unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_reader_that_gives_too_much_or_fails_leaves_nothing() {
    struct Broken(u64);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = buffer.len().min(self.0 as usize);
            self.0 -= n as u64;
            if n == 0 {
                Err(io::Error::other("torn"))
            } else {
                Ok(n)
            }
        }
    }
    let scratch = Scratch::new();
    let session = scratch.session();
    for limit in [0, 9, 200_000, 1_000_000] {
        let big = vec![1; limit as usize + 1];
        let refused = session.put_reader(&mut &big[..], false, limit).unwrap_err();
        assert!(matches!(refused, StoreError::TooLarge { limit: l } if l == limit));
        session.put_reader(&mut &big[1..], false, limit).unwrap();
    }
    for size in [0, 10, 500_000] {
        let refused = session
            .put_reader(&mut Broken(size), false, u64::MAX)
            .unwrap_err();
        assert!(matches!(refused, StoreError::Reader { .. }));
    }
    assert_eq!(session.commit().unwrap().objects, 4);
    assert_eq!(
        scratch
            .files("tmp")
            .iter()
            .filter(|name| !name.ends_with("lease"))
            .count(),
        0
    );
}

#[test]
fn damaged_bytes_are_never_given_out() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let blob = session.put_blob(b"good bytes", false).unwrap();
    let id = tree(&session, &[("a", b"good bytes")]);
    session.commit().unwrap();
    for (folder, name) in [
        ("blobs", scratch.files("blobs")),
        ("dirs", scratch.files("dirs")),
    ] {
        let path = scratch.path().join(folder).join(&name[0]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] ^= 1;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(scratch.store().read_blob(&blob).unwrap_err().is_corrupt());
    assert!(scratch.store().read_tree(&id).unwrap_err().is_corrupt());
    let short = BlobId { size: 3, ..blob };
    assert!(scratch.store().open_blob(&short).unwrap_err().is_corrupt());
}

#[test]
fn a_tree_that_names_what_is_not_there_is_refused() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let mut parent = Tree::new();
    parent
        .insert(
            "x",
            Entry::File {
                blob: BlobId::of(b"never"),
                executable: false,
            },
        )
        .unwrap();
    assert!(session.put_tree(&parent).unwrap_err().is_missing());
    let mut parent = Tree::new();
    parent
        .insert("x", Entry::Directory(TreeId::of(b"never")))
        .unwrap();
    assert!(session.put_tree(&parent).unwrap_err().is_missing());
}

#[test]
fn a_movable_checkout_moves_whole_and_is_gone_with_the_session() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let id = tree(&session, &[("bin/run*", "#!x"), ("lib/data", "d")]);
    let kept = session.checkout(&id).unwrap();
    let mut movable = session.checkout_movable(&id).unwrap();
    for place in ["a place", "long/long/long"] {
        let before = movable.path().to_owned();
        movable.move_to(place).unwrap();
        assert!(movable.path().ends_with(place));
        assert!(!before.exists());
        assert_eq!(
            std::fs::read(movable.path().join("bin/run")).unwrap(),
            b"#!x"
        );
    }
    let last = movable.path().to_owned();
    drop(session);
    assert!(!last.exists());
    assert!(kept.join("lib/data").exists());
}

#[test]
fn a_checkout_is_the_tree_as_files() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let mut top = session
        .read_tree(&tree(
            &session,
            &[("bin/run*", "#!x"), ("lib/data", "d"), ("lib/empty", "")],
        ))
        .unwrap();
    top.insert(
        "link",
        Entry::Symlink {
            target: "bin/run".into(),
        },
    )
    .unwrap();
    top.insert(
        "hollow",
        Entry::Directory(session.put_tree(&Tree::new()).unwrap()),
    )
    .unwrap();
    let id = session.put_tree(&top).unwrap();
    let private = session.checkout_private(&id).unwrap();
    assert!(!private.starts_with(scratch.path().join("trees")));
    let path = session.checkout(&id).unwrap();
    assert_eq!(
        path,
        scratch.path().join("trees").join(id.digest.to_string())
    );
    for path in [&private, &path] {
        assert_eq!(std::fs::read(path.join("link")).unwrap(), b"#!x");
        assert_eq!(
            path.join("bin/run").metadata().unwrap().mode() & 0o7777,
            0o555
        );
        assert_eq!(
            path.join("lib/data").metadata().unwrap().mode() & 0o7777,
            0o444
        );
        assert_eq!(path.join("lib").metadata().unwrap().mode() & 0o7777, 0o755);
        assert_eq!(path.join("lib/empty").metadata().unwrap().nlink(), 1);
        assert_eq!(path.join("hollow").read_dir_utf8().unwrap().count(), 0);
    }
    assert_eq!(path.join("lib/data").metadata().unwrap().nlink(), 3);
    assert_eq!(session.checkout(&id).unwrap(), path);
    drop(session);
    assert!(!private.exists());
    assert_eq!(scratch.store().checked_out(&id).unwrap(), Some(path));
}

#[test]
fn a_checkout_makes_the_variant_that_is_missing() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let blob = session.put_blob(b"#!x", false).unwrap();
    session.commit().unwrap();
    let mut top = Tree::new();
    top.insert(
        "run",
        Entry::File {
            blob,
            executable: true,
        },
    )
    .unwrap();
    let id = session.put_tree(&top).unwrap();
    let path = session.checkout(&id).unwrap();
    assert_eq!(path.join("run").metadata().unwrap().mode() & 0o7777, 0o555);
    assert_eq!(scratch.files("blobs").len(), 2);
}

#[test]
fn an_id_of_the_wrong_kind_is_missing() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let blob = session.put_blob(b"x", false).unwrap();
    session.commit().unwrap();
    let as_tree = ObjectId::Tree(TreeId {
        digest: blob.digest,
        size: blob.size,
    });
    assert!(!session.has(&as_tree).unwrap());
}
