//! Traces, memos, roots; many threads and sessions in one store.

use std::sync::Barrier;

use recipe_store::{BlobId, Digest, FORMAT, Recorded, StepKey, Store, StoreError};

use crate::support::{Scratch, trace, tree};

#[test]
fn a_trace_is_found_at_once_here_and_after_the_commit_elsewhere() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.session(), scratch.session());
    let blob = one.put_blob(b"made", false).unwrap();
    let trace = trace("asked", blob);
    assert_eq!(one.record(trace.clone()).unwrap(), Recorded::New);
    assert_eq!(one.find(&trace.key).unwrap(), Some(trace.clone()));
    assert_eq!(two.find(&trace.key).unwrap(), None);
    one.commit().unwrap();
    assert_eq!(two.find(&trace.key).unwrap(), Some(trace.clone()));
    assert_eq!(scratch.store().find(&trace.key).unwrap(), Some(trace));
}

#[test]
fn the_first_trace_stays_and_another_result_is_reported() {
    let scratch = Scratch::new();
    let (one, two, late) = (scratch.session(), scratch.session(), scratch.session());
    let first = trace("asked", one.put_blob(b"a", false).unwrap());
    let second = trace("asked", two.put_blob(b"b", false).unwrap());
    assert_eq!(one.record(first.clone()).unwrap(), Recorded::New);
    assert_eq!(two.record(second.clone()).unwrap(), Recorded::New);
    assert!(one.commit().unwrap().differences.is_empty());
    let differences = two.commit().unwrap().differences;
    assert_eq!(differences.len(), 1);
    assert_eq!(
        (&differences[0].first, &differences[0].second),
        (&first, &second)
    );
    assert_eq!(two.find(&first.key).unwrap(), Some(first.clone()));
    let mut same = first.clone();
    same.duration += 1;
    assert_eq!(late.record(same).unwrap(), Recorded::Same);
    let differs = Recorded::Differs {
        first: Box::new(first),
    };
    assert_eq!(late.record(second).unwrap(), differs);
}

#[test]
fn a_trace_whose_output_is_gone_is_absent_and_gives_way() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let old = trace("asked", session.put_blob(b"a", false).unwrap());
    let _ = session.record(old.clone()).unwrap();
    session.commit().unwrap();
    drop(session);
    std::fs::remove_file(
        scratch
            .path()
            .join("blobs")
            .join(&scratch.files("blobs")[0]),
    )
    .unwrap();
    let session = scratch.session();
    assert_eq!(session.find(&old.key).unwrap(), None);
    let new = trace("asked", session.put_blob(b"b", false).unwrap());
    assert_eq!(session.record(new.clone()).unwrap(), Recorded::New);
    session.commit().unwrap();
    assert_eq!(scratch.store().find(&new.key).unwrap(), Some(new));
}

#[test]
fn a_trace_of_what_is_not_there_is_refused() {
    let scratch = Scratch::new();
    let session = scratch.session();
    assert!(
        session
            .record(trace("asked", BlobId::of(b"never")))
            .unwrap_err()
            .is_missing()
    );
}

