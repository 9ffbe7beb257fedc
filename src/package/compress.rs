//! Bytes → compressed bytes, the same for any number of threads; and the count and hash of what comes out.

use std::io::{self, Write};
use std::ops::RangeInclusive;

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use recipe_store::Digest;

/// zstd's level for the smallest package; those above it need more than 300 MB of memory.
const BEST: i32 = 20;

/// 64 MiB, about a closure: what is alike is found wherever it lies. Any `zstd -d` accepts it.
const WINDOW_LOG: u32 = 26;

/// The kind of file a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// tar, compressed with zstd.
    TarZst,
    /// tar, compressed with gzip: slower and larger, but everything reads it.
    TarGz,
    /// zip, with deflate: larger still; for places that have no tar.
    Zip,
}

impl Format {
    /// How its file names end, without the first dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::TarZst => "tar.zst",
            Format::TarGz => "tar.gz",
            Format::Zip => "zip",
        }
    }

    /// What a name in a recipe or on the command line means.
    pub fn of_name(name: &str) -> Option<Format> {
        [Format::TarZst, Format::TarGz, Format::Zip]
            .into_iter()
            .find(|format| format.extension() == name)
    }

    /// The levels there are, from fast to small.
    pub fn levels(self) -> RangeInclusive<i32> {
        match self {
            Format::TarZst => 1..=BEST,
            Format::TarGz | Format::Zip => 1..=9,
        }
    }

    /// The level when none is asked for: 9 of zstd's 20, 6 of gzip's 9 as gzip itself has it.
    pub fn default_level(self) -> i32 {
        match self {
            Format::TarZst => 9,
            Format::TarGz | Format::Zip => 6,
        }
    }
}

/// One of the compressors.
pub(super) enum Compressor<W: Write> {
    Zstd(zstd::stream::write::Encoder<'static, W>),
    Gzip(GzEncoder<W>),
}

impl<W: Write> Compressor<W> {
    pub(super) fn zstd(out: W, level: i32, threads: u32) -> io::Result<Self> {
        let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
        if level == BEST {
            // One thread: workers would each need a window and tables of their own.
            encoder.long_distance_matching(true)?;
            encoder.window_log(WINDOW_LOG)?;
        } else {
            // Never 0: without a worker the bytes are others.
            encoder.multithread(threads.max(1))?;
        }
        encoder.include_checksum(true)?;
        Ok(Compressor::Zstd(encoder))
    }

    pub(super) fn gzip(out: W, level: i32) -> Self {
        let level = flate2::Compression::new(level.unsigned_abs());
        // No name, no time: nothing but the content decides.
        Compressor::Gzip(GzBuilder::new().write(out, level))
    }

    pub(super) fn finish(self) -> io::Result<W> {
        let mut out = match self {
            Compressor::Zstd(encoder) => encoder.finish()?,
            Compressor::Gzip(encoder) => encoder.finish()?,
        };
        out.flush()?;
        Ok(out)
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Compressor::Zstd(encoder) => encoder.write(bytes),
            Compressor::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Compressor::Zstd(encoder) => encoder.flush(),
            Compressor::Gzip(encoder) => encoder.flush(),
        }
    }
}

/// Hands bytes on, counted and hashed.
pub(super) struct Counted<'o> {
    out: &'o mut dyn Write,
    hasher: blake3::Hasher,
    pub(super) bytes: u64,
}

impl<'o> Counted<'o> {
    pub(super) fn new(out: &'o mut dyn Write) -> Self {
        Counted {
            out,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::from_bytes(*self.hasher.finalize().as_bytes())
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
