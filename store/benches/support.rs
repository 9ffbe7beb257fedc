//! Files as a closure has them, for the benchmarks: many small ones, some large, from a fixed seed.

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use recipe_store::{Entry, GcOptions, Session, Store, TreeBuilder, TreeId};

/// Bytes by the path they go to.
pub type Files = Vec<(String, Vec<u8>)>;

/// So many files in a seventh as many directories, of 0 to 24 KB.
pub fn files(count: u64) -> Files {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let file = |n: u64, next: &mut dyn FnMut() -> u64| {
        let size = (next() % 155).pow(2) as usize;
        let bytes = (0..size / 8 + 1)
            .flat_map(|_| next().to_le_bytes())
            .take(size);
        (
            format!("d{}/e{}/f{n}.py", n % 13, n / 7 % (count / 7).max(1)),
            bytes.collect(),
        )
    };
    (0..count).map(|n| file(n, &mut next)).collect()
}

/// Puts all files from all threads and makes one tree of them.
pub fn put(session: &Session, files: &Files) -> TreeId {
    let put = |(path, bytes): &(String, Vec<u8>)| {
        let blob = session.put_blob(bytes, false).expect("a blob");
        (
            path.clone(),
            Entry::File {
                blob,
                executable: false,
            },
        )
    };
    let entries: Vec<_> = files.par_iter().map(put).collect();
    let mut builder = TreeBuilder::new();
    for (path, entry) in entries {
        builder.insert(&path, entry).expect("an entry");
    }
    builder.finish(session).expect("a tree")
}

/// Where to measure: `STORE_BENCH_DIR`, else the directory for temporary files.
pub fn scratch() -> tempfile::TempDir {
    let place = std::env::var("STORE_BENCH_DIR")
        .unwrap_or_else(|_| std::env::temp_dir().display().to_string());
    tempfile::tempdir_in(place).expect("a directory")
}

/// The path of a scratch directory.
pub fn path(dir: &tempfile::TempDir) -> Utf8PathBuf {
    Utf8Path::from_path(dir.path()).expect("UTF-8").to_owned()
}

/// A store with nothing in it.
pub fn empty(path: &Utf8Path) -> Store {
    let store = Store::open(path).expect("a store");
    store.gc(&GcOptions::default()).expect("a collection");
    store
}
