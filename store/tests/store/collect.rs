//! Collection takes all that nobody keeps, nothing that somebody does, and tells exactly what.

use std::sync::atomic::{AtomicBool, Ordering};

use recipe_store::{Amount, GcOptions, ObjectId, Store};

use crate::support::{Scratch, clean, trace, tree};

const ALL: GcOptions = GcOptions {
    dry_run: false,
    cap: None,
};
const DRY: GcOptions = GcOptions {
    dry_run: true,
    cap: None,
};

#[test]
fn what_nobody_keeps_goes_and_the_dry_run_knew() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let id = tree(&session, &[("a/b", "12345"), ("a/c*", "123"), ("d", "1")]);
    let asked = trace("asked", id);
    let _ = session.record(asked.clone()).unwrap();
    session.checkout(&id).unwrap();
    drop(session);
    let dry = scratch.store().gc(&DRY).unwrap();
    assert_eq!(
        (dry.removed.files, dry.traces, dry.trees, dry.kept),
        (5, 1, 1, Amount::default())
    );
    assert_eq!(scratch.files("blobs").len(), 3);
    let done = scratch.store().gc(&ALL).unwrap();
    assert_eq!(done, dry);
    for folder in ["blobs", "dirs", "traces", "trees", "tmp"] {
        assert_eq!(scratch.files(folder).len(), 0, "{folder}");
    }
    assert_eq!(scratch.store().gc(&ALL).unwrap(), Default::default());
    clean(&scratch.store());
}

#[test]
fn a_root_keeps_its_tree_and_what_its_steps_made() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let input = session.put_blob(b"fetched", false).unwrap();
    let id = tree(&session, &[("a", "1"), ("b", "22")]);
    let dead = tree(&session, &[("a", "1"), ("b", "dead")]);
    let (fetch, make, other) = (
        trace("fetch", input),
        trace("make", id),
        trace("other", dead),
    );
    for trace in [&fetch, &make, &other] {
        let _ = session.record(trace.clone()).unwrap();
    }
    let link = scratch.dir().join("result");
    session
        .add_root(&link, &id, &[fetch.key, make.key])
        .unwrap();
    drop(session);
    let report = scratch.store().gc(&ALL).unwrap();
    assert_eq!((report.removed.files, report.traces), (2, 1));
    assert_eq!(report.roots.len(), 1);
    assert_eq!(report.roots[0].1, report.kept);
    let store = scratch.store();
    assert!(store.find(&fetch.key).unwrap().is_some());
    assert!(store.find(&make.key).unwrap().is_some());
    assert!(store.find(&other.key).unwrap().is_none());
    assert_eq!(std::fs::read(link.join("b")).unwrap(), b"22");
    clean(&store);
    std::fs::remove_file(&link).unwrap();
    let report = store.gc(&ALL).unwrap();
    assert_eq!(
        (report.gone.len(), report.roots.len(), report.kept),
        (1, 0, Amount::default())
    );
    assert!(store.roots().unwrap().is_empty());
}

#[test]
fn a_live_session_keeps_what_it_put_found_pinned_and_staged() {
    let scratch = Scratch::new();
    let old = scratch.session();
    let (found, pinned, again) = (
        tree(&old, &[("x/f", "found")]),
        tree(&old, &[("x/p", "pinned")]),
        old.put_blob(b"again", false).unwrap(),
    );
    let asked = trace("asked", found);
    let _ = old.record(asked.clone()).unwrap();
    old.commit().unwrap();
    drop(old);
    let session = scratch.session();
    assert!(session.find(&asked.key).unwrap().is_some());
    session.pin(&pinned.into()).unwrap();
    session.put_blob(b"again", false).unwrap();
    let committed = tree(&session, &[("c/c", "committed")]);
    session.commit().unwrap();
    let staged = tree(&session, &[("c/c", "committed"), ("s", "staged")]);
    let report = scratch.store().gc(&ALL).unwrap();
    assert_eq!((report.removed.files, report.sessions), (0, 1));
    session.commit().unwrap();
    for id in [found, pinned, committed, staged]
        .map(ObjectId::from)
        .into_iter()
        .chain([again.into()])
    {
        assert!(scratch.store().has(&id).unwrap());
    }
    clean(&scratch.store());
    drop(session);
    assert_eq!(scratch.store().gc(&ALL).unwrap().kept, Amount::default());
}

