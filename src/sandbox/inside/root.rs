//! [`Spec`] → the tree of files that the program sees, and nothing else. Begin at [`make`].
//!
//! Sources are opened before anything is covered, and each place is walked to part by part
//! without following a symlink; mounts are made on open descriptors. So no name can be swapped
//! between look and use, whatever lies in a declared tree.

use std::ffi::CString;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use camino::Utf8Path;
use nix::libc;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, StatVfsMountFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};

use super::kernel;
use crate::sandbox::spec::{Bind, Root, Spec};
use crate::sandbox::wire::{Failure, Stage};

/// Device nodes without which common programs fail, and that tell nothing about the host.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// A mount and all that lies below it, copied to lie nowhere.
const WITH_ALL_BELOW: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_RECURSIVE)
    .union(OpenTreeFlags::AT_EMPTY_PATH);

/// Directories of the host one of which exists everywhere; the new root is put together over it.
const SCAFFOLDS: [&str; 6] = ["/tmp", "/var", "/mnt", "/usr", "/etc", "/dev"];

/// Puts the tree together and makes it the root of this process.
///
/// `sources` are those that the zygote opened, which has rights that this process gave up, if it did.
pub(super) fn make(spec: &Spec, sources: Option<Sources>) -> Result<(), Failure> {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|e| Failure::new(Stage::Namespaces, "making mounts private", e))?;
    let sources = match sources {
        Some(sources) => sources,
        None => Sources::open(spec, How::InPlace, None)?,
    };
    let root = match &sources.base {
        Base::Whole(tree) => New::of(tree)?,
        Base::Entries(entries) => {
            let root = New::root()?;
            root.entries(entries)?;
            root
        }
    };
    root.usual_places(spec, &sources.devices)?;
    for (at, content) in &spec.files {
        root.file(at, content).map_err(|e| at_place(at, e))?;
    }
    for (Bind { at, .. }, source) in spec.binds.iter().zip(&sources.binds) {
        root.bind(at, source).map_err(|e| at_place(at, e))?;
    }
    root.enter(spec.dev).map_err(|e| at_place("/".into(), e))
}

fn at_place(at: &Utf8Path, errno: Errno) -> Failure {
    Failure::new(Stage::Mount, format!("`{at}`"), errno)
}

/// How something of the host is held until it is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Open where it lies; a mount of it is made when it is shown.
    InPlace,
    /// As a mount of its own that lies nowhere: whoever cannot reach the place any more can show it.
    Detached,
}

/// Something of the host, open.
struct Source {
    file: OwnedFd,
    how: How,
    is_directory: bool,
    writable: bool,
    devices: bool,
}

/// All that is to be shown, opened while the host is still in sight.
pub(super) struct Sources {
    base: Base,
    binds: Vec<Source>,
    devices: Devices,
}

/// What `/dev` is made of.
enum Devices {
    /// These, each shown for itself in a folder that is made.
    Each(Vec<Source>),
    /// A copy of a [`DevTree`].
    Whole(OwnedFd),
}

/// What lies at `/` before anything else is shown.
enum Base {
    /// These, each shown for itself.
    Entries(Vec<(String, Entry)>),
    /// A tree that has a place for all that is shown besides: a tenth of the mounts do.
    Whole(Source),
}

/// An entry of a tree's top level.
enum Entry {
    Bind(Source),
    Symlink(CString),
}

