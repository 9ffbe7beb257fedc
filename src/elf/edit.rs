//! Edits that keep every byte where it is: strings, and the tag of a search path. Begin at
//! [`replace_same_length`].

use super::error::damaged;
use super::image::{self, PT_DYNAMIC};
use super::read::{DT_RPATH, DT_RUNPATH};
use super::{Class, ElfError, read};

/// Replaces every `from` by `to`, which has the same length. Gives the number of hits.
pub fn replace_same_length(bytes: &mut [u8], from: &[u8], to: &[u8]) -> Result<usize, ElfError> {
    if from.len() != to.len() || from.is_empty() {
        return Err(length(from, to));
    }
    let mut hits = 0;
    let mut at = 0;
    while let Some(next) = find(&bytes[at..], from) {
        let hit = at + next;
        bytes[hit..hit + to.len()].copy_from_slice(to);
        hits += 1;
        at = hit + to.len();
    }
    Ok(hits)
}

/// Replaces a run of C strings, as compilers lay out tables of fixed texts: `["/lib/", "/usr/lib/"]`
/// is `/lib/␀/usr/lib/␀`. Every string keeps its length. Gives the number of hits.
pub fn replace_strings(bytes: &mut [u8], from: &[&str], to: &[&str]) -> Result<usize, ElfError> {
    let lengths = |list: &[&str]| list.iter().map(|s| s.len()).collect::<Vec<_>>();
    let run = |list: &[&str]| {
        list.iter()
            .flat_map(|s| s.bytes().chain([0]))
            .collect::<Vec<u8>>()
    };
    if lengths(from) != lengths(to) {
        return Err(length(&run(from), &run(to)));
    }
    replace_same_length(bytes, &run(from), &run(to))
}

/// Replaces a whole C string (NUL before and behind it) by one that is not longer; the rest is filled
/// with NUL. A string that a linker has merged into the tail of another is not a hit.
pub fn replace_c_string(bytes: &mut [u8], from: &str, to: &str) -> Result<usize, ElfError> {
    if to.len() > from.len() || from.is_empty() {
        return Err(length(from.as_bytes(), to.as_bytes()));
    }
    let enclosed = |text: &str| {
        let mut run = vec![0u8];
        run.extend(text.as_bytes());
        run.resize(from.len() + 2, 0);
        run
    };
    let (wanted, replacement) = (enclosed(from), enclosed(to));
    let (mut hits, mut at) = (0, 0);
    while let Some(next) = find(&bytes[at..], &wanted) {
        let hit = at + next;
        bytes[hit..hit + wanted.len()].copy_from_slice(&replacement);
        hits += 1;
        at = hit + wanted.len() - 1; // the NUL behind this one may stand before the next
    }
    Ok(hits)
}

/// Turns DT_RUNPATH into DT_RPATH, which the search of dependencies inherits. Gives whether there was
/// one. A DT_RPATH beside it, void until now, goes. After an error the bytes are of no use.
pub fn runpath_to_rpath(bytes: &mut [u8]) -> Result<bool, ElfError> {
    let facts = read(bytes)?.ok_or(ElfError::NotElf)?;
    if facts.runpath.is_none() {
        return Ok(false);
    }
    if facts.class != Class::Bits64 || !facts.little_endian {
        let machine = format!("{} (32 bits or big endian)", facts.machine);
        return Err(ElfError::NoStubFor { machine });
    }
    // The loader reads the last entry of a tag: an old DT_RPATH would win over the new one.
    let there = change_tags(bytes, |tag| match tag {
        DT_RPATH => None,
        DT_RUNPATH => Some(DT_RPATH),
        other => Some(other),
    })?;
    if !there {
        return Ok(false);
    }
    // In a file whose tables share bytes, writing one has changed another.
    let written = read(bytes)?.filter(|w| w.rpath == facts.runpath && w.runpath.is_none());
    match written {
        Some(_) => Ok(true),
        None => Err(damaged("its tables share bytes")),
    }
}

