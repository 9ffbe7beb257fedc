//! [`Plan`] → objects: for each step: known? else run it; then record it. Begin at [`build`].
//!
//! `schedule.rs` decides what is next, `steps/` does it, `event.rs` tells of it. A step is run when
//! no trace of its key is in the store; as a key holds the ids of its inputs, an input that was
//! made again with the same bytes stops the rebuild there. `again.rs` runs known steps once more, to compare.

mod again;
pub mod collect;
mod error;
mod event;
#[cfg(test)]
pub(crate) mod examples;
mod places;
mod schedule;
mod shared;
pub mod steps;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use petgraph::Direction::Incoming;
use petgraph::graph::NodeIndex;
use recipe_store::{
    Committed, Digest, Isolation, ObjectId, Recorded, Session, StepKey, StoreError, Trace, TreeId,
};

pub use again::{Again, Differing, again};
pub use error::{BuildError, FailedCheck, Failure, MissingLibrary, Offered, StepError};
pub use event::{Deaf, Ear, End, Ended, Event, Scribe};
pub use places::Places;
pub use shared::{Alone, Shared, SharedStep};

use crate::net::Net;
use crate::plan::{Node, Plan, Resolved, Step};
use crate::sandbox::{Elsewhere, Emulator, Sandbox};
use schedule::Schedule;
use shared::{Outputs, supply};

/// Downloads that run at once: they wait for the network, not for a core.
const DOWNLOADS: usize = 12;

/// How often finished steps are made durable while others still run: what a power cut can cost.
const COMMIT_EVERY: Duration = Duration::from_secs(2);

/// What a build works with.
pub struct Workshop<'a> {
    /// Where objects go.
    pub session: &'a Session,
    /// Where sources come from.
    pub net: &'a Net,
    /// What others have made.
    pub shared: &'a dyn Shared,
    /// What starts programs.
    pub sandbox: &'a Sandbox,
    /// What runs programs of another processor.
    pub emulator: Option<&'a Emulator>,
    /// How many jobs the steps that build may run, all together.
    pub jobs: usize,
    /// How many steps run at once.
    pub at_once: usize,
    /// Whether a failure lets everything that does not depend on it go on.
    pub keep_going: bool,
    /// Whether what programs print is told as they print it, not only kept.
    pub loud: bool,
    /// How long a step took last time, by kind and subject, in milliseconds.
    pub durations: &'a Durations,
    /// Where wheels come from.
    pub indexes: steps::PythonIndexes,
    /// Interpreters that compile byte code.
    pub compilers: steps::Compilers,
    /// Where sysroots have programs.
    pub programs: steps::Programs,
    /// How many builds of sources run now: they share the cores.
    pub building: AtomicUsize,
    /// Another machine for programs to run on, where it is to be shown that they make the same there.
    pub elsewhere: Option<&'a Elsewhere>,
}

/// How long steps took, by kind and subject, in milliseconds.
pub type Durations = HashMap<(String, String), u64>;

/// What came out.
#[derive(Debug)]
pub struct Built {
    /// The closure, proved and checked.
    pub closure: TreeId,
    /// Steps that were run.
    pub ran: usize,
    /// Steps whose output was known.
    pub reused: usize,
    /// Steps that were run elsewhere: caches know what they made.
    pub shared: usize,
    /// What was asked for: [`Plan::id`].
    pub plan: Digest,
    /// The key of every step: what the closure relies on.
    pub relied: Vec<StepKey>,
    /// How long each step took that was run.
    pub durations: Durations,
    /// From the start of the first proof or check to the end of the last.
    pub guarding: Duration,
}

/// Runs what is needed of `plan`, and returns once the closure is proved, checked and durable.
pub fn build(plan: &Plan, shop: &Workshop<'_>, ear: &dyn Ear) -> Result<Built, BuildError> {
    ear.hear(Event::Planned(plan.len()));
    let schedule = Schedule::new(plan, |node| cost(plan, shop.durations, node));
    let run = run(plan, shop, ear, schedule)?;
    run.bring(&[plan.closure()], shop, ear)?;
    run.finish()
}

