//! Debian's wheel of pip → the same wheel, finding its CA certificates wherever it runs. Begin at
//! [`rewrite`].
//!
//! Debian makes the `certifi` inside pip (before bookworm: in a wheel beside it) answer with one path
//! of the host, so pip could not even be imported where that path is missing. Only that module and its line in `RECORD` change: every
//! other entry is copied as it is, compressed bytes and all, and the new ones are stored, so that
//! no compressor's version decides about the result.
//!
//! Format: APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16. The wheel comes out of a package
//! that a lock pins; all the same, nothing here trusts an offset.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::RelocateError;

/// The module of pip's wheel, and of the wheel of `certifi`.
const MODULES: [&str; 2] = ["pip/_vendor/certifi/core.py", "certifi/core.py"];
/// What Debian has there, and what comes instead.
const EDITS: [(&str, &str); 2] = [
    (
        "# Debian: Use system CA certs:\ndef where() -> str:\n    return DEBIAN_CA_CERTS_PATH\n",
        "_packed = where\n\n\ndef where() -> str:\n    \
         import ssl\n    return ssl.get_default_verify_paths().cafile or _packed()\n",
    ),
    (
        "            _CACERT_PATH = DEBIAN_CA_CERTS_PATH\n",
        "            import ssl\n            \
         _CACERT_PATH = ssl.get_default_verify_paths().cafile or DEBIAN_CA_CERTS_PATH\n",
    ),
];
const LIMIT: u64 = 64 << 20;

/// Whether the file at `path` is pip's wheel.
pub(super) fn concerns(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let at_home = folder == "share/python-wheels" || folder.ends_with("/ensurepip/_bundled");
    let is_ours = name.starts_with("pip-") || name.starts_with("certifi-");
    at_home && is_ours && name.ends_with(".whl")
}

/// The wheel with its edit; `None` for one that needs none.
pub(super) fn rewrite(path: &str, bytes: &[u8]) -> Result<Option<Vec<u8>>, RelocateError> {
    let damaged = || RelocateError::Wheel {
        file: path.to_owned(),
    };
    let entries = entries(bytes).ok_or_else(damaged)?;
    let Some(module) = entries
        .iter()
        .find(|entry| MODULES.contains(&entry.name.as_str()))
    else {
        return Ok(None);
    };
    let text =
        String::from_utf8(module.content(bytes).ok_or_else(damaged)?).map_err(|_| damaged())?;
    if !text.contains("DEBIAN_CA_CERTS_PATH") {
        return Ok(None);
    }
    let Some((find, with)) = EDITS.iter().find(|(find, _)| text.contains(find)) else {
        return Err(RelocateError::Absent {
            file: format!("{path}: {}", module.name),
            text: EDITS[0].0.trim().to_owned(),
        });
    };
    let text = text.replace(find, with);
    let record = entries
        .iter()
        .find(|entry| entry.name.ends_with(".dist-info/RECORD"))
        .ok_or_else(damaged)?;
    let list =
        String::from_utf8(record.content(bytes).ok_or_else(damaged)?).map_err(|_| damaged())?;
    let list = with_line(&list, &module.name, &text).ok_or_else(damaged)?;
    let edits = [
        (module.name.as_str(), text.as_bytes()),
        (record.name.as_str(), list.as_bytes()),
    ];
    write(bytes, &entries, &edits).map(Some).ok_or_else(damaged)
}

/// `RECORD` with the digest and size of the edited module.
fn with_line(list: &str, module: &str, text: &str) -> Option<String> {
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()));
    let old = list
        .lines()
        .find(|line| line.split(',').next() == Some(module))?;
    Some(list.replacen(old, &format!("{module},sha256={digest},{}", text.len()), 1))
}

/// One entry of the central directory.
struct Entry {
    name: String,
    /// The whole record in the central directory.
    central: Vec<u8>,
    /// Where its local header begins, and where the next one (or the directory) does.
    local: std::ops::Range<usize>,
}

impl Entry {
    fn method(&self) -> u16 {
        u16_at(&self.central, 10).unwrap_or(u16::MAX)
    }

