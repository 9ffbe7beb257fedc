//! Bytes → [`Facts`]. Begin at [`read`].
//!
//! Everything is read the way the loader reads it: through program headers, never through section
//! headers, which may lie or be absent. Hostile bytes give an error, never a panic or a long wait.

use object::Endianness;
use object::elf;
use object::endian::Endian as _;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader};

use super::error::damaged;
use super::stub::MARK;
use super::{Class, ElfError, Facts, Kind, Machine};

/// Reads what an ELF file says about itself. `None`: these bytes are not an ELF file.
pub fn read(bytes: &[u8]) -> Result<Option<Facts>, ElfError> {
    if !bytes.starts_with(&elf::ELFMAG) || bytes.len() < 16 {
        return Ok(None);
    }
    // The decoder wants its input aligned; nearly every buffer is.
    let mut copy;
    let bytes = if bytes.as_ptr().addr().is_multiple_of(8) {
        bytes
    } else {
        copy = vec![0u64; bytes.len().div_ceil(8)];
        let room = object::pod::bytes_of_slice_mut(&mut copy);
        room[..bytes.len()].copy_from_slice(bytes);
        &room[..bytes.len()]
    };
    match bytes[4] {
        1 => Reader::<elf::FileHeader32<Endianness>>::new(bytes)?.facts(Class::Bits32),
        2 => Reader::<elf::FileHeader64<Endianness>>::new(bytes)?.facts(Class::Bits64),
        other => Err(damaged(format!("word size {other} does not exist"))),
    }
    .map(Some)
}

/// An ELF file of one word size, its tables found.
pub(super) struct Reader<'a, Elf: FileHeader<Endian = Endianness>> {
    pub(super) bytes: &'a [u8],
    pub(super) endian: Endianness,
    header: &'a Elf,
    segments: &'a [Elf::ProgramHeader],
    dynamic: Vec<(i64, u64)>,
    strings: &'a [u8],
}

impl<'a, Elf: FileHeader<Endian = Endianness>> Reader<'a, Elf> {
    fn new(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let header = Elf::parse(bytes).map_err(|e| damaged(e.to_string()))?;
        let endian = header.endian().map_err(|e| damaged(e.to_string()))?;
        let segments = header
            .program_headers(endian, bytes)
            .map_err(|e| damaged(e.to_string()))?;
        let mut reader = Reader {
            bytes,
            endian,
            header,
            segments,
            dynamic: Vec::new(),
            strings: &[],
        };
        reader.dynamic = reader.read_dynamic()?;
        reader.strings = reader.read_strings()?;
        Ok(reader)
    }

    fn facts(&self, class: Class) -> Result<Facts, ElfError> {
        let text = |tag| self.value(tag).map(|at| self.string(at)).transpose();
        let flags = self.value(DT_FLAGS).unwrap_or(0);
        let flags_1 = self.value(DT_FLAGS_1).unwrap_or(0);
        let (isa, minimum_kernel) = self.notes();
        Ok(Facts {
            machine: match self.header.e_machine(self.endian).0 {
                62 => Machine::X86_64,
                183 => Machine::Aarch64,
                other => Machine::Other(other),
            },
            class,
            little_endian: !self.endian.is_big_endian(),
            kind: match self.header.e_type(self.endian).0 {
                1 => Kind::Object,
                2 => Kind::Program,
                3 => Kind::Shared,
                other => Kind::Other(other),
            },
            interpreter: self.interpreter()?,
            soname: text(DT_SONAME)?,
            needed: self.needed()?,
            rpath: text(DT_RPATH)?,
            runpath: text(DT_RUNPATH)?,
            versions_needed: self.versions_needed()?,
            versions_defined: self.versions_defined()?,
            isa,
            minimum_kernel,
            executable_stack: self
                .segments(elf::PT_GNU_STACK.0)
                .any(|s| self.flags(s) & 1 != 0),
            text_relocations: self.value(DT_TEXTREL).is_some() || flags & DF_TEXTREL != 0,
            dynamic: self.segments(elf::PT_DYNAMIC.0).next().is_some(),
            entry_stub: self.has_entry_stub(),
            entry: self.header.e_entry(self.endian).into(),
            says_pie: flags_1 & DF_1_PIE != 0,
            debug_slot: self.value(DT_DEBUG).is_some(),
        })
    }