#[test]
fn under_a_cap_the_last_used_stays() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let traces: Vec<_> = (0..10)
        .map(|n| {
            trace(
                &format!("step {n}"),
                session.put_blob(&[n; 100], false).unwrap(),
            )
        })
        .collect();
    for trace in &traces {
        let _ = session.record(trace.clone()).unwrap();
    }
    session.commit().unwrap();
    drop(session);
    for (n, trace) in traces.iter().enumerate() {
        let hex = trace.key.to_string();
        let path = scratch.path().join("traces").join(&hex[..2]).join(&hex);
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 + n as u64);
        std::fs::File::open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    // Using it makes it the newest.
    assert!(scratch.session().find(&traces[0].key).unwrap().is_some());
    let report = scratch
        .store()
        .gc(&GcOptions {
            dry_run: false,
            cap: Some(350),
        })
        .unwrap();
    assert_eq!(
        (report.kept, report.traces),
        (
            Amount {
                files: 3,
                bytes: 300
            },
            7
        )
    );
    let kept = |n: usize| scratch.store().find(&traces[n].key).unwrap().is_some();
    assert_eq!((0..10).filter(|n| kept(*n)).collect::<Vec<_>>(), [0, 8, 9]);
    clean(&scratch.store());
}

#[test]
fn collection_beside_builds_takes_nothing_that_they_use() {
    let scratch = Scratch::new();
    drop(scratch.store());
    let over = AtomicBool::new(false);
    let mut collected = 0;
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..3)
            .map(|n| scope.spawn(move || n))
            .map(|thread| thread.join().unwrap())
            .collect();
        let threads: Vec<_> = builders
            .into_iter()
            .map(|n| {
                let scratch = &scratch;
                scope.spawn(move || (0..40).for_each(|round| build(&scratch.store(), n, round)))
            })
            .collect();
        let collector = scope.spawn(|| {
            let mut removed = 0;
            while !over.load(Ordering::Relaxed) {
                removed += scratch.store().gc(&ALL).unwrap().removed.files;
            }
            removed
        });
        for thread in threads {
            thread.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        collected = collector.join().unwrap();
    });
    clean(&scratch.store());
    assert!(collected > 0);
}

/// A build in small: looks for a step, else runs it; relies on the result to the end.
fn build(store: &Store, builder: usize, round: usize) {
    let session = store.session().unwrap();
    let asked = format!("step {}", (round + builder) % 5);
    let found = session
        .find(&trace(&asked, recipe_store::TreeId::of(b"")).key)
        .unwrap();
    let id = match found {
        Some(found) => match found.outputs["out"] {
            ObjectId::Tree(id) => id,
            ObjectId::Blob(_) => unreachable!(),
        },
        None => {
            let files: Vec<_> = (0..20)
                .map(|n| (format!("d{}/{n}", n % 3), format!("{asked} {}", n % 11)))
                .collect();
            let files: Vec<_> = files
                .iter()
                .map(|(path, text)| (path.as_str(), text))
                .collect();
            let id = tree(&session, &files);
            let _ = session.record(trace(&asked, id)).unwrap();
            id
        }
    };
    if round.is_multiple_of(2) {
        session.commit().unwrap();
    }
    // Surgery on what was found, as composing does.
    let mut builder_of = recipe_store::TreeBuilder::from_tree(id);
    let blob = session
        .put_blob(format!("new {}", round % 4).as_bytes(), false)
        .unwrap();
    builder_of
        .insert(
            "d1/new",
            recipe_store::Entry::File {
                blob,
                executable: false,
            },
        )
        .unwrap();
    let changed = builder_of.finish(&session).unwrap();
    let path = session.checkout(&changed).unwrap();
    assert!(path.join("d0/0").exists());
    recipe_store::walk::<recipe_store::StoreError>(&session, &changed, &mut |_, entry| {
        if let recipe_store::Entry::File { blob, .. } = entry {
            session.read_blob(blob)?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_damaged_directory_under_a_root_stops_the_collection() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let id = tree(&session, &[("a/b", "1")]);
    session
        .add_root(&scratch.dir().join("result"), &id, &[])
        .unwrap();
    session.put_blob(b"dead", false).unwrap();
    session.commit().unwrap();
    drop(session);
    let hex = id.digest.to_string();
    let path = scratch.path().join("dirs").join(&hex[..2]).join(&hex);
    std::fs::remove_file(&path).unwrap();
    assert!(scratch.store().gc(&ALL).unwrap_err().is_corrupt());
    assert_eq!(scratch.files("blobs").len(), 2);
}
