//! One 512-byte tar header block, strictly: a field that two programs could read differently is an
//! error. Begin at [`Header::check`].

use super::BLOCK;
use crate::archive::error::Fault;

const NAME: std::ops::Range<usize> = 0..100;
const MODE: std::ops::Range<usize> = 100..108;
const USER: std::ops::Range<usize> = 108..116;
const GROUP: std::ops::Range<usize> = 116..124;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const LINK: std::ops::Range<usize> = 157..257;
const MAGIC: std::ops::Range<usize> = 257..265;
const PREFIX: std::ops::Range<usize> = 345..500;
const STAR: std::ops::Range<usize> = 508..512;

/// The largest size that eleven octal digits hold.
const OCTAL_MOST: u64 = (8 << 30) - 1;

pub(super) struct Header(pub(super) [u8; BLOCK]);

/// Which standard a header follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// POSIX: the name may continue in a prefix.
    Ustar,
    /// GNU: what is the prefix elsewhere holds times.
    Gnu,
    /// Before POSIX: nothing after the link name.
    Old,
}

impl Header {
    /// Checksum, magic, and the numbers we never use but want sound.
    pub(super) fn check(&self) -> Result<Form, Fault> {
        let recorded = number("checksum", &self.0[CHECKSUM])?;
        if recorded != self.sum() {
            return Err(Fault::Disagree {
                what: "its header's checksum",
                one: recorded,
                other: self.sum(),
            });
        }
        let form = match &self.0[MAGIC] {
            b"ustar\x0000" if &self.0[STAR] == b"tar\0" => {
                return Err(Fault::Feature {
                    what: "the format of old versions of star",
                });
            }
            b"ustar\x0000" => Form::Ustar,
            b"ustar  \0" => Form::Gnu,
            [0, ..] if self.0[MAGIC].iter().all(|byte| *byte == 0) => Form::Old,
            other => {
                return Err(Fault::Malformed {
                    what: "its header",
                    why: format!("no tar format has the magic \"{}\"", other.escape_ascii()),
                });
            }
        };
        for (what, field) in [("owner", USER), ("group", GROUP)] {
            if self.0[field.clone()].iter().any(|byte| *byte != 0) {
                number(what, &self.0[field])?;
            }
        }
        Ok(form)
    }

    /// Is this no tar header at all? Also true for a zip's first bytes dressed up as one.
    pub(super) fn looks_foreign(&self) -> bool {
        let sound = number("checksum", &self.0[CHECKSUM]).is_ok_and(|sum| sum == self.sum());
        (!sound && &self.0[MAGIC][..5] != b"ustar") || self.0.starts_with(b"PK\x03\x04")
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[KIND]
    }

    /// The name field up to its first NUL, for messages.
    pub(super) fn short_name(&self) -> Vec<u8> {
        let field = &self.0[NAME];
        let end = field.iter().position(|byte| *byte == 0);
        field[..end.unwrap_or(field.len())].to_vec()
    }

    /// The name, with its prefix.
    pub(super) fn name(&self, form: Form) -> Result<Vec<u8>, Fault> {
        let name = string(&self.0[NAME])?;
        let prefix = match form {
            Form::Ustar => string(&self.0[PREFIX])?,
            Form::Gnu | Form::Old => b"",
        };
        if prefix.is_empty() {
            return Ok(name.to_vec());
        }
        Ok([prefix, b"/", name].concat())
    }

    pub(super) fn link(&self) -> Result<Vec<u8>, Fault> {
        string(&self.0[LINK]).map(<[u8]>::to_vec)
    }

    /// Does anybody have the right to run it?
    pub(super) fn executable(&self) -> Result<bool, Fault> {
        Ok(number("mode", &self.0[MODE])? & 0o111 != 0)
    }

    /// The size field alone.
    pub(super) fn size(&self) -> Result<u64, Fault> {
        number("size", &self.0[SIZE])
    }

    /// The size of a file. A pax size always wins; where the field could have held it, both must agree.
    pub(super) fn entry_size(&self, form: Form, pax: Option<u64>) -> Result<u64, Fault> {
        let Some(pax) = pax else {
            let size = self.size()?;
            if self.0[SIZE.start] & 0x80 != 0 && (size <= OCTAL_MOST || form != Form::Gnu) {
                return Err(Fault::Malformed {
                    what: "its size field",
                    why: format!("{size} is written in base 256 without need"),
                });
            }
            return Ok(size);
        };
        if pax > OCTAL_MOST {
            return Ok(pax);
        }
        let field = self.size()?;
        if field != pax {
            return Err(Fault::Disagree {
                what: "its size",
                one: pax,
                other: field,
            });
        }
        Ok(pax)
    }

    /// The sum of all bytes, with the checksum's own taken as blanks.
    fn sum(&self) -> u64 {
        let (before, after) = (&self.0[..CHECKSUM.start], &self.0[CHECKSUM.end..]);
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        sum(before) + sum(after) + 8 * u64::from(b' ')
    }
}

/// Text up to a NUL, after which there must be only NULs.
fn string(field: &[u8]) -> Result<&[u8], Fault> {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    if field[end..].iter().any(|byte| *byte != 0) {
        return Err(Fault::NulInName);
    }
    Ok(&field[..end])
}

/// Octal digits between blanks and NULs, or GNU's base 256 without a sign.
fn number(what: &'static str, field: &[u8]) -> Result<u64, Fault> {
    let malformed = || Fault::Malformed {
        what: "its header",
        why: format!("\"{}\" is no {what}", field.escape_ascii()),
    };
    if let [0x80, rest @ ..] = field {
        return rest
            .iter()
            .try_fold(0u64, |value, byte| {
                Some(value.checked_mul(256)? | u64::from(*byte))
            })
            .filter(|value| *value <= i64::MAX as u64)
            .ok_or_else(malformed);
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' '));
    let (digits, rest) = digits.split_at(end.unwrap_or(digits.len()));
    if digits.is_empty() || rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return Err(malformed());
    }
    digits
        .iter()
        .try_fold(0u64, |value, digit| match digit {
            b'0'..=b'7' => Some(value.checked_mul(8)? + u64::from(digit - b'0')),
            _ => None,
        })
        .ok_or_else(malformed)
}
