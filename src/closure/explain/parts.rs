//! A file of some form → its parts, each with the fields that say something of it. Begin at [`Form::of`].
//!
//! Read leniently, as what is looked at may be damaged: whoever unpacks anything uses `archive`.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::DeflateDecoder;

use super::cause::{date_of, seconds_of};
use crate::elf;

/// Bytes that one part may come to when it is unpacked.
const LARGEST: u64 = 256 << 20;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Elf,
    Zip,
    Ar,
    Gzip,
    ByteCode,
}

/// A part of a file.
pub(super) struct Part<'b> {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
    content: &'b [u8],
    deflated: bool,
}

/// Something that a file says of a part, or of itself.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shown: String,
    /// The moment, if it is one, in seconds since 1970.
    pub(super) seconds: Option<u64>,
}

impl Part<'_> {
    /// As it lies in the file.
    pub(super) fn packed(&self) -> &[u8] {
        self.content
    }

    /// What it is: as much of it as can be unpacked.
    pub(super) fn bytes(&self) -> Cow<'_, [u8]> {
        if !self.deflated {
            return self.content.into();
        }
        let mut bytes = Vec::new();
        // What came before the damage is what can be compared.
        let _ = DeflateDecoder::new(self.content)
            .take(LARGEST)
            .read_to_end(&mut bytes);
        bytes.into()
    }
}

impl Form {
    pub(super) fn of(path: &str, bytes: &[u8]) -> Option<Form> {
        match bytes {
            [0x7f, b'E', b'L', b'F', ..] => Some(Form::Elf),
            [b'P', b'K', 3, 4, ..] => Some(Form::Zip),
            [b'!', b'<', b'a', b'r', b'c', b'h', b'>', b'\n', ..] => Some(Form::Ar),
            [0x1f, 0x8b, 8, ..] => Some(Form::Gzip),
            [_, _, b'\r', b'\n', ..] if path.ends_with(".pyc") => Some(Form::ByteCode),
            _ => None,
        }
    }

    /// How a part is called in a [`super::Difference`].
    pub(super) fn kind(self) -> &'static str {
        match self {
            Form::Elf => "section",
            Form::Zip => "entry",
            Form::Ar => "member",
            Form::Gzip | Form::ByteCode => "bytes",
        }
    }

    /// Where a part of this name is.
    pub(super) fn place(self, name: &str) -> String {
        match self {
            Form::Elf => format!("ELF section {name}"),
            Form::Zip => format!("zip entry {name}"),
            Form::Ar => format!("ar member {name}"),
            Form::Gzip | Form::ByteCode => name.to_owned(),
        }
    }

    /// Whether a part is a file of its own.
    pub(super) fn nests(self) -> bool {
        !matches!(self, Form::Elf | Form::ByteCode)
    }

    /// Why a part of this name differs whenever anything does.
    pub(super) fn consequence(self, name: &str) -> Option<&'static str> {
        let hashes = [".note.gnu.build-id", ".gnu_debuglink"];
        (self == Form::Elf && hashes.contains(&name)).then_some("a hash of the rest")
    }

    /// The parts; `None` for a file that only looks like it.
    pub(super) fn parts(self, bytes: &[u8]) -> Option<Vec<Part<'_>>> {
        match self {
            Form::Elf => sections(bytes),
            Form::Zip => entries(bytes),
            Form::Ar => members(bytes),
            Form::Gzip => gzip(bytes),
            Form::ByteCode => byte_code(bytes),
        }
    }
}

fn sections(bytes: &[u8]) -> Option<Vec<Part<'_>>> {
    let parts = elf::sections(bytes).into_iter().map(|(name, place)| Part {
        name,
        fields: Vec::new(),
        content: bytes.get(place).unwrap_or(&[]),
        deflated: false,
    });
    Some(parts.collect())
}

fn entries(bytes: &[u8]) -> Option<Vec<Part<'_>>> {
    const END: &[u8] = b"PK\x05\x06";
    const ENTRY: u32 = 0x0201_4b50;
    let end = memchr::memmem::rfind(bytes, END)?;
    let mut at = small(u32_at(bytes, end.checked_add(16)?)?);
    let mut parts = Vec::new();
    while u32_at(bytes, at) == Some(ENTRY) {
        let half = |skip: usize| u16_at(bytes, at + skip);
        let word = |skip: usize| u32_at(bytes, at + skip);
        let name = bytes.get(at + 46..at + 46 + usize::from(half(28)?))?;
        let local = small(word(42)?);
        let lengths = [
            u16_at(bytes, local.checked_add(26)?)?,
            u16_at(bytes, local + 28)?,
        ];
        let start = local + 30 + lengths.map(usize::from).iter().sum::<usize>();
        let size = small(word(20)?);
        parts.push(Part {
            name: String::from_utf8_lossy(name).into_owned(),
            fields: vec![
                moment("time", dos(half(14)?, half(12)?)),
                field("mode", format!("{:o}", word(38)? >> 16)),
                field("method", half(10)?.to_string()),
                field("system", half(4)?.to_string()),
            ],
            content: bytes.get(start..start.checked_add(size)?).unwrap_or(&[]),
            deflated: half(10)? == 8,
        });
        let behind = [28, 30, 32].map(half);
        let mut length = 46;
        for part in behind {
            length += usize::from(part?);
        }
        at += length;
    }
    (!parts.is_empty()).then_some(parts)
}

