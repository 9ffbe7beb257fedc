//! [`Spec`] → the tree of files that the program sees, and nothing else. Begin at [`make`].
//!
//! Sources are opened before anything is covered, and all else is done on open descriptors
//! (`mounts.rs`). So no name can be swapped between look and use, whatever lies in a declared tree.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use camino::Utf8Path;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;

use super::dev::{Dev, DevTree};
use super::kernel;
use super::mounts::{
    How, New, Source, at_place, by_descriptor, kind, open_part, proc_at, source_failure,
};
use crate::sandbox::spec::{Bind, Root, Spec};
use crate::sandbox::wire::{Failure, Stage};

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
            show_entries(&root, entries)?;
            root
        }
    };
    show_usual_places(&root, spec, sources.dev.as_ref())?;
    for (at, content) in &spec.files {
        root.file(at, content).map_err(|e| at_place(at, e))?;
    }
    for (Bind { at, .. }, source) in spec.binds.iter().zip(&sources.binds) {
        root.bind(at, source).map_err(|e| at_place(at, e))?;
    }
    root.enter(spec.dev).map_err(|e| at_place("/".into(), e))
}

fn show_entries(root: &New, entries: &[(String, Entry)]) -> Result<(), Failure> {
    for (name, entry) in entries {
        let at = Utf8Path::new("/").join(name);
        match entry {
            Entry::Bind(source) => root.bind(&at, source),
            Entry::Symlink(target) => rustix::fs::symlinkat(target, &root.0, name),
        }
        .map_err(|e| at_place(&at, e))?;
    }
    Ok(())
}

fn show_usual_places(root: &New, spec: &Spec, dev: Option<&Dev>) -> Result<(), Failure> {
    let space = format!("mode=1777,size={}", spec.limits.tmp);
    if spec.tmp {
        root.memory("/tmp".into(), &space)?;
        if spec.noexec {
            root.noexec("/tmp".into())?;
        }
    }
    if let Some(dev) = dev {
        dev.show_in(root)?;
        root.memory("/dev/shm".into(), &space)?;
    }
    if spec.proc {
        let place = root
            .place("/proc".into(), true)
            .map_err(|e| at_place("/proc".into(), e))?;
        proc_at(&by_descriptor(&place)).map_err(|e| Failure::new(Stage::Proc, "`/proc`", e))?;
    }
    Ok(())
}

/// All that is to be shown, opened while the host is still in sight.
pub(super) struct Sources {
    base: Base,
    binds: Vec<Source>,
    dev: Option<Dev>,
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
        Ok(Sources {
            base,
            binds,
            dev: spec.dev.then(|| Dev::open(how, dev)).transpose()?,
        })
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
