//! Places of the host, and a root that is put together of them. Begin at [`New`].
//!
//! Every mount is made on open descriptors, and each place is walked to part by part without following a
//! symlink.

use std::ffi::CString;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use camino::Utf8Path;
use nix::libc;
use rustix::fs::{CWD, FileType, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::kernel;
use crate::sandbox::wire::{Failure, Stage};

/// A mount and all that lies below it, copied to lie nowhere.
pub(super) const WITH_ALL_BELOW: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_RECURSIVE)
    .union(OpenTreeFlags::AT_EMPTY_PATH);

/// Directories of the host one of which exists everywhere; the new root is put together over it.
const SCAFFOLDS: [&str; 6] = ["/tmp", "/var", "/mnt", "/usr", "/etc", "/dev"];

/// How something of the host is held until it is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Open where it lies; a mount of it is made when it is shown.
    InPlace,
    /// As a mount of its own that lies nowhere: whoever cannot reach the place any more can show it.
    Detached,
}

/// Something of the host, open.
pub(super) struct Source {
    pub(super) file: OwnedFd,
    pub(super) how: How,
    pub(super) is_directory: bool,
    pub(super) writable: bool,
    pub(super) devices: bool,
}

impl Source {
    pub(super) fn open(path: &Utf8Path) -> Result<Source, Errno> {
        let file = rustix::fs::openat(
            CWD,
            path.as_str(),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Source::of(file)
    }

    pub(super) fn of(file: OwnedFd) -> Result<Source, Errno> {
        let is_directory = kind(&file)? == FileType::Directory;
        Ok(Source {
            file,
            how: How::InPlace,
            is_directory,
            writable: false,
            devices: false,
        })
    }
}

impl Source {
    pub(super) fn is_roots(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_uid == 0 && stat.st_gid == 0)
    }

    pub(super) fn held(self, how: How) -> Result<Source, Errno> {
        if how == How::InPlace {
            return Ok(self);
        }
        let file = rustix::mount::open_tree(&self.file, "", WITH_ALL_BELOW)?;
        kernel::restrict(file.as_fd(), self.attributes(), true)?;
        Ok(Source { file, how, ..self })
    }

    /// Mounts it at `to`; `topmost` opens that place again.
    fn show_at(
        &self,
        to: &OwnedFd,
        topmost: &dyn Fn() -> Result<OwnedFd, Errno>,
    ) -> Result<(), Errno> {
        if self.how == How::Detached {
            return attach(&self.file, to);
        }
        let (from, to) = (by_descriptor(&self.file), by_descriptor(to));
        rustix::mount::mount_bind_recursive(&from, &to)?;
        match kernel::restrict(topmost()?.as_fd(), self.attributes(), true) {
            // Linux before 5.12, or a container that has not heard of it.
            Err(Errno::NOSYS | Errno::PERM) => {}
            other => return other,
        }
        // The old way restricts one mount. A source with others below it is refused.
        rustix::mount::unmount(by_descriptor(topmost()?), UnmountFlags::DETACH)?;
        rustix::mount::mount_bind(&from, &to)?;
        restrict_one(&topmost()?, self.attributes())
    }

    fn attributes(&self) -> u64 {
        let devices = if self.devices {
            0
        } else {
            libc::MOUNT_ATTR_NODEV
        };
        let writing = if self.writable {
            0
        } else {
            libc::MOUNT_ATTR_RDONLY
        };
        libc::MOUNT_ATTR_NOSUID | devices | writing
    }
}

/// Puts a mount that lies nowhere at a place.
pub(super) fn attach(mount: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", to, "", flags)
}

pub(super) fn at_place(at: &Utf8Path, errno: Errno) -> Failure {
    Failure::new(Stage::Mount, format!("`{at}`"), errno)
}

pub(super) fn source_failure(path: &Utf8Path, errno: Errno) -> Failure {
    Failure::new(Stage::Source, path.as_str(), errno)
}

pub(super) fn kind(file: &OwnedFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode))
}

