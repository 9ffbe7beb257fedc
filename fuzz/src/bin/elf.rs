//! Any bytes as an ELF file: it is read or refused, and what is written can be read again.
#![no_main]

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/elf/mod.rs"]
mod elf;

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/platform.rs"]
mod platform;

use elf::{EntryStub, embed, read, runpath_to_rpath};
use libfuzzer_sys::fuzz_target;
use platform::Platform;

fuzz_target!(|bytes: &[u8]| {
    let facts = read(bytes);
    if let Ok(done) = embed(bytes, &EntryStub::of("bin", "lib", Platform::X86_64)) {
        assert!(matches!(facts, Ok(Some(facts)) if !facts.entry_stub));
        assert!(matches!(read(&done), Ok(Some(facts)) if facts.entry_stub));
    }
    let mut changed = bytes.to_vec();
    if runpath_to_rpath(&mut changed) == Ok(true) {
        assert!(matches!(read(&changed), Ok(Some(facts)) if facts.runpath.is_none()));
    }
});
