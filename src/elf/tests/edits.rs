//! Edits in place.

use std::fs;
use std::process::Command;

use super::super::{
    ElfError, drop_foreign_search_path, read, replace_c_string, replace_same_length,
    replace_strings, runpath_to_rpath,
};
use super::{REPORT, compile, stdout};

#[test]
fn every_hit_is_replaced_and_counted() {
    let mut bytes = b"aXbb__aXbb_aXb".to_vec();
    assert_eq!(replace_same_length(&mut bytes, b"aXbb", b"1234"), Ok(2));
    assert_eq!(bytes, b"1234__1234_aXb");
    assert_eq!(replace_same_length(&mut bytes, b"none", b"0000"), Ok(0));
}

#[test]
fn hits_do_not_overlap_and_replacements_are_not_searched_again() {
    let mut bytes = b"aaaaa".to_vec();
    assert_eq!(replace_same_length(&mut bytes, b"aa", b"xa"), Ok(2));
    assert_eq!(bytes, b"xaxaa");
}

#[test]
fn other_lengths_are_refused() {
    let mut bytes = b"abc".to_vec();
    let refused = replace_same_length(&mut bytes, b"ab", b"abc");
    assert!(matches!(
        refused,
        Err(ElfError::Length {
            from_length: 2,
            to_length: 3,
            ..
        })
    ));
    assert!(replace_same_length(&mut bytes, b"", b"").is_err());
    assert!(replace_strings(&mut bytes, &["a", "bc"], &["ab", "c"]).is_err());
    assert!(replace_c_string(&mut bytes, "a", "bc").is_err());
    assert_eq!(bytes, b"abc");
}

#[test]
fn a_run_of_strings_is_replaced_as_a_whole() {
    let mut bytes = b"\0/lib/\0/usr/lib/\0/lib/\0".to_vec();
    let hits = replace_strings(&mut bytes, &["/lib/", "/usr/lib/"], &["/nil/", "/usr/nil/"]);
    assert_eq!(hits, Ok(1));
    assert_eq!(bytes, b"\0/nil/\0/usr/nil/\0/lib/\0");
}

#[test]
fn a_whole_string_may_become_shorter() {
    let mut bytes = b"\0TZDIR\0TZDIR\0xTZDIR\0TZDIR2\0".to_vec();
    assert_eq!(replace_c_string(&mut bytes, "TZDIR", "TZ"), Ok(2));
    assert_eq!(bytes, b"\0TZ\0\0\0\0TZ\0\0\0\0xTZDIR\0TZDIR2\0");
}

#[test]
fn folders_of_another_machine_go_out_of_a_search_path_and_the_program_still_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("program");
    for (flag, tags) in [
        ("--enable-new-dtags", "new"),
        ("--disable-new-dtags", "old"),
    ] {
        for (path, wanted) in [
            ("/opt/_internal/lib", None),
            ("/opt/lib:$ORIGIN/../x:", Some("$ORIGIN/../x")),
            ("$ORIGIN/a::lib:$ORIGIN", Some("$ORIGIN/a:$ORIGIN")),
            ("${ORIGIN}/a:/b", Some("${ORIGIN}/a")),
        ] {
            compile(REPORT, &[&format!("-Wl,{flag},-rpath,{path}")], &file);
            let mut bytes = fs::read(&file).unwrap();
            assert_eq!(drop_foreign_search_path(&mut bytes), Ok(true), "{path}");
            let facts = read(&bytes).unwrap().unwrap();
            let (found, other) = match tags {
                "new" => (facts.runpath, facts.rpath),
                _ => (facts.rpath, facts.runpath),
            };
            assert_eq!((found.as_deref(), other), (wanted, None), "{path}");
            fs::write(&file, &bytes).unwrap();
            stdout(&mut Command::new(&file));
            assert_eq!(drop_foreign_search_path(&mut bytes), Ok(false), "{path}");
        }
    }
}

#[test]
fn a_runpath_becomes_an_rpath_and_the_program_still_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("program");
    compile(REPORT, &["-Wl,--enable-new-dtags,-rpath,$ORIGIN/x"], &file);
    let mut bytes = fs::read(&file).unwrap();
    assert_eq!(runpath_to_rpath(&mut bytes), Ok(true));
    let facts = read(&bytes).unwrap().unwrap();
    assert_eq!(
        (facts.rpath.as_deref(), facts.runpath),
        (Some("$ORIGIN/x"), None)
    );
    fs::write(&file, &bytes).unwrap();
    stdout(&mut Command::new(&file));
    assert_eq!(runpath_to_rpath(&mut bytes), Ok(false));
}
