//! The bytes of a `Packages` or `Sources` index → packages, one paragraph at a time. Begin at [`packages`].
//!
//! An index is 50 MB of text and most of it is descriptions: a paragraph is dropped as soon as the
//! few fields that matter are taken. Bounds are on paragraphs, not on the file, whose size is signed.

use std::io::{BufRead, Read};

use deb822_fast::borrowed::{BorrowedParagraph, parse_borrowed};
use thiserror::Error;

use super::relation;
use super::release::is_sha256;
use super::version::is_version;

/// No paragraph of a Debian index comes near this (bytes).
const MOST_PARAGRAPH: u64 = 1 << 20;

/// Why an index is refused.
#[derive(Debug, Error)]
pub enum IndexError {
    /// The stream does not decode.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// A paragraph makes no sense.
    #[error("line {line}: {reason}")]
    Malformed {
        /// The first line of the paragraph, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

/// One binary package of one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `Package`
    pub name: Box<str>,
    /// `Version`
    pub version: Box<str>,
    /// `Architecture`: `amd64` or `all`.
    pub architecture: Box<str>,
    /// The source package it was built from.
    pub source: Box<str>,
    /// The version of that source package.
    pub source_version: Box<str>,
    /// `Pre-Depends` and `Depends`.
    pub depends: Box<str>,
    /// `Provides`
    pub provides: Box<str>,
    /// `Conflicts` and `Breaks`
    pub conflicts: Box<str>,
    /// `Filename`, inside the archive.
    pub path: Box<str>,
    /// `Size` in bytes.
    pub size: u64,
    /// `SHA256`, lower-case hex.
    pub sha256: Box<str>,
    /// `Essential: yes`: every machine of the release has it.
    pub essential: bool,
}

/// One file of a source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path inside the archive.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// sha256, lower-case hex.
    pub sha256: String,
}

/// One source package of one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePackage {
    /// `Package`
    pub name: String,
    /// `Version`
    pub version: String,
    /// Its files.
    pub files: Vec<SourceFile>,
}

/// Gives every binary package of an index to `take`.
pub fn packages(index: impl Read, take: &mut dyn FnMut(Package)) -> Result<(), IndexError> {
    paragraphs(index, b"", &mut |paragraph| {
        take(package(paragraph)?);
        Ok(())
    })
}

