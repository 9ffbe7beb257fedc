//! A recipe's own programs, run in a sysroot → what they install. Begin at [`build`].
//!
//! A build sees its sysroot, read-only, and two folders of its own: `/tmp`, with a copy of each source
//! in `/tmp/build`, and `/out`. All files of the sources have one time, so that no make finds one older
//! than what is made of it. Everything that is the same on every machine is fixed; how many jobs run at
//! once is told, and is no fact of the result. What is left in `$out` when the last program has ended is
//! the result; the log has every word that was said.

use std::fs;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{ObjectId, Scratch, Session, TreeId};

use super::output::PREFIX;
use super::proof::ended;
use super::{Bench, Made, StepError, tree};
use crate::build::collect::{self, Rules};
use crate::lock::entry_at;
use crate::lock::sdists::missing;
use crate::recipe::Run;
use crate::sandbox::{Channel, Elsewhere, Root, Spec, Stdin, elsewhere};

/// Where programs are looked for.
const PATH: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
/// What looks a program up.
const ENV: &str = "/usr/bin/env";
/// How far a build can go: processes, bytes on disk, bytes said, time.
const PROCESSES: u64 = 4096;
const DISK: u64 = 64 << 30;
const LOG: u64 = 256 << 20;
const WALL: Duration = Duration::from_secs(6 * 3600);

/// What is run, and what is seen.
pub(super) struct Work<'a> {
    /// The machine.
    pub sysroot: &'a TreeId,
    /// Sources by name.
    pub sources: &'a [(String, ObjectId)],
    /// Variables.
    pub env: &'a [(String, String)],
    /// Programs, one after the other.
    pub runs: &'a [Run],
    /// SOURCE_DATE_EPOCH, seconds since 1970.
    pub date: u64,
}

/// Runs it all, and keeps what was installed.
pub(super) fn build(bench: &Bench<'_>, work: &Work<'_>) -> Result<Made, StepError> {
    let session = bench.session();
    let place = Place::make(session, work, bench.shop.elsewhere)?;
    for (index, run) in work.runs.iter().enumerate() {
        let said = run_one(bench, work, &place, run)?;
        if let Some(failed) = said {
            return Err(StepError::Build(Box::new(FailedRun { index, ..failed })));
        }
    }
    let rules = Rules {
        place: Some(PREFIX),
        ..Rules::default()
    };
    let output = collect::collect(session, &place.out(), &rules)?;
    Ok(Made {
        output: output.into(),
        isolation: "namespaces",
    })
}

/// A program of a build that failed.
#[derive(Debug)]
pub struct FailedRun {
    /// Which `run`, from 0.
    pub index: usize,
    /// What was run.
    pub words: String,
    /// How it ended.
    pub how: String,
    /// The first line that tells why, and the last lines.
    pub said: String,
    /// Headers, libraries and programs that it looked for and did not find.
    pub missing: Vec<String>,
    /// The Debian packages that have them, as far as somebody looked.
    pub offered: Vec<(String, Vec<String>)>,
}

impl FailedRun {
    pub(in crate::build) fn advice(&self) -> String {
        let mut advice = crate::lock::offer_files(&self.offered);
        advice.push(
            "the recipe's `run` says what is done; all that was said is in the log".to_owned(),
        );
        advice.join("; ")
    }
}

/// The folders of one build.
struct Place {
    scratch: Scratch,
    sysroot: Utf8PathBuf,
    sources: &'static str,
}

impl Place {
    fn make(
        session: &Session,
        work: &Work<'_>,
        elsewhere: Option<&Elsewhere>,
    ) -> Result<Place, StepError> {
        let sysroot = session.checkout_private(work.sysroot)?;
        let scratch = session.scratch()?;
        let sources = elsewhere::sources(elsewhere);
        let place = Place {
            scratch,
            sysroot,
            sources,
        };
        let make = |folder: &Utf8Path| {
            fs::create_dir_all(folder).map_err(|error| StepError::Folder {
                path: folder.to_owned(),
                error,
            })
        };
        make(&place.out())?;
        for (name, source) in work.sources {
            let folder = place.sources().join(name);
            make(&folder)?;
            session.checkout_writable(&tree(source, "a source")?, &folder, work.date)?;
        }
        make(&place.sources())?;
        Ok(place)
    }

    fn tmp(&self) -> Utf8PathBuf {
        self.scratch.path().join("tmp")
    }

