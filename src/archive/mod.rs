//! Foreign archives → entries that a [`Sink`] writes: the one way to unpack. Begin at [`unpack_deb`],
//! [`unpack_tar`] or [`unpack_zip`]; [`TreeSink`] is the sink that fills a store, [`OnlyFiles`] the smallest there is.
//!
//! Crates decompress; the containers (ar, tar, zip) are read by our own strict readers, because what
//! two programs could read differently is refused, never guessed. Every entry passes one guard
//! (`guard.rs`) that knows all earlier names: a sink only ever sees relative UTF-8 paths that cannot
//! leave its root, never run through a symlink and never contradict an earlier entry. Lengths in an
//! archive are claims: memory and output are bounded by [`Limits`] and by bytes really read, and
//! nothing recurses over input. Owners, times, extended attributes and all mode bits but "executable"
//! are dropped. After any error the sink's content is worthless and must be thrown away as a whole.
//!
//! Formats: tar as POSIX.1-2017 `pax`, interchange formats, and the GNU manual's "Basic Tar Format";
//! zip as APPNOTE.TXT 6.3.10; ar and deb as deb(5) of dpkg.

mod content;
mod deb;
mod error;
mod guard;
mod limits;
mod path;
mod read_at;
mod stream;
mod tar;
mod tree_sink;
mod zip;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use content::{OnlyFiles, put_content};
pub use deb::{unpack_deb, unpack_deb_control};
pub use error::{ArchiveError, Fault, Kind};
pub use limits::Limits;
pub use read_at::ReadAt;
pub use stream::{Compression, decompress};
pub use tar::unpack_tar;
pub use tree_sink::TreeSink;
pub use zip::{unpack_zip, unpack_zip_with_links, zip_with_plain_modes};

use std::io::Read;

/// Where entries go. Every path it is given is valid UTF-8, relative, without empty, `.` or `..`
/// parts, within the [`Limits`], never below a file or a symlink, and never given twice. A directory
/// that holds an entry may not have been announced. An error ends the unpacking; [`ArchiveError::sink`]
/// makes one, and name and number of the entry are added to it here.
pub trait Sink {
    /// A directory, perhaps empty.
    fn directory(&mut self, path: &str) -> Result<(), ArchiveError>;

    /// A regular file whose `content` yields exactly `size` bytes and then ends, or fails.
    /// What the sink leaves unread is read and checked all the same.
    fn file(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError>;

    /// A symlink with a relative, non-empty target of fewer than 4096 bytes that does not lead out
    /// of the archive's root. Absolute targets of a deb have become relative ones.
    fn symlink(&mut self, path: &str, target: &str) -> Result<(), ArchiveError>;

    /// Another name for `to`, which [`Sink::file`] or this function received earlier.
    fn hard_link(&mut self, path: &str, to: &str) -> Result<(), ArchiveError>;
}
