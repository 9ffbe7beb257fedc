//! Real programs: Debian's CPython, coreutils and bash with the glibc of the same suite, unpacked and
//! given the stub.
//!
//! The packages come from the folder RECIPE_TEST_DEBS, else from `apt-get download`: the machine knows
//! its mirrors. Where neither gives them these tests say so and pass.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::super::{EntryStub, Facts, Launcher, Machine, PrivateVariable};
use super::super::{embed, launcher, needs_in_tree, read, replace_c_string};
use super::{in_root, is_root, stdout, text, write_program};

const COMMON: [&str; 10] = [
    "bash",
    "coreutils",
    "libc-bin",
    "libc6",
    "libcap2",
    "libexpat1",
    "libpcre2-8-0",
    "libselinux1",
    "libtinfo6",
    "zlib1g",
];
const PROGRAMS: [&str; 6] = ["bash", "cat", "env", "ls", "readlink", "true"];

/// Prints where Python thinks it is.
const WHERE: &str = "import os, sys, zlib, pyexpat; print(sys.executable); print(sys.prefix)";

struct Closure {
    _temporary: tempfile::TempDir,
    /// What becomes `/` of a chroot; the closure is in its `opt/x`.
    root: PathBuf,
}

impl Closure {
    fn path(&self, inside: &str) -> PathBuf {
        self.root.join("opt/x").join(inside)
    }
}

/// The closure, shared by the tests that run at one time; the reason is printed where it cannot be had.
fn closure() -> Option<Arc<Closure>> {
    static SHARED: Mutex<Weak<Closure>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(closure) = shared.upgrade() {
        return Some(closure);
    }
    let temporary = tempfile::tempdir().unwrap();
    let unpacked = temporary.path().join("unpacked");
    let python = match unpack(&unpacked, &temporary.path().join("debs")) {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return None;
        }
    };
    let root = temporary.path().canonicalize().unwrap().join("root");
    assemble(&unpacked, &root.join("opt/x"), &python);
    let closure = Arc::new(Closure {
        _temporary: temporary,
        root,
    });
    *shared = Arc::downgrade(&closure);
    Some(closure)
}