    fn sources(&self) -> Utf8PathBuf {
        inside(&self.tmp(), self.sources.trim_start_matches("/tmp"))
    }

    fn out(&self) -> Utf8PathBuf {
        inside(
            &self.scratch.path().join("out"),
            PREFIX.trim_start_matches("/out"),
        )
    }
}

fn inside(folder: &Utf8Path, path: &str) -> Utf8PathBuf {
    folder.join(path.trim_start_matches('/'))
}

/// Runs one program; what failed, if it did.
fn run_one(
    bench: &Bench<'_>,
    work: &Work<'_>,
    place: &Place,
    run: &Run,
) -> Result<Option<FailedRun>, StepError> {
    let jobs = bench.shop.jobs.max(1).to_string();
    let words: Vec<String> = run
        .words
        .iter()
        .map(|word| filled(word, &[("out", PREFIX), ("jobs", &jobs)]))
        .map(|word| elsewhere::moved(bench.shop.elsewhere, &word))
        .collect();
    let told = words.join(" ");
    bench.keep(format!("+ {told}\n").as_bytes());
    if let Some(program) = words.first()
        && !program.contains('/')
        && !has_program(bench.session(), work.sysroot, program)?
    {
        return Err(StepError::NoProgram {
            program: program.clone(),
        });
    }
    let spec = spec(bench, work, place, run, &words);
    let mut log = Vec::new();
    let outcome =
        bench
            .shop
            .sandbox
            .run_watched(&spec, Stdin::Empty, &mut |_: Channel, bytes| {
                log.extend_from_slice(bytes);
            })?;
    bench.keep(&log);
    if outcome.success() {
        return Ok(None);
    }
    Ok(Some(FailedRun {
        index: 0,
        words: told,
        how: ended(outcome.status),
        said: missing::told(&log),
        missing: missing::files(&String::from_utf8_lossy(&log)),
        offered: Vec::new(),
    }))
}

fn spec(bench: &Bench<'_>, work: &Work<'_>, place: &Place, run: &Run, words: &[String]) -> Spec {
    let elsewhere = bench.shop.elsewhere;
    let mut spec = Spec::build(ENV)
        .args(words)
        .output(place.tmp(), "/tmp")
        .output(place.scratch.path().join("out"), "/out")
        .env("PATH", PATH.join(":"))
        .env("SOURCE_DATE_EPOCH", work.date.to_string())
        .env("LD_LIBRARY_PATH", "/usr/local/lib")
        .env("out", PREFIX)
        .env("jobs", bench.shop.jobs.max(1).to_string());
    if let Some(elsewhere) = elsewhere {
        spec = elsewhere.change(spec);
    }
    for (name, value) in work.env {
        spec.env.retain(|(known, _)| known != name.as_str());
        let value = filled(value, &[("out", PREFIX)]);
        spec = spec.env(name, elsewhere::moved(elsewhere, &value));
    }
    spec.root = Root::Tree(place.sysroot.clone());
    spec.tmp = false;
    spec.cwd = match &run.folder {
        Some(folder) => format!("{}/{folder}", place.sources).into(),
        None => place.sources.into(),
    };
    spec.limits.processes = Some(PROCESSES);
    spec.limits.disk = Some(DISK);
    spec.limits.output = LOG;
    spec.limits.wall = Some(WALL);
    spec
}

/// `text` with `$out` and the like in place of their names; `$output` is another word.
fn filled(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        let name = &rest[at + 1..];
        let length = name
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(name.len());
        match values.iter().find(|(known, _)| *known == &name[..length]) {
            Some((_, value)) => filled.push_str(value),
            None => filled.push_str(&rest[at..at + 1 + length]),
        }
        rest = &name[length..];
    }
    filled.push_str(rest);
    filled
}

fn has_program(session: &Session, sysroot: &TreeId, name: &str) -> Result<bool, StepError> {
    for folder in PATH {
        let path = format!("{}/{name}", folder.trim_start_matches('/'));
        if entry_at(session, sysroot, &path)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_of_variables_are_filled() {
        let values = [("out", "/o"), ("jobs", "4")];
        for (text, wanted) in [
            ("--prefix=$out", "--prefix=/o"),
            ("-j$jobs", "-j4"),
            ("$out/$outer $HOME $", "/o/$outer $HOME $"),
            ("$$out", "$/o"),
            ("é$out", "é/o"),
        ] {
            assert_eq!(filled(text, &values), wanted, "{text}");
        }
    }
}
