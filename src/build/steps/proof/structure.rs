//! What of a closure can be proved without running it: for a platform that this machine is not.
//!
//! Every ELF file is of the platform that the manifest names, what it needs is inside, and each program
//! starts through the stub or needs no loader at all.

use std::collections::BTreeMap;

use rayon::prelude::*;
use recipe_store::{Entry, Session};

use super::super::{StepError, manifest};
use super::guard;
use crate::elf::{self, Facts, needs_in_tree};

/// Checks `files`, the files of a closure.
pub(super) fn check(session: &Session, files: &[(String, Entry)]) -> Result<(), StepError> {
    let elf = elf_files(session, files)?;
    let machine = machine(session, files)?;
    for (path, facts) in &elf {
        if facts.machine.to_string() != machine {
            return Err(guard(format!(
                "{path} is for {}, in a closure for {machine}",
                facts.machine
            )));
        }
        if facts.is_executable_program() && !facts.entry_stub {
            let loader = facts.interpreter.as_deref().unwrap_or_default();
            return Err(guard(format!(
                "{path} is started by {loader}, a file of the host"
            )));
        }
    }
    let roots: Vec<&str> = elf.keys().map(String::as_str).collect();
    match needs_in_tree(&elf, &["lib"], roots).missing.first() {
        None => Ok(()),
        Some(missing) => Err(guard(format!(
            "{} needs {}, which is not inside",
            missing.file, missing.soname
        ))),
    }
}

fn elf_files(
    session: &Session,
    files: &[(String, Entry)],
) -> Result<BTreeMap<String, Facts>, StepError> {
    let found: Vec<Option<(String, Facts)>> = files
        .par_iter()
        .map(|(path, entry)| {
            let Entry::File { blob, .. } = entry else {
                return Ok(None);
            };
            let bytes = session.read_blob(blob)?;
            let facts = elf::read(&bytes).map_err(|error| StepError::Elf {
                path: path.clone(),
                error,
            })?;
            Ok(facts.map(|facts| (path.clone(), facts)))
        })
        .collect::<Result<_, StepError>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// The processor in the contract of the manifest.
fn machine(session: &Session, files: &[(String, Entry)]) -> Result<String, StepError> {
    let manifest = files.iter().find(|(path, _)| path == manifest::PATH);
    let Some((_, Entry::File { blob, .. })) = manifest else {
        return Err(guard("the closure has no manifest".into()));
    };
    let text = String::from_utf8_lossy(&session.read_blob(blob)?).into_owned();
    let manifest = manifest::Manifest::parse(&text);
    let manifest = manifest.map_err(|line| guard(format!("line {line} of the manifest")))?;
    Ok(manifest.contract.machine)
}