#[test]
fn a_damaged_trace_or_memo_is_as_good_as_absent() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let trace = trace("asked", session.put_blob(b"a", false).unwrap());
    let _ = session.record(trace.clone()).unwrap();
    session.commit().unwrap();
    let key = Digest::of(b"memo");
    scratch.store().memo_put(&key, b"old").unwrap();
    scratch.store().memo_put(&key, b"saved").unwrap();
    assert_eq!(
        scratch.store().memo_get(&key).unwrap().as_deref(),
        Some(&b"saved"[..])
    );
    for (folder, name) in [
        ("traces", scratch.files("traces")),
        ("memo", scratch.files("memo")),
    ] {
        let path = scratch.path().join(folder).join(&name[0]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.pop();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    assert_eq!(scratch.store().memo_get(&key).unwrap(), None);
    assert_eq!(scratch.store().find(&trace.key).unwrap(), None);
    assert!(
        scratch
            .store()
            .read_trace(&trace.key)
            .unwrap_err()
            .is_corrupt()
    );
    assert_eq!(
        scratch.store().memo_get(&Digest::of(b"other")).unwrap(),
        None
    );
}

#[test]
fn a_root_is_a_link_that_counts_while_it_points_there() {
    let scratch = Scratch::new();
    let session = scratch.session();
    let (one, two) = (
        tree(&session, &[("a", b"1")]),
        tree(&session, &[("a", b"2")]),
    );
    let link = scratch.dir().join("result/name");
    let key = StepKey::of(b"asked");
    session.add_root(&link, &one, &[key]).unwrap();
    session.add_root(&link, &one, &[key]).unwrap();
    assert_eq!(std::fs::read(link.join("a")).unwrap(), b"1");
    let roots = scratch.store().roots().unwrap();
    assert_eq!(roots.len(), 1);
    assert!(roots[0].1 && roots[0].0.tree == one && roots[0].0.steps.contains(&key));
    session.add_root(&link, &two, &[]).unwrap();
    assert_eq!(std::fs::read(link.join("a")).unwrap(), b"2");
    assert_eq!(scratch.store().roots().unwrap().len(), 1);
    std::fs::remove_file(&link).unwrap();
    assert!(!scratch.store().roots().unwrap()[0].1);
    std::fs::create_dir(&link).unwrap();
    let refused = session.add_root(&link, &one, &[]).unwrap_err();
    assert!(matches!(refused, StoreError::NotALink { .. }));
}

#[test]
fn sixteen_threads_and_sessions_put_the_same_objects() {
    let scratch = Scratch::new();
    let shared = scratch.session();
    let start = Barrier::new(16);
    let ids: Vec<_> = std::thread::scope(|scope| {
        let run = |n: usize| {
            let (shared, scratch, start) = (&shared, &scratch, &start);
            move || {
                let own = n.is_multiple_of(2).then(|| scratch.session());
                let session = own.as_ref().unwrap_or(shared);
                start.wait();
                let names: Vec<String> = (0..60).map(|i| format!("d{}/f{i}", i % 7)).collect();
                let files: Vec<_> = names
                    .iter()
                    .map(|name| (name.as_str(), name.as_bytes()))
                    .collect();
                let id = tree(session, &files);
                let recorded = session.record(trace("all", id)).unwrap();
                assert!(!matches!(recorded, Recorded::Differs { .. }));
                assert!(session.commit().unwrap().differences.is_empty());
                session.checkout(&id).unwrap();
                id
            }
        };
        let threads: Vec<_> = (0..16).map(|n| scope.spawn(run(n))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(scratch.files("blobs").len(), 60);
    assert_eq!(scratch.files("dirs").len(), 8);
    assert_eq!(scratch.files("traces").len(), 1);
    drop(shared);
    assert_eq!(scratch.files("tmp").len(), 0);
}

#[test]
fn what_a_dead_session_left_is_cleared_away_and_what_a_live_one_has_is_not() {
    let scratch = Scratch::new();
    let live = scratch.session();
    let blob = live.put_blob(b"x", false).unwrap();
    let dead = scratch.path().join("tmp/dead-1");
    std::fs::create_dir_all(dead.join("3/deep/er")).unwrap();
    std::fs::write(dead.join("3/deep/er/file"), b"").unwrap();
    std::fs::write(dead.join("lease"), b"torn").unwrap();
    let other = scratch.session();
    assert!(!dead.exists());
    live.commit().unwrap();
    assert_eq!(other.read_blob(&blob).unwrap(), b"x");
}

#[test]
fn only_a_store_of_this_format_is_opened() {
    let scratch = Scratch::new();
    drop(scratch.store());
    let version = scratch.path().join("version");
    assert_eq!(
        std::fs::read_to_string(&version).unwrap(),
        format!("{FORMAT}\n")
    );
    std::fs::write(&version, "recipe-store 2\nwhatever").unwrap();
    let refused = Store::open(&scratch.path()).unwrap_err();
    assert!(
        matches!(refused, StoreError::Version { ref found, .. } if found == "recipe-store 2"),
        "{refused}"
    );
    let foreign = scratch.dir().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.txt"), "years of work").unwrap();
    assert!(matches!(
        Store::open(&foreign).unwrap_err(),
        StoreError::NotAStore { .. }
    ));
    let empty = scratch.dir().join("empty");
    std::fs::create_dir(&empty).unwrap();
    Store::open(&empty).unwrap();
    Store::open(&scratch.dir().join("a/b/c")).unwrap();
}
