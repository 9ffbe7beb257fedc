//! Entries → a zip archive, as PKWARE's APPNOTE 6.3 says and Info-ZIP's unzip reads it. Begin at [`ZipWriter::entry`].
//!
//! Modes and links are kept the way Info-ZIP does: the Unix mode in the upper half of the external
//! attributes, a link's target as its content. Sizes stand in front of each file, so a
//! reader needs no second look; a file is compressed in memory before it is written. What does not fit
//! into 32 bits (or 65,534 entries) is said in the fields of Zip64, and nothing else is.

use std::io::{self, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use super::tar::Kind;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
/// Version 2.0 knows folders and deflate, 4.5 knows Zip64.
const PLAIN: u16 = 20;
const LARGE: u16 = 45;
/// Made on Unix, by version 3.0 of the format.
const MADE_BY: u16 = (3 << 8) | 30;

pub(super) struct ZipWriter<W: Write> {
    out: W,
    at: u64,
    /// What the central directory says, for the end.
    central: Vec<u8>,
    entries: u64,
    level: Compression,
    /// Date and time as DOS has them.
    date: (u16, u16),
    file: Option<File>,
}

/// A file whose content is coming.
struct File {
    name: String,
    mode: u32,
    crc: Crc,
    compressed: DeflateEncoder<Vec<u8>>,
    /// As it is, for as long as deflate might not make it smaller.
    plain: Option<Vec<u8>>,
}

/// Files up to this size are stored where deflate does not make them smaller.
const SMALL: usize = 64 << 10;

struct Entry<'a> {
    name: &'a str,
    mode: u32,
    method: u16,
    crc: u32,
    size: u64,
    bytes: &'a [u8],
}

impl<W: Write> ZipWriter<W> {
    pub(super) fn new(out: W, level: i32, epoch: u64) -> Self {
        ZipWriter {
            out,
            at: 0,
            central: Vec::new(),
            entries: 0,
            level: Compression::new(level.unsigned_abs()),
            date: dos_date(epoch),
            file: None,
        }
    }

    /// Writes a folder or link; a file is written when its content has come.
    pub(super) fn entry(&mut self, path: &str, kind: Kind<'_>) -> io::Result<()> {
        match kind {
            Kind::Directory => self.put(&Entry {
                name: &format!("{path}/"),
                mode: 0o040_755,
                method: STORED,
                crc: 0,
                size: 0,
                bytes: &[],
            }),
            Kind::Symlink { target } => {
                let mut crc = Crc::new();
                crc.update(target.as_bytes());
                self.put(&Entry {
                    name: path,
                    mode: 0o120_777,
                    method: STORED,
                    crc: crc.sum(),
                    size: target.len() as u64,
                    bytes: target.as_bytes(),
                })
            }
            Kind::File { executable, .. } => {
                self.file = Some(File {
                    name: path.to_owned(),
                    mode: if executable { 0o100_755 } else { 0o100_644 },
                    crc: Crc::new(),
                    compressed: DeflateEncoder::new(Vec::new(), self.level),
                    plain: Some(Vec::new()),
                });
                Ok(())
            }
        }
    }

