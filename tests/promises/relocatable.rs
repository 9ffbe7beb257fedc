//! The closure of the main job in hostile places, made here with mounts of our own: not by what
//! `recipe test-closure` makes, whose probe knows what has to hold.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use camino::Utf8Path;

use crate::support::{PROBE, checkout, closure, copy, is_root, skip, sources};

/// A throw-away root folder; what is mounted below it goes with its mount namespace.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let folder = tempfile::Builder::new()
            .prefix("recipe-root-")
            .tempdir()
            .expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open to all");
        Place(folder)
    }

    fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).expect("UTF-8")
    }

    /// Copies the closure to `at` and the probe beside the root.
    fn with_closure(self, at: &str) -> Place {
        let target = self.path().join(at);
        copy(closure().expect("built"), &target);
        fs::create_dir_all(self.path().join("tmp")).expect("created");
        fs::set_permissions(self.path().join("tmp"), fs::Permissions::from_mode(0o1777))
            .expect("open to all");
        copy(&checkout().join(PROBE), &self.path().join("probe"));
        self
    }

    /// Runs `words` in this root as the user `uid`, after the shell commands `mounts` were run;
    /// `$root` is the root, which they may change.
    fn run(&self, mounts: &str, uid: u32, words: &[&str]) -> Output {
        let script =
            format!("root=$0\n{mounts}\nexec chroot --userspec={uid}:{uid} \"$root\" \"$@\"");
        Command::new("unshare")
            .args(["--mount", "sh", "-ec", &script, self.path().as_str()])
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .expect("unshare starts")
    }
}

/// What takes a probe by far the longest, and depends on little of where it runs: asked once in each kind of root.
const LONG: [&str; 6] = [
    "--skip",
    "venv",
    "--skip",
    "wheel",
    "--skip",
    "console_scripts",
];

/// The probe's answer is one object; what is false is a failure.
#[track_caller]
fn all_hold(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = || format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", said())))
        .collect();
    let failed: Vec<String> = lines
        .iter()
        .filter(|line| line["ok"] == serde_json::Value::Bool(false))
        .map(|line| format!("{}: {}", line["check"], line["found"]))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let ended = lines.last().is_some_and(|line| line["end"] == true);
    assert!(ended && lines.len() > 60, "the probe ran: {}", said());
}

fn can_chroot() -> bool {
    if !is_root() {
        skip("only root can chroot");
    }
    is_root() && sources().is_some()
}

#[test]
fn everything_holds_on_the_host_from_an_odd_folder() {
    if sources().is_none() {
        return;
    }
    let place = Place::new().with_closure("a 'quoted' folder: with ü and ; in it/c");
    let python = place
        .path()
        .join("a 'quoted' folder: with ü and ; in it/c/bin/python3");
    let output = Command::new(python)
        .args(["-B", place.path().join("probe/probe.py").as_str()])
        .args(LONG)
        .output()
        .expect("python starts");
    all_hold(&output);
}

#[test]
fn everything_holds_in_an_empty_root_with_and_without_proc_as_root_and_as_a_user() {
    if !can_chroot() {
        return;
    }
    let place = Place::new().with_closure("opt/c");
    for folder in ["proc", "dev"] {
        fs::create_dir(place.path().join(folder)).expect("created");
    }
    let proc = "mount -t proc proc \"$root/proc\"";
    for mounts in ["", proc] {
        for uid in [0, 65534] {
            let words = [
                "/opt/c/bin/python3",
                "-B",
                "/probe/probe.py",
                "--tree",
                "/opt/c",
            ];
            let is_whole = mounts == proc && uid != 0;
            let skipped = if is_whole { &[][..] } else { &LONG[..] };
            all_hold(&place.run(mounts, uid, &[&words[..], skipped].concat()));
        }
    }
}

