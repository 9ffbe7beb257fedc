//! Any bytes as what a cache answers: traces and indexes are read or refused, and written again they are the same.
#![no_main]

#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/cache/index.rs"]
mod index;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/cache/key.rs"]
mod key;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/cache/traces.rs"]
mod traces;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for text in [bytes.to_vec(), [b"recipe-index 2\n", bytes].concat()] {
        if let Ok(index) = index::Index::decode(&text) {
            assert_eq!(index.encode(), text);
        }
    }
    for text in [bytes.to_vec(), [b"recipe-traces 1\nplan ", bytes].concat()] {
        if let Ok(signed) = traces::Signed::decode(&text) {
            assert_eq!(signed.encode(), text);
        }
    }
});
