//! Why a package or a file is in the closure: which package brought it, and who needs that.

use std::collections::BTreeMap;

use recipe_store::{Entry, ObjectId, TreeId};
use serde::Serialize;

use super::Scene;
use crate::build::steps::read_scan;
use crate::cli::advice::report;
use crate::cli::exit::Failed;
use crate::cli::render::plural;
use crate::elf::Facts;
use crate::lock::{FileKind, Locked, near};
use crate::plan::{Layer, Step};

/// The answer for a package.
#[derive(Serialize)]
pub(super) struct Package {
    package: String,
    package_version: String,
    kind: String,
    /// Who needs it, as the lock says, then who needs those.
    reasons: Vec<String>,
    /// How many of its files are in the closure; none where that is not known without a build.
    files: Option<usize>,
}

/// The answer for a path.
#[derive(Serialize)]
pub(super) struct Path {
    path: String,
    /// Whether the closure has it; none where that is not known without a build.
    inside: Option<bool>,
    /// Which layers have it.
    from: Vec<String>,
    /// Why the first of those packages is there.
    reasons: Vec<String>,
    /// Files of the closure that need it as a library.
    needed_by: Vec<String>,
}

/// So many of the files that need a library are named.
const FEW: usize = 8;

pub(super) fn package(scene: &Scene<'_>, file: &Locked) -> Result<Package, Failed> {
    let mut files = None;
    if let Some(closure) = scene.closure() {
        let mut count = 0;
        for (_, tree) in scene
            .layers()
            .into_iter()
            .filter(|(name, _)| is_of(name, file))
        {
            for path in paths(scene, &tree)? {
                count += usize::from(lookup(scene, &closure, &path)?.is_some());
            }
        }
        files = Some(count);
    }
    Ok(Package {
        package: file.name.clone(),
        package_version: file.version.clone(),
        kind: file.kind.to_string(),
        reasons: reasons(scene, file),
        files,
    })
}

fn is_of(layer: &str, file: &Locked) -> bool {
    layer == file.name || layer.strip_suffix(" (byte code)") == Some(&file.name)
}

pub(super) fn path(scene: &Scene<'_>, word: &str) -> Result<Path, Failed> {
    let below = format!("result/{}/", scene.recipe.title());
    let path = word.trim_start_matches("./");
    let path = path.strip_prefix(&below).unwrap_or(path);
    let path = path.trim_matches('/').to_owned();
    let mut from = Vec::new();
    for (name, tree) in scene.layers() {
        if lookup(scene, &tree, &path)?.is_some() {
            from.push(name);
        }
    }
    let inside = match scene.closure() {
        Some(closure) => Some(lookup(scene, &closure, &path)?.is_some()),
        None => None,
    };
    if from.is_empty() && inside != Some(true) {
        let names = scene.lock.files.iter().map(|file| file.name.as_str());
        return Err(Failed::Usage(report(
            format!(
                "{} has neither a package, a step nor a path `{word}`",
                scene.recipe.name
            ),
            match near::question(word, names) {
                Some(question) => question,
                None if inside.is_some() => format!(
                    "paths are those in the closure, such as bin/python3; {} lists the packages",
                    scene.found.lock_path
                ),
                None => format!(
                    "it is not built as it is now: `recipe build {}` first",
                    scene.found.typed()
                ),
            },
        )));
    }
    let package = from.first().and_then(|name| {
        let files = scene.lock.files.iter();
        let of_layer = |file: &&Locked| file.kind != FileKind::DebianPatches && is_of(name, file);
        files.into_iter().find(of_layer)
    });
    Ok(Path {
        needed_by: needed_by(scene, &path)?,
        reasons: package.map_or_else(Vec::new, |file| reasons(scene, file)),
        path,
        inside,
        from,
    })
}

/// The reason of a locked file, then the reasons of those that it names, up to the recipe.
fn reasons(scene: &Scene<'_>, file: &Locked) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    let mut at = Some(file);
    while let Some(file) = at {
        let told = format!("{}: {}", file.name, words(&file.reason));
        if reasons.contains(&told) {
            break;
        }
        reasons.push(told);
        let by = file.reason.split([' ', ',']).next().unwrap_or_default();
        let files = &scene.lock.files;
        at = files.iter().find(|other| other.name == by);
    }
    reasons
}

