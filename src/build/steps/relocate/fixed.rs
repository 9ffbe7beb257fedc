//! [`FixedPlace`]: where the programs of a closure may be given more privileges than their callers have.
//!
//! With raised privileges (AT_SECURE, see `getauxval(3)`) neither our stub nor glibc's loader may
//! believe the place where a program was found: a hard link elsewhere would bring another loader, other
//! libraries. So both are told absolute paths when the closure is built.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::elf::{Facts, FixedStart};

/// A closure's place, and where in it libraries look for others by their own place.
#[derive(Debug)]
pub(crate) struct FixedPlace {
    path: Utf8PathBuf,
    folders: BTreeSet<String>,
}

impl FixedPlace {
    /// A closure in `path`, of which some layers hold these ELF files.
    pub(crate) fn of<'a>(
        path: &Utf8Path,
        layers: impl IntoIterator<Item = &'a BTreeMap<String, Facts>>,
    ) -> FixedPlace {
        FixedPlace {
            path: path.to_owned(),
            folders: layers.into_iter().flat_map(searched).collect(),
        }
    }

    /// How the program at `path` starts there: with the folders it names itself, those of the closure,
    /// and those that its libraries cannot name.
    pub(super) fn start(&self, path: &str, facts: &Facts) -> FixedStart {
        let own = search_folders(path, facts);
        let all = own.iter().map(String::as_str).chain(["lib"]);
        let mut seen = BTreeSet::new();
        let folders: Vec<String> = all
            .chain(self.folders.iter().map(String::as_str))
            .filter(|folder| seen.insert(*folder))
            .map(|folder| self.path.join(folder).into_string())
            .collect();
        FixedStart {
            program: self.path.join(path).into_string(),
            library_path: folders.join(":"),
        }
    }
}

/// The folders that files of a tree look into by their own place, and that hold libraries.
fn searched(files: &BTreeMap<String, Facts>) -> BTreeSet<String> {
    let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let there: BTreeSet<String> = files.keys().filter_map(|path| folder(path)).collect();
    let wanted = files
        .iter()
        .flat_map(|(path, facts)| search_folders(path, facts));
    wanted.filter(|folder| there.contains(folder)).collect()
}

/// The `$ORIGIN` entries of one file, as folders of the closure. Others lead nowhere in it.
fn search_folders(path: &str, facts: &Facts) -> Vec<String> {
    let entries = facts.runpath.as_deref().or(facts.rpath.as_deref());
    let entries = entries.unwrap_or_default().split(':');
    let here = Utf8Path::new(path).parent().unwrap_or(Utf8Path::new(""));
    entries
        .filter_map(|entry| inside(here, entry.strip_prefix("$ORIGIN")?))
        .collect()
}

/// `lib/a` and `/../b` → `lib/b`; nothing for what leaves the closure, or has a `:` that would end it.
fn inside(here: &Utf8Path, relative: &str) -> Option<String> {
    if !(relative.is_empty() || relative.starts_with('/')) {
        return None;
    }
    let mut parts: Vec<&str> = here
        .as_str()
        .split('/')
        .filter(|it| !it.is_empty())
        .collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/")).filter(|folder| !folder.contains([':', '$']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_by_place_is_a_folder_of_the_closure() {
        let here = Utf8Path::new("lib/python3.13/site-packages/numpy/core");
        let libraries = "lib/python3.13/site-packages/numpy.libs";
        assert_eq!(
            inside(here, "/../../numpy.libs").as_deref(),
            Some(libraries)
        );
        assert_eq!(inside(here, "").as_deref(), Some(here.as_str()));
        assert_eq!(inside(here, "/./").as_deref(), Some(here.as_str()));
        assert_eq!(inside(here, "/../../../../.."), Some(String::new()));
        for leaves in ["/../../../../../..", "X/lib", "/a:b", "/$LIB"] {
            assert_eq!(inside(here, leaves), None, "{leaves}");
        }
    }
}
