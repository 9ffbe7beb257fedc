//! The end of a zip → its table of contents. Begin at [`read`].
//!
//! The last end record is the only one there may be; all that stands between the central directory and
//! the end of the file is accounted for byte by byte. Zeros after the end pass: real wheels have them.

use std::io;

use super::field::{malformed, slice, u16_at, u32_at, u64_at, zip64_extra};
use crate::archive::ReadAt;
use crate::archive::error::{ArchiveError, Fault, Kind};
use crate::archive::limits::Limits;
use crate::archive::stream::looks_like;

const END: &[u8] = b"PK\x05\x06";
const END_SIZE: usize = 22;
const LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_SIZE: u64 = 20;
const END64: &[u8] = b"PK\x06\x06";
const END64_SIZE: u64 = 56;
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_SIZE: usize = 46;
/// How far from the end of the file the end record is looked for: a comment's most, and padding.
const TAIL: u64 = 128 << 10;
const NONE16: u16 = u16::MAX;
const NONE32: u32 = u32::MAX;

/// Where the table of contents is, and its bytes.
pub(super) struct Directory {
    pub(super) start: u64,
    count: u64,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

/// One entry as the central directory has it.
pub(super) struct Central {
    /// Its place in the directory: the first is 1.
    pub(super) index: u64,
    pub(super) name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: Method,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
    attributes: u32,
}

impl Central {
    pub(super) fn is_directory(&self) -> bool {
        self.name.ends_with(b"/")
    }

    pub(super) fn executable(&self) -> bool {
        (self.attributes >> 16) & 0o111 != 0
    }
}

pub(super) fn read<S: ReadAt + ?Sized>(
    source: &S,
    size: u64,
    limits: &Limits,
) -> io::Result<Directory> {
    let tail_start = size.saturating_sub(TAIL);
    let mut tail = vec![0; usize::try_from(size - tail_start).unwrap_or_default()];
    source.read_exact_at(&mut tail, tail_start)?;
    let end = find_end(source, &tail, size)?;
    let at = tail_start + end as u64;
    let record = EndRecord::parse(&tail[end..]).map_err(Fault::into_io)?;
    let (record, stop) = with_zip64(source, record, at)?;
    let sum = record.start.checked_add(record.size);
    if sum != Some(stop) {
        return Err(misplaced(&tail, tail_start, end, sum, stop).into_io());
    }
    let limit = limits.header.saturating_mul(64);
    if record.size > limit {
        return Err(Fault::Limit {
            what: "its central directory",
            limit,
            unit: "bytes",
        }
        .into_io());
    }
    let mut bytes = vec![0; usize::try_from(record.size).unwrap_or_default()];
    source.read_exact_at(&mut bytes, record.start)?;
    Ok(Directory {
        start: record.start,
        count: record.count,
        bytes,
    })
}

/// Where in `tail` the last end record is. After it and its comment there may be zeros only.
fn find_end<S: ReadAt + ?Sized>(source: &S, tail: &[u8], size: u64) -> io::Result<usize> {
    let mut head = vec![0; 512.min(usize::try_from(size).unwrap_or(512))];
    source.read_exact_at(&mut head, 0)?;
    let wrong = |found| {
        let wanted = "a zip archive";
        Fault::WrongFormat { wanted, found }.into_io()
    };
    let Some(end) = tail.windows(4).rposition(|window| window == END) else {
        if head.starts_with(b"PK\x03\x04") {
            let what = "the zip, which has no end record,";
            return Err(Fault::Truncated { what }.into_io());
        }
        return Err(wrong(looks_like(&head)));
    };
    if is_tar(&head) {
        return Err(wrong("those of a tar archive as well"));
    }
    Ok(end)
}

/// Has the first block the checksum of a tar header?
fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.first_chunk::<512>() else {
        return false;
    };
    let (before, rest) = block.split_at(148);
    let (field, after) = rest.split_at(8);
    let sum: u64 = before
        .iter()
        .chain(after)
        .map(|byte| u64::from(*byte))
        .sum();
    let digits = field
        .split(|byte| matches!(byte, 0 | b' '))
        .find(|part| !part.is_empty());
    let recorded = digits
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u64::from_str_radix(digits, 8).ok());
    recorded == Some(sum + 8 * u64::from(b' '))
}

