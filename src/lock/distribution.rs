//! A release's name → the root folder of a machine that runs it, as a tree: [`Distribution`]. Begin at
//! [`distribution`].
//!
//! In it are the release's essential packages and what they depend on, [installed](mod@super::installed)
//! without running any of their scripts.

use std::collections::BTreeMap;

use recipe_store::TreeId;

use super::candidates::Candidates;
use super::installed::installed;
use super::suites::Suites;
use super::universe::Universe;
use super::{Context, LockError};
use crate::platform::Platform;

/// What machines have besides what is essential, where the release has it: the first two decide
/// between alternatives, the rest is data that programs look for.
const USUAL: [&str; 5] = [
    "mawk",
    "usr-is-merged",
    "ca-certificates",
    "netbase",
    "tzdata",
];

/// A root folder of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution {
    /// What is in it.
    pub tree: TreeId,
    /// The newest index date, seconds since 1970.
    pub date: u64,
}

/// What every machine of a release has. The usual ones come before all others, as a dependency is met
/// by what was chosen before.
pub(super) fn every_machine(universe: &Universe) -> impl Iterator<Item = &str> {
    let usual = USUAL.into_iter();
    usual
        .filter(|name| universe.newest(name).is_some())
        .chain(universe.essential())
}

/// The root folder of `release` as it is today.
///
/// An index whose time has run out is good enough: machines that were not updated are machines too.
///
/// # Errors
/// As of a lock: there is no such release, it is not believed, a file of it does not come.
pub fn distribution(
    context: &Context<'_>,
    release: &str,
    platform: Platform,
) -> Result<Distribution, LockError> {
    let suites = Suites::load(context, release, platform, &[], true)?;
    let universe = &suites.universe;
    let names: Vec<&str> = every_machine(universe).collect();
    let chosen = universe
        .choose(&names, &BTreeMap::new())
        .map_err(|cause| LockError::Unmet {
            suite: release.to_owned(),
            cause: Box::new(cause),
        })?;
    let files = chosen.values().map(|offer| suites.locked(offer)).collect();
    let mut packages = Candidates::default();
    packages.load(context, files)?;
    let trees = chosen
        .keys()
        .filter_map(|name| Some(packages.get(name)?.1.tree));
    let tree = installed(context.session, trees)?;
    context.keep_fetched()?;
    Ok(Distribution {
        tree,
        date: suites.date(),
    })
}
