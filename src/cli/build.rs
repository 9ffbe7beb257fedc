//! `recipe build`: a recipe as a closure, linked at `result/NAME`.

use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use petgraph::graph::NodeIndex;
use recipe_store::{Digest, Root, Session, StepKey, Store, StoreError, TreeId};

use serde::Serialize;

use super::answer::Form;
use super::app::{App, link_path, now, write_lock};
use super::exit::Failed;
use super::found::{Forms, Found};
use super::memo::{self, Memo};
use super::record::Record;
use super::render::{Progress, bytes, plural, seconds};
use super::standing::Standing;
use crate::build::steps::{Compilers, PythonIndexes};
use crate::build::{BuildError, Built, Durations, Workshop, build, inputs};
use crate::cache::{Asked, Pulled};
use crate::closure::Closure;
use crate::lock::{self, Lock, Locked};
use crate::net::NetError;
use crate::plan::{Besides, Plan, Resolved, Source, Step};
use crate::recipe::{LockPolicy, Recipe};

/// What `recipe build` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recipes, by name or path; a variant as NAME@VARIANT
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    forms: Forms,
    /// Each recipe as it is written, and all its variants
    #[arg(long)]
    all_variants: bool,
    /// Link the closure here instead of at result/NAME
    #[arg(long = "out-link", short, value_name = "LINK")]
    out: Option<Utf8PathBuf>,
    /// Fail rather than change the lock
    #[arg(long)]
    locked: bool,
    /// Fail rather than build what no cache has
    #[arg(long)]
    require_cache: bool,
    /// After a failure, go on with all that does not depend on it
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    form: Form,
    /// Show what programs print, as they print it.
    #[arg(skip)]
    loud: bool,
}

impl Args {
    /// The recipe `name` again, with all that its programs print.
    pub(super) fn again(name: &str, forms: &Forms, form: Form) -> Args {
        Args {
            names: vec![name.to_owned()],
            forms: forms.clone(),
            all_variants: false,
            out: None,
            locked: false,
            require_cache: false,
            keep_going: true,
            form,
            loud: true,
        }
    }
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    closures: Vec<OneClosure>,
}

#[derive(Serialize)]
struct OneClosure {
    name: String,
    closure_version: String,
    link: String,
    /// The tree in the store.
    tree: String,
    /// Steps that were run, and whose result was known.
    ran: usize,
    reused: usize,
    /// Steps that were run elsewhere, and bytes that came from caches.
    shared: usize,
    cache_bytes: u64,
    milliseconds: u64,
    /// From the start of the first proof or check to the end of the last.
    guard_milliseconds: u64,
    files: usize,
    bytes: u64,
    runs_on: String,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let mut names = args.names.clone();
    if args.all_variants {
        let all = args
            .names
            .iter()
            .map(|name| app.all_variants(name, &args.forms));
        names = all.collect::<Result<Vec<_>, _>>()?.concat();
    }
    if args.out.is_some() && names.len() > 1 {
        return Err(Failed::Usage(super::advice::report(
            "`--out-link` names one link, and there are several recipes".into(),
            "build them one by one".into(),
        )));
    }
    let options = Options {
        locked: args.locked,
        keep_going: args.keep_going,
        loud: args.loud,
        whole: false,
        required: args.require_cache,
        alone: false,
    };
    check_link_folder(args.out.as_deref())?;
    let mut answer = Answer {
        closures: Vec::new(),
    };
    let mut failures = Vec::new();
    for name in &names {
        match build_one(name, args, app, &options) {
            Ok(closure) => answer.closures.extend(closure),
            Err(failed) if args.keep_going => failures.push(failed),
            Err(failed) => return Err(failed),
        }
    }
    if failures.is_empty() || !answer.closures.is_empty() {
        app.answer(args.form, "build", &answer, String::new)?;
    }
    // The first is told last, by whoever called, and decides the exit code.
    let mut failures = failures.into_iter();
    let first = failures.next();
    for failed in failures {
        let _ = super::render::fail(&failed);
    }
    first.map_or(Ok(()), Err)
}

