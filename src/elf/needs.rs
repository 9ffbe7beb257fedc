//! Files + the libraries there are → which are reached, and what is missing. Begin at [`needs`].
//!
//! A pure walk over [`Facts`]; nothing is opened. [`needs`] knows libraries by their names only, which
//! is enough to choose packages; [`needs_in_tree`] follows search paths as the loader does, which tells
//! whether a finished tree works.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Facts;

/// What a walk found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Names of the libraries that are reached (keys of what was given), the roots left out unless
    /// something needs them.
    pub reached: BTreeSet<String>,
    /// What no library provides.
    pub missing: BTreeSet<Missing>,
}

/// A need that nobody meets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The file that needs it.
    pub file: String,
    /// The library it needs.
    pub soname: String,
    /// `None`: the library is not there. Else it is, and lacks this symbol version.
    pub version: Option<String>,
}

/// Walks from `roots` (name and facts) through `providers` (by soname). A library is told apart by
/// its soname alone. `file` in what is missing is the root's name, or the soname of a library.
pub fn needs<'a>(
    providers: &'a BTreeMap<String, Facts>,
    roots: impl IntoIterator<Item = (&'a str, &'a Facts)>,
) -> Answer {
    let found = |name, facts| Found {
        name,
        facts,
        inherited: Vec::new(),
    };
    let roots = roots.into_iter().map(|(name, facts)| found(name, facts));
    walk(roots, |_, soname| {
        let (name, facts) = providers.get_key_value(soname)?;
        Some(found(name.as_str(), facts))
    })
}

/// Walks a finished tree: `files` by path (`bin/python3`, `lib/libc.so.6`), no part of which starts
/// with a slash. From each root the search paths are followed as the loader follows them: the
/// DT_RUNPATH of a file, or its DT_RPATH and then that of what loaded it. Absolute entries lead
/// nowhere. A root that is no program (an extension module) is loaded by one that looks in
/// `library_path` (`lib`). A library that was loaded before serves whoever asks for its soname. What a
/// library lacks by itself is not missing where all is found for it when another root loads it: that
/// one's DT_RPATH counts for it too.
pub fn needs_in_tree<'a>(
    files: &'a BTreeMap<String, Facts>,
    library_path: &[&str],
    roots: impl IntoIterator<Item = &'a str>,
) -> Answer {
    let mut answer = Answer::default();
    // What a root lacks by itself, and libraries that lack nothing when another root loads them.
    let (mut alone, mut served) = (Vec::new(), BTreeSet::new());
    for root in roots {
        let Some((name, facts)) = files.get_key_value(root) else {
            continue;
        };
        let is_program = facts.is_executable_program() || facts.entry_stub;
        let brought = if is_program { &[] } else { library_path };
        let inherited = brought.iter().map(|s| (*s).to_owned()).collect();
        let start = Found {
            name,
            facts,
            inherited,
        };
        let mut loaded: BTreeMap<&'a str, Found<'a>> = BTreeMap::new();
        let found = walk([start], |from: &Found<'a>, soname| {
            let folders = search_folders(from);
            let mut paths = folders.folders.iter().map(|folder| join(folder, soname));
            let hit = paths.find_map(|path| files.get_key_value(&path));
            let Some((name, facts)) = hit else {
                return loaded.get(soname).cloned();
            };
            let found = Found {
                name,
                facts,
                inherited: folders.inherited,
            };
            if let Some(soname) = &facts.soname {
                loaded.entry(soname).or_insert_with(|| found.clone());
            }
            Some(found)
        });
        let lacks = |file: &str| found.missing.iter().any(|it| it.file == file);
        served.extend(found.reached.iter().filter(|it| !lacks(it)).cloned());
        answer.reached.extend(found.reached);
        let (own, others): (Vec<_>, Vec<_>) =
            found.missing.into_iter().partition(|it| it.file == *name);
        alone.extend(own);
        answer.missing.extend(others);
    }
    alone.retain(|missing| !served.contains(&missing.file));
    answer.missing.extend(alone);
    answer
}

