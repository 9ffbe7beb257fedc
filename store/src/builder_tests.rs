//! Composing trees: what meets, what clashes, what is never read.

use super::*;
use crate::digest::BlobId;
use crate::test_support::Scratch;

fn file(session: &Session, text: &str) -> Entry {
    Entry::File {
        blob: session.put_blob(text.as_bytes(), false).unwrap(),
        executable: false,
    }
}

fn tree(session: &Session, files: &[(&str, &str)]) -> TreeId {
    let mut builder = TreeBuilder::new();
    for (path, text) in files {
        builder.insert(path, file(session, text)).unwrap();
    }
    builder.finish(session).unwrap()
}

fn paths(session: &Session, id: &TreeId) -> Vec<String> {
    let mut all = Vec::new();
    crate::walk::<StoreError>(session, id, &mut |path, entry| {
        let mark = if matches!(entry, Entry::Directory(_)) {
            "/"
        } else {
            ""
        };
        all.push(format!("{path}{mark}"));
        Ok(())
    })
    .unwrap();
    all
}

#[test]
fn the_order_of_inserts_does_not_matter() {
    let scratch = Scratch::new();
    let session = scratch.store().session().unwrap();
    let one = tree(&session, &[("a/b/c", "1"), ("a/d", "2"), ("e", "3")]);
    let two = tree(&session, &[("e", "3"), ("a/d", "2"), ("a/b/c", "1")]);
    assert_eq!(one, two);
    assert_eq!(paths(&session, &one), ["a/", "a/b/", "a/b/c", "a/d", "e"]);
}

#[test]
fn trees_laid_over_each_other_are_one() {
    let scratch = Scratch::new();
    let session = scratch.store().session().unwrap();
    let one = tree(&session, &[("usr/lib/a", "1"), ("usr/share/same", "s")]);
    let two = tree(
        &session,
        &[("usr/lib/b", "2"), ("usr/share/same", "s"), ("bin/x", "x")],
    );
    let mut builder = TreeBuilder::from_tree(one);
    builder.merge("", two).unwrap();
    builder.insert("usr/lib/c", file(&session, "3")).unwrap();
    let both = builder.finish(&session).unwrap();
    let whole = [
        ("usr/lib/a", "1"),
        ("usr/share/same", "s"),
        ("usr/lib/b", "2"),
        ("bin/x", "x"),
        ("usr/lib/c", "3"),
    ];
    assert_eq!(both, tree(&session, &whole));
}

#[test]
fn a_clash_names_the_path() {
    let scratch = Scratch::new();
    let session = scratch.store().session().unwrap();
    let one = tree(&session, &[("usr/lib/a", "1")]);
    let clash = |other: &[(&str, &str)]| {
        let mut builder = TreeBuilder::from_tree(one);
        builder.merge("", tree(&session, other)).unwrap();
        builder.finish(&session).unwrap_err().to_string()
    };
    assert_eq!(
        clash(&[("usr/lib/a", "2")]),
        "\"usr/lib/a\" is in the tree twice"
    );
    assert_eq!(
        clash(&[("usr/lib", "2")]),
        "\"usr/lib\" is in the tree twice"
    );
    let mut builder = TreeBuilder::from_tree(one);
    builder.insert("usr/lib/a", file(&session, "2")).unwrap();
    assert!(builder.finish(&session).is_err());
    let mut builder = TreeBuilder::new();
    builder.insert("a", file(&session, "2")).unwrap();
    assert!(builder.insert("a/b", file(&session, "2")).is_err());
    assert!(builder.insert("a", file(&session, "3")).is_err());
    builder.insert("a", file(&session, "2")).unwrap();
}

#[test]
fn surgery_replaces_and_removes_below_a_tree() {
    let scratch = Scratch::new();
    let session = scratch.store().session().unwrap();
    let base = tree(
        &session,
        &[("a/b/c", "1"), ("a/b/d", "2"), ("a/e", "3"), ("f/g", "4")],
    );
    let mut builder = TreeBuilder::from_tree(base);
    builder.replace("a/b/c", file(&session, "new")).unwrap();
    builder.remove("a/e").unwrap();
    builder.remove("f").unwrap();
    builder.insert("f/h", file(&session, "5")).unwrap();
    let changed = builder.finish(&session).unwrap();
    assert_eq!(
        changed,
        tree(&session, &[("a/b/c", "new"), ("a/b/d", "2"), ("f/h", "5")])
    );
    let mut builder = TreeBuilder::from_tree(changed);
    builder
        .replace("a", Entry::Directory(tree(&session, &[("only", "x")])))
        .unwrap();
    assert_eq!(
        paths(&session, &builder.finish(&session).unwrap()),
        ["a/", "a/only", "f/", "f/h"]
    );
}

#[test]
fn paths_that_leave_or_go_too_deep_are_refused() {
    let scratch = Scratch::new();
    let session = scratch.store().session().unwrap();
    let deep = vec!["d"; DEPTH_LIMIT + 1].join("/");
    for path in [
        "", "/", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a/.", &deep,
    ] {
        assert!(
            TreeBuilder::new()
                .insert(path, file(&session, "x"))
                .is_err(),
            "{path:?}"
        );
    }
    let deepest = vec!["d"; DEPTH_LIMIT].join("/");
    let mut builder = TreeBuilder::new();
    builder.insert(&deepest, file(&session, "x")).unwrap();
    let id = builder.finish(&session).unwrap();
    assert_eq!(paths(&session, &id).len(), DEPTH_LIMIT);
    session.checkout(&id).unwrap();
}

#[test]
fn a_tree_that_is_laid_in_alone_is_not_read() {
    let scratch = Scratch::new();
    let session = scratch.store().session().unwrap();
    let inner = tree(&session, &[("x", "1")]);
    let mut builder = TreeBuilder::new();
    builder
        .insert("deep/inner", Entry::Directory(inner))
        .unwrap();
    builder.directory("empty").unwrap();
    let id = builder.finish(&session).unwrap();
    assert_eq!(
        paths(&session, &id),
        ["deep/", "deep/inner/", "deep/inner/x", "empty/"]
    );
}

#[test]
fn a_tree_of_what_nobody_stored_is_refused() {
    let scratch = Scratch::new();
    let session = scratch.store().session().unwrap();
    let mut builder = TreeBuilder::new();
    builder
        .insert(
            "a",
            Entry::File {
                blob: BlobId::of(b"nowhere"),
                executable: false,
            },
        )
        .unwrap();
    assert!(builder.finish(&session).unwrap_err().is_missing());
}