/// What `recipe pull` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Pull {
    /// Recipes, by name or path; a variant as NAME@VARIANT
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    forms: Forms,
    /// Link the closure here instead of at result/NAME
    #[arg(long = "out-link", short, value_name = "LINK")]
    out: Option<Utf8PathBuf>,
    #[command(flatten)]
    form: Form,
}

/// A build that makes nothing itself.
pub(super) fn pull(args: &Pull, app: &App) -> Result<(), Failed> {
    let args = Args {
        names: args.names.clone(),
        forms: args.forms.clone(),
        all_variants: false,
        out: args.out.clone(),
        locked: true,
        require_cache: true,
        keep_going: false,
        form: args.form,
        loud: false,
    };
    run(&args, app)
}

/// Makes one closure and its link, and tells about it: now, or in the answer.
fn build_one(
    name: &str,
    args: &Args,
    app: &App,
    options: &Options,
) -> Result<Option<OneClosure>, Failed> {
    let made = make(name, &args.forms, app, options)?;
    let link = link_path(&made.memo.title(), args.out.as_deref());
    made.link(&link)?;
    if args.form.json {
        return made.answer(&link).map(Some);
    }
    app.say(&format!("{}\n  {}", shown(&link), made.summary()))?;
    Ok(None)
}

/// Whether a link can be made, as far as that is known beforehand: nobody wants to hear it after a
/// long build.
fn check_link_folder(out: Option<&Utf8Path>) -> Result<(), Failed> {
    let link = link_path("NAME", out);
    // Without a place of its own it is called as its recipe, which is not looked up yet.
    let told = match (out, link.parent()) {
        (None, Some(folder)) => folder,
        _ => &link,
    };
    let mut folders = link.ancestors().skip(1);
    let Some(folder) = folders.find(|folder| folder.exists()) else {
        return Ok(());
    };
    match rustix::fs::access(folder.as_std_path(), rustix::fs::Access::WRITE_OK) {
        Ok(()) if folder.is_dir() => Ok(()),
        Ok(()) => Err(no_link(told, &format!("{} is no folder", shown(folder)))),
        Err(error) => Err(no_link(told, &error.to_string())),
    }
}

fn no_link(link: &Utf8Path, why: &str) -> Failed {
    Failed::File(super::advice::report(
        format!(
            "the link to the closure cannot be made at {}: {why}",
            shown(link)
        ),
        "name another place for it with `--out-link LINK`, or go to a folder that you may write to"
            .into(),
    ))
}

/// What changes how a build goes, not what it makes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) locked: bool,
    pub(super) keep_going: bool,
    pub(super) loud: bool,
    /// Every step has to be there, not only the closure.
    pub(super) whole: bool,
    /// Nothing is made here: what no cache has is an error.
    pub(super) required: bool,
    /// No cache is asked.
    pub(super) alone: bool,
}

/// A closure in the store, made now or earlier.
pub(super) struct Made {
    pub(super) memo: Memo,
    pub(super) store: Store,
    /// What was done; nothing where it was known.
    work: Work,
    /// Step keys that the closure relies on; empty when nothing was done, as the root has them.
    relied: Vec<StepKey>,
}

/// What a build did.
#[derive(Default)]
struct Work {
    ran: usize,
    reused: usize,
    shared: usize,
    came: Pulled,
    took: Duration,
    guarding: Duration,
}

impl Work {
    fn told_of_caches(&self) -> String {
        match (self.shared, self.came.bytes) {
            (0, _) => String::new(),
            (shared, came) => format!(", {shared} known from a cache ({})", bytes(came)),
        }
    }
}

