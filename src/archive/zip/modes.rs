//! A zip → the same zip whose entries have the modes that no umask has touched. Begin at
//! [`zip_with_plain_modes`].
//!
//! What packs a wheel copies modes from its folder, where they are as the umask of the moment left them.
//! Nobody who unpacks a wheel heeds more of them than "executable" ("The binary distribution format",
//! PyPA specifications), so the rest would only give one wheel several hashes.

use std::io::{self, Read};

use super::directory::Directory;
use super::{Links, end};
use crate::archive::error::ArchiveError;
use crate::archive::limits::Limits;
use crate::archive::read_at::ReadAt;

/// The bytes of the zip `source` with each mode as 0644, or as 0755 where anybody may execute the entry and
/// for directories. What kind of file an entry is stays, as does an entry without a mode. `name` is only
/// for messages.
///
/// # Errors
/// [`ArchiveError`] where the table of contents breaks a rule of [`super::unpack_zip`].
pub fn zip_with_plain_modes<S: ReadAt>(
    source: S,
    name: &str,
    limits: &Limits,
) -> Result<impl Read + use<S>, ArchiveError> {
    let broken = |error| ArchiveError::from_form(name, error);
    let size = source.size().map_err(broken)?;
    let mut directory = end::read(&source, size, limits).map_err(broken)?;
    for entry in directory.entries(name, limits, Links::Refused)? {
        if let Some(place) = directory.bytes.get_mut(entry.mode_bytes()) {
            place.copy_from_slice(&plain(entry.mode()).to_le_bytes());
        }
    }
    Ok(Replaced {
        source,
        directory,
        at: 0,
    })
}

/// The mode that stands for `mode`, the upper half of an entry's external attributes.
fn plain(mode: u16) -> u16 {
    const KIND: u16 = 0o170_000;
    const DIRECTORY: u16 = 0o040_000;
    match mode {
        0 => 0,
        mode if mode & KIND == DIRECTORY || mode & 0o111 != 0 => mode & KIND | 0o755,
        mode => mode & KIND | 0o644,
    }
}

/// A zip that is read with another table of contents of the same length.
struct Replaced<S> {
    source: S,
    directory: Directory,
    at: u64,
}

impl<S: ReadAt> Read for Replaced<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Directory { start, bytes, .. } = &self.directory;
        let count = match self.at.checked_sub(*start) {
            Some(inside) if inside < bytes.len() as u64 => bytes.as_slice().read_at(out, inside)?,
            Some(_) => self.source.read_at(out, self.at)?,
            None => {
                let most = out
                    .len()
                    .min(usize::try_from(start - self.at).unwrap_or(usize::MAX));
                self.source.read_at(&mut out[..most], self.at)?
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}
