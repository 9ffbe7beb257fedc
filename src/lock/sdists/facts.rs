//! What the metadata of a source or a wheel says of it → [`Facts`], as far as resolving depends on it.

use crate::python::metadata::Headers;
use crate::python::{ProjectName, PythonError, Version, name, requirement};

/// What counts of metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The project.
    pub name: ProjectName,
    /// Its version.
    pub version: Version,
    /// What it needs, each in one spelling, sorted.
    pub requires: Vec<String>,
    /// Pythons that it runs on.
    pub requires_python: Option<String>,
    /// Extras that it has.
    pub extras: Vec<String>,
}

impl Facts {
    /// Reads METADATA, or what a backend answered.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Facts, PythonError> {
        Facts::of(&Headers::parse("METADATA", bytes)?)
    }

    /// Reads PKG-INFO, if it promises that no build changes what counts (PEP 643).
    pub(super) fn promised(bytes: &[u8]) -> Option<Facts> {
        let headers = Headers::parse("METADATA", bytes).ok()?;
        let (major, minor) = headers.one("Metadata-Version").ok()?.split_once('.')?;
        let newer = (major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?) >= (2, 2);
        let counts = [
            "requires-dist",
            "requires-python",
            "provides-extra",
            "version",
        ];
        let changes = headers
            .all("Dynamic")
            .any(|field| counts.contains(&field.to_ascii_lowercase().as_str()));
        if !newer || changes {
            return None;
        }
        Facts::of(&headers).ok()
    }

    fn of(headers: &Headers) -> Result<Facts, PythonError> {
        let mut requires: Vec<String> = headers
            .all("Requires-Dist")
            .map(requirement::canonical)
            .collect();
        requires.sort();
        requires.dedup();
        let mut extras: Vec<String> = headers
            .all("Provides-Extra")
            .filter_map(|extra| extra.parse::<ProjectName>().ok())
            .map(|extra| extra.to_string())
            .collect();
        extras.sort();
        extras.dedup();
        Ok(Facts {
            name: headers.one("Name")?.parse()?,
            version: name::version(headers.one("Version")?)?,
            requires,
            requires_python: headers.all("Requires-Python").next().map(str::to_owned),
            extras,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_promise_is_taken_for_one() {
        let text = |version: &str, more: &str| {
            format!(
                "Metadata-Version: {version}\nName: A.b\nVersion: 1.0\nRequires-Dist: c (>1)\n{more}"
            )
        };
        let facts = |text: String| Facts::promised(text.as_bytes());
        assert_eq!(facts(text("2.4", "")).unwrap().requires, ["c>1"]);
        assert!(facts(text("2.2", "Dynamic: License\n")).is_some());
        assert!(facts(text("2.1", "")).is_none());
        assert!(facts(text("2.2", "Dynamic: Requires-Dist\n")).is_none());
    }

    #[test]
    fn the_same_requirement_in_two_spellings_is_one_fact() {
        let one = "Name: a\nVersion: 1\nRequires-Dist: B_c ( >=1,<2 ) ; python_version>'3'\n";
        let two = "Name: A\nVersion: 1.0\nRequires-Dist: b-c<2,>=1; python_version > \"3\"\n";
        let (one, two) = (
            Facts::parse(one.as_bytes()).unwrap(),
            Facts::parse(two.as_bytes()).unwrap(),
        );
        assert_eq!(one.requires, two.requires);
    }
}
