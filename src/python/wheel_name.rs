//! The file name of a wheel (PEP 427) → [`WheelName`]: who, which version, where it runs.

use std::str::FromStr;

use super::name::{shorten, version};
use super::tag::{Rank, Tag, Target};
use super::{ProjectName, PythonError, Version};

/// What a wheel's file name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName {
    /// The project, normalised.
    pub name: ProjectName,
    /// Its version.
    pub version: Version,
    /// The build number and what follows it; breaks ties, larger wins.
    pub build: Option<(u64, String)>,
    /// Every combination of the compressed tags.
    pub tags: Vec<Tag>,
}

impl WheelName {
    /// The best rank of any tag, or `None` if the wheel does not run on `target`.
    pub fn rank(&self, target: &Target) -> Option<Rank> {
        self.tags.iter().filter_map(|tag| target.rank(tag)).min()
    }
}

impl FromStr for WheelName {
    type Err = PythonError;

    fn from_str(file: &str) -> Result<Self, PythonError> {
        parse(file).map_err(|reason| PythonError::WheelName {
            file: shorten(file),
            reason,
        })
    }
}

fn parse(file: &str) -> Result<WheelName, String> {
    if file.len() > 255 {
        return Err("longer than 255 bytes".into());
    }
    let stem = file.strip_suffix(".whl").ok_or("does not end in .whl")?;
    let parts: Vec<&str> = stem.split('-').collect();
    let (name, number, build, tags) = match parts[..] {
        [name, number, python, abi, platform] => (name, number, None, [python, abi, platform]),
        [name, number, build, python, abi, platform] => {
            (name, number, Some(build), [python, abi, platform])
        }
        _ => return Err(format!("{} parts, wanted 5 or 6", parts.len())),
    };
    Ok(WheelName {
        name: name
            .parse()
            .map_err(|error: PythonError| error.to_string())?,
        version: version(number).map_err(|error| error.to_string())?,
        build: build.map(parse_build).transpose()?,
        tags: expand(tags)?,
    })
}

fn parse_build(text: &str) -> Result<(u64, String), String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    match digits.parse() {
        Ok(number) if is_word(text) => Ok((number, rest.to_owned())),
        _ => Err(format!("build tag {text:?} does not start with a number")),
    }
}

/// `py2.py3-none-any` → `py2-none-any`, `py3-none-any`.
fn expand([pythons, abis, platforms]: [&str; 3]) -> Result<Vec<Tag>, String> {
    let mut tags = Vec::new();
    for python in pythons.split('.') {
        for abi in abis.split('.') {
            for platform in platforms.split('.') {
                if let Some(bad) = [python, abi, platform]
                    .into_iter()
                    .find(|word| !is_word(word))
                {
                    return Err(format!("tag {bad:?} is not a word"));
                }
                let [python, abi, platform] = [python, abi, platform].map(str::to_ascii_lowercase);
                tags.push(Tag {
                    python,
                    abi,
                    platform,
                });
            }
        }
    }
    Ok(tags)
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wheels_name_says_project_version_build_and_tags() {
        let wheel: WheelName =
            "PyYAML-6.0.3-1x-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
                .parse()
                .unwrap();
        assert_eq!(wheel.name.as_str(), "pyyaml");
        assert_eq!(wheel.version.to_string(), "6.0.3");
        assert_eq!(wheel.build, Some((1, "x".to_owned())));
        assert_eq!(wheel.tags.len(), 2);
        let trixie = Target::new("3.13", (2, 41), crate::platform::Platform::X86_64).unwrap();
        assert!(wheel.rank(&trixie).is_some());
        assert!(
            wheel
                .rank(&Target::new("3.12", (2, 41), crate::platform::Platform::X86_64).unwrap())
                .is_none()
        );
    }

    #[test]
    fn names_that_are_not_wheels_are_refused() {
        for file in [
            "six-1.17.0.tar.gz",
            "six-py3-none-any.whl",
            "six-1-2-3-py3-none-any.whl",
            "../six-1.0-py3-none-any.whl",
            "six-1.0-py3-none-.whl",
            "six-1.0-py3-none-any/.whl",
            "six-1.0-b1-py3-none-any.whl",
            "six-one-py3-none-any.whl",
            "-1.0-py3-none-any.whl",
        ] {
            assert!(file.parse::<WheelName>().is_err(), "{file}");
        }
    }

    proptest! {
        #[test]
        fn no_file_name_panics(text in any::<String>()) {
            let _ = text.parse::<WheelName>();
            let _ = format!("{text}-1-py3-none-any.whl").parse::<WheelName>();
        }
    }
}
