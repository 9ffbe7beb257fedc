//! Locking against the mirrors that this machine knows; skipped, with the reason, where there are none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::Store;

use super::suites::Suites;
use super::system::System;
use super::tests::{RECIPE, recipe};
use super::*;
use crate::net::{Machine as Computer, Said, Silence};
use crate::platform::Platform;

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

fn now() -> u64 {
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

#[test]
#[ignore = "takes long: .ci/long slow"]
fn the_python_of_a_release_and_what_it_needs_come_from_the_live_mirror() {
    let Some(net) = live_net() else { return };
    let store = live_store();
    let session = store.1.session().unwrap();
    let context = Context::without_sandbox(&net, &session, now());
    let begin = std::time::Instant::now();
    let suites = Suites::load(&context, "trixie", Platform::X86_64, &[], false).unwrap();
    println!("suites {:?}", begin.elapsed());
    let system = System::resolve(
        &context,
        &suites,
        &recipe(RECIPE),
        &BTreeMap::new(),
        &BTreeSet::new(),
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

#[test]
#[ignore = "takes long: .ci/long slow"]
fn the_root_of_a_release_runs_its_own_programs() {
    let Some(net) = live_net() else { return };
    let store = live_store();
    let session = store.1.session().unwrap();
    let context = Context::without_sandbox(&net, &session, now());
    // The one in between is made by a test of the command.
    for (release, number) in [("bullseye", "11"), ("trixie", "13")] {
        let made = distribution(&context, release, Platform::X86_64).unwrap();
        let root = session.checkout(&made.tree).unwrap();
        // No sandbox of ours: what util-linux makes of the folder.
        let script = "set -e; . /etc/os-release; echo $VERSION_ID; id -un; awk 'BEGIN { print 1 + 1 }'
            getent group root; getent services http; getent hosts localhost
            TZ=Europe/Berlin date +%Z -d 2026-07-01; grep -c BEGIN /etc/ssl/certs/ca-certificates.crt
            /lib64/ld-linux-x86-64.so.2 /bin/true; /usr/bin/ldd /bin/bash";
        let ran = std::process::Command::new("unshare")
            .args([
                "--user",
                "--map-root-user",
                "chroot",
                root.as_str(),
                "/bin/sh",
                "-c",
                script,
            ])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output();
        let Ok(ran) = ran else {
            eprintln!("skipped: unshare is not installed");
            return;
        };
        let (out, err) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        if err.contains("unshare failed") {
            eprintln!("skipped: {err}");
            return;
        }
        let lines: Vec<String> = out
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let wanted = [
            number,
            "root",
            "2",
            "root:*:0:",
            "http 80/tcp www",
            "::1 localhost",
            "CEST",
        ];
        let begins = lines
            .iter()
            .zip(wanted)
            .all(|(line, wanted)| line.starts_with(wanted));
        assert!(
            ran.status.success() && lines.len() > wanted.len() && begins,
            "{release}: {out}{err}"
        );
        let certificates = lines[wanted.len()].parse::<u32>();
        assert!(
            certificates.is_ok_and(|count| count > 100),
            "{release}: {out}"
        );
        assert!(
            out.contains("libtinfo.so.6 => /lib/") && !out.contains("not found"),
            "{release}: {out}"
        );
    }
}

/// apt's own answer: what it would install on a machine where nothing is installed.
fn apt(net: &Net, roots: &[&str]) -> Option<BTreeMap<String, String>> {
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in [
        "state/lists/partial",
        "cache/archives/partial",
        "etc",
        "keys",
    ] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    std::fs::write(at("status"), "").unwrap();
    let keys = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lock/keys");
    for key in keys
        .read_dir_utf8()
        .unwrap()
        .flatten()
        .filter(|key| key.file_name().ends_with(".asc"))
    {
        std::fs::copy(key.path(), folder.path().join("keys").join(key.file_name())).unwrap();
    }
    let (debian, security) = (
        &net.settings().debian[0],
        &net.settings().debian_security[0],
    );
    let sources = format!(
        "deb [arch=amd64] {debian} trixie main\ndeb [arch=amd64] {debian} trixie-updates main\ndeb [arch=amd64] {security} trixie-security main\n"
    );
    std::fs::write(at("etc/sources.list"), sources).unwrap();
    let options = [
        format!("Dir::State={}", at("state")),
        format!("Dir::State::status={}", at("status")),
        format!("Dir::Cache={}", at("cache")),
        format!("Dir::Etc={}", at("etc")),
        format!("Dir::Etc::SourceList={}", at("etc/sources.list")),
        "Dir::Etc::SourceParts=/dev/null".into(),
        "Dir::Etc::Trusted=/dev/null".into(),
        format!("Dir::Etc::TrustedParts={}", at("keys")),
        "Dir::Etc::Preferences=/dev/null".into(),
        "Dir::Etc::PreferencesParts=/dev/null".into(),
        "APT::Architecture=amd64".into(),
        "APT::Architectures::=amd64".into(),
        "APT::Sandbox::User=".into(),
        "Acquire::Languages=none".into(),
    ];
    let run = |words: &[&str]| {
        let mut apt = Command::new("apt-get");
        for option in &options {
            apt.args(["-o", option]);
        }
        apt.env("LC_ALL", "C").args(words).output().ok()
    };
    let Some(update) = run(&["update"]) else {
        eprintln!("skipped: apt-get is not installed");
        return None;
    };
    assert!(
        update.status.success(),
        "{}",
        String::from_utf8_lossy(&update.stderr)
    );
    let mut words = vec!["-s", "--no-install-recommends", "install"];
    words.extend(roots);
    let answer = run(&words)?;
    assert!(
        answer.status.success(),
        "{}",
        String::from_utf8_lossy(&answer.stderr)
    );
    let text = String::from_utf8(answer.stdout).unwrap();
    // `Inst libc6 (2.41-12 Debian:13.7/stable [amd64])`
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split_once(" ("));
    Some(
        lines
            .map(|(name, rest)| {
                (
                    name.to_owned(),
                    rest.split(' ').next().unwrap_or_default().to_owned(),
                )
            })
            .collect(),
    )
}

#[test]
fn the_closure_is_the_one_that_apt_would_install_from_the_live_mirror() {
    let Some(net) = live_net() else { return };
    let store = live_store();
    let session = store.1.session().unwrap();
    let context = Context::without_sandbox(&net, &session, now());
    let suites = Suites::load(&context, "trixie", Platform::X86_64, &[], false).unwrap();
    context.keep_fetched().unwrap();
    let questions: [&[&str]; 3] = [
        &[
            "python3.13",
            "python3.13-venv",
            "libudev1",
            "ca-certificates",
            "tzdata",
            "ncurses-base",
            "libc-bin",
        ],
        &["curl", "git", "openssh-client", "postgresql-client"],
        &["gcc", "make", "libssl-dev", "python3-dev"],
    ];
    for roots in questions {
        let Some(theirs) = apt(&net, roots) else {
            return;
        };
        let chosen = suites.universe.choose(roots, &BTreeMap::new()).unwrap();
        let ours: BTreeMap<String, String> = chosen
            .iter()
            .map(|(name, offer)| (name.clone(), offer.package.version.to_string()))
            .collect();
        assert_eq!(ours, theirs, "{roots:?}");
    }
}
