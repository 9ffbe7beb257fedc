//! METADATA and WHEEL, the two header files of a wheel → [`Headers`], [`Metadata`], [`WheelFile`].
//!
//! Both are "core metadata": `Key: value` lines as in mail, continued by indented lines, until an
//! empty line after which METADATA carries the description.

use super::name::{shorten, version};
use super::{ProjectName, PythonError, Version};

/// Most bytes that are read of one such file.
const LARGEST: usize = 8 << 20;

/// The `Key: value` lines of one file, in order; keys compare without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    file: &'static str,
    fields: Vec<(String, String)>,
}

impl Headers {
    /// Reads the headers of `bytes`; `file` is its name in errors.
    pub fn parse(file: &'static str, bytes: &[u8]) -> Result<Self, PythonError> {
        let wrong = |reason: String| PythonError::Metadata { file, reason };
        if bytes.len() > LARGEST {
            return Err(wrong(format!("larger than {LARGEST} bytes")));
        }
        // Old files carry Latin-1 in free text; names and versions are ASCII either way.
        let text = String::from_utf8_lossy(bytes);
        let mut fields: Vec<(String, String)> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() {
                break;
            }
            if line.starts_with([' ', '\t']) {
                let Some((_, value)) = fields.last_mut() else {
                    return Err(wrong("starts with a continued line".into()));
                };
                value.push('\n');
                value.push_str(line.trim());
                continue;
            }
            let split = line.split_once(':').filter(|(key, _)| is_key(key));
            let Some((key, value)) = split else {
                return Err(wrong(format!(
                    "line {}: {:?} is not a header",
                    number + 1,
                    shorten(line)
                )));
            };
            fields.push((key.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Headers { file, fields })
    }

    /// Every value of `key`, in order.
    pub fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        let key = key.to_ascii_lowercase();
        self.fields
            .iter()
            .filter(move |(found, _)| *found == key)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a key that must be there exactly once.
    pub fn one(&self, key: &str) -> Result<&str, PythonError> {
        let wrong = |reason: String| PythonError::Metadata {
            file: self.file,
            reason,
        };
        let mut values = self.all(key);
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            (None, _) => Err(wrong(format!("no {key}"))),
            (Some(_), Some(_)) => Err(wrong(format!("more than one {key}"))),
        }
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What METADATA says of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The project, normalised.
    pub name: ProjectName,
    /// Its version.
    pub version: Version,
    /// `Requires-Dist`: PEP 508 requirements as written.
    pub requires: Vec<String>,
    /// `Requires-Python`, as written.
    pub requires_python: Option<String>,
    /// `License-Expression`, else `License` where it is one short line.
    pub license: Option<String>,
}

impl Metadata {
    /// Reads a METADATA file.
    pub fn parse(bytes: &[u8]) -> Result<Self, PythonError> {
        let headers = Headers::parse("METADATA", bytes)?;
        let short = |text: &&str| !text.is_empty() && text.len() <= 100 && !text.contains('\n');
        let license = headers
            .all("License-Expression")
            .chain(headers.all("License"))
            .find(short);
        Ok(Metadata {
            name: headers.one("Name")?.parse()?,
            version: version(headers.one("Version")?)?,
            requires: headers.all("Requires-Dist").map(str::to_owned).collect(),
            requires_python: headers.all("Requires-Python").next().map(str::to_owned),
            license: license.map(str::to_owned),
        })
    }
}

/// What the file WHEEL says of how a wheel is to be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelFile {
    /// `Root-Is-Purelib`. Both kinds go to one folder here, so nothing depends on it.
    pub root_is_purelib: bool,
    /// `Tag` lines, as written.
    pub tags: Vec<String>,
}

impl WheelFile {
    /// Reads a WHEEL file; a major version other than 1 is refused, as PEP 427 wants it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PythonError> {
        let headers = Headers::parse("WHEEL", bytes)?;
        let number = headers.one("Wheel-Version")?;
        if number.split('.').next() != Some("1") {
            let reason = format!("Wheel-Version {:?}, wanted 1.x", shorten(number));
            return Err(PythonError::Metadata {
                file: "WHEEL",
                reason,
            });
        }
        let root_is_purelib = headers
            .all("Root-Is-Purelib")
            .any(|text| text.eq_ignore_ascii_case("true"));
        Ok(WheelFile {
            root_is_purelib,
            tags: headers.all("Tag").map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIX: &str = "Metadata-Version: 2.1\nName: Six.Py\nVersion: 1.17.0\nLicense: MIT\n\
        Requires-Python: >=2.7\nRequires-Dist: a (>1)\nRequires-Dist: b;\n  extra == 'x'\n\nName: not a header\n";

    #[test]
    fn metadata_ends_at_the_description() {
        let metadata = Metadata::parse(SIX.as_bytes()).unwrap();
        assert_eq!(metadata.name.as_str(), "six-py");
        assert_eq!(metadata.requires, ["a (>1)", "b;\nextra == 'x'"]);
        assert_eq!(metadata.license.as_deref(), Some("MIT"));
        assert_eq!(
            Metadata::parse(SIX.replace('\n', "\r\n").as_bytes())
                .unwrap()
                .version,
            metadata.version
        );
    }

    #[test]
    fn two_names_or_none_are_refused() {
        for text in [
            "Version: 1\n",
            "Name: a\nName: b\nVersion: 1\n",
            "Name a\n",
            " x\n",
            "",
        ] {
            assert!(Metadata::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_wheel_of_a_later_major_version_is_refused_f027() {
        assert!(WheelFile::parse(b"Wheel-Version: 1.9\nTag: py3-none-any\n").is_ok());
        let error = WheelFile::parse(b"Wheel-Version: 9.0\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("9.0"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Metadata::parse(&bytes);
            let _ = WheelFile::parse(&bytes);
        }
    }
}
