//! Asks a tree everything, root by root and place by place: [`Runner`].

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use serde_json::Value;

use super::cause::Causes;
use super::places::{self, Place};
use super::report::{Answer, Found, Report};
use super::roots::{self, Ground, LINKS, PROBE, TREE};
use super::said::Said;
use super::tree::{FILES, PATHS, Tree};
use super::{CHECKS, Check, ConformanceError, Distribution, Ear, How, Options};
use crate::elf;
use crate::platform::Platform;
use crate::sandbox::{Outcome, Root, Sandbox, SandboxError, Spec, Status, Stdin};

/// The probe's files, by their path below [`PROBE`].
const PROBE_FILES: [(&str, &str); 12] = [
    ("probe.py", include_str!("probe/probe.py")),
    ("start.py", include_str!("probe/start.py")),
    (
        "checks/__init__.py",
        include_str!("probe/checks/__init__.py"),
    ),
    ("checks/ground.py", include_str!("probe/checks/ground.py")),
    (
        "checks/identity.py",
        include_str!("probe/checks/identity.py"),
    ),
    (
        "checks/children.py",
        include_str!("probe/checks/children.py"),
    ),
    ("checks/modules.py", include_str!("probe/checks/modules.py")),
    ("checks/host.py", include_str!("probe/checks/host.py")),
    ("checks/data.py", include_str!("probe/checks/data.py")),
    (
        "checks/configuration.py",
        include_str!("probe/checks/configuration.py"),
    ),
    (
        "checks/processes.py",
        include_str!("probe/checks/processes.py"),
    ),
    ("checks/machine.py", include_str!("probe/checks/machine.py")),
];

/// What the tree's Python is given, and must neither lose nor add to.
const ENVIRONMENT: [(&str, &str); 2] = [("PATH", "/usr/bin:/bin"), ("HOME", "/tmp")];

/// Why what would run in Python is not asked.
const NO_START: &str = "it does not start";

/// How the place is called in which nothing is shut in.
const IN_PLACE: &str = "this machine, in place";

