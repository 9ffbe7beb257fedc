//! Requirements → the [`Locked`] wheels that satisfy them. Begin at [`resolve`].
//!
//! uv resolves; it is a pinned source (`tool.rs`), runs in the sandbox beside the Python that the
//! closure will have (`run.rs`), and is the one program that is ever given a network. Of its answer
//! only names, versions, hashes and who needs whom are kept: `choose.rs` picks one wheel for each
//! project, and [`fetch`] brings files by name and hash from whatever index the machine has.

mod choose;
mod error;
pub mod fetch;
mod run;
mod tool;

use std::collections::BTreeMap;

use camino::Utf8Path;
use rayon::prelude::*;
use recipe_store::{BlobId, Session};
use reqwest::Url;

use super::sdists::facts::Facts;
use super::{FileKind, Locked};
use crate::net::Net;
use crate::python::{ProjectName, Requirement, Target, pylock};
use crate::sandbox::Sandbox;

pub use error::{Shown, WheelsError};
pub use tool::Tool;

/// Downloads at once.
const SIDE_BY_SIDE: usize = 8;

/// What resolving needs besides the question.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Fetches the tool and the wheels.
    pub net: &'a Net,
    /// Where fetched files go.
    pub session: &'a Session,
    /// Where the tool runs.
    pub sandbox: &'a Sandbox,
    /// Package indexes, each complete in itself, the best first: [`fetch::indexes`].
    pub indexes: &'a [Url],
    /// The Python and libc that the wheels must fit.
    pub target: &'a Target,
    /// The interpreter's Debian packages, merged and checked out; they hold
    /// `usr/bin/pythonX.Y` and the libraries it needs.
    pub python_root: &'a Utf8Path,
    /// The version of that interpreter, `3.13`; mostly that of the target.
    pub python: &'a str,
}

/// Which versions of the lock before may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade<'a> {
    /// None: versions that still satisfy everything stay.
    Nothing,
    /// These projects (normalised names).
    These(&'a [ProjectName]),
    /// All.
    Everything,
}

/// What a resolution takes besides requirements.
#[derive(Default)]
pub(super) struct Terms<'a> {
    /// Projects whose sdists are taken.
    pub(super) no_binary: &'a [ProjectName],
    /// What is known of sdists; of all other versions it is assumed that they need nothing.
    pub(super) known: &'a [Facts],
    /// Requirements that take the place of all others of their projects.
    pub(super) overrides: &'a [String],
    /// Requirements that hold where something else requires their projects.
    pub(super) constraints: &'a [String],
    /// Names and versions to keep where possible.
    pub(super) kept: &'a [(&'a str, &'a str)],
}

/// One file for each project.
pub(super) struct Answered {
    /// Wheels, sorted by name.
    pub(super) wheels: Vec<Locked>,
    /// Sdists, sorted by name.
    pub(super) sdists: Vec<Locked>,
}

/// One wheel for each project that `requirements` need, sorted by name.
///
/// `previous` are the wheels of the lock before; their versions are kept where they can be.
///
/// # Errors
/// When nothing satisfies the requirements, a project has no wheel for the target, no index
/// answers, or the machine is offline.
pub fn resolve(
    requirements: &[Requirement],
    previous: &[Locked],
    upgrade: Upgrade<'_>,
    context: &Context<'_>,
) -> Result<Vec<Locked>, WheelsError> {
    let kept = preferences(previous, upgrade);
    let terms = Terms {
        kept: &kept,
        ..Terms::default()
    };
    Ok(resolve_on(requirements, &terms, context)?.wheels)
}

/// The same on other terms.
pub(super) fn resolve_on(
    requirements: &[Requirement],
    terms: &Terms<'_>,
    context: &Context<'_>,
) -> Result<Answered, WheelsError> {
    if requirements.is_empty() {
        return Ok(Answered {
            wheels: Vec::new(),
            sdists: Vec::new(),
        });
    }
    if context.net.settings().offline {
        return Err(WheelsError::Offline);
    }
    let tool = tool::Tool::pinned(std::env::consts::ARCH)?;
    let answer = run::run(requirements, terms, &tool, context)?;
    let reasons = run::reasons(&answer.annotated);
    // Downloads wait for others: more of them than there are processors.
    let downloads = rayon::ThreadPoolBuilder::new()
        .num_threads(SIDE_BY_SIDE)
        .build()
        .map_err(|error| WheelsError::Tool {
            reason: error.to_string(),
        })?;
    let answers = downloads.install(|| {
        let packages = answer.packages.par_iter();
        packages
            .map(|package| {
                let source = terms.no_binary.contains(&package.name);
                locked(
                    package,
                    source,
                    requirements,
                    &reasons,
                    &answer.index,
                    context,
                )
            })
            .collect::<Result<Vec<_>, WheelsError>>()
    });
    let (mut locked, blobs): (Vec<Locked>, Vec<BlobId>) = answers?.into_iter().unzip();
    context.session.commit()?;
    for (file, blob) in locked.iter().zip(&blobs) {
        crate::net::remember(context.session.store(), &file.sha256, blob)?;
    }
    locked.sort_by(|a, b| a.name.cmp(&b.name));
    let (sdists, wheels) = locked
        .into_iter()
        .partition(|file| file.kind == FileKind::Sdist);
    Ok(Answered { wheels, sdists })
}

/// Names and versions to keep where possible.
pub(super) fn preferences<'a>(
    previous: &'a [Locked],
    upgrade: Upgrade<'_>,
) -> Vec<(&'a str, &'a str)> {
    let may_move = |name: &str| match upgrade {
        Upgrade::Nothing => false,
        Upgrade::These(names) => names.iter().any(|other| other.as_str() == name),
        Upgrade::Everything => true,
    };
    let wheels = previous.iter().filter(|file| file.kind == FileKind::Wheel);
    let kept = wheels.filter(|file| !may_move(&file.name));
    kept.map(|file| (file.name.as_str(), file.version.as_str()))
        .collect()
}

fn locked(
    package: &pylock::Package,
    source: bool,
    requirements: &[Requirement],
    reasons: &BTreeMap<ProjectName, String>,
    index: &Url,
    context: &Context<'_>,
) -> Result<(Locked, BlobId), WheelsError> {
    let allowed: Vec<&str> = requirements
        .iter()
        .filter(|requirement| requirement.name == package.name)
        .flat_map(|requirement| requirement.sha256.iter().map(String::as_str))
        .collect();
    let file = match (&package.sdist, source) {
        (Some(file), true) if allowed.is_empty() || allowed.contains(&&*file.sha256) => file,
        (Some(_), true) => {
            let (project, version) = (package.name.to_string(), package.version.to_string());
            return Err(WheelsError::Hashes { project, version });
        }
        (None, true) => {
            let (project, version) = (package.name.to_string(), package.version.to_string());
            return Err(WheelsError::NoSdist { project, version });
        }
        _ => choose::choose(package, context.target, &allowed)?,
    };
    let kind = match source {
        true => FileKind::Sdist,
        false => FileKind::Wheel,
    };
    // The build needs it next, locking looks into it, and an HTML page does not say its size.
    let blob = fetch::of_answer(file, index, context)?;
    let locked = Locked {
        kind,
        name: package.name.to_string(),
        version: package.version.to_string(),
        architecture: String::new(),
        source: String::new(),
        archive: fetch::ARCHIVE.to_owned(),
        path: file.name.clone(),
        size: blob.size,
        sha256: file.sha256.clone(),
        reason: reasons.get(&package.name).cloned().unwrap_or_default(),
        requires: Vec::new(),
    };
    Ok((locked, blob))
}
