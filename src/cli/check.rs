//! `recipe check`: a closure is proved and checked again; with `--rebuild` every step is run again,
//! elsewhere, and what it makes is compared byte for byte.

use std::ops::Range;
use std::sync::atomic::AtomicUsize;

use recipe_store::{Entry, ObjectId, Session, TreeId};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::{App, now};
use super::build::make;
use super::durations::durations;
use super::exit::Failed;
use super::found::Forms;
use super::options::Options;
use super::planned::Planned;
use super::render::{plural, printable};
use super::scene::indexes;
use super::standing::Standing;
use crate::build::steps::{Compilers, Programs};
use crate::build::{Again, Alone, Differing, Workshop, again};
use crate::closure::contents::{self, Item};
use crate::closure::explain::{Difference, Scene, explain};
use crate::plan::{Plan, Step};
use crate::sandbox::Elsewhere;
use crate::sandbox::elsewhere::{AHEAD, Changed};

/// When a step ran, by the clock that it was shown, and when it ran again (seconds since 1970).
type Spans = (Range<u64>, Range<u64>);

/// What `recipe check` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    /// Also run every step again, under another path, host name, clock, user and more, and compare
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    name: String,
    rebuilt: bool,
    /// Proofs and checks that hold.
    guards: usize,
    /// Steps that gave the same bytes again.
    same: usize,
    /// Sources, whose bytes the lock says.
    sources: usize,
    /// What was another while steps ran again.
    varied: Vec<Varied>,
    differing: Vec<OneStep>,
}

#[derive(Serialize)]
struct Varied {
    what: String,
    before: String,
    now: String,
}

#[derive(Serialize)]
struct OneStep {
    kind: &'static str,
    subject: String,
    /// How many files of it differ; `files` has the first of them.
    count: usize,
    files: Vec<OneFile>,
}

#[derive(Serialize)]
struct OneFile {
    path: String,
    /// `added`, `removed`, `changed`.
    change: &'static str,
    differences: Vec<OneDifference>,
}

#[derive(Serialize)]
struct OneDifference {
    /// `section`, `entry`, `member`, `field`, `order`, `line`, `bytes`, `mode`, `link`.
    kind: &'static str,
    place: String,
    before: String,
    now: String,
    cause: Option<String>,
}

/// Files of one step that are explained.
const FILES: usize = 12;
/// Larger files are not read to be explained.
const LARGEST: u64 = 256 << 20;

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let options = Options {
        whole: true,
        ..Options::default()
    };
    make(&args.name, &args.forms, app, &options)?;
    // Nothing is ever committed here: what steps make again goes with the session.
    let Planned {
        found,
        recipe,
        lock,
        plan,
        session,
        ..
    } = &app.planned(&args.name, &args.forms, true)?;
    let running = app.running(lock.platform);
    let standing = Standing::of(plan, session)?;
    let elsewhere = args
        .rebuild
        .then(|| Elsewhere::than(cores(), app.config.jobs));
    let graph = plan.graph();
    let is_source = |step: &Step<_>| matches!(step, Step::Fetch(_) | Step::Local { .. });
    let nodes: Vec<_> = match elsewhere {
        Some(_) => graph
            .node_indices()
            .filter(|node| !is_source(&graph[*node].step))
            .collect(),
        None => plan.guards().to_vec(),
    };
    let progress = app.progress();
    let (net, sandbox) = (app.net(progress.clone())?, app.sandbox()?);
    let shop = Workshop {
        session,
        net: &net,
        shared: &Alone,
        sandbox: &sandbox,
        emulator: running.emulator(),
        jobs: elsewhere.as_ref().map_or(app.config.jobs, |it| it.jobs),
        at_once: app.config.at_once,
        keep_going: true,
        loud: false,
        durations: &durations(session, &recipe.title())?,
        indexes: indexes(plan, lock),
        compilers: Compilers::default(),
        programs: Programs::default(),
        building: AtomicUsize::new(0),
        elsewhere: elsewhere.as_ref(),
    };
    let begun = now();
    let compared = again(
        plan,
        &standing.outputs,
        &nodes,
        &shop,
        app.config.at_once,
        &*progress,
    );
    progress.finish();
    let compared = compared.map_err(|error| {
        if args.rebuild {
            app.tell(
                "What fails here has succeeded before: it needs something that is another now.",
            );
        }
        error.in_recipe(recipe, &found.typed())
    })?;
    let place = Place {
        plan,
        standing: &standing,
        session,
        changed: elsewhere.map_or_else(Vec::new, |it| it.changes(cores(), app.config.jobs)),
        shifted: begun.saturating_add(AHEAD)..now().saturating_add(AHEAD + 1),
    };
    let answer = place.answer(recipe.title(), args.rebuild, &compared)?;
    app.answer(args.form, "check", &answer, || printable(&answer.text()))?;
    match answer.differing.len() {
        0 => Ok(()),
        count => Err(differs(&answer.name, count)),
    }
}

