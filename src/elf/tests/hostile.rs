//! Hostile bytes give errors: never a panic, never a long wait.

use std::fs;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::super::{EntryStub, drop_foreign_search_path, embed, read, runpath_to_rpath};
use super::{REPORT, compile};

/// A small program and a small library, both with version tables, a search path and notes.
fn seeds() -> &'static [Vec<u8>; 2] {
    static SEEDS: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, source: &str, flags: &[&str]| {
            let file = folder.path().join(name);
            compile(source, flags, &file);
            fs::read(file).unwrap()
        };
        let path = "-Wl,-rpath,$ORIGIN/x";
        let versions = folder.path().join("versions");
        fs::write(&versions, "V1 { f; }; V2 { g; } V1;").unwrap();
        let script = format!("-Wl,--version-script={}", versions.display());
        let library =
            "#include <stdio.h>\nint f(void) { return puts(\"\"); } int g(void) { return f(); }";
        [
            made("program", REPORT, &["-s", path]),
            made(
                "library",
                library,
                &["-s", "-shared", "-fPIC", path, &script],
            ),
        ]
    })
}

/// Everything this room does with foreign bytes.
fn use_all(bytes: &[u8]) {
    let facts = read(bytes);
    let embedded = embed(
        bytes,
        &EntryStub::of("bin", "lib", crate::platform::Platform::X86_64),
    );
    if let Ok(embedded) = &embedded {
        // What is written is well-formed, whatever it was made of.
        assert!(read(embedded).unwrap().unwrap().entry_stub);
        assert!(facts.unwrap().unwrap().interpreter.is_some());
    }
    let mut changed = bytes.to_vec();
    let mut dropped = changed.clone();
    if drop_foreign_search_path(&mut dropped) == Ok(true) {
        assert!(read(&dropped).is_ok());
    }
    if runpath_to_rpath(&mut changed) == Ok(true) {
        assert_eq!(changed.len(), bytes.len());
        assert_eq!(read(&changed).unwrap().unwrap().runpath, None);
    }
}

/// Offsets where a changed byte matters most: the header, the tables, anywhere.
fn place(length: usize) -> impl Strategy<Value = usize> {
    prop_oneof![0..64usize, 64..1024usize, 0..length].prop_map(move |at| at % length)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(
        which in 0..2usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..12),
        where_ in prop::collection::vec(place(1 << 14), 12),
    ) {
        let mut bytes = seeds()[which].clone();
        for (i, (index, value, anywhere)) in changes.iter().enumerate() {
            let at = if *anywhere { index.index(bytes.len()) } else { where_[i] % bytes.len() };
            bytes[at] = *value;
        }
        use_all(&bytes);
    }

    #[test]
    fn cut_files_never_panic(which in 0..2usize, keep in any::<prop::sample::Index>()) {
        let bytes = &seeds()[which];
        use_all(&bytes[..keep.index(bytes.len())]);
    }

    #[test]
    fn random_bytes_behind_a_header_never_panic(
        which in 0..2usize,
        head in 16..128usize,
        tail in prop::collection::vec(any::<u8>(), 0..4096),
    ) {
        let mut bytes = seeds()[which][..head].to_vec();
        bytes.extend(tail);
        use_all(&bytes);
    }

    #[test]
    fn words_set_to_extremes_never_panic(
        which in 0..2usize,
        at in place(1 << 12),
        word in prop::sample::select(vec![0u64, 1, u64::MAX, u64::MAX - 15, 1 << 63, 1 << 47, 1 << 32, 1 << 31]),
        more in place(1 << 14),
    ) {
        let mut bytes = seeds()[which].clone();
        for at in [at & !7, more & !7] {
            let at = at.min(bytes.len() - 8) & !7;
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        use_all(&bytes);
    }
}

#[test]
fn a_version_table_that_turns_in_circles_ends() {
    // Every entry says: 65535 names, the next entry one byte on.
    let library = &seeds()[1];
    let mut bytes = library.clone();
    let at = find_table(&bytes);
    for i in (at..bytes.len() - 16).step_by(16).take(64) {
        bytes[i..i + 16].copy_from_slice(&[1, 0, 255, 255, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    }
    let start = std::time::Instant::now();
    use_all(&bytes);
    assert!(start.elapsed().as_secs() < 5);
}

/// The file offset of DT_VERNEED's table: its address is its offset in a small library.
fn find_table(bytes: &[u8]) -> usize {
    let tag = 0x6fff_fffe_u64.to_le_bytes();
    let entry = bytes.windows(8).position(|w| w == tag).unwrap();
    u64::from_le_bytes(bytes[entry + 8..entry + 16].try_into().unwrap()) as usize
}
