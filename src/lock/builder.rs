//! The machine that builds, where the closure is for another → the few packages of its own that a
//! build runs, and a Python for uv. Begin at [`Builder::resolve`].
//!
//! Byte code does not depend on the processor, only on Python's patch level: it is made by the same
//! Python as the closure's, for this machine. Nothing of these packages enters the closure.

use std::collections::{BTreeMap, BTreeSet};

use recipe_store::TreeId;

use super::error::LockError;
use super::pip::Beside;
use super::suites::Suites;
use super::system::System;
use super::{Context, FileKind, Locked, Suite};
use crate::platform::Platform;
use crate::recipe::{InterpreterSource, Recipe};

/// What a build runs of the machine that builds.
pub(super) struct Builder {
    /// Its packages, as a lock has them.
    pub(super) files: Vec<Locked>,
    /// Its Python in a tree, as a distribution would have it installed.
    pub(super) root: TreeId,
}

impl Builder {
    /// Chooses the packages of `platform`; `system` are those of the closure, and `kept` those locked
    /// before, whose versions stay where they can.
    pub(super) fn resolve(
        context: &Context<'_>,
        recipe: &Recipe,
        platform: Platform,
        kept: &[&Locked],
        closure: &[Locked],
        question: Question<'_>,
    ) -> Result<Builder, LockError> {
        let suites = Suites::load(
            context,
            question.suite,
            platform,
            question.known,
            question.allow_expired,
        )?;
        // What the recipe asks of the distribution is for the closure.
        let mut bare = recipe.clone();
        bare.system = crate::recipe::System::default();
        bare.built = None;
        let prefer: BTreeMap<String, String> = kept
            .iter()
            .filter(|file| file.kind == FileKind::Builder)
            .map(|file| (file.name.clone(), file.version.clone()))
            .collect();
        let system = System::resolve(context, &suites, &bare, &prefer, &BTreeSet::new())?;
        let mut files = system.files();
        files.retain(|file| {
            file.architecture == platform.debian() && compiles(question.python, &file.name)
        });
        for file in &mut files {
            file.kind = FileKind::Builder;
            file.reason = "byte code".to_owned();
        }
        same_python(&files, closure, question.python, platform)?;
        Ok(Builder {
            files,
            root: system.root(context)?,
        })
    }
}

/// Where packages come from, and which Python.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) suite: &'a str,
    pub(super) known: &'a [Suite],
    pub(super) allow_expired: bool,
    pub(super) python: &'a str,
}

/// The distribution's own Python, for uv: an interpreter that is built, or that an archive has, does not
/// run while locking. It is not locked: which wheels fit is decided by the recipe's version.
pub(super) struct Resolver<'s> {
    system: System<'s>,
    version: String,
}

impl<'s> Resolver<'s> {
    /// The same version, where the release has it, else its newest; `prefer` are versions of packages
    /// that stay where they can.
    pub(super) fn resolve(
        context: &Context<'_>,
        suites: &'s Suites,
        recipe: &Recipe,
        prefer: &BTreeMap<String, String>,
    ) -> Result<Resolver<'s>, LockError> {
        let mut bare = recipe.clone();
        bare.system = crate::recipe::System::default();
        bare.built = None;
        bare.archive = None;
        let mut version = String::new();
        if let Some(interpreter) = &mut bare.interpreter {
            let mut offered = super::system::pythons(suites);
            let own = offered
                .iter()
                .position(|it| *it == interpreter.value.version);
            if let Some(found) = own.map(|at| offered.swap_remove(at)).or(offered.pop()) {
                interpreter.value.version = found;
            }
            interpreter.value.from = InterpreterSource::Debian;
            version.clone_from(&interpreter.value.version);
        }
        let system = System::resolve(context, suites, &bare, prefer, &BTreeSet::new())?;
        Ok(Resolver { system, version })
    }

    /// The package whose wheel of pip knows where pip looks for packages: a build may have to fetch
    /// wheels, and the closure's own pip is not there before. Nothing of it enters the closure.
    pub(super) fn pip(&self) -> Option<Locked> {
        let (file, _) = super::PIP
            .iter()
            .find_map(|name| self.system.package(name))?;
        Some(Locked {
            kind: FileKind::Builder,
            reason: "fetching wheels".to_owned(),
            ..file.clone()
        })
    }

    /// What the resolver of wheels runs beside.
    pub(super) fn beside(&self, context: &Context<'_>) -> Result<Beside<'_>, LockError> {
        Ok(Beside {
            root: Some(self.system.root(context)?),
            pip: Some(&self.system),
            python: Some(&self.version),
        })
    }
}

/// Whether an interpreter of this version needs this package to compile byte code.
pub(crate) fn compiles(python: &str, package: &str) -> bool {
    let own = [
        format!("python{python}-minimal"),
        format!("libpython{python}-minimal"),
        format!("libpython{python}-stdlib"),
    ];
    own.iter().any(|name| name == package) || ["libc6", "zlib1g", "libexpat1"].contains(&package)
}

/// The same patch level on both sides: another one may write other byte code.
fn same_python(
    files: &[Locked],
    closure: &[Locked],
    python: &str,
    platform: Platform,
) -> Result<(), LockError> {
    let name = format!("libpython{python}-minimal");
    let upstream = |files: &[Locked], kind: FileKind| {
        let file = files
            .iter()
            .find(|file| file.kind == kind && file.name == name)?;
        let version = file.version.rsplit_once('-');
        Some(
            version
                .map_or(&*file.version, |(upstream, _)| upstream)
                .to_owned(),
        )
    };
    let (here, there) = (
        upstream(files, FileKind::Builder),
        upstream(closure, FileKind::Deb),
    );
    if here == there {
        return Ok(());
    }
    let known = |version: Option<String>| version.unwrap_or_else(|| "none".to_owned());
    Err(LockError::OtherPython {
        wanted: known(there),
        found: known(here),
        platform,
    })
}
