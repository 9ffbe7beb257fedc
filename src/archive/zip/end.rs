//! The end of a zip → where its table of contents is. Begin at [`read`].
//!
//! The last end record is the only one there may be; all that stands between the central directory and
//! the end of the file is accounted for byte by byte. Zeros after the end pass: real wheels have them.

use std::io;

use super::directory::Directory;
use super::field::{malformed, slice, u16_at, u32_at, u64_at};
use crate::archive::ReadAt;
use crate::archive::error::Fault;
use crate::archive::limits::Limits;
use crate::archive::stream::looks_like;

const END: &[u8] = b"PK\x05\x06";
const END_SIZE: usize = 22;
const LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_SIZE: u64 = 20;
const END64: &[u8] = b"PK\x06\x06";
const END64_SIZE: u64 = 56;
/// How far from the end of the file the end record is looked for: a comment's most, and padding.
const TAIL: u64 = 128 << 10;
const NONE16: u16 = u16::MAX;
const NONE32: u32 = u32::MAX;

/// Finds and reads the table of contents of a zip of `size` bytes.
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