    /// The bytes of the file.
    fn content(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let local = bytes.get(self.local.clone())?;
        let start = 30 + usize::from(u16_at(local, 26)?) + usize::from(u16_at(local, 28)?);
        let size = usize::try_from(u32_at(&self.central, 20)?).ok()?;
        let data = local.get(start..start.checked_add(size)?)?;
        match self.method() {
            0 => Some(data.to_vec()),
            8 => {
                let mut out = Vec::new();
                flate2::read::DeflateDecoder::new(data)
                    .take(LIMIT)
                    .read_to_end(&mut out)
                    .ok()?;
                (out.len() == usize::try_from(u32_at(&self.central, 24)?).ok()?).then_some(out)
            }
            _ => None,
        }
    }
}

/// The entries, in the order of the central directory.
fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let end = bytes.len().checked_sub(22)?;
    // A comment behind the directory's end is possible, and absent from wheels.
    if u32_at(bytes, end)? != 0x0605_4b50 {
        return None;
    }
    let count = usize::from(u16_at(bytes, end + 10)?);
    let directory = usize::try_from(u32_at(bytes, end + 16)?).ok()?;
    let mut entries = Vec::with_capacity(count);
    let mut at = directory;
    for _ in 0..count {
        if u32_at(bytes, at)? != 0x0201_4b50 {
            return None;
        }
        let lengths = [28, 30, 32].map(|field| u16_at(bytes, at + field).map(usize::from));
        let [name, extra, comment] = lengths;
        let (name, rest) = (name?, extra? + comment?);
        let central = bytes.get(at..at + 46 + name + rest)?.to_vec();
        let start = usize::try_from(u32_at(&central, 42)?).ok()?;
        let text = std::str::from_utf8(central.get(46..46 + name)?)
            .ok()?
            .to_owned();
        at += central.len();
        entries.push(Entry {
            name: text,
            central,
            local: start..directory,
        });
    }
    let mut starts: Vec<usize> = entries.iter().map(|entry| entry.local.start).collect();
    starts.sort_unstable();
    for entry in &mut entries {
        let next = starts.partition_point(|start| *start <= entry.local.start);
        entry.local.end = starts.get(next).copied().unwrap_or(directory);
        bytes.get(entry.local.clone())?;
    }
    Some(entries)
}

