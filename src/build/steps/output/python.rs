//! What is laid out otherwise where an output is an interpreter: its scripts and its names.

use recipe_store::{Entry, Session, StoreError, TreeBuilder, TreeId};

use super::StepError;
use crate::build::steps::wheel::{SCRIPTS, runs_python};
use crate::lock::entry_at;
use crate::platform::Platform;

/// Scripts of the interpreter's own that say what a module says as well (`python3 -m pydoc`), or that
/// speak of the folder it was built in; a distribution's interpreter is without them too.
pub(super) fn is_left_out(path: &str) -> bool {
    let Some(name) = path.strip_prefix("bin/") else {
        return false;
    };
    ["idle3", "pydoc3", "2to3"]
        .iter()
        .any(|own| name.starts_with(own))
        || (name.starts_with("python3") && name.ends_with("-config"))
}

/// A distribution has the `pyconfig.h` of each processor in a folder of its own, and beside the other
/// headers one that chooses; an interpreter of our own has the one only.
pub(super) fn header(path: String) -> String {
    let folder = Platform::default().triplet();
    match path.strip_prefix("include/") {
        Some(inside) if inside.ends_with("/pyconfig.h") => format!("include/{folder}/{inside}"),
        _ => path,
    }
}

/// A program that a Python runs, where it names one that is nowhere else: the script beside its
/// launcher, and its text.
pub(super) fn script(path: &str, bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let name = path
        .strip_prefix("bin/")
        .filter(|name| !name.contains('/'))?;
    if !runs_python(&bytes[..bytes.len().min(256)]) {
        return None;
    }
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let text = [b"#!python3", &bytes[end..]].concat();
    Some((format!("{SCRIPTS}/{name}"), text))
}

/// The tree with the names that everybody starts an interpreter by.
pub(super) fn named(session: &Session, tree: TreeId, version: &str) -> Result<TreeId, StepError> {
    let program = format!("bin/python{version}");
    if entry_at(session, &tree, &program)?.is_none() {
        return Err(StepError::NoInterpreter { path: program });
    }
    let mut builder = TreeBuilder::from_tree(tree);
    let mut changed = false;
    for (name, target) in [
        ("bin/python3", format!("python{version}")),
        ("bin/python", "python3".to_owned()),
    ] {
        if entry_at(session, &tree, name)?.is_none() {
            builder
                .insert(name, Entry::Symlink { target })
                .map_err(StoreError::from)?;
            changed = true;
        }
    }
    Ok(match changed {
        true => builder.finish(session)?,
        false => tree,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_script_of_an_interpreter_starts_beside_it_and_names_no_folder() {
        let text = b"#!/out/of-this-build/bin/python3.13\nimport pip\n";
        let (place, text) = script("bin/pip3", text).unwrap();
        assert_eq!(place, "libexec/scripts/pip3");
        assert_eq!(text, b"#!python3\nimport pip\n");
        assert_eq!(script("bin/run", b"#!/bin/sh\n"), None);
        assert_eq!(script("share/pip3", b"#!/usr/bin/python3\n"), None);
    }

    #[test]
    fn scripts_that_only_speak_of_the_build_are_left_out() {
        for name in ["idle3", "pydoc3.13", "python3-config", "python3.13-config"] {
            assert!(is_left_out(&format!("bin/{name}")), "{name}");
        }
        for name in ["python3", "python3.13", "pip3", "python3-x"] {
            assert!(!is_left_out(&format!("bin/{name}")), "{name}");
        }
    }
}
