//! zip → entries. Begin at [`unpack_zip`], or [`unpack_zip_with_links`] for what is no wheel.
//!
//! `end.rs` finds the table of contents, `directory.rs` reads it, `local.rs` holds every entry's own header against it; both
//! are done with the whole archive before one byte is inflated. The entries must fill the file from its
//! first byte to the central directory without gap or overlap, so a program that reads from the front
//! and one that reads from the back see the same archive.

mod directory;
mod end;
mod field;
mod local;
mod modes;

pub use self::modes::zip_with_plain_modes;

use std::io::{self, BufRead, Read};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use self::directory::{Central, Directory, Method};
use super::error::{ArchiveError, Fault};
use super::guard::{Guard, Payload};
use super::limits::Limits;
use super::path::{Root, TARGET_LIMIT};
use super::stream::check_output;
use super::{ReadAt, Sink};

/// Unpacks a zip archive (a wheel) into `sink`, in the order of its bytes. `name` is only for messages.
/// Accepted are files and directories, stored or deflated; no symlinks, no encryption, no other method.
///
/// # Errors
/// [`ArchiveError`] names the entry and the rule it breaks; what `sink` holds is then worthless.
pub fn unpack_zip<S: ReadAt + ?Sized>(
    source: &S,
    name: &str,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    unpack(source, name, limits, Links::Refused, sink)
}

/// The same for archives in which symlinks have their place, such as our exports: kept the way
/// Info-ZIP does, the target as the content. They obey the rules of all archives.
///
/// # Errors
/// As those of [`unpack_zip`].
pub fn unpack_zip_with_links<S: ReadAt + ?Sized>(
    source: &S,
    name: &str,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    unpack(source, name, limits, Links::Kept, sink)
}

/// What becomes of symlinks. No wheel has any: other programs make files of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    Refused,
    Kept,
}

fn unpack<S: ReadAt + ?Sized>(
    source: &S,
    name: &str,
    limits: &Limits,
    links: Links,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let broken = |error| ArchiveError::from_form(name, error);
    let size = source.size().map_err(broken)?;
    let directory = end::read(source, size, limits).map_err(broken)?;
    let entries = directory.entries(name, limits, links)?;
    let about = |entry: &Central, fault| ArchiveError::entry(name, entry.index, &entry.name, fault);
    let mut claimed = 0u64;
    for (entry, _) in spans(&entries, directory.start) {
        claimed = claimed.saturating_add(entry.size);
        check_output(limits, size, claimed).map_err(|fault| about(entry, fault))?;
    }
    check_spans(name, &entries, &directory)?;
    let mut starts = Vec::new();
    for (entry, end) in spans(&entries, directory.start) {
        let start = local::check(source, entry, end)
            .map_err(|error| ArchiveError::from_entry(name, entry.index, &entry.name, error))?;
        starts.push(start);
    }
    let mut guard = Guard::new(name, limits, sink, Root::Unknown);
    let mut inflate = DeflateDecoder::new(Section::new(source));
    for (entry, start) in entries.iter().zip(starts) {
        unpack_entry(source, entry, start, &mut inflate, &mut guard)?;
    }
    guard.finish()
}

fn unpack_entry<'s, S: ReadAt + ?Sized>(
    source: &'s S,
    entry: &Central,
    start: u64,
    inflate: &mut DeflateDecoder<Section<'s, S>>,
    guard: &mut Guard<'_>,
) -> Result<(), ArchiveError> {
    guard.begin(entry.index, &entry.name);
    let buffer = std::mem::take(&mut inflate.get_mut().buffer);
    inflate.reset(Section {
        source,
        at: start,
        end: start + entry.packed,
        buffer,
        used: 0,
        filled: 0,
    });
    let mut payload = Data {
        inflate,
        stored: entry.method == Method::Stored,
        packed: entry.packed,
        crc: Crc::new(),
        wanted: entry.crc,
    };
    if entry.is_directory() {
        payload.close().map_err(|error| guard.broken(error))?;
        return guard.directory();
    }
    if entry.is_symlink() {
        let target = link_target(&mut payload, entry.size).map_err(|error| guard.broken(error))?;
        return guard.symlink(&target);
    }
    guard.file(entry.executable(), entry.size, &mut payload)
}