fn differs(name: &str, count: usize) -> Failed {
    let gives = if count == 1 { "gives" } else { "give" };
    Failed::Differs(report(
        format!(
            "{name}: {} {gives} other bytes where nothing that counts is another",
            plural(count, "step")
        ),
        "make the build leave out what is named above: SOURCE_DATE_EPOCH is set for dates, sorting mends \
         an order; what is built now is whole, and stays"
            .into(),
    ))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What was run again, and where all of it lies.
struct Place<'a> {
    plan: &'a Plan,
    standing: &'a Standing,
    session: &'a Session,
    changed: Vec<Changed>,
    /// What programs took for the time, elsewhere.
    shifted: Range<u64>,
}

impl Place<'_> {
    fn answer(&self, name: String, rebuilt: bool, compared: &Again) -> Result<Answer, Failed> {
        let guards = self.plan.guards();
        let held = compared
            .same
            .iter()
            .filter(|node| guards.contains(node))
            .count();
        let steps = compared.differing.iter().map(|it| self.step(it));
        let mut varied: Vec<Varied> = self.changed.iter().map(Varied::of).collect();
        if rebuilt {
            varied.extend([
                Varied::new("clock", "now", &format!("{} days later", AHEAD / 86_400)),
                Varied::new("order of folders", "as the disk has it", "the reverse"),
                Varied::new("addresses of memory", "the same each time", "at random"),
            ]);
        }
        Ok(Answer {
            name,
            rebuilt,
            guards: held,
            same: compared.same.len() - held,
            sources: if rebuilt {
                self.plan.len() - compared.same.len() - compared.differing.len()
            } else {
                0
            },
            varied,
            differing: steps.collect::<Result<_, Failed>>()?,
        })
    }

    fn step(&self, differing: &Differing) -> Result<OneStep, Failed> {
        let node = &self.plan.graph()[differing.node];
        let scene = Scene {
            changed: self.changed.clone(),
            clock: self.clock(differing)?,
        };
        let (count, files) = match (differing.known, differing.found) {
            (ObjectId::Tree(known), ObjectId::Tree(found)) => self.trees(&known, &found, &scene)?,
            (known, found) => (1, vec![self.one("", known, found, &scene)?]),
        };
        Ok(OneStep {
            kind: node.step.kind(),
            subject: node.subject.clone(),
            count,
            files,
        })
    }

    /// When the step ran first, by the clock, and when it ran again, by the clock that it was shown.
    fn clock(&self, differing: &Differing) -> Result<Option<Spans>, Failed> {
        let Some(step) = self.standing.resolved(self.plan, differing.node) else {
            return Ok(None);
        };
        let trace = self.session.find(&step.key())?;
        Ok(trace.map(|trace| {
            let ended = trace.started.saturating_add(trace.duration);
            let before = trace.started / 1000..ended / 1000 + 1;
            (before, self.shifted.clone())
        }))
    }

    fn trees(
        &self,
        known: &TreeId,
        found: &TreeId,
        scene: &Scene,
    ) -> Result<(usize, Vec<OneFile>), Failed> {
        let before = contents::of_tree(self.session, known)?;
        let now = contents::of_tree(self.session, found)?;
        let changes = contents::differences(&before, &now);
        let files = changes.iter().take(FILES).map(|change| {
            let (before, now) = match (change.before, change.now) {
                (Some(before), Some(now)) => (before, now),
                (None, _) => return Ok(OneFile::of(change.path, "added")),
                (_, None) => return Ok(OneFile::of(change.path, "removed")),
            };
            let mut file = OneFile::of(change.path, "changed");
            file.differences = self.items(change.path, (known, before), (found, now), scene)?;
            Ok(file)
        });
        Ok((changes.len(), files.collect::<Result<_, Failed>>()?))
    }

    fn items(
        &self,
        path: &str,
        (known, before): (&TreeId, &Item),
        (found, now): (&TreeId, &Item),
        scene: &Scene,
    ) -> Result<Vec<OneDifference>, Failed> {
        let words = |item: &Item| match item {
            Item::Link(target) => format!("a link to {target}"),
            Item::File {
                executable: true, ..
            } => "a program".to_owned(),
            Item::File { .. } => "a file".to_owned(),
        };
        let mut differences = Vec::new();
        if words(before) != words(now) {
            let is_link = matches!((before, now), (Item::Link(_), _) | (_, Item::Link(_)));
            differences.push(OneDifference {
                kind: if is_link { "link" } else { "mode" },
                place: "what it is".to_owned(),
                before: words(before),
                now: words(now),
                cause: None,
            });
        }
        let small = |item: &Item| matches!(item, Item::File { size, .. } if *size <= LARGEST);
        if small(before) && small(now) {
            let (before, now) = (self.file(known, path)?, self.file(found, path)?);
            let found = explain(path, &before, &now, scene);
            differences.extend(found.into_iter().map(OneDifference::of));
        }
        Ok(differences)
    }

    /// The bytes of a file of a tree.
    fn file(&self, tree: &TreeId, path: &str) -> Result<Vec<u8>, Failed> {
        match crate::lock::entry_at(self.session, tree, path)? {
            Some(Entry::File { blob, .. }) => Ok(self.session.read_blob(&blob)?),
            _ => Ok(Vec::new()),
        }
    }

    /// Two objects that are no trees both.
    fn one(
        &self,
        path: &str,
        known: ObjectId,
        found: ObjectId,
        scene: &Scene,
    ) -> Result<OneFile, Failed> {
        let mut file = OneFile::of(path, "changed");
        if let (ObjectId::Blob(known), ObjectId::Blob(found)) = (known, found) {
            let (before, now) = (
                self.session.read_blob(&known)?,
                self.session.read_blob(&found)?,
            );
            let found = explain(path, &before, &now, scene);
            file.differences = found.into_iter().map(OneDifference::of).collect();
        }
        Ok(file)
    }
}

