use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use recipe_store::{Entry, Session, Store, walk};

use super::*;
use crate::python::record;

const LAUNCHER: &[u8] = b"\x7fELF a launcher";
const WHEEL: &str = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
const METADATA: &str = "Metadata-Version: 2.1\nName: Fox-Trot\nVersion: 1.0\n\nwords\n";
const NAME: &str = "fox_trot-1.0-py3-none-any.whl";

/// A zip of stored entries, as the simplest of tools would write it.
fn zip(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes, mode) in files {
        let offset = out.len() as u32;
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let mut common = Vec::new();
        for word in [20u16, 0x800, 0, 0, 0x21] {
            common.extend(word.to_le_bytes());
        }
        for word in [crc.sum(), bytes.len() as u32, bytes.len() as u32] {
            common.extend(word.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend(0u16.to_le_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*bytes);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let at = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        out.extend((files.len() as u16).to_le_bytes());
    }
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend(0u16.to_le_bytes());
    out
}

struct Scratch {
    _home: tempfile::TempDir,
    session: Session,
}

impl Scratch {
    fn new() -> Scratch {
        let home = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(home.path().join("store")).unwrap();
        Scratch {
            session: Store::open(&path).unwrap().session().unwrap(),
            _home: home,
        }
    }

    fn unpack(&self, name: &str, bytes: &[u8]) -> Result<UnpackedWheel, WheelError> {
        self.unpack_with(name, bytes, false)
    }

    fn unpack_with(
        &self,
        name: &str,
        bytes: &[u8],
        keep_pth: bool,
    ) -> Result<UnpackedWheel, WheelError> {
        let target = Target::new("3.13", (2, 41), crate::platform::Platform::X86_64).unwrap();
        let wheel = self.session.put_blob(bytes, false).unwrap();
        let options = WheelOptions {
            file_name: name,
            target: &target,
            launcher: LAUNCHER,
            keep_pth,
        };
        unpack_wheel(&self.session, &wheel, &options)
    }

    /// Path → bytes, with a `*` after the path of what is executable.
    fn files(&self, wheel: &UnpackedWheel) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        walk::<WheelError>(&self.session, &wheel.tree, &mut |path, entry| {
            if let Entry::File { blob, executable } = entry {
                let star = if *executable { "*" } else { "" };
                files.insert(format!("{path}{star}"), self.session.read_blob(blob)?);
            }
            Ok(())
        })
        .unwrap();
        files
    }
}

/// A wheel of the project fox-trot with these files besides METADATA, WHEEL and RECORD.
fn wheel(files: &[(&str, &str)]) -> Vec<u8> {
    let info = "fox_trot-1.0.dist-info";
    let record: String = files
        .iter()
        .map(|(path, _)| format!("{path},,\n"))
        .collect();
    let record = format!("{record}{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n");
    let own = [
        ("METADATA", METADATA),
        ("WHEEL", WHEEL),
        ("RECORD", &record),
    ];
    let own = own.map(|(name, text)| (format!("{info}/{name}"), text));
    let mut all: Vec<(&str, &[u8], u32)> = files
        .iter()
        .map(|(path, text)| (*path, text.as_bytes(), 0o100644))
        .collect();
    all.extend(
        own.iter()
            .map(|(path, text)| (path.as_str(), text.as_bytes(), 0o100644)),
    );
    zip(&all)
}

fn refused(files: &[(&str, &str)]) -> String {
    Scratch::new()
        .unpack(NAME, &wheel(files))
        .unwrap_err()
        .to_string()
}

