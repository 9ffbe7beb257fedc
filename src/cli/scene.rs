//! A recipe with its lock, a store and a network → its steps run, and what can be said where they fail. Begin at
//! [`Scene::build_following`].

use std::sync::atomic::AtomicUsize;

use petgraph::graph::NodeIndex;
use recipe_store::Session;

use super::app::{App, now, write_lock};
use super::durations::durations;
use super::exit::Failed;
use super::found::Found;
use super::options::Options;
use super::record::Record;
use super::render::Progress;
use super::standing::Standing;
use crate::build::steps::{Compilers, Programs, PythonIndexes};
use crate::build::{BuildError, Built, Workshop, build, inputs};
use crate::cache::{Asked, Pulled};
use crate::lock::{self, Lock, Locked};
use crate::net::NetError;
use crate::plan::{Besides, Plan, Resolved, Source, Step};
use crate::recipe::{LockPolicy, Recipe};

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
    pub(super) fn build_following(&self, lock: Lock) -> Result<(Built, Pulled, u64), Failed> {
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
            at_once: app.config.at_once,
            keep_going: options.keep_going || recipe.lock == LockPolicy::Follow,
            loud: options.loud,
            durations: &durations,
            indexes: indexes(plan, lock),
            compilers: Compilers::default(),
            programs: Programs::default(),
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
