use super::fixture::{Tar, ZipEntry, bzip2, crc32, deb, gzip, xz, zip, zstd};
use super::*;

fn tight() -> Limits {
    Limits {
        bytes: 64 << 20,
        free: 1 << 20,
        ratio: 20,
        ..Limits::default()
    }
}

fn zeros(megabytes: usize) -> Vec<u8> {
    Tar::new().file("zeros", &vec![0; megabytes << 20]).end()
}

#[test]
fn f040_output_is_bounded_by_its_ratio_to_the_input_and_by_its_size() {
    for (bytes, compression) in [
        (gzip(&zeros(8)), Compression::Gzip),
        (bzip2(&zeros(8)), Compression::Bzip2),
        (xz(&zeros(8)), Compression::Xz),
        (zstd(&zeros(8)), Compression::Zstd),
    ] {
        let bomb = Packed::Tar(bytes, compression);
        refused_with(
            &bomb,
            &tight(),
            Some((1, "zeros")),
            "as a multiple of its packed size: more than the 20 times",
        );
        let small = Limits {
            bytes: 4 << 20,
            ..Limits::default()
        };
        refused_with(
            &bomb,
            &small,
            Some((1, "zeros")),
            "its size: more than the 4194304 bytes",
        );
        accepted(&bomb);
    }
    let padded = Packed::Tar(
        gzip(&[Tar::new().file("f", b"").end(), vec![0; 8 << 20]].concat()),
        Compression::Gzip,
    );
    refused_with(&padded, &tight(), None, "as a multiple of its packed size");
}

#[test]
fn f040_a_zip_is_bounded_before_inflating() {
    let bomb = Packed::Zip(zip(&[
        ZipEntry::deflated("a", b"x"),
        ZipEntry::deflated("zeros", &vec![0; 8 << 20]),
    ]));
    let (result, items) = unpack_with(&bomb, &tight());
    assert!(
        result
            .expect_err("refused")
            .to_string()
            .contains("20 times")
    );
    assert!(items.is_empty(), "not even the first entry");
    let claims = ZipEntry {
        size: u32::MAX - 1,
        ..ZipEntry::deflated("claims", b"x")
    };
    refused(
        &Packed::Zip(zip(&[claims])),
        Some((1, "claims")),
        "as a multiple of its packed size",
    );
}

#[test]
fn f041_a_zstd_window_of_2_to_31_is_refused() {
    let mut frame = b"\x28\xb5\x2f\xfd\x00".to_vec();
    frame.push((31 - 10) << 3);
    frame.extend([1 | 4 << 3, 0, 0]);
    frame.extend(b"data");
    refused(
        &Packed::Tar(frame, Compression::Zstd),
        None,
        "memory to decompress it: more than the 128 MiB",
    );
}

#[test]
fn f041_an_xz_dictionary_of_1_5_gib_is_refused() {
    let mut bytes = xz(&zeros(1));
    // Stream header 12; block header: size, flags, filter 0x21, one property: the dictionary's size.
    let header = 12;
    let length = (usize::from(bytes[header]) + 1) * 4;
    assert_eq!(bytes[header + 2..header + 4], [0x21, 1]);
    bytes[header + 4] = 37;
    let crc = crc32(&bytes[header..header + length - 4]);
    bytes[header + length - 4..header + length].copy_from_slice(&crc.to_le_bytes());
    refused(
        &Packed::Tar(bytes, Compression::Xz),
        None,
        "memory to decompress it: more than the 256 MiB",
    );
}

#[test]
fn f042_more_entries_than_accepted_are_refused() {
    let few = Limits {
        entries: 10,
        ..Limits::default()
    };
    let mut tar = Tar::new();
    for index in 0..11 {
        tar = tar.file(&format!("f{index}"), b"");
    }
    let tar = Packed::tar(tar.end());
    refused_with(
        &tar,
        &few,
        Some((11, "f10")),
        "the number of entries: more than the 10 entries",
    );
    let deep = Packed::tar(Tar::new().file("a/b/c/d/e/f/g/h/i/j/k", b"").end());
    refused_with(
        &deep,
        &few,
        Some((1, "a/b/c/d/e/f/g/h/i/j/k")),
        "the number of entries",
    );
    let entries: Vec<ZipEntry> = (0..11)
        .map(|index| ZipEntry::stored(&format!("f{index}"), b""))
        .collect();
    refused_with(
        &Packed::Zip(zip(&entries)),
        &few,
        None,
        "the number of entries",
    );
}

#[test]
fn f042_an_archive_in_an_archive_is_only_a_file() {
    let inner = gzip(&Tar::new().file("../evil", b"").end());
    let items = accepted(&Packed::tar(Tar::new().file("inner.tar.gz", &inner).end()));
    assert_eq!(items["inner.tar.gz"], Item::File(inner, false));
}

#[test]
fn f044_tiny_and_uniform_inputs_are_refused_by_every_parser() {
    for bytes in [
        vec![],
        vec![0],
        vec![b'P'],
        vec![0; 4096],
        vec![0xff; 4096],
        b"PK\x05\x06".to_vec(),
        b"!<arch>\n".to_vec(),
    ] {
        for packed in every_parser(&bytes) {
            let (result, items) = unpack_with(&packed, &Limits::default());
            assert!(result.is_err() && items.is_empty(), "{bytes:?}");
        }
    }
}

/// The same bytes as each kind of archive, and as the data of a deb.
pub(super) fn every_parser(bytes: &[u8]) -> Vec<Packed> {
    let compressions = [
        Compression::None,
        Compression::Gzip,
        Compression::Xz,
        Compression::Zstd,
    ];
    let tars = compressions.map(|compression| Packed::Tar(bytes.to_vec(), compression));
    tars.into_iter()
        .chain([
            Packed::Zip(bytes.to_vec()),
            Packed::Deb(bytes.to_vec()),
            Packed::Deb(deb(bytes)),
        ])
        .collect()
}
