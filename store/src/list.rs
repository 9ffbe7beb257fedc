//! Folders of the store → what lies in them. Begin at [`Folders::list`].
//!
//! Collection and verification both start from what is really there.

use rayon::prelude::*;
use rustix::fs::{FileType, Stat};

use crate::digest::{Digest, digest_of_hex};
use crate::disk::Dir;
use crate::error::Result;
use crate::layout::{Folders, Kind};

/// A file whose name is in the right form, and what its inode says.
pub(crate) struct Found {
    pub(crate) digest: Digest,
    pub(crate) executable: bool,
    pub(crate) stat: Stat,
}

/// What a sharded folder holds.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<Found>,
    /// Names that nothing here would have made, by their path in the folder.
    pub(crate) strays: Vec<String>,
}

impl Folders {
    /// Lists the folder of a kind; `Plain` and `Exec` give both variants of all blobs.
    pub(crate) fn list(&self, kind: Kind) -> Result<Listing> {
        list(self.of(kind), kind != Kind::Dir)
    }
}

/// Lists a folder of shards, in no particular order.
pub(crate) fn list(folder: &Dir, variants: bool) -> Result<Listing> {
    let mut whole = Listing::default();
    let mut shards = Vec::new();
    for entry in folder.names()? {
        match std::str::from_utf8(&entry.name) {
            Ok(name) if entry.kind == FileType::Directory && is_shard(name) => {
                shards.push(name.to_owned())
            }
            // What is about to be moved into a shard.
            Ok(name) if name.starts_with('.') => {}
            _ => whole
                .strays
                .push(String::from_utf8_lossy(&entry.name).into_owned()),
        }
    }
    let listed: Result<Vec<Listing>> = shards
        .par_iter()
        .map(|name| list_shard(folder, name, variants))
        .collect();
    for shard in listed? {
        whole.files.extend(shard.files);
        whole.strays.extend(shard.strays);
    }
    Ok(whole)
}

fn list_shard(folder: &Dir, shard: &str, variants: bool) -> Result<Listing> {
    let dir = folder.sub(shard)?;
    let mut listing = Listing::default();
    for entry in dir.names()? {
        let (hex, executable) = match entry.name.strip_suffix(b".x") {
            Some(hex) if variants => (hex, true),
            _ => (&entry.name[..], false),
        };
        let name = String::from_utf8_lossy(&entry.name);
        match digest_of_hex(hex).filter(|digest| digest.hex()[..2] == *shard) {
            // A file that vanished since was removed by its right name.
            Some(digest) => {
                if let Some(stat) = dir.stat(&name)? {
                    listing.files.push(Found {
                        digest,
                        executable,
                        stat,
                    });
                }
            }
            None => listing.strays.push(format!("{shard}/{name}")),
        }
    }
    Ok(listing)
}

fn is_shard(name: &str) -> bool {
    name.len() == 2
        && name
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
