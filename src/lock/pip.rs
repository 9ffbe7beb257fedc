//! The Python requirements of a recipe → locked wheels, and what their modules need. Begin at [`wheels()`].
//!
//! The resolver runs beside the Python that the closure will have: the packages that were just
//! chosen, merged and laid out. The wheels are then fetched and looked into like the Debian packages.

use std::collections::BTreeMap;
use std::str::FromStr;

use miette::NamedSource;
use recipe_store::{BlobId, Entry, StoreError, TreeId, walk};
use reqwest::Url;

use super::candidates::{Unpacked, look_into, side_by_side};
use super::error::{FailedSdist, LockError};
use super::options::{Options, Upgrade};
use super::sdists::{SdistError, Sdists, Stop};
use super::suites::Suites;
use super::system::System;
use super::wheels::{self, WheelsError, fetch};
use super::{Context, Lock, Locked};
use crate::platform::Platform;
use crate::python::{ProjectName, Requirement, Target};
use crate::recipe::{ChosenVersions, Recipe, Spanned};

/// The package that has pip's own wheel, for ensurepip and for pip's default index; its name before
/// bookworm comes last.
pub(crate) const PIP: [&str; 2] = ["python3-pip-whl", "python-pip-whl"];

/// Wheels and what is in them, by project.
pub(super) struct Wheels {
    pub(super) files: Vec<Locked>,
    /// Sdists, and what builds them.
    pub(super) sdists: Vec<Locked>,
    pub(super) unpacked: BTreeMap<String, Unpacked>,
}

/// What the resolver runs beside, where that is not the closure's own Python.
#[derive(Default)]
pub(super) struct Beside<'a> {
    /// The packages of a Python for this machine, in one tree.
    pub(super) root: Option<TreeId>,
    /// The packages that have pip.
    pub(super) pip: Option<&'a System<'a>>,
    /// The version of that Python, where it may be another.
    pub(super) python: Option<&'a str>,
}

impl Beside<'_> {
    /// A Python of the closure's own version.
    pub(super) fn root(root: TreeId) -> Self {
        Beside {
            root: Some(root),
            ..Beside::default()
        }
    }
}

/// What else than the closure's own Python is there to run something in.
pub(super) struct Machines<'s> {
    /// What the resolver runs beside.
    pub(super) beside: Beside<'s>,
    /// What builds of sdists see.
    pub(super) sysroot: Option<TreeId>,
    /// Where packages come from.
    pub(super) suites: &'s Suites,
}

/// Resolves what the recipe asks of pip, and looks into every wheel.
pub(super) fn wheels(
    recipe: &Recipe,
    previous: Option<&Lock>,
    context: &Context<'_>,
    options: &Options,
    system: &System<'_>,
    machines: &Machines<'_>,
) -> Result<Wheels, LockError> {
    let nothing = Wheels {
        files: Vec::new(),
        sdists: Vec::new(),
        unpacked: BTreeMap::new(),
    };
    if recipe.requirements().is_empty() {
        return Ok(nothing);
    }
    let Some(sandbox) = context.sandbox else {
        return Err(LockError::NoSandbox);
    };
    let asked: Vec<_> = recipe
        .requirements()
        .iter()
        .filter_map(|asked| Some((asked.name.parse::<ProjectName>().ok()?, &asked.origin)))
        .collect();
    let told = |error: WheelsError| match error.project() {
        Some(_) => LockError::Wheels(error.shown(&asked)),
        None => LockError::PackageIndex(Box::new(error)),
    };
    let requirements = requirements(recipe).map_err(told)?;
    let python = recipe.interpreter.as_ref();
    let python = python.map_or("", |interpreter| &*interpreter.value.version);
    let target = target(system, python, options.platform).map_err(told)?;
    let beside = &machines.beside;
    let indexes = indexes(context, beside.pip.unwrap_or(system))?;
    let root = beside.root.map_or_else(|| system.root(context), Ok)?;
    let root = context.session.checkout_private(&root)?;
    let names: Vec<ProjectName> = match &options.upgrade {
        Upgrade::These(names) => names.iter().filter_map(|name| name.parse().ok()).collect(),
        _ => Vec::new(),
    };
    let upgrade = match &options.upgrade {
        Upgrade::Nothing => wheels::Upgrade::Nothing,
        Upgrade::Everything => wheels::Upgrade::Everything,
        Upgrade::These(_) => wheels::Upgrade::These(&names),
    };
    let previous = previous
        .map(|lock| lock.files.as_slice())
        .unwrap_or_default();
    let place = wheels::Context {
        net: context.net,
        session: context.session,
        sandbox,
        indexes: &indexes,
        target: &target,
        python_root: &root,
        python: beside.python.unwrap_or(python),
    };
    let texts = |chosen: &[Spanned<ChosenVersions>]| -> Vec<String> {
        chosen.iter().map(|it| it.value.text.clone()).collect()
    };
    let overrides = texts(&recipe.pip.overrides);
    let constraints = texts(&recipe.pip.build_constraints);
    let (files, sdists) = match (&recipe.sdists, machines.sysroot) {
        (Some(built), Some(sysroot)) => {
            let projects = built.projects.iter();
            let projects = projects.filter_map(|it| it.value.parse().ok()).collect();
            let how = (python, machines.suites.date());
            let before = (previous, &options.upgrade);
            let mut sdists = Sdists::new(sandbox, place, sysroot, how, before, &constraints);
            let resolved = sdists.resolve(&requirements, projects, &overrides);
            let resolved = resolved.map_err(|stop| match stop {
                Stop::Wheels(error) => told(error),
                Stop::Sdist(subject, cause) => failed(recipe, context, machines, subject, *cause),
            })?;
            (resolved.wheels, resolved.sdists)
        }
        _ => {
            let kept = wheels::preferences(previous, upgrade);
            let terms = wheels::Terms {
                overrides: &overrides,
                kept: &kept,
                ..wheels::Terms::default()
            };
            let answered = wheels::resolve_on(&requirements, &terms, &place).map_err(told)?;
            (answered.wheels, Vec::new())
        }
    };
    let looked = side_by_side(&files, |file| {
        unpack(context, file, &indexes).map_err(Looked::told(told))
    });
    let mut unpacked = BTreeMap::new();
    for (file, looked) in files.iter().zip(looked) {
        unpacked.insert(file.name.clone(), looked?);
    }
    Ok(Wheels {
        files,
        sdists,
        unpacked,
    })
}

