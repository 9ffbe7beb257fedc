//! Bytes → [`Facts`]: what an ELF file is, what it needs, what it offers. Begin at [`read`].
//!
//! Everything is read the way the loader reads it: through program headers, never through section
//! headers, which may lie or be absent. Hostile bytes give an error, never a panic or a long wait.

use std::collections::BTreeMap;
use std::fmt;

use object::Endianness;
use object::elf;
use object::endian::Endian as _;
use object::read::elf::{Dyn as _, FileHeader, Note, NoteIterator, ProgramHeader};
use serde::{Deserialize, Serialize};

use super::ElfError;
use super::embed::MARK;
use super::error::damaged;

/// What an ELF file is, needs and offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The processor it is for.
    pub machine: Machine,
    /// Its word size.
    pub class: Class,
    /// False for big-endian files.
    pub little_endian: bool,
    /// Program at a fixed address, shared or position-independent, object file…
    pub kind: Kind,
    /// PT_INTERP: the absolute path of the loader it asks the kernel for.
    pub interpreter: Option<String>,
    /// DT_SONAME: the name others need it by.
    pub soname: Option<String>,
    /// DT_NEEDED, in the order of the search.
    pub needed: Vec<String>,
    /// DT_RPATH: searched for its own needs and for those of what it loads.
    pub rpath: Option<String>,
    /// DT_RUNPATH: searched for its own needs only; makes DT_RPATH void.
    pub runpath: Option<String>,
    /// Symbol versions wanted, by the library they are wanted from: `libc.so.6` → `GLIBC_2.34`…
    pub versions_needed: BTreeMap<String, Vec<String>>,
    /// Symbol versions it defines, its own name (the base version) left out.
    pub versions_defined: Vec<String>,
    /// The processor level it says it needs (GNU property); `None` when it says nothing.
    pub isa: Option<Isa>,
    /// The oldest kernel it says it runs on (ABI note): major, minor, patch.
    pub minimum_kernel: Option<(u32, u32, u32)>,
    /// It asks for a stack that can be executed.
    pub executable_stack: bool,
    /// It relocates its code, which hardened kernels refuse.
    pub text_relocations: bool,
    /// It has PT_DYNAMIC: it is linked dynamically, or is a static PIE.
    pub dynamic: bool,
    /// It holds our entry stub, see [`embed`](super::embed).
    pub entry_stub: bool,
    entry: u64,
    position_independent_program: bool,
}

impl Facts {
    /// A program that the kernel starts through a loader: what [`embed`](super::embed) is for.
    /// Libraries that can be run as well (libc.so.6) are libraries.
    pub fn is_executable_program(&self) -> bool {
        self.interpreter.is_some() && self.soname.is_none()
    }

    /// A program that needs no loader: static, or static-pie.
    pub fn is_static_program(&self) -> bool {
        let runs = match self.kind {
            Kind::Program => true,
            Kind::Shared => self.position_independent_program,
            _ => false,
        };
        runs && self.entry != 0
            && self.interpreter.is_none()
            && self.needed.is_empty()
            && self.soname.is_none()
            && !self.entry_stub
    }

    /// The newest version wanted with this prefix, from any library: `"GLIBC_"` → `(2, 34)`.
    pub fn newest_version(&self, prefix: &str) -> Option<(u32, u32)> {
        let names = self.versions_needed.values().flatten();
        names
            .filter_map(|name| version_number(name.strip_prefix(prefix)?))
            .max()
    }
}

fn version_number(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().unwrap_or("0").parse().ok()?))
}

/// The processor a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Machine {
    /// x86, 64 bits.
    X86_64,
    /// ARM, 64 bits.
    Aarch64,
    /// Any other, by its ELF number.
    Other(u16),
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Machine::X86_64 => f.write_str("x86_64"),
            Machine::Aarch64 => f.write_str("aarch64"),
            Machine::Other(number) => write!(f, "ELF machine {number}"),
        }
    }
}