fn open_directory(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

pub(super) fn open_part(directory: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

/// A name for an open file that `mount` understands: the kernel goes to the very file.
pub(super) fn by_descriptor(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

/// The root that is being put together.
pub(super) struct New(pub(super) OwnedFd);

impl New {
    /// An empty file system in memory, over some directory that is needed no more.
    pub(super) fn root() -> Result<New, Failure> {
        New::over(|scaffold| memory_at(scaffold, "mode=755,size=16m"))
    }

    /// A tree as it is, in the same way.
    pub(super) fn of(tree: &Source) -> Result<New, Failure> {
        New::over(|scaffold| {
            let topmost = || open_directory(scaffold);
            tree.show_at(&topmost()?, &topmost)
        })
    }

    /// What `mount` mounts over some directory that is needed no more.
    fn over(mount: impl FnOnce(&str) -> Result<(), Errno>) -> Result<New, Failure> {
        let scaffold = SCAFFOLDS
            .into_iter()
            .find(|path| Utf8Path::new(path).is_dir())
            .ok_or_else(|| Failure::new(Stage::Mount, "`/`", Errno::NOENT))?;
        let failed = |e| Failure::new(Stage::Namespaces, "mounting a root", e);
        mount(scaffold).map_err(failed)?;
        open_directory(scaffold).map(New).map_err(failed)
    }

    pub(super) fn memory(&self, at: &Utf8Path, options: &str) -> Result<(), Failure> {
        self.place(at, true)
            .and_then(|place| memory_at(&by_descriptor(&place), options))
            .map_err(|e| at_place(at, e))
    }

    /// Nothing at this mount can be executed.
    pub(super) fn noexec(&self, at: &Utf8Path) -> Result<(), Failure> {
        let restrict = |place: OwnedFd| {
            let attributes =
                libc::MOUNT_ATTR_NOEXEC | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
            match kernel::restrict(place.as_fd(), attributes, false) {
                Err(Errno::NOSYS | Errno::PERM) => restrict_one(&place, attributes),
                other => other,
            }
        };
        self.walk(at)
            .and_then(restrict)
            .map_err(|e| at_place(at, e))
    }

    pub(super) fn file(&self, at: &Utf8Path, content: &[u8]) -> Result<(), Errno> {
        let place = self.place(at, false)?;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(by_descriptor(&place));
        file.and_then(|mut file| file.write_all(content))
            .map_err(|e| super::errno(&e))
    }

    /// Shows `source` at `at`.
    pub(super) fn bind(&self, at: &Utf8Path, source: &Source) -> Result<(), Errno> {
        let to = self.place(at, source.is_directory)?;
        source.show_at(&to, &|| self.walk(at))
    }

    /// Where `at` is, made if it is missing: a directory or an empty file.
    pub(super) fn place(&self, at: &Utf8Path, directory: bool) -> Result<OwnedFd, Errno> {
        let mut parts = at.as_str().split('/').skip(1).peekable();
        let mut here = self.0.try_clone().map_err(|e| super::errno(&e))?;
        while let Some(part) = parts.next() {
            let as_directory = directory || parts.peek().is_some();
            here = match open_part(&here, part) {
                Err(Errno::NOENT) => {
                    make_part(&here, part, as_directory)?;
                    open_part(&here, part)?
                }
                other => other?,
            };
            let found = kind(&here)?;
            if found == FileType::Symlink {
                return Err(Errno::LOOP);
            }
            if as_directory && found != FileType::Directory {
                return Err(Errno::NOTDIR);
            }
            if !as_directory && found == FileType::Directory {
                return Err(Errno::ISDIR);
            }
        }
        Ok(here)
    }

    /// The topmost mount at a place that was made before.
    pub(super) fn walk(&self, at: &Utf8Path) -> Result<OwnedFd, Errno> {
        let mut here = self.0.try_clone().map_err(|e| super::errno(&e))?;
        for part in at.as_str().split('/').skip(1) {
            here = open_part(&here, part)?;
        }
        Ok(here)
    }

    /// Makes this the root of the process. Nothing of the old one remains, and nothing can be
    /// written here but in what was declared writable.
    pub(super) fn enter(&self, dev: bool) -> Result<(), Errno> {
        let mut sealed = vec![self.0.try_clone().map_err(|e| super::errno(&e))?];
        if dev {
            sealed.push(self.walk("/dev".into())?);
        }
        for mount in sealed {
            let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID;
            match kernel::restrict(mount.as_fd(), attributes, false) {
                Err(Errno::NOSYS | Errno::PERM) => restrict_one(&mount, attributes)?,
                other => other?,
            }
        }
        rustix::process::fchdir(&self.0)?;
        rustix::process::pivot_root(".", ".")?;
        // The old root lies over the new one now.
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")
    }
}

fn make_part(directory: &OwnedFd, name: &str, as_directory: bool) -> Result<(), Errno> {
    if as_directory {
        return rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755));
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o644)).map(drop)
}

fn memory_at(place: &str, options: &str) -> Result<(), Errno> {
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", place, "tmpfs", flags, options.as_c_str())
}

/// Read-only, and of the host's settings and devices nothing at all (`subset=pid`): a user 0
/// outside may write to `/proc/sys` without any capability.
pub(super) fn proc_at(place: &str) -> Result<(), Errno> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    match rustix::mount::mount("proc", place, "proc", flags, c"subset=pid") {
        // Linux before 5.8 shows the settings, read-only.
        Err(Errno::INVAL) => rustix::mount::mount("proc", place, "proc", flags, None),
        other => other,
    }
}

/// The old way to restrict a mount. What the host forbids there must be said again.
fn restrict_one(mount: &OwnedFd, attributes: u64) -> Result<(), Errno> {
    let now = rustix::fs::fstatvfs(mount)?.f_flag;
    let mut flags = MountFlags::BIND;
    for (is, kept, wanted) in [
        (
            StatVfsMountFlags::RDONLY,
            MountFlags::RDONLY,
            libc::MOUNT_ATTR_RDONLY,
        ),
        (
            StatVfsMountFlags::NOSUID,
            MountFlags::NOSUID,
            libc::MOUNT_ATTR_NOSUID,
        ),
        (
            StatVfsMountFlags::NODEV,
            MountFlags::NODEV,
            libc::MOUNT_ATTR_NODEV,
        ),
        (
            StatVfsMountFlags::NOEXEC,
            MountFlags::NOEXEC,
            libc::MOUNT_ATTR_NOEXEC,
        ),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME, 0),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME, 0),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME, 0),
    ] {
        flags.set(kept, now.contains(is) || attributes & wanted != 0);
    }
    rustix::mount::mount_remount(by_descriptor(mount), flags, c"")
}
