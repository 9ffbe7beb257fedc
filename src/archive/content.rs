//! The content of one entry, for sinks that keep it in a store or want little else.

use std::io::Read;

use recipe_store::{BlobId, Session};

use super::Sink;
use super::error::ArchiveError;

/// Files up to this size go to the store in one piece; larger ones are streamed.
const SMALL: u64 = 1 << 20;

/// Puts what [`Sink::file`] was given into a store session, whatever its size.
pub fn put_content(
    session: &Session,
    executable: bool,
    size: u64,
    content: &mut dyn Read,
) -> Result<BlobId, ArchiveError> {
    let blob = if size <= SMALL {
        let mut bytes = Vec::with_capacity(size as usize);
        let read = content.take(size).read_to_end(&mut bytes);
        read.map_err(ArchiveError::sink)?;
        session.put_blob(&bytes, executable)
    } else {
        session.put_reader(content, executable, size)
    };
    blob.map_err(ArchiveError::sink)
}

/// The sink of whoever wants some files of an archive and no more of it: called with path, size and
/// content of every regular file.
pub struct OnlyFiles<F>(pub F);

impl<F> Sink for OnlyFiles<F>
where
    F: FnMut(&str, u64, &mut dyn Read) -> Result<(), ArchiveError>,
{
    fn directory(&mut self, _: &str) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn file(
        &mut self,
        path: &str,
        _: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        (self.0)(path, size, content)
    }

    fn symlink(&mut self, _: &str, _: &str) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn hard_link(&mut self, _: &str, _: &str) -> Result<(), ArchiveError> {
        Ok(())
    }
}
