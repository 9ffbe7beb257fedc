//! The table of contents of a zip → its entries. Begin at [`Directory::entries`].

use super::Links;
use super::field::{malformed, slice, u16_at, u32_at, u64_at, zip64_extra};
use crate::archive::error::{ArchiveError, Fault, Kind};
use crate::archive::limits::Limits;

const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_SIZE: usize = 46;
/// Where the upper half of the external attributes stands in an entry.
const MODE: usize = 40;
/// In place of a value: see the ZIP64 field.
const NONE32: u32 = u32::MAX;

const SYMLINK: u32 = 0o12;

/// Where the table of contents is, and its bytes.
pub(super) struct Directory {
    pub(super) start: u64,
    pub(super) count: u64,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

/// One entry as the central directory has it.
pub(super) struct Central {
    /// Its place in the directory: the first is 1.
    pub(super) index: u64,
    pub(super) name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: Method,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
    attributes: u32,
    /// Where it begins in the directory's bytes.
    at: usize,
}

impl Central {
    pub(super) fn is_directory(&self) -> bool {
        self.name.ends_with(b"/")
    }

    pub(super) fn is_symlink(&self) -> bool {
        self.unix_kind() == SYMLINK
    }

    /// The upper four bits of the Unix mode; 0 where there is none.
    fn unix_kind(&self) -> u32 {
        (self.attributes >> 28) & 0o17
    }

    pub(super) fn executable(&self) -> bool {
        self.mode() & 0o111 != 0
    }

    /// The Unix mode; 0 where there is none.
    pub(super) fn mode(&self) -> u16 {
        (self.attributes >> 16) as u16
    }

    /// Where the mode stands in the directory's bytes.
    pub(super) fn mode_bytes(&self) -> std::ops::Range<usize> {
        let start = self.at + MODE;
        start..start + 2
    }
}

impl Directory {
    /// Every entry, in the order of their bytes.
    pub(super) fn entries(
        &self,
        archive: &str,
        limits: &Limits,
        links: Links,
    ) -> Result<Vec<Central>, ArchiveError> {
        let refuse = |fault| ArchiveError::form(archive, fault);
        if self.count > limits.entries {
            return Err(refuse(Fault::Limit {
                what: "the number of entries",
                limit: limits.entries,
                unit: "entries",
            }));
        }
        let mut entries = Vec::new();
        let mut at = 0;
        while at < self.bytes.len() {
            let index = entries.len() as u64 + 1;
            let (entry, next) = self.entry(at, index, archive, links)?;
            entries.push(entry);
            at = next;
        }
        let found = entries.len() as u64;
        if found != self.count {
            return Err(refuse(Fault::Disagree {
                what: "its number of entries",
                one: self.count,
                other: found,
            }));
        }
        if entries.is_empty() {
            return Err(refuse(Fault::Empty));
        }
        entries.sort_by_key(|entry| entry.offset);
        Ok(entries)
    }

    fn entry(
        &self,
        at: usize,
        index: u64,
        archive: &str,
        links: Links,
    ) -> Result<(Central, usize), ArchiveError> {
        let bytes = &self.bytes[at..];
        let lengths = || -> Result<(usize, usize, usize), Fault> {
            if slice(bytes, 0, 4)? != ENTRY {
                return Err(malformed("its directory holds something that is no entry"));
            }
            let length = |at| u16_at(bytes, at).map(usize::from);
            Ok((length(28)?, length(30)?, length(32)?))
        };
        let variable = lengths().and_then(|(name, extra, comment)| {
            let extra_at = ENTRY_SIZE + name;
            slice(bytes, extra_at + extra, comment)?;
            let name = slice(bytes, ENTRY_SIZE, name)?;
            let extra_bytes = slice(bytes, extra_at, extra)?;
            Ok((name, extra_bytes, extra_at + extra + comment))
        });
        let (name, extra, length) = variable.map_err(|fault| ArchiveError::form(archive, fault))?;
        let mut entry = Central::parse(bytes, name, extra, index, links)
            .map_err(|fault| ArchiveError::entry(archive, index, name, fault))?;
        entry.at = at;
        Ok((entry, at + length))
    }
}

impl Central {
    fn parse(
        bytes: &[u8],
        name: &[u8],
        extra: &[u8],
        index: u64,
        links: Links,
    ) -> Result<Self, Fault> {
        let flags = u16_at(bytes, 8)?;
        check_flags(flags, name)?;
        let zip64 = zip64_extra(extra)?;
        let mut wide = Wide {
            rest: zip64.unwrap_or_default(),
        };
        let size = wide.or_plain(u32_at(bytes, 24)?)?;
        let packed = wide.or_plain(u32_at(bytes, 20)?)?;
        let offset = wide.or_plain(u32_at(bytes, 42)?)?;
        if !wide.rest.is_empty() {
            return Err(malformed(
                "its ZIP64 field holds more than its header asks for",
            ));
        }
        if u16_at(bytes, 34)? != 0 {
            let what = "several volumes";
            return Err(Fault::Feature { what });
        }
        let method = Method::parse(u16_at(bytes, 10)?)?;
        if method == Method::Stored && packed != size {
            return Err(Fault::Disagree {
                what: "the size of its stored content",
                one: packed,
                other: size,
            });
        }
        let entry = Central {
            index,
            name: name.to_vec(),
            flags,
            method,
            crc: u32_at(bytes, 16)?,
            packed,
            size,
            offset,
            attributes: u32_at(bytes, 38)?,
            at: 0,
        };
        entry.check_kind(links)?;
        Ok(entry)
    }

