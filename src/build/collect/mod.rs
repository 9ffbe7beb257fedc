//! What a build left in its output folder → a tree in the store. Begin at [`collect`].
//!
//! Everything the build started is dead by now, so nothing changes while we look; what it left is
//! foreign all the same. Each entry is opened from its own directory without following a symlink, and
//! only what a tree can hold passes: regular files, directories, symlinks that stay inside. Contents
//! are copied, never linked, so nobody keeps a way to change them, and a hard link is just a second
//! file with the same bytes. Owners, times, extended attributes and all mode bits but the owner's
//! "may be run" are dropped; so is the set-group-id bit of a directory, which the folder above may
//! have given it. On a file that bit, or set-user-id, is refused: a program that needs it would not
//! work from the store.

mod error;
mod links;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use camino::Utf8Path;
use rayon::prelude::*;
use recipe_store::{BlobId, DEPTH_LIMIT, Entry, Session, StoreError, TreeBuilder, TreeId};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

pub use error::CollectError;

/// What an output may be.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// Where the output lay while it was built: an absolute symlink to something below becomes a
    /// relative one. What is built for `/usr` and put into `/out/usr` has none.
    pub place: Option<&'a str>,
    /// Names at the top that stay out: what a folder of the user's has besides its sources.
    pub skip: &'a [&'a str],
    /// Below which folders an absolute symlink may point elsewhere; it is kept as it is.
    pub elsewhere: &'a [&'a str],
    /// Bytes of all files together, holes counted.
    pub size: u64,
    /// Files, directories and symlinks together.
    pub entries: u64,
}

impl Default for Rules<'_> {
    fn default() -> Self {
        Rules {
            place: Some("/out"),
            skip: &[],
            elsewhere: &[],
            size: 64 << 30,
            entries: 5_000_000,
        }
    }
}

/// So many directories are open at most while their files wait to be read together.
const OPEN_DIRECTORIES: usize = 64;
/// So many files wait at most.
const WAITING_FILES: usize = 4096;

/// Takes what lies in `folder` into the store.
///
/// # Errors
/// [`CollectError`], each naming the first path that is not as it has to be. Nothing of the folder
/// is changed but the permissions of what its owner could not read.
pub fn collect(
    session: &Session,
    folder: &Utf8Path,
    rules: &Rules<'_>,
) -> Result<TreeId, CollectError> {
    let mut collector = Collector {
        session,
        rules,
        tree: TreeBuilder::new(),
        links: BTreeMap::new(),
        waiting: Vec::new(),
        held: 0,
        size: 0,
        entries: 0,
    };
    // With a slash at its end a symlink would be followed.
    let folder = Utf8Path::new(folder.as_str().trim_end_matches('/'));
    let top = open_output(folder)?;
    let mut pending = collector.list(String::new(), top)?;
    if pending.is_empty() && collector.entries == 0 {
        return Err(CollectError::NoOutput {
            folder: folder.to_owned(),
        });
    }
    // Deepest first, so that few directories are open at once.
    while let Some(Folder { parent, name, path }) = pending.pop() {
        let opened = open_directory(&parent, &name).map_err(|e| read(&path, e))?;
        drop(parent);
        pending.extend(collector.list(path, opened)?);
    }
    collector.finish()
}

/// A directory that was seen and not yet looked into.
struct Folder {
    parent: Arc<OwnedFd>,
    name: String,
    path: String,
}

/// A file that was seen and not yet read.
struct Waiting {
    parent: Arc<OwnedFd>,
    name: String,
    path: String,
    executable: bool,
}

struct Collector<'a> {
    session: &'a Session,
    rules: &'a Rules<'a>,
    tree: TreeBuilder,
    links: BTreeMap<String, String>,
    waiting: Vec<Waiting>,
    /// Directories that are open for files that wait.
    held: usize,
    size: u64,
    entries: u64,
}

