//! tar → entries. Begin at [`unpack_tar`]; [`unpack`] is the same for a stream that is part of
//! something else. `blocks.rs` reads blocks and contents, `header.rs` one header, `pax.rs` one extended
//! header.
//!
//! Accepted: POSIX ustar and pax, GNU with long names, and the old format, one of them per archive.
//! Everything after the end must be zeros, and the end must be there.

mod blocks;
mod header;
mod pax;

use std::io::{BufReader, Read};

use self::blocks::{Data, padding};
use self::header::{Form, Header};
use self::pax::Pax;
use super::Sink;
use super::error::{ArchiveError, Fault, Kind};
use super::guard::Guard;
use super::limits::Limits;
use super::path::Root;
use super::stream::{self, Compression};

const BLOCK: usize = 512;

/// Unpacks a tar archive (a source tarball, an sdist) into `sink`. `name` is only for messages.
/// Absolute symlinks are refused.
///
/// # Errors
/// [`ArchiveError`] names the entry and the rule it breaks; what `sink` holds is then worthless.
pub fn unpack_tar(
    source: impl Read,
    compression: Compression,
    name: &str,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    unpack(source, compression, name, limits, Root::Unknown, sink)
}

/// The same, where the caller says what absolute symlinks mean.
pub(super) fn unpack(
    source: impl Read,
    compression: Compression,
    name: &str,
    limits: &Limits,
    root: Root,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let bytes = stream::open(source, compression, limits)
        .map_err(|error| ArchiveError::from_form(name, error))?;
    let guard = Guard::new(name, limits, sink, root);
    let mut reader = Reader {
        bytes: BufReader::with_capacity(64 << 10, bytes),
        next: Next::default(),
        dialect: None,
        index: 0,
    };
    reader.run(guard)
}

/// Which extensions this archive has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Pax,
    Gnu,
}

/// What extension headers have said about the entry that comes next.
#[derive(Default)]
struct Next {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Next {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

struct Reader<R> {
    bytes: BufReader<R>,
    next: Next,
    dialect: Option<Dialect>,
    index: u64,
}

impl<R: Read> Reader<R> {
    fn run(&mut self, mut guard: Guard<'_>) -> Result<(), ArchiveError> {
        while let Some(header) = self.header(&guard)? {
            // Extension headers are told by their own stored name until an entry claims them.
            guard.begin(self.index + 1, &header.short_name());
            self.step(&header, &mut guard)?;
        }
        if !self.next.is_empty() {
            return Err(guard.refuse(Fault::Malformed {
                what: "the archive's end",
                why: "an extended header stands before it, but no entry that it is for".to_owned(),
            }));
        }
        self.only_zeros()
            .map_err(|error| guard.broken_archive(error))?;
        guard.finish()
    }

    /// One header block and all that belongs to it.
    fn step(&mut self, header: &Header, guard: &mut Guard<'_>) -> Result<(), ArchiveError> {
        let form = header.check().map_err(|fault| guard.refuse(fault))?;
        match header.kind() {
            b'x' => self.extended_header(header, guard),
            b'g' => self.global_header(header, guard),
            b'L' => {
                let name = self.long(header, guard, self.next.long_name.is_some())?;
                self.next.long_name = Some(name);
                Ok(())
            }
            b'K' => {
                let link = self.long(header, guard, self.next.long_link.is_some())?;
                self.next.long_link = Some(link);
                Ok(())
            }
            kind => self.entry(kind, form, header, guard),
        }
    }

    fn entry(
        &mut self,
        kind: u8,
        form: Form,
        header: &Header,
        guard: &mut Guard<'_>,
    ) -> Result<(), ArchiveError> {
        let next = std::mem::take(&mut self.next);
        self.index += 1;
        let pax = next.pax.unwrap_or_default();
        let name = pax.path.or(next.long_name);
        let name = match name {
            Some(name) => Ok(name),
            None => header.name(form),
        };
        if let Ok(name) = &name {
            guard.begin(self.index, name);
        }
        name.map_err(|fault| guard.refuse(fault))?;
        let refuse = |fault| Err(guard.refuse(fault));
        let kind = match kind {
            b'0' | 0 => Kind::File,
            b'1' => return self.hard_link(header, pax.link.or(next.long_link), pax.size, guard),
            b'2' => Kind::Symlink,
            b'5' => Kind::Directory,
            b'3' => {
                return refuse(Fault::Special {
                    what: "character device",
                });
            }
            b'4' => {
                return refuse(Fault::Special {
                    what: "block device",
                });
            }
            b'6' => return refuse(Fault::Special { what: "FIFO" }),
            b's' => return refuse(Fault::Special { what: "socket" }),
            b'7' => {
                return refuse(Fault::Feature {
                    what: "the type \"contiguous file\"",
                });
            }
            b'S' => {
                return refuse(Fault::Feature {
                    what: "GNU's sparse files",
                });
            }
            b'M' => {
                return refuse(Fault::Feature {
                    what: "several volumes",
                });
            }
            b'V' => {
                return refuse(Fault::Feature {
                    what: "a volume label",
                });
            }
            b'D' | b'N' => {
                return refuse(Fault::Feature {
                    what: "GNU's incremental dumps",
                });
            }
            b'A' | b'X' => {
                return refuse(Fault::Feature {
                    what: "Solaris' extended headers",
                });
            }
            other => {
                return refuse(Fault::Malformed {
                    what: "its header",
                    why: format!("there is no entry type \"{}\"", other.escape_ascii()),
                });
            }
        };
        if kind != Kind::Symlink && (pax.link.is_some() || next.long_link.is_some()) {
            return refuse(Fault::Malformed {
                what: "its extended header",
                why: format!("it gives a link target to a {kind}"),
            });
        }
        match kind {
            Kind::File => self.file(header, form, pax.size, guard),
            Kind::Directory => {
                no_content(header, pax.size).map_err(|fault| guard.refuse(fault))?;
                guard.directory()
            }
            Kind::Symlink => {
                no_content(header, pax.size).map_err(|fault| guard.refuse(fault))?;
                let target = link_of(header, pax.link.or(next.long_link));
                let target = target.map_err(|fault| guard.refuse(fault))?;
                guard.symlink(&target)
            }
        }
    }

