//! `recipe build`: a recipe as a closure, linked at `result/NAME`.

use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{Digest, Root, StepKey, Store, StoreError, TreeId};

use serde::Serialize;

use super::answer::Form;
use super::app::{App, link_path};
use super::durations::keep_durations;
use super::exit::Failed;
use super::found::{Forms, Found};
use super::memo::{self, Memo};
use super::options::Options;
use super::render::{bytes, plural, seconds};
use super::scene::Scene;
use crate::cache::Pulled;
use crate::closure::Closure;

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
    keep_plan(&built.plan, &scene)?;
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

/// Remembers which recipe the plan was of, for whoever asks for it by its id.
fn keep_plan(plan: &Digest, scene: &Scene<'_>) -> Result<(), Failed> {
    let Some(word) = scene.found.typed_anywhere() else {
        return Ok(());
    };
    let text = format!("{plan}\n{word}");
    let title = Digest::of(scene.recipe.title().as_bytes());
    for name in [*plan, title] {
        let store = scene.session.store();
        store.memo_put(&plan_key(&name), text.as_bytes())?;
    }
    Ok(())
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
