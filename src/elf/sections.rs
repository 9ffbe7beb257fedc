//! The section headers of an ELF file: read, changed, written anew at its end. Begin at [`Sections::read`].
//!
//! Nothing that runs a program reads them. They are kept right for readelf and gdb, and so that a
//! `strip` by some packaging tool keeps what was appended.

use std::ops::Range;

use super::ElfError;
use super::error::damaged;
use super::image::{index, put, put_u64, u16_at, u32_at, u64_at};

const HEADER_SIZE: usize = 64;
const E_SHOFF: usize = 40;
const E_SHNUM: usize = 60;
const E_SHSTRNDX: usize = 62;
const PROGBITS: u32 = 1;
const NO_BITS: u32 = 8;
const ALLOCATED: u64 = 2;
const EXECUTABLE: u64 = 4;

/// One section header.
#[derive(Debug, Clone, Copy)]
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    align: u64,
    entry_size: u64,
}

impl Section {
    fn read(bytes: &[u8], at: usize) -> Result<Section, ElfError> {
        let word = |skip: usize| u64_at(bytes, at.saturating_add(skip));
        let half = |skip: usize| u32_at(bytes, at.saturating_add(skip));
        Ok(Section {
            name: half(0)?,
            kind: half(4)?,
            flags: word(8)?,
            address: word(16)?,
            offset: word(24)?,
            size: word(32)?,
            link: half(40)?,
            info: half(44)?,
            align: word(48)?,
            entry_size: word(56)?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.name.to_le_bytes());
        out.extend(self.kind.to_le_bytes());
        for word in [self.flags, self.address, self.offset, self.size] {
            out.extend(word.to_le_bytes());
        }
        out.extend(self.link.to_le_bytes());
        out.extend(self.info.to_le_bytes());
        out.extend(self.align.to_le_bytes());
        out.extend(self.entry_size.to_le_bytes());
    }

    /// The first byte behind its content in the file.
    fn end(&self) -> u64 {
        let size = if self.kind == NO_BITS { 0 } else { self.size };
        self.offset.saturating_add(size)
    }
}

/// The sections of a file by name, and where their bytes lie; none for what has no table that can be read.
pub fn sections(bytes: &[u8]) -> Vec<(String, Range<usize>)> {
    // Of 64 bits, little endian: all that closures are made for.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Vec::new();
    }
    let Ok(Some(table)) = Sections::read(bytes) else {
        return Vec::new();
    };
    let name = |section: &Section| {
        let from = table.names.get(section.name as usize..).unwrap_or(&[]);
        let name = from.split(|byte| *byte == 0).next().unwrap_or(&[]);
        String::from_utf8_lossy(name).into_owned()
    };
    let place = |section: &Section| {
        let start = usize::try_from(section.offset).ok()?;
        let end = usize::try_from(section.end()).ok()?;
        (start < end && end <= bytes.len()).then_some(start..end)
    };
    let headers = table.headers.iter();
    headers
        .filter_map(|section| Some((name(section), place(section)?)))
        .collect()
}

/// The table of a file, and the names in it.
pub(super) struct Sections {
    headers: Vec<Section>,
    names: Vec<u8>,
    names_index: usize,
    table_end: u64,
}

impl Sections {
    /// `None` for a file that was stripped of its table.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Sections>, ElfError> {
        let table = index(u64_at(bytes, E_SHOFF)?)?;
        let count = usize::from(u16_at(bytes, E_SHNUM)?);
        let names_index = usize::from(u16_at(bytes, E_SHSTRNDX)?);
        if table == 0 || names_index >= count {
            return Ok(None);
        }
        let at = |i: usize| table.saturating_add(i * HEADER_SIZE);
        let headers = (0..count).map(|i| Section::read(bytes, at(i)));
        let headers = headers.collect::<Result<Vec<_>, _>>()?;
        let names = headers[names_index];
        let names = bytes.get(index(names.offset)?..index(names.end())?);
        let names = names.ok_or_else(|| damaged("the names of sections lie outside the file"))?;
        Ok(Some(Sections {
            names: names.to_vec(),
            headers,
            names_index,
            table_end: at(count) as u64,
        }))
    }

    /// The first byte behind the table and everything it describes.
    pub(super) fn end(&self) -> u64 {
        let ends = self.headers.iter().map(Section::end);
        ends.chain([self.table_end]).max().unwrap_or(0)
    }

    /// The same without the table and the names, which [`write`](Self::write) writes anew.
    pub(super) fn content_end(&self) -> u64 {
        let content = self.headers.iter().enumerate();
        let content = content.filter(|(i, _)| *i != self.names_index);
        content.map(|(_, s)| s.end()).max().unwrap_or(0)
    }

    /// Points the loaded section at address `from`, if there is one, to other bytes.
    pub(super) fn relocate(&mut self, from: u64, address: u64, offset: u64, size: u64) {
        for section in &mut self.headers {
            if section.flags & ALLOCATED != 0 && section.address == from && from != 0 {
                (section.address, section.offset, section.size) = (address, offset, size);
            }
        }
    }

    /// Describes loaded, executable bytes that were appended.
    pub(super) fn add_code(&mut self, name: &str, address: u64, offset: u64, size: u64) {
        let name_at = self.names.len() as u32;
        self.names.extend(name.bytes().chain([0]));
        self.headers.push(Section {
            name: name_at,
            kind: PROGBITS,
            flags: ALLOCATED | EXECUTABLE,
            address,
            offset,
            size,
            link: 0,
            info: 0,
            align: 16,
            entry_size: 0,
        });
    }

    /// Appends names and table to the file, and tells its header.
    pub(super) fn write(mut self, out: &mut Vec<u8>) -> Result<(), ElfError> {
        let names = &mut self.headers[self.names_index];
        (names.offset, names.size) = (out.len() as u64, self.names.len() as u64);
        out.extend(&self.names);
        out.resize(out.len().next_multiple_of(8), 0);
        let table = out.len() as u64;
        self.headers.iter().for_each(|section| section.write(out));
        put_u64(out, E_SHOFF, table)?;
        let count = u16::try_from(self.headers.len()).map_err(|_| damaged("too many sections"))?;
        put(out, E_SHNUM, &count.to_le_bytes())
    }
}