struct EndRecord {
    count: u64,
    size: u64,
    start: u64,
}

impl EndRecord {
    fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let (count_here, count) = (u16_at(bytes, 8)?, u16_at(bytes, 10)?);
        let (size, start) = (u32_at(bytes, 12)?, u32_at(bytes, 16)?);
        let disks = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
        if disks != (0, 0) || count_here != count {
            return Err(Fault::Feature {
                what: "several volumes",
            });
        }
        let comment = usize::from(u16_at(bytes, 20)?);
        slice(bytes, END_SIZE, comment)?;
        if bytes[END_SIZE + comment..].iter().any(|byte| *byte != 0) {
            return Err(Fault::Stray {
                place: "after its end record",
            });
        }
        Ok(EndRecord {
            count: u64::from(count),
            size: u64::from(size),
            start: u64::from(start),
        })
    }

    /// One value of the ZIP64 record: it must be what the plain record has, unless that defers to it.
    fn agree(what: &'static str, plain: u64, deferring: u64, value: u64) -> Result<u64, Fault> {
        if plain != deferring && plain != value {
            return Err(Fault::Disagree {
                what,
                one: plain,
                other: value,
            });
        }
        Ok(value)
    }

    fn merge(self, bytes: &[u8]) -> Result<Self, Fault> {
        let size_of_record = u64_at(bytes, 4)?;
        if size_of_record != END64_SIZE - 12 {
            return Err(malformed(format!(
                "its ZIP64 end record is {size_of_record} bytes long, {} were wanted",
                END64_SIZE - 12
            )));
        }
        let disks = (u32_at(bytes, 16)?, u32_at(bytes, 20)?);
        let (count_here, count) = (u64_at(bytes, 24)?, u64_at(bytes, 32)?);
        if disks != (0, 0) || count_here != count {
            return Err(Fault::Feature {
                what: "several volumes",
            });
        }
        let (size, start) = (u64_at(bytes, 40)?, u64_at(bytes, 48)?);
        let (none16, none32) = (u64::from(NONE16), u64::from(NONE32));
        Ok(EndRecord {
            count: Self::agree("its number of entries", self.count, none16, count)?,
            size: Self::agree("the size of its directory", self.size, none32, size)?,
            start: Self::agree("the place of its directory", self.start, none32, start)?,
        })
    }
}

/// The end record with what ZIP64 adds, and where the central directory must stop.
fn with_zip64<S: ReadAt + ?Sized>(
    source: &S,
    record: EndRecord,
    at: u64,
) -> io::Result<(EndRecord, u64)> {
    let mut locator = [0; LOCATOR_SIZE as usize];
    let locator_at = at.checked_sub(LOCATOR_SIZE);
    if let Some(locator_at) = locator_at {
        source.read_exact_at(&mut locator, locator_at)?;
    }
    let Some(locator_at) = locator_at.filter(|_| locator.starts_with(LOCATOR)) else {
        // 65535 entries may be meant so; a size or place of 2^32 - 1 then fails where it is used.
        return Ok((record, at));
    };
    let parsed = |locator: &[u8]| {
        Ok((
            u32_at(locator, 4)?,
            u64_at(locator, 8)?,
            u32_at(locator, 16)?,
        ))
    };
    let (disk, end64_at, disks) = parsed(&locator).map_err(Fault::into_io)?;
    if disk != 0 || disks > 1 {
        let what = "several volumes";
        return Err(Fault::Feature { what }.into_io());
    }
    if end64_at.checked_add(END64_SIZE) != Some(locator_at) {
        return Err(Fault::Disagree {
            what: "the place of its ZIP64 end record",
            one: end64_at,
            other: locator_at.saturating_sub(END64_SIZE),
        }
        .into_io());
    }
    let mut end64 = [0; END64_SIZE as usize];
    source.read_exact_at(&mut end64, end64_at)?;
    if !end64.starts_with(END64) {
        return Err(malformed("its ZIP64 locator points to no ZIP64 end record").into_io());
    }
    let record = record.merge(&end64).map_err(Fault::into_io)?;
    Ok((record, end64_at))
}