/// Gets and unpacks the packages; gives the name of the interpreter, `python3.13`.
fn unpack(to: &Path, downloads: &Path) -> Result<String, String> {
    fs::create_dir_all(downloads).map_err(|e| e.to_string())?;
    let mut reason = String::new();
    for minor in [13, 14, 12, 11, 10, 9] {
        let python = format!("python3.{minor}");
        let of_python = [
            format!("{python}-minimal"),
            format!("lib{python}-minimal"),
            format!("lib{python}-stdlib"),
        ];
        let names = of_python.iter().map(String::as_str).chain(COMMON);
        let debs = match std::env::var_os("RECIPE_TEST_DEBS") {
            Some(folder) => names
                .map(|name| deb_in(Path::new(&folder), name))
                .collect::<Result<Vec<_>, _>>(),
            None => download(downloads, names.collect()),
        };
        match debs {
            Ok(debs) => {
                for deb in debs {
                    stdout(Command::new("dpkg-deb").arg("-x").arg(deb).arg(to));
                }
                return Ok(python);
            }
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

fn deb_in(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&format!("{name}_")) && file.ends_with(".deb")
    };
    paths
        .into_iter()
        .find(is_it)
        .ok_or(format!("no {name} in {}", folder.display()))
}

fn download(to: &Path, names: Vec<&str>) -> Result<Vec<PathBuf>, String> {
    let mut command = Command::new("apt-get");
    command
        .args(["-qq", "-o", "Acquire::Retries=1", "download"])
        .args(&names)
        .current_dir(to);
    let output = command.output().map_err(|e| format!("no apt-get: {e}"))?;
    if !output.status.success() {
        return Err(format!("apt-get download: {}", text(&output.stderr).trim()));
    }
    names.into_iter().map(|name| deb_in(to, name)).collect()
}

/// A closure in the shape that matters here; the real one is made by other rooms.
fn assemble(unpacked: &Path, to: &Path, python: &str) {
    for folder in ["bin", "lib/locale", "share", "libexec/scripts"] {
        fs::create_dir_all(to.join(folder)).unwrap();
    }
    for folder in ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"] {
        for entry in fs::read_dir(unpacked.join(folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().into_string().unwrap();
            if name.contains(".so.") && entry.path().is_file() {
                fs::copy(entry.path(), to.join("lib").join(name)).unwrap();
            }
        }
    }
    stdout(
        Command::new("cp")
            .arg("-a")
            .arg(unpacked.join("usr/lib").join(python))
            .arg(to.join("lib")),
    );
    let locale = unpacked.join("usr/lib/locale/C.utf8");
    if locale.exists() {
        stdout(
            Command::new("cp")
                .arg("-a")
                .arg(locale)
                .arg(to.join("lib/locale")),
        );
    }
    let libc = to.join("lib/libc.so.6");
    let mut bytes = fs::read(&libc).unwrap();
    for (from, private) in [
        ("LOCPATH", PrivateVariable::LOCALE),
        ("TZDIR", PrivateVariable::TIME_ZONES),
    ] {
        assert_eq!(replace_c_string(&mut bytes, from, private), Ok(1), "{from}");
    }
    fs::write(libc, bytes).unwrap();
    for name in PROGRAMS.into_iter().chain([python]) {
        let paths = [format!("bin/{name}"), format!("usr/bin/{name}")].map(|p| unpacked.join(p));
        let bytes = paths.iter().find_map(|p| fs::read(p).ok()).unwrap();
        let stub = EntryStub {
            python: name == python,
            hide_host_preloads: true,
            private: vec![
                PrivateVariable::locale("../lib/locale"),
                PrivateVariable::time_zones("../share/zoneinfo"),
            ],
            ..EntryStub::of("bin", "lib", crate::platform::Platform::X86_64)
        };
        write_program(&to.join("bin").join(name), &embed(&bytes, &stub).unwrap());
    }
    std::os::unix::fs::symlink(python, to.join("bin/python3")).unwrap();
    let wanted = Launcher {
        program: "python3".into(),
        scripts: Some("../libexec/scripts".into()),
    };
    write_program(
        &to.join("bin/tool"),
        &launcher(Machine::X86_64, &wanted).unwrap(),
    );
    fs::write(
        to.join("libexec/scripts/tool"),
        "import sys; print(sys.argv[1:], sys.prefix)",
    )
    .unwrap();
}

/// Runs in the root that holds the closure and nothing else; with /proc where `proc` says so.
fn alone(closure: &Closure, proc: bool) -> Option<Command> {
    if !proc {
        return in_root(&closure.root);
    }
    if !is_root() {
        eprintln!("skipped: only root can mount /proc in a chroot");
        return None;
    }
    fs::create_dir_all(closure.root.join("proc")).unwrap();
    let mut command = Command::new("unshare");
    let mount = format!("--mount-proc={}", closure.root.join("proc").display());
    command
        .args(["--mount", "--pid", "--fork", &mount, "chroot"])
        .arg(&closure.root);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Some(command)
}

#[test]
fn debians_python_runs_alone_with_and_without_proc() {
    let Some(closure) = closure() else { return };
    let python = "/opt/x/bin/python3";
    fs::create_dir(closure.root.join("links")).unwrap();
    std::os::unix::fs::symlink("../opt/x/bin/python3", closure.root.join("links/py")).unwrap();
    fs::write(closure.root.join("script"), format!("#!{python}\n{WHERE}")).unwrap();
    write_program(
        &closure.root.join("script"),
        format!("#!{python}\n{WHERE}\n").as_bytes(),
    );
    for proc in [false, true] {
        let run = |program: &str, arguments: &[&str]| {
            let mut command = alone(&closure, proc)?;
            Some(stdout(command.arg(program).args(arguments)))
        };
        let is = |executable: &str| Some(format!("{executable}\n/opt/x\n"));
        let Some(direct) = run(python, &["-c", WHERE]) else {
            continue;
        };
        assert_eq!(Some(direct), is(python));
        assert_eq!(
            run("/links/py", &["-c", WHERE]),
            is("/links/py"),
            "by a link, proc: {proc}"
        );
        assert_eq!(run("/script", &[]), is(python), "under #!, proc: {proc}");
        for start in [
            "exec -a weird /opt/x/bin/python3",
            "exec -a /dev/null /opt/x/bin/python3",
            "cd /opt; x/bin/python3",
            "cd /opt/x/bin; ./python3",
            "cd /opt/x/lib; PATH=../bin; python3",
        ] {
            let script = format!("{start} -c '{WHERE}'");
            let output = run("/opt/x/bin/bash", &["-c", &script]).unwrap();
            assert!(output.ends_with("\n/opt/x\n"), "{script}: {output}");
        }
        let script = format!("PATH=/opt/x/bin; export -n PATH; python3 -c '{WHERE}'");
        assert_eq!(run("/opt/x/bin/bash", &["-c", &script]), is(python));
        let tool = run("/opt/x/bin/tool", &["a b"]);
        assert_eq!(tool.as_deref(), Some("['a b'] /opt/x\n"));
        let utf8 = "import locale; print(locale.setlocale(locale.LC_ALL, 'C.UTF-8'))";
        if closure.path("lib/locale/C.utf8").exists() {
            assert_eq!(run(python, &["-c", utf8]).as_deref(), Some("C.UTF-8\n"));
        }
        assert!(
            run("/opt/x/bin/ls", &["/opt/x"])
                .unwrap()
                .contains("libexec")
        );
    }
}

#[test]
fn debians_python_is_the_program_that_was_asked_for() {
    let Some(closure) = closure() else { return };
    let python = closure.path("bin/python3");
    let proof = "import os, sys, subprocess\n\
        maps = [l.split()[5] for l in open('/proc/self/maps') if '.so' in l]\n\
        print(os.readlink('/proc/self/exe') == os.path.realpath(sys.executable))\n\
        print(open('/proc/self/comm').read().strip())\n\
        print(sorted({os.path.dirname(os.path.realpath(m)) for m in maps if '.cache' not in m}))\n\
        child = [sys.executable, '-c', 'import sys; print(sys.prefix)']\n\
        print(subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip())";
    let output = stdout(Command::new(&python).args(["-I", "-c", proof]));
    let prefix = closure
        .path("")
        .to_str()
        .unwrap()
        .trim_end_matches('/')
        .to_owned();
    let libraries = format!("['{prefix}/lib', '{prefix}/lib/python3");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..2], ["True", "python3"]);
    assert!(
        lines[2].starts_with(&libraries) || lines[2] == format!("['{prefix}/lib']"),
        "{output}"
    );
    assert_eq!(lines[3], prefix);
    let weird = stdout(Command::new(&python).arg0("weird").args(["-c", WHERE]));
    assert!(weird.ends_with(&format!("\n{prefix}\n")), "{weird}");
}

