//! Names and bytes → files, relative to directory descriptors. Begin at [`Dir`].
//!
//! The only module that makes system calls on behalf of the others: each call names the operation
//! and the path in its error, is repeated when a signal interrupts it, and follows no symlink in its
//! last part. Descriptors are closed on exec.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use crate::error::{Result, StoreError};

/// A directory that stays open, and the path it was opened by (for messages only).
#[derive(Debug)]
pub(crate) struct Dir {
    pub(crate) fd: OwnedFd,
    pub(crate) path: Utf8PathBuf,
}

pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const NEW: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::CLOEXEC);

/// One name in a directory, as read from the disk.
pub(crate) struct Name {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: FileType,
}

/// What happened to a file that was to get a name nobody may have yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Placed {
    New,
    Taken,
}

impl Dir {
    /// Opens a directory by its full path; links are followed.
    pub(crate) fn open(path: &Utf8Path) -> Result<Dir> {
        let fd = retry_on_intr(|| fs::open(path.as_str(), DIRECTORY, Mode::empty()));
        let fd = fd.map_err(|e| StoreError::io("open", path, e))?;
        Ok(Dir {
            fd,
            path: path.to_owned(),
        })
    }

    /// Opens a directory below this one.
    pub(crate) fn sub(&self, name: &str) -> Result<Dir> {
        self.try_sub(name).map_err(|e| self.error("open", name, e))
    }

    /// Opens a directory below this one, or tells the bare error.
    pub(crate) fn try_sub(&self, name: &str) -> Result<Dir, Errno> {
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let fd = retry_on_intr(|| fs::openat(&self.fd, name, flags, Mode::empty()))?;
        Ok(Dir {
            fd,
            path: self.path.join(name),
        })
    }

    /// Another open file of the same directory: with its own memory of write errors.
    pub(crate) fn again(&self) -> Result<Dir> {
        let fd = retry_on_intr(|| fs::openat(&self.fd, ".", DIRECTORY, Mode::empty()));
        let fd = fd.map_err(|e| StoreError::io("open", &self.path, e))?;
        Ok(Dir {
            fd,
            path: self.path.clone(),
        })
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }

    pub(crate) fn error(
        &self,
        operation: &'static str,
        name: &str,
        source: impl Into<io::Error>,
    ) -> StoreError {
        StoreError::io(operation, self.path.join(name), source)
    }