    fn hard_link(
        &mut self,
        header: &Header,
        long: Option<Vec<u8>>,
        pax_size: Option<u64>,
        guard: &mut Guard<'_>,
    ) -> Result<(), ArchiveError> {
        no_content(header, pax_size).map_err(|fault| guard.refuse(fault))?;
        let to = link_of(header, long).map_err(|fault| guard.refuse(fault))?;
        guard.hard_link(&to)
    }

    fn file(
        &mut self,
        header: &Header,
        form: Form,
        pax_size: Option<u64>,
        guard: &mut Guard<'_>,
    ) -> Result<(), ArchiveError> {
        let checked = header
            .entry_size(form, pax_size)
            .and_then(|size| Ok((size, header.executable()?)));
        let (size, executable) = checked.map_err(|fault| guard.refuse(fault))?;
        if size > guard.limits().bytes {
            return Err(guard.refuse(Fault::Limit {
                what: "its size",
                limit: guard.limits().bytes,
                unit: "bytes",
            }));
        }
        let mut payload = Data {
            bytes: &mut self.bytes,
            padding: padding(size),
        };
        guard.file(executable, size, &mut payload)
    }

    fn extended_header(
        &mut self,
        header: &Header,
        guard: &mut Guard<'_>,
    ) -> Result<(), ArchiveError> {
        self.speak(Dialect::Pax, guard)?;
        if self.next.pax.is_some() {
            return Err(guard.refuse(Fault::Malformed {
                what: "its extended header",
                why: "a second one follows directly".to_owned(),
            }));
        }
        let content = self.small_content(header, guard)?;
        let pax = Pax::parse(&content).map_err(|fault| guard.refuse(fault))?;
        self.next.pax = Some(pax);
        Ok(())
    }

    /// `git archive` writes one, with its commit as a comment. One that would name or size every
    /// following entry is refused.
    fn global_header(
        &mut self,
        header: &Header,
        guard: &mut Guard<'_>,
    ) -> Result<(), ArchiveError> {
        self.speak(Dialect::Pax, guard)?;
        let content = self.small_content(header, guard)?;
        let pax = Pax::parse(&content).map_err(|fault| guard.refuse(fault))?;
        let unused = self.next.is_empty() && pax.is_empty();
        if !unused {
            return Err(guard.refuse(Fault::Feature {
                what: "a global extended header that sets names or sizes",
            }));
        }
        Ok(())
    }

    /// The content of a GNU `L` or `K` header: one name, which may end in one NUL.
    fn long(
        &mut self,
        header: &Header,
        guard: &mut Guard<'_>,
        again: bool,
    ) -> Result<Vec<u8>, ArchiveError> {
        self.speak(Dialect::Gnu, guard)?;
        let mut name = self.small_content(header, guard)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        if again || name.is_empty() || name.contains(&0) {
            let why = if again {
                "a second one follows"
            } else {
                "it is empty or holds a NUL byte"
            };
            return Err(guard.refuse(Fault::Malformed {
                what: "its GNU long name",
                why: why.to_owned(),
            }));
        }
        Ok(name)
    }

    /// One archive speaks one dialect: programs differ in which extension wins.
    fn speak(&mut self, dialect: Dialect, guard: &Guard<'_>) -> Result<(), ArchiveError> {
        if *self.dialect.get_or_insert(dialect) != dialect {
            return Err(guard.refuse(Fault::Feature {
                what: "GNU long names and pax headers in one archive",
            }));
        }
        Ok(())
    }
}

fn link_of(header: &Header, long: Option<Vec<u8>>) -> Result<Vec<u8>, Fault> {
    match long {
        Some(long) => Ok(long),
        None => header.link(),
    }
}

fn no_content(header: &Header, pax_size: Option<u64>) -> Result<(), Fault> {
    let size = header.size()?;
    let claimed = pax_size.unwrap_or(0).max(size);
    if claimed != 0 {
        return Err(Fault::Malformed {
            what: "its header",
            why: format!("only files have content, but its size is {claimed}"),
        });
    }
    Ok(())
}