/// Runs what the step `node` needs, not the step itself, and gives the step with its inputs.
pub fn inputs(
    plan: &Plan,
    node: NodeIndex,
    shop: &Workshop<'_>,
    ear: &dyn Ear,
) -> Result<Resolved, BuildError> {
    let schedule = Schedule::before(plan, node, |node| cost(plan, shop.durations, node));
    ear.hear(Event::Planned(schedule.len()));
    let run = run(plan, shop, ear, schedule)?;
    let inputs: Vec<NodeIndex> = plan.graph().neighbors_directed(node, Incoming).collect();
    run.bring(&inputs, shop, ear)?;
    match run.outputs.resolved(plan, node) {
        Some(step) => Ok(step),
        None => Err(run.failed()),
    }
}

fn run<'p>(
    plan: &'p Plan,
    shop: &Workshop<'_>,
    ear: &dyn Ear,
    schedule: Schedule<'p>,
) -> Result<Run<'p>, BuildError> {
    let work = pool(shop.at_once.max(1))?;
    let downloads = pool(DOWNLOADS)?;
    let run = Mutex::new(Run {
        plan,
        schedule,
        outputs: Arc::default(),
        built: Vec::new(),
        failures: Vec::new(),
        guarded: None,
        downloading: 0,
        working: 0,
        committed: Instant::now(),
    });
    let (wake, woken) = channel();
    let broken = Mutex::new(None);
    let floor = Floor {
        run: &run,
        shop,
        ear,
        wake: &wake,
        broken: &broken,
    };
    work.in_place_scope(|work| {
        downloads.in_place_scope(|downloads| floor.drive(work, downloads, &woken))
    });
    // What was made is kept, whatever became of the rest: the next build goes on from here.
    keep_first(&broken, shop.session.commit());
    let run = run.into_inner().unwrap_or_else(PoisonError::into_inner);
    match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(BuildError::Store(error)),
        None => Ok(run),
    }
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, BuildError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| BuildError::Threads(error.to_string()))
}

/// How long a step will take, in about milliseconds: what it took last time, else what its source's
/// size lets expect (bytes a millisecond that a small machine unpacks, compiles).
fn cost(plan: &Plan, known: &Durations, index: NodeIndex) -> u64 {
    let node = &plan.graph()[index];
    let kind = node.step.kind();
    let last = known.get(&(kind.to_owned(), node.subject.clone())).copied();
    last.unwrap_or_else(|| match kind {
        "compile" => 5 + source_size(plan, index) / 3_000,
        "unpack" => 1 + source_size(plan, index) / 12_000,
        _ => 5,
    })
}

/// The size of the file that a step's first input goes back to.
fn source_size(plan: &Plan, index: NodeIndex) -> u64 {
    let mut at = index;
    loop {
        match &plan.graph()[at].step {
            Step::Fetch(source) => return source.size,
            step => match step.inputs().first() {
                Some(input) => at = *input,
                None => return 0,
            },
        }
    }
}

/// One step's end.
struct Report {
    node: NodeIndex,
    key: StepKey,
    result: Result<Done, StepError>,
    took: Duration,
    said: String,
}

struct Done {
    key: StepKey,
    output: ObjectId,
    ran: bool,
    /// Who ran it, if that was elsewhere.
    shared: Option<SharedStep>,
}

/// What every thread of a run has to do with.
#[derive(Clone, Copy)]
struct Floor<'s, 'p> {
    run: &'s Mutex<Run<'p>>,
    shop: &'s Workshop<'s>,
    ear: &'s dyn Ear,
    /// Wakes whoever starts threads.
    wake: &'s Sender<()>,
    /// Why an early commit failed: what comes after it only says that one did.
    broken: &'s Mutex<Option<StoreError>>,
}

/// Wakes whoever starts threads when it is dropped.
struct Wakes<'a>(&'a Sender<()>);

impl Drop for Wakes<'_> {
    fn drop(&mut self) {
        // The receiver outlives every thread.
        let _ = self.0.send(());
    }
}

thread_local! {
    /// Whether this thread is at a step. While it waits for parts of that, rayon may give it another.
    static AT_A_STEP: Cell<bool> = const { Cell::new(false) };
}

fn keep_first(broken: &Mutex<Option<StoreError>>, commit: recipe_store::Result<Committed>) {
    if let Err(error) = commit {
        let mut broken = broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.get_or_insert(error);
    }
}

