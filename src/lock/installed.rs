//! Trees of Debian packages as they were unpacked → one tree, as a machine has them installed. Begin at
//! [`installed`].
//!
//! No maintainer script runs: the few things that those make and that programs look for are made here.

use std::collections::{BTreeMap, BTreeSet};

use recipe_store::{BlobId, Entry, Session, StoreError, TreeBuilder, TreeId, walk};

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
const LINKS: [(&str, &str, &str); 13] = [
    ("usr/bin/sh", "dash", "usr/bin/dash"),
    ("usr/bin/awk", "mawk", "usr/bin/mawk"),
    ("usr/bin/cc", "gcc", "usr/bin/gcc"),
    ("usr/bin/c++", "g++", "usr/bin/g++"),
    ("usr/bin/c99", "c99-gcc", "usr/bin/c99-gcc"),
    ("usr/bin/yacc", "bison.yacc", "usr/bin/bison.yacc"),
    ("usr/bin/lex", "flex", "usr/bin/flex"),
    ("usr/bin/automake", "automake-1.16", "usr/bin/automake-1.16"),
    ("usr/bin/aclocal", "aclocal-1.16", "usr/bin/aclocal-1.16"),
    ("usr/bin/automake", "automake-1.17", "usr/bin/automake-1.17"),
    ("usr/bin/aclocal", "aclocal-1.17", "usr/bin/aclocal-1.17"),
    (
        "usr/bin/which",
        "which.debianutils",
        "usr/bin/which.debianutils",
    ),
    (
        "etc/localtime",
        "../usr/share/zoneinfo/Etc/UTC",
        "usr/share/zoneinfo/Etc/UTC",
    ),
];

/// What an installer writes.
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";

/// Where builds find what other recipes' builds made.
pub(crate) const LOCAL: &str = "usr/local";

/// The machine that builds see: the packages, installed, and the places that a sandbox fills. Locking and building
/// have the same, so that it is laid out once.
pub(crate) fn machine(
    session: &Session,
    packages: impl Iterator<Item = TreeId>,
) -> Result<TreeId, StoreError> {
    let mut builder = TreeBuilder::from_tree(installed(session, packages)?);
    for place in ["in", "out", "proc", "dev", "tmp", LOCAL] {
        builder.directory(place)?;
    }
    builder.finish(session)
}

/// The packages in one tree, installed.
pub(super) fn installed(
    session: &Session,
    packages: impl Iterator<Item = TreeId>,
) -> Result<TreeId, StoreError> {
    let unpacked = lay_together(session, packages)?;
    finish(session, unpacked)
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
    let absent = |path: &str| Ok::<_, StoreError>(entry_at(session, &tree, path)?.is_none());
    for (to, from) in COPIES {
        for from in from {
            if let (true, Some(entry)) = (absent(to)?, entry_at(session, &tree, from)?) {
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
    if let Some(Entry::Directory(folder)) = entry_at(session, &tree, "usr/share/ca-certificates")? {
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
pub(crate) fn entry_at(
    session: &Session,
    tree: &TreeId,
    path: &str,
) -> Result<Option<Entry>, StoreError> {
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
