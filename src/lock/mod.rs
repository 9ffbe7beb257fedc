//! [`Recipe`](crate::recipe::Recipe) → [`Lock`]: every fact a build needs, exact and hashed. The
//! only room that asks the world what exists today.
//!
//! A lock names no host: archives have names (`debian`, `debian-security`, `python`), and
//! [`crate::net`] turns those into mirrors. `file.rs` writes and reads the lock file.

mod builder;
mod candidates;
mod contents;
mod distribution;
mod error;
pub mod file;
mod follow;
pub mod host;
pub mod index;
mod installed;
mod make;
pub(crate) mod near;
pub mod openpgp;
mod options;
mod patches;
mod pip;
pub mod relation;
pub mod release;
pub mod sdists;
mod sources;
mod suites;
mod sysroot;
mod system;
mod universe;
pub mod version;
pub mod wheels;

use std::fmt;
use std::sync::Mutex;

use recipe_store::{BlobId, Session};

use crate::net::Net;
use crate::platform::Platform;
use crate::python::ProjectName;
use crate::sandbox::Sandbox;

pub(crate) use self::builder::compiles;
pub use self::contents::packages_with;
pub use self::distribution::{Distribution, distribution};
pub(crate) use self::error::offer_files;
pub use self::error::{
    FailedSdist, FileError, ForeignSdist, LockError, NoPackaging, NoSourcePackage, Refusal,
};
pub use self::follow::{Moved, follow, newest};
pub(crate) use self::installed::{LOCAL, entry_at, machine};
pub use self::make::{lock, out_of_date};
pub use self::options::{Options, Upgrade};
pub(crate) use self::pip::{PIP, glibc, is_wheel_of_pip};
pub use self::sources::URL_ARCHIVE;
pub(crate) use self::sysroot::LINKABLE;

/// What locking works with.
pub struct Context<'a> {
    /// The client.
    pub net: &'a Net,
    /// Where indexes and candidates go.
    pub session: &'a Session,
    /// Where the resolver of wheels runs; nothing else needs it.
    pub sandbox: Option<&'a Sandbox>,
    /// The clock, seconds since 1970.
    pub now: u64,
    fetched: Mutex<Vec<(String, BlobId)>>,
}

impl<'a> Context<'a> {
    /// A context; `now` is the clock in seconds since 1970.
    pub fn new(net: &'a Net, session: &'a Session, sandbox: &'a Sandbox, now: u64) -> Context<'a> {
        Context {
            net,
            session,
            sandbox: Some(sandbox),
            now,
            fetched: Mutex::default(),
        }
    }

    /// A context for what asks nothing of pip.
    pub fn without_sandbox(net: &'a Net, session: &'a Session, now: u64) -> Context<'a> {
        Context {
            net,
            session,
            sandbox: None,
            now,
            fetched: Mutex::default(),
        }
    }

    /// Notes what came, to be remembered by its sha256 once it is committed.
    pub(crate) fn fetched(&self, sha256: &str, blob: &BlobId) {
        let mut fetched = self
            .fetched
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        fetched.push((sha256.to_owned(), *blob));
    }

    /// Commits what came, so that neither the build nor the next lock fetches it again.
    pub fn keep_fetched(&self) -> Result<(), LockError> {
        self.session.commit()?;
        let mut fetched = self
            .fetched
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for (sha256, blob) in fetched.drain(..) {
            crate::net::remember(self.session.store(), &sha256, &blob)?;
        }
        Ok(())
    }
}

/// Every fact a build needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Counts up with every change that was written.
    pub serial: u64,
    /// Digest of what the recipe asks of a lock; differs when the lock is out of date.
    pub recipe: recipe_store::Digest,
    /// What the closure runs on.
    pub platform: Platform,
    /// The newest index date in seconds since 1970: SOURCE_DATE_EPOCH of what is built.
    pub date: u64,
    /// `3.13`, or `None` for a closure without Python.
    pub python: Option<String>,
    /// What the recipe asked for, one line each (`Recipe::lock_facts`): so that "out of date" can say what changed.
    pub asked: Vec<String>,
    /// The signed indexes that were believed.
    pub suites: Vec<Suite>,
    /// Every file a build may read, sorted by kind, then name.
    pub files: Vec<Locked>,
}

/// One signed index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// `trixie`, `trixie-updates`, `trixie-security`.
    pub name: String,
    /// The archive: `debian` or `debian-security`.
    pub archive: String,
    /// `Date` of the `InRelease`, seconds since 1970.
    pub date: u64,
    /// sha256 of the `InRelease` file, hex.
    pub sha256: String,
    /// Fingerprints of the keys whose signatures were good, upper-case hex.
    pub keys: Vec<String>,
}