#[test]
fn children_of_a_program_see_its_environment() {
    let Some(closure) = closure() else { return };
    if !["/usr/share/zoneinfo", "/usr/lib/locale/C.utf8"]
        .iter()
        .all(|p| Path::new(p).exists())
    {
        return eprintln!("skipped: this host is bare: it lacks locale data or time zones");
    }
    let given = [
        ("A", "1"),
        ("LD_LIBRARY_PATH", "/lib/x86_64-linux-gnu"),
        ("LD_PRELOAD", "/none.so"),
    ];
    let bash = closure.path("bin/bash");
    let env = closure.path("bin/env");
    let mut command = Command::new(bash);
    command
        .arg("-c")
        .arg(format!("exec {}", env.display()))
        .env_clear()
        .envs(given);
    let seen = stdout(&mut command);
    for (name, value) in given {
        assert!(
            seen.lines().any(|line| line == format!("{name}={value}")),
            "{seen}"
        );
    }
    let extra = seen.lines().filter(|line| {
        !given
            .iter()
            .any(|(n, _)| line.starts_with(&format!("{n}=")))
    });
    let of_bash = ["PWD=", "SHLVL=", "_=", "OLDPWD="];
    for line in extra {
        assert!(of_bash.iter().any(|own| line.starts_with(own)), "{line}");
    }
}

#[test]
fn every_library_that_the_programs_need_is_in_the_tree() {
    let Some(closure) = closure() else { return };
    let mut files = BTreeMap::new();
    for folder in ["bin", "lib"] {
        for entry in fs::read_dir(closure.path(folder)).unwrap().flatten() {
            let Ok(bytes) = fs::read(entry.path()) else {
                continue;
            };
            if let Some(facts) = read(&bytes).unwrap() {
                files.insert(
                    format!("{folder}/{}", entry.file_name().to_str().unwrap()),
                    facts,
                );
            }
        }
    }
    let roots: Vec<String> = files
        .keys()
        .filter(|p| p.starts_with("bin/"))
        .cloned()
        .collect();
    let walk = |files: &BTreeMap<String, Facts>| {
        needs_in_tree(files, &["lib"], roots.iter().map(String::as_str))
    };
    assert!(roots.len() > PROGRAMS.len());
    let answer = walk(&files);
    assert_eq!(answer.missing, [].into());
    assert!(
        answer.reached.contains("lib/libc.so.6") && answer.reached.contains("lib/libexpat.so.1")
    );
    files.remove("lib/libexpat.so.1");
    let answer = walk(&files);
    assert!(
        answer
            .missing
            .iter()
            .any(|m| m.soname == "libexpat.so.1" && m.file.starts_with("bin/python3"))
    );
}