#[test]
fn every_file_goes_to_its_place_in_the_closure() {
    let scratch = Scratch::new();
    let unpacked = scratch
        .unpack(
            NAME,
            &wheel(&[
                ("fox/__init__.py", "x = 1\n"),
                ("fox/__pycache__/__init__.cpython-312.pyc", "old"),
                ("fox/old.pyc", "old"),
                ("fox_trot-1.0.data/platlib/fox/fast.so", "elf"),
                ("fox_trot-1.0.data/headers/fox.h", "c"),
                ("fox_trot-1.0.data/data/share/fox/a", "d"),
                (
                    "fox_trot-1.0.data/data/bin/fox-data",
                    "#!/usr/bin/env -S python3 -u\n",
                ),
                ("fox_trot-1.0.data/scripts/fox-old", "#!python\nprint(1)\n"),
                ("fox_trot-1.0.data/scripts/fox-sh", "#!/bin/sh\n"),
                (
                    "fox_trot-1.0.dist-info/entry_points.txt",
                    "[console_scripts]\nfox = fox:main\n",
                ),
                ("fox_trot-1.0.dist-info/INSTALLER", "pip"),
                ("fox_trot-1.0.dist-info/direct_url.json", "{}"),
                ("fox_trot-1.0.dist-info/REQUESTED", ""),
            ]),
        )
        .unwrap();
    let files = scratch.files(&unpacked);
    let site = "lib/python3.13/site-packages";
    let info = format!("{site}/fox_trot-1.0.dist-info");
    let wanted = [
        "bin/fox*".to_owned(),
        "bin/fox-data*".to_owned(),
        "bin/fox-old*".to_owned(),
        "bin/fox-sh*".to_owned(),
        "include/python3.13/fox-trot/fox.h".to_owned(),
        format!("{info}/INSTALLER"),
        format!("{info}/METADATA"),
        format!("{info}/RECORD"),
        format!("{info}/WHEEL"),
        format!("{info}/entry_points.txt"),
        format!("{site}/fox/__init__.py"),
        format!("{site}/fox/fast.so"),
        "libexec/scripts/fox".to_owned(),
        "libexec/scripts/fox-data".to_owned(),
        "libexec/scripts/fox-old".to_owned(),
        "share/fox/a".to_owned(),
    ];
    let mut found: Vec<&String> = files.keys().collect();
    let mut wanted: Vec<&String> = wanted.iter().collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(files["bin/fox*"], LAUNCHER);
    assert_eq!(files["bin/fox-sh*"], b"#!/bin/sh\n");
    assert_eq!(files["libexec/scripts/fox-old"], b"#!python\nprint(1)\n");
    assert_eq!(files[&format!("{info}/INSTALLER")], b"recipe\n");
    assert_eq!(unpacked.notes, []);
}

#[test]
fn the_new_record_lists_every_file_with_its_true_hash() {
    use sha2::Digest as _;
    let scratch = Scratch::new();
    let files = [
        ("fox.py", "x"),
        ("fox_trot-1.0.data/scripts/f", "#!python\n"),
    ];
    let unpacked = scratch.unpack(NAME, &wheel(&files)).unwrap();
    let files = scratch.files(&unpacked);
    let site = "lib/python3.13/site-packages/";
    let text = &files[&format!("{site}fox_trot-1.0.dist-info/RECORD")];
    // The reader for wheels refuses `..`, which is right there and wrong here.
    let text = String::from_utf8(text.clone())
        .unwrap()
        .replace("../../../", "UP/");
    let rows = record::parse(text.as_bytes()).unwrap();
    assert_eq!(rows.len(), files.len());
    for row in rows.iter().filter(|row| !row.path.ends_with("/RECORD")) {
        let path = row
            .path
            .strip_prefix("UP/")
            .map_or(format!("{site}{}", row.path), str::to_owned);
        let bytes = files
            .get(&path)
            .or_else(|| files.get(&format!("{path}*")))
            .expect(&path);
        assert_eq!(
            row.sha256,
            Some(sha2::Sha256::digest(bytes).into()),
            "{path}"
        );
        assert_eq!(row.size, Some(bytes.len() as u64));
    }
    assert!(text.contains("UP/bin/f,sha256="), "{text}");
}

