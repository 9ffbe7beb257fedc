//! A Debian package → the entries of its data, or of its control archive. Begin at [`unpack_deb`].
//!
//! deb(5): an ar archive of `debian-binary`, `control.tar*` and `data.tar*`, in this order; members
//! whose names begin with `_` may stand between or after them. No script of a package is ever run.

use std::io::{self, BufReader, Read};

use super::error::{ArchiveError, Fault, escape};
use super::limits::Limits;
use super::path::Root;
use super::stream::{Compression, looks_like};
use super::{Sink, tar};

/// Unpacks the files a Debian package installs into `sink`. `name` is only for messages. The package is
/// an image of `/`: absolute symlinks become relative ones, those that lead out are refused.
///
/// # Errors
/// [`ArchiveError`] names the entry and the rule it breaks; what `sink` holds is then worthless.
pub fn unpack_deb(
    source: impl Read,
    name: &str,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    unpack_member(source, Member::Data, name, limits, sink)
}

/// Unpacks what a package tells its installer: `control`, `conffiles`, maintainer scripts as plain
/// files. The data are not decompressed, but the rest of the container is checked.
///
/// # Errors
/// As [`unpack_deb`].
pub fn unpack_deb_control(
    source: impl Read,
    name: &str,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    unpack_member(source, Member::Control, name, limits, sink)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Member {
    Version,
    Control,
    Data,
}

fn unpack_member(
    source: impl Read,
    wanted: Member,
    name: &str,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let broken = |error| ArchiveError::from_form(name, error);
    let refuse = |fault| ArchiveError::form(name, fault);
    let mut ar = Ar::open(source).map_err(broken)?;
    let mut last = None;
    while let Some((member_name, size)) = ar.next().map_err(broken)? {
        if member_name.starts_with(b"_") {
            ar.member(size).skip().map_err(broken)?;
            continue;
        }
        let (member, compression) = member_of(&member_name).map_err(refuse)?;
        check_order(last, member).map_err(refuse)?;
        last = Some(member);
        let mut bytes = ar.member(size);
        if member == Member::Version {
            check_version(&mut bytes).map_err(broken)?;
        } else if member == wanted {
            tar::unpack(&mut bytes, compression, name, limits, Root::Archive, sink)?;
        }
        bytes.skip().map_err(broken)?;
    }
    match last {
        Some(Member::Data) => Ok(()),
        _ => Err(refuse(Fault::Truncated {
            what: "the package, which has no data.tar member,",
        })),
    }
}

fn member_of(name: &[u8]) -> Result<(Member, Compression), Fault> {
    if name == b"debian-binary" {
        return Ok((Member::Version, Compression::None));
    }
    let (member, ending) = match (name.strip_prefix(b"control"), name.strip_prefix(b"data")) {
        (Some(ending), _) => (Member::Control, ending),
        (_, Some(ending)) => (Member::Data, ending),
        _ => {
            return Err(malformed(format!(
                "no deb has a member \"{}\"",
                escape(name)
            )));
        }
    };
    let compression = match ending {
        b".tar" => Compression::None,
        b".tar.gz" => Compression::Gzip,
        b".tar.xz" => Compression::Xz,
        b".tar.zst" => Compression::Zstd,
        b".tar.bz2" | b".tar.lzma" => {
            return Err(Fault::Feature {
                what: "bzip2 or lzma compression, which no current deb has",
            });
        }
        _ => {
            return Err(malformed(format!(
                "no deb has a member \"{}\"",
                escape(name)
            )));
        }
    };
    Ok((member, compression))
}

fn check_order(last: Option<Member>, now: Member) -> Result<(), Fault> {
    let wanted = match last {
        None => Some(Member::Version),
        Some(Member::Version) => Some(Member::Control),
        Some(Member::Control) => Some(Member::Data),
        Some(Member::Data) => None,
    };
    if wanted != Some(now) {
        return Err(malformed(
            "its members must be debian-binary, control.tar and data.tar, once each and in this order".to_owned(),
        ));
    }
    Ok(())
}

fn check_version(bytes: &mut impl Read) -> io::Result<()> {
    let mut version = Vec::new();
    bytes.take(64).read_to_end(&mut version)?;
    let sound = version
        .strip_prefix(b"2.")
        .and_then(|rest| rest.split(|byte| *byte == b'\n').next())
        .is_some_and(|minor| !minor.is_empty() && minor.iter().all(u8::is_ascii_digit));
    if !sound {
        let why = format!("its format is \"{}\", 2.0 was wanted", escape(&version));
        return Err(malformed(why).into_io());
    }
    Ok(())
}

fn malformed(why: String) -> Fault {
    Fault::Malformed {
        what: "the package",
        why,
    }
}

/// The container: a magic line, then members of a 60-byte header, content, and a line feed after odd sizes.
struct Ar<R> {
    bytes: BufReader<R>,
}

const MAGIC: &[u8; 8] = b"!<arch>\n";

impl<R: Read> Ar<R> {
    fn open(source: R) -> io::Result<Self> {
        let mut bytes = BufReader::with_capacity(64 << 10, source);
        let mut magic = Vec::new();
        (&mut bytes).take(8).read_to_end(&mut magic)?;
        if magic != MAGIC {
            return Err(Fault::WrongFormat {
                wanted: "a Debian package",
                found: looks_like(&magic),
            }
            .into_io());
        }
        Ok(Ar { bytes })
    }

    /// Name and size of the next member, `None` at the end.
    fn next(&mut self) -> io::Result<Option<(Vec<u8>, u64)>> {
        let mut header = Vec::new();
        (&mut self.bytes).take(60).read_to_end(&mut header)?;
        match header.len() {
            0 => return Ok(None),
            60 => {}
            _ => {
                return Err(Fault::Truncated {
                    what: "a member's header",
                }
                .into_io());
            }
        }
        if !header.ends_with(b"`\n") {
            return Err(malformed("a member's header does not end with `".to_owned()).into_io());
        }
        let name = header[..16].trim_ascii_end();
        let name = name.strip_suffix(b"/").unwrap_or(name);
        let size = header[48..58].trim_ascii_end();
        let plain = !size.is_empty() && size.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(size).ok().filter(|_| plain);
        let Some(number) = number.and_then(|size| size.parse().ok()) else {
            let why = format!(
                "the size of member \"{}\" is \"{}\"",
                escape(name),
                escape(size)
            );
            return Err(malformed(why).into_io());
        };
        Ok(Some((name.to_vec(), number)))
    }

    fn member(&mut self, size: u64) -> MemberBytes<'_, R> {
        MemberBytes {
            bytes: &mut self.bytes,
            left: size,
            odd: size % 2 == 1,
        }
    }
}

struct MemberBytes<'a, R> {
    bytes: &'a mut BufReader<R>,
    left: u64,
    odd: bool,
}

impl<R: Read> Read for MemberBytes<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.bytes.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(Fault::Truncated {
                what: "a member of the package",
            }
            .into_io());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

impl<R: Read> MemberBytes<'_, R> {
    /// To the end of the member and over its padding.
    fn skip(mut self) -> io::Result<()> {
        io::copy(&mut self, &mut io::sink())?;
        if !self.odd {
            return Ok(());
        }
        let mut padding = [0];
        let what = "the padding of a member";
        match self.bytes.read_exact(&mut padding) {
            Ok(()) if padding == *b"\n" => Ok(()),
            Ok(()) => Err(malformed(format!("{what} is not a line feed")).into_io()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Fault::Truncated { what }.into_io())
            }
            Err(error) => Err(error),
        }
    }
}
