//! Closures, folders, archives → what lies in them, and how two of them differ. Begin at [`differences`].
//!
//! Only what a tree of the store can hold counts: names, bytes, the executable bit, links. So a
//! closure, its copy, and its archive have the same contents.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;
use recipe_store::{Digest, Entry, Objects, StoreError, TreeId, walk};

use super::ClosureError;
use crate::archive::{
    ArchiveError, Compression, Limits, Sink, unpack_deb, unpack_tar, unpack_zip_with_links,
};

/// Files and links by path.
pub type Contents = BTreeMap<String, Item>;

/// A file or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A regular file.
    File {
        /// Hash of its bytes.
        digest: Digest,
        /// Their number.
        size: u64,
        /// Whether it can be executed.
        executable: bool,
    },
    /// A symlink.
    Link(String),
}

impl Item {
    /// Bytes of a file; a link has none.
    pub fn size(&self) -> u64 {
        match self {
            Item::File { size, .. } => *size,
            Item::Link(_) => 0,
        }
    }
}

/// One path at which two contents differ: what is at it in the first, and in the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// The path.
    pub path: &'a str,
    /// What was there.
    pub before: Option<&'a Item>,
    /// What is there.
    pub now: Option<&'a Item>,
}

/// Every path at which the two differ, sorted.
pub fn differences<'a>(before: &'a Contents, now: &'a Contents) -> Vec<Change<'a>> {
    let mut changes: Vec<Change<'a>> = before
        .iter()
        .filter(|(path, item)| now.get(*path) != Some(item))
        .map(|(path, item)| Change {
            path,
            before: Some(item),
            now: now.get(path),
        })
        .collect();
    let new = now.iter().filter(|(path, _)| !before.contains_key(*path));
    changes.extend(new.map(|(path, item)| Change {
        path,
        before: None,
        now: Some(item),
    }));
    changes.sort_by_key(|change| change.path);
    changes
}

/// What a tree of the store holds.
pub fn of_tree(objects: &impl Objects, tree: &TreeId) -> Result<Contents, StoreError> {
    let mut contents = Contents::new();
    walk(objects, tree, &mut |path, entry| {
        let item = match entry {
            Entry::File { blob, executable } => Item::File {
                digest: blob.digest,
                size: blob.size,
                executable: *executable,
            },
            Entry::Symlink { target } => Item::Link(target.clone()),
            Entry::Directory(_) => return Ok(()),
        };
        contents.insert(path.to_owned(), item);
        Ok::<(), StoreError>(())
    })?;
    Ok(contents)
}

/// What lies below a folder. Links are not followed; sockets and the like are left out.
pub fn of_folder(root: &Utf8Path) -> Result<Contents, ClosureError> {
    let unreadable = |path: &Utf8Path, error| ClosureError::Read {
        path: path.to_string(),
        error,
    };
    let mut contents = Contents::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        let entries = folder
            .read_dir_utf8()
            .map_err(|error| unreadable(&folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, error))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| unreadable(path, error))?;
            let name = path.strip_prefix(root).unwrap_or(path).to_string();
            if kind.is_dir() {
                waiting.push(path.to_owned());
            } else if kind.is_symlink() {
                let target = path
                    .read_link_utf8()
                    .map_err(|error| unreadable(path, error))?;
                contents.insert(name, Item::Link(target.into_string()));
            } else if kind.is_file() {
                let read = File::open(path).and_then(|mut file| {
                    let executable = file.metadata()?.permissions().mode() & 0o111 != 0;
                    item(&mut file, executable)
                });
                contents.insert(name, read.map_err(|error| unreadable(path, error))?);
            }
        }
    }
    Ok(contents)
}

