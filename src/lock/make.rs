//! [`Recipe`] → [`Lock`]: the distribution's part and the wheels, joined. Begin at [`lock`].

use std::collections::{BTreeMap, BTreeSet};

use super::builder::{Builder, Question, Resolver};
use super::error::{ForeignSdist, LockError, NoWheel};
use super::file::order;
use super::installed;
use super::options::Options;
use super::patches::Asked;
use super::pip::{Beside, Machines};
use super::sources;
use super::suites::Suites;
use super::sysroot::Sysroot;
use super::system::System;
use super::{Context, FileKind, Lock, Locked, Suite};
use crate::platform::Platform;
use crate::recipe::{ChosenVersions, InterpreterSource, Recipe, Sdists, Spanned};

/// Asks the world what a recipe needs today. The same recipe, lock and indexes give the same lock.
///
/// Where nothing but the date of an index differs from `previous`, that lock comes back unchanged: a
/// newer date alone would change every file that is built.
pub fn lock(
    recipe: &Recipe,
    previous: Option<&Lock>,
    context: &Context<'_>,
    options: &Options,
) -> Result<Lock, LockError> {
    let (suite, expired) = release(recipe).ok_or(LockError::NoRelease)?;
    let known = previous
        .map(|lock| lock.suites.as_slice())
        .unwrap_or_default();
    let allow_expired = options.allow_expired || expired;
    let suites = Suites::load(context, suite, options.platform, known, allow_expired)?;
    let kept: Vec<&Locked> = previous
        .map(|lock| {
            lock.files
                .iter()
                .filter(|file| !options.upgrade.covers(file))
                .collect()
        })
        .unwrap_or_default();
    let prefer = |kind: FileKind| -> BTreeMap<String, String> {
        let files = kept.iter().filter(|file| file.kind == kind);
        files
            .map(|file| (file.name.clone(), file.version.clone()))
            .collect()
    };
    let mut files = Vec::new();
    let mut linkable = BTreeSet::new();
    let mut machine = None;
    if let Some((packages, added)) = machine_of(recipe, &suites) {
        let prefer = prefer(FileKind::Sysroot);
        let sysroot = Sysroot::resolve(context, &suites, packages, &added, &prefer)?;
        files.extend(sysroot.files);
        linkable = sysroot.linkable;
        machine = Some(sysroot.trees);
    }
    if let Some(built) = &recipe.built {
        files.extend(sources::sources(context, &suites, &built.sources, &kept)?);
    }
    if let Some(archive) = &recipe.archive {
        let archive = std::slice::from_ref(archive);
        files.extend(sources::sources(context, &suites, archive, &kept)?);
    }
    let debs = prefer(FileKind::Deb);
    let from = recipe.interpreter.as_ref().map(|it| it.value.from);
    let host = match from {
        Some(InterpreterSource::Host) => {
            let names = super::system::possible(recipe);
            Some(Suites::installed(context, options.platform, &names)?)
        }
        _ => None,
    };
    let offered = host.as_ref().unwrap_or(&suites);
    let mut system = System::resolve(context, offered, recipe, &debs, &linkable)?;
    let python = recipe.interpreter.as_ref().map(|it| &it.value.version);
    let builder = match python {
        Some(python) if options.builder != options.platform && !is_pristine(recipe) => {
            let question = Question {
                suite,
                known,
                allow_expired,
                python,
            };
            let (platform, chosen) = (options.builder, system.files());
            let builder = Builder::resolve(context, recipe, platform, &kept, &chosen, question)?;
            Some(builder)
        }
        _ => None,
    };
    if let Some(sdists) = recipe.sdists.as_ref().filter(|_| builder.is_some()) {
        return Err(foreign(sdists, options.platform));
    }
    let resolver = match is_pristine(recipe) && !recipe.requirements().is_empty() {
        true => Some(Resolver::resolve(
            context,
            &suites,
            recipe,
            &prefer(FileKind::Builder),
        )?),
        false => None,
    };
    files.extend(resolver.as_ref().and_then(Resolver::pip));
    let beside = match (&builder, &resolver) {
        (Some(builder), _) => Beside::root(builder.root),
        (None, Some(resolver)) => resolver.beside(context)?,
        (None, None) => Beside::default(),
    };
    let sysroot = match (&recipe.sdists, machine) {
        (Some(_), Some(trees)) => Some(installed::machine(context.session, trees.into_iter())?),
        _ => None,
    };
    let machines = Machines {
        beside,
        sysroot,
        suites: &suites,
    };
    let wheels = super::pip::wheels(recipe, previous, context, options, &system, &machines)?;
    system.add_wheels(context, &wheels.unpacked)?;
    files.extend(system.files());
    files.extend(builder.into_iter().flat_map(|builder| builder.files));
    files.extend(wheels.files);
    files.extend(wheels.sdists);
    check_projects(recipe, &files)?;
    let mut believed = suites.suites.clone();
    if let Some(interpreter) = &recipe.interpreter
        && !interpreter.value.from.is_pristine()
        && let Some(offer) = system.interpreter(&interpreter.value.version)
    {
        let own = (&*offer.package.source, &*offer.package.source_version);
        let asked = Asked {
            interpreter,
            suites: &suites,
            known,
            allow_expired: options.allow_expired,
        };
        let patches = asked.resolve(context, own, &kept)?;
        files.push(patches.file);
        add_suites(&mut believed, &patches.suites);
    }
    let lock = Lock {
        serial: previous.map_or(0, |lock| lock.serial) + 1,
        recipe: recipe.lock_digest(),
        platform: options.platform,
        date: newest(&believed),
        python: python.cloned(),
        asked: recipe.lock_facts(),
        suites: believed,
        files,
    };
    context.keep_fetched()?;
    Ok(settle(lock, previous))
}

