//! Which libraries of the layers something needs, and which needs nobody fills.

use std::collections::{BTreeMap, BTreeSet};

use recipe_store::Entry;

use super::StepError;
use super::scan::Scanned;
use crate::build::MissingLibrary;
use crate::elf::{Facts, Missing, needs_in_tree};
use crate::plan::Keep;

/// One layer, as far as this question goes.
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) keep: Keep,
    pub(super) scan: &'a Scanned,
    /// What trimming left of it, by path.
    pub(super) files: &'a [(String, Entry)],
}

/// Libraries that no file names and glibc opens by itself: when a thread ends early.
const OPENED_BY_NAME: [&str; 1] = ["lib/libgcc_s.so.1"];

/// Paths of libraries that nothing needs. What is needed and not there is an error.
pub(super) fn unneeded(members: &[Member<'_>]) -> Result<BTreeSet<String>, StepError> {
    let mut files: BTreeMap<String, Facts> = BTreeMap::new();
    let mut open: BTreeSet<String> = BTreeSet::new();
    for member in members {
        for (path, _) in member.files {
            let Some(facts) = member.scan.get(path) else {
                continue;
            };
            files.insert(path.clone(), facts.clone());
            let as_needed = member.keep != Keep::All && in_library_folder(path);
            if as_needed && !OPENED_BY_NAME.contains(&path.as_str()) {
                open.insert(path.clone());
            }
        }
    }
    let roots = files
        .keys()
        .map(String::as_str)
        .filter(|path| !open.contains(*path));
    let answer = needs_in_tree(&files, &["lib"], roots);
    if answer.missing.is_empty() {
        return Ok(open.difference(&answer.reached).cloned().collect());
    }
    Err(StepError::MissingLibraries {
        missing: answer
            .missing
            .iter()
            .map(|missing| told(missing, members))
            .collect(),
    })
}

/// For each member, whether it is there only in case it is needed and nothing of it is.
pub(super) fn idle(members: &[Member<'_>], unneeded: &BTreeSet<String>) -> Vec<bool> {
    let needed = |(path, _): &(String, Entry)| in_library_folder(path) && !unneeded.contains(path);
    members
        .iter()
        .map(|member| member.keep == Keep::IfNeeded && !member.files.iter().any(needed))
        .collect()
}

fn told(missing: &Missing, members: &[Member<'_>]) -> MissingLibrary {
    let path = missing.file.as_str();
    let has = |member: &&Member<'_>| member.files.iter().any(|(known, _)| known == path);
    let of = members.iter().find(has).map_or("", |member| member.name);
    let wanted = match &missing.version {
        None => missing.soname.clone(),
        Some(version) => format!("{} with symbols of {version}", missing.soname),
    };
    MissingLibrary {
        path: path.to_owned(),
        of: of.to_owned(),
        soname: wanted,
    }
}

fn in_library_folder(path: &str) -> bool {
    path.strip_prefix("lib/")
        .is_some_and(|name| !name.contains('/'))
}
