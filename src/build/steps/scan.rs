//! A tree → what its ELF files need and provide: read once, and kept as a blob.

use std::collections::BTreeMap;

use recipe_store::{BlobId, Entry, ObjectId, Session, TreeId};

use super::{StepError, blob, leaves};
use crate::elf::{self, Facts};

/// The ELF files of a tree, by path.
pub(super) type Scanned = BTreeMap<String, Facts>;

/// Reads a scan back.
pub(super) fn read(session: &Session, id: &ObjectId) -> Result<Scanned, StepError> {
    let bytes = session.read_blob(&blob(id, "a scan")?)?;
    serde_json::from_slice(&bytes).map_err(unexpected)
}

pub(super) fn scan(session: &Session, tree: &TreeId) -> Result<BlobId, StepError> {
    let mut files = Scanned::new();
    for (path, entry) in leaves(session, tree)? {
        let Entry::File { blob, executable } = entry else {
            continue;
        };
        if !executable && is_text(&path) {
            continue;
        }
        let facts = elf::read(&session.read_blob(&blob)?);
        let facts = facts.map_err(|error| StepError::Elf {
            path: path.clone(),
            error,
        })?;
        files.extend(facts.map(|facts| (path, facts)));
    }
    let text = serde_json::to_vec(&files).map_err(unexpected)?;
    Ok(session.put_blob(&text, false)?)
}

fn unexpected(error: serde_json::Error) -> StepError {
    StepError::Unexpected {
        what: "the scan of a tree".into(),
        found: error.to_string(),
    }
}

/// Names of files that no loader opens; reading thousands of them only to see that would cost most
/// of this step's time.
fn is_text(path: &str) -> bool {
    const ENDINGS: [&str; 10] = [
        ".py",
        ".pyi",
        ".txt",
        ".h",
        ".c",
        ".pyx",
        ".pxd",
        ".json",
        ".typed",
        "/copyright",
    ];
    path.starts_with("share/") || ENDINGS.iter().any(|ending| path.ends_with(ending))
}
