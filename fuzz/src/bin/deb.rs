//! Any bytes as a deb: both of its archives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recipe_fuzz::archive::{unpack_deb, unpack_deb_control};

fuzz_target!(|data: &[u8]| {
    let limits = recipe_fuzz::limits();
    let _ = unpack_deb(data, "fuzz", &limits, &mut recipe_fuzz::Checked::default());
    let _ = unpack_deb_control(data, "fuzz", &limits, &mut recipe_fuzz::Checked::default());
});
