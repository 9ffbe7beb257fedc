//! Programs with the stub, run in the ways people and programs run them.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::super::PrivateVariable;
use super::{Tree, compile, in_root, is_root, refusal, stdout, values};

const PIE: &[&str] = &["-pie"];
const FIXED: &[&str] = &["-no-pie"];

#[test]
fn a_program_runs_wherever_its_folder_is_moved() {
    let long = "l".repeat(180) + "/" + &"m".repeat(180);
    for flags in [PIE, FIXED] {
        let mut tree = Tree::with_report(flags, |_| {});
        for place in [
            "a b",
            "c:d;e",
            "ünï",
            "x (deleted)",
            "quo\"te'",
            "$HOME",
            &long,
        ] {
            tree.move_to(place);
            let program = tree.path("bin/report");
            let report = stdout(Command::new(&program).args(["", "two words"]));
            let program = program.to_str().unwrap();
            assert_eq!(values(&report, "exe"), [program]);
            assert_eq!(values(&report, "arg"), [program, "", "two words"]);
            let maps = values(&report, "map");
            assert!(maps.iter().any(|m| m.ends_with("/libc.so.6")), "{report}");
            let root = tree.root.to_str().unwrap();
            assert!(
                maps.iter().all(|m| m.starts_with(root)),
                "{place}: {maps:?}"
            );
            assert!(!report.contains("damaged"), "{report}");
        }
    }
}

#[test]
fn the_environment_is_the_one_that_was_given() {
    let tree = Tree::with_report(PIE, |stub| stub.hide_host_preloads = true);
    let plain = tree.outside("report.plain");
    let run = |program| {
        let mut command = Command::new(program);
        command.env_clear().envs([
            ("A", "1"),
            ("Z", ""),
            ("LANG", "C"),
            ("LD_PRELOAD_NOT", "x"),
        ]);
        stdout(&mut command)
    };
    let (given, seen) = (run(plain), run(tree.path("bin/report")));
    assert_eq!(values(&seen, "env"), values(&given, "env"));
    let nothing = stdout(Command::new(tree.path("bin/report")).env_clear());
    assert!(values(&nothing, "env").is_empty());
}

#[test]
fn it_is_found_through_links_and_path_and_relative_names() {
    let tree = Tree::with_report(PIE, |_| {});
    let link = |name: &str, to: &str| std::os::unix::fs::symlink(to, tree.outside(name)).unwrap();
    link("one", "closure/bin/report");
    link("two", "./one");
    link("folder", "closure");
    let exe = tree.path("bin/report");
    let ran = |command: &mut Command| {
        let report = stdout(command.current_dir(tree.outside("")));
        assert_eq!(
            values(&report, "exe"),
            [exe.to_str().unwrap()],
            "{command:?}"
        );
    };
    for name in [
        "./closure/bin/report",
        "./two",
        "folder/bin/report",
        "closure/lib/../bin/report",
    ] {
        ran(&mut Command::new(name));
    }
    ran(Command::new("sh").args(["-c", "PATH=closure/bin; report"]));
    ran(Command::new(&exe).arg0("-weird"));
    ran(Command::new(&exe).arg0(""));
}

#[test]
fn nothing_of_the_host_is_needed_in_an_empty_root() {
    for flags in [PIE, FIXED] {
        let mut tree = Tree::with_report(flags, |_| {});
        tree.move_to("root/opt/with space");
        let root = tree.outside("root");
        std::os::unix::fs::symlink("/opt/with space/bin/report", root.join("absolute")).unwrap();
        std::os::unix::fs::symlink("../../absolute", root.join("opt/chained")).unwrap();
        std::os::unix::fs::symlink("opt", root.join("folder")).unwrap();
        for name in [
            "/opt/with space/bin/report",
            "/absolute",
            "/opt/chained",
            "/folder/chained",
        ] {
            let Some(mut command) = in_root(&root) else {
                return;
            };
            let report = stdout(command.arg(name).arg("x"));
            assert_eq!(values(&report, "exe"), [""], "there is no /proc");
            assert_eq!(values(&report, "arg"), [name, "x"]);
            // A child that is started by a relative name, from another folder.
            let Some(mut command) = in_root(&root) else {
                return;
            };
            let report = stdout(command.args([name, "then", "opt/../absolute", "y"]));
            assert_eq!(values(&report, "arg").last(), Some(&"y"));
        }
    }
}

/// Loads a library by name after it has gone elsewhere.
const LATE: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    if (chdir("/")) return 1;
    void *late = dlopen("liblate.so", RTLD_NOW);
    if (!late) { puts(dlerror()); return 2; }
    return ((int (*)(void))dlsym(late, "late"))();
}
"#;