/// The packages called `name` in a `Sources` index.
pub fn sources(index: impl Read, name: &str) -> Result<Vec<SourcePackage>, IndexError> {
    let mut found = Vec::new();
    paragraphs(
        index,
        format!("Package: {name}\n").as_bytes(),
        &mut |paragraph| {
            if paragraph.get_single("Package") == Some(name) {
                found.push(source(paragraph)?);
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// Reads paragraph by paragraph; those that do not begin with `start` are not even parsed.
fn paragraphs(
    index: impl Read,
    start: &[u8],
    take: &mut dyn FnMut(&BorrowedParagraph<'_>) -> Result<(), String>,
) -> Result<(), IndexError> {
    let mut index = std::io::BufReader::with_capacity(1 << 18, index);
    let (mut text, mut line, mut first) = (Vec::new(), 0u64, 1u64);
    loop {
        let before = text.len();
        let room = MOST_PARAGRAPH - before as u64;
        let count = (&mut index).take(room).read_until(b'\n', &mut text)?;
        line += 1;
        let malformed = |reason: String| IndexError::Malformed {
            line: first,
            reason,
        };
        if text.len() as u64 == MOST_PARAGRAPH {
            return Err(malformed(format!(
                "a paragraph is longer than {MOST_PARAGRAPH} bytes"
            )));
        }
        let ends = count == 0 || text[before..] == *b"\n";
        if !ends {
            continue;
        }
        if text.len() > 1 && text.starts_with(start) {
            one(&text, take).map_err(malformed)?;
        }
        if count == 0 {
            return Ok(());
        }
        text.clear();
        first = line + 1;
    }
}

fn one(
    bytes: &[u8],
    take: &mut dyn FnMut(&BorrowedParagraph<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.contains('\0') {
        return Err("it holds a zero byte".into());
    }
    let parsed = parse_borrowed(text).map_err(|error| error.to_string())?;
    parsed.iter().try_for_each(take)
}

fn package(paragraph: &BorrowedParagraph<'_>) -> Result<Package, String> {
    let field = |name: &str| {
        paragraph
            .get_field(name)
            .map(|field| field.join())
            .unwrap_or_default()
    };
    let name = field("Package");
    if !relation::is_name(&name) {
        return Err(format!("\"{}\" is no package name", name.escape_debug()));
    }
    let wrong = |what: &str| format!("{name}: its {what} makes no sense");
    let version = field("Version");
    let (source, source_version) = match field("Source").split_once('(') {
        Some((source, version)) => (
            source.trim().to_owned(),
            version.trim_end_matches(')').trim().to_owned(),
        ),
        None => (field("Source"), version.clone()),
    };
    let source = if source.is_empty() {
        name.clone()
    } else {
        source
    };
    let path = field("Filename");
    let (size, sha256) = (field("Size"), field("SHA256"));
    if !is_version(&version) || !is_version(&source_version) {
        return Err(wrong("version"));
    }
    if !relation::is_name(&source) {
        return Err(wrong("source"));
    }
    if !is_path(&path) {
        return Err(wrong("file name"));
    }
    if !is_sha256(&sha256) {
        return Err(wrong("SHA256"));
    }
    let size = size.parse().map_err(|_| wrong("size"))?;
    let architecture = field("Architecture");
    if architecture.is_empty()
        || !architecture
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Err(wrong("architecture"));
    }
    Ok(Package {
        version: version.into(),
        architecture: architecture.into(),
        source: source.into(),
        source_version: source_version.into(),
        depends: joined(&field("Pre-Depends"), &field("Depends")),
        provides: field("Provides").into(),
        conflicts: joined(&field("Conflicts"), &field("Breaks")),
        path: path.into(),
        size,
        sha256: sha256.into(),
        essential: field("Essential") == "yes",
        name: name.into(),
    })
}

fn joined(left: &str, right: &str) -> Box<str> {
    match (left.is_empty(), right.is_empty()) {
        (false, false) => format!("{left}, {right}").into(),
        (true, _) => right.into(),
        (_, true) => left.into(),
    }
}

fn source(paragraph: &BorrowedParagraph<'_>) -> Result<SourcePackage, String> {
    let field = |name: &str| {
        paragraph
            .get_single(name)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let (name, version, directory) = (field("Package"), field("Version"), field("Directory"));
    let mut files = Vec::new();
    for line in paragraph.get("Checksums-Sha256").unwrap_or_default() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [sha256, size, file] = words[..] else {
            if words.is_empty() {
                continue;
            }
            return Err(format!(
                "{name}: a line of its Checksums-Sha256 makes no sense"
            ));
        };
        let path = format!("{directory}/{file}");
        let size = size.parse().ok();
        match size {
            Some(size) if is_sha256(sha256) && is_path(&path) => {
                files.push(SourceFile {
                    path,
                    size,
                    sha256: sha256.to_owned(),
                });
            }
            _ => {
                return Err(format!(
                    "{name}: a line of its Checksums-Sha256 makes no sense"
                ));
            }
        }
    }
    Ok(SourcePackage {
        name,
        version,
        files,
    })
}

/// A plain relative path.
fn is_path(path: &str) -> bool {
    path.len() <= 1024
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.contains(|c: char| c.is_control() || c == '\\')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn paragraph(change: impl Fn(&str) -> String) -> String {
        change(&format!(
            "Package: python3.13-minimal\nSource: python3.13 (3.13.5-2)\nVersion: 3.13.5-2+b1\nArchitecture: amd64\n\
             Pre-Depends: libc6 (>= 2.38)\nDepends: libpython3.13-minimal (= 3.13.5-2),\n zlib1g\nDescription: x\n long\n .\n text\n\
             Filename: pool/main/p/python3.13/python3.13-minimal_3.13.5-2+b1_amd64.deb\nSize: 12\nSHA256: {}\n",
            "a".repeat(64)
        ))
    }

    fn read(text: &str) -> Result<Vec<Package>, IndexError> {
        let mut all = Vec::new();
        packages(text.as_bytes(), &mut |package| all.push(package))?;
        Ok(all)
    }

    #[test]
    fn the_fields_that_matter_are_read() {
        let text = format!(
            "{}\n\n{}",
            paragraph(str::to_owned),
            paragraph(|text| text.replace("Source: python3.13 (3.13.5-2)\n", ""))
        );
        let all = read(&text).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(
            (&*all[0].source, &*all[0].source_version),
            ("python3.13", "3.13.5-2")
        );
        assert_eq!(
            (&*all[1].source, &*all[1].source_version),
            ("python3.13-minimal", "3.13.5-2+b1")
        );
        assert_eq!(
            &*all[0].depends,
            "libc6 (>= 2.38), libpython3.13-minimal (= 3.13.5-2),\nzlib1g"
        );
        assert!(relation::parse(&all[0].depends, "amd64").is_some());
    }

    #[test]
    fn f034_hostile_paragraphs_are_refused() {
        let bad: [(&str, &str); 9] = [
            ("Filename: pool/main", "Filename: pool/../../main"),
            ("Filename: pool/main", "Filename: /pool/main"),
            ("Package: python3.13-minimal", "Package: ../x"),
            ("Version: 3.13.5-2+b1", "Version: new"),
            ("Size: 12", "Size: -12"),
            ("aaaa", "zzzz"),
            ("Architecture: amd64", "Architecture: a/b"),
            ("long", "lo\0ng"),
            ("SHA256", "MD5sum"),
        ];
        for (from, to) in bad {
            assert!(
                read(&paragraph(|text| text.replace(from, to))).is_err(),
                "{to}"
            );
        }
        let long = paragraph(|text| text.replace("long", &"x".repeat(2 << 20)));
        assert!(read(&long).unwrap_err().to_string().contains("longer than"));
        assert!(read("Package").is_err());
    }

    #[test]
    fn a_source_package_is_found_among_others() {
        let hash = "b".repeat(64);
        let text = format!(
            "Package: other\nVersion: 1\n\nPackage: zlib\nVersion: 1.3-1\nDirectory: pool/main/z/zlib\n\
             Checksums-Sha256:\n {hash} 7 zlib_1.3-1.debian.tar.xz\n {hash} 8 zlib_1.3.orig.tar.gz\n"
        );
        let found = sources(text.as_bytes(), "zlib").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].files[0].path,
            "pool/main/z/zlib/zlib_1.3-1.debian.tar.xz"
        );
        assert!(sources(text.replace("zlib_1.3.orig", "../orig").as_bytes(), "zlib").is_err());
    }
}
