//! What `read` says about real files.

use std::fs;
use std::process::Command;

use super::super::{Isa, Kind, Machine, read};
use super::{REPORT, compile, text};

fn facts_of(source: &str, flags: &[&str]) -> super::super::Facts {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    compile(source, flags, &file);
    read(&fs::read(file).unwrap()).unwrap().unwrap()
}

#[test]
fn a_program_names_its_loader_and_the_versions_it_wants() {
    let facts = facts_of(REPORT, &[]);
    assert!(facts.is_executable_program() && !facts.is_static_program());
    assert_eq!(facts.kind, Kind::Shared);
    assert!(facts.interpreter.unwrap().contains("ld-linux"));
    assert_eq!(facts.needed, ["libc.so.6"]);
    let versions = &facts.versions_needed["libc.so.6"];
    assert!(
        versions.iter().all(|v| v.starts_with("GLIBC_")),
        "{versions:?}"
    );
}

#[test]
fn a_program_at_a_fixed_address_is_a_program() {
    let facts = facts_of(REPORT, &["-no-pie"]);
    assert_eq!(facts.kind, Kind::Program);
    assert!(facts.is_executable_program());
}

#[test]
fn static_programs_need_nothing() {
    for flags in [["-static"], ["-static-pie"]] {
        let facts = facts_of(REPORT, &flags);
        assert!(
            facts.is_static_program() && !facts.is_executable_program(),
            "{flags:?}"
        );
    }
}

#[test]
fn a_library_with_a_loader_is_still_a_library() {
    let source = "const char i[] __attribute__((section(\".interp\"))) = \"/lib64/ld-linux-x86-64.so.2\"; int f(void) { return 1; }";
    for soname in ["-Wl,-soname,libx.so.1", "-O1"] {
        let facts = facts_of(source, &["-shared", "-fPIC", soname]);
        assert!(facts.interpreter.is_some(), "the test file has PT_INTERP");
        assert!(!facts.is_executable_program(), "{soname}");
    }
}

#[test]
fn search_paths_are_told_apart() {
    let rpath = facts_of(REPORT, &["-Wl,--disable-new-dtags,-rpath,$ORIGIN/a"]);
    assert_eq!(
        (rpath.rpath.as_deref(), rpath.runpath),
        (Some("$ORIGIN/a"), None)
    );
    let runpath = facts_of(REPORT, &["-Wl,--enable-new-dtags,-rpath,$ORIGIN/a"]);
    assert_eq!(
        (runpath.rpath, runpath.runpath.as_deref()),
        (None, Some("$ORIGIN/a"))
    );
}

#[test]
fn the_processor_level_and_the_stack_are_told() {
    let plain = facts_of(REPORT, &[]);
    assert!(!plain.executable_stack && plain.isa.is_none_or(|isa| isa == Isa::Baseline));
    let high = facts_of(REPORT, &["-Wl,-z,x86-64-v3", "-Wl,-z,execstack"]);
    assert!(high.executable_stack);
    assert_eq!(high.isa, Some(Isa::V3));
}

#[test]
fn a_note_names_the_oldest_kernel() {
    assert_eq!(facts_of(REPORT, &[]).minimum_kernel.map(|v| v.0), Some(3));
}

#[test]
fn versions_are_compared_as_numbers() {
    let mut facts = facts_of(REPORT, &[]);
    let names = ["GLIBC_2.4", "GLIBC_2.34", "GLIBC_PRIVATE", "CXXABI_9.9"];
    facts
        .versions_needed
        .insert("x".into(), names.map(str::to_owned).into());
    assert_eq!(facts.newest_version("GLIBC_"), Some((2, 34)));
    assert_eq!(facts.newest_version("CXXABI_"), Some((9, 9)));
}

#[test]
fn what_is_not_an_elf_file_has_no_facts() {
    for bytes in [&b""[..], b"\x7fEL", b"#!/bin/sh\n", b"!<arch>\n"] {
        assert_eq!(read(bytes), Ok(None));
    }
}

#[test]
fn bytes_at_an_odd_address_read_the_same() {
    let exe = fs::read("/proc/self/exe").unwrap();
    let mut shifted = vec![0];
    shifted.extend(&exe);
    assert_eq!(read(&shifted[1..]).unwrap(), read(&exe).unwrap());
}

#[test]
fn facts_agree_with_readelf_on_the_libraries_of_this_machine() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let files: std::collections::BTreeSet<&str> = maps
        .lines()
        .filter_map(|l| l.split_whitespace().nth(5))
        .filter(|p| p.starts_with('/'))
        .collect();
    assert!(files.len() > 2);
    for file in files {
        let facts = read(&fs::read(file).unwrap()).unwrap().unwrap();
        let output = match Command::new("readelf")
            .args(["-dVW", file])
            .env("LC_ALL", "C")
            .output()
        {
            Ok(output) => text(&output.stdout),
            Err(error) => return eprintln!("skipped: no readelf: {error}"),
        };
        let quoted = |key: &str| -> Vec<String> {
            let lines = output.lines().filter(|l| l.contains(key));
            lines
                .filter_map(|l| Some(l.split_once('[')?.1.split_once(']')?.0.to_owned()))
                .collect()
        };
        assert_eq!(facts.machine, Machine::X86_64);
        assert_eq!(facts.needed, quoted("(NEEDED)"), "{file}");
        assert_eq!(
            facts.soname.into_iter().collect::<Vec<_>>(),
            quoted("(SONAME)"),
            "{file}"
        );
        let versions = facts
            .versions_needed
            .values()
            .flatten()
            .chain(&facts.versions_defined);
        for version in versions {
            assert!(
                output.contains(&format!("Name: {version}")),
                "{file}: {version}"
            );
        }
        let wanted = output.split("Version needs section").nth(1).unwrap_or("");
        let count = wanted.lines().filter(|l| l.contains("Flags: ")).count();
        assert_eq!(
            facts.versions_needed.values().map(Vec::len).sum::<usize>(),
            count,
            "{file}"
        );
    }
}