/// Makes the closure of the recipe `name`, or finds it made.
pub(super) fn make(
    name: &str,
    forms: &Forms,
    app: &App,
    options: &Options,
) -> Result<Made, Failed> {
    let begun = Instant::now();
    let mut found = app.find(name, forms)?;
    let store = app.store()?;
    let key = memo::key(&found.text, &found.lock_text, &found.form());
    if !options.whole
        && let Some(memo) = Memo::find(&store, &key, &found)?
        && memo.means == app.running(memo.platform).word()
        && is_there(&store, &memo)?
    {
        return Ok(Made::known(store, memo, begun));
    }
    let recipe = found.recipe()?;
    let session = store.session()?;
    let lock = app.lock_for(&recipe, &found, &session, options.locked)?;
    let gathered = app.besides(&recipe, &session, options.locked)?;
    let scene = Scene {
        recipe: &recipe,
        besides: &gathered.besides,
        found: &found,
        session: &session,
        app,
        options,
    };
    let (built, came, date) = scene.build_following(lock)?;
    session.checkout(&built.closure)?;
    let closure = Closure::of(built.closure, &session)?;
    let memo = Memo {
        name: recipe.name.clone(),
        version: recipe.version.clone(),
        variant: recipe.variant.clone().unwrap_or_default(),
        platform: recipe.platform,
        means: app.running(recipe.platform).word().to_owned(),
        closure: built.closure,
        date,
        formats: recipe
            .package
            .formats
            .iter()
            .map(|format| format.value.name().to_owned())
            .collect(),
        files: recipe
            .files_read()
            .iter()
            .map(|file| (file.path.clone(), Digest::of(&file.bytes)))
            .chain([lock_used(&found)?])
            .chain(gathered.files)
            .collect(),
        looked_up: [recipe.looked_up(), &gathered.looked_up].concat(),
        about: about(&closure) + &app.running(recipe.platform).told(recipe.checks.len()),
    };
    keep_durations(&store, &recipe.title(), &built.durations)?;
    scene.keep_plan(&built.plan)?;
    // The lock as it lies there now: it may have been written anew.
    let now = app.find(name, forms)?;
    if !gathered.local {
        memo.keep(&store, &memo::key(&found.text, &now.lock_text, &now.form()))?;
    }
    Ok(Made {
        memo,
        work: Work {
            ran: built.ran,
            reused: built.reused,
            shared: built.shared,
            came,
            took: begun.elapsed(),
            guarding: built.guarding,
        },
        relied: built.relied,
        store,
    })
}

/// Which recipe a file of a cache that is called `traces/…` or `latest/…` is about, and its plan, if it was built here.
pub(super) fn plan_named(name: &str, app: &App) -> Result<Option<(String, Digest)>, Failed> {
    let Some(digest) = name
        .split_once('/')
        .and_then(|(_, hex)| hex.parse::<Digest>().ok())
    else {
        return Ok(None);
    };
    let store = app.present_store()?;
    let text = store.memo_get(&plan_key(&digest))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let parts = text.split_once('\n');
    Ok(parts.and_then(|(plan, word)| Some((word.to_owned(), plan.parse().ok()?))))
}

fn plan_key(digest: &Digest) -> Digest {
    Digest::of(format!("recipe what was built {digest} 1").as_bytes())
}

/// The lock that was used: a name that is typed may stand for the lock of another one.
fn lock_used(found: &Found) -> Result<(Utf8PathBuf, Digest), Failed> {
    let digest = Digest::of(&found.lock_now()?);
    Ok((found.lock_path.clone(), digest))
}

