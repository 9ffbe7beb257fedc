//! A closure's tree → one file to install elsewhere. Begin at [`write()`].
//!
//! Everything is streamed from the store: no file is written but the package. The same tree and options
//! give the same bytes, on any machine and with any number of threads, as long as the compression
//! libraries are of the same version; the tar inside is the same for ever. Each blob is hashed while
//! it is read: what is damaged in the store does not leave it.

mod compress;
pub(crate) mod tar;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod zip;

use std::io::{self, Read, Write};

use miette::Diagnostic;
use recipe_store::{BlobId, Digest, Entry, Objects, StoreError, TreeId, walk};
use thiserror::Error;

use self::compress::{Compressor, Counted};
use self::tar::{Kind, TarWriter};
use self::zip::ZipWriter;

pub use self::compress::Format;

/// How a package is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The kind of file.
    pub format: Format,
    /// How hard to compress: see [`Format::levels`]. `None`: [`Format::default_level`].
    pub level: Option<i32>,
    /// The folder everything lies in, as `NAME-VERSION`; several parts (`opt/NAME`) make several
    /// folders, the empty text makes none.
    pub top: String,
    /// The time of every entry, in seconds since 1970: SOURCE_DATE_EPOCH.
    pub epoch: u64,
    /// Threads that compress, at least one. It makes no difference to the bytes.
    pub threads: u32,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the package.
    pub bytes: u64,
    /// BLAKE3 of these bytes.
    pub digest: Digest,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of files packed so far.
    pub done: u64,
    /// Bytes of all files.
    pub total: u64,
}

/// Why there is no package.
#[derive(Debug, Error, Diagnostic)]
pub enum PackageError {
    /// The store could not give what the tree names.
    #[error("the closure cannot be read from the store")]
    #[diagnostic(
        code(package::store),
        help("`recipe store repair` drops what is damaged; building again makes it anew")
    )]
    Store(#[from] StoreError),
    /// The package could not be written.
    #[error("the package cannot be written")]
    #[diagnostic(
        code(package::write),
        help("make room or choose another place for it, then run the same command again")
    )]
    Write(#[source] io::Error),
    /// A file of the store could not be read to its end.
    #[error("\"{path}\" cannot be read from the store")]
    #[diagnostic(
        code(package::read),
        help("check the disk the store is on, then run the same command again")
    )]
    Read {
        /// The file, from the closure's root.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file's bytes are not those its id names.
    #[error("\"{path}\" is damaged in the store: {found} was read where {wanted} was wanted")]
    #[diagnostic(
        code(package::damaged),
        help("`recipe store repair` drops what is damaged; building again makes it anew")
    )]
    Damaged {
        /// The file, from the closure's root.
        path: String,
        /// What it should be.
        wanted: BlobId,
        /// What it is.
        found: Digest,
    },
    /// An option that cannot be.
    #[error("{what} is {found}, {wanted} was wanted")]
    #[diagnostic(code(package::option), help("choose a value in that range"))]
    Option {
        /// Which one.
        what: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        wanted: String,
    },
}