struct Run<'p> {
    plan: &'p Plan,
    schedule: Schedule<'p>,
    outputs: Arc<Outputs>,
    built: Vec<(NodeIndex, Done, Duration)>,
    failures: Vec<Failure>,
    /// When the first proof or check began, and when the last one ended.
    guarded: Option<(Instant, Instant)>,
    /// How many steps run now, and when what was made was committed last.
    downloading: usize,
    working: usize,
    committed: Instant,
}

impl<'s, 'p: 's> Floor<'s, 'p> {
    /// Starts what is ready, whenever there is a thread for it, until nothing runs.
    fn drive(self, work: &rayon::Scope<'s>, downloads: &rayon::Scope<'s>, woken: &Receiver<()>) {
        loop {
            let mut run = self.run();
            while let Some(node) = run.next_download() {
                downloads.spawn(move |_| self.work_from(node));
            }
            while let Some(node) = run.next_work(self.shop.at_once) {
                work.spawn(move |_| self.work_from(node));
            }
            if run.downloading + run.working == 0 {
                return;
            }
            if run.is_commit_due() {
                run.committed = Instant::now();
                // Nobody waits for it; the last commit tells what failed here.
                downloads.spawn(move |_| keep_first(self.broken, self.shop.session.commit()));
            }
            drop(run);
            if woken.recv().is_err() {
                return;
            }
        }
    }

    /// The work of a thread: this step, and then whatever is next, without anybody else being asked. A thread that
    /// is at another step still does this one only.
    fn work_from(self, node: NodeIndex) {
        let was_at_a_step = AT_A_STEP.replace(true);
        // Whatever ends this, there is a thread again.
        let _wakes = Wakes(self.wake);
        let mut next = Some(node);
        while let Some(node) = next {
            let report = self.perform(node);
            let mut run = self.run();
            let is_download = run.take(report, self.shop.keep_going, self.ear);
            next = match (was_at_a_step, is_download) {
                (true, _) => None,
                (false, true) => run.next_download(),
                (false, false) => run.next_work(self.shop.at_once),
            };
            let is_for_others = run.has_more(self.shop.at_once) || run.is_commit_due();
            drop(run);
            if is_for_others {
                drop(Wakes(self.wake));
            }
        }
        AT_A_STEP.set(was_at_a_step);
    }

    fn run(&self) -> MutexGuard<'s, Run<'p>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, node: NodeIndex) -> Report {
        let (plan, outputs) = {
            let run = self.run();
            (run.plan, run.outputs.clone())
        };
        let started = Instant::now();
        let scribe = Scribe::new(self.ear);
        let (key, result) = match outputs.resolved(plan, node) {
            Some(step) => {
                let key = step.key();
                let made = || perform(node, plan, &outputs, &step, key, self.shop, &scribe);
                let made = catch_unwind(AssertUnwindSafe(made));
                (key, made.unwrap_or(Err(StepError::Panicked)))
            }
            None => (StepKey(Digest::of(&[])), Err(StepError::Panicked)),
        };
        Report {
            node,
            key,
            result,
            took: started.elapsed(),
            said: scribe.said(),
        }
    }
}

