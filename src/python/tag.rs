//! Compatibility tags (PEP 425, PEP 600): may this wheel run here, and which of two is better?
//! Begin at [`Target::rank`].
//!
//! The order is the one of pip's `packaging.tags` and of uv: own ABI first, then the stable ABI
//! of this and older versions, then wheels that need no ABI; newer `manylinux` before older;
//! wheels for one platform before those for any. A closure carries its own glibc, so the glibc
//! asked about is the one inside it, and `musllinux` never fits.

use super::PythonError;
use crate::platform::Platform;

/// One `python-abi-platform` triple of a wheel's name, such as `cp313-cp313-manylinux_2_17_x86_64`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// `cp313`, `py3`.
    pub python: String,
    /// `cp313`, `abi3`, `none`.
    pub abi: String,
    /// `any`, `manylinux_2_17_x86_64`.
    pub platform: String,
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.python, self.abi, self.platform)
    }
}

/// Where wheels have to run: a CPython on Linux with a known glibc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Minor version of Python 3: 13 for `3.13`.
    minor: u16,
    /// glibc's major and minor version.
    glibc: (u16, u16),
    platform: Platform,
}

/// How well a tag fits; smaller is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    group: u8,
    age: u16,
    platform: (u16, u8),
}

impl Target {
    /// `python` is major and minor (`3.13`).
    pub fn new(python: &str, glibc: (u16, u16), platform: Platform) -> Result<Self, PythonError> {
        let wrong = |text: &str, wanted| PythonError::Target {
            text: text.to_owned(),
            wanted,
        };
        let minor = python
            .strip_prefix("3.")
            .and_then(number)
            .filter(|minor| (2..1000).contains(minor))
            .ok_or_else(|| wrong(python, "Python version such as 3.13"))?;
        Ok(Target {
            minor,
            glibc,
            platform,
        })
    }

    /// `3.13`
    pub fn python(&self) -> String {
        format!("3.{}", self.minor)
    }

    /// glibc's major and minor version.
    pub fn glibc(&self) -> (u16, u16) {
        self.glibc
    }

    /// What its closure runs on.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// How well `tag` fits, or `None` if it does not run here.
    pub fn rank(&self, tag: &Tag) -> Option<Rank> {
        let platform = self.platform_rank(&tag.platform)?;
        let any = tag.platform == "any";
        let (interpreter, minor) = split_python(&tag.python)?;
        let age = self.minor.checked_sub(minor.unwrap_or(self.minor))?;
        let own = age == 0 && minor.is_some();
        let group = match (interpreter, tag.abi.as_str(), any) {
            ("cp", "abi3", false) if minor.is_some_and(|minor| minor >= 2) => {
                2 + 2 * u8::from(!own)
            }
            ("cp", "none", false) if own => 3,
            ("py", "none", false) => 5,
            ("cp", "none", true) if own => 6,
            ("py", "none", true) => 7,
            ("cp", abi, false) if own && abi == tag.python => 1,
            _ => return None,
        };
        // py313 comes before py3, and py3 before py312.
        let age = if own {
            0
        } else if minor.is_none() {
            1
        } else {
            age + 1
        };
        Some(Rank {
            group,
            age,
            platform,
        })
    }

    /// Whether a wheel with this tag runs on the platform, if not with this Python.
    pub fn fits_platform(&self, tag: &Tag) -> bool {
        self.platform_rank(&tag.platform).is_some()
    }

    /// Smaller is better: distance of the glibc, then spelling (PEP 600 before legacy names).
    fn platform_rank(&self, text: &str) -> Option<(u16, u8)> {
        const PLAIN_LINUX: (u16, u8) = (u16::MAX, 0);
        if text == "any" {
            return Some((0, 0));
        }
        let rest = text
            .strip_suffix(self.platform.processor())?
            .strip_suffix('_')?;
        let (major, minor, legacy) = match rest {
            "linux" => return Some(PLAIN_LINUX),
            "manylinux1" => (2, 5, 1),
            "manylinux2010" => (2, 12, 1),
            "manylinux2014" => (2, 17, 1),
            _ => {
                let (major, minor) = rest.strip_prefix("manylinux_")?.split_once('_')?;
                (number(major)?, number(minor)?, 0)
            }
        };
        let oldest = match self.platform {
            Platform::X86_64 => 5,
            Platform::Aarch64 => 17,
        };
        let fits = major == self.glibc.0 && (oldest..=self.glibc.1).contains(&minor);
        fits.then(|| (self.glibc.1 - minor, legacy))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Target {
            minor,
            glibc,
            platform,
        } = self;
        write!(
            f,
            "CPython 3.{minor} on {} Linux with glibc {}.{}",
            platform.processor(),
            glibc.0,
            glibc.1
        )
    }
}

