//! What a build made → a cache. Begin at [`push`].
//!
//! The order makes every moment sound: the pack first, then the index that says what is in it, last the traces by which
//! others find it. Blobs that lie in a pack of an earlier push are not sent again; which those are is read from the
//! index of that push, and a pack counts only while the cache has it in its full size.

use std::collections::{HashMap, HashSet};

use recipe_store::{BlobId, Digest, ObjectId, Session};

use super::error::CacheError;
use super::index::{Contents, Frame, Index, MOST_RAW, PackFile};
use super::key::SecretKey;
use super::place::{Content, Place};
use super::traces::{IndexFile, MOST_BYTES, Signed, Traces};
use super::{index_name, latest_name, pack, pack_name, step_name, traces_name};
use crate::net::Watch;

/// Indexes of so many pushes are remembered, for each cache.
const REMEMBERED: usize = 8;
/// As hard as an index is compressed: it is small, and read by everybody.
const INDEX_LEVEL: i32 = 9;

/// What is pushed.
pub struct Pushing<'a> {
    /// What the steps made; the index is filled in here.
    pub traces: Traces,
    /// The objects that go along, the closure first.
    pub objects: Vec<ObjectId>,
    /// Steps that others may ask for by their key alone.
    pub dear: Vec<recipe_store::StepKey>,
    /// Who vouches for it.
    pub key: &'a SecretKey,
    /// Look whether everything is there that should be, and put it back if not.
    pub verify: bool,
}

/// What a push came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Nothing was sent, as all of it was there.
    pub there: bool,
    /// Blobs that were sent.
    pub blobs: usize,
    /// Bytes that were sent, of packs and indexes.
    pub bytes: u64,
}

/// Puts what a build made into a cache.
pub fn push(
    pushing: Pushing<'_>,
    place: &Place,
    session: &Session,
    watch: &dyn Watch,
) -> Result<Pushed, CacheError> {
    let Pushing {
        mut traces,
        objects,
        dear,
        key,
        verify,
    } = pushing;
    let there = signed(place, &traces_name(&traces.plan))?;
    if let Some(there) = &there
        && !verify
        && same(&there.traces, &traces)
        && there.signers(&[key.public()]).len() == 1
    {
        return Ok(Pushed {
            there: true,
            ..Pushed::default()
        });
    }
    let contents = Contents::of(&objects, session)?;
    let earlier = earlier(place, session, &traces.title, there.as_ref())?;
    let (known, new) = sorted(&contents, &earlier, place, verify)?;
    let mut pushed = Pushed {
        blobs: new.len(),
        ..Pushed::default()
    };
    let mut packs = Packs::default();
    let mut frames: HashMap<Digest, Frame> = HashMap::new();
    for (blob, (pack, frame)) in known {
        let pack = packs.number(pack);
        frames.insert(blob, Frame { pack, ..frame });
    }
    if !new.is_empty() {
        let file = super::temporary(session)?;
        let whole: u64 = new.iter().map(|blob| blob.size).sum();
        let mut done = 0;
        let written = pack::write(&new, session, &file, &mut |bytes| {
            done += bytes;
            watch.moved(place.name(), done, whole);
        })?;
        place.put(&pack_name(&written.pack), &Content::File(&file))?;
        pushed.bytes += written.pack.size;
        let number = packs.number(written.pack);
        frames.extend(written.frames.into_iter().map(|(blob, frame)| {
            (
                blob,
                Frame {
                    pack: number,
                    ..frame
                },
            )
        }));
    }
    let frames: Option<Vec<Frame>> = contents
        .blobs
        .iter()
        .map(|met| frames.get(&met.blob.digest).copied())
        .collect();
    let index = Index {
        packs: packs.0,
        contents,
        // Each blob is known or new.
        frames: frames.unwrap_or_default(),
    };
    let raw = index.encode();
    let compressed =
        zstd::bulk::compress(&raw, INDEX_LEVEL).map_err(|source| CacheError::File {
            verb: "compress",
            path: "an index".into(),
            source,
        })?;
    traces.index = IndexFile {
        digest: Digest::of(&compressed),
        size: compressed.len() as u64,
        raw: raw.len() as u64,
    };
    place.put(&index_name(&traces.index), &Content::Bytes(&compressed))?;
    pushed.bytes += compressed.len() as u64;
    // Whoever has signed the same before is still believed by those who trust him.
    let others =
        there.filter(|there| same(&there.traces, &traces) && there.traces.index == traces.index);
    let mut signed = match others {
        Some(others) => others.traces.sign(key).with(others.signatures),
        None => traces.sign(key),
    };
    signed.signatures.sort();
    let bytes = signed.encode();
    for step in &dear {
        place.put(&step_name(step), &Content::Bytes(&bytes))?;
    }
    place.put(&traces_name(&signed.traces.plan), &Content::Bytes(&bytes))?;
    place.put(&latest_name(&signed.traces.title), &Content::Bytes(&bytes))?;
    remember(place, session, &signed.traces.index)?;
    Ok(pushed)
}

