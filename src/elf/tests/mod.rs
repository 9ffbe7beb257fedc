//! Facts about this room, proved on programs that the machine's C compiler makes. Begin at [`Tree`].
#![allow(clippy::unwrap_used)]

mod debs;
mod edits;
mod foreign;
mod hostile;
mod launched;
mod reading;
mod stub_bytes;
mod stub_layout;
mod stub_runs;
mod walks;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{EntryStub, embed};

/// Tells how it was started: its own path, arguments, environment, and every library it maps.
const REPORT: &str = r#"
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>
int main(int argc, char **argv, char **environment) {
    char exe[8192], line[16384];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe);
    printf("exe=%.*s\n", n < 0 ? 0 : (int)n, exe);
    for (int i = 0; i < argc; i++) printf("arg=%s\n", argv[i]);
    for (char **e = environment; *e; e++) printf("env=%s\n", *e);
    if (!getauxval(AT_RANDOM) || !getauxval(AT_PAGESZ) || ((uintptr_t)__builtin_frame_address(0) & 15))
        puts("the start-up block is damaged");
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        char *path = strchr(line, '/');
        if (path && strstr(path, ".so")) printf("map=%s", path);
    }
    fflush(stdout);
    if (argc > 2 && !strcmp(argv[1], "then")) execve(argv[2], argv + 2, environment);
    return 0;
}
"#;

/// A folder with `bin` and `lib`, laid out as a closure is. Goes away when dropped.
struct Tree {
    temporary: tempfile::TempDir,
    /// Where it is now; tests move it.
    root: PathBuf,
}

impl Tree {
    /// With nothing in its folders.
    fn empty() -> Tree {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap().join("closure");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("lib")).unwrap();
        Tree { temporary, root }
    }

    /// With the loader and the libc of this machine in `lib`, and no program yet.
    fn new() -> Tree {
        let tree = Tree::empty();
        let root = &tree.root;
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let path = |name: &str| {
            let line = maps.lines().find(|l| l.contains('/') && l.ends_with(name));
            let line = line.unwrap_or_else(|| panic!("this test is not linked to {name}"));
            line[line.find('/').unwrap()..].to_owned()
        };
        fs::copy(path("/libc.so.6"), root.join("lib/libc.so.6")).unwrap();
        fs::copy(
            path("/ld-linux-x86-64.so.2"),
            root.join("lib/ld-linux-x86-64.so.2"),
        )
        .unwrap();
        tree
    }

    /// With [`REPORT`] as `bin/report`, stub inside.
    fn with_report(flags: &[&str], change: impl FnOnce(&mut EntryStub)) -> Tree {
        let tree = Tree::new();
        tree.add_program("report", REPORT, flags, change);
        tree
    }

    fn add_program(
        &self,
        name: &str,
        source: &str,
        flags: &[&str],
        change: impl FnOnce(&mut EntryStub),
    ) {
        let plain = self.outside(&format!("{name}.plain"));
        compile(source, flags, &plain);
        let mut stub = EntryStub::of("bin", "lib", crate::platform::Platform::X86_64);
        change(&mut stub);
        let bytes = embed(&fs::read(plain).unwrap(), &stub).unwrap();
        write_program(&self.path(&format!("bin/{name}")), &bytes);
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// A path beside the tree, on the same file system.
    fn outside(&self, name: &str) -> PathBuf {
        self.temporary.path().canonicalize().unwrap().join(name)
    }

    fn move_to(&mut self, place: &str) {
        let to = self.outside(place);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(&self.root, &to).unwrap();
        self.root = to;
    }
}

fn compile(source: &str, flags: &[&str], to: &Path) {
    compile_with("cc", source, flags, to);
}

fn compile_with(compiler: &str, source: &str, flags: &[&str], to: &Path) {
    let file = to.with_extension("c");
    fs::write(&file, source).unwrap();
    let output = Command::new(compiler)
        .arg("-O1")
        .args(["-o".as_ref(), to.as_os_str(), file.as_os_str()])
        .args(flags)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn write_program(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a program that this process wrote a moment ago. Another thread may just be starting a program
/// of its own, which holds everything open that was open then: the kernel calls the file busy.
fn run(command: &mut Command) -> std::io::Result<Output> {
    loop {
        match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

/// What a run printed, with its failure in full where it failed.
#[track_caller]
fn stdout(command: &mut Command) -> String {
    let output = run(command).unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// What was printed after `key=`.
fn values<'a>(report: &'a str, key: &str) -> Vec<&'a str> {
    let lines = report.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(k, _)| *k == key).map(|(_, v)| v).collect()
}

/// The output of a start that must be refused, with exit code 127.
#[track_caller]
fn refusal(command: &mut Command) -> String {
    let Output { status, stderr, .. } = run(command).unwrap();
    assert_eq!(status.code(), Some(127), "{}", text(&stderr));
    text(&stderr)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// A command that runs where `root` is all there is (no /proc either), as root or in a user namespace.
/// `None`, with the reason printed, where the machine allows neither.
fn in_root(root: &Path) -> Option<Command> {
    let mut command = if is_root() {
        Command::new("chroot")
    } else {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "chroot"]);
        command
    };
    command
        .arg(root)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let mut probe = Command::new("unshare");
    let allowed = is_root()
        || probe
            .args(["--map-root-user", "true"])
            .status()
            .is_ok_and(|s| s.success());
    if !allowed {
        eprintln!("skipped: neither root nor user namespaces, so no chroot");
    }
    allowed.then_some(command)
}
