//! Debian packages and wheels → their trees, and what their ELF files need and offer. Begin at [`Candidates`].
//!
//! Locking has to look inside a package to know if it contributes. Packages are fetched side by side
//! and unpacked straight into the store, where the build finds them again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use recipe_store::{BlobId, TreeId};

use super::error::LockError;
use super::host::{self, HostFile};
use super::{Context, Locked};
use crate::archive::{ArchiveError, Limits, Sink, TreeSink, unpack_deb, unpack_zip};
use crate::elf::{self, Facts, Machine};
use crate::net::{NetError, Wanted};

/// Downloads that wait side by side.
const SIDE_BY_SIDE: usize = 8;
/// No library comes near this (bytes); what is larger is not looked into.
const MOST_ELF: u64 = 1 << 30;

/// A package that was looked into.
#[derive(Debug, Clone)]
pub(super) struct Unpacked {
    /// Its files, as they lie in the package.
    pub(super) tree: TreeId,
    /// Its ELF files by path.
    pub(super) elf: BTreeMap<String, Facts>,
}

/// Asks the same of many files at once; what waits for a mirror does not hold up the others. The
/// answers are in the order of the questions.
pub(super) fn side_by_side<T: Send>(
    files: &[Locked],
    ask: impl Fn(&Locked) -> Result<T, LockError> + Sync,
) -> Vec<Result<T, LockError>> {
    let next = AtomicUsize::new(0);
    let slots: Vec<Mutex<Option<Result<T, LockError>>>> =
        files.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(files.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(file), Some(slot)) = (files.get(index), slots.get(index)) else {
                        return;
                    };
                    let answer = ask(file);
                    *slot
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(answer);
                }
            });
        }
    });
    let stopped = |file: &Locked| LockError::Stopped {
        what: format!("the thread for {}", file.name),
    };
    let answers = slots.into_iter().map(|slot| {
        slot.into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    });
    answers
        .zip(files)
        .map(|(answer, file)| answer.unwrap_or_else(|| Err(stopped(file))))
        .collect()
}

/// The blob of a locked file.
pub(super) fn fetch(context: &Context<'_>, file: &Locked) -> Result<BlobId, NetError> {
    let wanted = Wanted::exact(&file.archive, &file.path, file.size, &file.sha256);
    let blob = context.net.fetch(&wanted, context.session)?;
    context.fetched(&file.sha256, &blob);
    Ok(blob)
}

/// A package that this machine has installed.
fn installed(context: &Context<'_>, file: &Locked) -> Result<BlobId, LockError> {
    let root = context.net.settings().host_root.as_deref();
    let wanted = HostFile {
        name: &file.name,
        version: &file.version,
        path: &file.path,
        sha256: &file.sha256,
    };
    let blob = host::fetch(root.unwrap_or("/".into()), context.session, &wanted)?;
    context.fetched(&file.sha256, &blob);
    Ok(blob)
}

fn unpack(context: &Context<'_>, file: &Locked) -> Result<Unpacked, LockError> {
    let blob = match file.archive.as_str() {
        host::ARCHIVE => installed(context, file)?,
        _ => fetch(context, file)?,
    };
    let source = context.session.open_blob(&blob)?;
    look_into(context, file, source)
}

/// Unpacks the file of a deb or a wheel.
pub(super) fn look_into(
    context: &Context<'_>,
    file: &Locked,
    source: File,
) -> Result<Unpacked, LockError> {
    let mut sink = Look {
        inner: TreeSink::new(context.session),
        elf: BTreeMap::new(),
    };
    let limits = Limits::default();
    let name = format!("{} {}", file.name, file.version);
    let done = match file.kind {
        kind if kind.is_of_python() => unpack_zip(&source, &name, &limits, &mut sink),
        _ => unpack_deb(source, &name, &limits, &mut sink),
    };
    done.map_err(|cause| LockError::Unpack(Box::new(cause)))?;
    Ok(Unpacked {
        tree: sink.inner.finish()?,
        elf: sink.elf,
    })
}

/// Passes everything on, and reads the ELF files on their way.
struct Look<'a> {
    inner: TreeSink<'a>,
    elf: BTreeMap<String, Facts>,
}

impl Sink for Look<'_> {
    fn directory(&mut self, path: &str) -> Result<(), ArchiveError> {
        self.inner.directory(path)
    }

    fn file(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        let mut head = Vec::with_capacity(4);
        content
            .take(4)
            .read_to_end(&mut head)
            .map_err(ArchiveError::sink)?;
        if head != b"\x7fELF" || size > MOST_ELF {
            return self.inner.file(
                path,
                executable,
                size,
                &mut Cursor::new(head).chain(content),
            );
        }
        let mut bytes = head;
        content
            .read_to_end(&mut bytes)
            .map_err(ArchiveError::sink)?;
        // A damaged ELF file may be somebody's test data; the closure's own scan judges what is kept.
        if let Ok(Some(facts)) = elf::read(&bytes) {
            self.elf.insert(path.to_owned(), facts);
        }
        self.inner.file(path, executable, size, &mut &bytes[..])
    }

    fn symlink(&mut self, path: &str, target: &str) -> Result<(), ArchiveError> {
        self.inner.symlink(path, target)
    }

    fn hard_link(&mut self, path: &str, to: &str) -> Result<(), ArchiveError> {
        if let Some(facts) = self.elf.get(to).cloned() {
            self.elf.insert(path.to_owned(), facts);
        }
        self.inner.hard_link(path, to)
    }
}

