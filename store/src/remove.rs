//! Whole directories → gone. Begin at [`Dir::remove_all`].
//!
//! Nothing recurses and few descriptors are open, however deep somebody has nested what is to go.

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::disk::{DIRECTORY, Dir};
use crate::error::Result;

impl Dir {
    /// Removes whatever has this name, with all below it; nothing there is as good.
    pub(crate) fn remove_all(&self, name: &[u8]) -> Result<()> {
        match retry_on_intr(|| fs::unlinkat(&self.fd, name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(e) => return Err(self.error("remove", &String::from_utf8_lossy(name), e)),
        }
        self.sub_to_empty(name)?.empty("")?;
        self.remove_dir(name)
    }

    /// Removes an empty directory; nothing there is as good.
    pub(crate) fn remove_dir(&self, name: &[u8]) -> Result<()> {
        match retry_on_intr(|| fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(self.error("remove", &String::from_utf8_lossy(name), e)),
        }
    }

    /// Removes all that is in this directory, except a file named `keep`. Directories below are
    /// moved up here to wait for their turn, so no depth needs recursion or many descriptors.
    pub(crate) fn empty(&self, keep: &str) -> Result<()> {
        let mut waiting = Vec::new();
        for entry in self.names()? {
            match entry.kind {
                FileType::Directory => waiting.push(entry.name),
                _ if entry.name == keep.as_bytes() => {}
                _ => self.unlink_raw(&entry.name)?,
            }
        }
        let mut moved = 0_u64;
        while let Some(next) = waiting.pop() {
            let dir = self.sub_to_empty(&next)?;
            for entry in dir.names()? {
                if entry.kind == FileType::Directory {
                    waiting.push(dir.evict(&entry.name, self, &mut moved)?);
                } else {
                    dir.unlink_raw(&entry.name)?;
                }
            }
            self.remove_dir(&next)?;
        }
        Ok(())
    }

    fn unlink_raw(&self, name: &[u8]) -> Result<()> {
        match retry_on_intr(|| fs::unlinkat(&self.fd, name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(self.error("remove", &String::from_utf8_lossy(name), e)),
        }
    }

    /// Moves a directory that is about to go to a free name in `to`, and tells the name.
    fn evict(&self, name: &[u8], to: &Dir, moved: &mut u64) -> Result<Vec<u8>> {
        loop {
            let free = format!("~{moved}").into_bytes();
            *moved += 1;
            let rename = || retry_on_intr(|| fs::renameat(&self.fd, name, &to.fd, &free[..]));
            match rename() {
                Ok(()) => return Ok(free),
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                // Moving a directory rewrites its "..", which needs the right to write to it.
                Err(Errno::ACCESS)
                    if fs::chmodat(&self.fd, name, Mode::RWXU, AtFlags::empty()).is_ok() =>
                {
                    match rename() {
                        Ok(()) => return Ok(free),
                        Err(e) => {
                            return Err(self.error("remove", &String::from_utf8_lossy(name), e));
                        }
                    }
                }
                Err(e) => return Err(self.error("remove", &String::from_utf8_lossy(name), e)),
            }
        }
    }

    /// Opens a directory that is about to go; its mode may forbid that, but not to its owner.
    fn sub_to_empty(&self, name: &[u8]) -> Result<Dir> {
        let shown = String::from_utf8_lossy(name);
        let writable = fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|s| s.st_mode & 0o700 == 0o700);
        if !writable {
            let _ = fs::chmodat(&self.fd, name, Mode::RWXU, AtFlags::empty());
        }
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let fd = retry_on_intr(|| fs::openat(&self.fd, name, flags, Mode::empty()));
        let fd = fd.map_err(|e| self.error("open", &shown, e))?;
        Ok(Dir {
            fd,
            path: self.path.join(&*shown),
        })
    }
}
