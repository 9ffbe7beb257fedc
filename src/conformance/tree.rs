//! What the files of a tree tell, without running anything: [`Tree`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;

use super::cause::Causes;
use super::report::Answer;
use super::{CHECKS, Check, ConformanceError, How};
use crate::elf::{self, Facts};

/// How the report calls where files were read.
pub(super) const FILES: &str = "files";

/// The check whose needle may be named on purpose.
pub(super) const PATHS: &str = "paths_of_the_build";

/// How many faults of one kind are told.
const TOLD: usize = 6;

/// The files and links of a tree, by their path in it.
pub(super) struct Tree {
    files: BTreeMap<String, u32>,
    links: BTreeMap<String, Utf8PathBuf>,
    longest: usize,
}

/// What one file tells: its faults, and what it needs if it is a program or library.
type Look = (Vec<Fault>, Option<(String, Facts)>);

/// What is wrong with one file: the check, and what was seen.
type Fault = (&'static str, String);

impl Tree {
    pub(super) fn read(top: &Utf8Path) -> Result<Tree, ConformanceError> {
        let mut tree = Tree {
            files: BTreeMap::new(),
            links: BTreeMap::new(),
            longest: 0,
        };
        let mut folders = vec![top.to_owned()];
        while let Some(folder) = folders.pop() {
            let unreadable = |source| ConformanceError::Folder {
                path: folder.clone(),
                source,
            };
            for entry in folder.read_dir_utf8().map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let path = entry.path().to_owned();
                let inner = path.strip_prefix(top).unwrap_or(&path).to_string();
                tree.longest = tree.longest.max(inner.len());
                let meta = path.symlink_metadata().map_err(unreadable)?;
                if meta.is_symlink() {
                    let target = path.read_link_utf8().map_err(unreadable)?;
                    tree.links.insert(inner, target);
                } else if meta.is_dir() {
                    folders.push(path);
                } else if meta.is_file() {
                    tree.files.insert(inner, meta.permissions().mode());
                }
            }
        }
        Ok(tree)
    }

    /// The names of its files and links, without their folders.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let paths = self.files.keys().chain(self.links.keys());
        let name = |path: &String| path.rsplit('/').next().unwrap_or(path).to_owned();
        paths.map(name).collect()
    }

    /// Whether its Python is one that keeps its search path as one text, split at colons: before 3.11.
    pub(super) fn splits_at_colons(&self) -> bool {
        let library = |minor| format!("lib/python3.{minor}/os.py");
        (0..11).any(|minor| self.files.contains_key(&library(minor)))
    }

    /// Bytes of the longest path in it.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// One answer for each check that reads files. `needles` are what no file may hold.
    pub(super) fn answers(&self, causes: &Causes, needles: &[String]) -> Vec<Answer> {
        let top = causes.tree.as_path();
        let looks: Vec<Look> = self
            .files
            .par_iter()
            .map(|(path, mode)| look(top, path, *mode, needles))
            .collect();
        let mut faults: Vec<Fault> = self.link_faults(top);
        let mut programs = BTreeMap::new();
        for (found, facts) in looks {
            faults.extend(found);
            programs.extend(facts);
        }
        faults.extend(missing(&programs));
        CHECKS
            .iter()
            .filter(|check| check.how == How::Tree)
            .map(|check| answer(check, &faults, causes))
            .collect()
    }

    fn link_faults(&self, top: &Utf8Path) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (path, target) in &self.links {
            let why = match top.join(path).canonicalize_utf8() {
                _ if target.is_absolute() => "absolute",
                Ok(real) if real.starts_with(top) => continue,
                Ok(_) => "leads out",
                Err(_) => "leads nowhere",
            };
            faults.push(("links", format!("{path} -> {target} ({why})")));
        }
        faults
    }
}

fn answer(check: &'static Check, faults: &[Fault], causes: &Causes) -> Answer {
    let own: Vec<&str> = faults
        .iter()
        .filter(|(name, _)| *name == check.name)
        .map(|(_, text)| text.as_str())
        .collect();
    if own.is_empty() {
        return Answer::holds(check.name, FILES);
    }
    let mut found = own[..own.len().min(TOLD)].join(", ");
    if own.len() > TOLD {
        found.push_str(&format!(" and {} more", own.len() - TOLD));
    }
    let cause = causes.of(check, &found);
    Answer::fails(check.name, FILES, found, cause)
}

