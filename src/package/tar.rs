//! Entries → a tar archive: plain ustar, with a pax header only where ustar has no room or no word for
//! something. Begin at [`TarWriter::entry`]. The source is POSIX.1-2017, pax, "ustar Interchange Format".

use std::io::{self, Write};

const BLOCK: usize = 512;
/// The latest time eleven octal digits hold.
pub(crate) const LATEST: u64 = (8 << 30) - 1;
/// The largest size they hold.
const LARGEST: u64 = (8 << 30) - 1;

/// What an entry is.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'t> {
    Directory,
    File { size: u64, executable: bool },
    Symlink { target: &'t str },
}

pub(crate) struct TarWriter<W: Write> {
    out: W,
    epoch: u64,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(out: W, epoch: u64) -> Self {
        TarWriter { out, epoch }
    }

    /// Writes all of an entry but a file's content, which must follow.
    pub(crate) fn entry(&mut self, path: &str, kind: Kind<'_>) -> io::Result<()> {
        let (flag, mode, size, target) = match kind {
            Kind::Directory => (b'5', 0o755, 0, ""),
            Kind::File { size, executable } => {
                (b'0', if executable { 0o755 } else { 0o644 }, size, "")
            }
            Kind::Symlink { target } => (b'2', 0o777, 0, target),
        };
        let name = match kind {
            Kind::Directory => format!("{path}/"),
            _ => path.to_owned(),
        };
        let place = split(&name);
        let link = plain(target, 100).then_some(target);
        let mut extended = Vec::new();
        if place.is_none() {
            extended.extend(record("path", &name));
        }
        if link.is_none() {
            extended.extend(record("linkpath", target));
        }
        if size > LARGEST {
            extended.extend(record("size", &size.to_string()));
        }
        if !extended.is_empty() {
            let length = extended.len() as u64;
            let header = self.header(b'x', 0o644, length, ("", "././@PaxHeader"), "");
            self.out.write_all(&header)?;
            self.out.write_all(&extended)?;
            self.end_of_content(length)?;
        }
        let shortened = shorten(&name);
        let place = place.unwrap_or(("", &shortened));
        let link = link.map_or_else(|| shorten(target), str::to_owned);
        let size = if size > LARGEST { 0 } else { size };
        let header = self.header(flag, mode, size, place, &link);
        self.out.write_all(&header)
    }

    /// Bytes of the file whose entry was written last.
    pub(crate) fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// After the last of `size` bytes: fills the block.
    pub(crate) fn end_of_content(&mut self, size: u64) -> io::Result<()> {
        let over = (size % BLOCK as u64) as usize;
        self.out.write_all(&[0; BLOCK][..(BLOCK - over) % BLOCK])
    }

    /// Writes the end mark.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }

    fn header(
        &self,
        flag: u8,
        mode: u32,
        size: u64,
        (prefix, name): (&str, &str),
        link: &str,
    ) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, format!("{mode:07o}").as_bytes());
        put(108, b"0000000\x000000000\0");
        put(124, format!("{size:011o}").as_bytes());
        put(136, format!("{:011o}", self.epoch).as_bytes());
        put(148, b"        ");
        put(156, &[flag]);
        put(157, link.as_bytes());
        put(257, b"ustar\x0000");
        put(329, b"0000000\x000000000\0");
        put(345, prefix.as_bytes());
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// Prefix and name of a path that ustar can hold.
fn split(path: &str) -> Option<(&str, &str)> {
    if plain(path, 100) {
        return Some(("", path));
    }
    if !plain(path, 256) {
        return None;
    }
    // The longest name there can be, but not an empty one after a directory's own slash.
    path.match_indices('/')
        .map(|(at, _)| (&path[..at], &path[at + 1..]))
        .find(|(prefix, name)| prefix.len() <= 155 && (1..=100).contains(&name.len()))
}

fn plain(text: &str, most: usize) -> bool {
    text.is_ascii() && text.len() <= most
}

/// What stands where a pax header says better: the end of the text, in ASCII.
fn shorten(text: &str) -> String {
    let ascii: String = text
        .chars()
        .map(|character| if character.is_ascii() { character } else { '_' })
        .collect();
    ascii[ascii.len().saturating_sub(100)..].to_owned()
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record, itself included.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + digits(length) != length {
        length = rest + digits(length);
    }
    format!("{length} {key}={value}\n").into_bytes()
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}
