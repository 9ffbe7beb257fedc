//! Project names (PEP 503, PEP 508) and versions (PEP 440): text → [`ProjectName`], [`Version`].

use std::fmt;
use std::str::FromStr;

use super::{PythonError, Version};

/// Longest name or version that is read at all: nothing real comes near it.
const LONGEST: usize = 255;

/// A project's name in the one normal form of PEP 503: lower case, runs of `-_.` as one `-`.
///
/// `Foo_Bar`, `foo-bar` and `foo.bar` are one project, hence one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(String);

impl ProjectName {
    /// The name as lock files and index pages spell it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as file names spell it: `_` for `-`.
    pub fn in_file_names(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProjectName {
    type Err = PythonError;

    /// Accepts what PEP 508 calls a name: ASCII letters and digits, `.`, `_`, `-` between them.
    fn from_str(text: &str) -> Result<Self, PythonError> {
        let bytes = text.as_bytes();
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let ends = [bytes.first(), bytes.last()];
        let good = ends
            .iter()
            .all(|byte| byte.is_some_and(u8::is_ascii_alphanumeric))
            && bytes.iter().all(inside)
            && bytes.len() <= LONGEST;
        if !good {
            return Err(PythonError::Name {
                name: shorten(text),
            });
        }
        let mut normal = String::with_capacity(text.len());
        for part in text.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
            if !normal.is_empty() {
                normal.push('-');
            }
            normal.push_str(&part.to_ascii_lowercase());
        }
        Ok(ProjectName(normal))
    }
}

/// Reads a version of PEP 440.
pub fn version(text: &str) -> Result<Version, PythonError> {
    let wrong = |reason: String| PythonError::Version {
        version: shorten(text),
        reason,
    };
    if text.len() > LONGEST {
        return Err(wrong(format!("longer than {LONGEST} bytes")));
    }
    Version::from_str(text).map_err(|error| wrong(error.to_string()))
}

/// At most 80 characters of foreign text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_project_are_one_name_f055() {
        let names = ["Foo_Bar", "foo-bar", "foo.bar", "FOO--_..bar"];
        for name in names {
            assert_eq!(ProjectName::from_str(name).unwrap().as_str(), "foo-bar");
        }
    }

    #[test]
    fn names_that_could_be_paths_or_options_are_refused() {
        for name in ["", "-", "-r", "a/b", "..", "a b", "a\0b", "é", "a-", "_a"] {
            assert!(ProjectName::from_str(name).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?") {
            let once = ProjectName::from_str(&text).unwrap();
            prop_assert_eq!(&ProjectName::from_str(once.as_str()).unwrap(), &once);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = ProjectName::from_str(&text);
            let _ = version(&text);
        }
    }
}
