//! The packaging part of a Debian source package → those of its patches that the closure undoes, as
//! one text. Begin at [`library_patches`].

use std::collections::BTreeMap;
use std::io::Read;

use recipe_store::{BlobId, Session};

use super::{RelocateError, python};
use crate::archive::{self, ArchiveError, Compression, Limits, OnlyFiles};
use crate::build::steps::patch::{self, FilePatch};

const FOLDER: &str = "debian/patches/";

/// Reads `packaging`, a `.debian.tar.xz`, and keeps one text: the patches of its series, in order,
/// that add what Python's library in a closure must not have. A new version of the source package
/// with the same such patches gives the same blob.
pub(crate) fn library_patches(
    session: &Session,
    packaging: &BlobId,
) -> Result<BlobId, RelocateError> {
    // File name → text. Patches are small; what is not UTF-8 cannot be one that we undo.
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut keep = OnlyFiles(|path: &str, _: u64, content: &mut dyn Read| {
        if let Some(name) = path.strip_prefix(FOLDER) {
            let mut bytes = Vec::new();
            content
                .read_to_end(&mut bytes)
                .map_err(ArchiveError::sink)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            files.insert(name.to_owned(), text);
        }
        Ok(())
    });
    let file = session.open_blob(packaging)?;
    archive::unpack_tar(
        file,
        Compression::Xz,
        "the packaging of Python",
        &Limits::default(),
        &mut keep,
    )?;
    let series = files
        .get("series")
        .ok_or_else(|| RelocateError::Packaging {
            what: format!("it has no {FOLDER}series"),
        })?;
    let mut text = String::new();
    for name in patch::names(series) {
        let patch = files.get(name).ok_or_else(|| RelocateError::Packaging {
            what: format!("{FOLDER}{name} is missing"),
        })?;
        if python::is_undone_by(patch) {
            text.push_str(patch);
            if !patch.ends_with('\n') {
                text.push('\n');
            }
        }
    }
    Ok(session.put_blob(text.as_bytes(), false)?)
}

/// What [`library_patches`] kept, taken apart. Without it, a file that needs it says so when its
/// marks are found left.
pub(super) fn load(
    session: &Session,
    patches: Option<&BlobId>,
) -> Result<Vec<FilePatch>, RelocateError> {
    let Some(blob) = patches else {
        return Ok(Vec::new());
    };
    let text = String::from_utf8_lossy(&session.read_blob(blob)?).into_owned();
    patch::parse(&text).map_err(|source| RelocateError::Patch {
        file: FOLDER.to_owned(),
        source,
    })
}