/// What an archive holds: tar in all its compressions, zip, deb, told apart by the name. A single
/// folder around everything is left out, as exports and sdists have one. `None` for other names.
pub fn of_archive(path: &Utf8Path) -> Result<Option<Contents>, ClosureError> {
    let name = path.file_name().unwrap_or_default();
    let unreadable = |error| ClosureError::Read {
        path: path.to_string(),
        error,
    };
    let file = File::open(path).map_err(unreadable)?;
    let limits = Limits::default();
    let mut listing = Listing(Contents::new());
    let unpacked = if let Some(compression) = Compression::of_tar_name(name) {
        unpack_tar(
            BufReader::new(file),
            compression,
            path.as_str(),
            &limits,
            &mut listing,
        )
    } else if name.ends_with(".deb") {
        unpack_deb(BufReader::new(file), path.as_str(), &limits, &mut listing)
    } else if name.ends_with(".zip") || name.ends_with(".whl") {
        unpack_zip_with_links(&file, path.as_str(), &limits, &mut listing)
    } else {
        return Ok(None);
    };
    unpacked.map_err(|error| ClosureError::Archive(Box::new(error)))?;
    Ok(Some(without_top(listing.0)))
}

/// The same without the one folder that everything lies in, if there is one.
fn without_top(contents: Contents) -> Contents {
    let top = contents.keys().next().and_then(|path| {
        let end = path.find('/')? + 1;
        Some(path[..end].to_owned())
    });
    match top {
        Some(top) if contents.keys().all(|path| path.starts_with(&top)) => contents
            .into_iter()
            .map(|(path, item)| (path[top.len()..].to_owned(), item))
            .collect(),
        _ => contents,
    }
}

fn item(content: &mut dyn Read, executable: bool) -> std::io::Result<Item> {
    let mut hasher = blake3::Hasher::new();
    let size = std::io::copy(content, &mut hasher)?;
    Ok(Item::File {
        digest: Digest::from_bytes(*hasher.finalize().as_bytes()),
        size,
        executable,
    })
}

/// The sink that only looks.
struct Listing(Contents);

impl Sink for Listing {
    fn directory(&mut self, _: &str) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn file(
        &mut self,
        path: &str,
        executable: bool,
        _: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        let item = item(content, executable).map_err(ArchiveError::sink)?;
        self.0.insert(path.to_owned(), item);
        Ok(())
    }

    fn symlink(&mut self, path: &str, target: &str) -> Result<(), ArchiveError> {
        let target = target.to_owned();
        self.0.insert(path.to_owned(), Item::Link(target));
        Ok(())
    }

    fn hard_link(&mut self, path: &str, to: &str) -> Result<(), ArchiveError> {
        // The archive rooms promise that `to` came earlier.
        if let Some(item) = self.0.get(to).cloned() {
            self.0.insert(path.to_owned(), item);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, executable: bool) -> Item {
        Item::File {
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
            executable,
        }
    }

    fn contents(items: &[(&str, Item)]) -> Contents {
        let owned = items
            .iter()
            .map(|(path, item)| ((*path).to_owned(), item.clone()));
        owned.collect()
    }

    #[test]
    fn what_came_went_and_changed_is_told_in_the_order_of_paths() {
        let before = contents(&[
            ("a", file("1", false)),
            ("b", file("1", false)),
            ("c", file("1", false)),
            ("d", Item::Link("a".into())),
        ]);
        let now = contents(&[
            ("a", file("1", false)),
            ("aa", file("2", false)),
            ("b", file("1", true)),
            ("d", Item::Link("b".into())),
        ]);
        let found = differences(&before, &now);
        let told: Vec<(&str, bool, bool)> = found
            .iter()
            .map(|change| (change.path, change.before.is_some(), change.now.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("aa", false, true),
                ("b", true, true),
                ("c", true, false),
                ("d", true, true)
            ]
        );
        assert_eq!(differences(&now, &now), []);
    }

    #[test]
    fn only_a_folder_around_everything_is_left_out() {
        let one = contents(&[("top/a", file("1", false)), ("top/b/c", file("1", false))]);
        let keys: Vec<String> = without_top(one).into_keys().collect();
        assert_eq!(keys, ["a", "b/c"]);
        let two = contents(&[("top/a", file("1", false)), ("topping", file("1", false))]);
        assert_eq!(without_top(two.clone()), two);
    }
}
