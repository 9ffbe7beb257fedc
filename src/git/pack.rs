//! A pack → its objects, each under the name that its bytes have. Begin at [`read`].
//!
//! An object is whole or the difference from another one of the pack (gitformat-pack(5)). Lengths in a
//! pack are claims: nothing grows beyond what it says, and all together not beyond a limit.

use std::collections::HashMap;
use std::io::Read as _;

use flate2::bufread::ZlibDecoder;
use sha1_checked::{Digest as _, Sha1};

use super::name::ObjectName;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Tree => "tree",
            Kind::Blob => "blob",
            Kind::Tag => "tag",
        }
    }
}

/// So many differences one upon the other at most.
const CHAIN: usize = 4096;

/// Objects by name.
#[derive(Debug, Default)]
pub(super) struct Objects(HashMap<ObjectName, (Kind, Vec<u8>)>);

impl Objects {
    /// The object of that name, which has to be of that kind.
    pub(super) fn get(&self, name: &ObjectName, kind: Kind) -> Result<&[u8], String> {
        match self.0.get(name) {
            Some((found, bytes)) if *found == kind => Ok(bytes),
            Some((found, _)) => Err(format!(
                "{name} is a {}, not a {}",
                found.word(),
                kind.word()
            )),
            None => Err(format!("the {} {name} is not there", kind.word())),
        }
    }
}

/// Reads all objects of `pack`, of at most `most` bytes together.
pub(super) fn read(pack: &[u8], most: u64) -> Result<Objects, String> {
    let (body, sum) = pack
        .split_last_chunk::<20>()
        .ok_or("its pack ends too early")?;
    if sha1([body])? != *sum {
        return Err("its pack has another sum than it says".to_owned());
    }
    let mut from = Reader {
        pack: body,
        at: 0,
        left: most,
    };
    if from.take(4)? != b"PACK" || !matches!(from.number()?, 2 | 3) {
        return Err("its pack is of no known version".to_owned());
    }
    let count = from.number()?;
    let mut known = Known::default();
    let mut waiting = Vec::new();
    for _ in 0..count {
        let offset = from.at;
        match from.entry()? {
            Entry::Whole(kind, bytes) => known.add(offset, kind, bytes)?,
            Entry::Difference(base, bytes) => waiting.push((offset, base, bytes)),
        }
    }
    if from.at != body.len() {
        return Err("its pack has more than it says".to_owned());
    }
    // A base may come later than what is made of it; each round makes at least one, and git makes no
    // longer chains.
    let mut rounds = 0;
    while !waiting.is_empty() {
        rounds += 1;
        if rounds > CHAIN {
            return Err("its pack has differences from differences without end".to_owned());
        }
        let before = waiting.len();
        let mut later = Vec::new();
        for (offset, base, difference) in waiting {
            match known.base(&base) {
                Some((kind, base)) => {
                    let bytes = apply(base, &difference, &mut from.left)?;
                    known.add(offset, kind, bytes)?;
                }
                None => later.push((offset, base, difference)),
            }
        }
        if later.len() == before {
            return Err("its pack has a difference from something that is not in it".to_owned());
        }
        waiting = later;
    }
    Ok(known.objects)
}

#[derive(Default)]
struct Known {
    objects: Objects,
    offsets: HashMap<usize, ObjectName>,
}

impl Known {
    fn add(&mut self, offset: usize, kind: Kind, bytes: Vec<u8>) -> Result<(), String> {
        let head = format!("{} {}\0", kind.word(), bytes.len());
        let name = ObjectName(sha1([head.as_bytes(), &bytes])?);
        self.offsets.insert(offset, name);
        self.objects.0.insert(name, (kind, bytes));
        Ok(())
    }

    fn base(&self, base: &Base) -> Option<(Kind, &[u8])> {
        let name = match base {
            Base::At(offset) => self.offsets.get(offset)?,
            Base::Named(name) => name,
        };
        let (kind, bytes) = self.objects.0.get(name)?;
        Some((*kind, bytes))
    }
}

/// The SHA-1 of some pieces, unless they have the marks of an attack on it.
fn sha1<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<[u8; 20], String> {
    let mut hash = Sha1::new();
    for piece in pieces {
        hash.update(piece);
    }
    let found = hash.try_finalize();
    if found.has_collision() {
        return Err("an object has the marks of an attack on SHA-1".to_owned());
    }
    Ok((*found.hash()).into())
}

/// The sum at the end of a pack.
#[cfg(test)]
pub(super) fn sum(pack: &[u8]) -> [u8; 20] {
    sha1([pack]).unwrap_or_default()
}

enum Entry {
    Whole(Kind, Vec<u8>),
    Difference(Base, Vec<u8>),
}