#[test]
fn code_at_every_start_is_left_out_unless_asked_for_f028() {
    let files = [
        ("fox.pth", "import os\n"),
        ("mixed.pth", "sub\nimport x\n"),
        ("sitecustomize.py", ""),
    ];
    let scratch = Scratch::new();
    let out = scratch.unpack(NAME, &wheel(&files)).unwrap();
    let site = "lib/python3.13/site-packages";
    let found = scratch.files(&out);
    assert!(!found.contains_key(&format!("{site}/fox.pth")));
    assert_eq!(found[&format!("{site}/mixed.pth")], b"sub\n");
    let notes: Vec<String> = out.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 3, "{notes:?}");
    let kept = scratch.unpack_with(NAME, &wheel(&files), true).unwrap();
    assert_eq!(
        scratch.files(&kept)[&format!("{site}/fox.pth")],
        b"import os\n"
    );
    assert!(refused(&[("fox.pth", "/usr/lib/python3/dist-packages\n")]).contains("leads out"));
}

#[test]
fn a_record_that_is_merely_wrong_is_told_and_written_anew_f024() {
    let info = "fox_trot-1.0.dist-info";
    let record = format!(
        "a.py,sha256={},1\ngone.py,,\n{info}/WHEEL,,\n{info}/METADATA,,\n",
        "A".repeat(43)
    );
    let files: [(&str, &[u8], u32); 5] = [
        ("a.py", b"x", 0o100755),
        ("b.py", b"y", 0o100644),
        (&format!("{info}/METADATA"), METADATA.as_bytes(), 0o100644),
        (
            &format!("{info}/WHEEL"),
            b"Wheel-Version: 1.0\nTag: py2-none-any\n",
            0o100644,
        ),
        (&format!("{info}/RECORD"), record.as_bytes(), 0o100644),
    ];
    let unpacked = Scratch::new().unpack(NAME, &zip(&files)).unwrap();
    let mut notes = unpacked.notes;
    notes.sort();
    let path = |path: &str| path.to_owned();
    let mut wanted = vec![
        WheelNote::RecordDiffers { path: path("a.py") },
        WheelNote::NotInRecord { path: path("b.py") },
        WheelNote::NotInWheel {
            path: path("gone.py"),
        },
        WheelNote::Tags {
            inside: "py2-none-any".into(),
        },
    ];
    wanted.sort();
    assert_eq!(notes, wanted);
}

#[test]
fn a_wheel_that_contradicts_itself_is_refused_f027() {
    assert!(refused(&[("other-2.0.dist-info/METADATA", "x")]).contains("several dist-info"));
    let scratch = Scratch::new();
    let other = scratch
        .unpack("fox_trot-1.1-py3-none-any.whl", &wheel(&[]))
        .unwrap_err();
    assert!(
        other.to_string().contains("is not of fox-trot 1.1"),
        "{other}"
    );
    let stranger = scratch
        .unpack("fox_trot-1.0-cp312-cp312-win32.whl", &wheel(&[]))
        .unwrap_err();
    assert!(
        stranger
            .to_string()
            .contains("does not run on CPython 3.13"),
        "{stranger}"
    );
    let same = scratch.unpack("Fox.Trot-1.0.0-py3-none-any.whl", &wheel(&[]));
    assert!(
        same.is_ok(),
        "1.0 is 1.0.0 and names are normalised: {same:?}"
    );
}

#[test]
fn a_wheel_without_its_papers_is_refused_f023() {
    let info = "fox_trot-1.0.dist-info";
    let all = [("METADATA", METADATA), ("WHEEL", WHEEL), ("RECORD", "")];
    for missing in 0..3 {
        let files: Vec<(String, &str)> = all
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != missing)
            .map(|(_, (name, text))| (format!("{info}/{name}"), *text))
            .collect();
        let files: Vec<(&str, &[u8], u32)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_bytes(), 0o100644))
            .collect();
        let error = Scratch::new()
            .unpack(NAME, &zip(&files))
            .unwrap_err()
            .to_string();
        assert!(error.contains(all[missing].0), "{error}");
    }
}

