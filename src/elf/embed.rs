//! A program + [`EntryStub`] → the same program, started through our stub. Begin at [`embed`].
//!
//! One read-only segment is appended: the stub's code, its parameters, a copy of the dynamic string
//! table with the search path behind it. It takes the program header of PT_INTERP, so no table grows
//! and nothing that is loaded moves. The section headers are written anew behind it, with one for the
//! stub. Nothing may rewrite the file afterwards: `patchelf` aborts; binutils' `strip` happens to keep
//! the program working, but the bytes are then no longer those that were checked.

use super::error::damaged;
use super::image::{self, EXECUTE, PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_PHDR, READ, Segment, WRITE};
use super::read::{DT_DEBUG, DT_RELACOUNT, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB};
use super::sections::Sections;
use super::stub::MARK;
use super::{Class, ElfError, EntryStub, Facts, FixedStart, Kind, Machine, PrivateVariable, read};

const X86_64: &[u8] = include_bytes!("stub/x86_64.bin");
const AARCH64: &[u8] = include_bytes!("stub/aarch64.bin");
/// What the new segment is aligned to in the file.
const PAGE: u64 = 4096;
const PARAMETERS_SIZE: usize = 64;
const FLAG_PYTHON: u64 = 1;
const FLAG_HIDE: u64 = 2;
const FLAG_PRIVATE: u64 = 4;
/// A quarter of the room that the stub has for text it makes.
const LONGEST_STRING: usize = 32 * 1024;
/// The stub keeps this much room for variables.
const MOST_VARIABLES: usize = 8;

/// Puts the entry stub into a dynamically linked program.
///
/// Takes the file as it was linked (or stripped, or edited) and gives the changed file, about 5 kB
/// and one string table larger. Libraries, static programs, programs with appended data and
/// programs that already hold a stub are refused.
pub fn embed(bytes: &[u8], stub: &EntryStub) -> Result<Vec<u8>, ElfError> {
    let facts = read(bytes)?.ok_or(ElfError::NotElf)?;
    let (code, page) = code_for(&facts)?;
    let segments = image::segments(bytes)?;
    let plan = Plan::of(bytes, &facts, &segments, page, stub)?;
    let appended = plan.segment(bytes, code, stub)?;

    let mut out = bytes[..plan.kept].to_vec();
    out.resize(image::index(plan.offset)?, 0);
    out.extend(&appended.bytes);
    let headers = plan.headers(&segments, &appended);
    image::put(&mut out, image::segment_table(bytes)?, &headers)?;
    image::set_entry(&mut out, plan.address + MARK.len() as u64)?;
    plan.write_dynamic(&mut out, &appended)?;
    if let Some(mut sections) = Sections::read(bytes)? {
        let code_size = appended.strings - plan.address;
        let (strings, size) = (appended.strings, appended.strings_size);
        sections.relocate(plan.strings, strings, plan.offset + code_size, size);
        sections.add_code(".recipe.stub", plan.address, plan.offset, code_size);
        sections.write(&mut out)?;
    }
    // In a file whose tables share bytes, writing one has changed another.
    let written = read(&out)?.filter(|written| {
        written.entry_stub
            && written.rpath.as_ref() == Some(&plan.search_path)
            && written.needed == facts.needed
            && written.versions_needed == facts.versions_needed
    });
    match written {
        Some(_) => Ok(out),
        None => Err(layout("its tables share bytes")),
    }
}

/// The stub for this program, and the largest page of a kernel that may run it.
fn code_for(facts: &Facts) -> Result<(&'static [u8], u64), ElfError> {
    if facts.entry_stub {
        return Err(ElfError::AlreadyEmbedded);
    }
    if let Some(soname) = facts.soname.clone() {
        return Err(ElfError::Library { soname });
    }
    if facts.interpreter.is_none() {
        return Err(ElfError::NoLoader);
    }
    match (facts.machine, facts.class, facts.little_endian) {
        (Machine::X86_64, Class::Bits64, true) => Ok((X86_64, 4096)),
        (Machine::Aarch64, Class::Bits64, true) => Ok((AARCH64, 0x1_0000)),
        (machine, class, little) => Err(ElfError::NoStubFor {
            machine: format!(
                "{machine} ({}, {} endian)",
                if class == Class::Bits64 {
                    "64 bits"
                } else {
                    "32 bits"
                },
                if little { "little" } else { "big" }
            ),
        }),
    }
}

