//! A Python whose patches another source package has.

use super::*;

/// An archive with Python 3.14 in sid, whose packaging is gone, and 3.13 in trixie.
pub(super) fn of_sid() -> Archive {
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

pub(super) const BORROWING: &str = r#"
recipe "python" version="3.14" {
    interpreter "python" "3.14" from="debian" suite="sid" {
        patches "python3.13" suite="trixie"
    }
}
"#;

pub(super) fn serving_of_sid(archive: &Archive) -> Bench {
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