/// One test of one tree.
pub(super) struct Runner<'a> {
    options: &'a Options,
    sandbox: &'a Sandbox,
    ear: &'a Ear<'a>,
    /// How many places were begun, of how many.
    begun: AtomicUsize,
    all: usize,
    /// Whether this machine in place was among them: it may be asked twice.
    told: Once,
    /// The folder's files and links.
    tree: Tree,
    /// What tells why.
    causes: Causes,
    /// What the folder says of itself.
    said: Said,
    folder: Folder,
    grounds: Vec<Ground>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        options: &'a Options,
        sandbox: &'a Sandbox,
        ear: &'a Ear<'a>,
    ) -> Result<Runner<'a>, ConformanceError> {
        let unreadable = |source| ConformanceError::Folder {
            path: options.tree.clone(),
            source,
        };
        let real = options.tree.canonicalize_utf8().map_err(unreadable)?;
        fs::read_dir(&real).map_err(unreadable)?;
        // A link counts, even one that leads nowhere on this machine: it may elsewhere.
        if real.join(&options.program).symlink_metadata().is_err() {
            return Err(ConformanceError::NoProgram {
                program: options.program.clone(),
                tree: options.tree.clone(),
            });
        }
        let folder = Folder::fill(&options.temporary, &options.program)?;
        let grounds = roots::all(options)?;
        // The files, each root, the odd places, and this machine in place.
        let all = 1 + grounds.len() + usize::from(options.wants(named("places"))) + 1;
        ear(FILES, 1, all);
        let tree = Tree::read(&real)?;
        let said = Said::of(&real);
        let causes = Causes {
            names: tree.names(),
            tree: real,
            program: options.program.clone(),
        };
        Ok(Runner {
            options,
            sandbox,
            ear,
            begun: AtomicUsize::new(1),
            all,
            told: Once::new(),
            tree,
            causes,
            said,
            folder,
            grounds,
        })
    }

    pub(super) fn run(&self) -> Result<Report, ConformanceError> {
        let mut answers = self.of_files();
        for Distribution { name, root } in &self.options.distributions {
            if let Err(why) = root {
                answers.push(Answer::skipped("starts", name, why));
            }
        }
        let grounds = &self.grounds;
        let (first, rest) = (self.probe(&grounds[0])?, &grounds[1..]);
        if let Some(answer) = first.as_ref().ok().and_then(|found| self.foreign(found)) {
            let asked = |how| !matches!(how, How::Starts | How::Tree | How::Undecidable(_));
            let rest = CHECKS.iter().filter(|check| asked(check.how));
            answers.extend(rest.map(|check| Answer::skipped(check.name, &answer.place, NO_START)));
            let places = vec![answer.place.clone()];
            answers.push(answer);
            return Ok(self.report(places, answers));
        }
        let rest: Vec<_> = rest.par_iter().map(|ground| self.probe(ground)).collect();
        let mut made = Vec::new();
        let mut refused = None;
        for (ground, found) in grounds.iter().zip(std::iter::once(Ok(first)).chain(rest)) {
            match found? {
                Ok(found) => {
                    answers.extend(found);
                    made.push(ground);
                }
                Err(why) => {
                    answers.push(Answer::skipped("starts", &ground.name, &why));
                    refused.get_or_insert(why);
                }
            }
        }
        answers.extend(self.places(&made, refused.as_deref())?);
        let mut places: Vec<String> = made.iter().map(|ground| ground.name.clone()).collect();
        if !made.iter().any(|ground| ground.full) {
            // What the whole host would have answered is asked where the tree is.
            places.insert(0, IN_PLACE.to_owned());
            answers.extend(self.in_place(false)?);
        }
        answers.extend(self.in_place(true)?);
        answers.extend(CHECKS.iter().filter_map(|check| {
            let why = self.said.spares(check)?;
            Some(Answer::skipped(check.name, "anywhere", why))
        }));
        Ok(self.report(places, answers))
    }

    fn begin(&self, place: &str) {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        (self.ear)(place, begun, self.all);
    }

    fn report(&self, places: Vec<String>, answers: Vec<Answer>) -> Report {
        Report::new(
            self.options.tree.as_str(),
            self.options.program.as_str(),
            places,
            CHECKS
                .iter()
                .copied()
                .filter(|check| self.options.wants(check))
                .collect(),
            answers,
        )
    }

    /// That the program can start nowhere on this machine, where it did not in the first root: one
    /// failure, since every other would be the same.
    fn foreign(&self, found: &[Answer]) -> Option<Answer> {
        let fails = |answer: &&Answer| matches!(answer.found, Found::Fails { .. });
        let start = found
            .iter()
            .filter(fails)
            .find(|answer| answer.check == "starts")?;
        let bytes = fs::read(self.causes.tree.join(&self.options.program)).ok()?;
        let machine = elf::read(&bytes).ok().flatten()?.machine;
        let here = Platform::here()?;
        if machine == here.machine() {
            return None;
        }
        let found = format!("{} is for {machine}", self.options.program);
        let cause = format!(
            "it is for another processor than this machine's ({}): test it on one that it is for",
            here.processor()
        );
        Some(Answer::fails(start.check, &start.place, found, cause))
    }

    /// What reading files tells. A tree that stands where its programs may be given privileges names
    /// that path on purpose.
    fn of_files(&self) -> Vec<Answer> {
        let mut needles = self.options.forbid.clone();
        let fixed = self.said.stands_fixed(&self.causes.tree);
        if !fixed {
            needles.insert(0, self.causes.tree.to_string());
        }
        let mut answers = self.tree.answers(&self.causes, &needles);
        if fixed && needles.is_empty() {
            answers.retain(|answer| answer.check != PATHS);
            let why = "it stands in the fixed-path of its manifest, which its programs name: ask a copy elsewhere";
            answers.push(Answer::skipped(PATHS, FILES, why));
        }
        answers
    }

    /// The whole probe in one root. The inner error says why there is no such root.
    fn probe(&self, ground: &Ground) -> Result<Result<Vec<Answer>, String>, ConformanceError> {
        self.begin(&ground.name);
        let tree = Utf8Path::new(TREE);
        let spec = self.show(ground.spec(&tree.join(&self.options.program)), tree);
        let spec = self.ask(spec, tree, PROBE.into(), |check| {
            self.options.wants(check)
                && match check.how {
                    How::Probe => true,
                    How::Once => ground.full && ground.name.ends_with("user"),
                    _ => false,
                }
        });
        match self.sandbox.run(&spec, Stdin::Empty) {
            Ok(outcome) => Ok(Ok(self.answers(&ground.name, Ok(&outcome), &wanted(&spec)))),
            Err(error @ SandboxError::Program { .. }) => {
                let said = with_source(&error);
                Ok(Ok(self.answers(&ground.name, Err(&said), &wanted(&spec))))
            }
            Err(error @ (SandboxError::NoNamespaces { .. } | SandboxError::NoProc { .. })) => {
                Ok(Err(with_remedy(&error)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// In the host's own root, at the tree's own path: either what needs that, or all there is.
    fn in_place(&self, privileged: bool) -> Result<Vec<Answer>, ConformanceError> {
        let mut spec = Spec::new(self.causes.tree.join(&self.options.program));
        spec.root = Root::Host;
        spec.privileges = privileged;
        // Whatever happens to the probe, what it wrote goes with the folder.
        let spec = spec.env("TMPDIR", self.folder.temporary());
        let probe = self.folder.probe();
        let spec = self.ask(spec, &self.causes.tree, probe, |check| {
            self.options.wants(check)
                && match check.how {
                    How::Privileged => privileged,
                    How::Probe | How::Once => !privileged,
                    _ => false,
                }
        });
        let names = wanted(&spec);
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.told.call_once(|| self.begin(IN_PLACE));
        let outcome = match self.sandbox.run(&spec, Stdin::Empty) {
            Ok(outcome) => Ok(outcome),
            Err(error @ SandboxError::Program { .. }) => Err(with_source(&error)),
            Err(error) => return Err(error.into()),
        };
        let answers = self.answers(IN_PLACE, outcome.as_ref().map_err(String::as_str), &names);
        // That it starts here says nothing where the other roots were asked.
        let keep = |answer: &Answer| !privileged || answer.check != "starts";
        Ok(answers.into_iter().filter(keep).collect())
    }

    /// The short check, at every odd place, in the host's root with and without `/proc`.
    /// `refused` is why one of those may be missing.
    fn places(
        &self,
        grounds: &[&Ground],
        refused: Option<&str>,
    ) -> Result<Vec<Answer>, ConformanceError> {
        let check = named("places");
        if !self.options.wants(check) {
            return Ok(Vec::new());
        }
        let mut both: Vec<&Ground> = Vec::new();
        let mut answers = Vec::new();
        for name in ["host, user", "host without /proc, user"] {
            match grounds.iter().find(|ground| ground.name == name) {
                Some(ground) => both.push(ground),
                None => answers.extend(refused.map(|why| Answer::skipped(check.name, name, why))),
            }
        }
        if both.is_empty() {
            return Ok(answers);
        }
        self.begin("odd places");
        let places = places::all(self.tree.longest());
        let pairs: Vec<(&Place, &Ground)> = places
            .iter()
            .flat_map(|place| both.iter().map(move |ground| (place, *ground)))
            .collect();
        let asked = pairs
            .par_iter()
            .map(|(place, ground)| self.start(place, ground));
        answers.extend(asked.collect::<Result<Vec<_>, _>>()?);
        Ok(answers)
    }

    fn start(&self, place: &Place, ground: &Ground) -> Result<Answer, ConformanceError> {
        let check = named("places");
        let name = format!("{}: {}", ground.name, place.name);
        if let (false, Some(why)) = (ground.proc, place.needs_proc) {
            return Ok(Answer::skipped(check.name, &name, why));
        }
        if place.at.as_str().contains(':') && self.tree.splits_at_colons() {
            let why = "Python before 3.11 keeps its search path as one text, split at colons";
            return Ok(Answer::skipped(check.name, &name, why));
        }
        let mut spec = ground.spec(&place.program(&self.options.program));
        (spec.tmp, spec.noexec) = (place.tmp, place.noexec);
        spec.dev &= place.dev;
        spec.name = place.argv0.map(Into::into);
        let script = Utf8Path::new(PROBE).join("start.py");
        let spec = self
            .show(spec, &place.at)
            .args([script.as_str(), "--tree", place.at.as_str()]);
        let spec = with_environment(spec);
        let said = match self.sandbox.run(&spec, Stdin::Empty) {
            Ok(outcome) => match lines(&outcome).next() {
                Some(line) if line["ok"] == true && outcome.success() => {
                    return Ok(Answer::holds(check.name, &name));
                }
                Some(line) => words(&line["found"]),
                None => last_words(&outcome),
            },
            Err(error @ SandboxError::Program { .. }) => with_source(&error),
            Err(error) => return Err(error.into()),
        };
        let cause = self.causes.of_start(check, &said);
        Ok(Answer::fails(check.name, &name, said, cause))
    }

    /// Adds the tree at `at`, the probe and the links.
    fn show(&self, spec: Spec, at: &Utf8Path) -> Spec {
        spec.input(&self.causes.tree, at)
            .input(self.folder.probe(), PROBE)
            .input(self.folder.links(), LINKS)
    }

    /// Adds the words and the environment that ask for the checks that `want` names.
    fn ask(
        &self,
        spec: Spec,
        tree: &Utf8Path,
        probe: Utf8PathBuf,
        want: impl Fn(&Check) -> bool,
    ) -> Spec {
        let script = probe.join("probe.py");
        let mut spec = with_environment(spec);
        let started = spec.program.clone();
        let given: Vec<OsString> = spec.env.iter().map(|(name, _)| name.clone()).collect();
        spec = spec.args([script.as_str(), "--tree", tree.as_str()]);
        spec = spec.args(["--started", started.as_str()]);
        spec = spec.args(self.said.words());
        for name in &given {
            spec = spec.args([OsStr::new("--given"), name]);
        }
        // Without any name all would be asked.
        spec = spec.args(["--only=-"]);
        let want = |check: &&Check| want(check) && self.said.spares(check).is_none();
        for check in CHECKS.iter().filter(want) {
            spec = spec.args(["--only", check.name]);
        }
        spec.limits.wall = Some(Duration::from_secs(900));
        spec
    }

    /// What the probe said of `names`, and of itself by ending where it did.
    fn answers(
        &self,
        place: &str,
        outcome: Result<&Outcome, &str>,
        names: &[String],
    ) -> Vec<Answer> {
        let wanted = CHECKS
            .iter()
            .filter(|check| names.iter().any(|name| name == check.name));
        let said: Vec<Value> = outcome
            .map(|outcome| lines(outcome).collect())
            .unwrap_or_default();
        let start = named("starts");
        if said.is_empty() {
            let words = outcome.map_or_else(str::to_owned, last_words);
            let cause = self.causes.of_start(start, &words);
            let failed = Answer::fails(start.name, place, words, cause);
            let rest = wanted.map(|check| Answer::skipped(check.name, place, NO_START));
            return std::iter::once(failed).chain(rest).collect();
        }
        let mut answers = vec![Answer::holds(start.name, place)];
        let mut ended = said.iter().any(|line| line["end"] == true);
        for check in wanted {
            let line = said.iter().find(|line| line["check"] == check.name);
            answers.push(match line {
                Some(line) => self.answer(check, place, line),
                None if ended => {
                    Answer::skipped(check.name, place, "another check ended the probe")
                }
                None => {
                    ended = true;
                    let words = outcome.map_or_else(str::to_owned, last_words);
                    let cause = self.causes.of(check, &words);
                    Answer::fails(
                        check.name,
                        place,
                        format!("the probe ended: {words}"),
                        cause,
                    )
                }
            });
        }
        answers
    }

    fn answer(&self, check: &'static Check, place: &str, line: &Value) -> Answer {
        let found = words(&line["found"]);
        match line["ok"].as_bool() {
            Some(true) => Answer::holds(check.name, place),
            Some(false) => {
                let cause = self.causes.of(check, &found);
                Answer::fails(check.name, place, found, cause)
            }
            None => Answer::skipped(check.name, place, found),
        }
    }
}

/// The entry of a check that is known to be in the list.
pub(super) fn named(name: &str) -> &'static Check {
    let found = CHECKS.iter().find(|check| check.name == name);
    found.unwrap_or(&CHECKS[0])
}

/// The names after `--only`.
fn wanted(spec: &Spec) -> Vec<String> {
    let pairs = spec.args.windows(2);
    pairs
        .filter(|pair| pair[0] == "--only")
        .map(|pair| pair[1].to_string_lossy().into_owned())
        .collect()
}

fn with_environment(mut spec: Spec) -> Spec {
    for (name, value) in ENVIRONMENT {
        spec = spec.env(name, value);
    }
    spec
}

/// The objects among the lines of what the probe printed; a check may print other things.
fn lines(outcome: &Outcome) -> impl Iterator<Item = Value> + '_ {
    let lines = outcome.stdout.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok().filter(Value::is_object))
}

fn words(found: &Value) -> String {
    found
        .as_str()
        .map_or_else(|| found.to_string(), str::to_owned)
}

/// The end of what a program said, and how it ended.
fn last_words(outcome: &Outcome) -> String {
    let text = String::from_utf8_lossy(&outcome.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(5)..].join("; ");
    let ended = match outcome.status {
        Status::Exited(code) => format!("exit code {code}"),
        Status::Signalled(signal) => format!("killed by signal {signal}"),
        Status::TimedOut => "it took too long".into(),
        Status::TooMuchOutput => "it printed too much".into(),
        Status::TooMuchDisk => "it wrote too much to disk".into(),
        Status::Stopped => "stopped".into(),
    };
    if tail.is_empty() {
        ended
    } else {
        format!("{tail} ({ended})")
    }
}

/// The same with what this machine would have to allow.
fn with_remedy(error: &SandboxError) -> String {
    let said = with_source(error);
    match miette::Diagnostic::help(error) {
        Some(help) => format!("{said}; {help}"),
        None => said,
    }
}

fn with_source(error: &SandboxError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The folder with the probe and the links.
struct Folder(Utf8PathBuf);

impl Folder {
    fn fill(path: &Utf8Path, program: &Utf8Path) -> Result<Folder, ConformanceError> {
        let folder = Folder(path.to_owned());
        let filled = folder.write(program);
        filled.map_err(|source| ConformanceError::Temporary {
            path: path.to_owned(),
            source,
        })?;
        Ok(folder)
    }

    fn write(&self, program: &Utf8Path) -> std::io::Result<()> {
        fs::create_dir_all(self.probe().join("checks"))?;
        for (name, text) in PROBE_FILES {
            fs::write(self.probe().join(name), text)?;
        }
        fs::create_dir(self.temporary())?;
        fs::create_dir(self.links())?;
        for (name, target) in places::links(program) {
            symlink(target, self.links().join(name))?;
        }
        Ok(())
    }

    fn probe(&self) -> Utf8PathBuf {
        self.0.join("probe")
    }

    fn links(&self) -> Utf8PathBuf {
        self.0.join("links")
    }

    /// What takes the place of `/tmp` where nothing is shut in.
    fn temporary(&self) -> Utf8PathBuf {
        self.0.join("tmp")
    }
}
