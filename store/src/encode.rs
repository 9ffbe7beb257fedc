//! [`Tree`] ⇄ bytes: the canonical `Directory` message of the Remote Execution API v2.
//!
//! Begin at [`Tree::encode`]. Of all the bytes that protobuf would read as one message exactly one
//! form is accepted: fields in the order of their numbers, each list sorted by name, defaults left
//! out, numbers in their shortest form, nothing unknown. So a digest names one tree and a tree has one
//! digest. Numbers of fields are those of `remote_execution.proto`:
//!
//! ```text
//! Directory { repeated FileNode files = 1; repeated DirectoryNode directories = 2; repeated SymlinkNode symlinks = 3; }
//! FileNode { string name = 1; Digest digest = 2; bool is_executable = 4; }
//! DirectoryNode { string name = 1; Digest digest = 2; }    SymlinkNode { string name = 1; string target = 2; }
//! Digest { string hash = 1; int64 size_bytes = 2; }
//! ```

use crate::digest::{BlobId, Digest, TreeId, digest_of_hex};
use crate::tree::{Entry, Tree, TreeError, shown};

/// Wire type 2: a length and that many bytes. All fields are below 16, so a tag is one byte.
const fn bytes_tag(field: u8) -> u8 {
    field << 3 | 2
}

/// Wire type 0: a varint.
const fn varint_tag(field: u8) -> u8 {
    field << 3
}

const FILES: u8 = bytes_tag(1);
const DIRECTORIES: u8 = bytes_tag(2);
const SYMLINKS: u8 = bytes_tag(3);
const NAME: u8 = bytes_tag(1);
const DIGEST: u8 = bytes_tag(2);
const TARGET: u8 = bytes_tag(2);
const IS_EXECUTABLE: u8 = varint_tag(4);
const HASH: u8 = bytes_tag(1);
const SIZE_BYTES: u8 = varint_tag(2);

impl Tree {
    /// The canonical bytes: what is hashed, stored and sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() * 112);
        let mut node = Vec::with_capacity(512);
        for list in [FILES, DIRECTORIES, SYMLINKS] {
            for (name, entry) in self.iter().filter(|(_, entry)| list_of(entry) == list) {
                node.clear();
                put_bytes(&mut node, NAME, name.as_bytes());
                put_entry(&mut node, entry);
                put_bytes(&mut out, list, &node);
            }
        }
        out
    }

    /// Reads what [`Tree::encode`] writes and refuses every other byte string.
    pub fn decode(bytes: &[u8]) -> Result<Tree, TreeError> {
        let mut tree = Tree::new();
        let mut input = Input {
            bytes,
            at: 0,
            end: bytes.len(),
        };
        let mut list = FILES;
        let mut last: Option<&str> = None;
        while !input.is_empty() {
            let tag = input.byte()?;
            if tag != list {
                if tag < list || ![DIRECTORIES, SYMLINKS].contains(&tag) {
                    return Err(input.wrong("an unknown or misplaced field"));
                }
                (list, last) = (tag, None);
            }
            let mut node = input.nested()?;
            let name = node.name()?;
            if last.is_some_and(|last| last >= name) {
                return Err(node.wrong("names that are not sorted"));
            }
            last = Some(name);
            let entry = node.entry(list)?;
            if !node.is_empty() {
                return Err(node.wrong("an unknown or misplaced field"));
            }
            tree.insert(name, entry)?;
        }
        Ok(tree)
    }
}

fn list_of(entry: &Entry) -> u8 {
    match entry {
        Entry::File { .. } => FILES,
        Entry::Directory(_) => DIRECTORIES,
        Entry::Symlink { .. } => SYMLINKS,
    }
}

fn put_entry(node: &mut Vec<u8>, entry: &Entry) {
    match entry {
        Entry::File { blob, executable } => {
            put_digest(node, &blob.digest, blob.size);
            if *executable {
                node.extend([IS_EXECUTABLE, 1]);
            }
        }
        Entry::Directory(tree) => put_digest(node, &tree.digest, tree.size),
        Entry::Symlink { target } => put_bytes(node, TARGET, target.as_bytes()),
    }
}

