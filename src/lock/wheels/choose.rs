//! A resolved package → the one wheel of it that runs on the target best.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::WheelsError;
use crate::python::index::IndexFile;
use crate::python::pylock::{File, Package};
use crate::python::tag::Tag;
use crate::python::{Requirement, Target, Version, WheelName, name};

/// The best wheel of `package`: by tags, then by build number. With `allowed` hashes, only one of
/// those. A file that calls itself another project or version is no candidate, whatever the
/// index says (the names in a lock come from what was asked, never from a server).
pub(super) fn choose<'a>(
    package: &'a Package,
    target: &Target,
    allowed: &[&str],
) -> Result<&'a File, WheelsError> {
    let mut wheels: Vec<(&File, WheelName)> = Vec::new();
    for file in &package.wheels {
        let Ok(name) = file.name.parse::<WheelName>() else {
            continue;
        };
        if name.name == package.name && name.version == package.version {
            wheels.push((file, name));
        }
    }
    let fits = |(file, name): &&(&'a File, WheelName)| {
        let may = allowed.is_empty() || allowed.contains(&file.sha256.as_str());
        may && name.rank(target).is_some()
    };
    let best = wheels
        .iter()
        .filter(fits)
        .min_by_key(|(file, name)| (name.rank(target), Reverse(&name.build), &file.name));
    match best {
        Some((file, _)) => Ok(file),
        None => Err(refusal(package, target, &wheels, allowed)),
    }
}

fn refusal(
    package: &Package,
    target: &Target,
    wheels: &[(&File, WheelName)],
    allowed: &[&str],
) -> WheelsError {
    let (project, version) = (package.name.to_string(), package.version.to_string());
    if wheels.is_empty() && package.sdist.is_some() {
        return WheelsError::OnlySource { project, version };
    }
    if !allowed.is_empty() && wheels.iter().any(|(_, name)| name.rank(target).is_some()) {
        return WheelsError::Hashes { project, version };
    }
    let offered = offered(wheels.iter().flat_map(|(_, name)| &name.tags), target);
    WheelsError::NoWheel {
        project,
        version,
        target: Box::new(target.clone()),
        offered,
    }
}

/// The resolver says that no version of a project that was asked for has a usable wheel: what its
/// page has instead. `None` when the page tells another story.
pub(super) fn none_usable(
    asked: &Requirement,
    files: &[IndexFile],
    target: &Target,
) -> Option<WheelsError> {
    let project = asked.name.to_string();
    let wheels: Vec<WheelName> = files
        .iter()
        .filter_map(|file| file.name.parse().ok())
        .collect();
    let wheels = || wheels.iter().filter(|wheel| asked.allows(&wheel.version));
    if wheels().any(|wheel| wheel.rank(target).is_some()) {
        return None;
    }
    if let Some(newest) = wheels().map(|wheel| &wheel.version).max() {
        let tags = wheels()
            .filter(|wheel| wheel.version == *newest)
            .flat_map(|wheel| &wheel.tags);
        let offered = offered(tags, target);
        let (version, target) = (newest.to_string(), Box::new(target.clone()));
        return Some(WheelsError::NoWheel {
            project,
            version,
            target,
            offered,
        });
    }
    let sources = files.iter().filter_map(|file| source_version(&file.name));
    let version = sources
        .filter(|version| asked.allows(version))
        .max()?
        .to_string();
    Some(WheelsError::OnlySource { project, version })
}

/// What a person needs to know of the tags there are: for which Pythons, if some fit the platform;
/// else all, as far as they are few.
fn offered<'a>(tags: impl Iterator<Item = &'a Tag>, target: &Target) -> Vec<String> {
    const MOST: usize = 12;
    let tags: BTreeSet<&Tag> = tags.collect();
    let here = tags.iter().filter(|tag| target.fits_platform(tag));
    let mut offered: BTreeSet<String> = here
        .map(|tag| format!("{}-{}", tag.python, tag.abi))
        .collect();
    if offered.is_empty() {
        offered = tags.iter().map(ToString::to_string).collect();
    }
    let more = offered.len().saturating_sub(MOST);
    let mut offered: Vec<String> = offered.into_iter().take(MOST).collect();
    if more > 0 {
        offered.push(format!("{more} more"));
    }
    offered
}