impl Varied {
    fn new(what: &str, before: &str, now: &str) -> Varied {
        Varied {
            what: what.to_owned(),
            before: before.to_owned(),
            now: now.to_owned(),
        }
    }

    fn of(changed: &Changed) -> Varied {
        Varied::new(changed.what, &changed.before, &changed.now)
    }
}

impl OneFile {
    fn of(path: &str, change: &'static str) -> OneFile {
        OneFile {
            path: path.to_owned(),
            change,
            differences: Vec::new(),
        }
    }
}

impl OneDifference {
    fn of(difference: Difference) -> OneDifference {
        let Difference {
            kind,
            place,
            before,
            now,
            cause,
        } = difference;
        OneDifference {
            kind,
            place,
            before,
            now,
            cause,
        }
    }

    fn line(&self) -> String {
        let cause = self
            .cause
            .as_ref()
            .map_or_else(String::new, |cause| format!(": {cause}"));
        format!(
            "    {}{cause}\n      {}\n      {}\n",
            self.place, self.before, self.now
        )
    }
}

impl OneStep {
    fn text(&self) -> String {
        let verb = if self.count == 1 { "differs" } else { "differ" };
        let mut text = format!(
            "{} {}: {} {verb}\n",
            self.kind,
            self.subject,
            plural(self.count, "file")
        );
        for file in &self.files {
            match (file.path.as_str(), file.change) {
                ("", _) => {}
                (path, "changed") => text.push_str(&format!("  {path}\n")),
                (path, change) => text.push_str(&format!("  {path} is {change}\n")),
            }
            text.extend(file.differences.iter().map(OneDifference::line));
        }
        if self.count > self.files.len() {
            text.push_str(&format!("  and {} more\n", self.count - self.files.len()));
        }
        text
    }
}

impl Answer {
    fn text(&self) -> String {
        let mut text: String = self.differing.iter().map(OneStep::text).collect();
        let held = match self.guards {
            1 => "1 proof or check holds".to_owned(),
            count => format!("{count} proofs and checks hold"),
        };
        let name = &self.name;
        if !self.rebuilt {
            return format!("{name}: {held}");
        }
        text.push_str(&format!(
            "{name}: {} gave the same bytes again, {} did not; {held}; {}",
            plural(self.same, "step"),
            self.differing.len(),
            plural(self.sources, "source")
        ));
        text.push_str(" as the lock says");
        let varied: Vec<&str> = self.varied.iter().map(|it| it.what.as_str()).collect();
        text.push_str(&format!("\n  another {}", varied.join(", ")));
        text
    }
}
