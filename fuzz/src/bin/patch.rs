//! Any bytes as a unified diff and a file: a change that fits can be taken back.
#![no_main]

#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/build/steps/patch.rs"]
mod patch;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // The file that is changed, then its patch.
    let (file, diff) = text.split_once("\n--- ").unwrap_or((text, text));
    let diff = format!("--- {diff}");
    for patch in patch::parse(&diff).unwrap_or_default() {
        for file in [file.to_owned(), format!("{file}\n")] {
            let _ = patch::apply(&file, &patch);
            let _ = patch::undo(&file, &patch);
        }
    }
    let _ = patch::names(text).count();
});