impl Collector<'_> {
    /// Notes all that lies in a directory, and gives the directories among it.
    fn list(&mut self, path: String, folder: OwnedFd) -> Result<Vec<Folder>, CollectError> {
        if path.split('/').count() > DEPTH_LIMIT {
            return Err(recipe_store::TreeError::Depth { path }.into());
        }
        let folder = Arc::new(folder);
        let mut folders = Vec::new();
        let before = self.waiting.len();
        let entries = rustix::fs::Dir::read_from(&*folder).map_err(|e| read(&path, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| read(&path, e))?;
            let name = match entry.file_name().to_bytes() {
                b"." | b".." => continue,
                name => std::str::from_utf8(name).map_err(|_| CollectError::Name {
                    path: join(&path, &name.escape_ascii().to_string()),
                })?,
            };
            if path.is_empty() && self.rules.skip.contains(&name) {
                continue;
            }
            let at = join(&path, name);
            self.count(&at)?;
            let stat = rustix::fs::statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| read(&at, e))?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    self.tree.directory(&at)?;
                    folders.push(Folder {
                        parent: Arc::clone(&folder),
                        name: name.to_owned(),
                        path: at,
                    });
                }
                FileType::RegularFile => {
                    self.weigh(&at, stat.st_mode, stat.st_size as u64)?;
                    self.waiting.push(Waiting {
                        parent: Arc::clone(&folder),
                        name: name.to_owned(),
                        path: at,
                        executable: stat.st_mode & 0o100 != 0,
                    });
                }
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(&*folder, name, Vec::new())
                        .map_err(|e| read(&at, e))?;
                    let target = target.into_string().map_err(|e| CollectError::Target {
                        path: at.clone(),
                        target: e.into_cstring().as_bytes().escape_ascii().to_string(),
                    })?;
                    self.links.insert(at, target);
                }
                other => {
                    return Err(CollectError::Kind {
                        path: at,
                        kind: kind(other),
                    });
                }
            }
            if self.waiting.len() >= WAITING_FILES {
                self.read_waiting()?;
            }
        }
        self.held += usize::from(self.waiting.len() > before);
        if self.held >= OPEN_DIRECTORIES {
            self.read_waiting()?;
        }
        Ok(folders)
    }

    fn count(&mut self, path: &str) -> Result<(), CollectError> {
        self.entries += 1;
        if self.entries > self.rules.entries {
            return Err(CollectError::TooMany {
                path: path.to_owned(),
                limit: self.rules.entries,
            });
        }
        Ok(())
    }

    /// Before a byte is read: a file of a terabyte that is one hole is never read.
    fn weigh(&mut self, path: &str, mode: u32, size: u64) -> Result<(), CollectError> {
        if mode & 0o6000 != 0 {
            return Err(CollectError::Privileged {
                path: path.to_owned(),
                mode: mode & 0o7777,
            });
        }
        self.size = self.size.saturating_add(size);
        if self.size > self.rules.size {
            return Err(CollectError::TooLarge {
                path: path.to_owned(),
                limit: self.rules.size,
            });
        }
        Ok(())
    }

    /// Copies the files that wait into the store, on all threads of the pool.
    fn read_waiting(&mut self) -> Result<(), CollectError> {
        self.held = 0;
        let (session, limit) = (self.session, self.rules.size);
        let waiting = std::mem::take(&mut self.waiting);
        let read: Vec<(Waiting, BlobId)> = waiting
            .into_par_iter()
            .map(|file| {
                let blob = store(session, &file, limit)?;
                Ok((file, blob))
            })
            .collect::<Result<_, CollectError>>()?;
        for (
            Waiting {
                path, executable, ..
            },
            blob,
        ) in read
        {
            self.tree.insert(&path, Entry::File { blob, executable })?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<TreeId, CollectError> {
        self.read_waiting()?;
        for (path, target) in &self.links {
            let target = links::judged(path, target, &self.links, self.rules)?;
            self.tree.insert(
                path,
                Entry::Symlink {
                    target: target.into_owned(),
                },
            )?;
        }
        Ok(self.tree.finish(self.session)?)
    }
}

/// The output folder itself, which a build may have put something else in the place of.
fn open_output(folder: &Utf8Path) -> Result<OwnedFd, CollectError> {
    let kind_of = match rustix::fs::statat(CWD, folder.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
        Err(Errno::NOENT) => {
            return Err(CollectError::NoOutput {
                folder: folder.to_owned(),
            });
        }
        Err(e) => return Err(read(folder.as_str(), e)),
    };
    match kind_of {
        FileType::Directory => {
            open_directory(CWD, folder.as_str()).map_err(|e| read(folder.as_str(), e))
        }
        other => Err(CollectError::NotAFolder {
            folder: folder.to_owned(),
            kind: kind(other),
        }),
    }
}

/// Opens a directory, never a symlink to one. Its owner may have taken every permission from it.
fn open_directory(parent: impl std::os::fd::AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(&parent, name, flags, Mode::empty());
    match open() {
        // Searching it needs the bits too, which shows later than here: mode 0400 can be opened.
        Ok(opened)
            if rustix::fs::accessat(
                &opened,
                ".",
                rustix::fs::Access::EXEC_OK,
                AtFlags::EACCESS,
            )
            .is_ok() =>
        {
            Ok(opened)
        }
        Ok(_) | Err(Errno::ACCESS) => {
            rustix::fs::chmodat(&parent, name, Mode::RWXU, AtFlags::empty())?;
            open()
        }
        Err(e) => Err(e),
    }
}

fn store(session: &Session, file: &Waiting, limit: u64) -> Result<BlobId, CollectError> {
    let failed = |e| read(&file.path, e);
    // Not blocked by what is no regular file after all.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let open = || rustix::fs::openat(&*file.parent, file.name.as_str(), flags, Mode::empty());
    let opened = match open() {
        Err(Errno::ACCESS) => {
            let readable = Mode::RUSR | Mode::WUSR;
            rustix::fs::chmodat(
                &*file.parent,
                file.name.as_str(),
                readable,
                AtFlags::empty(),
            )
            .and_then(|()| open())
        }
        other => other,
    };
    let mut opened = File::from(opened.map_err(failed)?);
    match session.put_reader(&mut opened, file.executable, limit) {
        Err(StoreError::Reader { source }) => Err(CollectError::Read {
            path: file.path.clone(),
            source,
        }),
        Err(StoreError::TooLarge { limit }) => Err(CollectError::TooLarge {
            path: file.path.clone(),
            limit,
        }),
        other => Ok(other?),
    }
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

fn read(path: &str, errno: Errno) -> CollectError {
    let path = if path.is_empty() { "." } else { path };
    CollectError::Read {
        path: path.to_owned(),
        source: errno.into(),
    }
}

fn kind(found: FileType) -> &'static str {
    match found {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symlink",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device node",
        FileType::Unknown => "something unknown",
    }
}

/// A path for a person to read: what control characters do to a terminal is not their business.
fn shown(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        text.escape_debug().to_string().into()
    } else {
        text.into()
    }
}
