//! What is gone from every mirror is followed.

use super::*;

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
