//! Two things an ELF file says aside: which symbol versions it wants and defines, and what its notes
//! ask of processor and kernel. Used by `read.rs`.

use std::collections::BTreeMap;

use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, Note, NoteIterator, ProgramHeader};

use super::error::damaged;
use super::read::{DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM, Reader, skip};
use super::{ElfError, Isa};

/// Real files hold far fewer versions; more is an attack.
const MOST_VERSIONS: usize = 65_536;

/// An entry of a version table and the names that belong to it, each up to the end of its segment.
type Entry<'a> = (&'a [u8], Vec<&'a [u8]>);

impl<'a, Elf: FileHeader<Endian = Endianness>> Reader<'a, Elf> {
    /// Both version tables are chains: entry → entry, each with a chain of names of its own.
    pub(super) fn versions_needed(&self) -> Result<BTreeMap<String, Vec<String>>, ElfError> {
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

    pub(super) fn versions_defined(&self) -> Result<Vec<String>, ElfError> {
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
    ) -> Result<Vec<Entry<'a>>, ElfError> {
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

    /// Notes say what runs the file; one that cannot be read says nothing.
    pub(super) fn notes(&self) -> (Option<Isa>, Option<(u32, u32, u32)>) {
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
}
