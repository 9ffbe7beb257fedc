//! Any bytes as the texts inside a wheel: what is accepted stays inside, and is read back as it was
//! written.
#![no_main]

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/python/mod.rs"]
mod python;

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/elf/mod.rs"]
mod elf;

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/platform.rs"]
mod platform;

use libfuzzer_sys::fuzz_target;
use python::metadata::{Metadata, WheelFile};
use python::{entry_points, pth, record};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut rows) = record::parse(bytes) {
        assert!(
            rows.iter()
                .all(|row| row.path.split('/').all(|part| part != ".."))
        );
        let again =
            record::parse(record::write(&rows).as_bytes()).expect("what is written is read");
        rows.sort();
        assert_eq!(again, rows);
    }
    for script in entry_points::scripts(bytes).unwrap_or_default() {
        assert!(entry_points::is_file_name(&script.name) && !script.name.contains('/'));
    }
    let _ = (
        Metadata::parse(bytes),
        WheelFile::parse(bytes),
        pth::classify(bytes, 3),
    );
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (
            text.parse::<python::Requirement>(),
            text.parse::<python::WheelName>(),
        );
        let _ = python::pylock::parse(text);
    }
});
