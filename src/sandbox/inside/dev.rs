//! `/dev`: put together in each sandbox, or once for all. Begin at [`Dev::open`].

use std::os::fd::{AsFd, OwnedFd};

use camino::Utf8Path;
use nix::libc;
use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::kernel;
use super::mounts::{How, New, Source, WITH_ALL_BELOW, at_place, attach, source_failure};
use crate::sandbox::wire::Failure;

/// Device nodes without which common programs fail, and that tell nothing about the host.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// What `/dev` is made of.
pub(super) enum Dev {
    /// These, each shown for itself in a folder that is made.
    Each(Vec<Source>),
    /// A copy of a [`DevTree`].
    Whole(OwnedFd),
}

impl Dev {
    /// Opens it while the host is in sight. `ready` is copied where that can be done.
    pub(super) fn open(how: How, ready: Option<&DevTree>) -> Result<Dev, Failure> {
        match ready.and_then(|tree| tree.copy().ok()) {
            Some(tree) => Ok(Dev::Whole(tree)),
            None => devices(how).map(Dev::Each),
        }
    }

    /// Shows it at `/dev` of a root.
    pub(super) fn show_in(&self, root: &New) -> Result<(), Failure> {
        let failed = |e| at_place("/dev".into(), e);
        match self {
            Dev::Whole(tree) => root
                .place("/dev".into(), true)
                .and_then(|place| attach(tree, &place))
                .map_err(failed),
            Dev::Each(devices) => {
                root.memory("/dev".into(), "mode=755,size=1m")?;
                for (name, source) in DEVICES.iter().zip(devices) {
                    let at = Utf8Path::new("/dev").join(name);
                    root.bind(&at, source).map_err(|e| at_place(&at, e))?;
                }
                let dev = root.walk("/dev".into()).map_err(failed)?;
                links_to_descriptors(&dev).map_err(failed)
            }
        }
    }
}

fn devices(how: How) -> Result<Vec<Source>, Failure> {
    let devices = DEVICES.iter().map(|name| {
        let path = Utf8Path::new("/dev").join(name);
        let source = Source::open(&path).map_err(|e| source_failure(&path, e))?;
        let source = Source {
            devices: true,
            writable: true,
            ..source
        };
        source.held(how).map_err(|e| source_failure(&path, e))
    });
    devices.collect()
}

/// A `/dev` that is ready but for its `shm`, as a mount that lies nowhere. Nothing in it is a sandbox's own and
/// nothing in it can be written, so one is made for all: of what a sandbox costs, a tenth was to make it each time.
pub(super) struct DevTree(OwnedFd);

impl DevTree {
    /// For root: who has no rights outside of a sandbox can make it inside only. `None` where the kernel cannot put
    /// mounts together that lie nowhere (Linux before 6.15).
    pub(super) fn of_root(owner: (Uid, Gid)) -> Option<DevTree> {
        let is_root = rustix::process::geteuid().is_root();
        let tree = is_root.then(|| DevTree::make(owner)).and_then(Result::ok);
        tree.filter(|tree| tree.copy().is_ok())
    }

    fn make((user, group): (Uid, Gid)) -> Result<DevTree, Errno> {
        let memory = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(memory.as_fd(), "mode", "755")?;
        fsconfig_set_string(memory.as_fd(), "size", "1m")?;
        fsconfig_create(memory.as_fd())?;
        let (flags, attributes) = (FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty());
        let root = New(fsmount(memory.as_fd(), flags, attributes)?);
        let devices = devices(How::Detached).map_err(|_| Errno::NODEV)?;
        for (name, source) in DEVICES.iter().zip(&devices) {
            root.bind(&Utf8Path::new("/").join(name), source)?;
        }
        rustix::fs::mkdirat(&root.0, "shm", Mode::from_raw_mode(0o755))?;
        links_to_descriptors(&root.0)?;
        let own = ["shm", "fd", "stdin", "stdout", "stderr"];
        for name in own {
            let nofollow = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(&root.0, name, Some(user), Some(group), nofollow)?;
        }
        rustix::fs::chownat(&root.0, "", Some(user), Some(group), AtFlags::EMPTY_PATH)?;
        let sealed = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        kernel::restrict(root.0.as_fd(), sealed, false)?;
        Ok(DevTree(root.0))
    }

    fn copy(&self) -> Result<OwnedFd, Errno> {
        rustix::mount::open_tree(&self.0, "", WITH_ALL_BELOW)
    }
}

/// The names in `/dev` under which programs look for what they were given.
fn links_to_descriptors(dev: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::symlinkat("/proc/self/fd", dev, "fd")?;
    for (number, name) in ["stdin", "stdout", "stderr"].into_iter().enumerate() {
        rustix::fs::symlinkat(format!("/proc/self/fd/{number}"), dev, name)?;
    }
    Ok(())
}
