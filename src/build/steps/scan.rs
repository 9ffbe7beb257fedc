//! A tree → what its ELF files need and provide: read once, and kept as a blob.

use recipe_store::{BlobId, Entry, ObjectId, Session, TreeId};
use serde::{Deserialize, Serialize};

use super::{StepError, blob, leaves};
use crate::elf;

/// The ELF files of a tree, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scanned {
    pub(super) files: Vec<ScannedFile>,
}

/// What is known of one ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScannedFile {
    pub(super) path: String,
    /// DT_SONAME, or empty.
    pub(super) soname: String,
    /// DT_NEEDED, in its order.
    pub(super) needed: Vec<String>,
    /// Processor architecture.
    pub(super) machine: String,
    /// x86-64 micro-architecture level that it needs; 1 is the baseline.
    pub(super) level: u32,
    /// Minimum kernel of its ABI note, or empty.
    pub(super) kernel: String,
    /// Newest glibc symbol version that it needs, or empty.
    pub(super) glibc: String,
}

impl Scanned {
    pub(super) fn read(session: &Session, id: &ObjectId) -> Result<Scanned, StepError> {
        let bytes = session.read_blob(&blob(id, "a scan")?)?;
        serde_json::from_slice(&bytes).map_err(|error| StepError::Unexpected {
            what: "the scan of a tree".into(),
            found: error.to_string(),
        })
    }
}

impl ScannedFile {
    /// The name by which others ask for it.
    pub(super) fn answers_to(&self) -> &str {
        if self.soname.is_empty() {
            self.path.rsplit('/').next().unwrap_or(&self.path)
        } else {
            &self.soname
        }
    }
}

pub(super) fn scan(session: &Session, tree: &TreeId) -> Result<BlobId, StepError> {
    let mut files = Vec::new();
    for (path, entry) in leaves(session, tree)? {
        let Entry::File { blob, executable } = entry else { continue };
        if !executable && is_text(&path) {
            continue;
        }
        let bytes = session.read_blob(&blob)?;
        let facts = elf::read(&bytes)
            .map_err(|error| StepError::Elf { path: path.clone(), error })?;
        files.extend(facts.map(|facts| of(path, &facts)));
    }
    let text = serde_json::to_vec(&Scanned { files }).map_err(|error| StepError::Unexpected {
        what: "the scan of a tree".into(),
        found: error.to_string(),
    })?;
    Ok(session.put_blob(&text, false)?)
}

/// Names of files that no loader opens; reading thousands of them only to see that would cost most
/// of this step's time.
fn is_text(path: &str) -> bool {
    const ENDINGS: [&str; 10] =
        [".py", ".pyi", ".txt", ".h", ".c", ".pyx", ".pxd", ".json", ".typed", "/copyright"];
    path.starts_with("share/") || ENDINGS.iter().any(|ending| path.ends_with(ending))
}
