//! The little of a 64-bit little-endian ELF file that is written: header fields, program headers,
//! dynamic entries. Every access is checked; begin at [`segments`].

use super::ElfError;
use super::error::damaged;

pub(super) const PT_LOAD: u32 = 1;
pub(super) const PT_DYNAMIC: u32 = 2;
pub(super) const PT_INTERP: u32 = 3;
pub(super) const PT_PHDR: u32 = 6;
pub(super) const PT_GNU_STACK: u32 = 0x6474_e551;

pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
pub(super) const EXECUTE: u32 = 1;

pub(super) const HEADER_SIZE: usize = 64;
pub(super) const SEGMENT_SIZE: usize = 56;
const E_ENTRY: usize = 24;
const E_PHOFF: usize = 32;
const E_PHNUM: usize = 56;

/// A program header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) file_size: u64,
    pub(super) memory_size: u64,
    pub(super) align: u64,
}

impl Segment {
    /// The file offset of an address that the file's part of this segment holds.
    fn offset_of(&self, address: u64) -> Option<u64> {
        let inside = address.checked_sub(self.address)?;
        (self.kind == PT_LOAD && inside < self.file_size)
            .then(|| self.offset.checked_add(inside))?
    }

    pub(super) fn end(&self) -> Option<u64> {
        self.address.checked_add(self.memory_size)
    }

    /// Appends this program header as the file holds it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.kind.to_le_bytes());
        out.extend(self.flags.to_le_bytes());
        for word in [
            self.offset,
            self.address,
            self.address,
            self.file_size,
            self.memory_size,
            self.align,
        ] {
            out.extend(word.to_le_bytes());
        }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], ElfError> {
    at.checked_add(N)
        .and_then(|end| bytes.get(at..end))
        .and_then(|part| part.try_into().ok())
        .ok_or_else(|| damaged("a table points outside the file"))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, ElfError> {
    Ok(u16::from_le_bytes(array(bytes, at)?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, ElfError> {
    Ok(u32::from_le_bytes(array(bytes, at)?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Result<u64, ElfError> {
    Ok(u64::from_le_bytes(array(bytes, at)?))
}

pub(super) fn put_u64(bytes: &mut [u8], at: usize, value: u64) -> Result<(), ElfError> {
    put(bytes, at, &value.to_le_bytes())
}

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<(), ElfError> {
    at.checked_add(value.len())
        .and_then(|end| bytes.get_mut(at..end))
        .map(|place| place.copy_from_slice(value))
        .ok_or_else(|| damaged("a table points outside the file"))
}

pub(super) fn index(value: u64) -> Result<usize, ElfError> {
    usize::try_from(value).map_err(|_| damaged("an offset is too large"))
}

pub(super) fn entry(bytes: &[u8]) -> Result<u64, ElfError> {
    u64_at(bytes, E_ENTRY)
}

pub(super) fn set_entry(bytes: &mut [u8], entry: u64) -> Result<(), ElfError> {
    put_u64(bytes, E_ENTRY, entry)
}

/// Where the program headers begin.
pub(super) fn segment_table(bytes: &[u8]) -> Result<usize, ElfError> {
    index(u64_at(bytes, E_PHOFF)?)
}

/// Every program header, in order.
pub(super) fn segments(bytes: &[u8]) -> Result<Vec<Segment>, ElfError> {
    let table = segment_table(bytes)?;
    let count = usize::from(u16_at(bytes, E_PHNUM)?);
    (0..count)
        .map(|i| {
            let at = i
                .checked_mul(SEGMENT_SIZE)
                .and_then(|skip| table.checked_add(skip))
                .ok_or_else(|| damaged("the program headers point outside the file"))?;
            let word = |skip: usize| u64_at(bytes, at.saturating_add(skip));
            Ok(Segment {
                kind: u32_at(bytes, at)?,
                flags: u32_at(bytes, at.saturating_add(4))?,
                offset: word(8)?,
                address: word(16)?,
                file_size: word(32)?,
                memory_size: word(40)?,
                align: word(48)?,
            })
        })
        .collect()
}

/// The file offset of an address.
pub(super) fn offset_of(segments: &[Segment], address: u64) -> Result<usize, ElfError> {
    let offset = segments.iter().find_map(|s| s.offset_of(address));
    index(offset.ok_or_else(|| damaged("an address lies outside every segment"))?)
}

/// The entries of PT_DYNAMIC, the ending zeroes included, and where they begin in the file.
pub(super) fn dynamic(
    bytes: &[u8],
    segment: &Segment,
) -> Result<(usize, Vec<(i64, u64)>), ElfError> {
    let at = index(segment.offset)?;
    let count = index(segment.file_size)? / 16;
    let end = count.checked_mul(16).and_then(|size| size.checked_add(at));
    let table = end
        .and_then(|end| bytes.get(at..end))
        .ok_or_else(|| damaged("PT_DYNAMIC points outside the file"))?;
    let entries = table.chunks_exact(16).map(|entry| {
        let tag = u64_at(entry, 0)?.cast_signed();
        Ok((tag, u64_at(entry, 8)?))
    });
    Ok((at, entries.collect::<Result<_, ElfError>>()?))
}
