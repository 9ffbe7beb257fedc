//! [`ArchiveError`]: why an archive was refused. The reasons are one closed list, [`Fault`]; an error
//! adds which archive and which entry.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use miette::Diagnostic;
use thiserror::Error;

/// Why unpacking ended. After any of these, throw away what the sink holds.
#[derive(Debug, Error, Diagnostic)]
pub enum ArchiveError {
    /// One entry breaks a rule.
    #[error("{archive}: entry {index} \"{name}\": {fault}")]
    #[diagnostic(code(archive::entry), help("{}", fault.help()))]
    Entry {
        /// The archive, as the caller named it.
        archive: String,
        /// Which entry: the first is 1.
        index: u64,
        /// The entry's name as stored, with control characters and invalid bytes escaped.
        name: String,
        /// The rule.
        fault: Fault,
    },
    /// The archive as a whole breaks a rule.
    #[error("{archive}: {fault}")]
    #[diagnostic(code(archive::form), help("{}", fault.help()))]
    Form {
        /// The archive, as the caller named it.
        archive: String,
        /// The rule.
        fault: Fault,
    },
    /// The bytes could not be read: the archive may be fine.
    #[error("{archive}: cannot be read")]
    #[diagnostic(
        code(archive::read),
        help(
            "the archive itself may be fine: check the disk or the connection it comes from, then try again"
        )
    )]
    Read {
        /// The archive, as the caller named it.
        archive: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An entry is fine, but could not be kept.
    #[error("{archive}: entry {index} \"{name}\": cannot be stored")]
    #[diagnostic(
        code(archive::sink),
        help(
            "the archive is fine so far: mend what the cause says, then run the same command again"
        )
    )]
    Sink {
        /// The archive, as the caller named it.
        archive: String,
        /// Which entry: the first is 1.
        index: u64,
        /// The entry's name, escaped.
        name: String,
        /// What the sink said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl ArchiveError {
    /// For sinks: wraps their own error. The caller adds archive and entry.
    pub fn sink(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        ArchiveError::Sink {
            archive: String::new(),
            index: 0,
            name: String::new(),
            source: source.into(),
        }
    }

    /// The rule that was broken, where that is the reason.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            ArchiveError::Entry { fault, .. } | ArchiveError::Form { fault, .. } => Some(fault),
            ArchiveError::Read { .. } | ArchiveError::Sink { .. } => None,
        }
    }

    pub(super) fn form(archive: &str, fault: Fault) -> Self {
        ArchiveError::Form {
            archive: escape(archive.as_bytes()),
            fault,
        }
    }

    pub(super) fn entry(archive: &str, index: u64, name: &[u8], fault: Fault) -> Self {
        ArchiveError::Entry {
            archive: escape(archive.as_bytes()),
            index,
            name: escape(name),
            fault,
        }
    }

    /// An error of reading: ours in disguise, a decoder's, or the system's.
    pub(super) fn from_form(archive: &str, error: io::Error) -> Self {
        match Fault::from_io(error) {
            Ok(fault) => Self::form(archive, fault),
            Err(source) => Self::read(archive, source),
        }
    }

    /// The same while an entry is being read.
    pub(super) fn from_entry(archive: &str, index: u64, name: &[u8], error: io::Error) -> Self {
        match Fault::from_io(error) {
            Ok(fault) => Self::entry(archive, index, name, fault),
            Err(source) => Self::read(archive, source),
        }
    }

    fn read(archive: &str, source: io::Error) -> Self {
        ArchiveError::Read {
            archive: escape(archive.as_bytes()),
            source,
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, or a hard link to one.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Symlink => "symlink",
        })
    }
}