/// The two halves of a time of DOS.
fn dos(date: u16, time: u16) -> u64 {
    let (date, time) = (u64::from(date), u64::from(time));
    let day = seconds_of(1980 + (date >> 9), (date >> 5) & 15, date & 31);
    day + (time >> 11) * 3600 + ((time >> 5) & 63) * 60 + (time & 31) * 2
}

fn members(bytes: &[u8]) -> Option<Vec<Part<'_>>> {
    let mut at = 8;
    let mut parts = Vec::new();
    let mut long: &[u8] = &[];
    while let Some(header) = bytes.get(at..at + 60) {
        let word =
            |from: usize, to: usize| String::from_utf8_lossy(&header[from..to]).trim().to_owned();
        let size: usize = word(48, 58).parse().ok()?;
        let start = at + 60;
        let content = bytes.get(start..start.checked_add(size)?)?;
        let mut name = word(0, 16);
        if name == "//" {
            long = content;
        } else if let Some(from) = name.strip_prefix('/').and_then(|it| it.parse().ok()) {
            let rest: &[u8] = long.get(from..).unwrap_or(&[]);
            let end = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len());
            name = String::from_utf8_lossy(&rest[..end]).into_owned();
        }
        let time = word(16, 28);
        let name = match name.as_str() {
            "/" => "(symbols)",
            name => name.trim_end_matches('/'),
        };
        parts.push(Part {
            name: name.to_owned(),
            fields: vec![
                Field {
                    name: "time",
                    seconds: time.parse().ok(),
                    shown: time,
                },
                field("user", word(28, 34)),
                field("group", word(34, 40)),
                field("mode", word(40, 48)),
            ],
            content,
            deflated: false,
        });
        at = start + size + size % 2;
    }
    Some(parts)
}

fn gzip(bytes: &[u8]) -> Option<Vec<Part<'_>>> {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const CHECK: u8 = 2;
    let flags = *bytes.get(3)?;
    let mut at = 10;
    if flags & EXTRA != 0 {
        at += 2 + usize::from(u16_at(bytes, at)?);
    }
    let mut text = |is: bool| {
        if !is {
            return Some(String::new());
        }
        let rest = bytes.get(at..)?;
        let length = rest.iter().position(|byte| *byte == 0)?;
        at += length + 1;
        Some(String::from_utf8_lossy(&rest[..length]).into_owned())
    };
    let name = text(flags & NAME != 0)?;
    let comment = text(flags & COMMENT != 0)?;
    if flags & CHECK != 0 {
        at += 2;
    }
    let fields = vec![
        moment("time in the gzip header", u32_at(bytes, 4)?.into()),
        field("name in the gzip header", name),
        field("comment in the gzip header", comment),
        field("level in the gzip header", bytes.get(8)?.to_string()),
        field("system in the gzip header", bytes.get(9)?.to_string()),
    ];
    Some(vec![Part {
        name: String::new(),
        fields,
        content: bytes.get(at..bytes.len().saturating_sub(8))?,
        deflated: true,
    }])
}

/// PEP 552: what it is of, then either the source's time and size, or its hash.
fn byte_code(bytes: &[u8]) -> Option<Vec<Part<'_>>> {
    let flags = u32_at(bytes, 4)?;
    let mut fields = vec![
        field("byte code: magic number", u16_at(bytes, 0)?.to_string()),
        field("byte code: flags", flags.to_string()),
    ];
    if flags & 1 == 0 {
        fields.push(moment(
            "byte code: time of the source",
            u32_at(bytes, 8)?.into(),
        ));
        fields.push(field(
            "byte code: size of the source",
            u32_at(bytes, 12)?.to_string(),
        ));
    } else {
        let hash: Vec<String> = bytes
            .get(8..16)?
            .iter()
            .map(|it| format!("{it:02x}"))
            .collect();
        fields.push(field("byte code: hash of the source", hash.concat()));
    }
    let code = Part {
        name: "byte code: the code".into(),
        fields: Vec::new(),
        content: bytes.get(16..)?,
        deflated: false,
    };
    let header = Part {
        name: String::new(),
        fields,
        content: &[],
        deflated: false,
    };
    Some(vec![header, code])
}

fn field(name: &'static str, shown: String) -> Field {
    Field {
        name,
        shown,
        seconds: None,
    }
}

fn moment(name: &'static str, seconds: u64) -> Field {
    let (year, month, day) = date_of(seconds);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    Field {
        name,
        shown: format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
        seconds: Some(seconds),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(two.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

fn small(number: u32) -> usize {
    // All that closures are made on has 64 bits.
    number as usize
}
