//! Little-endian fields and extra fields of zip records.

use crate::archive::error::Fault;

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Fault> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field
        .map(|field| u16::from_le_bytes(*field))
        .ok_or_else(short)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Fault> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field
        .map(|field| u32::from_le_bytes(*field))
        .ok_or_else(short)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Fault> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field
        .map(|field| u64::from_le_bytes(*field))
        .ok_or_else(short)
}

pub(super) fn slice(bytes: &[u8], at: usize, length: usize) -> Result<&[u8], Fault> {
    let end = at.checked_add(length).ok_or_else(short)?;
    bytes.get(at..end).ok_or_else(short)
}

fn short() -> Fault {
    Fault::Truncated {
        what: "a record of the zip",
    }
}

pub(super) fn malformed(why: impl Into<String>) -> Fault {
    Fault::Malformed {
        what: "the zip",
        why: why.into(),
    }
}

/// The content of the ZIP64 extra field, where there is one. Fields must fill `extra` exactly; one that
/// would rename the entry is refused.
pub(super) fn zip64_extra(extra: &[u8]) -> Result<Option<&[u8]>, Fault> {
    const ZIP64: u16 = 0x0001;
    const UNICODE_PATH: u16 = 0x7075;
    let mut found = None;
    let mut at = 0;
    while at < extra.len() {
        let id = u16_at(extra, at).map_err(|_| tail())?;
        let length = usize::from(u16_at(extra, at + 2).map_err(|_| tail())?);
        let content = slice(extra, at + 4, length).map_err(|_| tail())?;
        match id {
            ZIP64 if found.is_some() => return Err(malformed("two ZIP64 fields in one entry")),
            ZIP64 => found = Some(content),
            UNICODE_PATH => {
                return Err(Fault::Feature {
                    what: "a second name in an extra field",
                });
            }
            _ => {}
        }
        at += 4 + length;
    }
    Ok(found)
}

fn tail() -> Fault {
    malformed("an extra field reaches beyond its header")
}
