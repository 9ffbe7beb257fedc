//! The first byte chooses the compression, the rest is the archive. Checksums of what looks like a header
//! are set right first: a fuzzer would hardly ever get past them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recipe_fuzz::archive::{Compression, unpack_tar};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    let compression = match choice % 4 {
        0 => Compression::None,
        1 => Compression::Gzip,
        2 => Compression::Xz,
        _ => Compression::Zstd,
    };
    let mut data = data.to_vec();
    if compression == Compression::None {
        data.chunks_exact_mut(512).for_each(seal);
    }
    let limits = recipe_fuzz::limits();
    let _ = unpack_tar(
        &data[..],
        compression,
        "fuzz",
        &limits,
        &mut recipe_fuzz::Checked::default(),
    );
});

fn seal(block: &mut [u8]) {
    if block[257..262] == *b"ustar" {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}