fn put_digest(node: &mut Vec<u8>, digest: &Digest, size: u64) {
    let mut sized = Vec::with_capacity(80);
    put_bytes(&mut sized, HASH, digest.hex().as_bytes());
    if size != 0 {
        sized.push(SIZE_BYTES);
        put_varint(&mut sized, size);
    }
    put_bytes(node, DIGEST, &sized);
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The part of a message that is still to be read.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Input<'a> {
    fn is_empty(&self) -> bool {
        self.at == self.end
    }

    fn wrong(&self, why: &'static str) -> TreeError {
        TreeError::Encoding { at: self.at, why }
    }

    fn byte(&mut self) -> Result<u8, TreeError> {
        if self.is_empty() {
            return Err(self.wrong("an end too early"));
        }
        self.at += 1;
        Ok(self.bytes[self.at - 1])
    }

    fn tag(&mut self, wanted: u8) -> Result<(), TreeError> {
        if self.byte()? == wanted {
            Ok(())
        } else {
            Err(self.wrong("an unknown or misplaced field"))
        }
    }

    fn varint(&mut self) -> Result<u64, TreeError> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let shortest = byte != 0 || shift == 0;
                return if shortest {
                    Ok(number)
                } else {
                    Err(self.wrong("a number not in its shortest form"))
                };
            }
        }
        Err(self.wrong("a number over 63 bits"))
    }

    fn take(&mut self) -> Result<(usize, usize), TreeError> {
        let length = self.varint()?;
        if length > (self.end - self.at) as u64 {
            return Err(self.wrong("a length beyond the end"));
        }
        let from = self.at;
        self.at += length as usize;
        Ok((from, self.at))
    }

    fn nested(&mut self) -> Result<Input<'a>, TreeError> {
        let (at, end) = self.take()?;
        Ok(Input {
            bytes: self.bytes,
            at,
            end,
        })
    }

    fn text(&mut self) -> Result<&'a str, TreeError> {
        let (from, to) = self.take()?;
        let not_text = TreeError::Encoding {
            at: from,
            why: "text that is not UTF-8",
        };
        std::str::from_utf8(&self.bytes[from..to]).map_err(|_| not_text)
    }

    fn name(&mut self) -> Result<&'a str, TreeError> {
        self.tag(NAME)?;
        self.text()
    }

    fn entry(&mut self, list: u8) -> Result<Entry, TreeError> {
        match list {
            FILES => {
                let (digest, size) = self.digest()?;
                let executable = self.executable()?;
                Ok(Entry::File {
                    blob: BlobId { digest, size },
                    executable,
                })
            }
            DIRECTORIES => {
                let (digest, size) = self.digest()?;
                Ok(Entry::Directory(TreeId { digest, size }))
            }
            _ => {
                self.tag(TARGET)?;
                Ok(Entry::Symlink {
                    target: self.text()?.to_owned(),
                })
            }
        }
    }

    fn executable(&mut self) -> Result<bool, TreeError> {
        if self.is_empty() {
            return Ok(false);
        }
        self.tag(IS_EXECUTABLE)?;
        if self.byte()? == 1 {
            Ok(true)
        } else {
            Err(self.wrong("an executable bit that is not 1"))
        }
    }

    fn digest(&mut self) -> Result<(Digest, u64), TreeError> {
        self.tag(DIGEST)?;
        let mut sized = self.nested()?;
        sized.tag(HASH)?;
        let (from, to) = sized.take()?;
        let digest = digest_of_hex(&self.bytes[from..to]);
        let digest = digest.ok_or(TreeError::Encoding {
            at: from,
            why: "a hash that is not lower-case BLAKE3",
        })?;
        if sized.is_empty() {
            return Ok((digest, 0));
        }
        sized.tag(SIZE_BYTES)?;
        match sized.varint()? {
            0 => Err(sized.wrong("a zero that is written out")),
            size if sized.is_empty() => Ok((digest, size)),
            _ => Err(sized.wrong("an unknown or misplaced field")),
        }
    }
}

impl TreeError {
    /// The same error, naming `path` in the place of a bare name.
    pub(crate) fn at_path(self, path: &str) -> TreeError {
        match self {
            TreeError::Name { why, .. } => TreeError::Name {
                name: shown(path),
                why,
            },
            TreeError::Target { why, .. } => TreeError::Target {
                name: shown(path),
                why,
            },
            TreeError::Duplicate { .. } => TreeError::Duplicate { name: shown(path) },
            TreeError::Size { size, .. } => TreeError::Size {
                name: shown(path),
                size,
            },
            other @ (TreeError::Depth { .. } | TreeError::Encoding { .. }) => other,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "encode_tests.rs"]
mod tests;
