//! [`Recipe`] → [`Lock`]: the distribution's part and the wheels, joined. Begin at [`lock`].

use std::collections::{BTreeMap, BTreeSet};

use super::builder::{Builder, Question};
use super::error::{ForeignSdist, LockError, NoWheel};
use super::file::order;
use super::installed::installed;
use super::options::Options;
use super::pip::Machines;
use super::sources;
use super::suites::Suites;
use super::sysroot::Sysroot;
use super::system::System;
use super::version::compare;
use super::{Context, FileKind, Lock, Locked};
use crate::platform::Platform;
use crate::recipe::{Recipe, Sdists, Spanned};

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
        files.extend(sources::sources(context, &suites, built, &kept)?);
    }
    let debs = prefer(FileKind::Deb);
    let mut system = System::resolve(context, &suites, recipe, &debs, &linkable)?;
    let python = recipe.interpreter.as_ref().map(|it| &it.value.version);
    let builder = match python {
        Some(python) if options.builder != options.platform => {
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
    let sysroot = match (&recipe.sdists, machine) {
        (Some(_), Some(trees)) => Some(installed(context.session, trees.into_iter())?),
        _ => None,
    };
    let machines = Machines {
        builder: builder.as_ref().map(|builder| builder.root),
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
    if let Some(python) = python {
        files.extend(patches(context, &suites, &system, python)?);
    }
    let lock = Lock {
        serial: previous.map_or(0, |lock| lock.serial) + 1,
        recipe: recipe.lock_digest(),
        platform: options.platform,
        date: suites.date(),
        python: python.cloned(),
        asked: recipe.lock_facts(),
        suites: suites.suites.clone(),
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
    let wheels = || {
        let kinds = [FileKind::Wheel, FileKind::Sdist];
        let wheels = files.iter().filter(move |file| kinds.contains(&file.kind));
        wheels.map(|file| file.name.as_str())
    };
    let pip = &recipe.pip;
    let overrides = pip.overrides.iter();
    let overrides = overrides.map(|it| Spanned {
        value: it.value.name.clone(),
        span: it.span,
        text: it.text.clone(),
    });
    let asked = pip.keep_pth.iter().chain(&pip.no_binary).cloned();
    match asked
        .chain(overrides)
        .find(|name| wheels().all(|it| it != name.value))
    {
        None => Ok(()),
        Some(name) => Err(LockError::NoWheel(Box::new(NoWheel {
            name: name.value.clone(),
            near: super::near::nearest(&name.value, wheels()),
            text: miette::NamedSource::clone(&name.text),
            at: name.span,
        }))),
    }
}

/// The packaging part of the interpreter's source package: Debian's patches are undone with it.
fn patches(
    context: &Context<'_>,
    suites: &Suites,
    system: &System<'_>,
    python: &str,
) -> Result<Option<Locked>, LockError> {
    let Some(offer) = system.interpreter(python) else {
        return Ok(None);
    };
    let (name, version) = (&*offer.package.source, &*offer.package.source_version);
    patches_of(context, suites, name, version, "interpreter").map(Some)
}

/// The packaging part of a source package.
///
/// A mirror may lack the sources of a version whose binaries it has. Then the nearest older version
/// of the same signed suites serves: it has the same patches but for a fix or two, those are undone
/// only where they fit exactly, and what must not be left in a file is looked for afterwards.
pub(super) fn patches_of(
    context: &Context<'_>,
    suites: &Suites,
    name: &str,
    version: &str,
    reason: &str,
) -> Result<Locked, LockError> {
    let mut sources = suites.sources(context, name)?;
    sources.retain(|(source, _)| compare(&source.version, version).is_le());
    sources.sort_by(|(a, _), (b, _)| compare(&b.version, &a.version));
    let exact = sources.first().is_some_and(|(it, _)| it.version == version);
    let absent = || LockError::NoSource {
        name: name.to_owned(),
        version: version.to_owned(),
        suite: suites.release().to_owned(),
    };
    if !exact {
        return Err(absent());
    }
    let mut gone = None;
    for (source, archive) in sources {
        let mut files = source.files.into_iter();
        let Some(file) = files.find(|file| file.path.contains(".debian.tar.")) else {
            continue;
        };
        let file = Locked {
            kind: FileKind::DebianPatches,
            name: name.to_owned(),
            version: source.version,
            architecture: String::new(),
            source: name.to_owned(),
            archive,
            path: file.path,
            size: file.size,
            sha256: file.sha256,
            reason: reason.to_owned(),
            requires: Vec::new(),
        };
        // A build after this lock needs no network: it is fetched although nothing here reads it.
        match super::candidates::fetch(context, &file) {
            Ok(_) => {
                if file.version != version {
                    context.net.watch().note(&format!(
                        "no mirror has the packaging of {name} {version}: that of {} is taken",
                        file.version
                    ));
                }
                return Ok(file);
            }
            Err(error) if error.is_gone() => gone = gone.or(Some(error)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(gone.map_or_else(absent, LockError::from))
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