/// The archive again, with other content where `edits` says so.
fn write(bytes: &[u8], entries: &[Entry], edits: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() + 65536);
    let mut directory = Vec::new();
    for entry in entries {
        let offset = u32::try_from(out.len()).ok()?;
        let mut central = entry.central.clone();
        match edits.iter().find(|(name, _)| *name == entry.name) {
            Some((_, content)) => {
                let size = u32::try_from(content.len()).ok()?.to_le_bytes();
                let mut crc = flate2::Crc::new();
                crc.update(content);
                // Only "the name is UTF-8" is kept of the flags; stored; both sizes alike.
                let flags = u16_at(&central, 8)? & 0x0800;
                central[8..10].copy_from_slice(&flags.to_le_bytes());
                central[10..12].copy_from_slice(&[0, 0]);
                central[16..20].copy_from_slice(&crc.sum().to_le_bytes());
                central[20..24].copy_from_slice(&size);
                central[24..28].copy_from_slice(&size);
                out.extend_from_slice(b"PK\x03\x04");
                out.extend_from_slice(&central[6..30]);
                out.extend_from_slice(&[0, 0]);
                out.extend_from_slice(entry.name.as_bytes());
                out.extend_from_slice(content);
            }
            None => out.extend_from_slice(&bytes[entry.local.clone()]),
        }
        central[42..46].copy_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(&central);
    }
    let start = u32::try_from(out.len()).ok()?;
    out.extend_from_slice(&directory);
    let mut end = bytes[bytes.len() - 22..].to_vec();
    end[12..16].copy_from_slice(&u32::try_from(directory.len()).ok()?.to_le_bytes());
    end[16..20].copy_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&end);
    Some(out)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MODULE: &str = MODULES[0];
    const FIND: &str = EDITS[0].0;

    /// A zip of stored entries, as the format says, with a deflated one.
    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        for (name, content) in files {
            let packed = miniz(content);
            let mut crc = flate2::Crc::new();
            crc.update(content);
            let mut fields = vec![20, 0, 0, 0, 8, 0, 0, 0, 0x21, 0];
            fields.extend_from_slice(&crc.sum().to_le_bytes());
            fields.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_le_bytes());
            fields.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
            fields.extend_from_slice(&u16::try_from(name.len()).unwrap().to_le_bytes());
            fields.extend_from_slice(&[0, 0]);
            directory.extend_from_slice(b"PK\x01\x02\x14\x03");
            directory.extend_from_slice(&fields);
            directory.extend_from_slice(&[0; 10]);
            directory.extend_from_slice(&u32::try_from(out.len()).unwrap().to_le_bytes());
            directory.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"PK\x03\x04");
            out.extend_from_slice(&fields);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&packed);
        }
        let (start, count) = (out.len(), u16::try_from(files.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&directory);
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        out.extend_from_slice(&[count, count].concat());
        out.extend_from_slice(&u32::try_from(directory.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&u32::try_from(start).unwrap().to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out
    }

    fn miniz(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::DeflateEncoder::new(content, flate2::Compression::best())
            .read_to_end(&mut out)
            .unwrap();
        out
    }

    fn content(bytes: &[u8], name: &str) -> String {
        let entries = entries(bytes).unwrap();
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        String::from_utf8(entry.content(bytes).unwrap()).unwrap()
    }

    #[test]
    fn only_the_module_and_its_line_in_the_record_change() {
        let module = format!("DEBIAN_CA_CERTS_PATH = '/etc/x'\n{FIND}");
        let record = format!("a.py,sha256=x,1\n{MODULE},sha256=old,5\npip-1.dist-info/RECORD,,\n");
        let files: [(&str, &[u8]); 3] = [
            ("a.py", b"a = 1\n"),
            (MODULE, module.as_bytes()),
            ("pip-1.dist-info/RECORD", record.as_bytes()),
        ];
        let old = zip(&files);
        let new = rewrite("share/python-wheels/pip-1.whl", &old)
            .unwrap()
            .unwrap();
        assert_eq!(content(&new, "a.py"), "a = 1\n");
        let text = content(&new, MODULE);
        assert!(
            text.contains("ssl.get_default_verify_paths()") && !text.contains("return DEBIAN"),
            "{text}"
        );
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()));
        assert!(
            content(&new, "pip-1.dist-info/RECORD")
                .contains(&format!("{MODULE},sha256={digest},{}\n", text.len()))
        );
    }

    #[test]
    fn certificates_in_a_wheel_beside_pip_are_found_too() {
        let module = format!("DEBIAN_CA_CERTS_PATH = '/etc/x'\n{}", EDITS[1].0);
        let files: [(&str, &[u8]); 2] = [
            (MODULES[1], module.as_bytes()),
            (
                "certifi-1.dist-info/RECORD",
                b"certifi/core.py,sha256=old,5\n",
            ),
        ];
        let path = "share/python-wheels/certifi-1-py2.py3-none-any.whl";
        assert!(concerns(path) && !concerns("share/python-wheels/six-1.whl"));
        let new = rewrite(path, &zip(&files)).unwrap().unwrap();
        let text = content(&new, MODULES[1]);
        assert!(text.contains("ssl.get_default_verify_paths()"), "{text}");
        assert!(content(&new, files[1].0).contains(&format!(",{}\n", text.len())));
    }

    #[test]
    fn a_wheel_of_upstream_stays_and_a_damaged_one_is_refused() {
        let upstream = zip(&[(MODULE, b"def where(): pass\n")]);
        assert!(rewrite("pip-1.whl", &upstream).unwrap().is_none());
        for length in 0..upstream.len() {
            assert!(
                rewrite("pip-1.whl", &upstream[..length]).is_err(),
                "{length}"
            );
        }
    }
}