impl Run<'_> {
    /// The download to start now, if it may be: it counts as started.
    fn next_download(&mut self) -> Option<NodeIndex> {
        if self.downloading >= DOWNLOADS {
            return None;
        }
        let next = self.schedule.next_download();
        self.downloading += usize::from(next.is_some());
        next
    }

    /// The work to start now, likewise.
    fn next_work(&mut self, at_once: usize) -> Option<NodeIndex> {
        if self.working >= at_once.max(1) {
            return None;
        }
        let next = self.schedule.next_work();
        self.working += usize::from(next.is_some());
        next
    }

    /// Whether something is ready, and may be started.
    fn has_more(&self, at_once: usize) -> bool {
        (self.downloading < DOWNLOADS && self.schedule.has_downloads())
            || (self.working < at_once.max(1) && self.schedule.has_work())
    }

    fn is_commit_due(&self) -> bool {
        self.committed.elapsed() > COMMIT_EVERY
    }

    /// Takes note of a step that has ended. Tells whether it was a download.
    fn take(&mut self, report: Report, keep_going: bool, ear: &dyn Ear) -> bool {
        let planned = &self.plan.graph()[report.node];
        let Report {
            node,
            key,
            result,
            took,
            said,
        } = report;
        let tell = |end, said: &str, why: &str| {
            ear.hear(Event::Ended(&Ended {
                index: node,
                node: planned,
                key,
                end,
                took,
                said,
                why,
            }));
        };
        let is_download = matches!(planned.step, Step::Fetch(_));
        match is_download {
            true => self.downloading -= 1,
            false => self.working -= 1,
        }
        match result {
            Ok(done) => {
                if done.ran && self.plan.guards().contains(&node) {
                    self.guarded(took);
                }
                tell(if done.ran { End::Ran } else { End::Reused }, "", "");
                self.outputs.set(node, done.output);
                self.built.push((node, done, took));
                self.schedule.done(node);
            }
            Err(error) => {
                tell(End::Failed, &said, &format!("{error}\n"));
                self.schedule.failed(node);
                if !keep_going {
                    self.schedule.stop();
                }
                add_failure(&mut self.failures, planned, error);
            }
        }
        is_download
    }

    fn guarded(&mut self, took: Duration) {
        let now = Instant::now();
        let began = now.checked_sub(took).unwrap_or(now);
        let first = self.guarded.map_or(began, |(first, _)| first.min(began));
        self.guarded = Some((first, now));
    }

    fn finish(self) -> Result<Built, BuildError> {
        let Some(ObjectId::Tree(closure)) = self.outputs.get(self.plan.closure()) else {
            return Err(self.failed());
        };
        if !self.failures.is_empty() {
            return Err(self.failed());
        }
        let graph = self.plan.graph();
        let ran = || self.built.iter().filter(|(_, done, _)| done.ran);
        let shared = self
            .built
            .iter()
            .filter(|(_, done, _)| done.shared.is_some());
        let shared = shared.count();
        Ok(Built {
            closure,
            ran: ran().count(),
            reused: self.built.len() - ran().count() - shared,
            shared,
            plan: self.plan.id(),
            relied: self.built.iter().map(|(_, done, _)| done.key).collect(),
            durations: ran()
                .map(|(node, _, took)| {
                    let node = &graph[*node];
                    (
                        (node.step.kind().to_owned(), node.subject.clone()),
                        took.as_millis() as u64,
                    )
                })
                .collect(),
            guarding: self.guarded.map_or(Duration::ZERO, |(from, to)| to - from),
        })
    }

    /// Sees to it that these outputs are here, and writes down what was made elsewhere and is here now: the next
    /// build need not ask for it.
    fn bring(
        &self,
        nodes: &[NodeIndex],
        shop: &Workshop<'_>,
        ear: &dyn Ear,
    ) -> Result<(), BuildError> {
        let supplied = supply(nodes, self.plan, &self.outputs, shop, &Scribe::new(ear));
        let recorded = supplied.and_then(|()| {
            for (node, done, _) in &self.built {
                if let Some(shared) = &done.shared
                    && shop.session.has(&done.output)?
                    && let Some(step) = self.outputs.resolved(self.plan, *node)
                {
                    let _same = shop.session.record(trace_of(&step, shared))?;
                }
            }
            shop.session.commit()?;
            Ok(())
        });
        recorded.map_err(|error| {
            let mut failures = Vec::new();
            add_failure(
                &mut failures,
                &self.plan.graph()[self.plan.closure()],
                error,
            );
            BuildError::Failed {
                skipped: 0,
                failures,
                recipe: "NAME".to_owned(),
            }
        })
    }

    fn failed(self) -> BuildError {
        BuildError::Failed {
            skipped: self.schedule.skipped(),
            failures: self.failures,
            recipe: "NAME".to_owned(),
        }
    }
}

/// Steps that fail for the same reason are told as one.
fn add_failure(failures: &mut Vec<Failure>, planned: &Node, error: StepError) {
    let kind = planned.step.kind();
    let cause = error.cause();
    let same = |known: &&mut Failure| known.kind == kind && known.error.cause() == cause;
    match failures.iter_mut().find(same) {
        Some(known) => known.also.push(planned.subject.clone()),
        None => failures.push(Failure {
            kind,
            subject: planned.subject.clone(),
            also: Vec::new(),
            places: Vec::new(),
            error,
        }),
    }
}

