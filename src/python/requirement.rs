//! One requirement (PEP 508) as a line that the resolver reads → [`Requirement`].
//!
//! The room `recipe` reads what people write and shows them their line; here stands what remains
//! of it for resolving. Anything that a requirements file would understand as something else (an
//! option, a second line, an address) is refused, and so is what `pep508_rs` panics on, recurses
//! over, or takes exponential time for.

use std::str::FromStr;

use pep508_rs::VersionOrUrl;

use super::name::shorten;
use super::{ProjectName, PythonError, Version, VersionSpecifiers};

/// Longest requirement that is read.
const LONGEST: usize = 4096;
/// Parentheses: the parser of markers recurses.
const MOST_PARENTHESES: usize = 32;
/// `and` and `or`: the decision diagram behind a marker can double with each.
const MOST_CONDITIONS: usize = 16;

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
    marker: pep508_rs::MarkerTree,
}

/// The CPython on Linux that markers are asked about.
#[derive(Debug, Clone)]
pub struct Environment(Option<pep508_rs::MarkerEnvironment>);

impl Environment {
    /// `python` is the whole version, such as `3.13.5`.
    pub fn new(python: &str) -> Environment {
        let short = python.rsplit_once('.').map_or(python, |(short, _)| short);
        let machine = std::env::consts::ARCH;
        let builder = pep508_rs::MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: python,
            os_name: "posix",
            platform_machine: machine,
            platform_python_implementation: "CPython",
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: python,
            python_version: short,
            sys_platform: "linux",
        };
        Environment(pep508_rs::MarkerEnvironment::try_from(builder).ok())
    }
}

impl Requirement {
    /// Whether its version specifiers allow `version`.
    pub fn allows(&self, version: &Version) -> bool {
        self.versions.contains(version)
    }

    /// Whether its marker holds, without any extra.
    pub fn applies(&self, environment: &Environment) -> bool {
        let held = environment.0.as_ref();
        held.is_none_or(|held| self.marker.evaluate(held, &[]))
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
        bounded(text).map_err(wrong)?;
        let name = head(text)?;
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
        Ok(Requirement {
            name,
            text: text.replace('\t', " "),
            sha256: Vec::new(),
            versions,
            marker: parsed.marker,
        })
    }
}

/// A requirement in one spelling, whoever wrote it; as it is where it is none that can be read.
pub fn canonical(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Ok(good) = Requirement::from_str(&line) else {
        return line;
    };
    let parsed = pep508_rs::Requirement::<pep508_rs::VerbatimUrl>::from_str(&good.text);
    parsed.map_or(line, |parsed| parsed.to_string())
}

fn bounded(text: &str) -> Result<(), String> {
    let printable = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
    if text.len() > LONGEST || !text.bytes().all(printable) {
        return Err(format!(
            "wanted one line of at most {LONGEST} ASCII characters"
        ));
    }
    if text.bytes().filter(|byte| *byte == b'(').count() > MOST_PARENTHESES {
        return Err(format!("more than {MOST_PARENTHESES} parentheses"));
    }
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let conditions = words.filter(|word| ["and", "or"].contains(word)).count();
    if conditions > MOST_CONDITIONS {
        return Err(format!("more than {MOST_CONDITIONS} conditions"));
    }
    Ok(())
}

/// Checks the names before versions and marker: `pep508_rs` panics on `a-[` and `a[b-]`.
fn head(text: &str) -> Result<ProjectName, PythonError> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = text.find(|c| !in_name(c)).unwrap_or(text.len());
    let extras = text[end..].trim_start().strip_prefix('[');
    let extras = extras.map(|rest| rest.split(']').next().unwrap_or(rest).trim());
    let extras = extras.filter(|extras| !extras.is_empty());
    for extra in extras.into_iter().flat_map(|extras| extras.split(',')) {
        extra.trim().parse::<ProjectName>()?;
    }
    text[..end].parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_requirement_knows_its_project_and_versions() {
        let asked: Requirement = "Req.uests[socks, x]>=2,<3 ; python_version > '3.8'"
            .parse()
            .unwrap();
        assert_eq!(asked.name.as_str(), "req-uests");
        assert!(asked.allows(&"2.5".parse().unwrap()) && !asked.allows(&"3".parse().unwrap()));
        let any: Requirement = "six".parse().unwrap();
        assert!(any.allows(&"0.1".parse().unwrap()));
    }

    #[test]
    fn options_addresses_and_second_lines_are_refused() {
        for text in [
            "-r other.txt",
            "--index-url=https://x.example",
            "six @ https://x.example/six.whl",
            "./six.whl",
            "six\n--index-url x",
            "",
            "six\0",
            "é",
            "six >",
        ] {
            assert!(text.parse::<Requirement>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_makes_the_parser_panic_is_refused_before_it() {
        for text in ["a-'", "A-[", "a[b-]", "a[b_, c]", "a.", "a-;x"] {
            assert!(text.parse::<Requirement>().is_err(), "{text:?}");
        }
        let deep = format!("a; {}", "(".repeat(5000));
        let wide = format!(
            "a; {}",
            ["os_name == 'x' and sys_platform > 'y'"; 30].join(" or ")
        );
        for text in [deep, wide] {
            assert!(text.parse::<Requirement>().is_err());
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Requirement>();
        }

        #[test]
        fn no_text_of_requirement_letters_panics(
            text in "[a-z0-9<>=!~;\\[\\](),'\". *@é_-]{0,40}",
        ) {
            let _ = text.parse::<Requirement>();
            let _ = format!("a; {text}").parse::<Requirement>();
            let _ = format!("a[{text}").parse::<Requirement>();
        }
    }
}
