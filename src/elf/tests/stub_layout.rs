//! What the file looks like afterwards, and which files are refused.

use std::fs;
use std::process::Command;

use super::super::{ElfError, EntryStub, embed, read};
use super::{REPORT, Tree, compile, in_root, stdout, write_program};

const PIE: &[&str] = &["-pie"];
const FIXED: &[&str] = &["-no-pie"];

#[test]
fn what_cannot_be_done_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, flags: &[&str]| {
        compile(REPORT, flags, &folder.path().join(name));
        fs::read(folder.path().join(name)).unwrap()
    };
    let stub = EntryStub::of("bin", "lib", crate::platform::Platform::X86_64);
    let program = made("program", &[]);
    let done = embed(&program, &stub).unwrap();
    assert_eq!(embed(&done, &stub), Err(ElfError::AlreadyEmbedded));
    assert_eq!(embed(b"#!/bin/sh\n", &stub), Err(ElfError::NotElf));
    assert_eq!(
        embed(&made("static", &["-static"]), &stub),
        Err(ElfError::NoLoader)
    );
    let library = made("library", &["-shared", "-fPIC", "-Wl,-soname,libx.so"]);
    assert!(embed(&library, &stub).is_err());
    let with_payload = [program.as_slice(), b"an appended archive"].concat();
    assert_eq!(
        embed(&with_payload, &stub),
        Err(ElfError::Payload { bytes: 19 })
    );
    let start = |program: &str, library_path: &str| EntryStub {
        fixed: Some(crate::elf::FixedStart {
            program: program.into(),
            library_path: library_path.into(),
        }),
        ..stub.clone()
    };
    assert!(embed(&program, &start("/opt/x/bin/a", "/opt/x/lib:/opt/x/libs")).is_ok());
    for relative in [start("bin/a", "/opt/x/lib"), start("/a", "/lib:$ORIGIN")] {
        let refused = embed(&program, &relative);
        assert!(matches!(refused, Err(ElfError::Parameter { .. })));
    }
    let nul = EntryStub {
        loader: "a\0b".into(),
        ..stub
    };
    assert!(matches!(
        embed(&program, &nul),
        Err(ElfError::Parameter { .. })
    ));
}

#[test]
fn a_full_dynamic_section_gives_up_its_count_of_relocations_or_is_refused() {
    let tree = Tree::new();
    let plain = tree.outside("plain");
    compile(REPORT, PIE, &plain);
    let mut full = fs::read(plain).unwrap();
    let table = super::super::image::segments(&full).unwrap();
    let table = table.iter().find(|s| s.kind == 2).unwrap();
    let entries = table.file_size as usize / 16;
    let at = |i: usize| table.offset as usize + 16 * i;
    let tag =
        |bytes: &[u8], i: usize| u64::from_le_bytes(bytes[at(i)..at(i) + 8].try_into().unwrap());
    let used = (0..entries).find(|i| tag(&full, *i) == 0).unwrap();
    for i in used..entries - 1 {
        full[at(i)..at(i) + 8].copy_from_slice(&0x6000_000e_u64.to_le_bytes()); // one nobody knows
    }
    let stub = EntryStub::of("bin", "lib", crate::platform::Platform::X86_64);
    write_program(&tree.path("bin/report"), &embed(&full, &stub).unwrap());
    stdout(&mut Command::new(tree.path("bin/report")));

    let count = (0..entries)
        .find(|i| tag(&full, *i) == 0x6fff_fff9)
        .unwrap();
    full[at(count)..at(count) + 8].copy_from_slice(&0x6000_000e_u64.to_le_bytes());
    assert!(matches!(embed(&full, &stub), Err(ElfError::Layout { .. })));
}

#[test]
fn search_paths_of_its_own_are_kept_where_they_move_along() {
    let mut tree = Tree::new();
    let own = tree.path("own");
    fs::create_dir(&own).unwrap();
    let library = own.join("libown.so");
    compile(
        "int own(void) { return 0; }",
        &["-shared", "-fPIC", "-Wl,-soname,libown.so"],
        &library,
    );
    let source = "int own(void); int main(void) { return own(); }";
    for tags in ["--enable-new-dtags", "--disable-new-dtags"] {
        let path = format!("-Wl,{tags},-rpath,/usr/lib:$ORIGIN/../own");
        tree.add_program("owner", source, &[library.to_str().unwrap(), &path], |_| {});
        let facts = read(&fs::read(tree.path("bin/owner")).unwrap())
            .unwrap()
            .unwrap();
        assert_eq!(
            facts.rpath.as_deref(),
            Some("$ORIGIN/../own:$ORIGIN/../lib")
        );
        assert_eq!(facts.runpath, None);
        stdout(&mut Command::new(tree.path("bin/owner")));
    }
    tree.move_to("root/x");
    let Some(mut command) = in_root(&tree.outside("root")) else {
        return;
    };
    stdout(command.arg("/x/bin/owner"));
}

#[test]
fn readelf_finds_nothing_odd_and_a_later_strip_does_no_harm() {
    for flags in [PIE, FIXED] {
        let tree = Tree::with_report(flags, |_| {});
        let program = tree.path("bin/report");
        let Ok(output) = Command::new("readelf").arg("-aW").arg(&program).output() else {
            return eprintln!("skipped: no readelf");
        };
        assert_eq!(super::text(&output.stderr), "");
        assert!(super::text(&output.stdout).contains(".recipe.stub"));
        stdout(Command::new("strip").arg(&program));
        stdout(&mut Command::new(&program));
        assert!(
            read(&fs::read(&program).unwrap())
                .unwrap()
                .unwrap()
                .entry_stub
        );
    }
}
