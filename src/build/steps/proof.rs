//! A closure is run, before it counts, from two places that did not exist while it was built; it is
//! moved from one to the other in between.
//!
//! The root is empty but for the closure: a file of the host cannot be found by accident. One
//! place has a blank in its name and no `/proc`, the other is longer than the 127 bytes at which
//! some kernels cut a script's interpreter. Each program lists the libraries that its loader maps
//! for it, and the closure's Python imports every extension module. Besides, no file may hold the
//! path of the store, and no link may be absolute.
//!
//! A closure for another processor is looked at besides, file by file ([`structure`]), and run
//! where an emulator is there.

use std::hash::{BuildHasher as _, Hasher as _};

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use recipe_store::{BlobId, Entry, Session, TreeId};

use super::{Bench, Made, StepError, leaves};
use crate::elf;
use crate::plan::Means;
use crate::sandbox::{Level, Outcome, Root, Spec, Status, Stdin};

mod structure;

const PROBE: &str = include_str!("proof.py");

/// Proves `closure`; the blob is a report of what was run.
pub(super) fn prove(bench: &Bench<'_>, closure: &TreeId, means: Means) -> Result<Made, StepError> {
    let session = bench.session();
    let files = leaves(session, closure)?;
    check_links(&files)?;
    if means != Means::Native {
        structure::check(session, &files)?;
    }
    let (level, contents) = rayon::join(
        || match means {
            Means::Structure => Ok(Level::None),
            Means::Native | Means::Emulated => prove_moving(bench, closure, &files, means),
        },
        || check_contents(session, &files),
    );
    contents?;
    let level = level?;
    bench.keep(
        format!(
            "{} files looked at; {}\n",
            files.len(),
            match (means, level) {
                (Means::Structure, _) => "nothing was run: it is for another processor",
                (_, Level::None) =>
                    "every program run from two random places, on the host as it is",
                (_, _) =>
                    "every program run from two random places, each in a root that held nothing else",
            }
        )
        .as_bytes(),
    );
    let report = match means {
        Means::Structure => format!("proved {closure:?} by its structure, nothing was run\n"),
        Means::Native | Means::Emulated => format!("proved {closure:?} in two places\n"),
    };
    let output = session.put_blob(report.as_bytes(), false)?.into();
    Ok(Made {
        output,
        isolation: match (means, level) {
            (Means::Structure, _) => "structure",
            (Means::Emulated, _) => "emulated",
            (Means::Native, level) => level.word(),
        },
    })
}

/// Runs the closure at one place, moves it to the other, and runs it again.
fn prove_moving(
    bench: &Bench<'_>,
    closure: &TreeId,
    files: &[(String, Entry)],
    means: Means,
) -> Result<Level, StepError> {
    let session = bench.session();
    let mut tree = session.checkout_movable(closure)?;
    let programs = programs(session, files)?;
    let mut level = Level::Landlocked;
    for (path, proc) in [
        (format!("/{:016x}/a place", random()), false),
        (format!("/{:016x}{}", random(), "/long".repeat(32)), true),
    ] {
        tree.move_to(path.trim_start_matches('/'))?;
        let place = Place {
            path: path.into(),
            host: tree.path().to_owned(),
            proc,
            means,
        };
        level = level.min(prove_at(bench, files, &programs, &place)?);
    }
    Ok(level)
}

/// Where the closure is, in the root of the sandbox and on the host, and what else there is.
struct Place {
    path: Utf8PathBuf,
    host: Utf8PathBuf,
    proc: bool,
    means: Means,
}

