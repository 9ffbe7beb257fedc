//! Blobs → one file of zstd frames, one frame for each. Begin at [`write`].
//!
//! A frame is compressed alone, so any of them can be read without the others; measured, that costs 5 % of a
//! solid archive. Where an earlier build has a blob in the same place, and both have much in common, it is compressed
//! against that one: what moves then is what changed in it. The same blobs in the same order give the same bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};

use rayon::prelude::*;
use recipe_store::{BlobId, Digest, Session, StoreError};

use super::error::CacheError;
use super::index::{MOST_BASED, PackFile, Placed};

/// As fast as a disk, and within some percent of the best that is.
const LEVEL: i32 = 4;
/// Blobs up to this size are compressed in memory, several at once.
const SMALL: u64 = 32 << 20;
/// A blob is compressed against another if it comes to no more than this part of what it is alone: whoever has neither
/// reads both.
const WORTH_IT: usize = 4;
/// Two blobs of [`MOST_BASED`] fit: the binary logarithm.
pub(super) const WINDOW: u32 = 26;
/// As hard as is worth while for a few blobs.
const LEVEL_AGAINST: i32 = 9;
/// Raw bytes that are compressed before the frames are written.
const BATCH: u64 = 32 << 20;

/// A blob to be written, and one that it may be compressed against.
#[derive(Debug, Clone, Copy)]
pub(super) struct New {
    /// The blob.
    pub(super) blob: BlobId,
    /// What lies in the same place in an earlier build.
    pub(super) base: Option<BlobId>,
}

/// Writes the blobs as a pack to `file`, which is empty: the pack, and where in it each of them lies.
pub(super) fn write(
    blobs: &[New],
    session: &Session,
    file: &File,
    tell: &mut dyn FnMut(u64),
) -> Result<(PackFile, HashMap<Digest, Placed>), CacheError> {
    let mut out = Out {
        file: BufWriter::with_capacity(1 << 20, file),
        hash: blake3::Hasher::new(),
        size: 0,
    };
    let mut frames = Vec::with_capacity(blobs.len());
    let mut rest = blobs;
    while !rest.is_empty() {
        let batch = rest.split_at(batch_length(rest));
        rest = batch.1;
        let compressed = compress(batch.0, session)?;
        for (new, compressed) in batch.0.iter().zip(compressed) {
            let offset = out.size;
            let mut base = None;
            match compressed {
                Some(frame) => {
                    out.write_all(&frame.bytes).map_err(unwritten)?;
                    base = frame.base;
                }
                None => compress_large(&new.blob, session, &mut out)?,
            }
            frames.push((new.blob.digest, offset, out.size - offset, base));
            tell(new.blob.size);
        }
    }
    out.file.flush().map_err(unwritten)?;
    let pack = PackFile {
        digest: Digest::from_bytes(*out.hash.finalize().as_bytes()),
        size: out.size,
    };
    let placed = frames.into_iter().map(|(digest, offset, length, base)| {
        let placed = Placed {
            pack,
            offset,
            length,
            base,
        };
        (digest, placed)
    });
    Ok((pack, placed.collect()))
}

/// How many of the blobs are compressed together.
fn batch_length(blobs: &[New]) -> usize {
    let mut sum = 0;
    let fits = blobs.iter().take_while(|new| {
        sum += new.blob.size;
        sum <= BATCH
    });
    fits.count().max(1)
}

/// A compressed blob.
struct Compressed {
    bytes: Vec<u8>,
    /// The blob that it was compressed against.
    base: Option<BlobId>,
}

/// Each blob compressed; nothing for one that is too large to be held.
fn compress(blobs: &[New], session: &Session) -> Result<Vec<Option<Compressed>>, CacheError> {
    let one = |new: &New| -> Result<Option<Compressed>, CacheError> {
        if new.blob.size > SMALL {
            return Ok(None);
        }
        let raw = session.read_blob(&new.blob)?;
        let bytes = zstd::bulk::compress(&raw, LEVEL).map_err(unwritten)?;
        if let Some(base) = new.base
            && new.blob.size.max(base.size) <= MOST_BASED
        {
            let against = against(&raw, &session.read_blob(&base)?).map_err(unwritten)?;
            if against.len() <= bytes.len() / WORTH_IT {
                return Ok(Some(Compressed {
                    bytes: against,
                    base: Some(base),
                }));
            }
        }
        Ok(Some(Compressed { bytes, base: None }))
    };
    blobs.par_iter().with_min_len(4).map(one).collect()
}

/// Compressed as what follows after `base`.
fn against(raw: &[u8], base: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder =
        zstd::stream::write::Encoder::with_ref_prefix(Vec::new(), LEVEL_AGAINST, base)?;
    // The window has to reach from the end of the one to the beginning of the other.
    let reach = (raw.len() + base.len()).next_power_of_two().ilog2();
    encoder.window_log(reach.clamp(10, WINDOW))?;
    encoder.long_distance_matching(true)?;
    encoder.include_contentsize(false)?;
    encoder.write_all(raw)?;
    encoder.finish()
}

fn compress_large(
    blob: &BlobId,
    session: &Session,
    out: &mut impl io::Write,
) -> Result<(), CacheError> {
    let mut from = session.open_blob(blob)?;
    let mut encoder = zstd::stream::write::Encoder::new(out, LEVEL).map_err(unwritten)?;
    let mut hash = blake3::Hasher::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let count = from.read(&mut chunk).map_err(unwritten)?;
        if count == 0 {
            break;
        }
        hash.update(&chunk[..count]);
        encoder.write_all(&chunk[..count]).map_err(unwritten)?;
    }
    encoder.finish().map_err(unwritten)?;
    if hash.finalize().as_bytes() == blob.digest.as_bytes() {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        path: session.store().path().join("blobs"),
        why: format!("{} has other bytes", recipe_store::ObjectId::Blob(*blob)),
    }
    .into())
}

fn unwritten(source: io::Error) -> CacheError {
    CacheError::File {
        verb: "write",
        path: "a pack".into(),
        source,
    }
}

/// Hashes and counts what is written.
struct Out<'f> {
    file: BufWriter<&'f File>,
    hash: blake3::Hasher,
    size: u64,
}

impl io::Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
