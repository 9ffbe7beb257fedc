//! Any bytes as a page of a package index: links or an error come back, soon. The first byte says
//! whether the page calls itself JSON.
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
use python::index::{find, parse_page};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, page)) = bytes.split_first() else {
        return;
    };
    let kind = if kind % 2 == 0 {
        "application/json"
    } else {
        "text/html"
    };
    let base = reqwest::Url::parse("https://index.example/simple/x/").expect("an address");
    if let Ok(files) = parse_page(kind, page, &base) {
        for file in &files {
            assert!(!file.name.contains('/') && file.name != "..");
            assert!(find(&files, &file.name, file.sha256.as_deref().unwrap_or("")).is_ok());
        }
    }
});
