//! A source's files → one folder, patched. Begin at [`unpack`].
//!
//! An archive with one folder at its top gives what is in that; anything that is no archive lies in
//! the folder under its name. A Debian source package is put together as `dpkg-source` does it: the
//! original, its components in folders of their own, the packaging in `debian/`, then the patches of
//! its series (dpkg-source(1), "Format: 3.0 (quilt)").

use std::collections::BTreeMap;

use miette::Diagnostic;
use recipe_store::{BlobId, Entry, ObjectId, Session, StoreError, TreeBuilder, TreeId};
use thiserror::Error;

use super::patch::{self, FilePatch, PatchError};
use crate::archive::{self, ArchiveError, Compression, Limits, TreeSink};
use crate::plan::{PatchText, SourceFile};

/// Why a source could not be put together.
#[derive(Debug, Error, Diagnostic)]
pub enum SourceError {
    /// An archive is not sound.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(#[from] ArchiveError),
    /// A patch does not fit, or is none.
    #[error("{patch}: {file}")]
    #[diagnostic(code(build::source_patch))]
    Patch {
        /// The patch.
        patch: String,
        /// The file that it changes.
        file: String,
        /// Why.
        #[source]
        #[diagnostic_source]
        source: PatchError,
    },
    /// A patch changes what is not there, makes what is, or what is no text.
    #[error("{patch}: {file} {what}")]
    #[diagnostic(
        code(build::source_patch_file),
        help(
            "paths in a patch start in the source's folder, after one folder that is left out (`patch -p1`)"
        )
    )]
    PatchedFile {
        /// The patch.
        patch: String,
        /// The file.
        file: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A series names a patch that is not there.
    #[error("debian/patches/series names {name}, which is not there")]
    #[diagnostic(
        code(build::source_series),
        help("the source package is damaged: lock another version, or take patches=\"none\"")
    )]
    Series {
        /// The patch.
        name: String,
    },
    /// A commit's archive is not the one that was locked.
    #[error("{file} is not what was locked: wanted sha256 {wanted}, found {found}")]
    #[diagnostic(
        code(build::source_commit),
        help(
            "the commit is the same, so the archive is made in another way than when it was locked: \
             `recipe lock --upgrade` makes the lock anew"
        )
    )]
    Commit {
        /// The archive.
        file: String,
        /// What the lock has.
        wanted: String,
        /// What was made.
        found: String,
    },
    /// The store failed.
    #[error("cannot keep the files of a source")]
    #[diagnostic(code(build::source_store))]
    Store(#[from] StoreError),
}

/// Puts `files` together; `patched` says whether a distribution's patches are applied, and `patches`
/// follow in any case.
pub(super) fn unpack(
    session: &Session,
    files: &[SourceFile<ObjectId>],
    patched: bool,
    patches: &[PatchText],
) -> Result<TreeId, SourceError> {
    let mut builder = TreeBuilder::new();
    // The original comes before its components and the packaging, which lie in it.
    let mut sorted: Vec<&SourceFile<ObjectId>> = files.iter().collect();
    sorted.sort_by_key(|file| (role(&file.name), &file.name));
    let mut diff = None;
    for file in sorted {
        let blob = match &file.file {
            ObjectId::Tree(tree) => {
                builder.merge("", *tree).map_err(StoreError::from)?;
                continue;
            }
            ObjectId::Blob(blob) => blob,
        };
        match role(&file.name) {
            Role::Diff => diff = Some(text_of_diff(session, blob, &file.name)?),
            role => {
                let tree = content(session, blob, &file.name)?;
                let at = match role {
                    Role::Component(name) => name,
                    Role::Packaging => "debian",
                    Role::Original | Role::Diff => "",
                };
                if !at.is_empty() {
                    builder.remove(at).map_err(StoreError::from)?;
                }
                builder.merge(at, tree).map_err(StoreError::from)?;
            }
        }
    }
    let mut source = Patched {
        session,
        tree: builder.finish(session)?,
    };
    if let Some(diff) = &diff {
        source.apply(diff)?;
    }
    if patched {
        for patch in source.series()? {
            source.apply(&patch)?;
        }
    }
    for patch in patches {
        source.apply(patch)?;
    }
    Ok(source.tree)
}

/// What a file of a source is, in the order in which they are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role<'n> {
    Original,
    /// `zlib_1.3.orig-minizip.tar.gz`
    Component(&'n str),
    /// `zlib_1.3-1.debian.tar.xz`
    Packaging,
    /// `zlib_1.3-1.diff.gz`, of the format before that.
    Diff,
}

fn role(name: &str) -> Role<'_> {
    let component = name
        .split_once(".orig-")
        .and_then(|(_, rest)| rest.split_once(".tar."));
    match component {
        Some((component, _)) => Role::Component(component),
        None if name.contains(".debian.tar.") => Role::Packaging,
        None if name.ends_with(".diff.gz") => Role::Diff,
        None => Role::Original,
    }
}