/// Why the directory does not end where the end record begins.
fn misplaced(tail: &[u8], tail_start: u64, end: usize, sum: Option<u64>, stop: u64) -> Fault {
    let directory_end = sum
        .and_then(|sum| sum.checked_sub(tail_start))
        .and_then(|offset| usize::try_from(offset).ok());
    let between = directory_end.and_then(|from| tail.get(from..end));
    if between.is_some_and(|bytes| bytes.windows(4).any(|window| window == END)) {
        return malformed("it has two end records");
    }
    Fault::Disagree {
        what: "the end of its directory",
        one: sum.unwrap_or(u64::MAX),
        other: stop,
    }
}

impl Directory {
    /// Every entry, in the order of their bytes.
    pub(super) fn entries(
        &self,
        archive: &str,
        limits: &Limits,
    ) -> Result<Vec<Central>, ArchiveError> {
        let refuse = |fault| ArchiveError::form(archive, fault);
        if self.count > limits.entries {
            return Err(refuse(Fault::Limit {
                what: "the number of entries",
                limit: limits.entries,
                unit: "entries",
            }));
        }
        let mut entries = Vec::new();
        let mut at = 0;
        while at < self.bytes.len() {
            let index = entries.len() as u64 + 1;
            let (entry, next) = self.entry(at, index, archive)?;
            entries.push(entry);
            at = next;
        }
        let found = entries.len() as u64;
        if found != self.count {
            return Err(refuse(Fault::Disagree {
                what: "its number of entries",
                one: self.count,
                other: found,
            }));
        }
        if entries.is_empty() {
            return Err(refuse(Fault::Empty));
        }
        entries.sort_by_key(|entry| entry.offset);
        Ok(entries)
    }

    fn entry(
        &self,
        at: usize,
        index: u64,
        archive: &str,
    ) -> Result<(Central, usize), ArchiveError> {
        let bytes = &self.bytes[at..];
        let lengths = || -> Result<(usize, usize, usize), Fault> {
            if slice(bytes, 0, 4)? != ENTRY {
                return Err(malformed("its directory holds something that is no entry"));
            }
            let length = |at| u16_at(bytes, at).map(usize::from);
            Ok((length(28)?, length(30)?, length(32)?))
        };
        let variable = lengths().and_then(|(name, extra, comment)| {
            let extra_at = ENTRY_SIZE + name;
            slice(bytes, extra_at + extra, comment)?;
            let name = slice(bytes, ENTRY_SIZE, name)?;
            let extra_bytes = slice(bytes, extra_at, extra)?;
            Ok((name, extra_bytes, extra_at + extra + comment))
        });
        let (name, extra, length) = variable.map_err(|fault| ArchiveError::form(archive, fault))?;
        let entry = Central::parse(bytes, name, extra, index)
            .map_err(|fault| ArchiveError::entry(archive, index, name, fault))?;
        Ok((entry, at + length))
    }
}

impl Central {
    fn parse(bytes: &[u8], name: &[u8], extra: &[u8], index: u64) -> Result<Self, Fault> {
        let flags = u16_at(bytes, 8)?;
        check_flags(flags, name)?;
        let zip64 = zip64_extra(extra)?;
        let mut wide = Wide {
            rest: zip64.unwrap_or_default(),
        };
        let size = wide.or_plain(u32_at(bytes, 24)?)?;
        let packed = wide.or_plain(u32_at(bytes, 20)?)?;
        let offset = wide.or_plain(u32_at(bytes, 42)?)?;
        if !wide.rest.is_empty() {
            return Err(malformed(
                "its ZIP64 field holds more than its header asks for",
            ));
        }
        if u16_at(bytes, 34)? != 0 {
            let what = "several volumes";
            return Err(Fault::Feature { what });
        }
        let method = Method::parse(u16_at(bytes, 10)?)?;
        if method == Method::Stored && packed != size {
            return Err(Fault::Disagree {
                what: "the size of its stored content",
                one: packed,
                other: size,
            });
        }
        let entry = Central {
            index,
            name: name.to_vec(),
            flags,
            method,
            crc: u32_at(bytes, 16)?,
            packed,
            size,
            offset,
            attributes: u32_at(bytes, 38)?,
        };
        entry.check_kind()?;
        Ok(entry)
    }

