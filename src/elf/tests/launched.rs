//! The launcher of scripts.

use std::fs;
use std::process::Command;

use super::super::{ElfError, Launcher, Machine, launcher, read};
use super::{REPORT, Tree, in_root, refusal, stdout, values, write_program};

/// A tree whose `bin/python3` reports, with a launcher `bin/tool` for `libexec/scripts/tool`.
fn tree() -> Tree {
    let tree = Tree::new();
    tree.add_program("python3", REPORT, &[], |stub| stub.python = true);
    fs::create_dir_all(tree.path("libexec/scripts")).unwrap();
    fs::write(tree.path("libexec/scripts/tool"), "print()").unwrap();
    let wanted = Launcher {
        program: "python3".into(),
        scripts: Some("../libexec/scripts".into()),
    };
    write_program(
        &tree.path("bin/tool"),
        &launcher(Machine::X86_64, &wanted).unwrap(),
    );
    tree
}

#[test]
fn a_script_gets_the_interpreter_beside_it_and_the_arguments_as_they_are() {
    let mut tree = tree();
    tree.move_to("with space/and:more");
    std::os::unix::fs::symlink("with space/and:more/bin/tool", tree.outside("other-name")).unwrap();
    let bin = tree.path("bin");
    let bin = bin.to_str().unwrap();
    let tool = format!("{bin}/tool");
    for name in [tool.as_str(), tree.outside("other-name").to_str().unwrap()] {
        let report = stdout(
            Command::new(name)
                .args(["", "a b"])
                .env_clear()
                .env("X", "1"),
        );
        let script = format!("{bin}/../libexec/scripts/tool");
        assert_eq!(
            values(&report, "arg"),
            [&format!("{bin}/python3"), &script, "", "a b"]
        );
        assert_eq!(values(&report, "exe"), [format!("{bin}/python3")]);
        assert_eq!(values(&report, "env"), ["X=1"]);
    }
    tree.move_to("with space/more");
    let bin = tree.path("bin");
    let report = stdout(Command::new("tool").arg("y").env("PATH", bin));
    assert_eq!(values(&report, "arg").last(), Some(&"y"), "by PATH");
}

#[test]
fn it_needs_neither_proc_nor_shell() {
    let mut tree = tree();
    tree.move_to("root/opt");
    let root = tree.outside("root");
    fs::create_dir(root.join("bin")).unwrap();
    std::os::unix::fs::symlink("../opt/bin/tool", root.join("bin/t")).unwrap();
    for (name, python) in [
        ("/opt/bin/tool", "/opt/bin/python3"),
        ("/bin/t", "/bin/../opt/bin/python3"),
    ] {
        let Some(mut command) = in_root(&root) else {
            return;
        };
        let report = stdout(command.args([name, "x"]));
        let arguments = values(&report, "arg");
        assert_eq!((arguments[0], arguments[2]), (python, "x"));
        assert!(arguments[1].ends_with("libexec/scripts/tool"));
    }
}

#[test]
fn without_scripts_it_gives_a_program_its_own_name() {
    let tree = tree();
    let wanted = Launcher {
        program: "../bin/python3".into(),
        scripts: None,
    };
    write_program(
        &tree.path("bin/scylla-python"),
        &launcher(Machine::X86_64, &wanted).unwrap(),
    );
    let report = stdout(Command::new(tree.path("bin/scylla-python")).arg("a"));
    let program = tree.path("bin/../bin/python3");
    assert_eq!(values(&report, "arg"), [program.to_str().unwrap(), "a"]);
}

#[test]
fn a_symbolic_link_is_a_second_name_for_a_program_with_a_stub() {
    let tree = tree();
    std::os::unix::fs::symlink("python3", tree.path("bin/scylla-python")).unwrap();
    let name = tree.path("bin/scylla-python");
    let report = stdout(&mut Command::new(&name));
    assert_eq!(values(&report, "arg"), [name.to_str().unwrap()]);
    assert_eq!(
        values(&report, "exe"),
        [tree.path("bin/python3").to_str().unwrap()]
    );
}

#[test]
fn what_is_missing_is_named() {
    let tree = tree();
    fs::remove_file(tree.path("libexec/scripts/tool")).unwrap();
    let text = refusal(&mut Command::new(tree.path("bin/tool")));
    let script = tree.path("bin/../libexec/scripts/tool");
    assert!(text.contains(script.to_str().unwrap()), "{text}");
    fs::write(script, "").unwrap();
    fs::remove_file(tree.path("bin/python3")).unwrap();
    let text = refusal(&mut Command::new(tree.path("bin/tool")));
    assert!(
        text.contains("cannot run") && text.contains("bin/python3"),
        "{text}"
    );
}

#[test]
fn a_launcher_is_a_small_static_program() {
    let wanted = Launcher {
        program: "python3".into(),
        scripts: Some("../libexec/scripts/".into()),
    };
    for machine in [Machine::X86_64, Machine::Aarch64] {
        let bytes = launcher(machine, &wanted).unwrap();
        assert!(bytes.len() <= 2200, "{} bytes", bytes.len());
        let facts = read(&bytes).unwrap().unwrap();
        assert!(facts.is_static_program() && facts.machine == machine);
    }
    assert!(matches!(
        launcher(Machine::Other(243), &wanted),
        Err(ElfError::NoStubFor { .. })
    ));
    for program in ["", "/usr/bin/python3", "a\0b"] {
        let wrong = Launcher {
            program: program.into(),
            scripts: None,
        };
        assert!(matches!(
            launcher(Machine::X86_64, &wrong),
            Err(ElfError::Parameter { .. })
        ));
    }
}
