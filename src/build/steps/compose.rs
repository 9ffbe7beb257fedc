//! Layers → one tree: trimmed, with the libraries that something needs, and no others.
//!
//! No file is copied: the new tree names the blobs of the old ones.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use recipe_store::{Entry, ObjectId, Session, TreeBuilder, TreeId};

use super::libraries::{self, Member};
use super::scan::{self, Scanned};
use super::trim::Trimmer;
use super::{StepError, leaves, tree};
use crate::plan::{Keep, Layer};
use crate::recipe::{EntryPoint, Trim};

/// Joins `layers` in their order.
pub(super) fn compose(
    session: &Session,
    layers: &[Layer<ObjectId>],
    rules: &[Trim],
    entries: &[EntryPoint],
) -> Result<TreeId, StepError> {
    let mut files: Vec<Vec<(String, Entry)>> = layers
        .par_iter()
        .map(|layer| leaves(session, &tree(&layer.tree, "a layer")?))
        .collect::<Result<_, _>>()?;
    let trimmer = Trimmer::new(rules, files.iter().flatten().map(|(path, _)| path.as_str()));
    files
        .par_iter_mut()
        .for_each(|files| files.retain(|(path, _)| trimmer.keeps(path)));
    give_way(layers, &mut files);
    let scans: Vec<Scanned> = layers
        .iter()
        .map(|layer| {
            layer
                .scan
                .as_ref()
                .map_or(Ok(Scanned::new()), |id| scan::read(session, id))
        })
        .collect::<Result<_, _>>()?;
    let members: Vec<Member<'_>> = layers
        .iter()
        .zip(&scans)
        .zip(&files)
        .map(|((layer, scan), files)| Member {
            name: &layer.name,
            keep: layer.keep,
            scan,
            files,
        })
        .collect();
    let unneeded = libraries::unneeded(&members)?;
    let idle = libraries::idle(&members, &unneeded);
    for (files, idle) in files.iter_mut().zip(idle) {
        if idle {
            files.clear();
        }
    }
    let joined = join(layers, &files, |path| !unneeded.contains(path))?;
    let mut builder = TreeBuilder::new();
    for entry in entries {
        let (path, link) = entry_link(&joined, entry)?;
        builder.insert(&path, link)?;
    }
    for (path, (entry, _)) in joined {
        builder.insert(path, entry)?;
    }
    Ok(builder.finish(session)?)
}

/// A library that is there only in case somebody needs one gives way to one that is there anyway: what
/// a recipe builds takes the place of the distribution's.
fn give_way(layers: &[Layer<ObjectId>], files: &mut [Vec<(String, Entry)>]) {
    let is_idle = |layer: &Layer<ObjectId>| layer.keep == Keep::IfNeeded;
    if !layers.iter().any(is_idle) {
        return;
    }
    let firm = layers.iter().zip(files.iter());
    let firm: BTreeSet<String> = firm
        .filter(|(layer, _)| !is_idle(layer))
        .flat_map(|(_, files)| files.iter().map(|(path, _)| path.clone()))
        .collect();
    for (_, files) in layers.iter().zip(files).filter(|(layer, _)| is_idle(layer)) {
        files.retain(|(path, _)| !firm.contains(path));
    }
}

type Joined<'a> = BTreeMap<&'a str, (Entry, &'a str)>;

fn join<'a>(
    layers: &'a [Layer<ObjectId>],
    files: &'a [Vec<(String, Entry)>],
    keeps: impl Fn(&str) -> bool,
) -> Result<Joined<'a>, StepError> {
    let mut joined = Joined::new();
    for (layer, files) in layers.iter().zip(files) {
        for (path, entry) in files.iter().filter(|(path, _)| keeps(path)) {
            match joined.get(path.as_str()) {
                None => {
                    joined.insert(path, (entry.clone(), &layer.name));
                }
                Some((first, _)) if first == entry => {}
                Some((_, first)) => {
                    return Err(StepError::Conflict {
                        path: path.clone(),
                        first: (*first).to_owned(),
                        second: layer.name.clone(),
                    });
                }
            }
        }
    }
    Ok(joined)
}

/// A link is enough: every program of a closure finds its own folder through links.
fn entry_link(joined: &Joined<'_>, entry: &EntryPoint) -> Result<(String, Entry), StepError> {
    let runs = entry.runs.as_str();
    let path = format!("bin/{}", entry.name);
    if !joined.contains_key(runs) {
        let all = joined.keys().copied();
        return Err(StepError::NoEntry {
            name: entry.name.clone(),
            runs: runs.to_owned(),
            near: crate::lock::near::nearest(runs, all),
        });
    }
    if let Some((_, by)) = joined.get(path.as_str()) {
        return Err(StepError::EntryTaken {
            name: entry.name.clone(),
            by: (*by).to_owned(),
        });
    }
    let target = runs
        .strip_prefix("bin/")
        .map_or_else(|| format!("../{runs}"), str::to_owned);
    Ok((path, Entry::Symlink { target }))
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
