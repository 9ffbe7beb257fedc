//! Bytes → staged objects, each written once. Begin at [`Session::put_blob`].
//!
//! A file is created in the staging folder with its final mode, and nobody but the session can see
//! it there. What is already staged or published is not written again. Making it durable and giving
//! it its name is the business of `commit.rs`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc::{channel, sync_channel};

use crate::digest::{BlobId, Digest, TreeId};
use crate::error::{Result, StoreError};
use crate::layout::{Key, Kind};
use crate::session::{Session, staged_name};
use crate::tree::{Entry, Tree};

/// Blobs up to this size are read before they are written: those that are there cost no write.
const SMALL: u64 = 128 * 1024;
/// What a large blob is read, hashed and written by, in whole pages.
const CHUNK: u64 = 1024 * 1024;

impl Session {
    /// Stores bytes as a blob. `executable` is the mode of the file that holds it, and no part of the
    /// id: one blob may be asked for in both.
    pub fn put_blob(&self, bytes: &[u8], executable: bool) -> Result<BlobId> {
        let id = BlobId::of(bytes);
        self.put(
            Key {
                kind: Kind::of(executable),
                digest: id.digest,
            },
            bytes,
        )?;
        Ok(id)
    }

    /// The same for bytes that should be `blob`. Where they are not, nothing is stored and this is `false`.
    pub fn put_blob_if(&self, blob: &BlobId, bytes: &[u8], executable: bool) -> Result<bool> {
        let is_it = BlobId::of(bytes) == *blob;
        if is_it {
            self.put(
                Key {
                    kind: Kind::of(executable),
                    digest: blob.digest,
                },
                bytes,
            )?;
        }
        Ok(is_it)
    }

    /// Stores all that `reader` gives as a blob, in bounded memory. More than `limit` bytes are
    /// [`StoreError::TooLarge`]; a reader that fails is [`StoreError::Reader`]. Then nothing stays.
    pub fn put_reader(
        &self,
        reader: &mut dyn Read,
        executable: bool,
        limit: u64,
    ) -> Result<BlobId> {
        let mut head = Vec::with_capacity(limit.min(SMALL) as usize + 1);
        read_some(reader, &mut head, SMALL.min(limit) + 1)?;
        if head.len() as u64 > limit {
            return Err(StoreError::TooLarge { limit });
        }
        if head.len() as u64 <= SMALL {
            return self.put_blob(&head, executable);
        }
        let kind = Kind::of(executable);
        let (number, file) = self.stage(kind.mode())?;
        let name = staged_name(number);
        let streamed = self.stream(file, &name, head, reader, limit);
        let id = streamed.inspect_err(|_| drop(self.unstage(number)))?;
        let key = Key {
            kind,
            digest: id.digest,
        };
        if self.relies_on(&key)? {
            self.unstage(number)?;
        } else {
            self.staged(key, number)?;
        }
        Ok(id)
    }

    fn stream(
        &self,
        mut file: File,
        name: &str,
        head: Vec<u8>,
        reader: &mut dyn Read,
        limit: u64,
    ) -> Result<BlobId> {
        let mut hasher = blake3::Hasher::new();
        let mut size = 0;
        let mut chunk = head;
        let first = CHUNK.min(limit.saturating_add(1));
        let rest = first.saturating_sub(chunk.len() as u64);
        read_some(reader, &mut chunk, rest)?;
        // While one chunk is written the next is read and hashed; the writer gives its buffers back.
        let (to_write, chunks) = sync_channel::<Vec<u8>>(1);
        let (give_back, written) = channel();
        let write = move || -> io::Result<()> {
            for chunk in chunks {
                file.write_all(&chunk)?;
                let _ = give_back.send(chunk);
            }
            Ok(())
        };
        let (read, wrote) = std::thread::scope(|scope| {
            // A process may have no thread left to start, which is no reason to panic.
            let writer = match std::thread::Builder::new().spawn_scoped(scope, write) {
                Ok(writer) => writer,
                Err(error) => return (Ok(()), Ok(Err(error))),
            };
            let read = loop {
                size += chunk.len() as u64;
                if size > limit {
                    break Err(StoreError::TooLarge { limit });
                }
                hasher.update(&chunk);
                let was_whole = chunk.len() as u64 == CHUNK;
                // A writer that stopped says why when it is joined.
                if to_write.send(chunk).is_err() || !was_whole {
                    break Ok(());
                }
                chunk = written.try_recv().unwrap_or_default();
                chunk.clear();
                if let Err(error) = read_some(
                    reader,
                    &mut chunk,
                    CHUNK.min((limit - size).saturating_add(1)),
                ) {
                    break Err(error);
                }
            };
            drop(to_write);
            (read, writer.join())
        });
        read?;
        match wrote {
            Ok(wrote) => wrote.map_err(|e| self.staging.error("write", name, e))?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(BlobId {
            digest: Digest::from_bytes(*hasher.finalize().as_bytes()),
            size,
        })
    }

    /// Stores a directory. All that it names has to be in the store or in this session; what is
    /// not is [`StoreError::Missing`]. So a tree that is there is there with all below it.
    pub fn put_tree(&self, tree: &Tree) -> Result<TreeId> {
        for (_, entry) in tree.iter() {
            match entry {
                Entry::File { blob, executable } => self.rely_on_blob(blob, *executable)?,
                Entry::Directory(id) => self.pin(&(*id).into())?,
                Entry::Symlink { .. } => {}
            }
        }
        let encoded = tree.encode();
        let id = TreeId::of(&encoded);
        self.put(
            Key {
                kind: Kind::Dir,
                digest: id.digest,
            },
            &encoded,
        )?;
        Ok(id)
    }

    /// Looks first for the variant that a checkout will want.
    fn rely_on_blob(&self, blob: &BlobId, executable: bool) -> Result<()> {
        if self.relies_on(&Key {
            kind: Kind::of(executable),
            digest: blob.digest,
        })? {
            return Ok(());
        }
        self.pin(&(*blob).into())
    }

    fn put(&self, key: Key, bytes: &[u8]) -> Result<()> {
        if self.relies_on(&key)? {
            return Ok(());
        }
        let (number, mut file) = self.stage(key.kind.mode())?;
        if let Err(e) = file.write_all(bytes) {
            let _ = self.unstage(number);
            return Err(self.staging.error("write", &staged_name(number), e));
        }
        self.staged(key, number)
    }

    /// Makes sure that a blob exists in the variant with this mode, copying the other one if need be.
    pub(crate) fn ensure_variant(&self, blob: &BlobId, executable: bool) -> Result<Key> {
        let key = Key {
            kind: Kind::of(executable),
            digest: blob.digest,
        };
        if self.relies_on(&key)? {
            return Ok(key);
        }
        let from = self.open_blob(blob)?;
        let (number, to) = self.stage(key.kind.mode())?;
        if let Err(e) = clone_or_copy(&from, &to) {
            let _ = self.unstage(number);
            return Err(self.staging.error("write", &staged_name(number), e));
        }
        self.staged(key, number)?;
        Ok(key)
    }
}

/// Shares the blocks of a file where the file system can, else copies its bytes.
pub(crate) fn clone_or_copy(mut from: &File, mut to: &File) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    io::copy(&mut from, &mut to).map(drop)
}

/// Appends up to `most` bytes to `buffer`.
fn read_some(reader: &mut dyn Read, buffer: &mut Vec<u8>, most: u64) -> Result<()> {
    let read = reader.take(most).read_to_end(buffer);
    read.map(drop)
        .map_err(|source| StoreError::Reader { source })
}
