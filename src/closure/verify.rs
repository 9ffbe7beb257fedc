//! A copy of a closure, anywhere, against the manifest that it carries.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use recipe_store::Digest;

use super::{ClosureError, Listed, MANIFEST, Manifest};

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// The manifest that was believed.
    pub manifest: Manifest,
    /// Bytes that were read and hashed.
    pub bytes: u64,
    /// What is not as the manifest says, sorted by path.
    pub problems: Vec<(String, Problem)>,
}

/// How a path differs from the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It is not there.
    Missing,
    /// The manifest does not list it.
    Extra,
    /// Its bytes, or where it links to, differ.
    Changed,
    /// It can be executed and should not, or the other way round.
    Mode,
    /// It is of another kind: a directory, a link, a device.
    Kind,
    /// It runs with its owner's rights or its group's: no closure does, but in its fixed path.
    Privileged,
    /// Everybody may write to it. That its group may is what some set up for their files.
    Writable,
}

impl Problem {
    /// Whether only the permissions are not as they should be: the bytes are.
    pub fn is_of_bits(self) -> bool {
        matches!(self, Problem::Privileged | Problem::Writable)
    }

    /// One word for reports.
    pub fn word(self) -> &'static str {
        match self {
            Problem::Missing => "missing",
            Problem::Extra => "extra",
            Problem::Changed => "changed",
            Problem::Mode => "mode",
            Problem::Kind => "kind",
            Problem::Privileged => "set-id",
            Problem::Writable => "writable",
        }
    }
}

/// Checks every file of the closure at `root`. Links are never followed below it.
pub fn verify(root: &Utf8Path) -> Result<Report, ClosureError> {
    let text = match fs::read(root.join(MANIFEST)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(ClosureError::NoManifest {
                place: root.to_string(),
            });
        }
        Err(error) => return Err(unreadable(&root.join(MANIFEST), error)),
    };
    let manifest = Manifest::parse(&text).map_err(|line| ClosureError::Manifest {
        place: root.to_string(),
        line,
    })?;
    let (found, folders) = walk(root)?;
    let listed: BTreeMap<&str, &Listed> = manifest
        .entries
        .iter()
        .map(|(path, listed)| (path.as_str(), listed))
        .collect();
    let mut problems: Vec<(String, Problem)> = listed
        .iter()
        .filter(|(path, listed)| !found.contains_key(**path) && !became_folder(root, path, listed))
        .map(|(path, _)| ((*path).to_owned(), Problem::Missing))
        .collect();
    let checked: Vec<Option<(String, Problem)>> = found
        .par_iter()
        .filter(|(path, _)| path.as_str() != MANIFEST)
        .map(|(path, kind)| {
            let problem = match expected(&listed, path, kind) {
                None => Some(Problem::Extra),
                Some(listed) => differs(&root.join(path), kind, listed, &manifest)?,
            };
            Ok(problem.map(|problem| (path.clone(), problem)))
        })
        .collect::<Result<_, ClosureError>>()?;
    problems.extend(checked.into_iter().flatten());
    let opened = folders.into_iter().map(|path| (path, Problem::Writable));
    problems.extend(opened);
    problems.sort_by(|one, other| one.0.cmp(&other.0));
    let bytes = listed
        .values()
        .map(|listed| {
            if let Listed::File { size, .. } = listed {
                *size
            } else {
                0
            }
        })
        .sum();
    Ok(Report {
        manifest,
        bytes,
        problems,
    })
}

/// What the manifest expects at `path`. `cp -L` turns links into what they lead to: a regular file
/// where a link is listed, or below a linked folder, has to be the file that the link leads to.
fn expected<'a>(
    listed: &BTreeMap<&str, &'a Listed>,
    path: &str,
    kind: &fs::FileType,
) -> Option<&'a Listed> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_FOLLOWED {
        match listed.get(path.as_str()) {
            Some(Listed::Link(target)) if kind.is_file() => path = beside(&path, target)?,
            Some(found) => return Some(found),
            None => {
                let (link, target) = path.match_indices('/').find_map(|(end, _)| {
                    match listed.get(&path[..end]) {
                        Some(Listed::Link(target)) => Some((end, target)),
                        _ => None,
                    }
                })?;
                path = format!("{}{}", beside(&path[..link], target)?, &path[link..]);
            }
        }
    }
    None
}