/// Writes the tree as one package: entries sorted by the bytes of their paths, owned by root, files with
/// mode 644 or 755, directories 755.
///
/// # Errors
/// [`PackageError`]; what is in `out` is then no package.
pub fn write(
    objects: &(impl Objects + ?Sized),
    tree: &TreeId,
    options: &Options,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<Written, PackageError> {
    let level = check(options)?;
    let entries = entries(objects, tree)?;
    let total = entries.iter().map(|(_, entry)| size(entry)).sum();
    let out = Counted::new(out);
    let tar = |compressor| Container::Tar(TarWriter::new(compressor, options.epoch));
    let container = match options.format {
        Format::TarZst => {
            tar(Compressor::zstd(out, level, options.threads).map_err(PackageError::Write)?)
        }
        Format::TarGz => tar(Compressor::gzip(out, level)),
        Format::Zip => Container::Zip(ZipWriter::new(out, level, options.epoch)),
    };
    let mut packer = Packer {
        objects,
        container,
        told: Progress { done: 0, total },
        progress,
        buffer: vec![0; CHUNK],
    };
    packer.folders(&options.top)?;
    for (path, entry) in &entries {
        packer.entry(&join(&options.top, path), path, entry)?;
    }
    let counted = packer.container.finish().map_err(PackageError::Write)?;
    Ok(Written {
        bytes: counted.bytes,
        digest: counted.digest(),
    })
}

/// Files are streamed in pieces of this size.
const CHUNK: usize = 256 << 10;

/// That a format has this level: [`PackageError::Option`] where it has not.
pub fn check_level(format: Format, level: i32) -> Result<(), PackageError> {
    let levels = format.levels();
    if levels.contains(&level) {
        return Ok(());
    }
    Err(PackageError::Option {
        what: "the compression level",
        found: level.to_string(),
        wanted: format!(
            "{} to {} for {}",
            levels.start(),
            levels.end(),
            format.extension()
        ),
    })
}

fn check(options: &Options) -> Result<i32, PackageError> {
    let level = options.level.unwrap_or(options.format.default_level());
    check_level(options.format, level)?;
    if options.epoch > tar::LATEST {
        return Err(PackageError::Option {
            what: "the time of the entries",
            found: options.epoch.to_string(),
            wanted: format!("0 to {}", tar::LATEST),
        });
    }
    let top = &options.top;
    let sound = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if !top.is_empty() && !top.split('/').all(sound) {
        return Err(PackageError::Option {
            what: "the top folder",
            found: format!("{top:?}"),
            wanted: "a relative path".to_owned(),
        });
    }
    Ok(level)
}

fn entries(
    objects: &(impl Objects + ?Sized),
    tree: &TreeId,
) -> Result<Vec<(String, Entry)>, StoreError> {
    let mut entries = Vec::new();
    walk::<StoreError>(objects, tree, &mut |path, entry| {
        entries.push((path.to_owned(), entry.clone()));
        Ok(())
    })?;
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(entries)
}

fn size(entry: &Entry) -> u64 {
    match entry {
        Entry::File { blob, .. } => blob.size,
        Entry::Directory(_) | Entry::Symlink { .. } => 0,
    }
}

fn join(top: &str, path: &str) -> String {
    if top.is_empty() {
        path.to_owned()
    } else {
        format!("{top}/{path}")
    }
}

/// What entries are written to.
enum Container<'o> {
    Tar(TarWriter<Compressor<Counted<'o>>>),
    Zip(ZipWriter<Counted<'o>>),
}

impl<'o> Container<'o> {
    /// All of an entry but a file's content, which must follow.
    fn entry(&mut self, path: &str, kind: Kind<'_>) -> io::Result<()> {
        match self {
            Container::Tar(tar) => tar.entry(path, kind),
            Container::Zip(zip) => zip.entry(path, kind),
        }
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Container::Tar(tar) => tar.content(bytes),
            Container::Zip(zip) => zip.content(bytes),
        }
    }

    fn end_of_content(&mut self, size: u64) -> io::Result<()> {
        match self {
            Container::Tar(tar) => tar.end_of_content(size),
            Container::Zip(zip) => zip.end_of_content(size),
        }
    }

    fn finish(self) -> io::Result<Counted<'o>> {
        match self {
            Container::Tar(tar) => tar.finish().and_then(Compressor::finish),
            Container::Zip(zip) => {
                let mut out = zip.finish()?;
                out.flush()?;
                Ok(out)
            }
        }
    }
}

struct Packer<'a, 'o, O: ?Sized> {
    objects: &'a O,
    container: Container<'o>,
    told: Progress,
    progress: &'a mut dyn FnMut(Progress),
    buffer: Vec<u8>,
}

impl<O: Objects + ?Sized> Packer<'_, '_, O> {
    /// The top folder, and those above it.
    fn folders(&mut self, top: &str) -> Result<(), PackageError> {
        let ends = top.match_indices('/').map(|(end, _)| end);
        for end in ends.chain((!top.is_empty()).then_some(top.len())) {
            let made = self.container.entry(&top[..end], Kind::Directory);
            made.map_err(PackageError::Write)?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &str, path: &str, entry: &Entry) -> Result<(), PackageError> {
        let kind = match entry {
            Entry::Directory(_) => Kind::Directory,
            Entry::Symlink { target } => Kind::Symlink { target },
            Entry::File { blob, executable } => Kind::File {
                size: blob.size,
                executable: *executable,
            },
        };
        let begun = self.container.entry(name, kind);
        begun.map_err(PackageError::Write)?;
        match entry {
            Entry::File { blob, .. } => self.content(path, blob),
            Entry::Directory(_) | Entry::Symlink { .. } => Ok(()),
        }
    }

    fn content(&mut self, path: &str, blob: &BlobId) -> Result<(), PackageError> {
        let mut file = self.objects.open_blob(blob)?.take(blob.size);
        let mut hasher = blake3::Hasher::new();
        loop {
            let read = file.read(&mut self.buffer);
            let count = match read {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let path = path.to_owned();
                    return Err(PackageError::Read {
                        path,
                        source: error,
                    });
                }
            };
            hasher.update(&self.buffer[..count]);
            let packed = self.container.content(&self.buffer[..count]);
            packed.map_err(PackageError::Write)?;
            self.told.done += count as u64;
            (self.progress)(self.told);
        }
        let found = Digest::from_bytes(*hasher.finalize().as_bytes());
        if file.limit() != 0 || found != blob.digest {
            return Err(PackageError::Damaged {
                path: path.to_owned(),
                wanted: *blob,
                found,
            });
        }
        self.container
            .end_of_content(blob.size)
            .map_err(PackageError::Write)
    }
}