/// The word size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

/// The ELF type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// ET_EXEC: a program at a fixed address.
    Program,
    /// ET_DYN: a library or a position-independent program.
    Shared,
    /// ET_REL: an object file.
    Object,
    /// Any other, by its ELF number.
    Other(u16),
}

/// Levels of x86_64, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Isa {
    /// `x86-64`
    Baseline,
    /// `x86-64-v2`
    V2,
    /// `x86-64-v3`
    V3,
    /// `x86-64-v4`
    V4,
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Baseline => "x86-64",
            Isa::V2 => "x86-64-v2",
            Isa::V3 => "x86-64-v3",
            Isa::V4 => "x86-64-v4",
        })
    }
}

/// Reads what an ELF file says about itself. `None`: these bytes are not an ELF file.
pub fn read(bytes: &[u8]) -> Result<Option<Facts>, ElfError> {
    if !bytes.starts_with(&elf::ELFMAG) || bytes.len() < 16 {
        return Ok(None);
    }
    // The decoder wants its input aligned; nearly every buffer is.
    let mut copy;
    let bytes = if bytes.as_ptr().addr() % 8 == 0 {
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

/// Sections and symbols hold at most this many versions in real files; more is an attack.
const MOST_VERSIONS: usize = 65_536;

struct Reader<'a, Elf: FileHeader<Endian = Endianness>> {
    bytes: &'a [u8],
    endian: Endianness,
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
            position_independent_program: flags_1 & DF_1_PIE != 0,
        })
    }

    fn segments(&self, kind: u32) -> impl Iterator<Item = &'a Elf::ProgramHeader> {
        let endian = self.endian;
        let wanted = move |s: &&Elf::ProgramHeader| s.p_type(endian).0 == kind;
        self.segments.iter().filter(wanted)
    }

    fn flags(&self, segment: &Elf::ProgramHeader) -> u32 {
        segment.p_flags(self.endian).0
    }

    /// The bytes of the file from this address to the end of the segment that holds it.
    fn at_address(&self, address: u64) -> Option<&'a [u8]> {
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

    fn value(&self, tag: i64) -> Option<u64> {
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

    fn string(&self, offset: u64) -> Result<String, ElfError> {
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

    /// Both version tables are chains: entry → entry, each with a chain of names of its own.
    fn versions_needed(&self) -> Result<BTreeMap<String, Vec<String>>, ElfError> {
        let mut found = BTreeMap::<String, Vec<String>>::new();
        let mut left = MOST_VERSIONS;
        let mut walk = self.chain(DT_VERNEED, DT_VERNEEDNUM, &mut left, 8, 12)?;
        for (entry, names) in walk.drain(..) {
            let file = self.string(self.u32(entry, 4)?.into())?;
            let names = names
                .into_iter()
                .map(|n| self.string(self.u32(n, 8)?.into()));
            let list = found.entry(file).or_default();
            for name in names {
                list.push(name?);
            }
        }
        found.values_mut().for_each(|list| list.sort());
        Ok(found)
    }

    fn versions_defined(&self) -> Result<Vec<String>, ElfError> {
        let mut found = Vec::new();
        let mut left = MOST_VERSIONS;
        for (entry, names) in self.chain(DT_VERDEF, DT_VERDEFNUM, &mut left, 12, 16)? {
            const BASE: u16 = 1;
            // The first name is the version, those after it are the ones it extends.
            if let (0, Some(name)) = (self.u16(entry, 2)? & BASE, names.first()) {
                found.push(self.string(self.u32(name, 0)?.into())?);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Every entry of a version table, with its names. `aux` and `next` are where an entry keeps the
    /// offsets of its first name and of the next entry.
    fn chain(
        &self,
        table: i64,
        count: i64,
        left: &mut usize,
        aux: usize,
        next: usize,
    ) -> Result<Vec<(&'a [u8], Vec<&'a [u8]>)>, ElfError> {
        let (Some(address), Some(count)) = (self.value(table), self.value(count)) else {
            return Ok(Vec::new());
        };
        let outside = || damaged("a symbol version table points outside the file");
        let mut entry = self.at_address(address).ok_or_else(outside)?;
        // vn_cnt and vd_cnt, vna_next and vda_next.
        let (names_at, name_next) = if table == DT_VERNEED { (2, 12) } else { (6, 4) };
        let mut found = Vec::new();
        for _ in 0..count {
            let mut names = Vec::new();
            let mut name = skip(entry, self.u32(entry, aux)?).ok_or_else(outside)?;
            for _ in 0..self.u16(entry, names_at)? {
                *left = left
                    .checked_sub(1)
                    .ok_or_else(|| damaged("too many symbol versions"))?;
                names.push(name);
                let step = self.u32(name, name_next)?;
                if step == 0 {
                    break;
                }
                name = skip(name, step).ok_or_else(outside)?;
            }
            *left = left
                .checked_sub(1)
                .ok_or_else(|| damaged("too many symbol versions"))?;
            found.push((entry, names));
            let step = self.u32(entry, next)?;
            if step == 0 {
                break;
            }
            entry = skip(entry, step).ok_or_else(outside)?;
        }
        Ok(found)
    }

    fn u16(&self, data: &[u8], at: usize) -> Result<u16, ElfError> {
        let bytes = data.get(at..at + 2).and_then(|b| b.try_into().ok());
        let bytes = bytes.ok_or_else(|| damaged("a table is cut short"))?;
        Ok(self.endian.read_u16(bytes))
    }

    fn u32(&self, data: &[u8], at: usize) -> Result<u32, ElfError> {
        let bytes = data.get(at..at + 4).and_then(|b| b.try_into().ok());
        let bytes = bytes.ok_or_else(|| damaged("a table is cut short"))?;
        Ok(self.endian.read_u32(bytes))
    }

    /// Notes say what runs the file; one that cannot be read says nothing.
    fn notes(&self) -> (Option<Isa>, Option<(u32, u32, u32)>) {
        let (mut isa, mut kernel) = (None, None);
        for segment in self.segments(elf::PT_NOTE.0) {
            let Ok(data) = segment.data(self.endian, self.bytes) else {
                continue;
            };
            let align = segment.p_align(self.endian);
            let Ok(mut notes) = NoteIterator::<Elf>::new(self.endian, align, data) else {
                continue;
            };
            while let Ok(Some(note)) = notes.next() {
                if note.name() == elf::ELF_NOTE_GNU {
                    kernel = kernel.or_else(|| self.abi_tag(&note));
                    isa = isa.or_else(|| self.isa(&note));
                }
            }
        }
        (isa, kernel)
    }

    fn abi_tag(&self, note: &Note<'a, Elf>) -> Option<(u32, u32, u32)> {
        const LINUX: u32 = 0;
        let word = |i: usize| self.u32(note.desc(), 4 * i).ok();
        let is_tag = note.n_type(self.endian).0 == elf::NT_GNU_ABI_TAG.0 && word(0)? == LINUX;
        is_tag.then_some((word(1)?, word(2)?, word(3)?))
    }

    fn isa(&self, note: &Note<'a, Elf>) -> Option<Isa> {
        let mut properties = note.gnu_properties(self.endian)?;
        while let Ok(Some(property)) = properties.next() {
            if property.pr_type().0 == elf::GNU_PROPERTY_X86_ISA_1_NEEDED.0 {
                let bits = property.data_u32(self.endian).ok()?;
                let levels = [(8, Isa::V4), (4, Isa::V3), (2, Isa::V2), (1, Isa::Baseline)];
                return levels
                    .iter()
                    .find(|(bit, _)| bits & bit != 0)
                    .map(|(_, isa)| *isa);
            }
        }
        None
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

fn skip(data: &[u8], by: u32) -> Option<&[u8]> {
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
