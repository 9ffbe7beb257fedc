//! Locking against a small archive on loopback; `live.rs` asks the mirrors that this machine knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{Entry, Store};

use super::suites::Suites;
use super::system::System;
use super::testing::{Archive, Package};
use super::*;
use crate::net::Silence;
use crate::net::testing::Server;
use crate::platform::Platform;
use crate::recipe::Recipe;

mod builder;
mod follow;
mod mirrors;
mod patches;

use patches::{BORROWING, of_sid, serving_of_sid};

pub(super) const RECIPE: &str = r#"
recipe "python" version="3.13" {
    interpreter "python" "3.13" from="debian" suite="trixie"
    system {
        package "libudev1" "ca-certificates"
    }
}
"#;

pub(super) fn recipe(text: &str) -> Recipe {
    Recipe::parse("python.kdl", text.into(), Utf8Path::new(".")).unwrap()
}

/// The packages that a Python of trixie consists of, as small as can be.
fn packages() -> Vec<Package> {
    let base = [
        "libc-bin",
        "tzdata",
        "ncurses-base",
        "ca-certificates",
        "media-types",
        "python3-pip-whl",
    ];
    let mut packages: Vec<Package> = base.iter().map(|name| Package::new(name, "1")).collect();
    let python = |name: &str| Package::new(name, "3.13.5-2").source("python3.13");
    packages.extend([
        Package::new("libc6", "2.41-12").source("glibc").library("libc.so.6", &[]).library("libm.so.6", &["libc.so.6"]),
        python("python3.13").depends("python3.13-minimal (= 3.13.5-2), libpython3.13-stdlib (= 3.13.5-2), media-types | mime-support"),
        python("python3.13-minimal").depends("libpython3.13-minimal (= 3.13.5-2), libc6 (>= 2.38), zlib1g (>= 1)").module("usr/bin/python3.13", &["libc.so.6", "libz.so.1"]),
        python("libpython3.13-minimal"),
        python("libpython3.13-stdlib").depends("libc6, libuuid1").module("usr/lib/python3.13/lib-dynload/_uuid.so", &["libuuid.so.1"]),
        python("python3.13-venv").depends("python3.13, python3-pip-whl, debconf"),
        Package::new("zlib1g", "1.3-1").source("zlib").depends("libc6").library("libz.so.1", &["libc.so.6"]),
        Package::new("libuuid1", "2.41-1").source("util-linux").depends("libc6").library("libuuid.so.1", &["libc.so.6"]),
        Package::new("libudev1", "257-1").source("systemd").depends("libc6").library("libudev.so.1", &["libc.so.6"]),
        Package::new("debconf", "1.5").depends("perl-base"),
        Package::new("perl-base", "5.40"),
    ]);
    packages
}

/// The clock of the tests: a few minutes after the archive's date.
const NOW: u64 = 1_789_200_000;

/// A mirror on loopback, a store, and the settings for both.
struct Bench {
    server: Server,
    store: Store,
    folder: tempfile::TempDir,
}

impl Bench {
    fn of(archive: &Archive) -> Bench {
        Bench::serving(Server::files(archive.files()), archive)
    }

    fn serving(server: Server, archive: &Archive) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys.asc"), archive.public_key()).unwrap();
        let store =
            Store::open(&Utf8PathBuf::from_path_buf(folder.path().join("store")).unwrap()).unwrap();
        Bench {
            server,
            store,
            folder,
        }
    }

    fn net(&self) -> Net {
        self.net_with(&[self.server.url("/")])
    }

    fn net_with(&self, mirrors: &[reqwest::Url]) -> Net {
        let mut settings = crate::net::testing::settings(mirrors);
        settings.debian_security = mirrors.to_vec();
        settings.archive_keys =
            Utf8PathBuf::from_path_buf(self.folder.path().join("keys.asc")).ok();
        Net::new(settings, Arc::new(Silence))
    }

    fn lock_with(
        &self,
        net: &Net,
        text: &str,
        previous: Option<&Lock>,
        upgrade: Upgrade,
        now: u64,
    ) -> Result<Lock, LockError> {
        let options = Options {
            upgrade,
            ..Options::default()
        };
        self.lock_by(net, text, previous, &options, now)
    }

    fn lock_by(
        &self,
        net: &Net,
        text: &str,
        previous: Option<&Lock>,
        options: &Options,
        now: u64,
    ) -> Result<Lock, LockError> {
        let session = self.store.session().unwrap();
        let context = Context::without_sandbox(net, &session, now);
        lock(&recipe(text), previous, &context, options)
    }

    fn lock(
        &self,
        text: &str,
        previous: Option<&Lock>,
        upgrade: Upgrade,
    ) -> Result<Lock, LockError> {
        self.lock_with(&self.net(), text, previous, upgrade, NOW)
    }

    fn follow(&self, lock: &Lock, gone: &[&str]) -> Result<(Lock, Vec<Moved>), LockError> {
        self.follow_as(RECIPE, lock, gone)
    }

    fn follow_as(
        &self,
        text: &str,
        lock: &Lock,
        gone: &[&str],
    ) -> Result<(Lock, Vec<Moved>), LockError> {
        let (net, session) = (self.net(), self.store.session().unwrap());
        let gone: Vec<Locked> = lock
            .files
            .iter()
            .filter(|file| gone.contains(&file.name.as_str()))
            .cloned()
            .collect();
        follow(
            lock,
            &recipe(text),
            &gone,
            &Context::without_sandbox(&net, &session, NOW),
        )
    }
}

