//! Files and links → the bytes of a Debian package. Begin at [`write`].
//!
//! deb(5), ar(5), tar(5) in its POSIX form (IEEE 1003.1-2001, "ustar" with extended headers for long names).
//! Everything that is not a name, a content or "executable" is the same in all of them.

const BLOCK: usize = 512;
/// The longest name or target in a plain header.
const NAME: usize = 100;

/// One entry of a package.
pub(super) struct Member {
    path: String,
    what: What,
}

enum What {
    File { bytes: Vec<u8>, executable: bool },
    Link { target: String },
}

impl Member {
    pub(super) fn file(path: &str, bytes: Vec<u8>, executable: bool) -> Member {
        Member {
            path: path.to_owned(),
            what: What::File { bytes, executable },
        }
    }

    pub(super) fn link(path: &str, target: &str) -> Member {
        Member {
            path: path.to_owned(),
            what: What::Link {
                target: target.to_owned(),
            },
        }
    }
}

/// A package with these entries, which are in order.
pub(super) fn write(members: &[Member]) -> Vec<u8> {
    let mut data = Vec::new();
    for member in members {
        add(&mut data, member);
    }
    data.extend([0; 2 * BLOCK]);
    let mut deb = b"!<arch>\n".to_vec();
    ar(&mut deb, "debian-binary", b"2.0\n");
    ar(&mut deb, "control.tar", &[0; 2 * BLOCK]);
    ar(&mut deb, "data.tar", &data);
    deb
}

fn ar(deb: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let size = bytes.len();
    let header = format!(
        "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
        0, 0, 0, 100644
    );
    deb.extend_from_slice(header.as_bytes());
    deb.extend_from_slice(bytes);
    if !size.is_multiple_of(2) {
        deb.push(b'\n');
    }
}

fn add(tar: &mut Vec<u8>, member: &Member) {
    let path = format!("./{}", member.path);
    let (kind, mode, target, bytes): (u8, u32, &str, &[u8]) = match &member.what {
        What::File { bytes, executable } => {
            (b'0', if *executable { 0o755 } else { 0o644 }, "", bytes)
        }
        What::Link { target } => (b'2', 0o777, target, &[]),
    };
    let mut long = Vec::new();
    for (key, value) in [("path", path.as_str()), ("linkpath", target)] {
        if value.len() > NAME {
            long.extend(record(key, value));
        }
    }
    if !long.is_empty() {
        header(tar, (b'x', 0o644), "./long", "", long.len());
        content(tar, &long);
    }
    header(tar, (kind, mode), &path, target, bytes.len());
    content(tar, bytes);
}

/// `LENGTH KEY=VALUE`, where the length counts its own digits too.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

fn header(tar: &mut Vec<u8>, (kind, mode): (u8, u32), path: &str, target: &str, size: usize) {
    let mut block = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        block[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(0, &path.as_bytes()[..path.len().min(NAME)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, &target.as_bytes()[..target.len().min(NAME)]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&block);
}

fn content(tar: &mut Vec<u8>, bytes: &[u8]) {
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}
