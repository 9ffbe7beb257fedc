//! Walks over what files need.

use std::collections::BTreeMap;

use super::super::{Facts, Kind, is_glibc_soname, needs, needs_in_tree, read};

/// A library that is called `soname` and needs these.
fn library(soname: &str, needed: &[&str]) -> Facts {
    let own = read(&std::fs::read("/proc/self/exe").unwrap())
        .unwrap()
        .unwrap();
    Facts {
        kind: Kind::Shared,
        interpreter: None,
        soname: (!soname.is_empty()).then(|| soname.to_owned()),
        needed: needed.iter().map(|s| (*s).to_owned()).collect(),
        rpath: None,
        runpath: None,
        versions_needed: BTreeMap::new(),
        versions_defined: Vec::new(),
        ..own
    }
}

fn program(rpath: &str, needed: &[&str]) -> Facts {
    Facts {
        interpreter: Some("/lib64/ld".into()),
        rpath: Some(rpath.into()),
        ..library("", needed)
    }
}

fn files<const N: usize>(list: [(&str, Facts); N]) -> BTreeMap<String, Facts> {
    list.map(|(name, facts)| (name.to_owned(), facts)).into()
}

fn missing(answer: &super::super::Answer) -> Vec<(&str, &str, Option<&str>)> {
    let list = answer.missing.iter();
    list.map(|m| (m.file.as_str(), m.soname.as_str(), m.version.as_deref()))
        .collect()
}

#[test]
fn only_what_is_needed_is_reached_and_cycles_end() {
    let providers = files([
        ("a.so", library("a.so", &["b.so"])),
        ("b.so", library("b.so", &["a.so", "c.so"])),
        ("idle.so", library("idle.so", &["gone.so"])),
    ]);
    let root = program("", &["a.so"]);
    let answer = needs(&providers, [("python", &root)]);
    assert_eq!(answer.reached.iter().collect::<Vec<_>>(), ["a.so", "b.so"]);
    assert_eq!(missing(&answer), [("b.so", "c.so", None)]);
}

#[test]
fn a_library_that_lacks_a_version_is_missing_it() {
    let mut new = library("x.so", &["libc.so.6"]);
    new.versions_needed.insert(
        "libc.so.6".into(),
        vec!["GLIBC_2.34".into(), "GLIBC_2.99".into()],
    );
    let mut libc = library("libc.so.6", &[]);
    libc.versions_defined = vec!["GLIBC_2.34".into()];
    let providers = files([("libc.so.6", libc)]);
    let answer = needs(&providers, [("x", &new)]);
    assert_eq!(missing(&answer), [("x", "libc.so.6", Some("GLIBC_2.99"))]);
}

#[test]
fn libraries_of_a_wheel_serve_that_wheel_only() {
    let tree = |user: &str| {
        let wheel = Facts {
            rpath: Some("$ORIGIN/../w.libs".into()),
            ..library("", &["libhidden.so", "libz.so.1"])
        };
        let files = files([
            ("site/w/ext.so", wheel),
            (
                "site/w.libs/libhidden.so",
                library("libhidden.so", &["libsibling.so"]),
            ),
            ("site/w.libs/libsibling.so", library("libsibling.so", &[])),
            ("site/other/ext.so", library("", &["libhidden.so"])),
            ("lib/libz.so.1", library("libz.so.1", &[])),
        ]);
        needs_in_tree(&files, &["lib"], [user])
    };
    let own = tree("site/w/ext.so");
    assert_eq!(missing(&own), []);
    assert!(
        own.reached.contains("site/w.libs/libsibling.so"),
        "the search path is inherited"
    );
    assert!(own.reached.contains("lib/libz.so.1"));
    assert_eq!(
        missing(&tree("site/other/ext.so")),
        [("site/other/ext.so", "libhidden.so", None)]
    );
}

#[test]
fn a_library_that_only_its_loader_can_serve_lacks_nothing() {
    let tree = |rpath: &str| {
        let extension = Facts {
            rpath: Some(rpath.into()),
            ..library("", &["libmiddle.so"])
        };
        let files = files([
            ("site/w/ext.so", extension),
            (
                "site/w.libs/libmiddle.so",
                library("libmiddle.so", &["libend.so"]),
            ),
            ("site/w.libs/libend.so", library("libend.so", &[])),
        ]);
        needs_in_tree(&files, &["lib"], files.keys().map(String::as_str))
    };
    assert_eq!(missing(&tree("$ORIGIN/../w.libs")), []);
    let nobody = tree("$ORIGIN");
    assert_eq!(
        missing(&nobody),
        [
            ("site/w.libs/libmiddle.so", "libend.so", None),
            ("site/w/ext.so", "libmiddle.so", None)
        ]
    );
}

#[test]
fn a_runpath_is_not_inherited_and_hides_the_rpath() {
    let run = Facts {
        runpath: Some("$ORIGIN".into()),
        ..library("a.so", &["b.so"])
    };
    let files = files([
        ("bin/p", program("$ORIGIN/../lib", &["a.so"])),
        ("lib/a.so", run),
        ("lib/b.so", library("b.so", &["d.so"])),
        ("else/d.so", library("d.so", &[])),
    ]);
    let answer = needs_in_tree(&files, &["lib"], ["bin/p"]);
    assert_eq!(missing(&answer), [("lib/b.so", "d.so", None)]);
}

#[test]
fn search_paths_outside_the_tree_lead_nowhere() {
    let files = files([
        (
            "bin/p",
            program(
                "/usr/lib:$ORIGIN/../../lib:$ORIGIN/../lib/../../x",
                &["a.so"],
            ),
        ),
        ("lib/a.so", library("a.so", &[])),
    ]);
    assert_eq!(
        missing(&needs_in_tree(&files, &["lib"], ["bin/p"])),
        [("bin/p", "a.so", None)]
    );
}

#[test]
fn what_belongs_to_glibc_is_known_by_name() {
    for name in [
        "libc.so.6",
        "ld-linux-x86-64.so.2",
        "libutil.so.1",
        "libnss_dns.so.2",
    ] {
        assert!(is_glibc_soname(name), "{name}");
    }
    for name in ["libcrypt.so.1", "libstdc++.so.6", "libc.so", ""] {
        assert!(!is_glibc_soname(name), "{name}");
    }
}
