//! Builders of archives, honest unless told otherwise.

use std::io::Write;

/// A tar archive in the making.
pub(in crate::archive) struct Tar {
    pub(in crate::archive) bytes: Vec<u8>,
}

pub(in crate::archive) type Block = [u8; 512];

/// A ustar header, without checksum.
pub(in crate::archive) fn header(kind: u8, name: &[u8], size: u64) -> Block {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0001750\0");
    block[116..124].copy_from_slice(b"0001750\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"14712345670\0");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block
}

/// Writes the checksum.
pub(in crate::archive) fn seal(block: &mut Block) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

impl Tar {
    pub(in crate::archive) fn new() -> Self {
        Tar { bytes: Vec::new() }
    }

    pub(in crate::archive) fn raw(mut self, mut block: Block, content: &[u8]) -> Self {
        seal(&mut block);
        self.bytes.extend(block);
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub(in crate::archive) fn file(self, name: &str, content: &[u8]) -> Self {
        self.raw(header(b'0', name.as_bytes(), content.len() as u64), content)
    }

    pub(in crate::archive) fn directory(self, name: &str) -> Self {
        self.raw(header(b'5', name.as_bytes(), 0), b"")
    }

    pub(in crate::archive) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(b'2', name, target)
    }

    pub(in crate::archive) fn hard_link(self, name: &str, to: &str) -> Self {
        self.link(b'1', name, to)
    }

    fn link(self, kind: u8, name: &str, target: &str) -> Self {
        let mut block = header(kind, name.as_bytes(), 0);
        block[157..157 + target.len()].copy_from_slice(target.as_bytes());
        self.raw(block, b"")
    }

    /// A pax header for the next entry.
    pub(in crate::archive) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let content: Vec<u8> = records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect();
        self.extension(b'x', &content)
    }

    /// An extension header of any kind: `x`, `g`, `L`, `K`.
    pub(in crate::archive) fn extension(self, kind: u8, content: &[u8]) -> Self {
        self.raw(header(kind, b"extension", content.len() as u64), content)
    }

    /// With the end mark.
    pub(in crate::archive) fn end(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }
}

/// One pax record.
pub(in crate::archive) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend(value);
    record.push(b'\n');
    record
}

pub(in crate::archive) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub(in crate::archive) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub(in crate::archive) fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(0);
    let mut out = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub(in crate::archive) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// An ar archive of these members.
pub(in crate::archive) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        let line = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
            0, 0, 0, 100_644
        );
        bytes.extend(line.as_bytes());
        bytes.extend(*content);
        if size % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// A deb with this plain `data.tar`.
pub(in crate::archive) fn deb(data: &[u8]) -> Vec<u8> {
    let control = Tar::new().file("./control", b"Package: x\n").end();
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", &gzip(&control)),
        ("data.tar", data),
    ])
}

/// One entry of a zip: what is honest by default and can be made to lie.
#[derive(Clone)]
pub(in crate::archive) struct ZipEntry {
    pub(in crate::archive) name: Vec<u8>,
    pub(in crate::archive) local_name: Vec<u8>,
    /// What stands in the file, packed.
    pub(in crate::archive) packed: Vec<u8>,
    pub(in crate::archive) method: u16,
    pub(in crate::archive) flags: u16,
    pub(in crate::archive) crc: u32,
    pub(in crate::archive) size: u32,
    pub(in crate::archive) attributes: u32,
    pub(in crate::archive) local_extra: Vec<u8>,
    pub(in crate::archive) extra: Vec<u8>,
    /// After the content.
    pub(in crate::archive) descriptor: Vec<u8>,
    /// Fields of the local header, where they differ: CRC, packed size, size.
    pub(in crate::archive) local: Option<(u32, u32, u32)>,
}

pub(in crate::archive) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

pub(in crate::archive) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