#[test]
fn everything_holds_on_musl_with_busybox() {
    if !can_chroot() {
        return;
    }
    let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find(|path| is_static(path))
    else {
        return skip("busybox-static is not installed");
    };
    let place = Place::new().with_closure("opt/c");
    for folder in ["bin", "etc", "proc", "dev"] {
        fs::create_dir_all(place.path().join(folder)).expect("created");
    }
    fs::copy(busybox, place.path().join("bin/busybox")).expect("copied");
    for name in ["sh", "cat", "env", "ls", "true"] {
        symlink("busybox", place.path().join("bin").join(name)).expect("linked");
    }
    fs::write(
        place.path().join("etc/passwd"),
        "root:x:0:0:root:/:/bin/sh\n",
    )
    .expect("written");
    fs::write(place.path().join("etc/hosts"), "127.0.0.1 localhost\n").expect("written");
    let mounts = "mount -t proc proc \"$root/proc\"; mount --rbind /dev \"$root/dev\"";
    let words = [
        "/opt/c/bin/python3",
        "-B",
        "/probe/probe.py",
        "--tree",
        "/opt/c",
    ];
    all_hold(&place.run(mounts, 0, &[&words[..], &LONG].concat()));
    all_hold(&place.run(mounts, 65534, &words));
}

fn is_static(path: &str) -> bool {
    Path::new(path).exists()
        && Command::new("file")
            .args(["-L", path])
            .output()
            .is_ok_and(|output| {
                String::from_utf8_lossy(&output.stdout).contains("statically linked")
            })
}

/// `.ci/run` makes the folder with mmdebstrap and names it.
#[test]
fn everything_holds_on_an_older_distribution() {
    if !can_chroot() {
        return;
    }
    let Ok(root) = std::env::var("RECIPE_TEST_BULLSEYE") else {
        return skip("RECIPE_TEST_BULLSEYE does not name a root folder of Debian 11");
    };
    let place = Place::new().with_closure("opt/c");
    // The older root stays as it is: an overlay in memory takes what is written.
    let mounts = format!(
        r#"mount -t tmpfs t "$root/tmp"; cd "$root/tmp"; mkdir up work all
mount -t overlay o -o lowerdir='{root}',upperdir=up,workdir=work all
mkdir -p all/opt/c; cp -r "$root/probe" all/; mount --bind "$root/opt/c" all/opt/c
mount -t proc proc all/proc; mount --rbind /dev all/dev; root=$root/tmp/all"#
    );
    let words = [
        "/opt/c/bin/python3",
        "-B",
        "/probe/probe.py",
        "--tree",
        "/opt/c",
    ];
    all_hold(&place.run(&mounts, 0, &words));
}

#[test]
fn no_file_of_it_leads_out_or_holds_the_path_of_its_build() {
    let Some(closure) = closure() else { return };
    let output = Command::new(closure.join("bin/python3"))
        .args(["-B", checkout().join("tests/data/tree.py").as_str()])
        .args([closure.as_str(), "--forbid", closure.as_str()])
        .output()
        .expect("python starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[]");
}

#[test]
fn a_program_of_the_host_sees_the_environment_as_it_was() {
    // Any Python sets LC_CTYPE where no locale is set (PEP 538): so one is.
    let Some(closure) = closure() else { return };
    let code =
        "import subprocess, sys; sys.stdout.write(subprocess.check_output(['env'], text=True))";
    let own = Command::new("env")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs([("X", "1"), ("LC_ALL", "C.UTF-8")])
        .output();
    let child = Command::new(closure.join("bin/python3"))
        .args(["-c", code])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs([("X", "1"), ("LC_ALL", "C.UTF-8")])
        .output();
    let (own, child) = (own.expect("env starts"), child.expect("python starts"));
    assert_eq!(
        String::from_utf8_lossy(&own.stdout),
        String::from_utf8_lossy(&child.stdout)
    );
}

#[test]
fn a_console_script_starts_through_a_link_from_elsewhere() {
    let Some(closure) = closure() else { return };
    let place = Place::new();
    let link = place.path().join("distro");
    symlink(closure.join("bin/distro"), &link).expect("linked");
    let output = Command::new(link).arg("--help").output().expect("starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("usage"));
}
