//! The rules of single values: closed lists of words, and what names and paths look like.

use super::{LockPolicy, PackageFormat, Trim};
use crate::platform::Platform;

/// The rule that a value broke: what was wanted, and how it is put right.
pub(super) struct Rule(pub &'static str, pub &'static str);

pub(super) const RECIPE_NAME: Rule = Rule(
    "the name of a recipe",
    "a name has letters a-z, digits and + . _ -, begins with a letter or a digit, and has at most \
     64 characters",
);
pub(super) const VERSION: Rule = Rule(
    "a version",
    "a version has letters, digits and + . _ ~ -, begins with a letter or a digit, and has at \
     most 64 characters",
);
pub(super) const PACKAGE_NAME: Rule = Rule(
    "the name of a Debian package",
    "a name has letters a-z, digits and + . -, such as libudev1",
);
pub(super) const PROJECT_NAME: Rule = Rule(
    "the name of a Python project",
    "a name has letters, digits and . _ -, and no version",
);
pub(super) const VERSIONS: Rule = Rule(
    "what versions of a project are taken",
    "write a version, such as 2.5.0, or versions as PEP 440 has them, such as >=2.5,<3",
);
pub(super) const INSIDE: Rule = Rule(
    "a path inside the closure",
    "such a path is relative, without `.` or `..`, such as bin/python3",
);
pub(super) const FOLDER: Rule = Rule(
    "a folder to install into",
    "such a path is absolute, without `.` or `..`, such as /opt/hello",
);
pub(super) const ENTRY_NAME: Rule = Rule(
    "a name under bin/",
    "a name has letters, digits and + . _ -, and no slash",
);
pub(super) const FILE: Rule = Rule(
    "a file beside the recipe",
    "such a path is relative to the recipe's folder and stays inside it",
);

pub(super) const PARAMETER: Rule = Rule(
    "the name of a parameter",
    "a name has letters a-z, digits, _ and -, begins with a letter, and is none of python, suite \
     and arch, which every recipe has",
);
pub(super) const SETTING: Rule = Rule(
    "a value of a variant",
    "it is part of a file's name: letters, digits and + . _ -, at most 64 characters",
);
pub(super) const MINOR_VERSION: Rule = Rule(
    "a version of an interpreter",
    "write the major and the minor number, such as 3.13: the suite decides the rest",
);
pub(super) const TIME: Rule = Rule(
    "a time",
    "seconds or minutes, such as 90s or 20m, at most 1440m",
);
pub(super) const SUITE: Rule = Rule("the name of a suite", "such as trixie or bookworm");

/// The names of `arch`.
pub(super) const PROCESSORS: &[(&str, Platform)] =
    &[("x86_64", Platform::X86_64), ("aarch64", Platform::Aarch64)];

/// The names of `trim`.
pub(super) const TRIMS: &[(&str, Trim)] = &[
    ("tests", Trim::Tests),
    ("docs", Trim::Docs),
    ("static-libs", Trim::StaticLibs),
    ("sources", Trim::Sources),
    ("idle", Trim::Idle),
];

/// The names of `package`.
pub(super) const FORMATS: &[(&str, PackageFormat)] = &[
    ("tar.zst", PackageFormat::TarZst),
    ("tar.gz", PackageFormat::TarGz),
    ("zip", PackageFormat::Zip),
];

pub(super) const PLANNED_FORMATS: &[&str] = &["deb", "rpm", "pacman", "oci", "run"];

/// The names of `lock`.
pub(super) const POLICIES: &[(&str, LockPolicy)] =
    &[("exact", LockPolicy::Exact), ("follow", LockPolicy::Follow)];

pub(super) fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names
        .iter()
        .find(|(_, known)| *known == value)
        .map_or("", |(name, _)| name)
}

/// A word of at most `most` ASCII characters that begins with a letter or a digit.
fn is_word(word: &str, most: usize, good: impl Fn(char) -> bool) -> bool {
    word.len() <= most
        && word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.chars().all(good)
}

/// Whether `name` can be the name of a recipe.
pub(super) fn is_recipe_name(name: &str) -> bool {
    is_word(name, 64, |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || "+._-".contains(c)
    })
}

/// Seconds in `90s` or `20m`: at most a day.
pub(super) fn time(text: &str) -> Option<u32> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(number) => (number, 60),
        None => (text.strip_suffix('s')?, 1),
    };
    let digits = (1..=5).contains(&number.len()) && number.bytes().all(|it| it.is_ascii_digit());
    let seconds: u32 = digits.then(|| number.parse().ok())??;
    Some(seconds * unit).filter(|seconds| (1..=86_400).contains(seconds))
}

pub(super) fn is_version(version: &str) -> bool {
    is_word(version, 64, |c| {
        c.is_ascii_alphanumeric() || "+._~-".contains(c)
    })
}

pub(super) fn is_minor_version(version: &str) -> bool {
    let number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    version
        .split_once('.')
        .is_some_and(|(major, minor)| number(major) && number(minor))
}

pub(super) fn is_suite(suite: &str) -> bool {
    is_word(suite, 64, |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
    })
}

/// What every recipe has without a `param`.
pub(super) const GIVEN: [&str; 3] = ["python", "suite", "arch"];

pub(super) fn is_parameter(name: &str) -> bool {
    is_word(name, 64, |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c)
    }) && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !GIVEN.contains(&name)
}

/// Whether `value` can be part of the name of a variant.
pub(super) fn is_setting(value: &str) -> bool {
    is_word(value, 64, |c| {
        c.is_ascii_alphanumeric() || "+._-".contains(c)
    })
}

/// Debian Policy 5.6.1.
pub(super) fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && is_word(name, 128, |c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || "+.-".contains(c)
        })
}

pub(super) fn is_entry_name(name: &str) -> bool {
    is_word(name, 128, |c| {
        c.is_ascii_alphanumeric() || "+._-".contains(c)
    })
}

/// Whether `path` is relative and stays below where it starts.
pub(super) fn is_inside(path: &str) -> bool {
    path.len() <= 1024
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

pub(super) fn is_prefix(path: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "/+._-".contains(c);
    path.strip_prefix('/').is_some_and(is_inside) && path.chars().all(good)
}