fn look(top: &Utf8Path, path: &str, mode: u32, needles: &[String]) -> Look {
    let mut faults = mode_faults(path, mode);
    let bytes = match fs::read(top.join(path)) {
        Ok(bytes) => bytes,
        Err(error) => {
            faults.push(("modes", format!("{path}: {error}")));
            return (faults, None);
        }
    };
    for needle in needles {
        if memchr::memmem::find(&bytes, needle.as_bytes()).is_some() {
            faults.push((PATHS, format!("{path} holds {needle}")));
        }
    }
    faults.extend(text_faults(path, &bytes));
    let facts = elf::read(&bytes).ok().flatten();
    if let Some(facts) = &facts {
        faults.extend(elf_faults(path, facts));
    }
    (faults, facts.map(|facts| (path.to_owned(), facts)))
}

fn mode_faults(path: &str, mode: u32) -> Vec<Fault> {
    let wrong = [
        (mode & 0o6000 != 0, "set-user-id"),
        (mode & 0o022 != 0, "others may write"),
        (mode & 0o044 != 0o044, "others may not read"),
    ];
    let wrong = wrong.into_iter().filter(|(is, _)| *is);
    wrong
        .map(|(_, what)| ("modes", format!("{path} ({what})")))
        .collect()
}

fn text_faults(path: &str, bytes: &[u8]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let name = path.rsplit('/').next().unwrap_or(path);
    let text = String::from_utf8_lossy(bytes);
    if name == "direct_url.json" && text.contains("file:///") {
        faults.push(("records", path.to_owned()));
    }
    if path.ends_with(".dist-info/RECORD")
        && let Some(line) = text.lines().find(|line| line.starts_with('/'))
    {
        faults.push(("records", format!("{path}: {line}")));
    }
    if name.ends_with(".pth") {
        let odd = |line: &&str| line.starts_with("import") || line.starts_with('/');
        let line = text.lines().find(odd);
        faults.extend(line.map(|line| {
            let shown: String = line.chars().take(60).collect();
            ("path_files", format!("{path}: {shown}"))
        }));
    }
    faults
}

fn elf_faults(path: &str, facts: &Facts) -> Vec<Fault> {
    let mut faults = Vec::new();
    if facts.executable_stack {
        faults.push(("hardened", format!("{path} (executable stack)")));
    }
    if facts.text_relocations {
        faults.push(("hardened", format!("{path} (relocates its code)")));
    }
    for entry in search_path(facts) {
        let own = entry.starts_with("$ORIGIN") || entry.starts_with("${ORIGIN}");
        if !own {
            faults.push(("search_paths", format!("{path} (`{entry}`)")));
        } else if from_origin(path, entry).is_none() {
            faults.push(("search_paths", format!("{path} (`{entry}` leads out)")));
        }
    }
    faults
}

fn search_path(facts: &Facts) -> impl Iterator<Item = &str> {
    let both = facts.rpath.iter().chain(&facts.runpath);
    both.flat_map(|path| path.split(':'))
}

/// The folder of the tree that an entry of the search path of the file at `path` names.
fn from_origin(path: &str, entry: &str) -> Option<String> {
    let rest = entry.replace("${ORIGIN}", "$ORIGIN");
    let rest = rest.strip_prefix("$ORIGIN")?;
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Libraries that some file needs and that lie nowhere where the loader looks.
fn missing(files: &BTreeMap<String, Facts>) -> Vec<Fault> {
    let folders = library_folders(files);
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let answer = elf::needs_in_tree(files, &folders, files.keys().map(String::as_str));
    let mut by_library: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // A loader that is told where to look (`--library-path`) finds it there, whatever the file says;
    // whether that is done shows when the tree runs.
    let lies_there = |soname: &str| {
        let mut paths = folders.iter().map(|folder| format!("{folder}/{soname}"));
        paths.any(|path| files.contains_key(&path))
    };
    for missing in answer.missing {
        if missing.version.is_none() && lies_there(&missing.soname) {
            continue;
        }
        let what = match missing.version {
            None => missing.soname,
            Some(version) => format!("{version} of {}", missing.soname),
        };
        by_library.entry(what).or_default().push(missing.file);
    }
    let told = by_library.into_iter().map(|(library, files)| {
        let more = match files.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        format!("{library}, for {}{more}", files[0])
    });
    told.map(|text| ("needed_libraries", text)).collect()
}

/// Where a program of the tree makes its loader look: beside the loader and the C library that it
/// brings, and where its own search path leads.
fn library_folders(files: &BTreeMap<String, Facts>) -> BTreeSet<String> {
    let mut folders = BTreeSet::from(["lib".to_owned()]);
    for (path, facts) in files {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let central = ["ld-linux", "libc.so.", "libpython"];
        if central.iter().any(|start| name.starts_with(start)) {
            folders.insert(folder.to_owned());
        }
        if facts.is_executable_program() || facts.entry_stub {
            folders.extend(search_path(facts).filter_map(|entry| from_origin(path, entry)));
        }
    }
    folders
}
