//! A closure for a processor that this machine does not have: made here, proved by its files where
//! nothing can run it, and right where something can.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::support::{Scratch, skip, sources_of};

/// Built by programs found in `path`; the mirrors are local.
fn built(path: &str) -> Option<(Scratch, String)> {
    let sources = sources_of("recipes/python/python@aarch64.lock.kdl")?;
    let scratch = Scratch::new().local(&sources).set("PATH", path);
    let ran = scratch
        .run(["build", "python", "--arch", "aarch64", "--locked"])
        .ok();
    Some((scratch, ran.out))
}

/// Every regular file and link below `folder`, by path.
fn files(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8().expect("a folder") {
            let entry = entry.expect("an entry");
            match entry.file_type().expect("a type") {
                kind if kind.is_dir() => folders.push(entry.path().to_owned()),
                _ => found.push(entry.path().to_owned()),
            }
        }
    }
    found
}

fn readelf(path: &Utf8Path, what: &str) -> String {
    let output = Command::new("/usr/bin/readelf")
        .args([what, path.as_str()])
        .output();
    String::from_utf8(output.expect("readelf runs").stdout).expect("text")
}

/// It is an aarch64 itself, or has an emulator registered.
fn kernel_starts_aarch64() -> bool {
    let names = fs::read_dir("/proc/sys/fs/binfmt_misc")
        .into_iter()
        .flatten();
    let mut names = names.flatten().map(|entry| entry.file_name());
    cfg!(target_arch = "aarch64") || names.any(|name| name.to_string_lossy().contains("aarch64"))
}

#[test]
fn a_closure_for_another_processor_is_made_here_and_proved_by_its_files() {
    if !Utf8Path::new("/usr/bin/readelf").exists() {
        return skip("no readelf");
    }
    let Some((scratch, out)) = built("/nothing") else {
        return;
    };
    assert!(
        out.contains("not run: proved by its structure, 3 checks"),
        "{out}"
    );
    assert!(out.contains("runs on aarch64"), "{out}");
    if !kernel_starts_aarch64() {
        let words = [
            "run", "python", "--arch", "aarch64", "--locked", "--", "python3",
        ];
        let ran = scratch.run(words);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(
            ran.err.contains("the closure is for aarch64"),
            "{}",
            ran.err
        );
    }
    // Beside this machine's own, which nobody asked for.
    assert!(!scratch.work().join("result/python").exists());
    let closure = scratch
        .work()
        .join("result/python@aarch64")
        .canonicalize_utf8()
        .unwrap();
    scratch.run(["verify", closure.as_str()]).ok();
    let manifest = fs::read_to_string(closure.join(".recipe-manifest")).unwrap();
    assert!(manifest.contains("\nmachine aarch64\n"));

    let mut libraries: BTreeMap<String, Utf8PathBuf> = BTreeMap::new();
    let mut programs = Vec::new();
    for path in files(&closure) {
        if let Ok(target) = path.read_link_utf8() {
            assert!(target.is_relative(), "{path} -> {target}");
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        if !bytes.starts_with(b"\x7fELF") {
            continue;
        }
        assert_eq!(&bytes[18..20], [183, 0], "{path} is not for aarch64");
        libraries.insert(path.file_name().unwrap().to_owned(), path.clone());
        programs.push(path);
    }
    assert!(programs.len() > 50, "{}", programs.len());
    let python = closure.join("bin/python3.13");
    let headers = readelf(&python, "-lW");
    assert!(!headers.contains("INTERP"), "{headers}");
    assert!(readelf(&python, "-dW").contains("$ORIGIN/../lib"));
    for path in &programs {
        for line in readelf(path, "-dW")
            .lines()
            .filter(|line| line.contains("(NEEDED)"))
        {
            let needed = line.split(['[', ']']).nth(1).unwrap();
            assert!(libraries.contains_key(needed), "{path} needs {needed}");
        }
    }
    assert!(closure.join("lib/ld-linux-aarch64.so.1").is_file());
    let code = "lib/python3.13/json/__pycache__/__init__.cpython-313.pyc";
    assert!(closure.join(code).is_file());

    let ran = scratch
        .run(["build", "python", "--arch", "aarch64", "--locked"])
        .ok();
    assert!(ran.out.contains("nothing to do"), "{}", ran.out);
    let ran = scratch
        .run(["export", "python", "--arch", "aarch64", "--level", "1"])
        .ok();
    assert!(
        ran.out.starts_with("python-3.13-aarch64-linux.tar.zst\n"),
        "{}",
        ran.out
    );

    runs_under_qemu(&closure);
}

/// The byte code is taken as it is, though another processor has made it; all is found inside.
fn runs_under_qemu(closure: &Utf8Path) {
    let emulator = "/usr/bin/qemu-aarch64-static";
    if !Utf8Path::new(emulator).exists() {
        return skip("no qemu-aarch64-static");
    }
    let code = "import json, platform, sqlite3, ssl, sys\n\
        print(platform.machine(), sys.prefix, sys.executable, len(ssl.create_default_context().get_ca_certs()) > 100)";
    let output = Command::new(emulator)
        .arg(closure.join("bin/python3"))
        .args(["-v", "-c", code])
        .env_clear()
        .output()
        .expect("qemu runs");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let wanted = format!("aarch64 {closure} {closure}/bin/python3 True\n");
    assert_eq!(out, wanted, "{err}");
    let pyc = format!("{closure}/lib/python3.13/json/__pycache__/__init__.cpython-313.pyc matches");
    assert!(err.contains(&pyc), "{err}");
}

#[test]
fn a_lock_for_one_platform_is_not_taken_for_another() {
    let scratch = Scratch::new();
    let folder = scratch.work().join("recipes/python");
    let lock = folder.join("python@aarch64.lock.kdl");
    fs::copy(folder.join("python.lock.kdl"), lock).unwrap();
    let ran = scratch
        .run(["build", "python", "--arch", "aarch64", "--locked"])
        .fails_with(3);
    assert!(
        ran.err.contains("its lock is for x86_64-linux"),
        "{}",
        ran.err
    );
    let ran = scratch
        .run(["build", "python", "--arch", "m68k"])
        .fails_with(2);
    assert!(ran.err.contains("x86_64 or aarch64"), "{}", ran.err);
}
