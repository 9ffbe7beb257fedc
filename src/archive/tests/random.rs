//! Random and mutated bytes: any answer is right, a panic or an endless loop is not.

use proptest::prelude::*;

use super::bombs::every_parser;
use super::fixture::{Tar, ZipEntry, ar, bzip2, deb, gzip, xz, zip, zstd};
use super::*;

/// Honest archives, to be damaged.
fn seeds() -> Vec<Packed> {
    let tar = Tar::new()
        .directory("d")
        .pax(&[("path", b"d/a")])
        .file("a", b"content of a")
        .symlink("s", "d/../t")
        .hard_link("h", "d/a")
        .end();
    let entries = [
        ZipEntry::deflated("a", b"content content"),
        ZipEntry::stored("b/c", b"x").with_descriptor(),
    ];
    let control = gzip(&Tar::new().file("control", b"").end());
    let packed = ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", &control),
        ("data.tar.xz", &xz(&tar)),
    ]);
    vec![
        Packed::Tar(gzip(&tar), Compression::Gzip),
        Packed::Tar(bzip2(&tar), Compression::Bzip2),
        Packed::Tar(xz(&tar), Compression::Xz),
        Packed::Tar(zstd(&tar), Compression::Zstd),
        Packed::Deb(deb(&tar)),
        Packed::Deb(packed),
        Packed::Zip(zip(&entries)),
        Packed::tar(tar),
    ]
}

fn damaged(packed: Packed, damage: &[(prop::sample::Index, u8)]) -> Packed {
    let damage = |mut bytes: Vec<u8>| {
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        bytes
    };
    match packed {
        Packed::Tar(bytes, compression) => Packed::Tar(damage(bytes), compression),
        Packed::Zip(bytes) => Packed::Zip(damage(bytes)),
        Packed::Deb(bytes) => Packed::Deb(damage(bytes)),
        Packed::Control(bytes) => Packed::Control(damage(bytes)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f044_random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        for packed in every_parser(&bytes) {
            let (_, _) = unpack_in_memory(&packed);
        }
    }

    #[test]
    fn f044_damaged_archives_never_panic_and_never_write_outside(
        which in 0..7usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let packed = damaged(seeds().swap_remove(which), &damage);
        let (_, _) = unpack_with(&packed, &Limits::default());
    }
}