#[test]
fn libraries_loaded_later_are_found_too_after_a_change_of_folder() {
    let mut tree = Tree::new();
    tree.add_program("late", LATE, &["-ldl"], |_| {});
    let deep = tree.path("lib/libdeep.so");
    compile(
        "int deep(void) { return 0; }",
        &["-shared", "-fPIC", "-Wl,-soname,libdeep.so"],
        &deep,
    );
    let deep = deep.to_str().unwrap();
    let source = "int deep(void); int late(void) { return deep(); }";
    compile(
        source,
        &["-shared", "-fPIC", deep],
        &tree.path("lib/liblate.so"),
    );
    stdout(&mut Command::new(tree.path("bin/late")));
    stdout(Command::new("bin/late").current_dir(&tree.root));
    tree.move_to("root/opt/x");
    let Some(mut command) = in_root(&tree.outside("root")) else {
        return;
    };
    stdout(command.arg("opt/x/bin/late"));
}

/// Starts a program with a block that a shell cannot make.
const STARTER: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char *twice[] = {"LD_PRELOAD=/one", "A=1", "LD_LIBRARY_PATH=", "LD_PRELOAD=/two", "A=2",
                     "LD_AUDIT=/three", "\001D_PRELOAD=mine", "LD_PRELOADED=x", NULL};
    char *words[] = {"foo", "bar", NULL}, *none[] = {NULL};
    if (!strcmp(argv[1], "descriptor")) fexecve(open(argv[2], O_RDONLY), words, none);
    if (!strcmp(argv[1], "twice")) execve(argv[2], words, twice);
    if (!strcmp(argv[1], "empty")) execve(argv[2], none, none);
    perror(argv[2]);
    return 1;
}
"#;

fn starter(tree: &Tree) -> std::path::PathBuf {
    let starter = tree.outside("starter");
    compile(STARTER, &[], &starter);
    starter
}

#[test]
fn a_descriptor_or_an_empty_argument_list_starts_it_too() {
    for python in [false, true] {
        let tree = Tree::with_report(PIE, |stub| stub.python = python);
        let program = tree.path("bin/report");
        let report = stdout(Command::new(starter(&tree)).arg("descriptor").arg(&program));
        let first = if python {
            program.to_str().unwrap()
        } else {
            "foo"
        };
        assert_eq!(values(&report, "arg"), [first, "bar"]);
        stdout(Command::new(starter(&tree)).arg("empty").arg(&program));
    }
}

#[test]
fn variables_of_the_hosts_loader_are_hidden_from_ours_and_given_back() {
    let tree = Tree::with_report(PIE, |stub| stub.hide_host_preloads = true);
    let hostile = tree.outside("hostile.so");
    let source = "int gone(void); __attribute__((constructor)) void f(void) { gone(); }";
    compile(source, &["-shared", "-fPIC", "-Wl,-z,now"], &hostile);
    let plain = Command::new(tree.outside("report.plain"))
        .env("LD_PRELOAD", &hostile)
        .output();
    assert!(!plain.unwrap().status.success(), "the library is hostile");

    let mut command = Command::new(tree.path("bin/report"));
    command
        .env_clear()
        .env("LD_PRELOAD", &hostile)
        .env("LD_LIBRARY_PATH", tree.outside(""));
    let report = stdout(&mut command);
    let preload = format!("LD_PRELOAD={}", hostile.display());
    assert!(
        values(&report, "env").contains(&preload.as_str()),
        "{report}"
    );
    assert!(
        values(&report, "map")
            .iter()
            .all(|m| !m.contains("hostile")),
        "{report}"
    );

    let report = stdout(
        Command::new(starter(&tree))
            .arg("twice")
            .arg(tree.path("bin/report")),
    );
    let given = [
        "LD_PRELOAD=/one",
        "A=1",
        "LD_LIBRARY_PATH=",
        "LD_PRELOAD=/two",
        "A=2",
        "LD_AUDIT=/three",
        "\u{1}D_PRELOAD=mine",
        "LD_PRELOADED=x",
    ];
    assert_eq!(values(&report, "env"), given);
}

