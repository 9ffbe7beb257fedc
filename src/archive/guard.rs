//! Entries as an archive has them → entries a [`Sink`] may see. Every reader sends all its entries
//! through one [`Guard`], which knows each earlier name and what it was.

use std::collections::HashMap;
use std::io::{self, Read};

use super::Sink;
use super::error::{ArchiveError, Fault, Kind, escape};
use super::limits::Limits;
use super::path::{Root, climbed, entry_path, link_target};

/// The content of one file, and what must hold when it has been read.
pub(super) trait Payload: Read {
    /// Called once, after the last byte was read: checks and skips whatever follows the content.
    fn close(&mut self) -> io::Result<()>;
}

pub(super) struct Guard<'a> {
    archive: &'a str,
    limits: &'a Limits,
    sink: &'a mut dyn Sink,
    root: Root,
    names: Names,
    index: u64,
    name: Vec<u8>,
    /// Was there an entry, be it only the root?
    any: bool,
    /// Symlinks whose targets climb after a name: judged when all names are known.
    climbers: Vec<Climber>,
}

struct Climber {
    index: u64,
    path: String,
    target: String,
}

impl<'a> Guard<'a> {
    pub(super) fn new(
        archive: &'a str,
        limits: &'a Limits,
        sink: &'a mut dyn Sink,
        root: Root,
    ) -> Self {
        Guard {
            archive,
            limits,
            sink,
            root,
            names: Names::new(limits.entries),
            index: 0,
            name: Vec::new(),
            any: false,
            climbers: Vec::new(),
        }
    }

    pub(super) fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// The next entry, as the archive names it. All that follows is about this one.
    pub(super) fn begin(&mut self, index: u64, name: &[u8]) {
        self.index = index;
        self.name.clear();
        self.name.extend_from_slice(name);
    }

    /// An error about the present entry.
    pub(super) fn refuse(&self, fault: Fault) -> ArchiveError {
        ArchiveError::entry(self.archive, self.index, &self.name, fault)
    }

    /// An error of reading the present entry.
    pub(super) fn broken(&self, error: io::Error) -> ArchiveError {
        ArchiveError::from_entry(self.archive, self.index, &self.name, error)
    }

    /// An error about the archive itself.
    pub(super) fn refuse_archive(&self, fault: Fault) -> ArchiveError {
        ArchiveError::form(self.archive, fault)
    }

    /// An error of reading between entries.
    pub(super) fn broken_archive(&self, error: io::Error) -> ArchiveError {
        ArchiveError::from_form(self.archive, error)
    }

    pub(super) fn directory(&mut self) -> Result<(), ArchiveError> {
        let Some(path) = self.place(Kind::Directory)? else {
            return Ok(());
        };
        let sunk = self.sink.directory(&path);
        sunk.map_err(|error| self.locate(error))
    }

    pub(super) fn file(
        &mut self,
        executable: bool,
        size: u64,
        payload: &mut dyn Payload,
    ) -> Result<(), ArchiveError> {
        let Some(path) = self.place(Kind::File)? else {
            return Err(self.refuse(Fault::EmptyName));
        };
        let mut content = Content::new(payload, size).map_err(|error| self.broken(error))?;
        let sunk = self.sink.file(&path, executable, size, &mut content);
        if let Some(failure) = content.failure.take() {
            return Err(self.broken(failure));
        }
        sunk.map_err(|error| self.locate(error))?;
        let drained = io::copy(&mut content, &mut io::sink());
        drained.map_err(|error| self.broken(content.failure.take().unwrap_or(error)))?;
        Ok(())
    }

    pub(super) fn symlink(&mut self, target: &[u8]) -> Result<(), ArchiveError> {
        let Some(path) = self.place(Kind::Symlink)? else {
            return Err(self.refuse(Fault::EmptyName));
        };
        let (target, climbs) =
            link_target(&path, target, self.root).map_err(|fault| self.refuse(fault))?;
        let sunk = self.sink.symlink(&path, &target);
        sunk.map_err(|error| self.locate(error))?;
        if climbs {
            self.climbers.push(Climber {
                index: self.index,
                path,
                target,
            });
        }
        Ok(())
    }

    pub(super) fn hard_link(&mut self, to: &[u8]) -> Result<(), ArchiveError> {
        let to = match entry_path(to, Kind::File, self.limits) {
            Ok(Some(to)) => to,
            Ok(None) => return Err(self.refuse(Fault::EmptyName)),
            Err(fault) => {
                return Err(self.refuse(Fault::Malformed {
                    what: "its link target",
                    why: format!("\"{}\": {fault}", escape(to)),
                }));
            }
        };
        match self.names.kind(to) {
            Some(Kind::File) => {}
            Some(kind) => {
                let to = escape(to.as_bytes());
                return Err(self.refuse(Fault::LinkToOther { to, kind }));
            }
            None => {
                let to = escape(to.as_bytes());
                return Err(self.refuse(Fault::LinkToMissing { to }));
            }
        }
        let Some(path) = self.place(Kind::File)? else {
            return Err(self.refuse(Fault::EmptyName));
        };
        let sunk = self.sink.hard_link(&path, to);
        sunk.map_err(|error| self.locate(error))
    }