impl ZipEntry {
    pub(in crate::archive) fn stored(name: &str, content: &[u8]) -> Self {
        ZipEntry {
            name: name.into(),
            local_name: name.into(),
            packed: content.into(),
            method: 0,
            flags: if name.is_ascii() { 0 } else { 1 << 11 },
            crc: crc32(content),
            size: content.len() as u32,
            attributes: 0o100644 << 16,
            local_extra: Vec::new(),
            extra: Vec::new(),
            descriptor: Vec::new(),
            local: None,
        }
    }

    pub(in crate::archive) fn deflated(name: &str, content: &[u8]) -> Self {
        ZipEntry {
            packed: deflate(content),
            method: 8,
            ..Self::stored(name, content)
        }
    }

    pub(in crate::archive) fn directory(name: &str) -> Self {
        ZipEntry {
            attributes: (0o040755 << 16) | 0x10,
            ..Self::stored(name, b"")
        }
    }

    /// As written to a pipe: sizes come after the content.
    pub(in crate::archive) fn with_descriptor(self) -> Self {
        let mut descriptor = b"PK\x07\x08".to_vec();
        descriptor.extend(self.crc.to_le_bytes());
        descriptor.extend((self.packed.len() as u32).to_le_bytes());
        descriptor.extend(self.size.to_le_bytes());
        ZipEntry {
            flags: self.flags | 8,
            local: Some((0, 0, 0)),
            descriptor,
            ..self
        }
    }

    fn local_header(&self) -> Vec<u8> {
        let packed = self.packed.len() as u32;
        let (crc, packed, size) = self.local.unwrap_or((self.crc, packed, self.size));
        let mut bytes = b"PK\x03\x04".to_vec();
        shorts(&mut bytes, &[20, self.flags, self.method, 0, 0x5921]);
        longs(&mut bytes, &[crc, packed, size]);
        shorts(
            &mut bytes,
            &[self.local_name.len() as u16, self.local_extra.len() as u16],
        );
        bytes.extend(&self.local_name);
        bytes.extend(&self.local_extra);
        bytes
    }

    fn central_header(&self, offset: u32) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02".to_vec();
        shorts(&mut bytes, &[0x314, 20, self.flags, self.method, 0, 0x5921]);
        longs(&mut bytes, &[self.crc, self.packed.len() as u32, self.size]);
        shorts(
            &mut bytes,
            &[self.name.len() as u16, self.extra.len() as u16, 0, 0, 0],
        );
        longs(&mut bytes, &[self.attributes, offset]);
        bytes.extend(&self.name);
        bytes.extend(&self.extra);
        bytes
    }
}

pub(in crate::archive) fn shorts(bytes: &mut Vec<u8>, values: &[u16]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

pub(in crate::archive) fn longs(bytes: &mut Vec<u8>, values: &[u32]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// A zip in its parts, to be put together with [`Zip::join`].
#[derive(Clone, Default)]
pub(in crate::archive) struct Zip {
    /// Local headers, contents, descriptors.
    pub(in crate::archive) body: Vec<u8>,
    /// The central directory.
    pub(in crate::archive) directory: Vec<u8>,
    pub(in crate::archive) count: u16,
}

impl Zip {
    pub(in crate::archive) fn of(entries: &[ZipEntry]) -> Self {
        entries.iter().fold(Zip::default(), |mut zip, entry| {
            let offset = zip.body.len() as u32;
            zip.directory.extend(entry.central_header(offset));
            zip.body.extend(entry.local_header());
            zip.body.extend(&entry.packed);
            zip.body.extend(&entry.descriptor);
            zip.count += 1;
            zip
        })
    }

    pub(in crate::archive) fn end(&self) -> Vec<u8> {
        let mut bytes = b"PK\x05\x06".to_vec();
        shorts(&mut bytes, &[0, 0, self.count, self.count]);
        longs(
            &mut bytes,
            &[self.directory.len() as u32, self.body.len() as u32],
        );
        shorts(&mut bytes, &[0]);
        bytes
    }

    pub(in crate::archive) fn join(&self) -> Vec<u8> {
        [&self.body[..], &self.directory, &self.end()].concat()
    }
}

/// A whole zip of these entries.
pub(in crate::archive) fn zip(entries: &[ZipEntry]) -> Vec<u8> {
    Zip::of(entries).join()
}