/// Lets a search path that names folders below `prefix` name them from the file's own place: `up` is
/// how the prefix is reached from its folder (`..` for a file in `bin/`). Gives whether there was one.
pub fn move_search_path(bytes: &mut [u8], prefix: &str, up: &str) -> Result<bool, ElfError> {
    let facts = read(bytes)?.ok_or(ElfError::NotElf)?;
    let here = match up {
        "" => "$ORIGIN".to_owned(),
        up => format!("$ORIGIN/{up}"),
    };
    let mut moved = false;
    for path in [&facts.rpath, &facts.runpath].into_iter().flatten() {
        if path.contains(prefix) {
            moved |= replace_c_string(bytes, path, &path.replace(prefix, &here))? > 0;
        }
    }
    let written = read(bytes)?.filter(|it| it.needed == facts.needed && it.soname == facts.soname);
    match written {
        Some(_) => Ok(moved),
        None => Err(damaged("its tables share bytes")),
    }
}

/// Takes out of a search path what does not begin at the file's own place: folders of the machine that
/// it was built on, and empty words, which are the current folder. A path of which nothing is left goes.
/// Gives whether there was any. After an error the bytes are of no use.
pub fn drop_foreign_search_path(bytes: &mut [u8]) -> Result<bool, ElfError> {
    let facts = read(bytes)?.ok_or(ElfError::NotElf)?;
    let own = |word: &&str| word.starts_with("$ORIGIN") || word.starts_with("${ORIGIN}");
    let mut dropped = Vec::new();
    let mut changed = false;
    for (tag, path) in [(DT_RPATH, &facts.rpath), (DT_RUNPATH, &facts.runpath)] {
        let Some(path) = path else { continue };
        let kept: Vec<&str> = path.split(':').filter(own).collect();
        let kept = kept.join(":");
        if kept.is_empty() {
            dropped.push(tag);
        } else if kept != *path && replace_c_string(bytes, path, &kept)? == 0 {
            return Err(damaged("its search path is part of another string"));
        }
        changed |= kept != *path;
    }
    if !dropped.is_empty() {
        change_tags(bytes, |tag| (!dropped.contains(&tag)).then_some(tag))?;
    }
    let written = read(bytes)?.filter(|it| it.needed == facts.needed && it.soname == facts.soname);
    match written {
        Some(_) => Ok(changed || !dropped.is_empty()),
        None => Err(damaged("its tables share bytes")),
    }
}

/// Gives each entry of the dynamic section another tag, or takes it out. Gives whether there is such a
/// section.
fn change_tags(bytes: &mut [u8], change: impl Fn(i64) -> Option<i64>) -> Result<bool, ElfError> {
    let segments = image::segments(bytes)?;
    let Some(segment) = segments.iter().find(|s| s.kind == PT_DYNAMIC) else {
        return Ok(false);
    };
    let (at, entries) = image::dynamic(bytes, segment)?;
    let used = entries.iter().take_while(|(tag, _)| *tag != 0);
    let mut kept: Vec<_> = used
        .filter_map(|(tag, value)| Some((change(*tag)?, *value)))
        .collect();
    kept.resize(entries.len(), (0, 0));
    for (i, (tag, value)) in kept.into_iter().enumerate() {
        image::put_u64(bytes, at + 16 * i, tag.cast_unsigned())?;
        image::put_u64(bytes, at + 16 * i + 8, value)?;
    }
    Ok(true)
}

fn length(from: &[u8], to: &[u8]) -> ElfError {
    let text = |bytes| String::from_utf8_lossy(bytes).replace('\0', "␀");
    ElfError::Length {
        from: text(from),
        to: text(to),
        from_length: from.len(),
        to_length: to.len(),
    }
}

/// Position of `wanted` in `bytes`. Candidates are found by their first byte.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let (first, rest) = wanted.split_first()?;
    let mut at = 0;
    while let Some(next) = bytes.get(at..)?.iter().position(|b| b == first) {
        let hit = at + next;
        if bytes[hit + 1..].starts_with(rest) {
            return Some(hit);
        }
        at = hit + 1;
    }
    None
}
