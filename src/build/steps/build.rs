//! A recipe's own programs, run in a sysroot → what they install. Begin at [`build`].
//!
//! A build sees its sysroot, read-only, and two folders of its own: `/tmp`, with a copy of each source
//! in `/tmp/build`, and `/out`. All files of the sources have one time, so that no make finds one older
//! than what is made of it. Everything that is the same on every machine is fixed; how many jobs run at
//! once is told, and is no fact of the result. What is left in `$out` when the last program has ended is
//! the result; the log has every word that was said.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{ObjectId, Session, TreeId};

use super::attend::Left;
use super::output::PREFIX;
use super::proof::ended;
use super::{Bench, Made, Programs, StepError, tree};
use crate::build::collect::{self, Rules};
use crate::lock::sdists::hooks::LOG_FILE;
use crate::lock::sdists::missing;
use crate::lock::{LOCAL, entry_at};
use crate::recipe::Run;
use crate::sandbox::{Channel, Elsewhere, Level, Root, Spec, Stdin, elsewhere};

/// Where programs are looked for.
const PATH: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
/// What looks a program up.
pub(super) const ENV: &str = "/usr/bin/env";
/// How far a build can go: processes, bytes on disk, bytes said, time.
const PROCESSES: u64 = 4096;
const DISK: u64 = 64 << 30;
const LOG: u64 = 256 << 20;
const WALL: Duration = Duration::from_secs(6 * 3600);

/// What is run, and what is seen.
pub(super) struct Work<'a> {
    /// The machine.
    pub sysroot: TreeId,
    /// What other recipes built.
    pub used: Option<TreeId>,
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
    let scratch = session.scratch()?;
    let place = Place::new(session, work, scratch.path(), bench.shop.elsewhere)?;
    place.fill(session, work)?;
    match run_all(bench, work, &place) {
        Ok(made) => Ok(made),
        Err(error) => {
            bench.leave(scratch)?;
            Err(error)
        }
    }
}

fn run_all(bench: &Bench<'_>, work: &Work<'_>, place: &Place) -> Result<Made, StepError> {
    let mut level = Level::Landlocked;
    let building = bench.building();
    for (index, run) in work.runs.iter().enumerate() {
        match run_one(bench, work, place, run, building.jobs())? {
            Ok(reached) => level = level.min(reached),
            Err(failed) => {
                return Err(StepError::Build(Box::new(FailedRun { index, ..failed })));
            }
        }
    }
    let rules = Rules {
        place: Some(PREFIX),
        ..Rules::default()
    };
    let output = collect::collect(bench.session(), &place.out(), &rules)?;
    Ok(Made {
        output: output.into(),
        isolation: level.word(),
    })
}

/// The sandbox of a build for a person, and what the recipe runs in it.
pub(super) fn attended(
    session: &Session,
    work: &Work<'_>,
    place: Left<'_>,
    jobs: usize,
) -> Result<(Spec, Vec<String>), StepError> {
    let folder = match place {
        Left::Fresh(folder) | Left::There(folder) => folder,
    };
    let found = Place::new(session, work, folder, None)?;
    if let Left::Fresh(_) = place {
        found.fill(session, work)?;
    }
    let jobs = jobs.max(1).to_string();
    let nothing = Run {
        words: Vec::new(),
        folder: work.runs.iter().find_map(|run| run.folder.clone()),
    };
    let runs = work.runs.iter().map(|run| {
        let words = words(run, &jobs);
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let words = words.join(" ");
        match &run.folder {
            Some(folder) => format!("(cd {}/{folder} && {words})", found.sources),
            None => format!("(cd {} && {words})", found.sources),
        }
    });
    let spec = spec(work, &found, &nothing, &[], &jobs, None);
    Ok((spec, runs.collect()))
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

/// What a build is given of other recipes.
pub(super) fn used_tree(used: &Option<ObjectId>) -> Result<Option<TreeId>, StepError> {
    let used = used.as_ref();
    used.map(|id| tree(id, "what is used")).transpose()
}

/// The folders of one build.
struct Place {
    /// What holds `/tmp` and `/out`.
    folder: Utf8PathBuf,
    sysroot: Utf8PathBuf,
    used: Option<Utf8PathBuf>,
    sources: &'static str,
}

impl Place {
    fn new(
        session: &Session,
        work: &Work<'_>,
        folder: &Utf8Path,
        elsewhere: Option<&Elsewhere>,
    ) -> Result<Place, StepError> {
        Ok(Place {
            folder: folder.to_owned(),
            sysroot: match elsewhere {
                // The next build finds it laid out.
                None => session.checkout(&work.sysroot)?,
                // Of what is only compared nothing is committed.
                Some(_) => session.checkout_private(&work.sysroot)?,
            },
            used: work
                .used
                .map(|used| session.checkout_private(&used))
                .transpose()?,
            sources: elsewhere::sources(elsewhere),
        })
    }

    /// Makes the folders, with the sources in them.
    fn fill(&self, session: &Session, work: &Work<'_>) -> Result<(), StepError> {
        let make = |folder: &Utf8Path| {
            fs::create_dir_all(folder).map_err(|error| StepError::Folder {
                path: folder.to_owned(),
                error,
            })
        };
        make(&self.out())?;
        make(&self.sources())?;
        for (name, source) in work.sources {
            let folder = self.sources().join(name);
            make(&folder)?;
            session.checkout_writable(&tree(source, "a source")?, &folder, work.date)?;
        }
        Ok(())
    }

    /// Adds to the whole log, which lies beside what the build sees.
    fn log(&self, text: &[u8]) -> Result<(), StepError> {
        let path = self.folder.join(LOG_FILE);
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(text))
            .map_err(|error| StepError::Folder { path, error })
    }

    fn tmp(&self) -> Utf8PathBuf {
        self.folder.join("tmp")
    }

    fn sources(&self) -> Utf8PathBuf {
        inside(&self.tmp(), self.sources.trim_start_matches("/tmp"))
    }

    fn out(&self) -> Utf8PathBuf {
        inside(&self.folder.join("out"), PREFIX.trim_start_matches("/out"))
    }
}

