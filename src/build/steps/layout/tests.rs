use super::*;
use recipe_store::Store;

/// The closure paths, and what links say, that a package with these entries gives.
fn laid_out(package: &str, exclude: &[String], fill: impl Fn(&mut LayoutSink<'_>)) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let home = camino::Utf8Path::from_path(home.path()).unwrap();
    let session = Store::open(&home.join("store")).unwrap().session().unwrap();
    let layout = Layout {
        package,
        named: false,
        exclude,
    };
    let mut sink = LayoutSink::new(&session, &layout);
    fill(&mut sink);
    let tree = sink.finish().unwrap();
    let mut paths = Vec::new();
    recipe_store::walk(&session, &tree, &mut |path: &str,
                                              entry: &Entry|
     -> Result<(), StoreError> {
        match entry {
            Entry::Directory(_) => {}
            Entry::File { blob, .. } => paths.push(format!("{path} ({})", blob.size)),
            Entry::Symlink { target } => paths.push(format!("{path} -> {target}")),
        }
        Ok(())
    })
    .unwrap();
    paths
}

fn file(sink: &mut LayoutSink<'_>, path: &str, content: &str) {
    sink.file(path, false, content.len() as u64, &mut content.as_bytes())
        .unwrap();
}

#[test]
fn certificates_are_joined_in_order_whatever_the_order_of_the_archive() {
    let size = |names: [&str; 2]| {
        laid_out("ca-certificates", &[], |sink| {
            for name in names {
                file(
                    sink,
                    &format!("usr/share/ca-certificates/mozilla/{name}.crt"),
                    name,
                );
            }
        })
    };
    assert_eq!(size(["b", "a"]), ["etc/ssl/certs/ca-certificates.crt (4)"]);
    assert_eq!(size(["b", "a"]), size(["a", "b"]));
}

#[test]
fn links_follow_their_files_and_dangling_ones_stay_out() {
    let paths = laid_out("tzdata", &[], |sink| {
        file(sink, "usr/share/zoneinfo/Europe/Berlin", "zone");
        sink.symlink("usr/share/zoneinfo/Arctic/Longyearbyen", "../Europe/Berlin")
            .unwrap();
        sink.symlink("usr/share/zoneinfo/Again", "Arctic/Longyearbyen")
            .unwrap();
        sink.symlink("usr/share/zoneinfo/localtime", "../../../etc/localtime")
            .unwrap();
        sink.symlink("usr/share/zoneinfo/Gone", "nowhere").unwrap();
        sink.symlink("usr/share/zoneinfo/Old", "Europe").unwrap();
        sink.hard_link(
            "usr/share/zoneinfo/Twin",
            "usr/share/zoneinfo/Europe/Berlin",
        )
        .unwrap();
    });
    let expected = [
        "share/zoneinfo/Again -> Europe/Berlin",
        "share/zoneinfo/Arctic/Longyearbyen -> ../Europe/Berlin",
        "share/zoneinfo/Europe/Berlin (4)",
        "share/zoneinfo/Old -> Europe",
        "share/zoneinfo/Twin (4)",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn an_interpreter_gets_its_common_names_and_a_locale_both_spellings() {
    let paths = laid_out("python3.13-minimal", &[], |sink| {
        file(sink, "usr/bin/python3.13", "elf");
        file(sink, "usr/lib/locale/C.utf8/LC_TIME", "time");
    });
    let expected = [
        "bin/python -> python3",
        "bin/python3 -> python3.13",
        "bin/python3.13 (3)",
        "lib/locale/C.UTF-8 -> C.utf8",
        "lib/locale/C.utf8/LC_TIME (4)",
    ];
    assert_eq!(paths, expected);
    let paths = laid_out("libc-bin", &[], |sink| {
        file(sink, "usr/lib/locale/C.UTF-8/LC_TIME", "time");
    });
    let expected = [
        "lib/locale/C.UTF-8/LC_TIME (4)",
        "lib/locale/C.utf8 -> C.UTF-8",
    ];
    assert_eq!(paths, expected);
    for name in [
        "python3-minimal",
        "libpython3.13-minimal",
        "python3.x-minimal",
    ] {
        assert!(
            !Layout {
                package: name,
                named: false,
                exclude: &[]
            }
            .is_interpreter(),
            "{name}"
        );
    }
}

#[test]
fn what_the_recipe_excludes_stays_out_by_package_path_or_both() {
    let with = |pattern: &str| {
        laid_out("tzdata", &[pattern.to_owned()], |sink| {
            file(sink, "usr/share/zoneinfo/UTC", "zone");
            file(sink, "usr/share/doc/tzdata/copyright", "free");
        })
    };
    let (zone, licence) = (
        "share/zoneinfo/UTC (4)",
        "share/licenses/tzdata/copyright (4)",
    );
    assert_eq!(with("other"), [licence, zone]);
    assert_eq!(with("share"), [licence, zone], "a bare word is a package");
    assert_eq!(with("share/zoneinfo/*"), [licence]);
    assert_eq!(with("tzdata/share/zoneinfo/**"), [licence]);
    assert!(with("tzdata").is_empty());
    assert!(with("tzdata/**").is_empty());
}

#[test]
fn what_is_named_like_a_library_and_is_none_stays_out() {
    let paths = laid_out("libc6-dev", &[], |sink| {
        file(sink, "usr/lib/x86_64-linux-gnu/libc.so", "INPUT(libc.so.6)")
    });
    assert!(paths.is_empty(), "{paths:?}");
}

#[test]
fn two_different_files_for_one_place_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let home = camino::Utf8Path::from_path(home.path()).unwrap();
    let session = Store::open(&home.join("store")).unwrap().session().unwrap();
    let layout = Layout {
        package: "x",
        named: false,
        exclude: &[],
    };
    let mut sink = LayoutSink::new(&session, &layout);
    file(&mut sink, "lib/terminfo/x/xterm", "one");
    file(&mut sink, "usr/share/terminfo/x/xterm", "one");
    let error = sink.file("lib/terminfo/x/xterm", false, 3, &mut "two".as_bytes());
    assert!(matches!(error, Err(ArchiveError::Sink { .. })), "{error:?}");
}

#[test]
fn a_relative_target_leads_from_the_link_to_the_file() {
    assert_eq!(relative("a/b/c", "a/x"), "../x");
    assert_eq!(relative("a/b", "a/b2"), "b2");
    assert_eq!(relative("b", "a/b"), "a/b");
    assert_eq!(relative("a/b/c", "a"), "../../a");
    assert_eq!(join("usr/lib/x", "../../share/./y"), "usr/share/y");
}
