//! The stub and the launcher of a processor that this machine does not have: compiled for it and run
//! by an emulator, on kernels with small and with large pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{REPORT, Tree, compile_with, refusal, stdout, values, write_program};
use crate::elf::{EntryStub, Launcher, Machine, PrivateVariable, embed, launcher, read};
use crate::platform::Platform;

const COMPILER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64-static";
/// Where Debian's cross compiler has the C library that it links.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu/lib";

/// A tree with the loader and libc of the cross compiler; `None`, with the reason, without one.
fn tree() -> Option<Tree> {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    for program in [COMPILER, EMULATOR] {
        if !there(program) {
            eprintln!("skipped: no {program} (Debian: gcc-aarch64-linux-gnu, qemu-user-static)");
            return None;
        }
    }
    let tree = Tree::empty();
    for name in [Platform::Aarch64.loader(), "libc.so.6"] {
        let from = Path::new(LIBRARIES).join(name);
        if let Err(error) = fs::copy(&from, tree.path("lib").join(name)) {
            eprintln!("skipped: {}: {error}", from.display());
            return None;
        }
    }
    Some(tree)
}

fn add(tree: &Tree, name: &str, flags: &[&str], stub: &EntryStub) {
    let plain = tree.outside(&format!("{name}.plain"));
    compile_with(COMPILER, REPORT, flags, &plain);
    let bytes = embed(&fs::read(plain).unwrap(), stub).unwrap();
    write_program(&tree.path(&format!("bin/{name}")), &bytes);
}

fn stub() -> EntryStub {
    EntryStub {
        python: true,
        hide_host_preloads: true,
        private: vec![PrivateVariable {
            name: "RECIPE_TEST".into(),
            path: "../share/test".into(),
            unless: vec!["/no/such/folder".into()],
        }],
        ..EntryStub::of("bin", "lib", Platform::Aarch64)
    }
}

fn emulated(program: &PathBuf, page: &str) -> Command {
    let mut command = Command::new(EMULATOR);
    command.args(["-p", page]).arg(program);
    command
}

#[test]
fn a_program_for_aarch64_finds_its_libraries_wherever_it_is_moved() {
    let Some(mut tree) = tree() else { return };
    for (name, flags) in [
        ("fixed", &["-no-pie"][..]),
        ("moves", &["-pie", "-fPIE"][..]),
        (
            "guarded",
            &["-pie", "-fPIE", "-mbranch-protection=standard"],
        ),
        (
            "small-pages",
            &["-pie", "-fPIE", "-Wl,-z,max-page-size=4096"],
        ),
    ] {
        add(&tree, name, flags, &stub());
        for (place, page) in [
            ("a place", "4096"),
            ("other/Ä", "16384"),
            ("third", "65536"),
        ] {
            if (name, page) == ("small-pages", "65536") || (name, page) == ("small-pages", "16384")
            {
                continue; // Linked for small pages: no kernel with large ones runs it, stub or not.
            }
            tree.move_to(place);
            let program = tree.path(&format!("bin/{name}"));
            let mut command = emulated(&program, page);
            command
                .env_clear()
                .env("LD_LIBRARY_PATH", "/none")
                .env("X", "1");
            let report = stdout(command.args(["one", "two words"]));
            assert!(!report.contains("damaged"), "{name} {page}: {report}");
            assert_eq!(
                values(&report, "arg")[1..],
                ["one", "two words"],
                "{name} {page}"
            );
            let library = tree.path("bin/../share/test");
            let variable = format!("RECIPE_TEST={}", library.display());
            let mut environment = values(&report, "env");
            environment.sort_unstable();
            assert_eq!(
                environment,
                ["LD_LIBRARY_PATH=/none", &*variable, "X=1"],
                "{name}"
            );
            let maps = values(&report, "map");
            let root = tree.root.to_str().unwrap();
            assert!(
                maps.iter().any(|path| path.ends_with("libc.so.6")),
                "{maps:?}"
            );
            assert!(maps.iter().all(|path| path.starts_with(root)), "{maps:?}");
        }
    }
}

#[test]
fn the_segment_of_the_stub_shares_no_page_with_another_even_of_64_kb() {
    let Some(tree) = tree() else { return };
    add(&tree, "report", &["-pie", "-fPIE"], &stub());
    let bytes = fs::read(tree.path("bin/report")).unwrap();
    assert!(read(&bytes).unwrap().unwrap().entry_stub);
    let segments = crate::elf::image::segments(&bytes).unwrap();
    let loads: Vec<_> = segments.iter().filter(|s| s.kind == 1).collect();
    for segment in &loads {
        assert_eq!(segment.align, 0x1_0000);
        assert_eq!(
            segment.offset % segment.align,
            segment.address % segment.align
        );
    }
    for pair in loads.windows(2) {
        let end = pair[0].end().unwrap().next_multiple_of(0x1_0000);
        assert!(end <= pair[1].address & !0xffff, "{pair:?}");
    }
}

#[test]
fn a_launcher_for_aarch64_finds_its_program_and_script_beside_it() {
    let Some(tree) = tree() else { return };
    let wanted = Launcher {
        program: "python3".into(),
        scripts: Some("../libexec/scripts".into()),
    };
    let bytes = launcher(Machine::Aarch64, &wanted).unwrap();
    write_program(&tree.path("bin/tool"), &bytes);
    let script = tree.path("bin/../libexec/scripts/tool");
    for page in ["4096", "65536"] {
        fs::remove_dir_all(tree.path("libexec")).ok();
        let text = refusal(&mut emulated(&tree.path("bin/tool"), page));
        assert!(text.contains(script.to_str().unwrap()), "{text}");
        fs::create_dir_all(script.parent().unwrap()).unwrap();
        fs::create_dir_all(tree.path("libexec/scripts")).unwrap();
        fs::write(tree.path("libexec/scripts/tool"), "").unwrap();
        let text = refusal(&mut emulated(&tree.path("bin/tool"), page));
        let program = tree.path("bin/python3");
        assert!(
            text.contains(&format!("cannot run {}", program.display())),
            "{text}"
        );
    }
}
