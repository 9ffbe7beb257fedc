//! The entries of a wheel, as they stream by: blobs in the store, and the few texts that say how
//! the rest is meant. [`Contents`] is the [`Sink`] of this step.

use std::collections::BTreeMap;
use std::io::{self, Read};

use recipe_store::{BlobId, Session};
use sha2::{Digest as _, Sha256};

use crate::archive::{ArchiveError, Sink, put_content};

/// Most bytes of a text that is kept: METADATA, RECORD and their kin.
const LARGEST_TEXT: u64 = 64 << 20;
/// Enough of a script to see its first line.
const HEAD: usize = 256;

/// One file of a wheel.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) blob: BlobId,
    pub(super) executable: bool,
    pub(super) sha256: [u8; 32],
    /// The whole text of METADATA and its kin and of `.pth` files; the head of scripts.
    pub(super) text: Vec<u8>,
}

/// Every file of a wheel but byte code, by its path in the wheel.
pub(super) struct Contents<'a> {
    session: &'a Session,
    pub(super) files: BTreeMap<String, File>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Contents {
            session,
            files: BTreeMap::new(),
        }
    }

    /// The text of a file in the dist-info folder `folder`.
    pub(super) fn text(&self, folder: &str, name: &str) -> Option<&[u8]> {
        self.files
            .get(&format!("{folder}/{name}"))
            .map(|file| file.text.as_slice())
    }
}

/// How much of a file is kept beside the store.
enum Keep {
    Nothing,
    Head,
    All,
}

fn keep(path: &str) -> Keep {
    let (folder, name) = path.split_once('/').unwrap_or(("", path));
    let texts = ["METADATA", "WHEEL", "RECORD", "entry_points.txt"];
    if folder.ends_with(".dist-info") && texts.contains(&name) || path.ends_with(".pth") {
        Keep::All
    } else if folder.ends_with(".data")
        && (name.starts_with("scripts/") || name.starts_with("data/bin/"))
    {
        Keep::Head
    } else {
        Keep::Nothing
    }
}

/// Whether a path is byte code: it is made anew, by the closure's own Python.
pub(super) fn is_byte_code(path: &str) -> bool {
    path.split('/').any(|part| part == "__pycache__")
        || path.ends_with(".pyc")
        || path.ends_with(".pyo")
}

impl Sink for Contents<'_> {
    /// Folders exist because of what lies in them; empty ones are left out, as pip does.
    fn directory(&mut self, _: &str) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn file(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        if is_byte_code(path) {
            return Ok(());
        }
        let limit = match keep(path) {
            Keep::Nothing => 0,
            Keep::Head => HEAD,
            Keep::All if size > LARGEST_TEXT => {
                return Err(refused("it is too large to be a text"));
            }
            Keep::All => usize::MAX,
        };
        let mut reader = Tee {
            content,
            sha256: Sha256::new(),
            text: Vec::new(),
            limit,
        };
        let blob = put_content(self.session, executable, size, &mut reader)?;
        let Tee { sha256, text, .. } = reader;
        let file = File {
            blob,
            executable,
            sha256: sha256.finalize().into(),
            text,
        };
        self.files.insert(path.to_owned(), file);
        Ok(())
    }

    fn symlink(&mut self, _: &str, _: &str) -> Result<(), ArchiveError> {
        Err(refused("a wheel holds no symlinks"))
    }

    fn hard_link(&mut self, _: &str, _: &str) -> Result<(), ArchiveError> {
        Err(refused("a wheel holds no hard links"))
    }
}

fn refused(reason: &'static str) -> ArchiveError {
    ArchiveError::sink(reason)
}

/// Hashes what is read through it and keeps the first `limit` bytes.
struct Tee<'a> {
    content: &'a mut dyn Read,
    sha256: Sha256,
    text: Vec<u8>,
    limit: usize,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.sha256.update(&buffer[..count]);
        let room = self.limit.saturating_sub(self.text.len()).min(count);
        self.text.extend_from_slice(&buffer[..room]);
        Ok(count)
    }
}
