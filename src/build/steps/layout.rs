//! A Debian package → a tree in the layout of a closure. Begin at [`unpack_deb`].
//!
//! `data.tar` is decoded straight into the store: no intermediate tree, and nothing that a closure
//! does not need is ever written, since creating files is what costs most. Where each file goes is
//! the table in [`place`](mod@place). No maintainer script runs; the two effects that matter are made here:
//! the joined certificates, and the names `python3` and `python`.

pub(crate) mod glob;
pub(crate) mod place;

use std::collections::BTreeMap;
use std::io::Read;

use miette::Diagnostic;
use recipe_store::{BlobId, Entry, Session, StoreError, TreeBuilder, TreeId};
use thiserror::Error;

use crate::archive::{self, ArchiveError, Limits, Sink, put_content};
use crate::elf;
use place::{CA_BUNDLE, Place, place};

/// What to take of one package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout<'a> {
    /// The binary package's name, such as `libc6`.
    pub package: &'a str,
    /// Whether the recipe names this package: then its programs and data come along too.
    pub named: bool,
    /// What stays out: package names (no `/`, no `*`), or [patterns](glob::matches) of paths in the
    /// closure, optionally behind `<package>/`.
    pub exclude: &'a [String],
}

impl Layout<'_> {
    /// `python3.13-minimal` has the program; its name is all that makes it one.
    fn is_interpreter(&self) -> bool {
        self.interpreter().is_some()
    }

    /// `3.13` for `python3.13-minimal`.
    fn interpreter(&self) -> Option<&str> {
        let version = self
            .package
            .strip_prefix("python")?
            .strip_suffix("-minimal")?;
        let (major, minor) = version.split_once('.')?;
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        (is_number(major) && is_number(minor)).then_some(version)
    }

    fn excludes(&self, path: &str) -> bool {
        self.exclude.iter().any(|pattern| {
            if pattern.contains(['/', '*']) {
                glob::matches(pattern, path)
                    || glob::matches(pattern, &format!("{}/{path}", self.package))
            } else {
                pattern == self.package
            }
        })
    }
}

/// Why a package could not be laid out.
#[derive(Debug, Error, Diagnostic)]
pub enum LayoutError {
    /// The archive is not sound, or could not be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(ArchiveError),
    /// Two of its files want one place.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Collision(#[from] Collision),
    /// The store failed.
    #[error("cannot keep the files of {package}")]
    #[diagnostic(code(build::layout_store))]
    Store {
        /// The package.
        package: String,
        /// Why.
        #[source]
        source: StoreError,
    },
}

/// Two files of one package want one place.
#[derive(Debug, Error, Diagnostic)]
#[error("{package}: {first} and {second} differ, but both belong at {path} in the closure")]
#[diagnostic(
    code(build::layout_collision),
    help("leave one of them out: `system {{ exclude \"...\" }}` with its path in the closure")
)]
pub struct Collision {
    /// The package.
    pub package: String,
    /// The place in the closure.
    pub path: String,
    /// Where one lies in the package.
    pub first: String,
    /// Where the other does.
    pub second: String,
}

impl From<ArchiveError> for LayoutError {
    /// What the sink itself found is told as it is.
    fn from(error: ArchiveError) -> LayoutError {
        match error {
            ArchiveError::Sink {
                archive,
                index,
                name,
                source,
            } => match source.downcast::<Collision>() {
                Ok(collision) => LayoutError::Collision(*collision),
                Err(source) => LayoutError::Archive(ArchiveError::Sink {
                    archive,
                    index,
                    name,
                    source,
                }),
            },
            error => LayoutError::Archive(error),
        }
    }
}

/// Decodes the package `deb` into `session` and gives the tree of what a closure takes of it.
pub(crate) fn unpack_deb(
    session: &Session,
    deb: &BlobId,
    layout: &Layout<'_>,
) -> Result<TreeId, LayoutError> {
    let failed = |source| LayoutError::Store {
        package: layout.package.to_owned(),
        source,
    };
    let file = session.open_blob(deb).map_err(failed)?;
    let mut sink = LayoutSink::new(session, layout);
    archive::unpack_deb(file, layout.package, &Limits::default(), &mut sink)?;
    sink.finish().map_err(failed)
}

