//! `recipe plan`: what a build would do, and what it would cost.

use serde::Serialize;

use super::answer::Form;
use super::app::App;
use super::durations::durations;
use super::exit::Failed;
use super::found::Forms;
use super::options::Options;
use super::planned::Planned;
use super::render::{bytes, plural};
use super::standing::{Standing, State};
use crate::build::Durations;
use crate::cache::{Asked, Caches};
use crate::plan::{Plan, Step};

/// What `recipe plan` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    /// Name every step, not only the counts
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer<'a> {
    name: &'a str,
    present: usize,
    /// A cache knows what they made.
    cached: usize,
    fetch: usize,
    build: usize,
    /// Bytes to fetch.
    bytes: u64,
    /// Bytes that the closure takes from caches.
    cache_bytes: u64,
    /// What the steps that are not present took last time, as far as it is known.
    milliseconds: u64,
    steps: Vec<OneStep<'a>>,
}

#[derive(Serialize)]
struct OneStep<'a> {
    kind: &'static str,
    subject: &'a str,
    state: &'static str,
    /// What is fetched.
    bytes: Option<u64>,
    /// The cache that knows what it made.
    cache: Option<String>,
    milliseconds: Option<u64>,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let Planned {
        recipe,
        plan,
        session,
        ..
    } = &app.planned(&args.name, &args.forms, true)?;
    let title = recipe.title();
    let progress = app.progress();
    let asked = || Asked {
        plan: plan.id(),
        title: title.clone(),
    };
    let caches = app.caches(session, &progress, asked, &Options::default())?;
    let standing = Standing::with(plan, session, &caches)?;
    progress.finish();
    let last = durations(session, &title)?;
    let answer = answer(&title, plan, &standing, &last, &caches)?;
    app.answer(args.form, "plan", &answer, || answer.text(args.verbose))
}

fn answer<'a>(
    name: &'a str,
    plan: &'a Plan,
    standing: &Standing,
    last: &Durations,
    caches: &Caches<'_>,
) -> Result<Answer<'a>, Failed> {
    let steps = standing.states.iter().map(|(node, state)| {
        let cache = standing
            .resolved(plan, *node)
            .filter(|_| *state == State::Cached);
        let cache = cache.and_then(|step| caches.place_of(&step.key()).map(str::to_owned));
        let node = &plan.graph()[*node];
        let kind = node.step.kind();
        OneStep {
            kind,
            subject: &node.subject,
            state: state.word(),
            cache,
            bytes: match &node.step {
                Step::Fetch(source) if *state == State::Fetch => Some(source.size),
                _ => None,
            },
            milliseconds: last
                .get(&(kind.to_owned(), node.subject.clone()))
                .filter(|_| *state != State::Present)
                .copied(),
        }
    });
    let steps: Vec<OneStep<'_>> = steps.collect();
    let count = |state: State| {
        let of = standing.states.iter().filter(|(_, known)| *known == state);
        of.count()
    };
    let closure = standing.outputs.get(&plan.closure());
    Ok(Answer {
        name,
        present: count(State::Present),
        cached: count(State::Cached),
        cache_bytes: closure.map_or(Ok(0), |closure| caches.would_bring(closure))?,
        fetch: count(State::Fetch),
        build: count(State::Build),
        bytes: steps.iter().filter_map(|step| step.bytes).sum(),
        milliseconds: steps.iter().filter_map(|step| step.milliseconds).sum(),
        steps,
    })
}

impl Answer<'_> {
    fn text(&self, verbose: bool) -> String {
        let mut text = String::new();
        if verbose {
            for step in &self.steps {
                text.push_str(&step.line());
            }
        }
        text.push_str(&format!(
            "{}: {} present, {}{} to fetch ({}), {} to build",
            plural(self.steps.len(), "step"),
            self.present,
            match self.cached {
                0 => String::new(),
                cached => format!("{cached} in a cache ({}), ", bytes(self.cache_bytes)),
            },
            self.fetch,
            bytes(self.bytes),
            self.build
        ));
        if self.milliseconds > 0 {
            text.push_str(&format!(
                "; they took {:.1} s of work last time",
                self.milliseconds as f64 / 1000.0
            ));
        }
        text
    }
}

impl OneStep<'_> {
    fn line(&self) -> String {
        let size = self
            .bytes
            .map_or_else(String::new, |size| format!("  {}", bytes(size)));
        let time = self
            .milliseconds
            .map_or_else(String::new, |time| format!("  {time} ms last time"));
        let cache = self.cache.as_ref();
        let cache = cache.map_or_else(String::new, |cache| format!("  {cache}"));
        format!(
            "{:8} {:12} {}{size}{time}{cache}\n",
            self.state, self.kind, self.subject
        )
    }
}
