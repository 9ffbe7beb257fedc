//! The content of a pax extended header → what counts of it. POSIX.1-2017, pax, "pax Extended Header".

use crate::archive::error::{Fault, escape};

/// What an extended header says that an object keeps. Times, owners and the like are dropped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

/// Keys that say nothing an object keeps.
const DROPPED: [&[u8]; 9] = [
    b"atime", b"ctime", b"mtime", b"uid", b"gid", b"uname", b"gname", b"comment", b"charset",
];

impl Pax {
    pub(super) fn is_empty(&self) -> bool {
        *self == Pax::default()
    }

    pub(super) fn parse(mut content: &[u8]) -> Result<Pax, Fault> {
        let mut pax = Pax::default();
        while !content.is_empty() {
            let (key, value, rest) = record(content)?;
            pax.take(key, value)?;
            content = rest;
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let again = |once: bool| match once {
            true => Ok(()),
            false => Err(malformed(format!("\"{}\" stands in it twice", escape(key)))),
        };
        match key {
            b"path" => {
                again(self.path.is_none())?;
                self.path = Some(name(key, value)?);
            }
            b"linkpath" => {
                again(self.link.is_none())?;
                self.link = Some(name(key, value)?);
            }
            b"size" => {
                again(self.size.is_none())?;
                self.size = Some(
                    decimal(value)
                        .ok_or_else(|| malformed(format!("\"{}\" is no size", escape(value))))?,
                );
            }
            b"hdrcharset" if value == b"BINARY" || value == b"ISO-IR 10646 2000 UTF-8" => {}
            _ if key.starts_with(b"GNU.sparse.") || key == b"SCHILY.realsize" => {
                return Err(Fault::Feature {
                    what: "sparse files",
                });
            }
            _ if DROPPED.contains(&key) || of_a_vendor(key) => {}
            _ => return Err(malformed(format!("the key \"{}\" is unknown", escape(key)))),
        }
        Ok(())
    }
}

/// `VENDOR.keyword`, which says nothing about name or size: those that do are refused before.
fn of_a_vendor(key: &[u8]) -> bool {
    let vendor = key.split(|byte| *byte == b'.').next().unwrap_or_default();
    vendor.len() < key.len() && vendor.iter().all(|byte| byte.is_ascii_uppercase())
}

/// Key, value, and what comes after the record.
type Record<'c> = (&'c [u8], &'c [u8], &'c [u8]);

/// `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record.
fn record(content: &[u8]) -> Result<Record<'_>, Fault> {
    let short = || malformed("a record is cut short".to_owned());
    let blank = content
        .iter()
        .position(|byte| *byte == b' ')
        .ok_or_else(short)?;
    let length = decimal(&content[..blank])
        .and_then(|length| usize::try_from(length).ok())
        .ok_or_else(|| malformed(format!("\"{}\" is no length", escape(&content[..blank]))))?;
    if length > content.len() || length < blank + 1 {
        return Err(short());
    }
    let (record, rest) = content.split_at(length);
    let Some((b'\n', record)) = record[blank + 1..].split_last() else {
        return Err(malformed("a record does not end with its line".to_owned()));
    };
    let equals = record
        .iter()
        .position(|byte| *byte == b'=')
        .filter(|equals| *equals > 0)
        .ok_or_else(|| malformed("a record has no key".to_owned()))?;
    Ok((&record[..equals], &record[equals + 1..], rest))
}

fn name(key: &[u8], value: &[u8]) -> Result<Vec<u8>, Fault> {
    if value.is_empty() || value.contains(&0) {
        return Err(malformed(format!(
            "its \"{}\" is empty or holds a NUL byte",
            escape(key)
        )));
    }
    Ok(value.to_vec())
}

/// Plain decimal digits, no sign, no zeros before.
fn decimal(digits: &[u8]) -> Option<u64> {
    let plain = digits.iter().all(u8::is_ascii_digit)
        && (digits.len() == 1 || digits.first() != Some(&b'0'));
    if digits.is_empty() || !plain {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn malformed(why: String) -> Fault {
    Fault::Malformed {
        what: "its pax header",
        why,
    }
}