#[test]
fn scripts_never_replace_the_interpreter_f026() {
    for name in ["python", "python3", "python3.13"] {
        let path = format!("fox_trot-1.0.data/scripts/{name}");
        assert!(
            refused(&[(&path, "#!/bin/sh\n")]).contains("interpreter"),
            "{name}"
        );
    }
    let entry = "[console_scripts]\npython3 = a:b\n";
    assert!(refused(&[("fox_trot-1.0.dist-info/entry_points.txt", entry)]).contains("interpreter"));
    let scratch = Scratch::new();
    assert!(
        scratch
            .unpack(
                NAME,
                &wheel(&[("fox_trot-1.0.data/scripts/pythonic", "#!/bin/sh\n")])
            )
            .is_ok()
    );
}

#[test]
fn one_place_for_two_different_files_is_refused_f026() {
    let two = |other| {
        [
            ("fox.py", "same"),
            ("fox_trot-1.0.data/purelib/fox.py", other),
        ]
    };
    assert!(Scratch::new().unpack(NAME, &wheel(&two("same"))).is_ok());
    let error = refused(&two("other"));
    assert!(
        error.contains("fox.py and fox_trot-1.0.data/purelib/fox.py"),
        "{error}"
    );
}

#[test]
fn symlinks_and_unknown_folders_are_refused_f022() {
    let link: [(&str, &[u8], u32); 1] = [("fox", b"/etc/passwd", 0o120777)];
    assert!(Scratch::new().unpack(NAME, &zip(&link)).is_err());
    assert!(refused(&[("fox_trot-1.0.data/etc/x", "y")]).contains("no folder that wheels know"));
}

/// Wheels that pip brings, where it can.
fn real_wheels() -> Option<Vec<Utf8PathBuf>> {
    let folder = tempfile::tempdir().ok()?.keep();
    let platforms = [
        "manylinux_2_28_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
    ];
    let mut pip = std::process::Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]);
    pip.args(["--python-version", "3.13", "--dest"])
        .arg(&folder);
    pip.args(
        platforms
            .iter()
            .flat_map(|platform| ["--platform", platform]),
    );
    pip.args([
        "PyYAML==6.0.3",
        "six==1.17.0",
        "charset-normalizer==3.4.4",
        "setuptools==80.9.0",
    ]);
    if !pip.output().ok()?.status.success() {
        return None;
    }
    let mut found: Vec<Utf8PathBuf> = std::fs::read_dir(&folder)
        .ok()?
        .filter_map(|entry| Utf8PathBuf::from_path_buf(entry.ok()?.path()).ok())
        .collect();
    found.sort();
    Some(found)
}

#[test]
fn real_wheels_unpack_to_what_pythons_zipfile_sees_f029() {
    let Some(wheels) = real_wheels() else {
        eprintln!("skipped: pip cannot download here");
        return;
    };
    let scratch = Scratch::new();
    for path in wheels {
        let unpacked = scratch
            .unpack(path.file_name().unwrap(), &std::fs::read(&path).unwrap())
            .unwrap();
        let others: Vec<_> = unpacked
            .notes
            .iter()
            .filter(|note| !matches!(note, WheelNote::RunsAtStart { .. }))
            .collect();
        assert!(others.is_empty(), "{path}: {others:?}");
        let list = "import hashlib,sys,zipfile\nz=zipfile.ZipFile(sys.argv[1])\n\
            print('\\n'.join(hashlib.sha256(z.read(n)).hexdigest()+' '+n for n in z.namelist() if n[-1]!='/'))";
        let output = std::process::Command::new("python3")
            .args(["-c", list, path.as_str()])
            .output()
            .unwrap();
        let files = scratch.files(&unpacked);
        let mut compared = 0;
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            use sha2::Digest as _;
            let (hash, name) = line.split_once(' ').unwrap();
            let at = format!("lib/python3.13/site-packages/{name}");
            let Some(bytes) = files.get(&at).or_else(|| files.get(&format!("{at}*"))) else {
                assert!(
                    name.ends_with(".pth") || name.contains("__pycache__"),
                    "{name}"
                );
                continue;
            };
            if !name.ends_with(".dist-info/RECORD") && !name.ends_with("dist-info/INSTALLER") {
                assert_eq!(format!("{:x}", sha2::Sha256::digest(bytes)), hash, "{name}");
                compared += 1;
            }
        }
        assert!(compared > 2, "{path}");
    }
}
