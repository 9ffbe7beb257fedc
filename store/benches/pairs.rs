//! The store against plain tools on the same files: A B A B, and the median of the ratios.
//!
//! `cargo bench -p recipe-store --bench pairs [-- FILES [ROUNDS]]`, with `STORE_BENCH_DIR` to say on which
//! file system. The limits are those of the project: put 1.2 x `cp -a`, check out 1.1 x `cp -al`,
//! verify 1.1 x `b3sum` (where it is installed), collect 1.5 x `rm -rf`.

#[allow(unreachable_pub, dead_code)]
#[path = "support.rs"]
mod support;

use std::process::Command;
use std::time::Instant;

use camino::Utf8Path;
use recipe_store::GcOptions;

use support::{empty, files, path, put, scratch};

/// What was measured, our milliseconds and the other's, one of each a round.
type Table = Vec<(&'static str, Vec<f64>, Vec<f64>)>;

fn main() {
    let mut numbers = std::env::args().filter_map(|word| word.parse().ok());
    let (count, rounds): (u64, u64) = (numbers.next().unwrap_or(7000), numbers.next().unwrap_or(5));
    let dir = scratch();
    let home = path(&dir);
    let plain = home.join("plain");
    let content = files(count);
    for (name, bytes) in &content {
        let file = plain.join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
        std::fs::write(file, bytes).expect("a file");
    }
    let mut table = Table::new();
    for round in 0..rounds {
        add(&mut table, one_round(&home, &plain, &content, round));
    }
    let large = large_file(&home);
    for round in 0..rounds.min(3) {
        add(&mut table, one_large_round(&home, &large, round));
    }
    println!("{count} files, {rounds} rounds, median milliseconds and median ratio");
    for (name, ours, theirs) in table {
        let ratios = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
        println!(
            "{name:<44} {:8.1} {:8.1} {:6.2}",
            median(ours),
            median(theirs),
            median(ratios)
        );
    }
}

fn add(table: &mut Table, rows: Vec<(&'static str, f64, f64)>) {
    for (name, ours, theirs) in rows {
        match table.iter_mut().find(|row| row.0 == name) {
            Some(row) => {
                row.1.push(ours);
                row.2.push(theirs);
            }
            None => table.push((name, vec![ours], vec![theirs])),
        }
    }
}

fn one_round(
    home: &Utf8Path,
    plain: &Utf8Path,
    content: &support::Files,
    round: u64,
) -> Vec<(&'static str, f64, f64)> {
    let (copy, links) = (
        home.join(format!("copy{round}")),
        home.join(format!("links{round}")),
    );
    let at = home.join(format!("store{round}"));
    let store = empty(&at);
    let mut rows = Vec::new();
    let cp = time(|| run("cp", &["-a", plain.as_str(), copy.as_str()]));
    let session = store.session().expect("a session");
    let (put_time, id) = timed(|| put_from(&session, plain, content));
    rows.push(("put (read and staged) / cp -a", put_time, cp));
    let memory = empty(&home.join(format!("memory{round}")));
    let memory_session = memory.session().expect("a session");
    rows.push((
        "put (from memory) / cp -a",
        timed(|| put(&memory_session, content)).0,
        cp,
    ));
    drop(memory_session);
    let commit = time(|| drop(session.commit().expect("a commit")));
    let sync = time(|| run("sync", &["-f", plain.as_str()]));
    rows.push(("commit / sync after it", commit, sync));
    rows.push(("put + commit / cp -a", put_time + commit, cp));
    drop(session);
    let session = store.session().expect("a session");
    let again = timed(|| put_from(&session, plain, content)).0;
    let sum = b3sum(&at);
    rows.push(("put again / b3sum", again, sum));
    let cp_links = time(|| run("cp", &["-al", plain.as_str(), links.as_str()]));
    let private = time(|| drop(session.checkout_private(&id).expect("a checkout")));
    rows.push(("checkout, private / cp -al", private, cp_links));
    let durable = time(|| drop(session.checkout(&id).expect("a checkout")));
    rows.push(("checkout, durable / cp -al", durable, cp_links));
    let verify = time(|| assert!(store.verify().expect("a report").findings.is_empty()));
    rows.push(("verify / b3sum", verify, sum));
    let link = home.join(format!("root{round}"));
    session.add_root(&link, &id, &[]).expect("a root");
    drop(session);
    let open =
        time(|| (0..100).for_each(|_| drop(recipe_store::Store::open(&at).expect("a store"))));
    let begin = time(|| (0..100).for_each(|_| drop(store.session().expect("a session"))));
    rows.push(("100 opens / 100 sessions", open, begin));
    let nothing = time(|| drop(store.gc(&GcOptions::default()).expect("a report")));
    std::fs::remove_file(&link).expect("the link goes");
    let collect = time(|| drop(store.gc(&GcOptions::default()).expect("a report")));
    let remove = time(|| run("rm", &["-rf", copy.as_str(), links.as_str()]));
    rows.push(("collect all / rm -rf of copy and links", collect, remove));
    rows.push(("collect nothing / same", nothing, remove));
    rows
}

/// One file of 1 GiB that does not compress.
fn large_file(home: &Utf8Path) -> camino::Utf8PathBuf {
    let path = home.join("large");
    let script = format!("head -c 1G /dev/urandom >{path}");
    run("sh", &["-c", &script]);
    path
}

fn one_large_round(home: &Utf8Path, large: &Utf8Path, round: u64) -> Vec<(&'static str, f64, f64)> {
    let copy = home.join(format!("large-copy{round}"));
    let at = home.join(format!("large-store{round}"));
    let session = empty(&at).session().expect("a session");
    let plain = format!("cp {large} {copy} && b3sum {large} >{copy}.sum");
    let cp = time(|| run("sh", &["-c", &plain]));
    let sync = time(|| run("sync", &[copy.as_str()]));
    // Each side begins when as much memory was just set free: a virtual machine may have to ask its
    // host for pages, which costs more than all else here.
    run("rm", &["-rf", copy.as_str()]);
    let put = time(|| {
        let mut file = std::fs::File::open(large).expect("a file");
        session
            .put_reader(&mut file, false, u64::MAX)
            .expect("a blob");
    });
    let commit = time(|| drop(session.commit().expect("a commit")));
    drop(session);
    run("rm", &["-rf", at.as_str()]);
    vec![
        ("1 GiB: put / cp + b3sum", put, cp),
        (
            "1 GiB: put + commit / cp + b3sum + sync",
            put + commit,
            cp + sync,
        ),
    ]
}

/// Reads each file as `cp` does, then stores it.
fn put_from(
    session: &recipe_store::Session,
    plain: &Utf8Path,
    content: &support::Files,
) -> recipe_store::TreeId {
    use rayon::prelude::*;

    let put = |(path, _): &(String, Vec<u8>)| {
        let bytes = std::fs::read(plain.join(path)).expect("a file");
        let blob = session.put_blob(&bytes, false).expect("a blob");
        (
            path.clone(),
            recipe_store::Entry::File {
                blob,
                executable: false,
            },
        )
    };
    let entries: Vec<_> = content.par_iter().map(put).collect();
    let mut builder = recipe_store::TreeBuilder::new();
    for (path, entry) in entries {
        builder.insert(&path, entry).expect("an entry");
    }
    builder.finish(session).expect("a tree")
}

/// NaN where there is no `b3sum`.
fn b3sum(store: &Utf8Path) -> f64 {
    if !Command::new("b3sum")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return f64::NAN;
    }
    let all = format!(
        "find {store}/blobs {store}/dirs -type f -print0 | xargs -0 b3sum >{store}/../sums"
    );
    time(|| run("sh", &["-c", &all]))
}

fn run(program: &str, words: &[&str]) {
    assert!(
        Command::new(program)
            .args(words)
            .status()
            .expect("a program")
            .success()
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let value = work();
    (start.elapsed().as_secs_f64() * 1e3, value)
}

fn time(work: impl FnOnce()) -> f64 {
    timed(work).0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
