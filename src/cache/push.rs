//! What a build made → a cache. Begin at [`push`].
//!
//! The order makes every moment sound: the pack first, then the index that says what is in it, last the traces by which
//! others find it. Blobs that lie in a pack of an earlier push are not sent again; which those are is read from the
//! index of that push, and a pack counts only while the cache has it in its full size. Of a file that changed goes what
//! changed in it.

use std::collections::{HashMap, HashSet};

use recipe_store::{BlobId, Digest, ObjectId, Session};

use super::error::CacheError;
use super::index::{Contents, Index, MOST_RAW, PackFile, Placed};
use super::key::SecretKey;
use super::pack::New;
use super::place::{Content, Place};
use super::traces::{IndexFile, MOST_BYTES, Signed, Traces};
use super::{index_name, latest_name, pack, pack_name, step_name, traces_name};
use crate::net::Watch;

/// Indexes of so many pushes are remembered, for each cache.
const REMEMBERED: usize = 8;
/// So many of them are looked through for what lay in the same place.
const LAST: usize = 2;
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
    let mut there_now = There {
        place,
        verify,
        known: HashMap::new(),
    };
    let (mut places, new) = sorted(&contents, &earlier, &mut there_now)?;
    let mut pushed = Pushed {
        blobs: new.len(),
        ..Pushed::default()
    };
    if !new.is_empty() {
        let bases = bases(&contents, &earlier, &mut there_now, session)?;
        let with_base = |blob: BlobId| New {
            blob,
            base: bases.get(&blob.digest).map(|(base, _)| *base),
        };
        let new: Vec<New> = new.into_iter().map(with_base).collect();
        let file = super::temporary(session)?;
        let whole: u64 = new.iter().map(|new| new.blob.size).sum();
        let mut done = 0;
        let (pack, written) = pack::write(&new, session, &file, &mut |bytes| {
            done += bytes;
            watch.moved(place.name(), done, whole);
        })?;
        place.put(&pack_name(&pack), &Content::File(&file))?;
        pushed.bytes += pack.size;
        for (digest, placed) in written {
            if placed.base.is_some()
                && let Some((base, alone)) = bases.get(&digest)
            {
                places.insert(base.digest, *alone);
            }
            places.insert(digest, placed);
        }
    }
    let index = Index::of(contents, &places)
        .ok_or_else(|| place.damaged("an index", "it does not say where all of its blobs lie"))?;
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

type Places = HashMap<Digest, Placed>;

/// Which packs the cache has; each is asked for once.
struct There<'a> {
    place: &'a Place,
    verify: bool,
    known: HashMap<PackFile, bool>,
}

impl There<'_> {
    fn has(&mut self, pack: &PackFile) -> Result<bool, CacheError> {
        if let Some(is_there) = self.known.get(pack) {
            return Ok(*is_there);
        }
        let is_there = is_whole(self.place, pack, self.verify)?;
        self.known.insert(*pack, is_there);
        Ok(is_there)
    }
}

/// Which blobs lie in packs that the cache has, and which have to be sent, in the order in which they are met.
fn sorted(
    contents: &Contents,
    earlier: &[Index],
    there: &mut There<'_>,
) -> Result<(Places, Vec<BlobId>), CacheError> {
    let (mut known, mut new) = (Places::new(), Vec::new());
    let mut bases = Places::new();
    let places: Vec<Places> = earlier.iter().map(Index::places).collect();
    'blobs: for met in &contents.blobs {
        for places in &places {
            let Some(placed) = places.get(&met.blob.digest) else {
                continue;
            };
            let base = placed
                .base
                .and_then(|base| Some((base, places.get(&base.digest)?)));
            let is_there = match base {
                Some((_, alone)) => there.has(&placed.pack)? && there.has(&alone.pack)?,
                None => there.has(&placed.pack)?,
            };
            if is_there {
                known.insert(met.blob.digest, *placed);
                bases.extend(base.map(|(base, alone)| (base.digest, *alone)));
                continue 'blobs;
            }
        }
        new.push(met.blob);
    }
    // Of two places of a blob that others were compressed against, that one counts in which it lies alone.
    known.extend(bases);
    Ok((known, new))
}

/// For blobs, what the last builds have in their places, and where that lies alone: as far as it is here, too.
fn bases(
    contents: &Contents,
    earlier: &[Index],
    there: &mut There<'_>,
    session: &Session,
) -> Result<HashMap<Digest, (BlobId, Placed)>, CacheError> {
    let mut bases = HashMap::new();
    for index in earlier.iter().take(LAST) {
        let places = index.places();
        for (digest, old) in contents.counterparts(&index.contents) {
            let base = match places.get(&old.digest) {
                Some(placed) => placed.base.unwrap_or(old),
                None => continue,
            };
            if let Some(alone) = places.get(&base.digest)
                && there.has(&alone.pack)?
                && session.has(&base.into())?
            {
                bases.entry(digest).or_insert((base, *alone));
            }
        }
    }
    Ok(bases)
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
        match place.part(&name, at..end, &mut |_| {}) {
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