impl Sources {
    /// `dev` is copied where that can be done.
    pub(super) fn open(spec: &Spec, how: How, dev: Option<&DevTree>) -> Result<Sources, Failure> {
        let binds = spec.binds.iter().map(|bind| {
            let source = Source::open(&bind.host).map_err(|e| source_failure(&bind.host, e))?;
            let source = Source {
                writable: bind.writable,
                ..source
            };
            source.held(how).map_err(|e| source_failure(&bind.host, e))
        });
        let binds = binds.collect::<Result<Vec<_>, Failure>>()?;
        let base = match &spec.root {
            Root::Tree(tree) => {
                Base::of(tree, spec, &binds, how).map_err(|e| source_failure(tree, e))?
            }
            Root::Empty | Root::Host => Base::Entries(Vec::new()),
        };
        let copied = dev.filter(|_| spec.dev).and_then(|dev| dev.copy().ok());
        let devices = match copied {
            Some(tree) => Devices::Whole(tree),
            None => Devices::Each(if spec.dev { devices(how)? } else { Vec::new() }),
        };
        Ok(Sources {
            base,
            binds,
            devices,
        })
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

impl Sources {
    /// Shows what root owns as owned by whom `users` maps it to, where the file system can; tells
    /// for which of the declared binds that is so.
    pub(super) fn map_owners(&self, users: BorrowedFd<'_>) -> Vec<bool> {
        let mapped = |source: &Source| kernel::map_owners(source.file.as_fd(), users).is_ok();
        match &self.base {
            Base::Whole(tree) => {
                mapped(tree);
            }
            Base::Entries(entries) => {
                for (_, entry) in entries {
                    if let Entry::Bind(source) = entry {
                        mapped(source);
                    }
                }
            }
        }
        let binds = self.binds.iter();
        binds
            .map(|source| (!source.writable || source.is_roots()) && mapped(source))
            .collect()
    }
}

impl Base {
    fn of(tree: &Utf8Path, spec: &Spec, binds: &[Source], how: How) -> Result<Base, Errno> {
        let whole = Source::open(tree)?;
        if has_places(&whole.file, spec, binds) {
            return whole.held(how).map(Base::Whole);
        }
        top_level(tree, how).map(Base::Entries)
    }
}

/// Whether a tree has a directory wherever something is shown: none can be made in it.
fn has_places(tree: &OwnedFd, spec: &Spec, binds: &[Source]) -> bool {
    let usual = [(spec.tmp, "/tmp"), (spec.dev, "/dev"), (spec.proc, "/proc")];
    let usual = usual.iter().filter(|(wanted, _)| *wanted);
    let mut places = usual
        .map(|(_, at)| *at)
        .chain(spec.binds.iter().map(|bind| bind.at.as_str()));
    spec.files.is_empty()
        && binds.iter().all(|source| source.is_directory)
        && places.all(|at| has_directory(tree, at))
}

/// Whether there is a directory, without following a symlink.
fn has_directory(tree: &OwnedFd, at: &str) -> bool {
    let mut here = None;
    for part in at.split('/').skip(1) {
        match open_part(here.as_ref().unwrap_or(tree), part) {
            Ok(next) if kind(&next) == Ok(FileType::Directory) => here = Some(next),
            _ => return false,
        }
    }
    true
}

fn source_failure(path: &Utf8Path, errno: Errno) -> Failure {
    Failure::new(Stage::Source, path.as_str(), errno)
}

impl Source {
    fn open(path: &Utf8Path) -> Result<Source, Errno> {
        let file = rustix::fs::openat(
            CWD,
            path.as_str(),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Source::of(file)
    }

    fn of(file: OwnedFd) -> Result<Source, Errno> {
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
    fn is_roots(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_uid == 0 && stat.st_gid == 0)
    }

    fn held(self, how: How) -> Result<Source, Errno> {
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
fn attach(mount: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", to, "", flags)
}

fn kind(file: &OwnedFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode))
}

/// What lies directly in `tree`. Its symlinks are made anew, so that they lead to where they
/// would if the tree were the root, which it is about to be.
fn top_level(tree: &Utf8Path, how: How) -> Result<Vec<(String, Entry)>, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, tree.as_str(), flags, Mode::empty())?;
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry
            .file_name()
            .to_str()
            .map_err(|_| Errno::ILSEQ)?
            .to_owned();
        if name == "." || name == ".." {
            continue;
        }
        let file = open_part(&directory, &name)?;
        let entry = match kind(&file)? {
            FileType::Symlink => {
                Entry::Symlink(rustix::fs::readlinkat(&directory, &name, Vec::new())?)
            }
            _ => Entry::Bind(Source::of(file)?.held(how)?),
        };
        entries.push((name, entry));
    }
    Ok(entries)
}

