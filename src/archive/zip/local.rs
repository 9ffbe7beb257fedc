//! One entry's own header, and what follows its content, held against the central directory.

use std::io;

use super::directory::Central;
use super::field::{malformed, slice, u16_at, u32_at, u64_at, zip64_extra};
use crate::archive::ReadAt;
use crate::archive::error::Fault;

/// Bytes of a local header before name and extra field.
pub(super) const FIXED: u64 = 30;
const LOCAL: &[u8] = b"PK\x03\x04";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
const HAS_DESCRIPTOR: u16 = 1 << 3;
/// Only the two bits that tell how hard a deflater tried may differ.
const COMPARED_FLAGS: u16 = !(3 << 1);

/// Checks the entry whose bytes end at `end`. Returns where its content begins.
pub(super) fn check<S: ReadAt + ?Sized>(source: &S, entry: &Central, end: u64) -> io::Result<u64> {
    let mut header = vec![0; FIXED as usize + entry.name.len()];
    source.read_exact_at(&mut header, entry.offset)?;
    let extra_length = check_fixed(&header, entry).map_err(Fault::into_io)?;
    let extra_at = entry.offset + header.len() as u64;
    let start = extra_at + extra_length as u64;
    let Some(after) = start
        .checked_add(entry.packed)
        .and_then(|stop| end.checked_sub(stop))
    else {
        return Err(Fault::Overlap.into_io());
    };
    let mut extra = vec![0; extra_length];
    source.read_exact_at(&mut extra, extra_at)?;
    check_sizes(&header, &extra, entry).map_err(Fault::into_io)?;
    if entry.flags & HAS_DESCRIPTOR == 0 {
        if after != 0 {
            return Err(Fault::Stray {
                place: "after its content",
            }
            .into_io());
        }
        return Ok(start);
    }
    if !matches!(after, 12 | 16 | 20 | 24) {
        let what = "its data descriptor";
        let why = format!("there is room for {after} bytes");
        return Err(Fault::Malformed { what, why }.into_io());
    }
    let mut descriptor = vec![0; after as usize];
    source.read_exact_at(&mut descriptor, end - after)?;
    check_descriptor(&descriptor, entry).map_err(Fault::into_io)?;
    Ok(start)
}

/// Everything but the sizes. Returns the length of the extra field.
fn check_fixed(header: &[u8], entry: &Central) -> Result<usize, Fault> {
    if slice(header, 0, 4)? != LOCAL {
        return Err(malformed("where its directory places it, no entry begins"));
    }
    let name = usize::from(u16_at(header, 26)?);
    let same = name == entry.name.len() && header.ends_with(&entry.name);
    if !same {
        return Err(malformed(
            "its own header has another name than the directory",
        ));
    }
    let flags = u16_at(header, 6)?;
    if (flags ^ entry.flags) & COMPARED_FLAGS != 0 {
        return Err(differ("its flags", entry.flags.into(), flags.into()));
    }
    let method = u16_at(header, 8)?;
    if method != entry.method.number() {
        return Err(differ(
            "its method",
            entry.method.number().into(),
            method.into(),
        ));
    }
    u16_at(header, 28).map(usize::from)
}

/// With a descriptor the header may say nothing of CRC and sizes, but never something else.
fn check_sizes(header: &[u8], extra: &[u8], entry: &Central) -> Result<(), Fault> {
    let (crc, packed, size) = (
        u32_at(header, 14)?,
        u32_at(header, 18)?,
        u32_at(header, 22)?,
    );
    let zip64 = zip64_extra(extra)?;
    let (size, packed) = match zip64 {
        Some(wide) if size == u32::MAX || packed == u32::MAX => {
            if wide.len() != 16 {
                return Err(malformed("its own ZIP64 field does not hold both sizes"));
            }
            (pick(size, u64_at(wide, 0)?), pick(packed, u64_at(wide, 8)?))
        }
        _ => (u64::from(size), u64::from(packed)),
    };
    let silent = entry.flags & HAS_DESCRIPTOR != 0;
    let compare = |what, wanted: u64, found: u64| {
        if found == wanted || (silent && found == 0) {
            return Ok(());
        }
        Err(differ(what, wanted, found))
    };
    compare("its CRC-32", entry.crc.into(), crc.into())?;
    compare("its packed size", entry.packed, packed)?;
    compare("its size", entry.size, size)
}

fn pick(plain: u32, wide: u64) -> u64 {
    if plain == u32::MAX {
        wide
    } else {
        plain.into()
    }
}

/// CRC and both sizes, of 4 or 8 bytes, with or without a signature: the room it has tells which.
fn check_descriptor(bytes: &[u8], entry: &Central) -> Result<(), Fault> {
    let signed = matches!(bytes.len(), 16 | 24);
    if signed && !bytes.starts_with(DESCRIPTOR) {
        return Err(malformed(
            "its data descriptor has no signature, but room for one",
        ));
    }
    let bytes = if signed { &bytes[4..] } else { bytes };
    let (packed, size) = if bytes.len() == 12 {
        (u32_at(bytes, 4)?.into(), u32_at(bytes, 8)?.into())
    } else {
        (u64_at(bytes, 4)?, u64_at(bytes, 12)?)
    };
    let crc = u32_at(bytes, 0)?;
    for (what, wanted, found) in [
        (
            "the CRC-32 in its data descriptor",
            entry.crc.into(),
            crc.into(),
        ),
        (
            "the packed size in its data descriptor",
            entry.packed,
            packed,
        ),
        ("the size in its data descriptor", entry.size, size),
    ] {
        if wanted != found {
            return Err(differ(what, wanted, found));
        }
    }
    Ok(())
}

fn differ(what: &'static str, one: u64, other: u64) -> Fault {
    Fault::Disagree { what, one, other }
}
