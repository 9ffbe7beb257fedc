//! One file of an object → what it holds, or what is wrong with it. Begin at [`check_object`].

use std::fs::File;
use std::io::Read;

use camino::Utf8Path;
use rustix::fs::FileType;

use crate::digest::Digest;
use crate::disk::Dir;
use crate::error::Result;
use crate::finding::{Damage, Finding};
use crate::layout::{Key, Kind};
use crate::list::Found;
use crate::mark::Child;
use crate::tree::Tree;

/// Bytes are read in pieces of this size.
const CHUNK: usize = 1 << 20;

/// An object as it was read: its key, its length, and what it names if it is a directory.
pub(crate) struct Seen {
    pub(crate) key: Key,
    pub(crate) size: u64,
    pub(crate) tree: Option<Tree>,
}

impl Seen {
    pub(crate) fn child(&self) -> Child {
        Child {
            is_dir: self.key.kind == Kind::Dir,
            digest: self.key.digest,
        }
    }
}

/// Hashes one object's file.
pub(crate) fn check_object(
    folder: &Dir,
    kind: Kind,
    file: &Found,
    buffer: &mut Vec<u8>,
) -> Result<(Option<Seen>, Vec<Finding>)> {
    let kind = if kind == Kind::Dir {
        kind
    } else {
        Kind::of(file.executable)
    };
    let key = Key {
        kind,
        digest: file.digest,
    };
    let path = folder.path().join(key.path().as_str());
    let mut findings: Vec<Finding> = wrong_inode(&path, file, kind.mode()).into_iter().collect();
    if findings
        .iter()
        .any(|finding| finding.damage == Damage::Kind)
    {
        return Ok((None, findings));
    }
    let Some(open) = folder.open_file(key.path().as_str())? else {
        return Ok((None, findings));
    };
    let (digest, size) = match hash(open, buffer) {
        Ok(hashed) => hashed,
        // A disk that cannot read a file has lost it.
        Err(e) => {
            findings.push(Finding::of(path, Damage::Bytes { why: e.to_string() }));
            return Ok((None, findings));
        }
    };
    if digest != key.digest {
        let why = format!("its {size} bytes have the hash {digest}");
        findings.push(Finding::of(path, Damage::Bytes { why }));
        return Ok((None, findings));
    }
    if kind != Kind::Dir {
        return Ok((
            Some(Seen {
                key,
                size,
                tree: None,
            }),
            findings,
        ));
    }
    match Tree::decode(buffer) {
        Ok(tree) => Ok((
            Some(Seen {
                key,
                size,
                tree: Some(tree),
            }),
            findings,
        )),
        Err(e) => {
            findings.push(Finding::of(path, Damage::Bytes { why: e.to_string() }));
            Ok((None, findings))
        }
    }
}

pub(crate) fn wrong_inode(path: &Utf8Path, file: &Found, mode: u32) -> Option<Finding> {
    if FileType::from_raw_mode(file.stat.st_mode) != FileType::RegularFile {
        return Some(Finding::of(path.to_owned(), Damage::Kind));
    }
    let found = file.stat.st_mode & 0o7777;
    (found != mode).then(|| {
        Finding::of(
            path.to_owned(),
            Damage::Mode {
                found,
                wanted: mode,
            },
        )
    })
}

/// Hashes a file. When it is at most one chunk long, all of it is in the buffer afterwards.
pub(crate) fn hash(mut file: File, buffer: &mut Vec<u8>) -> std::io::Result<(Digest, u64)> {
    buffer.clear();
    (&mut file).take(CHUNK as u64).read_to_end(buffer)?;
    if buffer.len() < CHUNK {
        return Ok((Digest::of(buffer), buffer.len() as u64));
    }
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    while !buffer.is_empty() {
        hasher.update(buffer);
        size += buffer.len() as u64;
        buffer.clear();
        (&mut file).take(CHUNK as u64).read_to_end(buffer)?;
    }
    Ok((Digest::from_bytes(*hasher.finalize().as_bytes()), size))
}