fn open_directory(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

fn open_part(directory: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

/// A name for an open file that `mount` understands: the kernel goes to the very file.
fn by_descriptor(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

/// The root that is being put together.
struct New(OwnedFd);

impl New {
    /// An empty file system in memory, over some directory that is needed no more.
    fn root() -> Result<New, Failure> {
        New::over(|scaffold| memory_at(scaffold, "mode=755,size=16m"))
    }

    /// A tree as it is, in the same way.
    fn of(tree: &Source) -> Result<New, Failure> {
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

    fn entries(&self, entries: &[(String, Entry)]) -> Result<(), Failure> {
        for (name, entry) in entries {
            let at = Utf8Path::new("/").join(name);
            match entry {
                Entry::Bind(source) => self.bind(&at, source),
                Entry::Symlink(target) => rustix::fs::symlinkat(target, &self.0, name),
            }
            .map_err(|e| at_place(&at, e))?;
        }
        Ok(())
    }

    fn usual_places(&self, spec: &Spec, devices: &Devices) -> Result<(), Failure> {
        let space = format!("mode=1777,size={}", spec.limits.tmp);
        if spec.tmp {
            self.memory("/tmp".into(), &space)?;
            if spec.noexec {
                self.noexec("/tmp".into())?;
            }
        }
        if spec.dev {
            let failed = |e| at_place("/dev".into(), e);
            match devices {
                Devices::Whole(tree) => self
                    .place("/dev".into(), true)
                    .and_then(|place| attach(tree, &place))
                    .map_err(failed)?,
                Devices::Each(devices) => {
                    self.memory("/dev".into(), "mode=755,size=1m")?;
                    for (name, source) in DEVICES.iter().zip(devices) {
                        let at = Utf8Path::new("/dev").join(name);
                        self.bind(&at, source).map_err(|e| at_place(&at, e))?;
                    }
                    let dev = self.walk("/dev".into()).map_err(failed)?;
                    links_to_descriptors(&dev).map_err(failed)?;
                }
            }
            self.memory("/dev/shm".into(), &space)?;
        }
        if spec.proc {
            let place = self
                .place("/proc".into(), true)
                .map_err(|e| at_place("/proc".into(), e))?;
            proc_at(&by_descriptor(&place)).map_err(|e| Failure::new(Stage::Proc, "`/proc`", e))?;
        }
        Ok(())
    }

    fn memory(&self, at: &Utf8Path, options: &str) -> Result<(), Failure> {
        self.place(at, true)
            .and_then(|place| memory_at(&by_descriptor(&place), options))
            .map_err(|e| at_place(at, e))
    }

    /// Nothing at this mount can be executed.
    fn noexec(&self, at: &Utf8Path) -> Result<(), Failure> {
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

    fn file(&self, at: &Utf8Path, content: &[u8]) -> Result<(), Errno> {
        let place = self.place(at, false)?;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(by_descriptor(&place));
        file.and_then(|mut file| file.write_all(content))
            .map_err(|e| super::errno(&e))
    }

    /// Shows `source` at `at`.
    fn bind(&self, at: &Utf8Path, source: &Source) -> Result<(), Errno> {
        let to = self.place(at, source.is_directory)?;
        source.show_at(&to, &|| self.walk(at))
    }

    /// Where `at` is, made if it is missing: a directory or an empty file.
    fn place(&self, at: &Utf8Path, directory: bool) -> Result<OwnedFd, Errno> {
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
    fn walk(&self, at: &Utf8Path) -> Result<OwnedFd, Errno> {
        let mut here = self.0.try_clone().map_err(|e| super::errno(&e))?;
        for part in at.as_str().split('/').skip(1) {
            here = open_part(&here, part)?;
        }
        Ok(here)
    }

    /// Makes this the root of the process. Nothing of the old one remains, and nothing can be
    /// written here but in what was declared writable.
    fn enter(&self, dev: bool) -> Result<(), Errno> {
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

/// The names in `/dev` under which programs look for what they were given.
fn links_to_descriptors(dev: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::symlinkat("/proc/self/fd", dev, "fd")?;
    for (number, name) in ["stdin", "stdout", "stderr"].into_iter().enumerate() {
        rustix::fs::symlinkat(format!("/proc/self/fd/{number}"), dev, name)?;
    }
    Ok(())
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
fn proc_at(place: &str) -> Result<(), Errno> {
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