fn versions(lock: &Lock) -> BTreeMap<&str, &str> {
    let debs = lock.files.iter().filter(|file| file.kind == FileKind::Deb);
    debs.map(|file| (file.name.as_str(), file.version.as_str()))
        .collect()
}

/// An error as a person sees it. Ports differ from run to run.
fn shown(error: LockError) -> String {
    let report = miette::Report::new(error);
    let handler =
        miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
            .with_width(110);
    let mut text = String::new();
    handler.render_report(&mut text, &*report).unwrap();
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("127.0.0.1:") {
        out.push_str(&rest[..at]);
        out.push_str("mirror.test");
        rest = rest[at + 10..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out + rest
}

#[test]
fn a_lock_holds_what_contributes_and_nothing_else_and_is_the_same_twice() {
    let archive = Archive::new(packages());
    let bench = Bench::of(&archive);
    let first = bench.lock(RECIPE, None, Upgrade::Nothing).unwrap();
    assert!(!versions(&first).contains_key("debconf") && versions(&first)["libuuid1"] == "2.41-1");
    let reason = |name: &str| {
        first
            .files
            .iter()
            .find(|file| file.name == name)
            .unwrap()
            .reason
            .as_str()
    };
    assert_eq!(
        reason("libuuid1"),
        "libpython3.13-stdlib needs libuuid.so.1"
    );
    assert_eq!(
        first
            .files
            .iter()
            .filter(|file| file.kind == FileKind::DebianPatches)
            .count(),
        1
    );
    assert_eq!(first.suites.len(), 3);
    let text = file::write(&first);
    assert_eq!(file::read("x", &text).unwrap(), first);

    // Another store, another order of packages in the index: the same bytes.
    let mut turned = Archive {
        suites: archive.suites.clone(),
        ..archive
    };
    turned.suites.get_mut("trixie").unwrap().reverse();
    let elsewhere = Bench::of(&turned);
    let second = elsewhere.lock(RECIPE, None, Upgrade::Nothing).unwrap();
    assert_eq!(second.files, first.files);

    let heard = bench.server.heard().len();
    assert_eq!(
        bench.lock(RECIPE, Some(&first), Upgrade::Nothing).unwrap(),
        first
    );
    let again: Vec<String> = bench
        .server
        .heard()
        .split_off(heard)
        .into_iter()
        .map(|heard| heard.path)
        .collect();
    assert!(
        again.iter().all(|path| path.ends_with("InRelease")),
        "only dates are asked for again: {again:?}"
    );
}

#[test]
fn a_locked_version_stays_until_it_is_told_to_move() {
    let mut archive = Archive::new(packages());
    let old = Bench::of(&archive)
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap();
    // The old version stays in the suite; its security archive has a newer one.
    let newer = Package::new("zlib1g", "1.3-2")
        .source("zlib")
        .depends("libc6")
        .library("libz.so.1", &["libc.so.6"]);
    archive.replace("trixie-security", newer);
    let bench = Bench::of(&archive);
    let kept = bench.lock(RECIPE, Some(&old), Upgrade::Nothing).unwrap();
    assert_eq!(kept, old, "nothing but dates moved");
    let moved = bench
        .lock(RECIPE, Some(&old), Upgrade::These(vec!["zlib".into()]))
        .unwrap();
    assert_eq!(versions(&moved)["zlib1g"], "1.3-2");
    assert_eq!(moved.serial, old.serial + 1);
    let file = moved
        .files
        .iter()
        .find(|file| file.name == "zlib1g")
        .unwrap();
    assert_eq!(file.archive, "debian-security");
    assert_eq!(
        versions(&bench.lock(RECIPE, Some(&old), Upgrade::Everything).unwrap())["zlib1g"],
        "1.3-2"
    );
}

#[test]
fn f053_a_lock_that_does_not_answer_the_recipe_says_what_differs() {
    let lock = Bench::of(&Archive::new(packages()))
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap();
    assert!(out_of_date(&lock, &recipe(RECIPE)).is_empty());
    let other = RECIPE.replace("\"libudev1\"", "\"zlib1g\"");
    let differences = out_of_date(&lock, &recipe(&other));
    assert_eq!(
        differences,
        [
            "added: system package zlib1g",
            "gone: system package libudev1"
        ]
    );
}

#[test]
fn where_a_mirror_lacks_a_packaging_that_of_the_version_before_serves() {
    let mut archive = Archive::new(packages());
    for package in packages() {
        if package.source == "python3.13" {
            let depends = package.depends.replace("3.13.5-2", "3.13.5-3");
            let version = "3.13.5-3".to_owned();
            let newer = Package {
                version,
                depends,
                ..package
            };
            archive.replace("trixie-security", newer);
        }
    }
    let mut files = archive.files();
    let lacking = |files: &BTreeMap<String, Vec<u8>>| {
        Bench::serving(Server::files(files.clone()), &archive).lock(RECIPE, None, Upgrade::Nothing)
    };
    let version = |lock: &Lock| {
        let mut files = lock.files.iter();
        let patches = files.find(|file| file.kind == FileKind::DebianPatches);
        patches.unwrap().version.clone()
    };
    assert_eq!(version(&lacking(&files).unwrap()), "3.13.5-3");
    files.remove("pool/main/python3.13/python3.13_3.13.5-3.debian.tar.xz");
    let lock = lacking(&files).unwrap();
    assert_eq!(version(&lock), "3.13.5-2");
    assert_eq!(versions(&lock)["python3.13"], "3.13.5-3");
    files.remove("pool/main/python3.13/python3.13_3.13.5-2.debian.tar.xz");
    let error = lacking(&files).unwrap_err();
    assert!(matches!(&error, LockError::NoPackaging(_)), "{error:?}");
    let text = shown(error);
    for told in [
        "patches of python3.13 3.13.5-3",
        "404",
        "asked for here",
        "{ patches",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[test]
fn each_release_says_for_itself_whether_its_time_may_have_run_out() {
    let mut archive = of_sid();
    archive.fields = "Valid-Until: Sat, 12 Sep 2026 07:59:00 UTC\n".into();
    let bench = serving_of_sid(&archive);
    let lock =
        |text: &str| bench.lock_with(&bench.net(), text, None, Upgrade::Nothing, NOW + 86_400);
    let sid = BORROWING.replace("suite=\"sid\"", "suite=\"sid\" expired=\"allow\"");
    let error = lock(&sid).unwrap_err();
    assert!(
        matches!(&error, LockError::Refused { suite, .. } if suite.starts_with("trixie")),
        "{error:?}"
    );
    lock(&sid.replace("suite=\"trixie\"", "suite=\"trixie\" expired=\"allow\"")).unwrap();
}

#[test]
fn a_recipe_may_take_indexes_whose_time_has_run_out() {
    let mut archive = Archive::new(packages());
    archive.fields = "Valid-Until: Sat, 12 Sep 2026 07:59:00 UTC\n".into();
    let bench = Bench::of(&archive);
    let later = NOW + 86_400;
    let lock = |text: &str, previous: Option<&Lock>| {
        bench.lock_with(&bench.net(), text, previous, Upgrade::Nothing, later)
    };
    assert!(lock(RECIPE, None).is_err());
    let allowing = RECIPE.replace("suite=\"trixie\"", "suite=\"trixie\" expired=\"allow\"");
    let mut known = lock(&allowing, None).unwrap();
    // An older index than the one that is known stays refused.
    for suite in &mut known.suites {
        suite.date += 86_400;
    }
    assert!(lock(&allowing, Some(&known)).is_err());
}

#[test]
fn a_release_with_pip_under_its_older_name_has_a_python_all_the_same() {
    let rename = |text: String| text.replace("python3-pip-whl", "python-pip-whl");
    let older = packages().into_iter().map(|package| Package {
        name: rename(package.name),
        depends: rename(package.depends),
        ..package
    });
    let lock = Bench::of(&Archive::new(older.collect()))
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap();
    assert!(versions(&lock).contains_key("python-pip-whl"));
}

#[test]
fn what_a_recipe_asks_in_vain_is_shown_in_the_recipe() {
    let bench = Bench::of(&Archive::new(packages()));
    let fail = |text: &str| shown(bench.lock(text, None, Upgrade::Nothing).unwrap_err());
    insta::assert_snapshot!(
        "unknown_package",
        fail(&RECIPE.replace("libudev1", "libudev"))
    );
    let excluding = |name: &str| {
        let both = format!("exclude \"{name}\"; package \"libudev1\"");
        fail(&RECIPE.replace("package \"libudev1\"", &both))
    };
    insta::assert_snapshot!("excluded_unknown", excluding("zlib1h"));
    insta::assert_snapshot!("excluded_needed", excluding("libc6"));
    insta::assert_snapshot!(
        "no_interpreter",
        fail(&RECIPE.replace("\"python\" \"3.13\"", "\"python\" \"3.12\""))
    );
    insta::assert_snapshot!("no_suite", fail(&RECIPE.replace("trixie", "buster")));
    insta::assert_snapshot!("no_such_suite", fail(&RECIPE.replace("trixie", "trixy")));
    insta::assert_snapshot!(
        "no_mirror",
        shown(
            bench
                .lock_with(&bench.net_with(&[]), RECIPE, None, Upgrade::Nothing, NOW)
                .unwrap_err()
        )
    );
}

#[test]
fn a_library_that_nobody_chosen_has_is_told_with_who_has_it() {
    let mut packages = packages();
    packages.push(Package::new("libodd1", "1").library("libodd.so.1", &[]));
    let needs = Package::new("libudev1", "257-2")
        .source("systemd")
        .depends("libc6")
        .library("libudev.so.1", &["libodd.so.1"]);
    packages.retain(|package| package.name != "libudev1");
    packages.push(needs);
    let error = Bench::of(&Archive::new(packages))
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap_err();
    insta::assert_snapshot!("missing_library", shown(error));
}

#[test]
fn dependencies_that_cannot_be_met_are_told() {
    let mut archive = Archive::new(packages());
    archive.replace(
        "trixie",
        Package::new("zlib1g", "1.3-1")
            .source("zlib")
            .depends("libc6 (>= 3)"),
    );
    let error = Bench::of(&archive)
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap_err();
    insta::assert_snapshot!("unmet", shown(error));
}

#[test]
fn offline_says_what_would_have_been_asked() {
    let bench = Bench::of(&Archive::new(packages()));
    let mut settings = bench.net().settings().clone();
    settings.offline = true;
    let net = Net::new(settings, Arc::new(Silence));
    let error = bench
        .lock_with(&net, RECIPE, None, Upgrade::Nothing, NOW)
        .unwrap_err();
    assert!(
        matches!(error, LockError::Net(crate::net::NetError::Offline { .. })),
        "{error}"
    );
    assert!(bench.server.heard().is_empty());
}

#[test]
fn the_root_of_a_release_has_what_every_machine_has_and_what_scripts_would_have_made() {
    let mut archive = Archive::new(vec![
        Package::new("base-passwd", "1")
            .essential()
            .depends("libc6, gawk | mawk")
            .file(
                "usr/share/base-passwd/passwd.master",
                "root:*:0:0:root:/root:/bin/bash\n",
            )
            .file("usr/share/base-passwd/group.master", "root:*:0:\n"),
        Package::new("dash", "1")
            .essential()
            .file("bin/dash", "a shell")
            .file("usr/share/man/man1/dash.1.gz", "nobody reads it"),
        Package::new("libc6", "2.31")
            .file("lib/x86_64-linux-gnu/ld-2.31.so", "a loader")
            .link(
                "lib64/ld-linux-x86-64.so.2",
                "/lib/x86_64-linux-gnu/ld-2.31.so",
            )
            .link(
                "lib/x86_64-linux-gnu/libother.so",
                "/usr/lib/other/libother.so",
            )
            .file("usr/share/libc-bin/nsswitch.conf", "passwd: files\n"),
        Package::new("gawk", "1").file("usr/bin/gawk", "not this one"),
        Package::new("mawk", "1").file("usr/bin/mawk", "by default"),
        Package::new("ca-certificates", "1")
            .file("usr/share/ca-certificates/b/two.crt", "two\n")
            .file("usr/share/ca-certificates/a/one.crt", "one\n"),
        Package::new("optional", "1"),
    ]);
    archive.fields = "Acquire-By-Hash: yes\nValid-Until: Sat, 12 Sep 2026 07:56:00 UTC\n".into();
    let bench = Bench::of(&archive);
    let (net, session) = (bench.net(), bench.store.session().unwrap());
    let context = Context::without_sandbox(&net, &session, NOW);
    let made = distribution(&context, "trixie", Platform::X86_64).unwrap();
    let mut lines = String::new();
    recipe_store::walk::<recipe_store::StoreError>(&session, &made.tree, &mut |path, entry| {
        match entry {
            Entry::Directory(_) => {}
            Entry::Symlink { target } => lines += &format!("{path} -> {target}\n"),
            Entry::File { blob, .. } => {
                let text = String::from_utf8(session.read_blob(blob)?).unwrap();
                lines += &format!("{path}: {}\n", text.escape_debug());
            }
        }
        Ok(())
    })
    .unwrap();
    insta::assert_snapshot!("distribution", lines);
    let again = distribution(&context, "trixie", Platform::X86_64).unwrap();
    assert_eq!(again, made);
}

/// A wheel with a module that needs these libraries, and a library of its own.
fn wheel(needed: &[&str]) -> BTreeMap<String, super::candidates::Unpacked> {
    let facts = |soname, needed: &[&str]| {
        crate::elf::read(&testing::elf(soname, needed))
            .unwrap()
            .unwrap()
    };
    let elf = BTreeMap::from([
        ("numpy/_core.so".to_owned(), facts(None, needed)),
        (
            "numpy.libs/libopenblas-1.so".to_owned(),
            facts(Some("libopenblas-1.so"), &["libc.so.6"]),
        ),
    ]);
    let tree = recipe_store::Tree::new().id();
    BTreeMap::from([(
        "numpy".to_owned(),
        super::candidates::Unpacked { tree, elf },
    )])
}

#[test]
fn a_wheel_brings_in_the_libraries_that_its_tag_may_expect_and_no_others() {
    let mut packages = packages();
    packages.push(
        Package::new("libstdc++6", "14")
            .source("gcc-14")
            .depends("libc6")
            .library("libstdc++.so.6", &["libc.so.6"]),
    );
    packages.push(
        Package::new("libxml2", "2")
            .depends("libc6")
            .library("libxml2.so.2", &["libc.so.6"]),
    );
    let bench = Bench::of(&Archive::new(packages));
    let (net, session) = (bench.net(), bench.store.session().unwrap());
    let context = Context::without_sandbox(&net, &session, NOW);
    let suites = Suites::load(&context, "trixie", Platform::X86_64, &[], false).unwrap();
    let system = || {
        System::resolve(
            &context,
            &suites,
            &recipe(RECIPE),
            &BTreeMap::new(),
            &BTreeSet::new(),
        )
        .unwrap()
    };

    let mut with = system();
    assert!(with.files().iter().all(|file| file.name != "libstdc++6"));
    with.add_wheels(
        &context,
        &wheel(&["libopenblas-1.so", "libstdc++.so.6", "libc.so.6"]),
    )
    .unwrap();
    let files = with.files();
    let added = files.iter().find(|file| file.name == "libstdc++6").unwrap();
    assert_eq!(added.reason, "numpy needs libstdc++.so.6");

    let error = system()
        .add_wheels(&context, &wheel(&["libxml2.so.2"]))
        .unwrap_err();
    insta::assert_snapshot!("missing_library_of_a_wheel", shown(error));
}

#[test]
fn a_project_is_called_by_any_spelling_of_its_name_and_a_package_by_one() {
    let file = |kind, name: &str| Locked {
        kind,
        name: name.into(),
        version: String::new(),
        architecture: String::new(),
        source: String::new(),
        archive: String::new(),
        path: String::new(),
        size: 0,
        sha256: String::new(),
        reason: String::new(),
        requires: Vec::new(),
    };
    let wheel = file(FileKind::Wheel, "typing-extensions");
    for word in [
        "typing-extensions",
        "Typing_Extensions",
        "typing.extensions",
    ] {
        assert!(wheel.is_called(word), "{word}");
    }
    assert!(!wheel.is_called("typing") && !wheel.is_called("typing extensions"));
    let package = file(FileKind::Deb, "libc6");
    assert!(package.is_called("libc6") && !package.is_called("Libc6"));
}