/// The content of a symlink, up to a length that is refused.
fn link_target(payload: &mut impl Payload, size: u64) -> io::Result<Vec<u8>> {
    let mut target = Vec::new();
    let most = size.min(TARGET_LIMIT as u64);
    payload.by_ref().take(most).read_to_end(&mut target)?;
    if target.len() < TARGET_LIMIT {
        payload.close()?;
    }
    Ok(target)
}

/// Every entry with the offset at which the next one, or the directory, begins.
fn spans(entries: &[Central], end: u64) -> impl Iterator<Item = (&Central, u64)> {
    let ends = entries.iter().skip(1).map(|next| next.offset);
    entries.iter().zip(ends.chain([end]))
}

/// From the directory alone: does every entry have room for what it claims?
fn check_spans(
    archive: &str,
    entries: &[Central],
    directory: &Directory,
) -> Result<(), ArchiveError> {
    let first = entries.first().map(|entry| entry.offset);
    if first.is_some_and(|offset| offset != 0) {
        let place = "before the first entry";
        return Err(ArchiveError::form(archive, Fault::Stray { place }));
    }
    for (entry, end) in spans(entries, directory.start) {
        let least = local::FIXED + entry.name.len() as u64;
        let room = end.checked_sub(entry.offset);
        let needed = least.checked_add(entry.packed);
        if room.is_none() || needed.is_none() || needed > room {
            let (index, name) = (entry.index, &entry.name);
            return Err(ArchiveError::entry(archive, index, name, Fault::Overlap));
        }
    }
    Ok(())
}

/// The packed bytes of one entry.
struct Section<'s, S: ?Sized> {
    source: &'s S,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
    filled: usize,
}

impl<'s, S: ReadAt + ?Sized> Section<'s, S> {
    fn new(source: &'s S) -> Self {
        Section {
            source,
            at: 0,
            end: 0,
            buffer: vec![0; 64 << 10],
            used: 0,
            filled: 0,
        }
    }
}

impl<S: ReadAt + ?Sized> Read for Section<'_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(out.len());
        out[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<S: ReadAt + ?Sized> BufRead for Section<'_, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.filled {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            let most = left.min(self.buffer.len());
            self.source
                .read_exact_at(&mut self.buffer[..most], self.at)?;
            self.at += most as u64;
            (self.used, self.filled) = (0, most);
        }
        Ok(&self.buffer[self.used..self.filled])
    }

    fn consume(&mut self, count: usize) {
        self.used = self.filled.min(self.used + count);
    }
}

/// One entry's content. Closing checks that nothing is left over and that the CRC is right.
struct Data<'i, 's, S: ReadAt + ?Sized> {
    inflate: &'i mut DeflateDecoder<Section<'s, S>>,
    stored: bool,
    packed: u64,
    crc: Crc,
    wanted: u32,
}

impl<S: ReadAt + ?Sized> Data<'_, '_, S> {
    fn raw(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stored {
            self.inflate.get_mut().read(buffer)
        } else {
            self.inflate.read(buffer)
        }
    }
}

impl<S: ReadAt + ?Sized> Read for Data<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.raw(buffer)?;
        self.crc.update(&buffer[..count]);
        Ok(count)
    }
}

impl<S: ReadAt + ?Sized> Payload for Data<'_, '_, S> {
    fn close(&mut self) -> io::Result<()> {
        if self.raw(&mut [0])? != 0 {
            let place = "in its content beyond its recorded size";
            return Err(Fault::Stray { place }.into_io());
        }
        let used = self.inflate.total_in();
        if !self.stored && used != self.packed {
            return Err(Fault::Disagree {
                what: "its packed size",
                one: self.packed,
                other: used,
            }
            .into_io());
        }
        if self.crc.sum() != self.wanted {
            return Err(Fault::Crc {
                wanted: self.wanted,
                found: self.crc.sum(),
            }
            .into_io());
        }
        Ok(())
    }
}