/// The release that everything of a recipe is of, and whether its index may be an old one.
pub(super) fn release(recipe: &Recipe) -> Option<(&str, bool)> {
    let interpreter = recipe.interpreter.as_ref().map(|it| &it.value);
    let sysroot = recipe.built.as_ref().map(|it| &it.sysroot.value);
    let of = interpreter.map(|it| (it.suite.as_str(), it.allow_expired));
    of.or(sysroot.map(|it| (it.suite.as_str(), it.allow_expired)))
}

/// Whether the interpreter is none of the distribution's.
fn is_pristine(recipe: &Recipe) -> bool {
    let interpreter = recipe.interpreter.as_ref();
    interpreter.is_some_and(|it| it.value.from.is_pristine())
}

/// The packages of the recipe's sysroot, and those that are added for its interpreter: what is built
/// from sources alone needs none.
fn machine_of<'r>(
    recipe: &'r Recipe,
    suites: &Suites,
) -> Option<(&'r [Spanned<String>], Vec<String>)> {
    if let (Some(sdists), Some(interpreter)) = (&recipe.sdists, &recipe.interpreter) {
        let python = &interpreter.value.version;
        let added = super::system::builds_with(suites, python, sdists.said);
        return Some((&sdists.packages, added));
    }
    let built = recipe.built.as_ref()?;
    Some((&built.packages, Vec::new()))
}

/// The backend of an sdist runs while locking, and its wheel is for the machine that it is built on.
fn foreign(sdists: &Sdists, platform: Platform) -> LockError {
    let place = sdists.projects.first();
    let (text, at) = place.map_or_else(
        || (&sdists.sysroot.text, sdists.sysroot.span),
        |word| (&word.text, word.span),
    );
    LockError::ForeignSdist(Box::new(ForeignSdist {
        platform,
        text: miette::NamedSource::clone(text),
        at,
    }))
}

/// Of a project that is not there nothing can be kept, built or overridden.
fn check_projects(recipe: &Recipe, files: &[Locked]) -> Result<(), LockError> {
    let wheels = |for_builds| {
        let wheels = files.iter().filter(move |file| match for_builds {
            true => file.kind.is_for_builds(),
            false => [FileKind::Wheel, FileKind::Sdist].contains(&file.kind),
        });
        wheels.map(|file| file.name.as_str())
    };
    let pip = &recipe.pip;
    let named = |it: &Spanned<ChosenVersions>| it.with(it.value.name.clone());
    let asked = pip.keep_pth.iter().chain(&pip.no_binary).cloned();
    let asked = asked.chain(pip.overrides.iter().map(named));
    let for_builds = pip.build_constraints.iter().map(named);
    let all = asked
        .map(|name| (name, false))
        .chain(for_builds.map(|name| (name, true)));
    for (name, for_builds) in all {
        if wheels(for_builds).all(|it| it != name.value) {
            return Err(LockError::NoWheel(Box::new(NoWheel {
                near: super::near::nearest(&name.value, wheels(for_builds)),
                name: name.value,
                for_builds,
                text: miette::NamedSource::clone(&name.text),
                at: name.span,
            })));
        }
    }
    Ok(())
}

/// Adds the signed indexes of other releases.
pub(super) fn add_suites(all: &mut Vec<Suite>, more: &[Suite]) {
    for suite in more {
        let same = |other: &Suite| (&other.name, &other.archive) == (&suite.name, &suite.archive);
        if !all.iter().any(same) {
            all.push(suite.clone());
        }
    }
}

/// The newest index date, seconds since 1970.
pub(super) fn newest(suites: &[Suite]) -> u64 {
    let dates = suites.iter().map(|suite| suite.date);
    dates.max().unwrap_or_default()
}

/// Sorts, and lets an unchanged lock be the lock before.
pub(super) fn settle(mut lock: Lock, previous: Option<&Lock>) -> Lock {
    lock.files.sort_by(|a, b| order(a).cmp(&order(b)));
    lock.suites
        .sort_by(|a, b| (&a.archive, &a.name).cmp(&(&b.archive, &b.name)));
    let same = |before: &&Lock| {
        let Lock {
            serial: _,
            recipe,
            platform,
            date: _,
            python,
            asked,
            suites: _,
            files,
        } = before;
        (recipe, platform, python, asked, files)
            == (
                &lock.recipe,
                &lock.platform,
                &lock.python,
                &lock.asked,
                &lock.files,
            )
    };
    match previous.filter(same) {
        Some(before) => before.clone(),
        None => lock,
    }
}

/// What differs between what a lock was made for and what the recipe asks now; empty when nothing does.
///
/// Pure: no index is asked, so a lock that is not out of date may still not be the newest.
pub fn out_of_date(lock: &Lock, recipe: &Recipe) -> Vec<String> {
    if lock.recipe == recipe.lock_digest() {
        return Vec::new();
    }
    let asks = recipe.lock_facts();
    let added = asks
        .iter()
        .filter(|fact| !lock.asked.contains(fact))
        .map(|fact| format!("added: {fact}"));
    let gone = lock
        .asked
        .iter()
        .filter(|fact| !asks.contains(fact))
        .map(|fact| format!("gone: {fact}"));
    let mut differences: Vec<String> = added.chain(gone).collect();
    if differences.is_empty() {
        differences.push("the lock was made by another version of recipe".into());
    }
    differences
}