/// Known here? Known elsewhere? Else run it; then record it.
fn perform(
    node: NodeIndex,
    plan: &Plan,
    outputs: &Outputs,
    step: &Resolved,
    key: StepKey,
    shop: &Workshop<'_>,
    scribe: &Scribe<'_>,
) -> Result<Done, StepError> {
    if let Some(done) = known(&key, shop)? {
        return Ok(done);
    }
    if let Some(shared) = shop.shared.made(&key, step.is_dear()) {
        return Ok(Done {
            key,
            output: shared.output,
            ran: false,
            shared: Some(shared),
        });
    }
    if shop.shared.required() {
        return Err(StepError::NotShared);
    }
    let inputs: Vec<NodeIndex> = plan.graph().neighbors_directed(node, Incoming).collect();
    supply(&inputs, plan, outputs, shop, scribe)?;
    run_here(node, &plan.graph()[node], step, key, shop, scribe)
}

/// What a step made earlier that is known here.
fn known(key: &StepKey, shop: &Workshop<'_>) -> Result<Option<Done>, StepError> {
    let trace = shop.session.find(key)?;
    let output = trace.and_then(|trace| trace.outputs.get(OUT).copied());
    Ok(output.map(|output| Done {
        key: *key,
        output,
        ran: false,
        shared: None,
    }))
}

/// What is written down of a step that was run elsewhere.
fn trace_of(step: &Resolved, shared: &SharedStep) -> Trace {
    Trace {
        key: step.key(),
        outputs: BTreeMap::from([(OUT.to_owned(), shared.output)]),
        maker: shared.maker.clone(),
        started: now(),
        duration: 0,
        isolation: Isolation {
            reached: shared.isolation.clone(),
            required: required(step).to_owned(),
        },
        preimage: step.preimage(),
    }
}

/// Known? Else run it, with inputs that are here; then record it.
fn perform_here(
    node: NodeIndex,
    planned: &Node,
    step: &Resolved,
    shop: &Workshop<'_>,
    scribe: &Scribe<'_>,
) -> Result<Done, StepError> {
    let key = step.key();
    match known(&key, shop)? {
        Some(done) => Ok(done),
        None => run_here(node, planned, step, key, shop, scribe),
    }
}

/// Runs it, with inputs that are here; then records it.
fn run_here(
    node: NodeIndex,
    planned: &Node,
    step: &Resolved,
    key: StepKey,
    shop: &Workshop<'_>,
    scribe: &Scribe<'_>,
) -> Result<Done, StepError> {
    scribe.hear(Event::Started(node, planned));
    let begun = Instant::now();
    let bench = steps::Bench {
        shop,
        scribe,
        key: &key,
    };
    let steps::Made { output, isolation } = steps::run(step, &bench)?;
    let trace = Trace {
        key,
        outputs: BTreeMap::from([(OUT.to_owned(), output)]),
        maker: concat!("recipe ", env!("CARGO_PKG_VERSION")).to_owned(),
        started: now().saturating_sub(begun.elapsed().as_millis() as u64),
        duration: begun.elapsed().as_millis() as u64,
        isolation: Isolation {
            reached: isolation.to_owned(),
            required: required(step).to_owned(),
        },
        preimage: step.preimage(),
    };
    let mut done = Done {
        key,
        output,
        ran: true,
        shared: None,
    };
    let said = scribe.said();
    if !said.is_empty() {
        // What a step said is no result: a step whose log is lost is not run again.
        let _ = shop
            .session
            .store()
            .memo_put(&log_of(&key), said.as_bytes());
    }
    if let Recorded::Differs { first } = shop.session.record(trace)?
        && let Some(first) = first.outputs.get(OUT)
        && *first != output
    {
        let (kind, subject) = (planned.step.kind(), &planned.subject);
        scribe.hear(Event::Note(&format!(
            "{kind} {subject} gave other bytes than another build at the same time; the first stay"
        )));
        done.output = *first;
    }
    Ok(done)
}

/// The isolation that a step has to reach. A proof may run in place where namespaces are forbidden.
fn required(step: &Resolved) -> &'static str {
    match step {
        Step::Compile { .. } | Step::Check { .. } | Step::Build { .. } => "namespaces",
        Step::Proof { .. } => "none",
        _ => "in-process",
    }
}

/// The one output that each step of ours has.
pub const OUT: &str = "out";

/// The name of the memo with what the step of this key said, where it said anything.
pub fn log_of(key: &StepKey) -> Digest {
    Digest::of(format!("what the step {key} said").as_bytes())
}

/// Milliseconds since 1970, for people; nothing is ever ordered by it.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
