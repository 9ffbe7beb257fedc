//! A directory and a [`TreeId`] → how they differ. Begin at [`Store::verify_tree`].

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::FileType;

use crate::digest::{BlobId, TreeId};
use crate::disk::{Dir, Name, utf8};
use crate::error::Result;
use crate::examine::hash;
use crate::finding::{Damage, Finding};
use crate::layout::{Key, Kind, Store};
use crate::tree::{Entry, Tree};

impl Store {
    /// Compares a directory anywhere with a tree: names, kinds, modes of files and all bytes. Sorted by path.
    pub fn verify_tree(&self, id: &TreeId, path: &Utf8Path) -> Result<Vec<Finding>> {
        let mut findings = compare(self, id, &Dir::open(path)?, true)?;
        findings.sort();
        Ok(findings)
    }
}

/// Compares a directory with a tree, level by level. Unless `all` is set, files that are the store's
/// own blobs under another name are not read: whoever calls hashes those anyway.
pub(crate) fn compare(store: &Store, id: &TreeId, top: &Dir, all: bool) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut waiting = vec![(Utf8PathBuf::new(), *id)];
    while let Some((path, id)) = waiting.pop() {
        let dir = top.sub(if path.as_str().is_empty() {
            "."
        } else {
            path.as_str()
        })?;
        let tree = store.read_tree(&id)?;
        let here = dir.names()?;
        for entry in &here {
            let name = String::from_utf8_lossy(&entry.name);
            if let Some(damage) = damage_of(store, &dir, &tree, entry, all)? {
                findings.push(Finding::of(top.path().join(&path).join(&*name), damage));
            } else if let Some(Entry::Directory(id)) = tree.get(&name) {
                waiting.push((path.join(&*name), *id));
            }
        }
        let here: BTreeSet<&[u8]> = here.iter().map(|entry| &entry.name[..]).collect();
        let missing = tree
            .iter()
            .filter(|(name, _)| !here.contains(name.as_bytes()));
        findings.extend(
            missing
                .map(|(name, _)| Finding::of(top.path().join(&path).join(name), Damage::Missing)),
        );
    }
    Ok(findings)
}

fn damage_of(
    store: &Store,
    dir: &Dir,
    tree: &Tree,
    found: &Name,
    all: bool,
) -> Result<Option<Damage>> {
    let wanted = utf8(&found.name).and_then(|name| Some((name, tree.get(name)?)));
    let Some((name, wanted)) = wanted else {
        return Ok(Some(Damage::Extra));
    };
    match wanted {
        Entry::Directory(_) if found.kind == FileType::Directory => Ok(None),
        Entry::Symlink { target } if found.kind == FileType::Symlink => {
            let found = dir
                .read_link(name)
                .map_err(|e| dir.error("read the link", name, e))?;
            let why = || {
                format!(
                    "it points to {:?}, not to {target:?}",
                    String::from_utf8_lossy(&found)
                )
            };
            Ok((found != target.as_bytes()).then(|| Damage::Bytes { why: why() }))
        }
        Entry::File { blob, executable } if found.kind == FileType::RegularFile => {
            compare_file(store, dir, name, blob, *executable, all)
        }
        _ => Ok(Some(Damage::Kind)),
    }
}

fn compare_file(
    store: &Store,
    dir: &Dir,
    name: &str,
    blob: &BlobId,
    executable: bool,
    all: bool,
) -> Result<Option<Damage>> {
    let Some(file) = dir.open_file(name)? else {
        return Ok(Some(Damage::Missing));
    };
    let stat = file.metadata().map_err(|e| dir.error("look at", name, e))?;
    let key = Key {
        kind: Kind::of(executable),
        digest: blob.digest,
    };
    if stat.mode() & 0o7777 != key.kind.mode() {
        return Ok(Some(Damage::Mode {
            found: stat.mode() & 0o7777,
            wanted: key.kind.mode(),
        }));
    }
    let own = store.folders.blobs.stat(key.path().as_str())?;
    if !all && own.is_some_and(|own| (own.st_dev, own.st_ino) == (stat.dev(), stat.ino())) {
        return Ok(None);
    }
    let (found, size) = hash(file, &mut Vec::new()).map_err(|e| dir.error("read", name, e))?;
    let why = || format!("its {size} bytes have the hash {found}");
    Ok((found != blob.digest).then(|| Damage::Bytes { why: why() }))
}
