//! `sysroot` → the Debian packages that a build sees, and those of them whose libraries it can link to.
//! Begin at [`Sysroot::resolve`].
//!
//! In a sysroot is what every machine of the release has, what the recipe names, and what all that
//! depends on: a build must find what its tools take for granted. What it links to it has to find again
//! when it runs, so each library that a name without a version leads to (`libz.so`, which is how
//! linkers find it) is a candidate for the closure.

use std::collections::{BTreeMap, BTreeSet};

use miette::NamedSource;
use recipe_store::{Entry, TreeId, walk};

use super::candidates::Candidates;
use super::distribution::every_machine;
use super::error::{LockError, UnknownPackage};
use super::suites::Suites;
use super::{Context, FileKind, Locked};
use crate::recipe::Spanned;

/// The reason of a package that is there for what is built: what of it that needs is in the closure.
pub(crate) const LINKABLE: &str = "sysroot";

/// The packages of a sysroot.
pub(super) struct Sysroot {
    /// The files of the lock.
    pub files: Vec<Locked>,
    /// Packages with a library that a build can link to.
    pub linkable: BTreeSet<String>,
    /// The packages' trees, in the lock's order.
    pub trees: Vec<TreeId>,
}

impl Sysroot {
    /// Chooses the packages that the recipe names, those `added` for its interpreter, and all that they
    /// need; `prefer` are versions that stay where they can.
    pub(super) fn resolve(
        context: &Context<'_>,
        suites: &Suites,
        packages: &[Spanned<String>],
        added: &[String],
        prefer: &BTreeMap<String, String>,
    ) -> Result<Sysroot, LockError> {
        let universe = &suites.universe;
        for package in packages {
            if universe.newest(&package.value).is_none() {
                return Err(unknown(suites, package));
            }
        }
        let named = packages.iter().map(|it| it.value.as_str());
        let added = added.iter().map(String::as_str);
        let names: Vec<&str> = every_machine(universe)
            .chain(named.clone())
            .chain(added.clone())
            .collect();
        let chosen = universe
            .choose(&names, prefer)
            // A kept version may have stopped to fit: then all move.
            .or_else(|_| universe.choose(&names, &BTreeMap::new()))
            .map_err(|cause| LockError::Unmet {
                suite: suites.release().to_owned(),
                cause: Box::new(cause),
            })?;
        let named: BTreeSet<&str> = named.collect();
        let added: BTreeSet<&str> = added.collect();
        let reason = |name: &str| match (named.contains(name), added.contains(name)) {
            (true, _) => "recipe",
            (false, true) => "interpreter",
            (false, false) => "every machine",
        };
        let files = chosen.iter().map(|(name, offer)| Locked {
            kind: FileKind::Sysroot,
            reason: reason(name).to_owned(),
            ..suites.locked(offer)
        });
        let files: Vec<Locked> = files.collect();
        let mut packages = Candidates::default();
        packages.load(context, files.clone())?;
        let linkable = linkable(context, suites, &files, &packages)?;
        let trees = files.iter();
        let trees = trees.filter_map(|file| packages.get(&file.name));
        let trees = trees.map(|(_, unpacked)| unpacked.tree).collect();
        Ok(Sysroot {
            files,
            linkable,
            trees,
        })
    }
}

/// A linker takes `-lz` for `libz.so`, a link to the library that programs need.
fn linkable(
    context: &Context<'_>,
    suites: &Suites,
    files: &[Locked],
    packages: &Candidates,
) -> Result<BTreeSet<String>, LockError> {
    let libraries = packages.libraries(suites.platform.machine());
    let mut linkable = BTreeSet::new();
    for file in files {
        let Some((_, unpacked)) = packages.get(&file.name) else {
            continue;
        };
        walk::<LockError>(context.session, &unpacked.tree, &mut |path, entry| {
            if let Entry::Symlink { target } = entry
                && path.ends_with(".so")
            {
                // The link leads to a file whose name may have more numbers than the library's own.
                let library = target.rsplit('/').next().unwrap_or(target);
                let names = library.match_indices('.').map(|(at, _)| &library[..at]);
                let owner = names
                    .chain([library])
                    .find_map(|it| libraries.owner.get(it));
                linkable.extend(owner.cloned());
            }
            Ok(())
        })?;
    }
    Ok(linkable)
}

/// For a name that the sysroot's suite does not have.
pub(super) fn unknown(suites: &Suites, package: &Spanned<String>) -> LockError {
    let universe = &suites.universe;
    let providers = universe.providers(&package.value).into_iter().take(5);
    LockError::UnknownPackage(Box::new(UnknownPackage {
        name: package.value.clone(),
        suite: suites.release().to_owned(),
        near: super::near::nearest(&package.value, universe.names()),
        providers: providers.map(str::to_owned).collect(),
        text: NamedSource::clone(&package.text),
        at: package.span,
    }))
}
