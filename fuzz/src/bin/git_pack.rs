//! Any bytes as a pack of git's: what is read has the name that its bytes have.
#![no_main]

#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/git/name.rs"]
mod name;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/git/pack.rs"]
mod pack;

use libfuzzer_sys::fuzz_target;
use sha1_checked::Sha1;

const MOST: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let _ = pack::read(bytes, MOST);
    // Nobody guesses a sum.
    let mut summed = b"PACK\0\0\0\x02".to_vec();
    summed.extend_from_slice(bytes);
    let sum = *Sha1::try_digest(&summed).hash();
    summed.extend(sum);
    let _ = pack::read(&summed, MOST);
});