/// Nothing depends on its value; that nobody knows it beforehand is the point.
fn random() -> u64 {
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

fn prove_at(
    bench: &Bench<'_>,
    files: &[(String, Entry)],
    programs: &[String],
    place: &Place,
) -> Result<Level, StepError> {
    let mut level = Level::Landlocked;
    for path in programs {
        let spec = |at: &Utf8Path| Spec::new(at.join(path)).env("LD_TRACE_LOADED_OBJECTS", "1");
        let (outcome, at) = run(bench, place, spec, &mut level)?;
        check_listing(path, &outcome, &at)?;
    }
    if files.iter().any(|(path, _)| path == "bin/python3") {
        let spec = |at: &Utf8Path| {
            Spec::new(at.join("bin/python3")).args(["-I", "-B", "-c", PROBE, at.as_str()])
        };
        let (outcome, _) = run(bench, place, spec, &mut level)?;
        check_probe(&outcome, place)?;
    }
    Ok(level)
}

/// Runs in an empty root; where the kernel forbids that, in place, and says so.
fn run(
    bench: &Bench<'_>,
    place: &Place,
    spec: impl Fn(&Utf8Path) -> Spec,
    level: &mut Level,
) -> Result<(Outcome, Utf8PathBuf), StepError> {
    let mut inside = spec(&place.path).input(&place.host, &place.path);
    (inside.proc, inside.dev, inside.tmp) = (place.proc, place.proc, place.proc);
    inside = inside.emulated(bench.emulator(place.means));
    match bench.shop.sandbox.run(&inside, Stdin::Empty) {
        Ok(outcome) => {
            *level = (*level).min(outcome.level);
            Ok((outcome, place.path.clone()))
        }
        Err(error) if error.is_no_namespaces() && place.means == Means::Native => {
            bench.note(&format!(
                "the proof runs in place, not in an empty root: {error}"
            ));
            let mut open = spec(&place.host);
            open.root = Root::Host;
            *level = Level::None;
            Ok((
                bench.shop.sandbox.run(&open, Stdin::Empty)?,
                place.host.clone(),
            ))
        }
        Err(error) => Err(error.into()),
    }
}

/// Dynamic programs under `bin/`, links aside.
fn programs(session: &Session, files: &[(String, Entry)]) -> Result<Vec<String>, StepError> {
    let mut programs = Vec::new();
    for (path, entry) in files.iter().filter(|(path, _)| path.starts_with("bin/")) {
        let Entry::File {
            blob,
            executable: true,
        } = entry
        else {
            continue;
        };
        let bytes = session.read_blob(blob)?;
        let facts = elf::read(&bytes).map_err(|error| StepError::Elf {
            path: path.clone(),
            error,
        })?;
        if facts.is_some_and(|facts| !facts.needed.is_empty()) {
            programs.push(path.clone());
        }
    }
    Ok(programs)
}

/// A line is `soname => path (address)`, or `path (address)` for the loader itself.
fn check_listing(program: &str, outcome: &Outcome, place: &Utf8Path) -> Result<(), StepError> {
    let listing = String::from_utf8_lossy(&outcome.stdout);
    let outside = listing.lines().find(|line| {
        let path = line.split(" => ").last().unwrap_or(line).trim();
        line.contains("not found") || (path.starts_with('/') && !path.starts_with(place.as_str()))
    });
    if outcome.success() && outside.is_none() && !listing.is_empty() {
        return Ok(());
    }
    Err(guard(format!(
        "{program}, moved to {place}, does not find its libraries inside: {}{}",
        outside.unwrap_or("it did not start: ").trim(),
        if outside.is_none() {
            last_words(outcome)
        } else {
            String::new()
        }
    )))
}

fn check_probe(outcome: &Outcome, place: &Place) -> Result<(), StepError> {
    let found = String::from_utf8_lossy(&outcome.stdout);
    if outcome.success() && found.trim().is_empty() {
        return Ok(());
    }
    let what = if found.trim().is_empty() {
        last_words(outcome)
    } else {
        found.trim().to_owned()
    };
    Err(guard(format!(
        "python3, moved to {}, does not work alone:\n{what}",
        place.path
    )))
}

fn guard(what: String) -> StepError {
    StepError::Guard {
        what,
        help: "a package that is missing can be named in `system { package ... }`; if nothing is \
               missing, please report this"
            .into(),
    }
}

/// The end of what a program said, and how it ended.
pub(super) fn last_words(outcome: &Outcome) -> String {
    let text = String::from_utf8_lossy(&outcome.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(20)..].join("\n");
    format!("{tail}\n({})", ended(outcome.status))
        .trim_start()
        .to_owned()
}

pub(super) fn ended(status: Status) -> String {
    match status {
        Status::Exited(code) => format!("exit code {code}"),
        Status::Signalled(signal) => format!("killed by signal {signal}"),
        Status::TimedOut => "stopped: it took too long".into(),
        Status::TooMuchOutput => "stopped: it printed too much".into(),
        Status::TooMuchDisk => "stopped: it wrote too much to disk".into(),
        Status::Stopped => "stopped".into(),
    }
}

fn check_links(files: &[(String, Entry)]) -> Result<(), StepError> {
    for (path, entry) in files {
        if let Entry::Symlink { target } = entry
            && target.starts_with('/')
        {
            return Err(guard(format!(
                "{path} is a link to {target}, outside of the closure"
            )));
        }
    }
    Ok(())
}

/// No file holds the path of the store it was built in.
fn check_contents(session: &Session, files: &[(String, Entry)]) -> Result<(), StepError> {
    let store = memchr::memmem::Finder::new(session.store().path().as_str().as_bytes());
    let mut blobs: Vec<(BlobId, &str)> = files
        .iter()
        .filter_map(|(path, entry)| match entry {
            Entry::File { blob, .. } => Some((*blob, path.as_str())),
            _ => None,
        })
        .collect();
    blobs.sort_unstable();
    blobs.dedup_by_key(|(blob, _)| *blob);
    blobs
        .par_iter()
        .try_for_each(|(blob, path)| match store.find(&session.read_blob(blob)?) {
            None => Ok(()),
            Some(offset) => Err(guard(format!(
                "{path} holds the path of the store, at byte {offset}"
            ))),
        })
}