    pub(super) fn segments(&self, kind: u32) -> impl Iterator<Item = &'a Elf::ProgramHeader> {
        let endian = self.endian;
        let wanted = move |s: &&Elf::ProgramHeader| s.p_type(endian).0 == kind;
        self.segments.iter().filter(wanted)
    }

    fn flags(&self, segment: &Elf::ProgramHeader) -> u32 {
        segment.p_flags(self.endian).0
    }

    /// The bytes of the file from this address to the end of the segment that holds it.
    pub(super) fn at_address(&self, address: u64) -> Option<&'a [u8]> {
        self.segments(elf::PT_LOAD.0).find_map(|segment| {
            let begin: u64 = segment.p_vaddr(self.endian).into();
            let data = segment.data(self.endian, self.bytes).ok()?;
            let skip = usize::try_from(address.checked_sub(begin)?).ok()?;
            data.get(skip..).filter(|rest| !rest.is_empty())
        })
    }

    fn read_dynamic(&self) -> Result<Vec<(i64, u64)>, ElfError> {
        let Some(segment) = self.segments(elf::PT_DYNAMIC.0).next() else {
            return Ok(Vec::new());
        };
        // Debug files keep the header and drop the content.
        let size: u64 = segment.p_filesz(self.endian).into();
        if size == 0 {
            return Ok(Vec::new());
        }
        let entries = segment
            .dynamic(self.endian, self.bytes)
            .map_err(|e| damaged(e.to_string()))?
            .unwrap_or_default();
        let entries = entries
            .iter()
            .map(|e| (e.d_tag(self.endian).0, e.d_val(self.endian).into()));
        Ok(entries.take_while(|(tag, _)| *tag != 0).collect())
    }

    pub(super) fn value(&self, tag: i64) -> Option<u64> {
        self.dynamic
            .iter()
            .find(|(t, _)| *t == tag)
            .map(|(_, value)| *value)
    }

    fn read_strings(&self) -> Result<&'a [u8], ElfError> {
        let (Some(address), Some(size)) = (self.value(DT_STRTAB), self.value(DT_STRSZ)) else {
            return Ok(&[]);
        };
        let data = self
            .at_address(address)
            .ok_or_else(|| damaged("DT_STRTAB points outside the file"))?;
        usize::try_from(size)
            .ok()
            .and_then(|size| data.get(..size))
            .ok_or_else(|| damaged("DT_STRSZ is larger than the segment"))
    }

    pub(super) fn string(&self, offset: u64) -> Result<String, ElfError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let text = self
            .strings
            .get(start..)
            .ok_or_else(|| damaged(format!("string {offset} lies outside the string table")))?;
        c_string(text, "a name in the string table")
    }

    fn needed(&self) -> Result<Vec<String>, ElfError> {
        let entries = self.dynamic.iter().filter(|(tag, _)| *tag == DT_NEEDED);
        entries.map(|(_, at)| self.string(*at)).collect()
    }

    fn interpreter(&self) -> Result<Option<String>, ElfError> {
        let Some(segment) = self.segments(elf::PT_INTERP.0).next() else {
            return Ok(None);
        };
        let size: u64 = segment.p_filesz(self.endian).into();
        if size == 0 {
            return Ok(None);
        }
        let data = segment
            .data(self.endian, self.bytes)
            .map_err(|()| damaged("PT_INTERP points outside the file"))?;
        c_string(data, "the path of the loader").map(Some)
    }

    pub(super) fn u16(&self, data: &[u8], at: usize) -> Result<u16, ElfError> {
        let bytes = data.get(at..at + 2).and_then(|b| b.try_into().ok());
        let bytes = bytes.ok_or_else(|| damaged("a table is cut short"))?;
        Ok(self.endian.read_u16(bytes))
    }

    pub(super) fn u32(&self, data: &[u8], at: usize) -> Result<u32, ElfError> {
        let bytes = data.get(at..at + 4).and_then(|b| b.try_into().ok());
        let bytes = bytes.ok_or_else(|| damaged("a table is cut short"))?;
        Ok(self.endian.read_u32(bytes))
    }

    /// The stub is entered right behind a mark, with which its segment begins.
    fn has_entry_stub(&self) -> bool {
        let entry: u64 = self.header.e_entry(self.endian).into();
        self.segments(elf::PT_LOAD.0).any(|segment| {
            let address: u64 = segment.p_vaddr(self.endian).into();
            entry.checked_sub(address) == Some(MARK.len() as u64)
                && segment
                    .data(self.endian, self.bytes)
                    .is_ok_and(|data| data.starts_with(MARK))
        })
    }
}

pub(super) fn skip(data: &[u8], by: u32) -> Option<&[u8]> {
    data.get(usize::try_from(by).ok()?..)
}

fn c_string(data: &[u8], what: &str) -> Result<String, ElfError> {
    let end = data
        .iter()
        .position(|b| *b == 0)
        .ok_or_else(|| damaged(format!("{what} has no end")))?;
    let text = std::str::from_utf8(&data[..end]);
    Ok(text
        .map_err(|_| damaged(format!("{what} is not UTF-8")))?
        .to_owned())
}

pub(super) const DT_NEEDED: i64 = 1;
pub(super) const DT_STRTAB: i64 = 5;
pub(super) const DT_STRSZ: i64 = 10;
pub(super) const DT_SONAME: i64 = 14;
pub(super) const DT_RPATH: i64 = 15;
pub(super) const DT_DEBUG: i64 = 21;
pub(super) const DT_TEXTREL: i64 = 22;
pub(super) const DT_RUNPATH: i64 = 29;
pub(super) const DT_FLAGS: i64 = 30;
pub(super) const DT_VERDEF: i64 = 0x6fff_fffc;
pub(super) const DT_VERDEFNUM: i64 = 0x6fff_fffd;
pub(super) const DT_VERNEED: i64 = 0x6fff_fffe;
pub(super) const DT_VERNEEDNUM: i64 = 0x6fff_ffff;
pub(super) const DT_RELACOUNT: i64 = 0x6fff_fff9;
pub(super) const DT_FLAGS_1: i64 = 0x6fff_fffb;
const DF_TEXTREL: u64 = 4;
const DF_1_PIE: u64 = 0x0800_0000;