    /// The name and both sets of attributes must agree on what the entry is.
    fn check_kind(&self) -> Result<(), Fault> {
        const DOS_DIRECTORY: u32 = 0x10;
        let unix = (self.attributes >> 28) & 0o17;
        match (unix, self.is_directory()) {
            (0, true) | (0o4, true) | (0o10, false) => {}
            (0, false) if self.attributes & DOS_DIRECTORY == 0 => {}
            (0, false) | (0o4, false) => {
                return Err(malformed(
                    "a directory's name must end in a slash, and its does not",
                ));
            }
            (0o10, true) => return Err(Fault::SlashAfter { kind: Kind::File }),
            (0o12, _) => return Err(Fault::Special { what: "symlink" }),
            (0o1, _) => return Err(Fault::Special { what: "FIFO" }),
            (0o2, _) => {
                return Err(Fault::Special {
                    what: "character device",
                });
            }
            (0o6, _) => {
                return Err(Fault::Special {
                    what: "block device",
                });
            }
            (0o14, _) => return Err(Fault::Special { what: "socket" }),
            _ => return Err(malformed("its attributes name no kind of file")),
        }
        if self.is_directory() && self.size != 0 {
            return Err(malformed("it is a directory, but has content"));
        }
        Ok(())
    }
}

impl Method {
    fn parse(number: u16) -> Result<Self, Fault> {
        Err(match number {
            0 => return Ok(Method::Stored),
            8 => return Ok(Method::Deflated),
            9 => Fault::Feature {
                what: "the method Deflate64",
            },
            12 => Fault::Feature {
                what: "the method bzip2",
            },
            14 => Fault::Feature {
                what: "the method LZMA",
            },
            93 => Fault::Feature {
                what: "the method zstd",
            },
            95 => Fault::Feature {
                what: "the method xz",
            },
            99 => Fault::Feature { what: "encryption" },
            _ => Fault::Feature {
                what: "a method other than stored and deflated",
            },
        })
    }

    pub(super) fn number(self) -> u16 {
        match self {
            Method::Stored => 0,
            Method::Deflated => 8,
        }
    }
}

fn check_flags(flags: u16, name: &[u8]) -> Result<(), Fault> {
    const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
    const LEVEL: u16 = 3 << 1;
    const DESCRIPTOR: u16 = 1 << 3;
    const UTF8: u16 = 1 << 11;
    if flags & ENCRYPTED != 0 {
        return Err(Fault::Feature { what: "encryption" });
    }
    if flags & !(LEVEL | DESCRIPTOR | UTF8) != 0 {
        return Err(malformed(format!("its flags are {flags:#06x}")));
    }
    if flags & UTF8 == 0 && !name.is_ascii() {
        return Err(Fault::NotUtf8 { what: "name" });
    }
    if name.contains(&b'\\') {
        return Err(Fault::Backslash);
    }
    Ok(())
}

/// The 64-bit values of an entry, in the order in which plain fields defer to them.
struct Wide<'e> {
    rest: &'e [u8],
}

impl Wide<'_> {
    fn or_plain(&mut self, plain: u32) -> Result<u64, Fault> {
        if plain != NONE32 {
            return Ok(u64::from(plain));
        }
        let value = u64_at(self.rest, 0)
            .map_err(|_| malformed("its header defers to a ZIP64 field that is not there"))?;
        self.rest = &self.rest[8..];
        Ok(value)
    }
}
