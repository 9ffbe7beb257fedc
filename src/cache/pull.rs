//! Objects that an index knows → the store. Begin at [`pull`].
//!
//! Frames that are wanted and lie near each other are read as one part; several parts are asked for at once, and
//! whoever reads one opens its frames as they come. What was compressed against another blob comes after that
//! one, which comes along if it is not there. Each blob is hashed before the store has it, and a tree is entered
//! once all that it names is there, so a cache can withhold things but not change them. What came is published
//! while the rest still comes: a pull that ends early is gone on with from there.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use recipe_store::{BlobId, Entry, ObjectId, Session, Tree, TreeId};

use super::error::CacheError;
use super::index::{Frame, Index, Met, PackFile};
use super::place::Place;

/// What nobody wants between two frames is read too, up to this many bytes: it costs less than another question.
const GAP: u64 = 32 << 10;
/// A part is about this long, in bytes.
const PART: u64 = 8 << 20;
/// How often what came is published while the rest still comes.
const PUBLISH_EVERY: Duration = Duration::from_millis(400);
/// A blob whose frame is longer is decompressed as it comes.
const LARGE: u64 = 32 << 20;

/// What a pull came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pulled {
    /// Blobs that came.
    pub blobs: usize,
    /// Bytes that came.
    pub bytes: u64,
    /// How many parts were asked for.
    pub parts: usize,
}

/// One part of a pack: which blobs, by their numbers.
struct Span {
    pack: PackFile,
    range: Range<u64>,
    blobs: Vec<usize>,
}

/// What is asked and told while it goes on.
pub(super) struct Pull<'a> {
    pub(super) place: &'a Place,
    pub(super) index: &'a Index,
    pub(super) session: &'a Session,
    /// Hears of the bytes that came, and how many there will be.
    pub(super) tell: &'a (dyn Fn(u64, u64) + Sync),
}

/// Brings `wanted` and all that is below into the session, as far as it is not there.
pub(super) fn pull(wanted: &[ObjectId], from: &Pull<'_>) -> Result<Pulled, CacheError> {
    let (trees, blobs) = missing(wanted, from)?;
    let rounds = rounds(&blobs, from)?;
    let coming = Coming {
        from,
        came: AtomicU64::new(0),
        whole: bytes_of(&rounds),
        wholes: Wholes::default(),
        published: Mutex::new(Instant::now()),
    };
    for spans in &rounds {
        coming.bring(spans)?;
    }
    for tree in trees {
        from.session.put_tree(tree)?;
    }
    Ok(Pulled {
        blobs: blobs.len(),
        bytes: coming.whole,
        parts: rounds.iter().map(Vec::len).sum(),
    })
}

/// How many bytes [`pull`] would read.
pub(super) fn would_pull(wanted: &[ObjectId], from: &Pull<'_>) -> Result<u64, CacheError> {
    let (_, blobs) = missing(wanted, from)?;
    Ok(bytes_of(&rounds(&blobs, from)?))
}

/// What is read first, and what is read once that is there: blobs that were compressed against others.
fn rounds(blobs: &[usize], from: &Pull<'_>) -> Result<[Vec<Span>; 2], CacheError> {
    let Pull { index, session, .. } = from;
    let base_of = |number: &usize| index.frames[*number].base;
    let (second, mut first): (Vec<usize>, Vec<usize>) =
        blobs.iter().partition(|number| base_of(number).is_some());
    let mut there: HashSet<usize> = first.iter().copied().collect();
    for base in second.iter().filter_map(base_of) {
        let blob: Option<ObjectId> = index.blob(base).map(|met| met.blob.into());
        if there.insert(base) && !blob.map_or(Ok(false), |blob| session.has(&blob))? {
            first.push(base);
        }
    }
    Ok([spans(&first, index), spans(&second, index)])
}

fn bytes_of(rounds: &[Vec<Span>]) -> u64 {
    let spans = rounds.iter().flatten();
    spans.map(|span| span.range.end - span.range.start).sum()
}