/// A file's content as it was put into the store.
type Stored = (BlobId, bool);

pub(super) struct LayoutSink<'a> {
    session: &'a Session,
    layout: &'a Layout<'a>,
    /// Closure path → entry, and where it came from.
    placed: BTreeMap<String, (Entry, String)>,
    /// Path in the package → what was stored for it and where it went; for links to it.
    moved: BTreeMap<String, (Stored, String)>,
    /// Path in the package → where that link belongs, and what it points at in the package.
    links: BTreeMap<String, (Place, String)>,
    /// Package path → a certificate.
    certificates: BTreeMap<String, Vec<u8>>,
}

impl<'a> LayoutSink<'a> {
    pub(super) fn new(session: &'a Session, layout: &'a Layout<'a>) -> Self {
        LayoutSink {
            session,
            layout,
            placed: BTreeMap::new(),
            moved: BTreeMap::new(),
            links: BTreeMap::new(),
            certificates: BTreeMap::new(),
        }
    }

    /// Stores a file, unless its place is excluded; the archive checks what is not read.
    fn put(
        &mut self,
        from: &str,
        to: String,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        if self.layout.excludes(&to) {
            return Ok(());
        }
        let blob = put_content(self.session, executable, size, content)?;
        self.record(from, to, (blob, executable))
    }

    fn record(&mut self, from: &str, to: String, stored: Stored) -> Result<(), ArchiveError> {
        let (blob, executable) = stored;
        let entry = Entry::File { blob, executable };
        if let Some((earlier, first)) = self.placed.get(&to)
            && *earlier != entry
        {
            return Err(ArchiveError::sink(Collision {
                package: self.layout.package.to_owned(),
                path: to,
                first: first.clone(),
                second: from.to_owned(),
            }));
        }
        self.moved.insert(from.to_owned(), (stored, to.clone()));
        self.placed.insert(to, (entry, from.to_owned()));
        Ok(())
    }

    /// Links, joined certificates and the names of the interpreter; then the tree.
    pub(super) fn finish(mut self) -> Result<TreeId, StoreError> {
        let aimed = self.links.iter().filter_map(|(from, (place, target))| {
            let (path, target) = self.link(from, place, target)?;
            Some((path, (Entry::Symlink { target }, from.clone())))
        });
        for (path, link) in aimed.collect::<Vec<_>>() {
            self.placed.entry(path).or_insert(link);
        }
        self.join_certificates()?;
        self.add_names();
        let mut builder = TreeBuilder::new();
        for (path, (entry, _)) in self.placed {
            builder.insert(&path, entry)?;
        }
        builder.finish(self.session)
    }

    /// Where a link goes and what it says there; `None` when what it points at is not here.
    fn link(&self, from: &str, place: &Place, target: &str) -> Option<(String, String)> {
        let aim = self.aim(target, 0)?;
        let path = match place {
            Place::At(path) => path.clone(),
            // `libz.so` is for compilers; `libz.so.1`, the SONAME, is where the file itself went.
            Place::Library => {
                let name = from.rsplit('/').next().unwrap_or(from);
                if name.ends_with(".so") {
                    return None;
                }
                format!("lib/{name}")
            }
            Place::Drop | Place::Certificate => return None,
        };
        let wanted = path != aim && !self.layout.excludes(&path);
        wanted
            .then(|| (relative(&path, &aim), path))
            .map(|(target, path)| (path, target))
    }

    /// The closure path that `target`, a path in the package, ends at: through other links too.
    fn aim(&self, target: &str, depth: usize) -> Option<String> {
        if let Some((_, path)) = self.moved.get(target) {
            return Some(path.clone());
        }
        if let (Some((_, next)), true) = (self.links.get(target), depth < 40) {
            return self.aim(next, depth + 1);
        }
        // A folder is there when something in it is.
        let Place::At(folder) = place(&format!("{target}/x"), self.layout) else {
            return None;
        };
        let folder = folder.strip_suffix("/x")?.to_owned();
        let inside = format!("{folder}/");
        let (next, _) = self.placed.range(inside.clone()..).next()?;
        next.starts_with(&inside).then_some(folder)
    }