/// A library the walk came to, with the DT_RPATH folders of those that led to it.
#[derive(Clone)]
struct Found<'a> {
    name: &'a str,
    facts: &'a Facts,
    inherited: Vec<String>,
}

fn walk<'a>(
    roots: impl IntoIterator<Item = Found<'a>>,
    mut provide: impl FnMut(&Found<'a>, &'a str) -> Option<Found<'a>>,
) -> Answer {
    let mut answer = Answer::default();
    let mut queue: VecDeque<Found<'a>> = roots.into_iter().collect();
    while let Some(file) = queue.pop_front() {
        let mut by_soname = BTreeMap::new();
        for soname in &file.facts.needed {
            let Some(found) = provide(&file, soname) else {
                let (file, soname) = (file.name.to_owned(), soname.clone());
                answer.missing.insert(Missing {
                    file,
                    soname,
                    version: None,
                });
                continue;
            };
            by_soname.insert(soname.as_str(), found.facts);
            if answer.reached.insert(found.name.to_owned()) {
                queue.push_back(found);
            }
        }
        answer.missing.extend(missing_versions(&file, &by_soname));
    }
    answer
}

/// Symbol versions that a library which is there does not define. Libraries that define none at all
/// are taken by the loader with a warning, and by us.
fn missing_versions(file: &Found<'_>, found: &BTreeMap<&str, &Facts>) -> Vec<Missing> {
    let wanted = file.facts.versions_needed.iter();
    let pairs = wanted.flat_map(|(soname, versions)| versions.iter().map(move |v| (soname, v)));
    let lacks = |(soname, version): &(&String, &String)| {
        found.get(soname.as_str()).is_some_and(|facts| {
            !facts.versions_defined.is_empty() && !facts.versions_defined.contains(version)
        })
    };
    let missing = pairs.filter(lacks).map(|(soname, version)| Missing {
        file: file.name.to_owned(),
        soname: soname.clone(),
        version: Some(version.clone()),
    });
    missing.collect()
}

struct Folders {
    folders: Vec<String>,
    inherited: Vec<String>,
}

/// Where the needs of a file are looked for, and what those it loads inherit.
fn search_folders(file: &Found<'_>) -> Folders {
    let own = |path: &Option<String>| -> Vec<String> {
        let entries = path.as_deref().unwrap_or("").split(':');
        let folders = entries.filter_map(|entry| expand(file.name, entry));
        folders.collect()
    };
    if file.facts.runpath.is_some() {
        return Folders {
            folders: own(&file.facts.runpath),
            inherited: file.inherited.clone(),
        };
    }
    let mut folders = own(&file.facts.rpath);
    folders.extend(file.inherited.iter().cloned());
    Folders {
        inherited: folders.clone(),
        folders,
    }
}

/// `$ORIGIN/../lib` seen from `bin/python3` is `lib`. `None` for what leaves the tree.
fn expand(file: &str, entry: &str) -> Option<String> {
    let rest = entry
        .strip_prefix("$ORIGIN")
        .or_else(|| entry.strip_prefix("${ORIGIN}"))?;
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// True for the libraries that glibc consists of: they belong to one loader, and are never mixed.
pub fn is_glibc_soname(soname: &str) -> bool {
    const NAMES: [&str; 20] = [
        "ld-linux-aarch64.so.1",
        "ld-linux-x86-64.so.2",
        "libBrokenLocale.so.1",
        "libanl.so.1",
        "libc.so.6",
        "libc_malloc_debug.so.0",
        "libdl.so.2",
        "libm.so.6",
        "libmemusage.so",
        "libmvec.so.1",
        "libnsl.so.1",
        "libnss_compat.so.2",
        "libnss_dns.so.2",
        "libnss_files.so.2",
        "libnss_hesiod.so.2",
        "libpthread.so.0",
        "libresolv.so.2",
        "librt.so.1",
        "libthread_db.so.1",
        "libutil.so.1",
    ];
    NAMES.binary_search(&soname).is_ok()
}
