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
fn f034_f035_f036_what_cannot_be_believed_is_refused_and_told() {
    let mut archive = Archive::new(packages());
    let bench = Bench::of(&archive);
    let expect = |bench: &Bench, now: u64| {
        shown(
            bench
                .lock_with(&bench.net(), RECIPE, None, Upgrade::Nothing, now)
                .unwrap_err(),
        )
    };
    let stranger = Bench::serving(Server::files(archive.files()), &Archive::new(Vec::new()));
    let unknown = expect(&stranger, NOW + 900_000);
    assert!(
        unknown.contains("no signature is by a key that is trusted"),
        "{unknown}"
    );
    let behind = expect(&bench, NOW - 86_400);
    assert!(
        behind.contains("was made 86200 s after")
            && behind.contains("set this machine's clock right"),
        "{behind}"
    );

    let mut altered = archive.files();
    let release = altered.get_mut("dists/trixie/InRelease").unwrap();
    *release = String::from_utf8(release.clone())
        .unwrap()
        .replace("Origin: Test", "Origin: Evil")
        .into_bytes();
    let altered = expect(&Bench::serving(Server::files(altered), &archive), NOW);
    assert!(altered.contains("the file was altered"), "{altered}");

    archive.fields = "Valid-Until: Sat, 12 Sep 2026 07:59:00 UTC\n".into();
    insta::assert_snapshot!("expired", expect(&Bench::of(&archive), NOW + 86_400));

    let lock = bench.lock(RECIPE, None, Upgrade::Nothing).unwrap();
    archive.date = "Fri, 11 Sep 2026 07:55:41 UTC".into();
    archive.fields = String::new();
    let older = shown(
        Bench::of(&archive)
            .lock(RECIPE, Some(&lock), Upgrade::Nothing)
            .unwrap_err(),
    );
    assert!(
        older.contains("2026-09-11 07:55:41 UTC, but the lock"),
        "{older}"
    );

    let mut other = archive.files();
    let release =
        archive.sign("Suite: stable\nCodename: bookworm\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n");
    other.insert("dists/trixie/InRelease".into(), release);
    let other = expect(&Bench::serving(Server::files(other), &archive), NOW);
    assert!(other.contains("it is the index of bookworm"), "{other}");
}

#[test]
fn f037_every_mirror_passes_the_same_checks_and_an_inconsistent_one_is_named() {
    let mut archive = Archive::new(packages());
    let good = Bench::of(&archive);
    let mut unsigned = archive.files();
    for suite in ["trixie", "trixie-updates", "trixie-security"] {
        let path = format!("dists/{suite}/InRelease");
        let text = String::from_utf8(unsigned[&path].clone()).unwrap();
        unsigned.insert(
            path,
            text.lines()
                .filter(|line| !line.starts_with("-----"))
                .collect::<Vec<_>>()
                .join("\n")
                .into_bytes(),
        );
    }
    let unsigned = Server::files(unsigned);
    let net = good.net_with(&[unsigned.url("/"), good.server.url("/")]);
    good.lock_with(&net, RECIPE, None, Upgrade::Nothing, NOW)
        .unwrap();
    let alone = good
        .lock_with(
            &good.net_with(&[unsigned.url("/")]),
            RECIPE,
            None,
            Upgrade::Nothing,
            NOW,
        )
        .unwrap_err();
    insta::assert_snapshot!("unsigned", shown(alone));

    // No index by hash, and the plain one is of another state.
    archive.fields = String::new();
    let mut between = archive.files();
    between.insert(
        "dists/trixie/main/binary-amd64/Packages.gz".into(),
        b"an older index".to_vec(),
    );
    between.insert(
        "dists/trixie/main/binary-amd64/Packages".into(),
        b"an older index".to_vec(),
    );
    let between = Bench::serving(Server::files(between), &archive);
    insta::assert_snapshot!(
        "inconsistent",
        shown(between.lock(RECIPE, None, Upgrade::Nothing).unwrap_err())
    );
}