/// What is in an archive; a folder with the file where it is none.
fn content(session: &Session, blob: &BlobId, name: &str) -> Result<TreeId, SourceError> {
    let limits = Limits::default();
    let mut sink = TreeSink::new(session);
    let file = session.open_blob(blob)?;
    if let Some(compression) = Compression::of_tar_name(name) {
        archive::unpack_tar(file, compression, name, &limits, &mut sink)?;
    } else if name.ends_with(".zip") {
        archive::unpack_zip(&file, name, &limits, &mut sink)?;
    } else {
        let mut builder = TreeBuilder::new();
        let entry = Entry::File {
            blob: *blob,
            executable: false,
        };
        builder.insert(name, entry).map_err(StoreError::from)?;
        return Ok(builder.finish(session)?);
    }
    let tree = sink.finish()?;
    let whole = session.read_tree(&tree)?;
    let mut entries = whole.iter();
    Ok(match (entries.next(), entries.next()) {
        (Some((_, Entry::Directory(inside))), None) => *inside,
        _ => tree,
    })
}

fn text_of_diff(session: &Session, blob: &BlobId, name: &str) -> Result<PatchText, SourceError> {
    let bytes = archive::decompress(
        session.open_blob(blob)?,
        Compression::Gzip,
        name,
        &Limits::default(),
    )?;
    Ok(PatchText {
        name: name.to_owned(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// A source's folder, while patches are applied.
struct Patched<'s> {
    session: &'s Session,
    tree: TreeId,
}

impl Patched<'_> {
    /// The distribution's patches in order; none where it has no series.
    fn series(&self) -> Result<Vec<PatchText>, SourceError> {
        let Some(series) = self.text("debian/patches/series")? else {
            return Ok(Vec::new());
        };
        let mut patches = Vec::new();
        for name in patch::names(&series) {
            let text = self.text(&format!("debian/patches/{name}"))?;
            let text = text.ok_or_else(|| SourceError::Series {
                name: name.to_owned(),
            })?;
            patches.push(PatchText {
                name: name.to_owned(),
                text,
            });
        }
        Ok(patches)
    }

    fn apply(&mut self, patch: &PatchText) -> Result<(), SourceError> {
        let wrong = |file: &str, source| SourceError::Patch {
            patch: patch.name.clone(),
            file: file.to_owned(),
            source,
        };
        let files = patch::parse(&patch.text).map_err(|error| wrong("", error))?;
        let mut builder = TreeBuilder::from_tree(self.tree);
        // A patch may speak of one file several times.
        let mut texts: BTreeMap<String, Option<String>> = BTreeMap::new();
        for file in &files {
            let path = changed(file);
            let at_fault = |what| SourceError::PatchedFile {
                patch: patch.name.clone(),
                file: path.clone(),
                what,
            };
            if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err(at_fault("is no path inside the source"));
            }
            let before = match texts.get(&path) {
                Some(text) => text.clone(),
                None => self.text(&path)?,
            };
            let after = match (&file.old, before) {
                (None, Some(text)) if !text.is_empty() => {
                    return Err(at_fault("is to be made, but is there"));
                }
                (None, _) => patch::apply("", file),
                (Some(_), Some(text)) => patch::apply(&text, file),
                // `diff -N` says of a file that it is made by its range alone.
                (Some(_), None) if makes(file) => patch::apply("", file),
                (Some(_), None) => return Err(at_fault("is not there")),
            };
            let after = after.map_err(|error| wrong(&path, error))?;
            texts.insert(path, file.new.is_some().then_some(after));
        }
        for (path, text) in texts {
            match text {
                None => builder.remove(&path).map_err(StoreError::from)?,
                Some(text) => {
                    let executable = matches!(
                        crate::lock::entry_at(self.session, &self.tree, &path)?,
                        Some(Entry::File {
                            executable: true,
                            ..
                        })
                    );
                    let blob = self.session.put_blob(text.as_bytes(), executable)?;
                    let entry = Entry::File { blob, executable };
                    builder.replace(&path, entry).map_err(StoreError::from)?;
                }
            }
        }
        self.tree = builder.finish(self.session)?;
        Ok(())
    }

    /// The text of a file, if there is one.
    fn text(&self, path: &str) -> Result<Option<String>, SourceError> {
        match crate::lock::entry_at(self.session, &self.tree, path)? {
            Some(Entry::File { blob, .. }) => {
                let bytes = self.session.read_blob(&blob)?;
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
            _ => Ok(None),
        }
    }
}

/// Whether all that a patch does to a file is to add lines to nothing.
fn makes(file: &FilePatch) -> bool {
    matches!(file.hunks.as_slice(), [hunk] if hunk.before == 0)
}

/// The file that a patch changes, without the folder in front (`-p1`).
fn changed(file: &FilePatch) -> String {
    let name = file.new.as_ref().or(file.old.as_ref());
    let name = name.map_or("", String::as_str);
    name.split_once('/')
        .map_or(name, |(_, inside)| inside)
        .to_owned()
}