/// Packages that were looked into, by name.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    packages: BTreeMap<String, (Locked, Unpacked)>,
}

impl Candidates {
    /// Looks into these packages, unless that was done.
    pub(super) fn load(
        &mut self,
        context: &Context<'_>,
        files: Vec<Locked>,
    ) -> Result<(), LockError> {
        for (file, unpacked) in self.look_into_new(context, files) {
            self.packages.insert(file.name.clone(), (file, unpacked?));
        }
        Ok(())
    }

    /// As [`Candidates::load`], but files that no mirror has any more come back.
    pub(super) fn load_present(
        &mut self,
        context: &Context<'_>,
        files: Vec<Locked>,
    ) -> Result<Vec<Locked>, LockError> {
        let mut gone = Vec::new();
        for (file, unpacked) in self.look_into_new(context, files) {
            match unpacked {
                Ok(unpacked) => {
                    self.packages.insert(file.name.clone(), (file, unpacked));
                }
                Err(LockError::Net(error)) if error.is_gone() => gone.push(file),
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }

    fn look_into_new(
        &self,
        context: &Context<'_>,
        files: Vec<Locked>,
    ) -> Vec<(Locked, Result<Unpacked, LockError>)> {
        let known = |file: &Locked| self.packages.contains_key(&file.name);
        let new: Vec<Locked> = files.into_iter().filter(|file| !known(file)).collect();
        let unpacked = side_by_side(&new, |file| unpack(context, file));
        new.into_iter().zip(unpacked).collect()
    }

    /// Forgets a package.
    pub(super) fn forget(&mut self, name: &str) {
        self.packages.remove(name);
    }

    /// Whether a package was looked into.
    pub(super) fn has(&self, name: &str) -> bool {
        self.packages.contains_key(name)
    }

    /// A package that was looked into.
    pub(super) fn get(&self, name: &str) -> Option<&(Locked, Unpacked)> {
        self.packages.get(name)
    }

    /// The libraries in the loader's folders, by the name they are needed by: whose they are, and what they say.
    pub(super) fn libraries(&self, machine: Machine) -> Libraries {
        let mut libraries = Libraries::default();
        for (name, (_, unpacked)) in &self.packages {
            for (path, facts) in &unpacked.elf {
                if facts.machine == machine && is_library_path(path) {
                    let file = path.rsplit('/').next().unwrap_or(path);
                    let soname = facts.soname.clone().unwrap_or_else(|| file.to_owned());
                    // Names in order: of two packages with one soname the first has it, always the same.
                    libraries
                        .facts
                        .entry(soname.clone())
                        .or_insert_with(|| facts.clone());
                    libraries
                        .owner
                        .entry(soname)
                        .or_insert_with(|| name.clone());
                }
            }
        }
        libraries
    }
}

/// Libraries by soname.
#[derive(Debug, Default)]
pub(super) struct Libraries {
    /// What they say.
    pub(super) facts: BTreeMap<String, Facts>,
    /// The package that has them.
    pub(super) owner: BTreeMap<String, String>,
}

/// `usr/lib/x86_64-linux-gnu/libz.so.1.3`, `lib64/ld-linux-x86-64.so.2`: where the loader of Debian looks.
fn is_library_path(path: &str) -> bool {
    let path = path.strip_prefix("usr/").unwrap_or(path);
    let Some(rest) = path
        .strip_prefix("lib/")
        .or_else(|| path.strip_prefix("lib64/"))
    else {
        return false;
    };
    let file = match rest.split_once('/') {
        Some((triplet, file)) if triplet.ends_with("-linux-gnu") => file,
        Some(_) => return false,
        None => rest,
    };
    !file.contains('/')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::is_library_path;

    #[test]
    fn only_the_folders_of_the_loader_hold_libraries_for_all() {
        for path in [
            "usr/lib/x86_64-linux-gnu/libz.so.1.3",
            "lib/x86_64-linux-gnu/libc.so.6",
            "lib64/ld-linux-x86-64.so.2",
            "usr/lib/libx.so",
        ] {
            assert!(is_library_path(path), "{path}");
        }
        for path in [
            "usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so",
            "usr/lib/python3.13/lib-dynload/_ssl.so",
            "usr/bin/python3.13",
            "opt/lib/libx.so",
            "usr/lib32/libc.so.6",
        ] {
            assert!(!is_library_path(path), "{path}");
        }
    }
}