/// Why an sdist cannot be built, with the line that asks for it, and who has what its build missed.
fn failed(
    recipe: &Recipe,
    context: &Context<'_>,
    machines: &Machines<'_>,
    subject: String,
    cause: SdistError,
) -> LockError {
    let mut cause = cause;
    if let SdistError::Hook(failed) = &mut cause {
        let files = failed.missing().into_iter();
        // Only asked when there is an error to tell, and only where there is a network.
        let offered = files.map(|file| {
            let packages = machines.suites.packages_with(context, &file);
            (file, packages.unwrap_or_default())
        });
        failed.offered = offered.collect();
    }
    let project = subject.split(' ').next().unwrap_or_default();
    let mut requirements = recipe.requirements().iter();
    let asked = requirements
        .find(|asked| asked.name == project)
        .map(|asked| (asked.origin.text.clone(), asked.origin.span));
    let mut named = recipe.pip.no_binary.iter();
    let named = named
        .find(|word| word.value == project)
        .or(recipe.pip.no_binary.first());
    let (text, at) = match (asked, named) {
        (Some(asked), _) => asked,
        (None, Some(word)) => (NamedSource::clone(&word.text), word.span),
        (None, None) => (NamedSource::clone(&recipe.text), (0, 0).into()),
    };
    let bare = recipe.sdists.as_ref().is_some_and(|it| !it.said);
    LockError::Sdist(Box::new(FailedSdist {
        subject,
        cause,
        suite: bare.then(|| machines.suites.release().to_owned()),
        text,
        at,
    }))
}

/// What can go wrong while looking into a wheel.
enum Looked {
    Wheel(WheelsError),
    Lock(LockError),
}

impl Looked {
    fn told(told: impl Fn(WheelsError) -> LockError) -> impl Fn(Looked) -> LockError {
        move |looked| match looked {
            Looked::Wheel(error) => told(error),
            Looked::Lock(error) => error,
        }
    }
}

fn unpack(context: &Context<'_>, file: &Locked, indexes: &[Url]) -> Result<Unpacked, Looked> {
    let wanted = fetch::File {
        name: &file.path,
        size: file.size,
        sha256: &file.sha256,
    };
    let blob =
        fetch::fetch(&wanted, context.net, context.session, indexes).map_err(Looked::Wheel)?;
    context.fetched(&file.sha256, &blob);
    let source = context
        .session
        .open_blob(&blob)
        .map_err(|error| Looked::Lock(error.into()))?;
    look_into(context, file, source).map_err(Looked::Lock)
}

fn requirements(recipe: &Recipe) -> Result<Vec<Requirement>, WheelsError> {
    let one = |asked: &crate::recipe::Requirement| {
        let mut requirement = Requirement::from_str(&asked.text)?;
        let hashes = asked
            .hashes
            .iter()
            .filter_map(|hash| hash.strip_prefix("sha256:"));
        requirement.sha256 = hashes.map(str::to_owned).collect();
        Ok(requirement)
    };
    recipe.requirements().iter().map(one).collect()
}

/// What wheels have to fit: this Python, and the C library that was chosen.
fn target(system: &System<'_>, python: &str, platform: Platform) -> Result<Target, WheelsError> {
    let libc = system.package("libc6");
    let glibc = libc.map_or((0, 0), |(file, _)| glibc(&file.version));
    Ok(Target::new(python, glibc, platform)?)
}

/// The glibc of a Debian version: `2.41` of `2.41-12+deb13u4`.
pub(crate) fn glibc(version: &str) -> (u16, u16) {
    let upstream = version
        .split_once(':')
        .map_or(version, |(_, upstream)| upstream);
    let mut numbers = upstream
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (0, 0),
    }
}

/// Whether a path of the package [`PIP`] is pip's own wheel.
pub(crate) fn is_wheel_of_pip(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("pip-") && name.ends_with(".whl")
}

fn indexes(context: &Context<'_>, system: &System<'_>) -> Result<Vec<Url>, LockError> {
    let mut pip: Option<BlobId> = None;
    if let Some((_, tree)) = PIP.iter().find_map(|name| system.package(name)) {
        walk::<StoreError>(context.session, &tree, &mut |path, entry| {
            if let (true, Entry::File { blob, .. }) = (is_wheel_of_pip(path), entry) {
                pip = Some(*blob);
            }
            Ok(())
        })?;
    }
    let configured = &context.net.settings().python_index;
    fetch::indexes(configured, context.session, pip.as_ref())
        .map_err(|error| LockError::PackageIndex(Box::new(error)))
}