/// How many links may lead to one file.
const LINKS_FOLLOWED: usize = 16;

/// The path inside the closure that the link at `path` leads to.
fn beside(path: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
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

/// A link to a folder that `cp -L` turned into a folder; its files are checked one by one.
fn became_folder(root: &Utf8Path, path: &str, listed: &Listed) -> bool {
    matches!(listed, Listed::Link(_)) && root.join(path).is_dir()
}

fn unreadable(path: &Utf8Path, error: std::io::Error) -> ClosureError {
    ClosureError::Read {
        path: path.to_string(),
        error,
    }
}

/// Everything below `root` but directories, and those directories that everybody may write to. No
/// recursion: a hostile tree may be deep.
fn walk(root: &Utf8Path) -> Result<(BTreeMap<String, fs::FileType>, Vec<String>), ClosureError> {
    let mut found = BTreeMap::new();
    let mut opened = Vec::new();
    let mut open = vec![Utf8PathBuf::new()];
    while let Some(folder) = open.pop() {
        let place = root.join(&folder);
        let facts = fs::metadata(&place).map_err(|error| unreadable(&place, error))?;
        if facts.permissions().mode() & ALL_WRITE != 0 {
            let shown = if folder.as_str().is_empty() {
                "."
            } else {
                folder.as_str()
            };
            opened.push(shown.to_owned());
        }
        let entries = fs::read_dir(&place).map_err(|error| unreadable(&place, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&place, error))?;
            let kind = entry
                .file_type()
                .map_err(|error| unreadable(&place, error))?;
            let path = folder.join(entry.file_name().to_string_lossy().as_ref());
            if kind.is_dir() {
                open.push(path);
            } else {
                found.insert(path.into_string(), kind);
            }
        }
    }
    Ok((found, opened))
}

/// The bit by which everybody may write.
const ALL_WRITE: u32 = 0o002;
/// The set-user-ID and set-group-ID bits.
const SET_ID: u32 = 0o6000;

fn differs(
    path: &Utf8Path,
    kind: &fs::FileType,
    listed: &Listed,
    manifest: &Manifest,
) -> Result<Option<Problem>, ClosureError> {
    match listed {
        Listed::Link(target) if kind.is_symlink() => {
            let found = fs::read_link(path).map_err(|error| unreadable(path, error))?;
            Ok((found.as_os_str() != target.as_str()).then_some(Problem::Changed))
        }
        Listed::File {
            digest,
            size,
            executable,
        } if kind.is_file() => {
            let may_gain = manifest.fixed_path.is_some();
            let found = file_differs(path, digest, *size, *executable)?;
            Ok(found.filter(|found| !(may_gain && *found == Problem::Privileged)))
        }
        Listed::Link(_) | Listed::File { .. } => Ok(Some(Problem::Kind)),
    }
}

fn file_differs(
    path: &Utf8Path,
    digest: &Digest,
    size: u64,
    executable: bool,
) -> Result<Option<Problem>, ClosureError> {
    let read = || -> std::io::Result<Option<Problem>> {
        let mut file = fs::File::options()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(path)?;
        let facts = file.metadata()?;
        if facts.len() != size {
            return Ok(Some(Problem::Changed));
        }
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            };
        }
        if hasher.finalize().as_bytes() != digest.as_bytes() {
            return Ok(Some(Problem::Changed));
        }
        let mode = facts.permissions().mode();
        let wrong = [
            ((mode & 0o111 != 0) != executable, Problem::Mode),
            (mode & ALL_WRITE != 0, Problem::Writable),
            (mode & SET_ID != 0, Problem::Privileged),
        ];
        let wrong = wrong.into_iter().find(|(is, _)| *is);
        Ok(wrong.map(|(_, problem)| problem))
    };
    read().map_err(|error| unreadable(path, error))
}
