//! A compressed stream → its bytes, bounded. Begin at [`open`].
//!
//! Several gzip members, xz streams or zstd frames in a row are one stream, as each format says and
//! every tool reads it; other bytes after them are an error of the decoder.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use super::error::{ArchiveError, Fault};
use super::limits::Limits;

const BUFFER: usize = 64 << 10;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// Blocks of 100 to 900 kB, as `bzip2` writes them.
    Bzip2,
    /// The .xz file format 1.2, with LZMA2 and BCJ or delta filters.
    Xz,
    /// RFC 8878, without dictionaries.
    Zstd,
}

impl Compression {
    /// What a file name says: `.tar`, `.tar.gz`, `.tgz`, `.tar.bz2`, `.tbz2`, `.tar.xz`, `.txz`, `.tar.zst`, `.tzst`.
    pub fn of_tar_name(name: &str) -> Option<Compression> {
        let endings = [
            (".tar", Compression::None),
            (".tar.gz", Compression::Gzip),
            (".tgz", Compression::Gzip),
            (".tar.bz2", Compression::Bzip2),
            (".tbz2", Compression::Bzip2),
            (".tar.xz", Compression::Xz),
            (".txz", Compression::Xz),
            (".tar.zst", Compression::Zstd),
            (".tzst", Compression::Zstd),
        ];
        let found = endings.iter().find(|(ending, _)| name.ends_with(ending));
        found.map(|(_, compression)| *compression)
    }

    fn magic(self) -> (&'static [u8], &'static str) {
        match self {
            Compression::None => (b"", "a plain tar archive"),
            Compression::Gzip => (b"\x1f\x8b", "a gzip stream"),
            Compression::Bzip2 => (b"BZh", "a bzip2 stream"),
            Compression::Xz => (b"\xfd7zXZ\0", "an xz stream"),
            Compression::Zstd => (b"\x28\xb5\x2f\xfd", "a zstd stream"),
        }
    }
}

/// What bytes look like that are not what was wanted.
pub(super) fn looks_like(head: &[u8]) -> &'static str {
    let known: [(&[u8], &str); 9] = [
        (b"PK\x03\x04", "those of a zip archive"),
        (b"PK\x05\x06", "those of an empty zip archive"),
        (b"\x1f\x8b", "gzip data"),
        (b"\xfd7zXZ\0", "xz data"),
        (b"\x28\xb5\x2f\xfd", "zstd data"),
        (b"BZh", "bzip2 data"),
        (b"!<arch>\n", "those of an ar archive or deb"),
        (b"<!", "those of a web page"),
        (b"<html", "those of a web page"),
    ];
    match known.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, what)) => what,
        None if head.is_empty() => "none at all",
        None => "of no known format",
    }
}

/// A compressed file's bytes, all of them; `name` is for messages.
///
/// # Errors
/// When it is no such stream, is damaged, or grows beyond `limits`.
pub fn decompress(
    source: impl Read,
    compression: Compression,
    name: &str,
    limits: &Limits,
) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    open(source, compression, limits)
        .and_then(|mut stream| stream.read_to_end(&mut bytes))
        .map_err(|error| ArchiveError::from_form(name, error))?;
    Ok(bytes)
}

/// The decompressed bytes of `source`, held to `limits` while they are read.
pub(super) fn open<'s>(
    source: impl Read + 's,
    compression: Compression,
    limits: &'s Limits,
) -> io::Result<impl Read + 's> {
    let taken = Rc::new(Cell::new(0));
    let mut source = BufReader::with_capacity(
        BUFFER,
        Counted {
            inner: source,
            count: Rc::clone(&taken),
        },
    );
    let (magic, wanted) = compression.magic();
    let head = source.fill_buf()?;
    if !head.starts_with(magic) {
        let found = looks_like(head);
        return Err(Fault::WrongFormat { wanted, found }.into_io());
    }
    let decoder: Box<dyn Read + 's> = match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
            source,
            true,
            limits.xz_memory,
        )),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(limits.zstd_window_log)?;
            Box::new(decoder)
        }
    };
    Ok(Bounded {
        inner: decoder,
        taken,
        given: 0,
        limits,
    })
}

struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count
            .set(self.count.get().saturating_add(count as u64));
        Ok(count)
    }
}

struct Bounded<'s, R> {
    inner: R,
    taken: Rc<Cell<u64>>,
    given: u64,
    limits: &'s Limits,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given = self.given.saturating_add(count as u64);
        check_output(self.limits, self.taken.get(), self.given).map_err(Fault::into_io)?;
        Ok(count)
    }
}

/// Is `given` bytes of output acceptable for `taken` bytes of input?
pub(super) fn check_output(limits: &Limits, taken: u64, given: u64) -> Result<(), Fault> {
    if given > limits.bytes {
        return Err(Fault::Limit {
            what: "its size after decompression",
            limit: limits.bytes,
            unit: "bytes",
        });
    }
    if given > limits.free && given > taken.saturating_mul(limits.ratio) {
        return Err(Fault::Limit {
            what: "its size after decompression, as a multiple of its packed size",
            limit: limits.ratio,
            unit: "times",
        });
    }
    Ok(())
}