enum Base {
    At(usize),
    Named(ObjectName),
}

struct Reader<'a> {
    pack: &'a [u8],
    at: usize,
    /// So many bytes may still come.
    left: u64,
}

const SHORT: &str = "its pack ends too early";

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let bytes = self.pack[self.at..].get(..count).ok_or(SHORT)?;
        self.at += count;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn entry(&mut self) -> Result<Entry, String> {
        let begun = self.at;
        let head = self.byte()?;
        let mut size = u64::from(head & 15);
        let (mut more, mut shift) = (head & 128 != 0, 4);
        while more {
            let byte = self.byte()?;
            let part = u64::from(byte & 127);
            let shifted = part.checked_shl(shift);
            size |= shifted.filter(|it| it >> shift == part).ok_or(SHORT)?;
            (more, shift) = (byte & 128 != 0, shift + 7);
        }
        let kind = match head >> 4 & 7 {
            1 => Kind::Commit,
            2 => Kind::Tree,
            3 => Kind::Blob,
            4 => Kind::Tag,
            6 => {
                let back = self.distance()?;
                let base = begun.checked_sub(back).filter(|_| back > 0);
                let base = base.ok_or("its pack has a difference from outside of it")?;
                return Ok(Entry::Difference(Base::At(base), self.inflate(size)?));
            }
            7 => {
                let mut name = [0; 20];
                name.copy_from_slice(self.take(20)?);
                let base = Base::Named(ObjectName(name));
                return Ok(Entry::Difference(base, self.inflate(size)?));
            }
            _ => return Err("its pack has an object of no known kind".to_owned()),
        };
        Ok(Entry::Whole(kind, self.inflate(size)?))
    }

    /// How far before an object its base begins.
    fn distance(&mut self) -> Result<usize, String> {
        let mut byte = self.byte()?;
        let mut distance = usize::from(byte & 127);
        while byte & 128 != 0 {
            byte = self.byte()?;
            distance = distance
                .checked_add(1)
                .and_then(|it| it.checked_mul(128))
                .ok_or(SHORT)?
                | usize::from(byte & 127);
        }
        Ok(distance)
    }

    fn inflate(&mut self, size: u64) -> Result<Vec<u8>, String> {
        grow(&mut self.left, size)?;
        let mut decoder = ZlibDecoder::new(&self.pack[self.at..]);
        let mut bytes = Vec::new();
        let read = decoder.by_ref().take(size + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("an object cannot be unpacked: {error}"))?;
        if bytes.len() as u64 != size {
            return Err("an object has another size than its pack says".to_owned());
        }
        self.at += usize::try_from(decoder.total_in()).map_err(|_| SHORT)?;
        Ok(bytes)
    }
}

fn grow(left: &mut u64, size: u64) -> Result<(), String> {
    *left = left
        .checked_sub(size)
        .ok_or("its files are larger than 2 GiB together")?;
    Ok(())
}

/// What `difference` makes of `base`.
fn apply(base: &[u8], difference: &[u8], left: &mut u64) -> Result<Vec<u8>, String> {
    let wrong = || "a difference in its pack makes no sense".to_owned();
    let mut cursor = Cursor(difference);
    let old = cursor.length().ok_or_else(wrong)?;
    let new = cursor.length().ok_or_else(wrong)?;
    if old != base.len() as u64 {
        return Err(wrong());
    }
    grow(left, new)?;
    let mut made = Vec::new();
    while let Some(code) = cursor.next() {
        let piece = if code & 128 != 0 {
            let mut number = |bits: std::ops::Range<u8>| -> Result<usize, String> {
                let mut number = 0;
                for (place, bit) in bits.enumerate() {
                    if code & (1 << bit) != 0 {
                        number |= usize::from(cursor.next().ok_or_else(wrong)?) << (8 * place);
                    }
                }
                Ok(number)
            };
            let (offset, size) = (number(0..4)?, number(4..7)?);
            let size = if size == 0 { 0x10000 } else { size };
            base.get(offset..offset + size).ok_or_else(wrong)?
        } else if code == 0 {
            return Err(wrong());
        } else {
            cursor.take(code.into()).ok_or_else(wrong)?
        };
        made.extend_from_slice(piece);
        if made.len() as u64 > new {
            return Err(wrong());
        }
    }
    if made.len() as u64 != new {
        return Err(wrong());
    }
    Ok(made)
}

/// What is left of a difference.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn next(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    /// A number of any length, the lowest seven bits first.
    fn length(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.next()?;
            let part = u64::from(byte & 127);
            number |= part.checked_shl(shift).filter(|it| it >> shift == part)?;
            shift += 7;
            if byte & 128 == 0 {
                return Some(number);
            }
        }
    }
}
