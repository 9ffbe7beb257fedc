//! Hostile and honest archives, made by code, through the public functions. The numbers in the names
//! are rows of the project's list of faults. [`refused`] checks what must hold after every refusal.

mod bombs;
mod deb;
pub(in crate::archive) mod fixture;
mod paths;
mod random;
mod real;
mod tar;
mod zip;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use miette::Diagnostic;

use super::*;

/// What was unpacked, path by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Directory,
    File(Vec<u8>, bool),
    Symlink(String),
}

pub(super) type Items = BTreeMap<String, Item>;

/// Writes each entry to disk at once, checking nothing: whatever the guard lets through would do its
/// harm. Without a root it only remembers.
#[derive(Default)]
struct Folder {
    root: Option<PathBuf>,
    items: Items,
}

impl Folder {
    fn new(root: PathBuf) -> Self {
        fs::create_dir(&root).unwrap();
        Folder {
            root: Some(root),
            items: Items::new(),
        }
    }

    fn place(&mut self, path: &str, item: Item, write: impl FnOnce(&Path, PathBuf)) {
        if let Some(root) = &self.root {
            let place = root.join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            write(root, place);
        }
        self.items.insert(path.into(), item);
    }
}

impl Sink for Folder {
    fn directory(&mut self, path: &str) -> Result<(), ArchiveError> {
        self.place(path, Item::Directory, |_, place| {
            fs::create_dir_all(place).unwrap()
        });
        Ok(())
    }

    fn file(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        let mut bytes = Vec::new();
        content
            .read_to_end(&mut bytes)
            .map_err(ArchiveError::sink)?;
        assert_eq!(bytes.len() as u64, size, "size is a promise");
        let item = Item::File(bytes.clone(), executable);
        self.place(path, item, |_, place| fs::write(place, bytes).unwrap());
        Ok(())
    }

    fn symlink(&mut self, path: &str, target: &str) -> Result<(), ArchiveError> {
        self.place(path, Item::Symlink(target.into()), |_, place| {
            symlink(target, place).unwrap()
        });
        Ok(())
    }

    fn hard_link(&mut self, path: &str, to: &str) -> Result<(), ArchiveError> {
        self.place(path, self.items[to].clone(), |root, place| {
            fs::hard_link(root.join(to), place).unwrap()
        });
        Ok(())
    }
}

/// One archive in memory, and which function takes it.
pub(super) enum Packed {
    Tar(Vec<u8>, Compression),
    Zip(Vec<u8>),
    Deb(Vec<u8>),
    Control(Vec<u8>),
}

impl Packed {
    pub(super) fn tar(bytes: Vec<u8>) -> Self {
        Packed::Tar(bytes, Compression::None)
    }

    fn unpack(&self, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ArchiveError> {
        match self {
            Packed::Tar(bytes, compression) => {
                unpack_tar(&bytes[..], *compression, NAME, limits, sink)
            }
            Packed::Zip(bytes) => unpack_zip(bytes, NAME, limits, sink),
            Packed::Deb(bytes) => unpack_deb(&bytes[..], NAME, limits, sink),
            Packed::Control(bytes) => unpack_deb_control(&bytes[..], NAME, limits, sink),
        }
    }
}

const NAME: &str = "hostile-1.0";

/// Unpacks to disk, beside a canary that must stay as it is. No input may make this panic.
pub(super) fn unpack_with(packed: &Packed, limits: &Limits) -> (Result<(), ArchiveError>, Items) {
    let scratch = tempfile::tempdir().unwrap();
    let canary = scratch.path().join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "as it was").unwrap();
    fs::set_permissions(&canary, fs::Permissions::from_mode(0o711)).unwrap();
    let mut folder = Folder::new(scratch.path().join("root"));
    let result = catch_unwind(AssertUnwindSafe(|| packed.unpack(limits, &mut folder)));
    let result = result.expect("no archive makes unpacking panic");
    assert_eq!(
        state(scratch.path()),
        ["canary 711", "root"],
        "nothing beside the root"
    );
    assert_eq!(
        state(&canary),
        ["file as it was"],
        "the canary is untouched"
    );
    (result, folder.items)
}

/// The same without a disk, for what is tried thousands of times.
pub(super) fn unpack_in_memory(packed: &Packed) -> (Result<(), ArchiveError>, Items) {
    let mut folder = Folder::default();
    let result = packed.unpack(&Limits::default(), &mut folder);
    (result, folder.items)
}

/// Names in a folder, with mode or content where they can be changed.
fn state(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
            match (name.as_str(), fs::read_to_string(entry.path())) {
                (_, Ok(content)) => format!("{name} {content}"),
                ("canary", _) => format!("{name} {mode:o}"),
                _ => name,
            }
        })
        .collect();
    names.sort();
    names
}

/// Unpacks what must be accepted.
pub(super) fn accepted(packed: &Packed) -> Items {
    let (result, items) = unpack_with(packed, &Limits::default());
    if let Err(error) = result {
        panic!("refused: {error}");
    }
    items
}

/// The one check after every refusal: the message names the archive, the entry (by number and escaped
/// name) or the archive only, and the reason; it says what to do next; it holds no control characters;
/// and the sink got nothing of the entry, and nothing after it.
pub(super) fn refused(packed: &Packed, entry: Option<(u64, &str)>, reason: &str) {
    refused_with(packed, &Limits::default(), entry, reason);
}

pub(super) fn refused_with(
    packed: &Packed,
    limits: &Limits,
    entry: Option<(u64, &str)>,
    reason: &str,
) {
    let (result, items) = unpack_with(packed, limits);
    let error = result.expect_err("must be refused");
    let message = error.to_string();
    let start = match entry {
        Some((index, name)) => format!("{NAME}: entry {index} \"{name}\": "),
        None => format!("{NAME}: "),
    };
    assert!(
        message.starts_with(&start),
        "{message}\nshould begin with {start}"
    );
    assert!(
        message.contains(reason),
        "{message}\nshould give the reason {reason}"
    );
    assert!(!message.contains(char::is_control), "{message:?}");
    assert!(error.help().is_some(), "there is a next step");
    assert!(error.fault().is_some());
    if let Some((index, _)) = entry {
        assert!((items.len() as u64) < index, "{items:?}");
    }
}

/// Names only.
pub(super) fn names(items: &Items) -> Vec<&str> {
    items.keys().map(String::as_str).collect()
}
