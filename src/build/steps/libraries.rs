//! Which libraries of the layers something needs, and which needs nobody fills.
//!
//! A closure's programs look in `lib/` for every library (their DT_RPATH), after the places that a
//! library itself names relative to its own folder. So a need is filled by `lib/SONAME`, or by a
//! library of that name beside the files of a wheel.

use std::collections::{BTreeMap, BTreeSet};

use recipe_store::Entry;

use super::StepError;
use super::scan::{Scanned, ScannedFile};
use crate::plan::Keep;

/// One layer, as far as this question goes.
pub(super) struct Member<'a> {
    pub(super) keep: Keep,
    pub(super) scan: &'a Scanned,
    /// What trimming left of it, by path.
    pub(super) files: &'a [(String, Entry)],
}

/// Paths of libraries that nothing needs, or the needs that nothing fills.
pub(super) fn unneeded<'a>(members: &[Member<'a>]) -> Result<BTreeSet<&'a str>, StepError> {
    let mut providers: BTreeMap<&str, Vec<&'a ScannedFile>> = BTreeMap::new();
    let mut waiting: Vec<&'a ScannedFile> = Vec::new();
    let mut open: BTreeSet<&'a str> = BTreeSet::new();
    for member in members {
        let present: BTreeSet<&str> = member.files.iter().map(|(path, _)| path.as_str()).collect();
        for file in member.scan.files.iter().filter(|file| present.contains(file.path.as_str())) {
            providers.entry(file.answers_to()).or_default().push(file);
            if member.keep == Keep::LibrariesAsNeeded && in_library_folder(&file.path) {
                open.insert(&file.path);
            } else {
                waiting.push(file);
            }
        }
    }
    let mut missing = Vec::new();
    while let Some(file) = waiting.pop() {
        for soname in &file.needed {
            let Some(found) = providers.get(soname.as_str()) else {
                missing.push((file.path.clone(), soname.clone()));
                continue;
            };
            waiting.extend(found.iter().filter(|library| open.remove(library.path.as_str())));
        }
    }
    missing.sort();
    missing.dedup();
    if missing.is_empty() { Ok(open) } else { Err(StepError::MissingLibraries { missing }) }
}

fn in_library_folder(path: &str) -> bool {
    path.strip_prefix("lib/").is_some_and(|name| !name.contains('/'))
}