    fn join_certificates(&mut self) -> Result<(), StoreError> {
        if self.certificates.is_empty() || self.layout.excludes(CA_BUNDLE) {
            return Ok(());
        }
        let mut joined = Vec::new();
        for bytes in self.certificates.values() {
            joined.extend_from_slice(bytes);
            if !bytes.ends_with(b"\n") {
                joined.push(b'\n');
            }
        }
        let blob = self.session.put_blob(&joined, false)?;
        let entry = Entry::File {
            blob,
            executable: false,
        };
        self.placed.insert(
            CA_BUNDLE.to_owned(),
            (entry, "share/ca-certificates".to_owned()),
        );
        Ok(())
    }

    fn add_names(&mut self) {
        let mut name = |path: &str, target: &str| {
            let entry = Entry::Symlink {
                target: target.to_owned(),
            };
            self.placed
                .entry(path.to_owned())
                .or_insert((entry, String::new()));
        };
        if let Some(version) = self.layout.interpreter() {
            name("bin/python3", &format!("python{version}"));
            name("bin/python", "python3");
        }
        // Bullseye has it under the other name.
        for (there, other) in [("C.utf8", "C.UTF-8"), ("C.UTF-8", "C.utf8")] {
            let folder = format!("lib/locale/{there}/");
            if self.placed.keys().any(|path| path.starts_with(&folder)) {
                let entry = Entry::Symlink {
                    target: there.to_owned(),
                };
                self.placed
                    .entry(format!("lib/locale/{other}"))
                    .or_insert((entry, String::new()));
                break;
            }
        }
    }
}

impl Sink for LayoutSink<'_> {
    /// Only folders with something in them exist in a closure.
    fn directory(&mut self, _path: &str) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn file(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        match place(path, self.layout) {
            Place::Drop => Ok(()),
            Place::At(to) => self.put(path, to, executable, size, content),
            Place::Certificate => {
                self.certificates
                    .insert(path.to_owned(), read(size, content)?);
                Ok(())
            }
            Place::Library => {
                let bytes = read(size, content)?;
                match library_name(path, &bytes).map_err(ArchiveError::sink)? {
                    // ld.so is the one library that is also started, by its path.
                    Some(name) => {
                        let to = format!("lib/{name}");
                        self.put(path, to, executable, size, &mut &bytes[..])
                    }
                    None => Ok(()),
                }
            }
        }
    }

    fn symlink(&mut self, path: &str, target: &str) -> Result<(), ArchiveError> {
        let place = place(path, self.layout);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.links
            .insert(path.to_owned(), (place, join(folder, target)));
        Ok(())
    }

    fn hard_link(&mut self, path: &str, to: &str) -> Result<(), ArchiveError> {
        let Some((stored, _)) = self.moved.get(to).cloned() else {
            return Ok(());
        };
        match place(path, self.layout) {
            Place::At(place) if !self.layout.excludes(&place) => self.record(path, place, stored),
            _ => Ok(()),
        }
    }
}

/// The name a shared library is stored under; `None` for what only looks like one.
fn library_name(path: &str, bytes: &[u8]) -> Result<Option<String>, elf::ElfError> {
    if !bytes.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let own = path.rsplit('/').next().unwrap_or(path);
    let soname = elf::read(bytes)?.and_then(|facts| facts.soname);
    Ok(Some(
        soname
            .filter(|name| !name.contains('/'))
            .unwrap_or_else(|| own.to_owned()),
    ))
}

fn read(size: u64, content: &mut dyn Read) -> Result<Vec<u8>, ArchiveError> {
    // The size is a claim: it only decides how much is reserved, up to a bound.
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(64 << 20));
    content
        .read_to_end(&mut bytes)
        .map_err(ArchiveError::sink)?;
    Ok(bytes)
}

/// `target` seen from `folder`, without `.` and `..`.
fn join(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// How `target` is reached from the folder of `link`, both closure paths.
pub(crate) fn relative(link: &str, target: &str) -> String {
    let from: Vec<&str> = link.split('/').collect();
    let to: Vec<&str> = target.split('/').collect();
    let same = from
        .iter()
        .zip(&to)
        .take(from.len().min(to.len()) - 1)
        .take_while(|(a, b)| a == b)
        .count();
    let up = std::iter::repeat_n("..", from.len() - 1 - same);
    up.chain(to[same..].iter().copied())
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
