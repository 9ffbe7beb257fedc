//! Any bytes as what a mirror sends while locking: nothing unsigned is believed, nothing panics.
#![no_main]

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/net"]
mod net {
    pub mod date;
}

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/lock"]
mod lock {
    pub mod index;
    pub mod openpgp;
    pub mod relation;
    pub mod release;
    pub mod version;
}

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use lock::openpgp::Keyring;

const NOW: u64 = 1_795_000_000;

fuzz_target!(|data: &[u8]| {
    static KEYRING: OnceLock<Keyring> = OnceLock::new();
    let keyring = KEYRING.get_or_init(|| Keyring::debian().expect("Debian's keys"));
    // The seeds are signed by nobody we trust, and no mutation can forge a signature.
    assert!(keyring.verify(data, NOW).is_err());
    let _ = Keyring::default().add(data);
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(release) = lock::release::Release::read(text) {
            let _ = release.check(NOW, None, false);
        }
        for line in text.lines() {
            let _ = lock::relation::parse(line, "amd64");
            if lock::version::is_version(line) {
                assert!(lock::version::compare(line, line).is_eq());
            }
        }
    }
    let _ = lock::index::packages(data, &mut |package| {
        assert!(package.path.split('/').all(|part| part != ".."));
    });
    let _ = lock::index::sources(data, "zlib");
});