#[test]
fn f037_without_indexes_by_hash_the_plain_ones_serve() {
    let mut archive = Archive::new(packages());
    let mut files = archive.files();
    files.retain(|path, _| !path.contains("by-hash"));
    Bench::serving(Server::files(files), &archive)
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap();
    archive.fields = String::new();
    Bench::of(&archive)
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap();
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

/// An archive with Python 3.14 in sid, whose packaging is gone, and 3.13 in trixie.
fn of_sid() -> Archive {
    let mut archive = Archive::new(packages());
    let newer = packages().into_iter().map(|package| Package {
        name: package.name.replace("3.13", "3.14"),
        version: package.version.replace("3.13.5", "3.14.1"),
        source: package.source.replace("3.13", "3.14"),
        depends: package
            .depends
            .replace("3.13.5", "3.14.1")
            .replace("3.13", "3.14"),
        ..package
    });
    archive.suites.insert("sid".into(), newer.collect());
    archive
}

const BORROWING: &str = r#"
recipe "python" version="3.14" {
    interpreter "python" "3.14" from="debian" suite="sid" {
        patches "python3.13" suite="trixie"
    }
}
"#;

fn serving_of_sid(archive: &Archive) -> Bench {
    let mut files = archive.files();
    files.retain(|path, _| !(path.contains("python3.14") && path.contains(".debian.tar.")));
    Bench::serving(Server::files(files), archive)
}

fn patches_of(lock: &Lock) -> &Locked {
    let mut files = lock.files.iter();
    let patches = files.find(|file| file.kind == FileKind::DebianPatches);
    patches.unwrap()
}

#[test]
fn the_patches_of_another_source_package_are_locked_like_all_else() {
    let archive = of_sid();
    let bench = serving_of_sid(&archive);
    let own = BORROWING.replace("patches \"python3.13\" suite=\"trixie\"", "");
    let error = bench.lock(&own, None, Upgrade::Nothing).unwrap_err();
    assert!(matches!(error, LockError::NoPackaging(_)), "{error:?}");

    let lock = bench.lock(BORROWING, None, Upgrade::Nothing).unwrap();
    let patches = patches_of(&lock);
    assert_eq!(
        (&*patches.name, &*patches.version),
        ("python3.13", "3.13.5-2")
    );
    assert_eq!(patches.reason, "interpreter, instead of python3.14");
    assert_eq!(versions(&lock)["python3.14"], "3.14.1-2");
    assert!(!versions(&lock).contains_key("python3.13"));
    // The index that names it is believed by its signature too, and kept with its keys.
    let suites: Vec<&str> = lock
        .suites
        .iter()
        .map(|suite| suite.name.as_str())
        .collect();
    assert_eq!(
        suites,
        ["sid", "trixie", "trixie-updates", "trixie-security"]
    );
    assert_eq!(file::read("x", &file::write(&lock)).unwrap(), lock);
    assert!(out_of_date(&lock, &recipe(BORROWING)).is_empty());
    assert_eq!(
        out_of_date(&lock, &recipe(&own)),
        ["gone: patches python3.13 from debian trixie"]
    );
    assert_eq!(
        bench
            .lock(BORROWING, Some(&lock), Upgrade::Nothing)
            .unwrap(),
        lock
    );
}

/// A newer 3.13 in trixie's security archive; the packaging of the old one goes, if it is said.
fn with_newer_patches(archive: &mut Archive) {
    let newer = Package::new("python3.13", "3.13.5-3").source("python3.13");
    archive.replace("trixie-security", newer);
}

#[test]
fn a_locked_source_package_of_patches_stays_until_it_is_told_to_move() {
    let mut archive = of_sid();
    let bench = serving_of_sid(&archive);
    let old = bench.lock(BORROWING, None, Upgrade::Nothing).unwrap();
    with_newer_patches(&mut archive);
    let bench = serving_of_sid(&archive);
    assert_eq!(
        bench.lock(BORROWING, Some(&old), Upgrade::Nothing).unwrap(),
        old
    );
    let told = Upgrade::These(vec!["python3.13".into()]);
    let moved = bench.lock(BORROWING, Some(&old), told).unwrap();
    assert_eq!(patches_of(&moved).version, "3.13.5-3");
    assert_eq!(versions(&moved), versions(&old));
}

#[test]
fn a_source_package_of_patches_that_is_gone_is_followed_alone() {
    let mut archive = of_sid();
    let old = serving_of_sid(&archive)
        .lock(BORROWING, None, Upgrade::Nothing)
        .unwrap();
    with_newer_patches(&mut archive);
    let mut files = archive.files();
    files.retain(|path, _| {
        !path.contains("3.13.5-2.debian.tar.") && !path.contains("3.14.1-2.debian.")
    });
    let bench = Bench::serving(Server::files(files), &archive);
    let (new, moves) = bench.follow_as(BORROWING, &old, &["python3.13"]).unwrap();
    let moved: Vec<_> = moves.iter().map(|it| (&*it.name, &*it.to)).collect();
    assert_eq!(moved, [("python3.13", "3.13.5-3")]);
    assert_eq!(
        patches_of(&new).reason,
        "interpreter, instead of python3.14"
    );
    assert_eq!(new.suites.len(), old.suites.len());
}

#[test]
fn the_patches_of_another_source_package_stay_where_the_interpreter_is_followed() {
    let mut archive = of_sid();
    let old = serving_of_sid(&archive)
        .lock(BORROWING, None, Upgrade::Nothing)
        .unwrap();
    for package in archive.suites["sid"].clone() {
        if package.source == "python3.14" {
            let version = "3.14.2-1".to_owned();
            let depends = package.depends.replace("3.14.1-2", "3.14.2-1");
            archive.replace(
                "sid",
                Package {
                    version,
                    depends,
                    ..package
                },
            );
        }
    }
    let bench = serving_of_sid(&archive);
    let gone = ["libpython3.14-stdlib", "libpython3.14-minimal"];
    let (new, _) = bench.follow_as(BORROWING, &old, &gone).unwrap();
    assert_eq!(versions(&new)["python3.14"], "3.14.2-1");
    assert_eq!(patches_of(&new), patches_of(&old));
    assert_eq!(new.suites.len(), 4);
}

#[test]
fn a_source_package_of_patches_that_is_not_there_is_told_with_its_line() {
    let bench = serving_of_sid(&of_sid());
    let lock = |text: &str| shown(bench.lock(text, None, Upgrade::Nothing).unwrap_err());
    let text = lock(&BORROWING.replace("python3.13", "python3.31"));
    for told in [
        "trixie has no source package python3.31",
        "asked for here",
        "python.kdl:4",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    // That of the interpreter itself, whose file is gone.
    let text = lock(&BORROWING.replace(
        "\"python3.13\" suite=\"trixie\"",
        "\"python3.14\" suite=\"sid\"",
    ));
    for told in ["404", "python.kdl:4", "let `patches` name another"] {
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

#[test]
fn what_is_gone_moves_with_its_source_package_and_nothing_else_does() {
    let mut archive = Archive::new(packages());
    let old = Bench::of(&archive)
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap();
    let moved = |name: &str| Package::new(name, "3.13.5-3").source("python3.13");
    archive.replace("trixie", moved("python3.13"));
    archive.replace(
        "trixie",
        moved("python3.13-minimal")
            .depends("libc6 (>= 2.38), zlib1g (>= 1), libnew1")
            .module(
                "usr/bin/python3.13",
                &["libc.so.6", "libz.so.1", "libnew.so.1"],
            ),
    );
    archive.replace("trixie", moved("libpython3.13-minimal"));
    archive.replace(
        "trixie",
        moved("libpython3.13-stdlib")
            .depends("libc6, libuuid1 (>= 2.41-2)")
            .module("usr/lib/python3.13/lib-dynload/_uuid.so", &["libuuid.so.1"]),
    );
    archive.replace("trixie", moved("python3.13-venv"));
    archive.replace(
        "trixie",
        Package::new("libuuid1", "2.41-2")
            .source("util-linux")
            .depends("libc6")
            .library("libuuid.so.1", &["libc.so.6"]),
    );
    archive.replace(
        "trixie",
        Package::new("libnew1", "1")
            .source("new")
            .library("libnew.so.1", &["libc.so.6"]),
    );
    // Newer too, but its old version can still be had from the old place.
    archive.replace("trixie-updates", Package::new("tzdata", "2"));
    let mut files = archive.files();
    files.extend(
        Archive::new(packages())
            .files()
            .into_iter()
            .filter(|(path, _)| path.starts_with("pool/") && !path.contains("python3.13")),
    );
    let bench = Bench::serving(Server::files(files), &archive);
    let (new, moves) = bench.follow(&old, &["libpython3.13-minimal"]).unwrap();
    let mut names: Vec<&str> = moves.iter().map(|moved| moved.name.as_str()).collect();
    names.dedup();
    assert_eq!(
        names,
        [
            "libpython3.13-minimal",
            "libpython3.13-stdlib",
            "libuuid1",
            "python3.13",
            "python3.13-minimal",
            "python3.13-venv",
            "python3.13",
            "libnew1"
        ]
    );
    let after = versions(&new);
    assert_eq!(
        (
            after["python3.13"],
            after["libuuid1"],
            after["tzdata"],
            after["libnew1"]
        ),
        ("3.13.5-3", "2.41-2", "1", "1")
    );
    let patches = new
        .files
        .iter()
        .find(|file| file.kind == FileKind::DebianPatches)
        .unwrap();
    assert_eq!(patches.version, "3.13.5-3");
    assert_eq!(
        moves
            .iter()
            .find(|moved| moved.name == "libnew1")
            .unwrap()
            .from,
        None
    );
    assert!(out_of_date(&new, &recipe(RECIPE)).is_empty());
    assert_eq!(
        bench.follow(&old, &["libpython3.13-minimal"]).unwrap().0,
        new
    );
}

#[test]
fn more_than_was_known_to_be_gone_moves_too() {
    let mut archive = Archive::new(packages());
    let old = Bench::of(&archive)
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap();
    archive.replace("trixie", Package::new("tzdata", "2"));
    archive.replace(
        "trixie",
        Package::new("zlib1g", "1.3-2")
            .source("zlib")
            .depends("libc6")
            .library("libz.so.1", &["libc.so.6"]),
    );
    let (new, moves) = Bench::of(&archive).follow(&old, &["tzdata"]).unwrap();
    assert_eq!(
        (versions(&new)["zlib1g"], versions(&new)["tzdata"]),
        ("1.3-2", "2")
    );
    assert_eq!(moves.len(), 2);
}

#[test]
fn what_cannot_be_followed_says_why() {
    let archive = Archive::new(packages());
    let bench = Bench::of(&archive);
    let old = bench.lock(RECIPE, None, Upgrade::Nothing).unwrap();
    let still_named = bench.follow(&old, &["tzdata"]).unwrap_err().to_string();
    assert!(
        still_named.contains("the mirror is incomplete"),
        "{still_named}"
    );
    let mut without = Archive {
        suites: archive.suites.clone(),
        ..archive
    };
    without
        .suites
        .get_mut("trixie")
        .unwrap()
        .retain(|package| package.name != "tzdata");
    let dropped = Bench::of(&without)
        .follow(&old, &["tzdata"])
        .unwrap_err()
        .to_string();
    assert!(
        dropped.contains("no package of that name any more"),
        "{dropped}"
    );
    let mut wheel = old.clone();
    wheel.files[0].kind = FileKind::Wheel;
    let name = wheel.files[0].name.clone();
    let wheel = bench
        .follow(&wheel, &[name.as_str()])
        .unwrap_err()
        .to_string();
    assert!(wheel.contains("it is a file of a package index"), "{wheel}");
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