#[test]
fn the_rpath_beats_ld_library_path() {
    let tree = Tree::with_report(PIE, |_| {});
    let other = tree.outside("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("libc.so.6"), "not a library").unwrap();
    stdout(Command::new(tree.path("bin/report")).env("LD_LIBRARY_PATH", &other));
}

#[test]
fn private_variables_are_set_only_where_the_host_has_nothing() {
    let variable = |name: &str, unless: &[&str]| PrivateVariable {
        name: name.into(),
        path: format!("../share/{name}"),
        unless: unless.iter().map(|s| (*s).to_owned()).collect(),
    };
    let all = [
        variable("BARE", &["/none", "/no/such"]),
        variable("RICH", &["/none", "/"]),
        variable("ALSO", &["/none"]),
        variable("THIRD", &[]),
    ];
    for count in 0..=4 {
        let tree = Tree::with_report(PIE, |stub| stub.private = all[..count].to_vec());
        let mut command = Command::new(tree.path("bin/report"));
        let report = stdout(command.env_clear().envs([("A", "1"), ("B", "2")]));
        let bin = tree.path("bin");
        let set = |name: &str| format!("{name}={}/../share/{name}", bin.display());
        let mut expected = vec!["A=1".to_owned(), "B=2".to_owned()];
        let names = all[..count]
            .iter()
            .map(|v| v.name.as_str())
            .filter(|name| *name != "RICH");
        expected.extend(names.map(set));
        assert_eq!(values(&report, "env"), expected);
        assert!(!report.contains("damaged"), "{report}");

        // What an outer closure has left is replaced in its place, or emptied.
        let stale = [("BARE", "old"), ("BARE2", "kept"), ("RICH", "old")];
        let report = stdout(
            Command::new(tree.path("bin/report"))
                .env_clear()
                .envs(stale),
        );
        let first = if count > 0 {
            set("BARE")
        } else {
            "BARE=old".into()
        };
        let rich = if count > 1 { "RICH=" } else { "RICH=old" };
        assert_eq!(values(&report, "env")[..3], [&first, "BARE2=kept", rich]);
    }
}

#[test]
fn the_name_leads_to_the_program_where_that_is_asked_for() {
    let tree = Tree::with_report(PIE, |stub| stub.python = true);
    let exe = tree.path("bin/report");
    let link = tree.outside("link");
    std::os::unix::fs::symlink(&exe, &link).unwrap();
    let (exe, link) = (exe.to_str().unwrap(), link.to_str().unwrap());
    let name = |program: &str, arg0: &str| {
        let report = stdout(Command::new(program).arg0(arg0));
        values(&report, "arg")[0].to_owned()
    };
    for wrong in ["weird", "", "/dev/null", "./gone/x", "/bin/sh"] {
        assert_eq!(name(exe, wrong), exe, "{wrong}");
        assert_eq!(
            name(link, wrong),
            link,
            "{wrong}: as a virtual environment wants it"
        );
    }
    for right in [exe, link] {
        assert_eq!(name(exe, right), right);
        assert_eq!(name(link, right), right);
    }
}

#[test]
fn the_loader_as_a_command_does_not_start_over() {
    for flags in [PIE, FIXED] {
        let tree = Tree::with_report(flags, |_| {});
        let mut command = Command::new(tree.path("lib/ld-linux-x86-64.so.2"));
        let report = stdout(command.arg(tree.path("bin/report")).arg("x"));
        assert_eq!(values(&report, "arg").last(), Some(&"x"));
        let listed =
            stdout(Command::new(tree.path("bin/report")).env("LD_TRACE_LOADED_OBJECTS", "1"));
        assert!(listed.contains("libc.so.6 => "), "{listed}");
    }
}

#[test]
fn raised_privileges_are_refused() {
    if !is_root() {
        return eprintln!("skipped: only root can make a set-user-ID program of another user");
    }
    let tree = Tree::with_report(PIE, |_| {});
    let program = tree.path("bin/report");
    std::os::unix::fs::chown(&program, Some(65534), None).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    fs::set_permissions(&program, mode).unwrap();
    let text = refusal(&mut Command::new(&program));
    assert!(
        text.contains("set-user-ID") && text.contains("bin/report"),
        "{text}"
    );
}

#[test]
fn a_copy_outside_its_folder_says_what_is_missing() {
    let tree = Tree::with_report(PIE, |_| {});
    fs::create_dir(tree.outside("elsewhere")).unwrap();
    let hard = tree.outside("elsewhere/hard");
    fs::hard_link(tree.path("bin/report"), &hard).unwrap();
    let text = refusal(&mut Command::new(&hard));
    let wanted = tree.outside("elsewhere/../lib/ld-linux-x86-64.so.2");
    assert!(
        text.contains(wanted.to_str().unwrap()) && text.contains("link to it"),
        "{text}"
    );

    fs::write(tree.path("lib/ld-linux-x86-64.so.2"), "not a loader").unwrap();
    let text = refusal(&mut Command::new(tree.path("bin/report")));
    assert!(
        text.contains("cannot map its loader") && text.contains("damaged"),
        "{text}"
    );
}
