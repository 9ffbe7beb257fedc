//! What somebody asks for (PEP 508), one by one or in a requirements file → [`Requirement`]s.
//!
//! A requirement becomes one line of a file that the resolver reads, so anything that the file
//! would understand as something else (an option, a second line, an address) is refused here.

use std::str::FromStr;

use pep508_rs::VersionOrUrl;

use super::name::shorten;
use super::{ProjectName, PythonError, Version, VersionSpecifiers};

/// Longest requirement that is read.
const LONGEST: usize = 4096;
/// Deepest nesting of a marker: the parser of markers recurses.
const DEEPEST: usize = 32;

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The project it asks for.
    pub name: ProjectName,
    /// The requirement as one line.
    pub text: String,
    /// sha256 that its files may have, lower-case hex; empty when any may.
    pub sha256: Vec<String>,
    versions: VersionSpecifiers,
}

impl Requirement {
    /// Whether its version specifiers allow `version`.
    pub fn allows(&self, version: &Version) -> bool {
        self.versions.contains(version)
    }
}

impl FromStr for Requirement {
    type Err = PythonError;

    fn from_str(text: &str) -> Result<Self, PythonError> {
        let wrong = |reason: String| PythonError::Requirement {
            text: shorten(text),
            reason,
        };
        let text = text.trim();
        if text.len() > LONGEST || !text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            return Err(wrong(format!(
                "wanted one line of at most {LONGEST} ASCII characters"
            )));
        }
        if text.bytes().filter(|byte| *byte == b'(').count() > DEEPEST {
            return Err(wrong(format!("more than {DEEPEST} parentheses")));
        }
        // Its own Display may slice text between characters; the message alone is safe.
        let parsed = pep508_rs::Requirement::<pep508_rs::VerbatimUrl>::from_str(text)
            .map_err(|error| wrong(error.message.to_string()))?;
        let versions = match parsed.version_or_url {
            None => VersionSpecifiers::empty(),
            Some(VersionOrUrl::VersionSpecifier(versions)) => versions,
            Some(VersionOrUrl::Url(_)) => {
                return Err(wrong(
                    "an address: only projects of an index can be asked for".into(),
                ));
            }
        };
        let name = parsed.name.to_string().parse()?;
        Ok(Requirement {
            name,
            text: text.replace('\t', " "),
            sha256: Vec::new(),
            versions,
        })
    }
}

/// Reads a requirements file: the number of each requirement's first line, and the requirement.
///
/// Comments, continued lines, markers and `--hash=sha256:…` are understood. Options that would
/// change where packages come from are refused: mirrors are configuration, not part of a recipe.
pub fn parse_file(text: &str) -> Result<Vec<(usize, Requirement)>, PythonError> {
    let mut requirements = Vec::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((number, first)) = lines.next() {
        let mut line = first.to_owned();
        while let Some(start) = line.strip_suffix('\\') {
            line = start.to_owned() + lines.next().map_or("", |(_, next)| next);
        }
        let line = line
            .find(" #")
            .map_or(line.as_str(), |at| &line[..at])
            .trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        requirements.push((number + 1, parse_line(line)?));
    }
    Ok(requirements)
}

fn parse_line(line: &str) -> Result<Requirement, PythonError> {
    let wrong = |reason: String| PythonError::Requirement {
        text: shorten(line),
        reason,
    };
    if line.starts_with('-') {
        let option = line.split(['=', ' ']).next().unwrap_or(line);
        let reason = format!(
            "{} is not understood in a requirements file here",
            shorten(option)
        );
        return Err(wrong(reason));
    }
    let mut parts = line.split(" --");
    let mut requirement: Requirement = parts.next().unwrap_or_default().parse()?;
    for option in parts {
        let hash = option
            .trim()
            .strip_prefix("hash")
            .and_then(|rest| rest.strip_prefix(['=', ' ']));
        let hash = hash.ok_or_else(|| wrong(format!("--{} is not understood", shorten(option))))?;
        // Other algorithms may stand beside it; sha256 is the one that is asked for.
        if let Some(sha256) = hash.trim().strip_prefix("sha256:") {
            let sha256 = sha256.to_ascii_lowercase();
            if !super::index::is_sha256(&sha256) {
                return Err(wrong(format!("{:?} is not a sha256", shorten(&sha256))));
            }
            requirement.sha256.push(sha256);
        } else if !hash.contains(':') {
            return Err(wrong(format!("{:?} is not a hash", shorten(hash))));
        }
    }
    Ok(requirement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hashed_requirements_file_is_read() {
        let hash = "0".repeat(64);
        let text = format!(
            "# by hand\nrequests[socks]>=2 ; python_version > '3.8'  # why\n\n\
             six==1.17.0 \\\n    --hash=sha256:{hash} \\\n    --hash=md5:00\n"
        );
        let found = parse_file(&text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0, found[0].1.name.as_str()), (2, "requests"));
        assert_eq!(
            found[0].1.text,
            "requests[socks]>=2 ; python_version > '3.8'"
        );
        assert_eq!((found[1].0, found[1].1.text.as_str()), (4, "six==1.17.0"));
        assert_eq!(found[1].1.sha256, [hash]);
    }

    #[test]
    fn options_addresses_and_second_lines_are_refused() {
        for text in [
            "-r other.txt",
            "--index-url=https://x.example",
            "-e .",
            "six --global-option=x",
            "six @ https://x.example/six.whl",
            "./six.whl",
            "six --hash=sha256:00",
        ] {
            assert!(parse_file(text).is_err(), "{text}");
        }
        for text in ["six\n--index-url x", "", "-x", "six\0", "é", "six >"] {
            assert!(text.parse::<Requirement>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Requirement>();
            let _ = parse_file(&text);
        }

        #[test]
        fn no_text_of_requirement_letters_panics(text in "[a-z0-9<>=!~;\\[\\](),'\". *@é-]{0,40}") {
            let _ = text.parse::<Requirement>();
            let _ = format!("a; {text}").parse::<Requirement>();
        }
    }
}