fn inside(folder: &Utf8Path, path: &str) -> Utf8PathBuf {
    folder.join(path.trim_start_matches('/'))
}

/// Runs one program, and tells how far it was shut in; or what failed. The outer failure is ours.
fn run_one(
    bench: &Bench<'_>,
    work: &Work<'_>,
    place: &Place,
    run: &Run,
    jobs: usize,
) -> Result<Result<Level, FailedRun>, StepError> {
    let jobs = jobs.to_string();
    let words: Vec<String> = words(run, &jobs)
        .iter()
        .map(|word| elsewhere::moved(bench.shop.elsewhere, word))
        .collect();
    let told = words.join(" ");
    let line = format!("+ {told}\n");
    bench.keep(line.as_bytes());
    bench.hear(line.as_bytes());
    place.log(line.as_bytes())?;
    let found = match words.first() {
        Some(program) if !program.contains('/') => {
            let (session, programs) = (bench.session(), &bench.shop.programs);
            let used = work.used.as_ref();
            let found = program_path(session, programs, &work.sysroot, used, program)?;
            Some(found.ok_or_else(|| StepError::NoProgram {
                program: program.clone(),
            })?)
        }
        _ => None,
    };
    let elsewhere = bench.shop.elsewhere;
    let spec = spec(work, place, run, &words, &jobs, elsewhere);
    let mut log = Vec::new();
    let mut start = |spec: &Spec| {
        let sandbox = bench.shop.sandbox;
        sandbox.run_watched(spec, Stdin::Empty, &mut |_: Channel, bytes| {
            bench.hear(bytes);
            log.extend_from_slice(bytes);
        })
    };
    let has_path = work.env.iter().any(|(name, _)| name == "PATH");
    let outcome = match found
        .filter(|_| !has_path)
        .map(|path| start(&spec.direct(path)))
    {
        // What is no program itself, such as a script without a first line, is one for `env`.
        Some(Err(error)) if error.is_programs() => start(&spec)?,
        Some(other) => other?,
        None => start(&spec)?,
    };
    bench.keep(&log);
    place.log(&log)?;
    if outcome.success() {
        return Ok(Ok(outcome.level));
    }
    Ok(Err(FailedRun {
        index: 0,
        words: told,
        how: ended(outcome.status),
        said: missing::told(&log),
        missing: missing::files(&String::from_utf8_lossy(&log)),
        offered: Vec::new(),
    }))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:+,@%".contains(c);
    match word {
        "" => "''".to_owned(),
        word if word.chars().all(plain) => word.to_owned(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// What is run, as its program finds it.
fn words(run: &Run, jobs: &str) -> Vec<String> {
    let words = run.words.iter();
    words
        .map(|word| filled(word, &[("out", PREFIX), ("jobs", jobs)]))
        .collect()
}

fn spec(
    work: &Work<'_>,
    place: &Place,
    run: &Run,
    words: &[String],
    jobs: &str,
    elsewhere: Option<&Elsewhere>,
) -> Spec {
    let mut spec = Spec::build(ENV)
        .args(words)
        .output(place.tmp(), "/tmp")
        .output(place.folder.join("out"), "/out")
        .env("PATH", PATH.join(":"))
        .env("SOURCE_DATE_EPOCH", work.date.to_string())
        .env("LD_LIBRARY_PATH", "/usr/local/lib")
        .env("out", PREFIX)
        .env("jobs", jobs);
    if let Some(used) = &place.used {
        spec = spec.input(used, format!("/{LOCAL}"));
    }
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
pub(super) fn filled(text: &str, values: &[(&str, &str)]) -> String {
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

/// Where a build finds a program of that name.
pub(super) fn program_path(
    session: &Session,
    programs: &Programs,
    sysroot: &TreeId,
    used: Option<&TreeId>,
    name: &str,
) -> Result<Option<String>, StepError> {
    let [local, others @ ..] = PATH;
    let found = match used {
        Some(used) => entry_at(session, used, &format!("bin/{name}"))?,
        None => entry_at(session, sysroot, &format!("{LOCAL}/bin/{name}"))?,
    };
    if found.is_some() {
        return Ok(Some(format!("{local}/{name}")));
    }
    programs.of(sysroot, name, || {
        for folder in others {
            let path = format!("{folder}/{name}");
            if entry_at(session, sysroot, path.trim_start_matches('/'))?.is_some() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_words_as_they_were() {
        for (word, wanted) in [
            ("--prefix=/out", "--prefix=/out"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$HOME;", "'$HOME;'"),
        ] {
            assert_eq!(quoted(word), wanted);
        }
    }

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