    /// Bytes of the file whose entry was begun last.
    pub(super) fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.crc.update(bytes);
        file.compressed.write_all(bytes)?;
        file.plain = file.plain.take().and_then(|mut plain| {
            plain.extend_from_slice(bytes);
            (plain.len() <= SMALL).then_some(plain)
        });
        Ok(())
    }

    /// Writes the file that came, which had `size` bytes.
    pub(super) fn end_of_content(&mut self, size: u64) -> io::Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let compressed = file.compressed.finish()?;
        let plain = file
            .plain
            .filter(|plain| plain.len() as u64 == size && plain.len() <= compressed.len());
        let (method, bytes) = match &plain {
            Some(plain) => (STORED, plain),
            None => (DEFLATED, &compressed),
        };
        self.put(&Entry {
            name: &file.name,
            mode: file.mode,
            method,
            crc: file.crc.sum(),
            size,
            bytes,
        })
    }

    /// Writes the central directory and the end.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let (start, length) = (self.at, self.central.len() as u64);
        let central = std::mem::take(&mut self.central);
        self.write(&central)?;
        let large = self.entries >= u64::from(u16::MAX)
            || start >= u64::from(u32::MAX)
            || length >= u64::from(u32::MAX);
        if large {
            let at = self.at;
            let mut end = Vec::new();
            end.extend(END_64.to_le_bytes());
            end.extend(44_u64.to_le_bytes());
            end.extend(MADE_BY.to_le_bytes());
            end.extend(LARGE.to_le_bytes());
            end.extend([0; 8]);
            for number in [self.entries, self.entries, length, start] {
                end.extend(number.to_le_bytes());
            }
            end.extend(LOCATOR_64.to_le_bytes());
            end.extend([0; 4]);
            end.extend(at.to_le_bytes());
            end.extend(1_u32.to_le_bytes());
            self.write(&end)?;
        }
        let mut end = Vec::new();
        end.extend(END.to_le_bytes());
        end.extend([0; 4]);
        let entries = u16::try_from(self.entries).unwrap_or(u16::MAX);
        end.extend([entries.to_le_bytes(), entries.to_le_bytes()].concat());
        end.extend(short(length).to_le_bytes());
        end.extend(short(start).to_le_bytes());
        end.extend([0; 2]);
        self.write(&end)?;
        Ok(self.out)
    }

    fn put(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let name = u16::try_from(entry.name.len()).map_err(|_| {
            io::Error::other(format!("the path {:?} is too long for zip", entry.name))
        })?;
        let (packed, offset) = (entry.bytes.len() as u64, self.at);
        let version = |large: bool| if large { LARGE } else { PLAIN };
        let sizes = large_fields(&[entry.size, packed]);
        let mut local = LOCAL.to_le_bytes().to_vec();
        // Both sizes are in Zip64's field of a local header, or none.
        let both = if sizes.is_empty() {
            Vec::new()
        } else {
            field(&[entry.size, packed])
        };
        let is_large = !both.is_empty();
        local.extend(version(is_large).to_le_bytes());
        local.extend(self.common(entry));
        for size in [packed, entry.size] {
            let size = if is_large { u32::MAX } else { short(size) };
            local.extend(size.to_le_bytes());
        }
        local.extend(name.to_le_bytes());
        local.extend((both.len() as u16).to_le_bytes());
        local.extend(entry.name.as_bytes());
        local.extend(&both);

        let extra = large_fields(&[entry.size, packed, offset]);
        let central = &mut Vec::new();
        central.extend(CENTRAL.to_le_bytes());
        central.extend(MADE_BY.to_le_bytes());
        central.extend(version(!extra.is_empty()).to_le_bytes());
        central.extend(self.common(entry));
        central.extend(short(packed).to_le_bytes());
        central.extend(short(entry.size).to_le_bytes());
        central.extend(name.to_le_bytes());
        central.extend((extra.len() as u16).to_le_bytes());
        // No comment, first disk, binary content.
        central.extend([0; 6]);
        let folder = if entry.name.ends_with('/') { 0x10 } else { 0 };
        central.extend((entry.mode << 16 | folder).to_le_bytes());
        central.extend(short(offset).to_le_bytes());
        central.extend(entry.name.as_bytes());
        central.extend(&extra);
        self.central.append(central);
        self.entries += 1;
        self.write(&local)?;
        self.write(entry.bytes)
    }

    /// What both headers say, from the flags to the checksum.
    fn common(&self, entry: &Entry<'_>) -> Vec<u8> {
        let (date, time) = self.date;
        let words = [UTF8, entry.method, time, date];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(entry.crc.to_le_bytes());
        bytes
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// A number in 32 bits; all ones say that it stands in the field of Zip64.
fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The field of Zip64 with those numbers that have no room elsewhere; empty when all have.
fn large_fields(numbers: &[u64]) -> Vec<u8> {
    let large: Vec<u64> = numbers
        .iter()
        .copied()
        .filter(|number| *number >= u64::from(u32::MAX))
        .collect();
    if large.is_empty() {
        return Vec::new();
    }
    field(&large)
}

fn field(numbers: &[u64]) -> Vec<u8> {
    let mut bytes = 1_u16.to_le_bytes().to_vec();
    bytes.extend((numbers.len() as u16 * 8).to_le_bytes());
    numbers
        .iter()
        .for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes
}

/// Date and time of day in UTC, as DOS has them: from 1980 to 2107, every second second.
fn dos_date(epoch: u64) -> (u16, u16) {
    const FIRST: u64 = 315_532_800;
    const LAST: u64 = 4_354_819_198;
    let epoch = epoch.clamp(FIRST, LAST);
    let (days, seconds) = (epoch / 86_400, epoch % 86_400);
    let (year, month, day) = crate::net::date::civil(days);
    let date = (year - 1980) << 9 | month << 5 | day;
    let time = (seconds / 3600) << 11 | (seconds / 60 % 60) << 5 | (seconds % 60 / 2);
    (date as u16, time as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_dos_are_those_of_the_calendar() {
        // `date -u -d @SECONDS` says so.
        let at = |epoch| {
            let (date, time) = dos_date(epoch);
            let (date, time) = (u32::from(date), u32::from(time));
            let day = (1980 + (date >> 9), date >> 5 & 15, date & 31);
            (day, (time >> 11, time >> 5 & 63, (time & 31) * 2))
        };
        assert_eq!(at(1_700_000_000), ((2023, 11, 14), (22, 13, 20)));
        assert_eq!(at(951_782_400), ((2000, 2, 29), (0, 0, 0)));
        assert_eq!(at(0), ((1980, 1, 1), (0, 0, 0)));
        assert_eq!(at(u64::MAX), ((2107, 12, 31), (23, 59, 58)));
    }

    #[test]
    fn only_what_does_not_fit_is_said_in_zip64() {
        assert!(large_fields(&[0, u64::from(u32::MAX) - 1]).is_empty());
        let extra = large_fields(&[7, 5_000_000_000]);
        let wanted = [&[1, 0, 8, 0][..], &5_000_000_000_u64.to_le_bytes()].concat();
        assert_eq!(extra, wanted);
    }
}
