//! The stream of a tar archive, block by block: headers up to the end mark, contents with their padding.

use std::io::{self, Read};

use super::header::Header;
use super::{BLOCK, Reader};
use crate::archive::error::{ArchiveError, Fault};
use crate::archive::guard::{Guard, Payload};
use crate::archive::stream;

impl<R: Read> Reader<R> {
    /// The content of an extension header.
    pub(super) fn small_content(
        &mut self,
        header: &Header,
        guard: &Guard<'_>,
    ) -> Result<Vec<u8>, ArchiveError> {
        let size = header.size().map_err(|fault| guard.refuse(fault))?;
        let limit = guard.limits().header;
        if size > limit {
            return Err(guard.refuse(Fault::Limit {
                what: "its extended header",
                limit,
                unit: "bytes",
            }));
        }
        let mut content = Vec::new();
        let read = (&mut self.bytes).take(size).read_to_end(&mut content);
        let mut rest = Data {
            bytes: &mut self.bytes,
            padding: padding(size),
        };
        match read {
            Ok(count) if count as u64 == size => {
                rest.close().map_err(|error| guard.broken(error))?;
                Ok(content)
            }
            Ok(_) => Err(guard.refuse(Fault::Truncated {
                what: "its extended header",
            })),
            Err(error) => Err(guard.broken(error)),
        }
    }

    /// The next header, `None` at a proper end: two blocks of zeros.
    pub(super) fn header(&mut self, guard: &Guard<'_>) -> Result<Option<Header>, ArchiveError> {
        let end = |fault| guard.refuse_archive(fault);
        let broken = |error| guard.broken_archive(error);
        let Some(block) = self.block().map_err(broken)? else {
            // Nothing at all is an empty archive; the end without its mark is a cut.
            return Err(end(match self.index {
                0 if self.next.is_empty() => Fault::Empty,
                _ => Fault::Truncated {
                    what: "the archive, which has no end mark,",
                },
            }));
        };
        if block != [0; BLOCK] {
            let header = Header(block);
            if self.index == 0 && header.looks_foreign() {
                let found = stream::looks_like(&block);
                return Err(end(Fault::WrongFormat {
                    wanted: "a tar archive",
                    found,
                }));
            }
            return Ok(Some(header));
        }
        match self.block().map_err(broken)? {
            Some(block) if block == [0; BLOCK] => Ok(None),
            Some(_) => Err(end(Fault::Stray {
                place: "after a single block of zeros",
            })),
            None => Err(end(Fault::Truncated {
                what: "the archive's end mark",
            })),
        }
    }

    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.bytes.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => {
                    return Err(Fault::Truncated {
                        what: "a block of the archive",
                    }
                    .into_io());
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(block))
    }

    /// Reads to the end of the stream, so that its own checksums are verified too.
    pub(super) fn only_zeros(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        loop {
            match self.bytes.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) if buffer[..count].iter().all(|byte| *byte == 0) => {}
                Ok(_) => {
                    return Err(Fault::Stray {
                        place: "after the archive's end mark",
                    }
                    .into_io());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// How many bytes fill the last block of a content of `size` bytes.
pub(super) fn padding(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize;
    (BLOCK - over) % BLOCK
}

/// One file's bytes; closing skips what fills its last block.
pub(super) struct Data<'r, R> {
    pub(super) bytes: &'r mut R,
    pub(super) padding: usize,
}

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl<R: Read> Payload for Data<'_, R> {
    fn close(&mut self) -> io::Result<()> {
        let mut rest = [0; BLOCK];
        self.bytes.read_exact(&mut rest[..self.padding])
    }
}