/// One file a build may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// What it is.
    pub kind: FileKind,
    /// Package or project name: `libc6`, `pyyaml` (normalised).
    pub name: String,
    /// Its version.
    pub version: String,
    /// Debian's name of its processor (`amd64`) or `all` for Debian packages; empty otherwise.
    pub architecture: String,
    /// Source package a deb was built from (`follow` moves all of one source together); empty otherwise.
    pub source: String,
    /// Which archive has it: `debian`, `debian-security`, `python`.
    pub archive: String,
    /// Path inside the archive (`pool/main/...`), or the file's name for a wheel.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// sha256, hex.
    pub sha256: String,
    /// Who needs it, for people: `recipe`, `python3.13-minimal`, `requests`. For what builds sdists, which
    /// they are: `psutil 7.0.0, pyyaml 6.0.3`.
    pub reason: String,
    /// What the metadata of an sdist say that its wheel needs; empty otherwise.
    pub requires: Vec<String>,
}

impl Lock {
    /// The platform of the machines that can build this without being of the closure's own.
    pub fn builder(&self) -> Option<Platform> {
        let mut builders = self
            .files
            .iter()
            .filter(|file| file.kind == FileKind::Builder);
        builders.find_map(|file| Platform::of_debian(&file.architecture))
    }
}

impl Locked {
    /// What people call it: its name, and what tells it from another file of this name that one lock may have:
    /// the architecture where the machine that builds runs it (`libc6:amd64`), the version where it is for builds
    /// of sdists (`setuptools 80.9.0`), the file's own name where it is of a source, `patches` for those of a package.
    pub fn subject(&self) -> String {
        match self.kind {
            FileKind::Builder => format!("{}:{}", self.name, self.architecture),
            // A source may have several files.
            FileKind::Source => format!("{} {}", self.name, self.file_name()),
            FileKind::DebianPatches => format!("{} patches", self.name),
            kind if kind.is_for_builds() => self.id(),
            _ => self.name.clone(),
        }
    }

    /// The last part of its path.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Name and version: what a file for builds calls the sdist that it is for.
    pub fn id(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// The sdists that a file for builds is for, each by its [`Locked::id`].
    pub fn builds(&self) -> impl Iterator<Item = &str> {
        self.reason
            .split(", ")
            .filter(|_| self.kind.is_for_builds())
    }

    /// Whether `word` is its name; for a project of Python, in any spelling.
    pub fn is_called(&self, word: &str) -> bool {
        let project = || {
            word.parse()
                .is_ok_and(|it: ProjectName| it.as_str() == self.name)
        };
        self.name == word || (self.kind.is_of_python() && project())
    }
}

/// The kinds of file in a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A Debian binary package.
    Deb,
    /// The packaging part (`.debian.tar.xz`) of a Debian source package: its patches are undone.
    DebianPatches,
    /// A Python wheel.
    Wheel,
    /// A Debian binary package of the machine that builds, where the closure is for another: its
    /// Python makes the byte code. Or, of any architecture, the one whose pip says where wheels are, where
    /// the closure's own pip is not there before it is built. Nothing of it enters the closure.
    Builder,
    /// A Debian binary package that the build sees. Its libraries may enter the closure: then it is
    /// there as a [`FileKind::Deb`] too.
    Sysroot,
    /// A file of a source; its name is the recipe's for that source.
    Source,
    /// The source distribution of a Python project, which is built.
    Sdist,
    /// A Python wheel that builds of sdists see.
    BuildWheel,
    /// The same as a source distribution, which is built first.
    BuildSdist,
}

impl FileKind {
    /// Whether only builds of sdists see it.
    pub fn is_for_builds(self) -> bool {
        matches!(self, FileKind::BuildWheel | FileKind::BuildSdist)
    }

    /// Whether it is built.
    pub fn is_sdist(self) -> bool {
        matches!(self, FileKind::Sdist | FileKind::BuildSdist)
    }

    /// Whether it is of a project of a Python package index.
    pub fn is_of_python(self) -> bool {
        self.is_for_builds() || matches!(self, FileKind::Wheel | FileKind::Sdist)
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<FileKind> {
        FileKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// All of them, in the order of a lock file.
    pub const ALL: [FileKind; 9] = [
        FileKind::Deb,
        FileKind::DebianPatches,
        FileKind::Wheel,
        FileKind::Builder,
        FileKind::Sysroot,
        FileKind::Source,
        FileKind::Sdist,
        FileKind::BuildWheel,
        FileKind::BuildSdist,
    ];
}

impl FileKind {
    /// What a lock file calls it.
    fn name(self) -> &'static str {
        match self {
            FileKind::Deb => "deb",
            FileKind::DebianPatches => "debian-patches",
            FileKind::Wheel => "wheel",
            FileKind::Builder => "builder",
            FileKind::Sysroot => "sysroot",
            FileKind::Source => "source",
            FileKind::Sdist => "sdist",
            FileKind::BuildWheel => "build-wheel",
            FileKind::BuildSdist => "build-sdist",
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod live;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
