//! What was seen → why. Begin at [`Causes::of`]; [`Causes::of_start`] is for a program that does not
//! start.

use std::collections::BTreeSet;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use super::Check;
use crate::elf;

/// Words that a loader or Python says, and what they mean whatever was being checked.
const SIGNS: [(&str, &str); 9] = [
    (
        "version `GLIBC_",
        "a C library is used that is older than what was linked: that of the host or of the caller, not its own",
    ),
    (
        "invalid ELF header",
        "the loader takes libraries from LD_LIBRARY_PATH before its own",
    ),
    (
        "No module named 'encodings'",
        "the standard library is looked for where it is not: by a path that was compiled in or written down",
    ),
    (
        "No module named '_",
        "a module of the standard library was left out",
    ),
    ("No module named pip", "pip was left out"),
    (
        "invalid command 'bdist_wheel'",
        "the package `wheel` was left out, which this setuptools needs",
    ),
    (
        "its base is /",
        "a venv made with it is of a Python outside of the tree: it is itself a venv, or finds its prefix elsewhere",
    ),
    ("/bin/sh: ", "a shell is needed"),
    ("Read-only file system", "it writes into the tree"),
];

/// What has to be known of a tree to tell a cause.
#[derive(Debug)]
pub(super) struct Causes {
    /// Where it lies on the host.
    pub(super) tree: Utf8PathBuf,
    /// What starts its Python, from there.
    pub(super) program: Utf8PathBuf,
    /// The names of its files and links, without their folders.
    pub(super) names: BTreeSet<String>,
}

impl Causes {
    /// The cause of what `check` found.
    pub(super) fn of(&self, check: &Check, found: &str) -> String {
        if let Some(library) = missing_library(found) {
            return if self.names.contains(library) {
                format!("{library} is in the tree, and the loader does not find it there")
            } else {
                format!("{library} is not in the tree, and this place has none")
            };
        }
        let sign = SIGNS.iter().find(|(sign, _)| found.contains(sign));
        sign.map_or(check.meaning, |(_, cause)| cause).to_owned()
    }

    /// Why its Python does not start, or not as itself, at a place that lacks what the host has.
    pub(super) fn of_start(&self, check: &Check, said: &str) -> String {
        let path = self.tree.join(&self.program);
        if let Some(outside) = leads_out(&self.tree, &path) {
            return format!(
                "{} leads to {outside}, which is not in the tree",
                self.program
            );
        }
        if missing_library(said).is_some() {
            return self.of(check, said);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        if let Some(line) = bytes.strip_prefix(b"#!") {
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
            let interpreter = String::from_utf8_lossy(line).trim().to_owned();
            return format!(
                "it is a script: it needs `{interpreter}` and the programs that it calls"
            );
        }
        let facts = elf::read(&bytes).ok().flatten();
        match facts.and_then(|facts| facts.interpreter) {
            Some(loader) if said.contains("cannot be started") => {
                format!("its loader is the host's {loader}")
            }
            _ => self.of(check, said),
        }
    }
}

/// `libx.so.1: cannot open shared object file: No such file or directory`.
fn missing_library(found: &str) -> Option<&str> {
    let (before, _) = found.split_once(": cannot open shared object file")?;
    let name = before.rsplit([' ', '\'', '"', '\n']).next()?;
    name.contains(".so").then_some(name)
}

/// Where a chain of links ends, if that is not in the tree.
fn leads_out(tree: &Utf8Path, path: &Utf8Path) -> Option<Utf8PathBuf> {
    let real = path.canonicalize_utf8().ok()?;
    (!real.starts_with(tree)).then_some(real)
}
