//! Any bytes as a zip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recipe_fuzz::archive::{unpack_zip, unpack_zip_with_links};

fuzz_target!(|data: &[u8]| {
    let limits = recipe_fuzz::limits();
    let _ = unpack_zip(data, "fuzz", &limits, &mut recipe_fuzz::Checked::default());
    let mut sink = recipe_fuzz::Checked::default();
    let _ = unpack_zip_with_links(data, "fuzz", &limits, &mut sink);
});