/// The traces of that name, whoever has signed them; nothing where they are none.
pub(super) fn signed(place: &Place, name: &str) -> Result<Option<Signed>, CacheError> {
    match place.get(name, MOST_BYTES) {
        Ok(bytes) => Ok(Signed::decode(&bytes).ok()),
        Err(CacheError::Gone { .. } | CacheError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether both say that the same came out.
fn same(one: &Traces, other: &Traces) -> bool {
    let outputs = |traces: &Traces| -> Vec<_> {
        let steps = traces.steps.iter();
        steps.map(|(key, trace)| (*key, trace.output)).collect()
    };
    one.plan == other.plan && one.closure == other.closure && outputs(one) == outputs(other)
}

/// The indexes of earlier pushes: of this build, of the last one of the recipe, and of whatever was pushed from here.
fn earlier(
    place: &Place,
    session: &Session,
    title: &str,
    there: Option<&Signed>,
) -> Result<Vec<Index>, CacheError> {
    let mut files: Vec<IndexFile> = there.iter().map(|it| it.traces.index).collect();
    if let Some(latest) = signed(place, &latest_name(title))? {
        files.push(latest.traces.index);
    }
    files.extend(remembered(place, session)?);
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(*file));
    let mut indexes = Vec::new();
    for file in files {
        match read_index(place, &file) {
            Ok(index) => indexes.push(index),
            // What is lost saves nothing, and costs nothing but the work.
            Err(CacheError::Gone { .. } | CacheError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(indexes)
}

type Known = HashMap<Digest, (PackFile, Frame)>;

/// Which blobs lie in packs that the cache has, and which have to be sent, in the order in which they are met.
fn sorted(
    contents: &Contents,
    earlier: &[Index],
    place: &Place,
    verify: bool,
) -> Result<(Known, Vec<BlobId>), CacheError> {
    let mut there: HashMap<PackFile, bool> = HashMap::new();
    let (mut known, mut new) = (HashMap::new(), Vec::new());
    let places: Vec<Known> = earlier.iter().map(Index::places).collect();
    for met in &contents.blobs {
        let mut found = None;
        for (pack, frame) in places.iter().filter_map(|it| it.get(&met.blob.digest)) {
            let is_there = match there.get(pack) {
                Some(is_there) => *is_there,
                None => {
                    let is_there = is_whole(place, pack, verify)?;
                    there.insert(*pack, is_there);
                    is_there
                }
            };
            if is_there {
                found = Some((*pack, *frame));
                break;
            }
        }
        match found {
            Some(found) => drop(known.insert(met.blob.digest, found)),
            None => new.push(met.blob),
        }
    }
    Ok((known, new))
}

/// Whether the cache has the pack: in its full size, or if it is asked for, with its bytes.
fn is_whole(place: &Place, pack: &PackFile, verify: bool) -> Result<bool, CacheError> {
    let name = pack_name(pack);
    if place.size(&name)? != Some(pack.size) {
        return Ok(false);
    }
    if !verify {
        return Ok(true);
    }
    let mut hash = blake3::Hasher::new();
    let mut at = 0;
    while at < pack.size {
        let end = pack.size.min(at + (8 << 20));
        match place.part(&name, at..end) {
            Ok(Some(bytes)) => hash.update(&bytes),
            Ok(None) => return Ok(Digest::of(&place.get(&name, pack.size)?) == pack.digest),
            Err(CacheError::Gone { .. } | CacheError::Damaged { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        at = end;
    }
    Ok(hash.finalize().as_bytes() == pack.digest.as_bytes())
}

/// Reads an index and checks that it is the one that was named.
pub(super) fn read_index(place: &Place, file: &IndexFile) -> Result<Index, CacheError> {
    let name = index_name(file);
    let bytes = place.get(&name, file.size)?;
    if Digest::of(&bytes) != file.digest {
        return Err(place.damaged(&name, "it has other bytes"));
    }
    if file.raw > MOST_RAW {
        return Err(place.damaged(&name, "it is too large"));
    }
    let raw = zstd::bulk::decompress(&bytes, usize::try_from(file.raw).unwrap_or(usize::MAX));
    let raw = raw.map_err(|error| place.damaged(&name, &error.to_string()))?;
    Index::decode(&raw).map_err(|why| place.damaged(&name, &why))
}

fn memo_key(place: &Place) -> Digest {
    Digest::of(format!("recipe pushes to {} 1", place.name()).as_bytes())
}

/// The indexes of what was pushed from here, the newest first.
fn remembered(place: &Place, session: &Session) -> Result<Vec<IndexFile>, CacheError> {
    let text = session
        .store()
        .memo_get(&memo_key(place))?
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.lines().filter_map(IndexFile::of).collect())
}

fn remember(place: &Place, session: &Session, index: &IndexFile) -> Result<(), CacheError> {
    let mut files = remembered(place, session)?;
    files.retain(|file| file != index);
    files.insert(0, *index);
    files.truncate(REMEMBERED);
    let lines: Vec<String> = files.iter().map(|file| format!("{file}\n")).collect();
    Ok(session
        .store()
        .memo_put(&memo_key(place), lines.concat().as_bytes())?)
}

/// Packs, each with its number.
#[derive(Default)]
struct Packs(Vec<PackFile>);

impl Packs {
    fn number(&mut self, pack: PackFile) -> usize {
        let known = self.0.iter().position(|known| *known == pack);
        known.unwrap_or_else(|| {
            self.0.push(pack);
            self.0.len() - 1
        })
    }
}