/// `cp313` → (`cp`, 13); `py3` → (`py`, none). Other interpreters and Python 2 give `None`.
fn split_python(text: &str) -> Option<(&str, Option<u16>)> {
    let (interpreter, digits) = text.split_at_checked(2)?;
    if !["cp", "py"].contains(&interpreter) {
        return None;
    }
    let minor = digits.strip_prefix('3')?;
    Some((
        interpreter,
        if minor.is_empty() {
            None
        } else {
            Some(number(minor)?)
        },
    ))
}

/// A decimal number as tags write it: digits only, no sign, no leading zero.
fn number(text: &str) -> Option<u16> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trixie() -> Target {
        Target::new("3.13", (2, 41), Platform::X86_64).unwrap()
    }

    fn tag(text: &str) -> Tag {
        let mut parts = text.splitn(3, '-').map(str::to_owned);
        let mut next = || parts.next().unwrap();
        Tag {
            python: next(),
            abi: next(),
            platform: next(),
        }
    }

    #[test]
    fn better_wheels_rank_before_worse_ones() {
        let best_first = [
            "cp313-cp313-manylinux_2_41_x86_64",
            "cp313-cp313-manylinux_2_17_x86_64",
            "cp313-cp313-manylinux2014_x86_64",
            "cp313-cp313-manylinux_2_5_x86_64",
            "cp313-cp313-manylinux1_x86_64",
            "cp313-cp313-linux_x86_64",
            "cp313-abi3-manylinux2014_x86_64",
            "cp313-none-manylinux2014_x86_64",
            "cp312-abi3-manylinux2014_x86_64",
            "cp37-abi3-manylinux_2_28_x86_64",
            "py313-none-manylinux2014_x86_64",
            "py3-none-manylinux_2_28_x86_64",
            "py312-none-manylinux_2_28_x86_64",
            "cp313-none-any",
            "py313-none-any",
            "py3-none-any",
            "py312-none-any",
            "py30-none-any",
        ];
        let ranks: Vec<Rank> = best_first
            .iter()
            .map(|text| trixie().rank(&tag(text)).expect(text))
            .collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
    }

    #[test]
    fn wheels_for_other_interpreters_platforms_and_libcs_do_not_fit_f027() {
        let strangers = [
            "cp312-cp312-manylinux_2_17_x86_64",
            "cp314-cp314-manylinux_2_17_x86_64",
            "cp314-abi3-manylinux_2_17_x86_64",
            "cp313-cp313t-manylinux_2_17_x86_64",
            "cp312-none-any",
            "cp313-cp313-any",
            "pp311-pypy311_pp73-manylinux_2_17_x86_64",
            "py2-none-any",
            "py314-none-any",
            "cp313-cp313-musllinux_1_2_x86_64",
            "cp313-cp313-manylinux_2_42_x86_64",
            "cp313-cp313-manylinux_3_5_x86_64",
            "cp313-cp313-manylinux_2_4_x86_64",
            "cp313-cp313-manylinux_2_17_aarch64",
            "cp313-cp313-manylinux_2_+17_x86_64",
            "cp313-cp313-macosx_11_0_arm64",
            "cp313-cp313-win_amd64",
            "é13-none-any",
        ];
        for text in strangers {
            assert_eq!(trixie().rank(&tag(text)), None, "{text}");
        }
    }

    #[test]
    fn the_order_of_tags_is_the_one_of_pythons_packaging() {
        let code = "import json\nfrom pip._vendor.packaging import tags as t\n\
            many=[f'manylinux_2_{m}_x86_64' for m in range(41,4,-1)]\n\
            for m,l in ((17,'manylinux2014'),(12,'manylinux2010'),(5,'manylinux1')):\n    \
            many.insert(many.index(f'manylinux_2_{m}_x86_64')+1,l+'_x86_64')\n\
            many.append('linux_x86_64')\n\
            c=list(t.cpython_tags((3,13),['cp313'],many))\n\
            d=list(t.compatible_tags((3,13),'cp313',many))\n\
            print('\\n'.join(map(str,c+d)))";
        let python = std::process::Command::new("python3")
            .args(["-c", code])
            .output();
        let Some(output) = python.ok().filter(|output| output.status.success()) else {
            eprintln!("skipped: no python3 with pip here");
            return;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        let ranks: Vec<Rank> = text
            .lines()
            .map(|line| trixie().rank(&tag(line)).expect(line))
            .collect();
        assert!(ranks.len() > 800, "{}", ranks.len());
        assert!(ranks.is_sorted_by(|a, b| a < b));
    }

    proptest! {
        #[test]
        fn no_tag_panics(python in any::<String>(), abi in any::<String>(), platform in any::<String>()) {
            let _ = trixie().rank(&Tag { python, abi, platform });
        }
    }
}