/// The version of a source distribution `NAME-VERSION.tar.gz`.
fn source_version(file: &str) -> Option<Version> {
    let stem = file
        .strip_suffix(".tar.gz")
        .or_else(|| file.strip_suffix(".zip"))?;
    name::version(stem.rsplit_once('-')?.1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(files: &[&str]) -> Package {
        let file = |(at, name): (usize, &&str)| File {
            name: (*name).to_owned(),
            url: None,
            size: None,
            sha256: format!("{at:064}"),
        };
        Package {
            name: "six".parse().unwrap(),
            version: "1.0".parse().unwrap(),
            wheels: files.iter().enumerate().map(file).collect(),
            sdist: Some(file((99, &"six-1.0.tar.gz"))),
        }
    }

    fn chosen(files: &[&str]) -> Result<String, WheelsError> {
        let target = Target::new("3.13", (2, 41), crate::platform::Platform::X86_64).unwrap();
        choose(&package(files), &target, &[]).map(|file| file.name.clone())
    }

    #[test]
    fn the_most_specific_wheel_is_chosen_and_ties_go_to_the_larger_build() {
        let files = [
            "six-1.0-py3-none-any.whl",
            "six-1.0-cp37-abi3-manylinux_2_5_x86_64.whl",
            "six-1.0-1-cp313-cp313-manylinux_2_17_x86_64.whl",
            "six-1.0-12-cp313-cp313-manylinux_2_17_x86_64.whl",
            "six-1.0-cp313-cp313-musllinux_1_2_x86_64.whl",
        ];
        assert_eq!(chosen(&files).unwrap(), files[3]);
        assert_eq!(chosen(&files[..2]).unwrap(), files[1]);
    }

    #[test]
    fn a_wheel_for_another_python_is_refused_with_what_is_offered_f027() {
        let error = chosen(&["six-1.0-cp312-cp312-win_amd64.whl"]).unwrap_err();
        let WheelsError::NoWheel { offered, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(offered, &["cp312-cp312-win_amd64"]);
        assert!(error.to_string().contains("CPython 3.13"), "{error}");
    }

    #[test]
    fn of_many_tags_those_of_this_platform_are_told() {
        let target = Target::new("3.13", (2, 41), crate::platform::Platform::X86_64).unwrap();
        let tag = |python: &str, platform: &str| Tag {
            python: python.into(),
            abi: python.into(),
            platform: platform.into(),
        };
        let mut tags = vec![tag("cp39", "win32"), tag("cp38", "manylinux1_x86_64")];
        tags.push(tag("cp38", "manylinux_2_5_x86_64"));
        assert_eq!(offered(tags.iter(), &target), ["cp38-cp38"]);
        let far: Vec<Tag> = (10..30)
            .map(|minor| tag(&format!("cp3{minor}"), "win32"))
            .collect();
        assert_eq!(offered(far.iter(), &target).last().unwrap(), "8 more");
    }

    #[test]
    fn a_file_of_another_project_or_version_is_no_candidate() {
        let files = [
            "seven-1.0-py3-none-any.whl",
            "six-2.0-py3-none-any.whl",
            "x",
        ];
        assert!(matches!(
            chosen(&files),
            Err(WheelsError::OnlySource { .. })
        ));
    }

    #[test]
    fn a_project_without_usable_wheels_is_told_with_what_it_has() {
        let target = Target::new("3.13", (2, 41), crate::platform::Platform::X86_64).unwrap();
        let file = |name: &&str| IndexFile {
            name: (*name).to_owned(),
            url: "https://files.example/x".parse().unwrap(),
            sha256: None,
            size: None,
            yanked: None,
            requires_python: None,
        };
        let names = [
            "six-1.0-cp27-none-win32.whl",
            "six-1.1-py2-none-any.whl",
            "six-2.0.tar.gz",
            "six-3-py3-none-any.whl",
        ];
        let files: Vec<IndexFile> = names.iter().map(file).collect();
        let told = |asked: &str| {
            none_usable(&asked.parse().unwrap(), &files, &target).map(|error| error.to_string())
        };
        assert!(
            told("six<2")
                .unwrap()
                .starts_with("no wheel of six 1.1 runs on")
        );
        assert!(
            told("six==2")
                .unwrap()
                .starts_with("six 2.0 comes as source only")
        );
        assert_eq!(told("six"), None);
        assert_eq!(told("six>3"), None);
    }

    #[test]
    fn hashes_that_were_asked_for_are_the_only_ones_taken() {
        let target = Target::new("3.13", (2, 41), crate::platform::Platform::X86_64).unwrap();
        let files = [
            "six-1.0-cp313-cp313-manylinux_2_17_x86_64.whl",
            "six-1.0-py3-none-any.whl",
        ];
        let package = package(&files);
        let second = format!("{:064}", 1);
        assert_eq!(
            choose(&package, &target, &[&second]).unwrap().name,
            files[1]
        );
        let none = "f".repeat(64);
        assert!(matches!(
            choose(&package, &target, &[&none]),
            Err(WheelsError::Hashes { .. })
        ));
    }
}
