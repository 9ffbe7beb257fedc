//! A commit among its objects → a tar archive of its files. Begin at [`write`].

use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use camino::Utf8Path;

use super::name::ObjectName;
use super::pack::{Kind, Objects};
use crate::package::tar::{Kind as Entry, TarWriter};

/// Folders in folders, and files, folders and links of one commit.
const DEPTH: usize = 256;
const ENTRIES: usize = 5_000_000;

/// Why there is no archive.
#[derive(Debug)]
pub(super) enum Failed {
    /// The objects are not those of a commit.
    Objects(String),
    /// The disk.
    Write(io::Error),
}

impl From<String> for Failed {
    fn from(what: String) -> Failed {
        Failed::Objects(what)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Write(error)
    }
}

/// Writes the files of `commit` to `path`, all below `folder`, in the order of their paths.
pub(super) fn write(
    objects: &Objects,
    commit: ObjectName,
    folder: &str,
    path: &Utf8Path,
) -> Result<(), Failed> {
    let (tree, time) = commit_facts(objects.get(&commit, Kind::Commit)?)?;
    let mut tar = TarWriter::new(BufWriter::new(File::create(path)?), time);
    tar.entry(folder, Entry::Directory)?;
    let mut count = 0;
    // What is still to be written, the next at the end.
    let mut waiting = listed(objects, &tree, folder)?;
    waiting.reverse();
    while let Some(item) = waiting.pop() {
        count += 1;
        if count > ENTRIES {
            return Err(format!("it has more than {ENTRIES} files and folders").into());
        }
        match item.what {
            What::Folder(tree) => {
                tar.entry(&item.path, Entry::Directory)?;
                if item.path.matches('/').count() > DEPTH {
                    return Err(format!("{}: folders are too deep", item.path).into());
                }
                waiting.extend(listed(objects, &tree, &item.path)?.into_iter().rev());
            }
            What::Module => tar.entry(&item.path, Entry::Directory)?,
            What::File { blob, executable } => {
                let bytes = objects.get(&blob, Kind::Blob)?;
                let size = bytes.len() as u64;
                tar.entry(&item.path, Entry::File { size, executable })?;
                tar.content(bytes)?;
                tar.end_of_content(size)?;
            }
            What::Link(blob) => {
                let target = std::str::from_utf8(objects.get(&blob, Kind::Blob)?)
                    .map_err(|_| format!("{} points to what is not UTF-8", item.path))?;
                tar.entry(&item.path, Entry::Symlink { target })?;
            }
        }
    }
    Ok(tar.finish()?.flush()?)
}

/// The tree of a commit, and when it was made (seconds since 1970).
fn commit_facts(commit: &[u8]) -> Result<(ObjectName, u64), String> {
    let text = String::from_utf8_lossy(commit);
    let head = text.split("\n\n").next().unwrap_or_default();
    let field = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name))
    };
    let tree = field("tree ").and_then(|name| name.parse().ok());
    let tree = tree.ok_or("the commit names no tree")?;
    // `committer NAME <MAIL> SECONDS ZONE`
    let time = field("committer ").and_then(|line| line.rsplit(' ').nth(1)?.parse().ok());
    // A tar archive has room for the times of the next two centuries.
    Ok((tree, time.unwrap_or(0_u64).min(crate::package::tar::LATEST)))
}

struct Item {
    path: String,
    what: What,
}

enum What {
    Folder(ObjectName),
    /// A commit of another repository.
    Module,
    File {
        blob: ObjectName,
        executable: bool,
    },
    Link(ObjectName),
}

/// The names in a tree.
#[cfg(test)]
pub(super) fn names(tree: &[u8]) -> Result<Vec<String>, String> {
    let items = entries(tree, "x")?;
    let name = |item: Item| item.path["x/".len()..].to_owned();
    Ok(items.into_iter().map(name).collect())
}

/// What lies in a folder, in git's order, which is that of whole paths.
fn listed(objects: &Objects, tree: &ObjectName, folder: &str) -> Result<Vec<Item>, String> {
    entries(objects.get(tree, Kind::Tree)?, folder)
}

fn entries(tree: &[u8], folder: &str) -> Result<Vec<Item>, String> {
    let mut rest = tree;
    let mut items = Vec::new();
    while !rest.is_empty() {
        let wrong = || format!("the tree of {folder} makes no sense");
        let end = memchr::memchr(0, rest).ok_or_else(wrong)?;
        let (head, after) = rest.split_at(end);
        let (name, after) = after[1..].split_first_chunk::<20>().ok_or_else(wrong)?;
        let object = ObjectName(*name);
        rest = after;
        let head =
            std::str::from_utf8(head).map_err(|_| format!("a name in {folder} is not UTF-8"))?;
        let (mode, name) = head.split_once(' ').ok_or_else(wrong)?;
        if name.is_empty() || name.contains('/') || [".", "..", ".git"].contains(&name) {
            return Err(format!("{folder} has a file that is called {name:?}"));
        }
        let what = match mode {
            "40000" | "040000" => What::Folder(object),
            "100644" | "100664" => What::File {
                blob: object,
                executable: false,
            },
            "100755" => What::File {
                blob: object,
                executable: true,
            },
            "120000" => What::Link(object),
            "160000" => What::Module,
            _ => return Err(format!("{folder}/{name} has the mode {mode}")),
        };
        items.push(Item {
            path: format!("{folder}/{name}"),
            what,
        });
    }
    Ok(items)
}