/// The rules an archive can break.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A name of no bytes, or `.` where a file is meant.
    #[error("its name is empty or only a dot")]
    EmptyName,
    /// A path that begins with `/`.
    #[error("its path is absolute, only relative paths are accepted")]
    AbsolutePath,
    /// A `..` part.
    #[error("its path holds a \"..\" part, which could lead out of the archive's root")]
    ParentPart,
    /// `a//b` or `a/./b`.
    #[error("its path holds an empty or \".\" part")]
    DotPart,
    /// A NUL byte in a name.
    #[error("its name holds a NUL byte")]
    NulInName,
    /// A backslash in a zip, which some programs take for a slash.
    #[error("its name holds a backslash, which some programs read as a slash")]
    Backslash,
    /// Bytes that are not UTF-8.
    #[error("its {what} is not UTF-8")]
    NotUtf8 {
        /// Name or link target.
        what: &'static str,
    },
    /// A file or link whose name ends in a slash.
    #[error("its name ends in a slash as a directory's does, but it is a {kind}")]
    SlashAfter {
        /// What the header says it is.
        kind: Kind,
    },
    /// More bytes, parts or entries than [`super::Limits`] allows.
    #[error("{what}: more than the {limit} {unit} that are accepted")]
    Limit {
        /// What was measured.
        what: &'static str,
        /// The bound.
        limit: u64,
        /// What the bound counts.
        unit: &'static str,
    },
    /// The same path twice.
    #[error("it is a {now}, but an earlier entry of the same path is a {earlier}")]
    Again {
        /// What it was first.
        earlier: Kind,
        /// What it is now.
        now: Kind,
    },
    /// A path below something that is no directory.
    #[error("it lies below \"{ancestor}\", which an earlier entry made a {kind}")]
    Below {
        /// The earlier path, escaped.
        ancestor: String,
        /// What that is.
        kind: Kind,
    },
    /// A symlink target that is empty or has a NUL byte.
    #[error("its link target {why}")]
    BadTarget {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A symlink that leads out.
    #[error("its link target \"{target}\" leads out of the archive's root")]
    Escapes {
        /// The target, escaped.
        target: String,
    },
    /// An absolute symlink where the root is unknown.
    #[error("its link target \"{target}\" is absolute, only relative ones are accepted")]
    AbsoluteTarget {
        /// The target, escaped.
        target: String,
    },
    /// `..` after a part that is itself a symlink: where it leads is not where it seems to.
    #[error(
        "its link target \"{target}\" climbs with \"..\" out of \"{through}\", which is a symlink"
    )]
    ClimbsThroughLink {
        /// The target, escaped.
        target: String,
        /// The other symlink, escaped.
        through: String,
    },
    /// A hard link to nothing.
    #[error("it is a hard link to \"{to}\", which no earlier entry made")]
    LinkToMissing {
        /// The path it names, escaped.
        to: String,
    },
    /// A hard link to a directory or symlink.
    #[error("it is a hard link to \"{to}\", which is a {kind}, not a file")]
    LinkToOther {
        /// The path it names, escaped.
        to: String,
        /// What that is.
        kind: Kind,
    },
    /// A device, FIFO, socket and the like.
    #[error("it is a {what}, only files, directories and links are accepted")]
    Special {
        /// What it is.
        what: &'static str,
    },
    /// Something of the format that is not accepted.
    #[error("it uses {what}, which is not accepted")]
    Feature {
        /// What it is.
        what: &'static str,
    },
    /// Two places say different things.
    #[error("{what} is {one} in one place and {other} in another")]
    Disagree {
        /// What differs.
        what: &'static str,
        /// First reading.
        one: u64,
        /// Second reading.
        other: u64,
    },
    /// Something is not as the format prescribes.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// The part of the format.
        what: &'static str,
        /// What was wanted, what was found.
        why: String,
    },
    /// The bytes end where more must come.
    #[error("{what} is cut short")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// Bytes where none may be.
    #[error("there are bytes {place}")]
    Stray {
        /// Where.
        place: &'static str,
    },
    /// Bytes that several entries claim.
    #[error("its bytes overlap those of another entry")]
    Overlap,
    /// An archive of nothing.
    #[error("it holds no entry at all")]
    Empty,
    /// Another format than wanted, or two at once.
    #[error("{wanted} was wanted, but its bytes are {found}")]
    WrongFormat {
        /// What was asked for.
        wanted: &'static str,
        /// What it looks like.
        found: &'static str,
    },
    /// The checksum of content differs.
    #[error("its content has the CRC-32 {found:08x}, but {wanted:08x} is recorded")]
    Crc {
        /// As recorded.
        wanted: u32,
        /// As computed.
        found: u32,
    },
    /// A decoder gave up.
    #[error("its compressed data are damaged: {why}")]
    Damaged {
        /// What the decoder said.
        why: String,
    },
}

impl Fault {
    /// What a person can do next.
    pub(super) fn help(&self) -> &'static str {
        match self {
            Fault::Truncated { .. } | Fault::Damaged { .. } | Fault::Crc { .. } => {
                "fetch the archive again and compare its hash with the publisher's; nothing of it was kept"
            }
            Fault::Limit { .. } => {
                "no archive in ordinary use is like this: make sure that it is the right file; nothing of it was kept"
            }
            Fault::WrongFormat { .. } => {
                "check the file's name and where it was fetched from: a server may have sent another file"
            }
            _ => {
                "programs differ in what they make of this, so it is refused: ask the author for an archive made by a current tool, or use another version; nothing of it was kept"
            }
        }
    }

    /// Travels through `io::Read` and back by [`Fault::from_io`].
    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }

    fn from_io(error: io::Error) -> Result<Fault, io::Error> {
        if let Some(fault) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Fault>())
        {
            return Ok(fault.clone());
        }
        if error.raw_os_error().is_some() {
            return Err(error);
        }
        let memory = |limit| Fault::Limit {
            what: "memory to decompress it",
            limit,
            unit: "MiB",
        };
        // zstd's decoder tells its errors apart by text only.
        if error.to_string().contains("requires too much memory") {
            return Ok(memory(128));
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Ok(Fault::Truncated {
                what: "the archive",
            }),
            io::ErrorKind::OutOfMemory => Ok(memory(256)),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                Ok(Fault::Damaged {
                    why: escape(error.to_string().as_bytes()),
                })
            }
            _ => Err(error),
        }
    }
}

/// Bytes of an archive as text that is safe on a terminal and still tells names apart: control and
/// invisible direction-changing characters, quotes and backslashes are escaped, bad UTF-8 as `\xNN`.
/// Long names are cut in the middle.
pub(super) fn escape(bytes: &[u8]) -> String {
    const HEAD: usize = 160;
    const TAIL: usize = 60;
    let mut text = String::new();
    if bytes.len() > HEAD + TAIL {
        push_escaped(&mut text, &bytes[..HEAD]);
        text.push_str(" ... ");
        push_escaped(&mut text, &bytes[bytes.len() - TAIL..]);
    } else {
        push_escaped(&mut text, bytes);
    }
    text
}

fn push_escaped(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => {
                    text.extend(character.escape_unicode())
                }
                _ if character.is_control() => text.extend(character.escape_default()),
                _ => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
}