    /// The name and both sets of attributes must agree on what the entry is.
    fn check_kind(&self, links: Links) -> Result<(), Fault> {
        const DOS_DIRECTORY: u32 = 0x10;
        match (self.unix_kind(), self.is_directory()) {
            (0, true) | (0o4, true) | (0o10, false) => {}
            (0, false) if self.attributes & DOS_DIRECTORY == 0 => {}
            (0, false) | (0o4, false) => {
                return Err(malformed(
                    "a directory's name must end in a slash, and its does not",
                ));
            }
            (0o10, true) => return Err(Fault::SlashAfter { kind: Kind::File }),
            (SYMLINK, false) if links == Links::Kept => {}
            (SYMLINK, _) => return Err(Fault::Special { what: "symlink" }),
            (0o1, _) => return Err(Fault::Special { what: "FIFO" }),
            (0o2, _) => {
                return Err(Fault::Special {
                    what: "character device",
                });
            }
            (0o6, _) => {
                return Err(Fault::Special {
                    what: "block device",
                });
            }
            (0o14, _) => return Err(Fault::Special { what: "socket" }),
            _ => return Err(malformed("its attributes name no kind of file")),
        }
        if self.is_directory() && self.size != 0 {
            return Err(malformed("it is a directory, but has content"));
        }
        Ok(())
    }
}

impl Method {
    fn parse(number: u16) -> Result<Self, Fault> {
        Err(match number {
            0 => return Ok(Method::Stored),
            8 => return Ok(Method::Deflated),
            9 => Fault::Feature {
                what: "the method Deflate64",
            },
            12 => Fault::Feature {
                what: "the method bzip2",
            },
            14 => Fault::Feature {
                what: "the method LZMA",
            },
            93 => Fault::Feature {
                what: "the method zstd",
            },
            95 => Fault::Feature {
                what: "the method xz",
            },
            99 => Fault::Feature { what: "encryption" },
            _ => Fault::Feature {
                what: "a method other than stored and deflated",
            },
        })
    }

    pub(super) fn number(self) -> u16 {
        match self {
            Method::Stored => 0,
            Method::Deflated => 8,
        }
    }
}

fn check_flags(flags: u16, name: &[u8]) -> Result<(), Fault> {
    const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
    const LEVEL: u16 = 3 << 1;
    const DESCRIPTOR: u16 = 1 << 3;
    const UTF8: u16 = 1 << 11;
    if flags & ENCRYPTED != 0 {
        return Err(Fault::Feature { what: "encryption" });
    }
    if flags & !(LEVEL | DESCRIPTOR | UTF8) != 0 {
        return Err(malformed(format!("its flags are {flags:#06x}")));
    }
    if flags & UTF8 == 0 && !name.is_ascii() {
        return Err(Fault::NotUtf8 { what: "name" });
    }
    if name.contains(&b'\\') {
        return Err(Fault::Backslash);
    }
    Ok(())
}

/// The 64-bit values of an entry, in the order in which plain fields defer to them.
struct Wide<'e> {
    rest: &'e [u8],
}

impl Wide<'_> {
    fn or_plain(&mut self, plain: u32) -> Result<u64, Fault> {
        if plain != NONE32 {
            return Ok(u64::from(plain));
        }
        let value = u64_at(self.rest, 0)
            .map_err(|_| malformed("its header defers to a ZIP64 field that is not there"))?;
        self.rest = &self.rest[8..];
        Ok(value)
    }
}
