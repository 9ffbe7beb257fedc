//! A release's name → the root folder of a machine that runs it, as a tree: [`Distribution`]. Begin at
//! [`distribution`].
//!
//! In it are the release's essential packages and what they depend on, unpacked. No maintainer script
//! runs: the few things that those make and that programs look for are made here.

use std::collections::{BTreeMap, BTreeSet};

use recipe_store::{BlobId, Entry, Session, StoreError, TreeBuilder, TreeId, walk};

use super::candidates::Candidates;
use super::suites::Suites;
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

/// Folders at the top that lie in `/usr`, with a link in their place.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Nobody reads these there, and they are many.
const LEFT_OUT: [&str; 5] = ["doc", "info", "lintian", "locale", "man"];

/// What a script of a package copies: where to, and where from, whichever is there.
const COPIES: [(&str, &[&str]); 3] = [
    ("etc/passwd", &["usr/share/base-passwd/passwd.master"]),
    ("etc/group", &["usr/share/base-passwd/group.master"]),
    (
        "etc/nsswitch.conf",
        &[
            "usr/share/libc-bin/nsswitch.conf",
            "usr/share/base-files/nsswitch.conf",
        ],
    ),
];

/// What a script of a package links, if that is there: the link, its target, and the target's path.
const LINKS: [(&str, &str, &str); 3] = [
    ("usr/bin/sh", "dash", "usr/bin/dash"),
    ("usr/bin/awk", "mawk", "usr/bin/mawk"),
    (
        "etc/localtime",
        "../usr/share/zoneinfo/Etc/UTC",
        "usr/share/zoneinfo/Etc/UTC",
    ),
];

/// What an installer writes.
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";

/// A root folder of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution {
    /// What is in it.
    pub tree: TreeId,
    /// The newest index date, seconds since 1970.
    pub date: u64,
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
    let essential = universe.essential();
    // Before all others: a dependency is met by what was chosen before.
    let usual = USUAL
        .into_iter()
        .filter(|name| universe.newest(name).is_some());
    let names: Vec<&str> = usual.chain(essential).collect();
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
    let unpacked = lay_together(context.session, trees)?;
    let tree = finish(context.session, unpacked)?;
    context.keep_fetched()?;
    Ok(Distribution {
        tree,
        date: suites.date(),
    })
}

/// All packages in one tree, with everything at the top that is a program or library below `/usr`.
fn lay_together(
    session: &Session,
    trees: impl Iterator<Item = TreeId>,
) -> Result<TreeId, StoreError> {
    let mut builder = TreeBuilder::new();
    let mut merged = BTreeSet::new();
    for tree in trees {
        for (top, entry) in session.read_tree(&tree)?.iter() {
            match entry {
                Entry::Directory(folder) if MERGED.contains(&top) => {
                    merged.insert(top.to_owned());
                    builder.merge(&format!("usr/{top}"), *folder)?;
                    lead_on(session, top, folder, &mut builder)?;
                }
                // The package that owns the top brings the links itself.
                Entry::Symlink { .. } if MERGED.contains(&top) => {}
                entry => builder.insert(top, entry.clone())?,
            }
        }
    }
    for top in MERGED {
        let target = format!("usr/{top}");
        builder.directory(&target)?;
        builder.insert(top, Entry::Symlink { target })?;
    }
    for name in LEFT_OUT {
        builder.remove(&format!("usr/share/{name}"))?;
    }
    builder.finish(session)
}

/// A link in `/lib` that leads up to `/` has one folder more to climb from `/usr/lib`.
fn lead_on(
    session: &Session,
    top: &str,
    folder: &TreeId,
    builder: &mut TreeBuilder,
) -> Result<(), StoreError> {
    walk::<StoreError>(session, folder, &mut |path, entry| {
        if let Entry::Symlink { target } = entry {
            let climbs = target.split('/').take_while(|part| *part == "..").count();
            let deep = path.split('/').count();
            if climbs == deep {
                let target = format!("../{target}");
                builder.replace(&format!("usr/{top}/{path}"), Entry::Symlink { target })?;
            }
        }
        Ok(())
    })
}

/// Adds what scripts of packages would have made.
fn finish(session: &Session, tree: TreeId) -> Result<TreeId, StoreError> {
    let mut builder = TreeBuilder::from_tree(tree);
    let absent = |path: &str| Ok::<_, StoreError>(at(session, &tree, path)?.is_none());
    for (to, from) in COPIES {
        for from in from {
            if let (true, Some(entry)) = (absent(to)?, at(session, &tree, from)?) {
                builder.insert(to, entry)?;
                break;
            }
        }
    }
    for (link, target, path) in LINKS {
        if absent(link)? && !absent(path)? {
            let target = target.to_owned();
            builder.insert(link, Entry::Symlink { target })?;
        }
    }
    let mut files = vec![("etc/hosts", HOSTS.as_bytes().to_vec())];
    if let Some(Entry::Directory(folder)) = at(session, &tree, "usr/share/ca-certificates")? {
        let bundle = certificates(session, &folder)?;
        files.push(("etc/ssl/certs/ca-certificates.crt", bundle));
    }
    for (path, bytes) in files {
        if absent(path)? {
            let blob = session.put_blob(&bytes, false)?;
            let executable = false;
            builder.insert(path, Entry::File { blob, executable })?;
        }
    }
    builder.finish(session)
}

/// All certificates of a folder in one file, in the order of their names.
fn certificates(session: &Session, folder: &TreeId) -> Result<Vec<u8>, StoreError> {
    let mut blobs: BTreeMap<String, BlobId> = BTreeMap::new();
    walk::<StoreError>(session, folder, &mut |path, entry| {
        if let (true, Entry::File { blob, .. }) = (path.ends_with(".crt"), entry) {
            blobs.insert(path.to_owned(), *blob);
        }
        Ok(())
    })?;
    let mut bundle = Vec::new();
    for blob in blobs.values() {
        bundle.extend(session.read_blob(blob)?);
    }
    Ok(bundle)
}

/// What a tree has at `a/b/c`, through no link.
fn at(session: &Session, tree: &TreeId, path: &str) -> Result<Option<Entry>, StoreError> {
    let mut found = Entry::Directory(*tree);
    for part in path.split('/') {
        let Entry::Directory(folder) = found else {
            return Ok(None);
        };
        match session.read_tree(&folder)?.get(part) {
            Some(entry) => found = entry.clone(),
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}