/// Parts that are coming.
struct Coming<'a> {
    from: &'a Pull<'a>,
    came: AtomicU64,
    whole: u64,
    wholes: Wholes,
    /// When what came was published last.
    published: Mutex<Instant>,
}

impl Coming<'_> {
    /// Reads the parts, several at once, and enters what they have.
    fn bring(&self, spans: &[Span]) -> Result<(), CacheError> {
        let next = AtomicUsize::new(0);
        let failed: Mutex<Option<CacheError>> = Mutex::new(None);
        let Coming {
            from,
            came,
            whole,
            wholes,
            ..
        } = self;
        let work = || {
            while let Some(span) = spans.get(next.fetch_add(1, Ordering::Relaxed)) {
                if lock(&failed).is_some() {
                    return;
                }
                match one(span, from, wholes).and_then(|()| self.publish()) {
                    Ok(()) => {
                        let bytes = span.range.end - span.range.start;
                        let so_far = came.fetch_add(bytes, Ordering::Relaxed) + bytes;
                        (from.tell)(so_far, *whole);
                    }
                    Err(error) => drop(lock(&failed).get_or_insert(error)),
                }
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = from.place.at_once().max(cores).min(spans.len().max(1));
        std::thread::scope(|scope| {
            // Where no thread can be started this one does it all.
            for _ in 1..threads {
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or(Ok(()), Err)
    }

    /// Publishes what came, if it is time for that and no other thread is at it.
    fn publish(&self) -> Result<(), CacheError> {
        let Ok(mut last) = self.published.try_lock() else {
            return Ok(());
        };
        if last.elapsed() >= PUBLISH_EVERY {
            self.from.session.commit()?;
            *last = Instant::now();
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is not in the session: the trees, each after those that it names, and the blobs, by their numbers.
fn missing<'i>(
    wanted: &[ObjectId],
    from: &Pull<'i>,
) -> Result<(Vec<&'i Tree>, Vec<usize>), CacheError> {
    let Pull { index, session, .. } = from;
    let unknown = |id: ObjectId| {
        from.place
            .damaged("an index", &format!("it does not know {id}"))
    };
    let known: HashMap<TreeId, &Tree> = index
        .contents
        .trees
        .iter()
        .map(|(id, tree)| (*id, tree))
        .collect();
    let numbers = index.contents.blobs.iter().enumerate();
    let mut numbers: HashMap<BlobId, usize> =
        numbers.map(|(number, met)| (met.blob, number)).collect();
    let (mut trees, mut blobs) = (Vec::new(), Vec::new());
    // Each tree is met twice: before what it names, and after.
    let mut open: Vec<(ObjectId, bool)> = wanted.iter().map(|id| (*id, false)).collect();
    let mut seen = HashSet::new();
    while let Some((id, is_done)) = open.pop() {
        let tree = match id {
            ObjectId::Tree(tree) => *known.get(&tree).ok_or_else(|| unknown(id))?,
            ObjectId::Blob(blob) => {
                // One that was met before has no number any more.
                match numbers.remove(&blob) {
                    Some(number) => blobs.push(number),
                    None if seen.contains(&id) || session.has(&id)? => {}
                    None => return Err(unknown(id)),
                }
                seen.insert(id);
                continue;
            }
        };
        if is_done {
            trees.push(tree);
            continue;
        }
        // A tree that is there is there with all below it.
        if !seen.insert(id) || session.has(&id)? {
            continue;
        }
        open.push((id, true));
        for (_, entry) in tree.iter() {
            match entry {
                Entry::File { blob, .. } => open.push(((*blob).into(), false)),
                Entry::Directory(below) => open.push(((*below).into(), false)),
                Entry::Symlink { .. } => {}
            }
        }
    }
    // Nothing else goes on before the first question for them.
    let absent = blobs.into_par_iter().map(|number| {
        let blob = met(number, from)?.blob;
        let is_there = session.has(&blob.into())?;
        Ok((!is_there).then_some(number))
    });
    let absent: Result<Vec<Option<usize>>, CacheError> = absent.collect();
    Ok((trees, absent?.into_iter().flatten().collect()))
}

/// The parts of packs that have these blobs.
fn spans(blobs: &[usize], index: &Index) -> Vec<Span> {
    let mut frames: Vec<(usize, Frame)> = blobs
        .iter()
        .map(|number| (*number, index.frames[*number]))
        .collect();
    frames.sort_by_key(|(_, frame)| (frame.pack, frame.offset));
    let mut spans: Vec<Span> = Vec::new();
    for (number, frame) in frames {
        let pack = index.packs[frame.pack];
        let end = frame.offset + frame.length;
        match spans.last_mut() {
            Some(span)
                if span.pack == pack
                    && frame.offset <= span.range.end.saturating_add(GAP)
                    && end.saturating_sub(span.range.start) <= PART =>
            {
                span.range.end = span.range.end.max(end);
                span.blobs.push(number);
            }
            _ => spans.push(Span {
                pack,
                range: frame.offset..end,
                blobs: vec![number],
            }),
        }
    }
    spans
}

/// Packs of a server that knows no parts, as files.
#[derive(Default)]
struct Wholes(Mutex<Vec<(PackFile, File)>>);

impl Wholes {
    /// Whether the server was found to know no parts.
    fn is_needed(&self) -> bool {
        !lock(&self.0).is_empty()
    }

    fn part(
        &self,
        pack: PackFile,
        range: &Range<u64>,
        from: &Pull<'_>,
    ) -> Result<Vec<u8>, CacheError> {
        let mut wholes = lock(&self.0);
        let at = match wholes.iter().position(|(there, _)| *there == pack) {
            Some(at) => at,
            None => {
                let mut file = super::temporary(from.session)?;
                from.place
                    .copy(&super::pack_name(&pack), pack.size, &mut file)?;
                wholes.push((pack, file));
                wholes.len() - 1
            }
        };
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
        let read = wholes[at].1.read_exact_at(&mut bytes, range.start);
        read.map_err(|_| {
            from.place
                .damaged(&super::pack_name(&pack), "it ends too early")
        })?;
        Ok(bytes)
    }
}

fn part(
    pack: PackFile,
    range: Range<u64>,
    from: &Pull<'_>,
    wholes: &Wholes,
    grown: &mut dyn FnMut(&[u8]),
) -> Result<Vec<u8>, CacheError> {
    let name = super::pack_name(&pack);
    if !wholes.is_needed()
        && let Some(bytes) = from.place.part(&name, range.clone(), grown)?
    {
        return Ok(bytes);
    }
    wholes.part(pack, &range, from)
}

/// Reads one part and enters its blobs.
fn one(span: &Span, from: &Pull<'_>, wholes: &Wholes) -> Result<(), CacheError> {
    if let [number] = span.blobs[..]
        && span.range.end - span.range.start > LARGE
    {
        return large(number, span, from, wholes);
    }
    let decompressor = zstd::bulk::Decompressor::new().map_err(unopened)?;
    let mut opening = Opening {
        span,
        from,
        decompressor,
        rest: &span.blobs,
    };
    let mut done = Ok(());
    let bytes = part(span.pack, span.range.clone(), from, wholes, &mut |so_far| {
        if done.is_ok() {
            done = opening.enter(so_far, false);
        }
    })?;
    done?;
    opening.enter(&bytes, true)
}

/// The frames of a part that are not opened yet.
struct Opening<'a> {
    span: &'a Span,
    from: &'a Pull<'a>,
    decompressor: zstd::bulk::Decompressor<'static>,
    rest: &'a [usize],
}

impl Opening<'_> {
    /// Enters the blobs whose frames `bytes` have, which are the beginning of the part, or `all` of it.
    fn enter(&mut self, bytes: &[u8], all: bool) -> Result<(), CacheError> {
        let Opening { span, from, .. } = *self;
        while let Some((number, rest)) = self.rest.split_first() {
            let (met, frame) = (met(*number, from)?, &from.index.frames[*number]);
            let begin = usize::try_from(frame.offset - span.range.start).unwrap_or(usize::MAX);
            let end = begin.saturating_add(usize::try_from(frame.length).unwrap_or(usize::MAX));
            let compressed = match bytes.get(begin..end) {
                Some(compressed) => compressed,
                None if all => &[],
                None => return Ok(()),
            };
            let size = usize::try_from(met.blob.size).unwrap_or(usize::MAX);
            let opened = match frame.base {
                None => self.decompressor.decompress(compressed, size),
                Some(base) => {
                    let base = from.session.read_blob(&self::met(base, from)?.blob)?;
                    against(compressed, &base, met.blob.size)
                }
            };
            let opened = opened.map_err(|error| wrong(span, &met, &error.to_string(), from))?;
            let session = from.session;
            if !session.put_blob_if(&met.blob, &opened, met.executable)? {
                return Err(wrong(span, &met, "it has other bytes", from));
            }
            self.rest = rest;
        }
        Ok(())
    }
}

/// The blob of that number.
fn met(number: usize, from: &Pull<'_>) -> Result<Met, CacheError> {
    let unknown = || {
        from.place
            .damaged("an index", &format!("it has no blob {number}"))
    };
    from.index.blob(number).ok_or_else(unknown)
}

/// Opens a frame that was compressed as what follows after `base`.
fn against(compressed: &[u8], base: &[u8], size: u64) -> io::Result<Vec<u8>> {
    let mut decoder =
        zstd::stream::read::Decoder::with_ref_prefix(compressed, base)?.single_frame();
    decoder.window_log_max(super::pack::WINDOW)?;
    let mut opened = Vec::new();
    decoder.take(size + 1).read_to_end(&mut opened)?;
    Ok(opened)
}

/// The same for a blob that is too large to be held.
fn large(number: usize, span: &Span, from: &Pull<'_>, wholes: &Wholes) -> Result<(), CacheError> {
    let met = &met(number, from)?;
    let parts = Parts {
        span,
        from,
        wholes,
        at: span.range.start,
        part: io::Cursor::new(Vec::new()),
        failed: Mutex::new(None),
    };
    let mut parts = io::BufReader::new(parts);
    let put = {
        let decoder = zstd::stream::read::Decoder::with_buffer(&mut parts);
        let mut decoder = decoder.map_err(unopened)?.single_frame();
        decoder.window_log_max(27).map_err(unopened)?;
        from.session
            .put_reader(&mut decoder, met.executable, met.blob.size)
    };
    let failed = parts.into_inner().failed;
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    match put {
        Ok(blob) if blob == met.blob => Ok(()),
        Ok(_) => Err(wrong(span, met, "it has other bytes", from)),
        Err(error @ recipe_store::StoreError::TooLarge { .. }) => {
            Err(wrong(span, met, &error.to_string(), from))
        }
        Err(recipe_store::StoreError::Reader { source }) => {
            Err(wrong(span, met, &source.to_string(), from))
        }
        Err(error) => Err(error.into()),
    }
}

/// A long span, read part by part.
struct Parts<'a> {
    span: &'a Span,
    from: &'a Pull<'a>,
    wholes: &'a Wholes,
    at: u64,
    part: io::Cursor<Vec<u8>>,
    failed: Mutex<Option<CacheError>>,
}

impl Read for Parts<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.part.read(buffer)?;
        if count > 0 || self.at == self.span.range.end {
            return Ok(count);
        }
        let end = self.span.range.end.min(self.at + PART);
        match part(
            self.span.pack,
            self.at..end,
            self.from,
            self.wholes,
            &mut |_| {},
        ) {
            Ok(bytes) => {
                self.at = end;
                self.part = io::Cursor::new(bytes);
                self.part.read(buffer)
            }
            Err(error) => {
                let told = io::Error::other(error.to_string());
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(told)
            }
        }
    }
}

fn wrong(span: &Span, met: &Met, why: &str, from: &Pull<'_>) -> CacheError {
    let why = format!("{} in it cannot be used: {why}", ObjectId::Blob(met.blob));
    from.place.damaged(&super::pack_name(&span.pack), &why)
}

fn unopened(source: io::Error) -> CacheError {
    CacheError::File {
        verb: "decompress",
        path: "a pack".into(),
        source,
    }
}
