//! `kill -9` at any moment, and several processes in one store.
//!
//! The test binary starts itself again as a child that works until it is killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::Utf8Path;
use recipe_store::{GcOptions, Store, TreeId};

use crate::support::{Scratch, clean, trace, tree};

const HOME: &str = "STORE_TEST_HOME";
const WORK: &str = "STORE_TEST_WORK";

fn start(home: &Utf8Path, work: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "crash::worker",
        "--nocapture",
        "--test-threads=1",
    ]);
    child.env(HOME, home).env(WORK, work).stdout(Stdio::piped());
    child.spawn().unwrap()
}

/// Does nothing in an ordinary run; in a child it works for the test that started it.
#[test]
fn worker() {
    let (Ok(home), Ok(work)) = (std::env::var(HOME), std::env::var(WORK)) else {
        return;
    };
    let home = Utf8Path::new(&home);
    match work.as_str() {
        "same" => same(&Store::open(&home.join("store")).unwrap()),
        work => {
            println!("\nready");
            let mut round = 0;
            loop {
                endless(home, round, work == "collect");
                round += 1;
            }
        }
    }
}

/// What sixteen builds of one recipe do: the same.
fn same(store: &Store) {
    for round in 0..5 {
        let session = store.session().unwrap();
        let files: Vec<_> = (0..80)
            .map(|n| (format!("d{}/{n}", n % 9), format!("{round} {n}")))
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text))
            .collect();
        let id = tree(&session, &files);
        let _ = session
            .record(trace(&format!("round {round}"), id))
            .unwrap();
        assert!(session.commit().unwrap().differences.is_empty());
        session.checkout(&id).unwrap();
    }
}

fn endless(home: &Utf8Path, round: u64, collect: bool) {
    let store = Store::open(&home.join("store")).unwrap();
    let session = store.session().unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let files: Vec<_> = (0..40)
        .map(|n| (format!("d{}/x/{n}", n % 5), format!("{n} {}", now % 7 * n)))
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text))
        .collect();
    let id = tree(&session, &files);
    let asked = format!("round {now}");
    let _ = session.record(trace(&asked, id)).unwrap();
    session.commit().unwrap();
    if collect {
        let key = trace(&asked, id).key;
        session
            .add_root(&home.join(format!("links/{}", round % 3)), &id, &[key])
            .unwrap();
        drop(session);
        store.gc(&GcOptions::default()).unwrap();
    } else {
        session.checkout(&id).unwrap();
    }
    // One write, so that a kill never leaves half a line that looks whole.
    std::io::stdout()
        .write_all(format!("\nacknowledged {asked} = {id}\n").as_bytes())
        .unwrap();
}

/// Kills a child some time after it began, every other one some time after its first
/// acknowledgement; gives what it had acknowledged by then.
fn kill_after(mut child: Child, (odd, time): (bool, Duration)) -> Vec<(String, TreeId)> {
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(lines.any(|line| line == "ready"));
    let first = if odd {
        lines.find(|line| line.starts_with("acknowledged"))
    } else {
        None
    };
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
    let told = |line: String| {
        let (asked, id) = line.strip_prefix("acknowledged ")?.split_once(" = ")?;
        Some((asked.to_owned(), id.parse().ok()?))
    };
    first.into_iter().chain(lines).filter_map(told).collect()
}

fn moments(count: u64) -> impl Iterator<Item = (bool, Duration)> {
    let seed = u64::from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .subsec_nanos(),
    );
    println!("seed {seed}");
    (0..count).map(move |n| {
        (
            n % 2 == 1,
            Duration::from_micros((seed / 1000 + n * 7_919) % 120_000),
        )
    })
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let scratch = Scratch::new();
    drop(scratch.store());
    let mut acknowledged = Vec::new();
    for moment in moments(20) {
        acknowledged.extend(kill_after(start(scratch.dir(), "put"), moment));
        clean(&scratch.store());
    }
    assert!(!acknowledged.is_empty());
    for (asked, id) in &acknowledged {
        let found = scratch
            .store()
            .find(&trace(asked, *id).key)
            .unwrap()
            .unwrap();
        assert_eq!(found.outputs["out"], (*id).into());
        assert!(scratch.store().checked_out(id).unwrap().is_some());
    }
    drop(scratch.session());
    assert_eq!(
        scratch.path().join("tmp").read_dir_utf8().unwrap().count(),
        0
    );
}

#[test]
fn a_collection_killed_at_any_moment_leaves_a_whole_store() {
    let scratch = Scratch::new();
    drop(scratch.store());
    for moment in moments(20) {
        let acknowledged = kill_after(start(scratch.dir(), "collect"), moment);
        clean(&scratch.store());
        if let Some((asked, id)) = acknowledged.last() {
            assert!(
                scratch
                    .store()
                    .find(&trace(asked, *id).key)
                    .unwrap()
                    .is_some()
            );
        }
        for (root, alive) in scratch.store().roots().unwrap() {
            assert!(!alive || root.link.join("d0/x/0").exists());
        }
    }
    scratch.store().gc(&GcOptions::default()).unwrap();
    clean(&scratch.store());
}

#[test]
fn several_processes_put_the_same_objects() {
    let scratch = Scratch::new();
    // None of them finds a store: they make it together.
    let children: Vec<_> = (0..6).map(|_| start(scratch.dir(), "same")).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    clean(&scratch.store());
    assert_eq!(scratch.files("traces").len(), 5);
    assert_eq!(scratch.files("blobs").len(), 400);
    drop(scratch.session());
    assert_eq!(
        scratch.path().join("tmp").read_dir_utf8().unwrap().count(),
        0
    );
}