/// Whether the closure is checked out, or can be: parts of it may be gone from the store.
fn is_there(store: &Store, memo: &Memo) -> Result<bool, Failed> {
    if store.checked_out(&memo.closure)?.is_some() {
        return Ok(true);
    }
    match store.session()?.checkout(&memo.closure) {
        Ok(_) => Ok(true),
        Err(error) if error.is_missing() || error.is_corrupt() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Made {
    fn known(store: Store, memo: Memo, begun: Instant) -> Made {
        Made {
            memo,
            work: Work {
                took: begun.elapsed(),
                ..Work::default()
            },
            relied: Vec::new(),
            store,
        }
    }

    /// What happened, for people.
    fn summary(&self) -> String {
        let work = &self.work;
        let done = if self.relied.is_empty() {
            format!("nothing to do, {}", seconds(work.took))
        } else {
            format!(
                "{} run, {} reused{}, {} (proof and checks {})",
                plural(work.ran, "step"),
                work.reused,
                work.told_of_caches(),
                seconds(work.took),
                seconds(work.guarding)
            )
        };
        format!("{done}\n  {}", self.memo.about)
    }

    fn answer(&self, link: &Utf8Path) -> Result<OneClosure, Failed> {
        let closure = Closure::of(self.memo.closure, &self.store.session()?)?;
        let (files, bytes) = closure.size();
        Ok(OneClosure {
            name: self.memo.name.clone(),
            closure_version: self.memo.version.clone(),
            link: link.to_string(),
            tree: self.memo.closure.digest.to_string(),
            ran: self.work.ran,
            reused: self.work.reused,
            shared: self.work.shared,
            cache_bytes: self.work.came.bytes,
            milliseconds: self.work.took.as_millis() as u64,
            guard_milliseconds: self.work.guarding.as_millis() as u64,
            files,
            bytes,
            runs_on: closure.manifest.runs_on(),
        })
    }

    fn link(&self, link: &Utf8Path) -> Result<(), Failed> {
        let known = |(root, live): &(Root, bool)| {
            *live && root.link == link && root.tree == self.memo.closure
        };
        let roots = self.store.roots()?;
        let relied: Vec<StepKey> = match roots.iter().find(|root| known(root)) {
            Some(_) if self.relied.is_empty() => return Ok(()),
            _ if self.relied.is_empty() => relied_by(&roots, &self.memo.closure),
            _ => self.relied.clone(),
        };
        let added = self
            .store
            .session()?
            .add_root(link, &self.memo.closure, &relied);
        let folder = link.parent().unwrap_or(link);
        added.map_err(|error| match error {
            StoreError::Io { path, source, .. } if path.starts_with(folder) => {
                no_link(link, &source.to_string())
            }
            error => error.into(),
        })
    }
}

/// What a live root of the same closure relies on: a second link keeps the same steps.
fn relied_by(roots: &[(Root, bool)], closure: &TreeId) -> Vec<StepKey> {
    let same = roots
        .iter()
        .filter(|(root, live)| *live && root.tree == *closure);
    same.flat_map(|(root, _)| root.steps.iter().copied())
        .collect()
}

/// What one build is about.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) besides: &'a Besides,
    pub(super) found: &'a Found,
    pub(super) session: &'a Session,
    pub(super) app: &'a App,
    pub(super) options: &'a Options,
}

impl Scene<'_> {
    /// Builds; where a locked file is gone from every mirror and the recipe says `lock "follow"`, moves
    /// the lock to what the suite has now, writes it, and builds again. Gives the date of the lock too.
    fn build_following(&self, lock: Lock) -> Result<(Built, Pulled, u64), Failed> {
        let Scene {
            recipe,
            found,
            session,
            app,
            options,
            ..
        } = *self;
        let failure = match self.build_once(&lock) {
            Ok((built, came)) => return Ok((built, came, lock.date)),
            Err(failure) => failure,
        };
        let gone = gone(&failure, &lock);
        if gone.is_empty() {
            return Err(failure);
        }
        if recipe.lock != LockPolicy::Follow || options.locked {
            tell_newest(recipe, &lock, &gone, session, app)?;
            return Err(failure);
        }
        app.tell(&format!(
            "{} locked {} gone from every mirror: following the suite, as the recipe says",
            gone.len(),
            if gone.len() == 1 {
                "file is"
            } else {
                "files are"
            }
        ));
        let progress = app.progress();
        let (net, sandbox) = (app.net(progress.clone())?, app.sandbox()?);
        let context = lock::Context::new(&net, session, &sandbox, now());
        let (lock, moved) = lock::follow(&lock, recipe, &gone, &context)?;
        progress.finish();
        for change in moved {
            let from = change.from.as_deref().unwrap_or("(new)");
            app.tell(&format!("  {} {} -> {}", change.name, from, change.to));
        }
        write_lock(&found.lock_path, &lock)?;
        app.tell(&format!("Wrote {}", found.lock_path));
        let (built, came) = self.build_once(&lock)?;
        Ok((built, came, lock.date))
    }

    /// Remembers which recipe the plan was of, for whoever asks for it by its id.
    fn keep_plan(&self, plan: &Digest) -> Result<(), Failed> {
        let store = self.session.store();
        let Some(word) = self.found.typed_anywhere() else {
            return Ok(());
        };
        let text = format!("{plan}\n{word}");
        let title = Digest::of(self.recipe.title().as_bytes());
        for name in [*plan, title] {
            store.memo_put(&plan_key(&name), text.as_bytes())?;
        }
        Ok(())
    }

    fn build_once(&self, lock: &Lock) -> Result<(Built, Pulled), Failed> {
        let Scene {
            recipe,
            besides,
            found,
            session,
            app,
            ..
        } = *self;
        let host = app.running(lock.platform).host;
        let plan = Plan::with(recipe, lock, besides, host);
        let ((built, lines), came) = self.at_work(lock, &plan, |shop, progress| {
            (build(&plan, shop, progress), progress.ended())
        })?;
        let record = Record {
            lock: found.lock_path.clone(),
            ended: now().saturating_mul(1000),
            planned: plan.len(),
            lines,
        };
        // Where the store itself failed, that is what has to be told.
        let kept = record.keep(session.store(), &found.lock_path, &recipe.title());
        let built = built.map_err(|error| self.told(error, lock))?;
        kept?;
        Ok((built, came))
    }

    /// A failure with all that can be said of it.
    fn told(&self, error: BuildError, lock: &Lock) -> BuildError {
        let error = tell_packages(error, self.recipe, lock, self.session, self.app);
        error.in_recipe(self.recipe, &self.found.typed())
    }

    /// What `work` makes with all that a build works with.
    fn at_work<T>(
        &self,
        lock: &Lock,
        plan: &Plan,
        work: impl FnOnce(&Workshop<'_>, &Progress) -> T,
    ) -> Result<(T, Pulled), Failed> {
        let Scene {
            recipe,
            session,
            app,
            options,
            ..
        } = *self;
        let running = app.running(lock.platform);
        let progress = app.progress();
        let (net, sandbox) = (app.net(progress.clone())?, app.sandbox()?);
        let durations = durations(session, &recipe.title())?;
        let asked = || Asked {
            plan: plan.id(),
            title: recipe.title(),
        };
        let caches = app.caches(session, &progress, asked, options)?;
        let shop = Workshop {
            session,
            net: &net,
            shared: &caches,
            sandbox: &sandbox,
            emulator: running.emulator(),
            jobs: app.config.jobs,
            keep_going: options.keep_going || recipe.lock == LockPolicy::Follow,
            loud: options.loud,
            durations: &durations,
            indexes: indexes(plan, lock),
            compilers: Compilers::default(),
            building: AtomicUsize::new(0),
            elsewhere: None,
        };
        let made = work(&shop, &progress);
        progress.finish();
        Ok((made, caches.came()))
    }

    /// The step `node` with its inputs, which are made where they are not there.
    pub(super) fn ready(
        &self,
        lock: &Lock,
        plan: &Plan,
        node: NodeIndex,
    ) -> Result<Resolved, Failed> {
        if let Some(step) = Standing::of(plan, self.session)?.resolved(plan, node) {
            return Ok(step);
        }
        let (step, _) = self.at_work(lock, plan, |shop, progress| {
            inputs(plan, node, shop, progress)
        })?;
        Ok(step.map_err(|error| self.told(error, lock))?)
    }
}

/// Adds which packages have what builds missed, as far as the suite can be asked.
fn tell_packages(
    mut error: BuildError,
    recipe: &Recipe,
    lock: &Lock,
    session: &Session,
    app: &App,
) -> BuildError {
    let BuildError::Failed { failures, .. } = &mut error else {
        return error;
    };
    for failure in failures {
        let Some((files, offered)) = failure.error.missed() else {
            continue;
        };
        let progress = app.progress();
        if let (false, Ok(net)) = (files.is_empty(), app.net(progress.clone())) {
            let context = lock::Context::without_sandbox(&net, session, now());
            match lock::packages_with(recipe, lock, files, &context) {
                Ok(found) => *offered = found,
                // The failure itself is what has to be told.
                Err(error) => app.tell(&format!("who has what it missed is not known: {error}")),
            }
        }
        progress.finish();
    }
    error
}

/// Says which versions the suite has instead of those that are gone, as far as it can be asked.
fn tell_newest(
    recipe: &Recipe,
    lock: &Lock,
    gone: &[Locked],
    session: &Session,
    app: &App,
) -> Result<(), Failed> {
    let progress = app.progress();
    let (net, sandbox) = (app.net(progress.clone())?, app.sandbox()?);
    let context = lock::Context::new(&net, session, &sandbox, now());
    let newest = lock::newest(lock, recipe, gone, &context);
    progress.finish();
    // What failed first is what is told: the signed index may be gone as well.
    for there in newest.unwrap_or_default() {
        let locked = there.from.as_deref().unwrap_or_default();
        app.tell(&format!(
            "{} {locked} is gone from every mirror; the suite has {}",
            there.name, there.to
        ));
    }
    Ok(())
}

/// Where wheels come from.
pub(super) fn indexes(plan: &Plan, lock: &Lock) -> PythonIndexes {
    PythonIndexes::new(pip_source(plan).or_else(|| pip_of(lock)))
}

/// The locked package whose wheel of pip knows where pip looks for packages.
fn pip_source(plan: &Plan) -> Option<Source> {
    plan.graph()
        .node_weights()
        .find_map(|node| match &node.step {
            Step::Fetch(source) if lock::PIP.contains(&source.name.as_str()) => {
                Some(source.clone())
            }
            _ => None,
        })
}

/// The same where the closure has a pip of its own: then the package is locked for this alone.
fn pip_of(lock: &Lock) -> Option<Source> {
    let mut files = lock.files.iter();
    let file = files.find(|file| lock::PIP.contains(&file.name.as_str()))?;
    Some(Source {
        kind: file.kind,
        name: file.name.clone(),
        version: file.version.clone(),
        archive: file.archive.clone(),
        path: file.path.clone(),
        url: None,
        size: file.size,
        sha256: file.sha256.clone(),
    })
}

/// The locked files that no mirror has any more; none if anything else failed too.
fn gone(failure: &Failed, lock: &Lock) -> Vec<Locked> {
    let Failed::Build(error) = failure else {
        return Vec::new();
    };
    let BuildError::Failed { failures, .. } = error.as_ref() else {
        return Vec::new();
    };
    let gone: Vec<Locked> = failures
        .iter()
        .filter(|failure| failure.error.net().is_some_and(NetError::is_gone))
        .filter_map(|failure| {
            lock.files
                .iter()
                .find(|file| file.subject() == failure.subject)
        })
        .cloned()
        .collect();
    if gone.len() == failures.len() {
        gone
    } else {
        Vec::new()
    }
}

fn about(closure: &Closure) -> String {
    let (files, size) = closure.size();
    let fixed = closure
        .manifest
        .fixed_path
        .as_deref()
        .map(|path| format!("\n  its programs may be given privileges in {path}"));
    format!(
        "{} in {files} files\n  runs on {}{}",
        bytes(size),
        closure.manifest.runs_on(),
        fixed.unwrap_or_default()
    )
}

/// The link as the person would type it.
fn shown(link: &Utf8Path) -> &Utf8Path {
    link.strip_prefix(super::config::here()).unwrap_or(link)
}

/// How long the steps of this recipe took, last time.
pub(super) fn durations(session: &Session, name: &str) -> Result<Durations, Failed> {
    let text = session
        .store()
        .memo_get(&durations_key(name))?
        .unwrap_or_default();
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let time = words.next()?.parse().ok()?;
            Some(((words.next()?.to_owned(), words.next()?.to_owned()), time))
        })
        .collect())
}

fn keep_durations(store: &Store, name: &str, new: &Durations) -> Result<(), Failed> {
    let session = store.session()?;
    let mut all = durations(&session, name)?;
    all.extend(new.iter().map(|(step, time)| (step.clone(), *time)));
    let mut lines: Vec<String> = all
        .iter()
        .map(|((kind, subject), time)| format!("{time} {kind} {subject}\n"))
        .collect();
    lines.sort();
    Ok(store.memo_put(&durations_key(name), lines.concat().as_bytes())?)
}

fn durations_key(name: &str) -> Digest {
    Digest::of(format!("durations of {name}").as_bytes())
}