fn layout(why: impl Into<String>) -> ElfError {
    ElfError::Layout { why: why.into() }
}

/// What is known before a byte is written.
struct Plan {
    /// How much of the file stays: all but the section headers, which are written anew.
    kept: usize,
    /// Where the new segment lies: in the file, and in memory.
    offset: u64,
    address: u64,
    /// What both are congruent by.
    page: u64,
    entry: u64,
    /// PT_DYNAMIC: its address, its place in the file, its entries with a free one for DT_RPATH.
    dynamic: u64,
    dynamic_at: usize,
    entries: Vec<(i64, u64)>,
    search_path_index: usize,
    search_path: String,
    /// DT_STRTAB, DT_STRSZ.
    strings: u64,
    strings_size: u64,
}

/// The bytes of the new segment, and where in memory its string table came to lie.
struct Appended {
    bytes: Vec<u8>,
    strings: u64,
    strings_size: u64,
    search_path: u64,
}

impl Plan {
    fn of(
        bytes: &[u8],
        facts: &Facts,
        segments: &[Segment],
        page: u64,
        stub: &EntryStub,
    ) -> Result<Plan, ElfError> {
        if !matches!(facts.kind, Kind::Program | Kind::Shared) {
            return Err(layout("it is neither ET_EXEC nor ET_DYN"));
        }
        let loads: Vec<&Segment> = segments.iter().filter(|s| s.kind == PT_LOAD).collect();
        if !loads.is_sorted_by_key(|s| s.address) {
            return Err(layout("its segments are not in ascending order"));
        }
        if facts.kind == Kind::Shared && !segments.iter().any(|s| s.kind == PT_PHDR) {
            return Err(layout("position-independent, and without PT_PHDR"));
        }
        let end = loads.iter().map(|s| s.end()).max().flatten();
        let end = end.ok_or_else(|| damaged("it has no segment to load"))?;
        let kept = without_payload(bytes, segments)?;
        let offset = (kept as u64).next_multiple_of(PAGE);
        // A page of its own; where pages are large it begins inside that page, as in the file.
        let address = end.checked_next_multiple_of(page);
        let address = address
            .filter(|address| *address < 1 << 46)
            .map(|address| address + offset % page)
            .ok_or_else(|| damaged("its segments end outside the address space"))?;
        let segment = segments.iter().find(|s| s.kind == PT_DYNAMIC);
        let segment = segment.ok_or_else(|| layout("it has no PT_DYNAMIC"))?;
        let writable = loads.iter().any(|s| {
            s.flags & WRITE != 0 && s.address <= segment.address && segment.end() <= s.end()
        });
        if !writable {
            return Err(layout("its dynamic section is read-only"));
        }
        let (dynamic_at, entries) = image::dynamic(bytes, segment)?;
        let value = |tag| {
            entries
                .iter()
                .find(|(t, _)| *t == tag)
                .map(|(_, value)| *value)
        };
        let missing = |tag: &str| layout(format!("its dynamic section has no {tag}"));
        if value(DT_DEBUG).is_none() {
            return Err(missing(
                "DT_DEBUG, by which a loader that already ran is known",
            ));
        }
        let strings = value(DT_STRTAB).ok_or_else(|| missing("DT_STRTAB"))?;
        let strings_size = value(DT_STRSZ).ok_or_else(|| missing("DT_STRSZ"))?;
        let (entries, search_path_index) = room_for_search_path(&entries)?;
        Ok(Plan {
            offset,
            kept,
            address,
            page,
            entry: image::entry(bytes)?,
            dynamic: segment.address,
            dynamic_at,
            entries,
            search_path_index,
            search_path: search_path(facts, &stub.library_path),
            strings,
            strings_size,
        })
    }

