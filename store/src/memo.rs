//! A digest → a few bytes that save work. Begin at [`Store::memo_get`].
//!
//! A memo is a shortcut that can be lost at any time: it is not synced, and one that is damaged is
//! simply not there. A checksum in front tells. What it speaks of has to be checked by whoever
//! reads it. The text is `recipe-memo 1 <BLAKE3 of the rest>`, a line end, and the bytes.

use std::io::Write;

use crate::digest::Digest;
use crate::disk::ShardPath;
use crate::error::{Result, StoreError};
use crate::layout::{Store, aside};
use crate::lease::Gate;
use crate::trace::field;

const MAGIC: &str = "recipe-memo 1 ";

impl Store {
    /// The bytes last put under this key, if they are whole.
    pub fn memo_get(&self, key: &Digest) -> Result<Option<Vec<u8>>> {
        let path = ShardPath::new(&key.hex(), "");
        let bytes = self.folders.memo.read(path.as_str())?;
        Ok(bytes.and_then(|bytes| open(&bytes).map(<[u8]>::to_vec)))
    }

    /// Keeps bytes under a key, in the place of those that were there. Put it only once what it speaks of
    /// is committed.
    pub fn memo_put(&self, key: &Digest, bytes: &[u8]) -> Result<()> {
        let (memo, name) = (&self.folders.memo, aside());
        let gate = Gate::open(&self.folders.root)?;
        let inside = gate
            .enter()
            .map_err(|e| StoreError::io("lock", self.path(), e))?;
        let mut file = memo.write(
            &name,
            0o600,
            format!("{MAGIC}{}\n", Digest::of(bytes)).as_bytes(),
        )?;
        let written = file
            .write_all(bytes)
            .map_err(|e| memo.error("write", &name, e));
        let placed = written
            .and_then(|()| memo.replace(&name, memo, ShardPath::new(&key.hex(), "").as_str()));
        placed.inspect_err(|_| drop(memo.unlink(&name)))?;
        drop(inside);
        Ok(())
    }
}

/// The bytes of a memo, if they are those that were put.
pub(crate) fn open(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    let sum = field(&mut rest, MAGIC).ok()?;
    (sum.parse() == Ok(Digest::of(rest))).then_some(rest)
}