/// A lock's reason in words.
fn words(reason: &str) -> String {
    match reason {
        "recipe" => "the recipe names it".into(),
        "base" => "every closure has it".into(),
        "interpreter" => "it is the interpreter".into(),
        reason => reason.to_owned(),
    }
}

/// Files of the closure that name the library at `path`.
fn needed_by(scene: &Scene<'_>, path: &str) -> Result<Vec<String>, Failed> {
    let mut files: BTreeMap<String, Facts> = BTreeMap::new();
    for node in scene.plan.graph().node_indices() {
        let step = &scene.plan.graph()[node].step;
        if let (Step::Scan { .. }, Some(id)) = (step, scene.standing.outputs.get(&node)) {
            let scan = read_scan(scene.session, id);
            files.extend(scan.map_err(|error| Failed::Usage(error.into()))?);
        }
    }
    let file_name = path.rsplit('/').next().unwrap_or(path);
    let own = files.get(path).and_then(|facts| facts.soname.as_deref());
    let soname = own.unwrap_or(file_name);
    let closure = scene.closure();
    let mut found = Vec::new();
    for (user, facts) in &files {
        let needs = facts.needed.iter().any(|needed| needed == soname);
        let inside = match &closure {
            Some(closure) => lookup(scene, closure, user)?.is_some(),
            None => true,
        };
        if needs && inside {
            found.push(user.clone());
        }
    }
    Ok(found)
}

/// Every file and link below a tree.
fn paths(scene: &Scene<'_>, tree: &TreeId) -> Result<Vec<String>, Failed> {
    let contents = crate::closure::contents::of_tree(scene.session, tree)?;
    Ok(contents.into_keys().collect())
}

/// What lies at a path of a tree.
fn lookup(scene: &Scene<'_>, tree: &TreeId, path: &str) -> Result<Option<Entry>, Failed> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut at = *tree;
    for folder in folders.split('/').filter(|part| !part.is_empty()) {
        match scene.session.read_tree(&at)?.get(folder) {
            Some(Entry::Directory(below)) => at = *below,
            _ => return Ok(None),
        }
    }
    Ok(scene.session.read_tree(&at)?.get(name).cloned())
}

impl Scene<'_> {
    /// The layers that are present, by name.
    fn layers(&self) -> Vec<(String, TreeId)> {
        let graph = self.plan.graph();
        let layers = graph.node_weights().filter_map(|node| match &node.step {
            Step::Compose { layers, .. } => Some(layers),
            _ => None,
        });
        let known = |layer: &Layer<_>| match self.standing.outputs.get(&layer.tree)? {
            ObjectId::Tree(tree) => Some((layer.name.clone(), *tree)),
            ObjectId::Blob(_) => None,
        };
        layers.flatten().filter_map(known).collect()
    }

    /// The closure, if it is built as it is now.
    fn closure(&self) -> Option<TreeId> {
        match self.standing.outputs.get(&self.plan.closure())? {
            ObjectId::Tree(tree) => Some(*tree),
            ObjectId::Blob(_) => None,
        }
    }
}

impl Package {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{} {} ({})\n",
            self.package, self.package_version, self.kind
        );
        text.push_str(&chain(&self.reasons));
        match self.files {
            Some(count) => {
                text.push_str(&format!("  {} of it in the closure", plural(count, "file")));
            }
            None => text.push_str("  not built as it is now"),
        }
        text
    }
}

/// Each reason on a line of its own.
fn chain(reasons: &[String]) -> String {
    reasons
        .iter()
        .map(|reason| format!("  {reason}\n"))
        .collect()
}

impl Path {
    pub(super) fn text(&self) -> String {
        let from = match self.from.as_slice() {
            [] => "recipe makes it while the closure is put together".to_owned(),
            names => format!("from {}", names.join(", ")),
        };
        let mut text = format!("{}: {from}\n", self.path);
        if self.inside == Some(false) {
            text.push_str("  not in the closure: trimmed, or a library that nothing needs\n");
        }
        text.push_str(&chain(&self.reasons));
        for user in self.needed_by.iter().take(FEW) {
            text.push_str(&format!("  {user} needs it\n"));
        }
        if self.needed_by.len() > FEW {
            text.push_str(&format!("  and {} more\n", self.needed_by.len() - FEW));
        }
        text.trim_end().to_owned()
    }
}