    /// Mark, code, parameters, strings. The stub finds its parameters right behind its code.
    fn segment(&self, bytes: &[u8], code: &[u8], stub: &EntryStub) -> Result<Appended, ElfError> {
        let mut out = [MARK, code].concat();
        let parameters = out.len();
        out.resize(parameters + PARAMETERS_SIZE, 0);
        let loader = add_string(&mut out, "the path of the loader", &stub.loader)?;
        let search_path = add_string(&mut out, "the library path", &self.search_path)?;
        let variables = add_variables(&mut out, &stub.private)?;
        let fixed = match &stub.fixed {
            Some(fixed) => add_fixed_start(&mut out, fixed)?,
            None => parameters,
        };
        out.resize(out.len().next_multiple_of(16), 0);

        let strings = self.address + out.len() as u64;
        let from = image::offset_of(&image::segments(bytes)?, self.strings)?;
        let to = image::index(self.strings_size)?.checked_add(from);
        let table = to.and_then(|to| bytes.get(from..to));
        out.extend(table.ok_or_else(|| damaged("DT_STRSZ is larger than the file"))?);
        let search_path_string = self.strings_size;
        add_string(&mut out, "the library path", &self.search_path)?;
        let strings_size = self.address + out.len() as u64 - strings;

        let flags = [
            (stub.python, FLAG_PYTHON),
            (stub.hide_host_preloads, FLAG_HIDE),
            (!stub.private.is_empty(), FLAG_PRIVATE),
        ];
        let flags = flags
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, flag)| flag)
            .sum();
        let words = [
            self.address + MARK.len() as u64,
            self.entry,
            self.dynamic,
            self.search_path_index as u64,
            strings,
            flags,
        ];
        for (i, word) in words.into_iter().enumerate() {
            image::put_u64(&mut out, parameters + 8 * i, word)?;
        }
        for (i, at) in [loader, search_path, variables, fixed]
            .into_iter()
            .enumerate()
        {
            let offset = u32::try_from(at - parameters).map_err(|_| damaged("too large"))?;
            image::put(&mut out, parameters + 48 + 4 * i, &offset.to_le_bytes())?;
        }
        Ok(Appended {
            bytes: out,
            strings,
            strings_size,
            search_path: search_path_string,
        })
    }

    /// The program headers: as many as before, PT_INTERP's place taken by the new segment, which
    /// follows the last PT_LOAD because loaders want those in ascending order.
    fn headers(&self, segments: &[Segment], appended: &Appended) -> Vec<u8> {
        let size = appended.bytes.len() as u64;
        let new = Segment {
            kind: PT_LOAD,
            flags: READ | EXECUTE,
            offset: self.offset,
            address: self.address,
            file_size: size,
            memory_size: size,
            align: self.page,
        };
        let last = segments.iter().rposition(|s| s.kind == PT_LOAD);
        let mut out = Vec::new();
        let mut interpreter_seen = false;
        for (i, segment) in segments.iter().enumerate() {
            if segment.kind == PT_INTERP && !interpreter_seen {
                interpreter_seen = true;
            } else {
                segment.write(&mut out);
            }
            if Some(i) == last {
                new.write(&mut out);
            }
        }
        out
    }

    fn write_dynamic(&self, out: &mut [u8], appended: &Appended) -> Result<(), ElfError> {
        for (i, (tag, value)) in self.entries.iter().enumerate() {
            let value = match *tag {
                DT_STRTAB => appended.strings,
                DT_STRSZ => appended.strings_size,
                DT_RPATH => appended.search_path,
                _ => *value,
            };
            let at = self.dynamic_at + 16 * i;
            image::put_u64(out, at, tag.cast_unsigned())?;
            image::put_u64(out, at + 8, value)?;
        }
        Ok(())
    }
}

