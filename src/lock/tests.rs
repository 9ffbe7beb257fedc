//! Locking against the mirrors that this machine knows. Skipped, with the reason, where there are none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::Store;

use super::suites::Suites;
use super::system::System;
use super::*;
use crate::elf::Machine;
use crate::net::{Machine as Computer, Said, Silence};
use crate::recipe::Recipe;

pub(super) const RECIPE: &str = r#"
recipe "python" version="3.13" {
    interpreter "python" "3.13" from="debian" suite="trixie"
    system {
        package "libudev1" "ca-certificates"
    }
}
"#;

/// A store that all live tests of this process share, so that indexes come once.
fn live_store() -> MutexGuard<'static, (tempfile::TempDir, Store)> {
    static STORE: OnceLock<Mutex<(tempfile::TempDir, Store)>> = OnceLock::new();
    let store = STORE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("store")).unwrap();
        let store = Store::open(&path).unwrap();
        Mutex::new((folder, store))
    });
    store
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn live_net() -> Option<Net> {
    let settings = Computer::read(std::env::vars().collect())
        .settings(&Said::default(), &Said::default())
        .unwrap();
    if settings.debian.is_empty() {
        eprintln!("skipped: this machine's apt sources name no Debian mirror");
        return None;
    }
    let net = Net::new(settings, Arc::new(Silence));
    match net.bytes(&crate::net::Wanted::unknown(
        "debian",
        "dists/trixie/InRelease",
        1 << 20,
    )) {
        Ok(_) => Some(net),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

pub(super) fn recipe(text: &str) -> Recipe {
    Recipe::parse("python.kdl", text.into(), Utf8Path::new(".")).unwrap()
}

#[test]
fn the_python_of_a_release_and_what_it_needs_come_from_the_live_mirror() {
    let Some(net) = live_net() else { return };
    let store = live_store();
    let session = store.1.session().unwrap();
    let context = Context::new(&net, &session, now());
    let begin = std::time::Instant::now();
    let suites = Suites::load(&context, "trixie", "amd64", &[], false).unwrap();
    println!("suites {:?}", begin.elapsed());
    let system = System::resolve(
        &context,
        &suites,
        &recipe(RECIPE),
        &BTreeMap::new(),
        Machine::X86_64,
    )
    .unwrap();
    println!("system {:?}", begin.elapsed());
    let files = system.files();
    for file in &files {
        println!(
            "{} {} {} {}",
            file.name, file.version, file.size, file.reason
        );
    }
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    for name in [
        "libc6",
        "libgcc-s1",
        "libssl3t64",
        "libudev1",
        "python3.13-minimal",
        "python3-pip-whl",
        "zlib1g",
        "libtinfo6",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    for name in ["debconf", "dpkg", "perl-base", "libstdc++6", "gcc-14-base"] {
        assert!(!names.contains(&name), "{name} in {names:?}");
    }
    let root = system.root(&context).unwrap();
    session.commit().unwrap();
    let _ = root;
}