    /// All entries have come: is there one, and does no symlink climb through another?
    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        if !self.any {
            return Err(self.refuse_archive(Fault::Empty));
        }
        for climber in &self.climbers {
            let through = climbed(&climber.path, &climber.target)
                .into_iter()
                .find(|path| self.names.kind(path) == Some(Kind::Symlink));
            if let Some(through) = through {
                let fault = Fault::ClimbsThroughLink {
                    target: escape(climber.target.as_bytes()),
                    through: escape(through.as_bytes()),
                };
                let path = climber.path.as_bytes();
                return Err(ArchiveError::entry(
                    self.archive,
                    climber.index,
                    path,
                    fault,
                ));
            }
        }
        Ok(())
    }

    /// Checks the present name, and enters it. `None` where there is nothing to tell the sink: the
    /// root, or a directory known already.
    fn place(&mut self, kind: Kind) -> Result<Option<String>, ArchiveError> {
        self.any = true;
        let placed = match entry_path(&self.name, kind, self.limits) {
            Ok(Some(path)) => match self.names.enter(path, kind) {
                Ok(true) => Ok(Some(path.to_owned())),
                Ok(false) => Ok(None),
                Err(fault) => Err(fault),
            },
            Ok(None) => Ok(None),
            Err(fault) => Err(fault),
        };
        placed.map_err(|fault| self.refuse(fault))
    }

    /// Adds archive and entry to an error that a sink made.
    fn locate(&self, error: ArchiveError) -> ArchiveError {
        match error {
            ArchiveError::Sink { source, .. } => ArchiveError::Sink {
                archive: escape(self.archive.as_bytes()),
                index: self.index,
                name: escape(&self.name),
                source,
            },
            other => other,
        }
    }
}

/// Exactly the bytes of one file. The last of them are only given out when the payload has been closed,
/// so a sink never holds a whole file whose checksum is wrong. A failure is kept, because a sink wraps
/// errors in its own.
struct Content<'p> {
    payload: &'p mut dyn Payload,
    left: u64,
    failure: Option<io::Error>,
}

impl<'p> Content<'p> {
    fn new(payload: &'p mut dyn Payload, size: u64) -> io::Result<Self> {
        if size == 0 {
            payload.close()?;
        }
        Ok(Content {
            payload,
            left: size,
            failure: None,
        })
    }

    fn step(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.payload.read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = self.left.saturating_sub(count as u64);
        if self.left == 0 {
            self.payload.close()?;
        }
        Ok(count)
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Err(io::Error::other("the archive could not be read further"));
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        match self.step(&mut buffer[..most]) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let told = io::Error::new(error.kind(), error.to_string());
                self.failure = Some(error);
                Err(told)
            }
            other => other,
        }
    }
}

/// Every path so far, as nested directories: a name is kept once, and looking one up costs the same
/// at any size.
struct Names {
    directories: Vec<HashMap<Box<str>, Node>>,
    count: u64,
    limit: u64,
}

#[derive(Clone, Copy)]
enum Node {
    Directory(usize),
    File,
    Symlink,
}

impl Node {
    fn kind(self) -> Kind {
        match self {
            Node::Directory(_) => Kind::Directory,
            Node::File => Kind::File,
            Node::Symlink => Kind::Symlink,
        }
    }
}

impl Names {
    fn new(limit: u64) -> Self {
        Names {
            directories: vec![HashMap::new()],
            count: 0,
            limit,
        }
    }

    /// What `path` was entered as.
    fn kind(&self, path: &str) -> Option<Kind> {
        let mut at = Node::Directory(0);
        for part in path.split('/') {
            let Node::Directory(number) = at else {
                return None;
            };
            at = *self.directories.get(number)?.get(part)?;
        }
        Some(at.kind())
    }

    /// Enters a checked path, with the directories above it. False where it is a known directory.
    fn enter(&mut self, path: &str, kind: Kind) -> Result<bool, Fault> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = 0;
        let mut start = 0;
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            let end = start + part.len();
            at = match self.directories[at].get(part) {
                Some(Node::Directory(number)) => *number,
                Some(node) => {
                    return Err(Fault::Below {
                        ancestor: escape(&path.as_bytes()[..end]),
                        kind: node.kind(),
                    });
                }
                None => self.make_directory(at, part)?,
            };
            start = end + 1;
        }
        match self.directories[at].get(name).map(|node| node.kind()) {
            Some(Kind::Directory) if kind == Kind::Directory => Ok(false),
            Some(earlier) => Err(Fault::Again { earlier, now: kind }),
            None => {
                match kind {
                    Kind::Directory => {
                        self.make_directory(at, name)?;
                    }
                    Kind::File => self.make(at, name, Node::File)?,
                    Kind::Symlink => self.make(at, name, Node::Symlink)?,
                }
                Ok(true)
            }
        }
    }

    fn make_directory(&mut self, at: usize, name: &str) -> Result<usize, Fault> {
        let number = self.directories.len();
        self.make(at, name, Node::Directory(number))?;
        self.directories.push(HashMap::new());
        Ok(number)
    }

    fn make(&mut self, at: usize, name: &str, node: Node) -> Result<(), Fault> {
        self.count += 1;
        if self.count > self.limit {
            return Err(Fault::Limit {
                what: "the number of entries",
                limit: self.limit,
                unit: "entries",
            });
        }
        self.directories[at].insert(name.into(), node);
        Ok(())
    }
}