    /// Makes a directory; one that is there already will do.
    pub(crate) fn make(&self, name: &str, mode: u32) -> Result<()> {
        match retry_on_intr(|| fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode))) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(self.error("make the directory", name, e)),
        }
    }

    /// Makes a directory that must not be there. Tells the bare error.
    pub(crate) fn try_make(&self, name: &str, mode: u32) -> Result<(), Errno> {
        retry_on_intr(|| fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode)))
    }

    /// Opens a file for reading; `None` when there is none.
    pub(crate) fn open_file(&self, name: &str) -> Result<Option<File>> {
        match retry_on_intr(|| fs::openat(&self.fd, name, FILE, Mode::empty())) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.error("open", name, e)),
        }
    }

    /// Reads a whole file; `None` when there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name)? else {
            return Ok(None);
        };
        read_all(file)
            .map(Some)
            .map_err(|e| self.error("read", name, e))
    }

    /// Creates a file nobody has yet. Tells the bare error.
    pub(crate) fn try_create(&self, name: &str, mode: u32) -> Result<File, Errno> {
        retry_on_intr(|| fs::openat(&self.fd, name, NEW, Mode::from_raw_mode(mode))).map(File::from)
    }

    /// Creates a file nobody has yet with these bytes.
    pub(crate) fn write(&self, name: &str, mode: u32, bytes: &[u8]) -> Result<File> {
        let mut file = self
            .try_create(name, mode)
            .map_err(|e| self.error("create", name, e))?;
        file.write_all(bytes)
            .map_err(|e| self.error("write", name, e))?;
        Ok(file)
    }

    /// Opens a file for appending, creating it if need be; used for lock files.
    pub(crate) fn open_lock(&self, name: &str) -> Result<File, Errno> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        retry_on_intr(|| fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o600)))
            .map(File::from)
    }

    /// Whether there is something of that name.
    pub(crate) fn has(&self, name: &str) -> Result<bool> {
        match retry_on_intr(|| fs::accessat(&self.fd, name, fs::Access::EXISTS, AtFlags::empty())) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(self.error("look for", name, e)),
        }
    }

    /// What the inode says; `None` when there is nothing of that name.
    pub(crate) fn stat(&self, name: &str) -> Result<Option<Stat>> {
        match retry_on_intr(|| fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.error("look at", name, e)),
        }
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) -> Result<()> {
        retry_on_intr(|| fs::chmodat(&self.fd, name, Mode::from_raw_mode(mode), AtFlags::empty()))
            .map_err(|e| self.error("change the mode of", name, e))
    }

    /// Where a symlink points; the bare error tells what else it is.
    pub(crate) fn read_link(&self, name: &str) -> Result<Vec<u8>, Errno> {
        retry_on_intr(|| fs::readlinkat(&self.fd, name, Vec::new()))
            .map(|target| target.into_bytes())
    }

    pub(crate) fn symlink(&self, target: &str, name: &str) -> Result<()> {
        retry_on_intr(|| fs::symlinkat(target, &self.fd, name))
            .map_err(|e| self.error("make the symlink", name, e))
    }

    /// Removes a file; one that is gone already is as good.
    pub(crate) fn unlink(&self, name: &str) -> Result<()> {
        match retry_on_intr(|| fs::unlinkat(&self.fd, name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(self.error("remove", name, e)),
        }
    }

    /// Moves a file or directory to a name below `to` that must be free. A missing directory there
    /// is made.
    pub(crate) fn place(&self, name: &str, to: &Dir, final_name: &str) -> Result<Placed> {
        match rename_new(self, name, to, final_name) {
            Ok(placed) => Ok(placed),
            Err(Errno::NOENT) => {
                if let Some((shard, _)) = final_name.split_once('/') {
                    to.make(shard, 0o700)?;
                }
                rename_new(self, name, to, final_name)
                    .map_err(|e| to.error("move into place", final_name, e))
            }
            Err(e) => Err(to.error("move into place", final_name, e)),
        }
    }

    /// Moves a file over whatever has the name. A missing directory there is made.
    pub(crate) fn replace(&self, name: &str, to: &Dir, final_name: &str) -> Result<()> {
        let rename = || retry_on_intr(|| fs::renameat(&self.fd, name, &to.fd, final_name));
        match rename() {
            Err(Errno::NOENT) => {
                if let Some((shard, _)) = final_name.split_once('/') {
                    to.make(shard, 0o700)?;
                }
                rename()
            }
            other => other,
        }
        .map_err(|e| to.error("move into place", final_name, e))
    }

    /// Moves what has this name elsewhere into this directory; what is gone already is as good.
    pub(crate) fn take_from(&self, from: &Dir, name: &str) -> Result<()> {
        match retry_on_intr(|| fs::renameat(&from.fd, name, &self.fd, name)) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(from.error("move away", name, e)),
        }
    }

    /// Notes that a file was used, if it was not in the last hour. For the order of eviction only.
    pub(crate) fn touch(&self, name: &str) -> Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let fresh = |stat: Stat| u64::try_from(stat.st_mtime).unwrap_or(0).abs_diff(now) < 3600;
        if self.stat(name)?.is_none_or(fresh) {
            return Ok(());
        }
        let (keep, now) = ((0, fs::UTIME_OMIT), (0, fs::UTIME_NOW));
        let time = |(tv_sec, tv_nsec)| fs::Timespec { tv_sec, tv_nsec };
        let times = fs::Timestamps {
            last_access: time(keep),
            last_modification: time(now),
        };
        retry_on_intr(|| fs::utimensat(&self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|e| self.error("touch", name, e))
    }

    /// Gives a file a second name. Tells the bare error: there are several that a copy mends.
    pub(crate) fn link(&self, name: &str, to: &Dir, new_name: &str) -> Result<(), Errno> {
        retry_on_intr(|| fs::linkat(&self.fd, name, &to.fd, new_name, AtFlags::empty()))
    }

    /// All names in it except `.` and `..`, in the order of the disk.
    pub(crate) fn names(&self) -> Result<Vec<Name>> {
        let listed = || -> Result<Vec<Name>, Errno> {
            let mut names = Vec::new();
            for entry in retry_on_intr(|| fs::Dir::read_from(&self.fd))? {
                let entry = entry?;
                if ![c".", c".."].contains(&entry.file_name()) {
                    names.push(Name {
                        name: entry.file_name().to_bytes().to_vec(),
                        kind: entry.file_type(),
                    });
                }
            }
            Ok(names)
        };
        let mut names = listed().map_err(|e| StoreError::io("list", &self.path, e))?;
        for name in names
            .iter_mut()
            .filter(|name| name.kind == FileType::Unknown)
        {
            name.kind = self.kind(&name.name)?;
        }
        Ok(names)
    }

    fn kind(&self, name: &[u8]) -> Result<FileType> {
        let stat = retry_on_intr(|| fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW));
        let stat = stat.map_err(|e| self.error("look at", &String::from_utf8_lossy(name), e))?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    /// Syncs the directory itself: the names in it.
    pub(crate) fn sync(&self) -> Result<()> {
        retry_on_intr(|| fs::fsync(&self.fd)).map_err(|e| StoreError::io("sync", &self.path, e))
    }

    /// Syncs the whole file system it is on.
    pub(crate) fn sync_all(&self) -> Result<()> {
        retry_on_intr(|| fs::syncfs(&self.fd))
            .map_err(|e| StoreError::io("sync the file system of", &self.path, e))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn rename_new(from: &Dir, name: &str, to: &Dir, final_name: &str) -> Result<Placed, Errno> {
    let flags = RenameFlags::NOREPLACE;
    match retry_on_intr(|| fs::renameat_with(&from.fd, name, &to.fd, final_name, flags)) {
        Ok(()) => Ok(Placed::New),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(Placed::Taken),
        // Some file systems cannot rename without replacing. Equal names hold equal bytes here,
        // so the check before is a courtesy to open files, not what correctness rests on.
        Err(Errno::INVAL | Errno::NOSYS) => {
            let there = retry_on_intr(|| {
                fs::accessat(&to.fd, final_name, fs::Access::EXISTS, AtFlags::empty())
            });
            if there.is_ok() {
                return Ok(Placed::Taken);
            }
            retry_on_intr(|| fs::renameat(&from.fd, name, &to.fd, final_name)).map(|()| Placed::New)
        }
        Err(e) => Err(e),
    }
}

/// Reads a file to its end, asking its size only to reserve memory.
pub(crate) fn read_all(mut file: File) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    // One more than the size, so that the end is seen without growing.
    bytes.try_reserve_exact(usize::try_from(size).unwrap_or(0).saturating_add(1))?;
    // `read_to_end` of a file would ask for its size and place once more, which is half of what a small one costs.
    io::Read::by_ref(&mut file)
        .take(u64::MAX)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A shard and a name inside it, without an allocation: `ab/<64 hex><suffix>`.
pub(crate) struct ShardPath {
    text: [u8; 69],
    length: usize,
}

impl ShardPath {
    pub(crate) fn new(hex: &str, suffix: &str) -> ShardPath {
        let mut text = [0; 69];
        text[..2].copy_from_slice(&hex.as_bytes()[..2]);
        text[2] = b'/';
        text[3..67].copy_from_slice(&hex.as_bytes()[..64]);
        text[67..67 + suffix.len()].copy_from_slice(suffix.as_bytes());
        ShardPath {
            text,
            length: 67 + suffix.len(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

/// The name of a directory entry as text; what the store writes always is.
pub(crate) fn utf8(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok()
}