/// The dynamic entries with one DT_RPATH in the place of whatever search path there was, as long as
/// before and ending in DT_NULL; and the index of that entry. Linkers leave room: binutils five
/// entries. Where none is left DT_RELACOUNT goes, which only tells how many relocations are simple.
fn room_for_search_path(entries: &[(i64, u64)]) -> Result<(Vec<(i64, u64)>, usize), ElfError> {
    let size = entries.len();
    let used = entries.iter().take_while(|(tag, _)| *tag != 0);
    let search = [DT_RPATH, DT_RUNPATH];
    let mut kept: Vec<_> = used
        .filter(|(tag, _)| !search.contains(tag))
        .copied()
        .collect();
    if kept.len() + 2 > size {
        kept.retain(|(tag, _)| *tag != DT_RELACOUNT);
    }
    if kept.len() + 2 > size {
        return Err(layout("its dynamic section has no room for DT_RPATH"));
    }
    let index = kept.len();
    kept.push((DT_RPATH, 0));
    kept.resize(size, (0, 0));
    Ok((kept, index))
}

/// How much of the file is left when its section headers go. What no header mentions is appended data,
/// which the program finds from the end of its file; a few zeroes are padding.
fn without_payload(bytes: &[u8], segments: &[Segment]) -> Result<usize, ElfError> {
    let sections = Sections::read(bytes)?;
    let loaded = segments
        .iter()
        .map(|s| s.offset.saturating_add(s.file_size));
    let loaded = loaded.max().unwrap_or(0);
    let (end, content) = sections.map_or((0, 0), |s| (s.end(), s.content_end()));
    let payload = bytes
        .get(image::index(end.max(loaded))?..)
        .ok_or_else(|| damaged("it is shorter than its headers say"))?;
    if payload.len() >= 16 || payload.iter().any(|b| *b != 0) {
        let bytes = payload.len() as u64;
        return Err(ElfError::Payload { bytes });
    }
    image::index(content.max(loaded))
}

/// What the program had of its own, as far as it moves with the program; then ours.
fn search_path(facts: &Facts, ours: &str) -> String {
    let own = facts
        .runpath
        .as_deref()
        .or(facts.rpath.as_deref())
        .unwrap_or("");
    let moves = |entry: &&str| entry.starts_with("$ORIGIN/") || *entry == "$ORIGIN";
    let own = own.split(':').filter(moves).filter(|entry| *entry != ours);
    own.chain([ours]).collect::<Vec<_>>().join(":")
}

fn add_string(out: &mut Vec<u8>, what: &'static str, value: &str) -> Result<usize, ElfError> {
    let refuse = |why| {
        let value = value.to_owned();
        Err(ElfError::Parameter { what, value, why })
    };
    if value.is_empty() {
        return refuse("empty");
    }
    if value.contains('\0') {
        return refuse("it holds a NUL byte");
    }
    if value.len() > LONGEST_STRING {
        return refuse("longer than 32768 bytes");
    }
    let at = out.len();
    out.extend(value.as_bytes());
    out.push(0);
    Ok(at)
}

fn add_fixed_start(out: &mut Vec<u8>, fixed: &FixedStart) -> Result<usize, ElfError> {
    let refuse = |what, value: &String| {
        Err(ElfError::Parameter {
            what,
            value: value.clone(),
            why: "not an absolute path",
        })
    };
    if !fixed.program.starts_with('/') {
        return refuse("the path with raised privileges", &fixed.program);
    }
    if !fixed.library_path.split(':').all(|it| it.starts_with('/')) {
        return refuse(
            "the library path with raised privileges",
            &fixed.library_path,
        );
    }
    let at = add_string(out, "the path with raised privileges", &fixed.program)?;
    add_string(
        out,
        "the library path with raised privileges",
        &fixed.library_path,
    )?;
    Ok(at)
}

fn add_variables(out: &mut Vec<u8>, variables: &[PrivateVariable]) -> Result<usize, ElfError> {
    if let Some(extra) = variables.get(MOST_VARIABLES) {
        return Err(ElfError::Parameter {
            what: "a private variable",
            value: extra.name.clone(),
            why: "the stub has room for eight",
        });
    }
    let at = out.len();
    for variable in variables {
        add_string(out, "the name of a variable", &variable.name)?;
        add_string(out, "the path of a variable", &variable.path)?;
        for path in &variable.unless {
            add_string(out, "a path of the host", path)?;
        }
        out.push(0);
    }
    out.push(0);
    Ok(at)
}
