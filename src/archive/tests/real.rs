//! Second opinions: Python's `tarfile` and `zipfile`, and `dpkg-deb`, on what we accept. Wheels and debs
//! come from the machine's own pip and apt; where these have no network, a line says what was left out.
//! `RECIPE_TEST_ARCHIVES=DIR` adds every `.whl`, `.deb` and `.tar.*` of a directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::fixture::{Tar, ZipEntry, ar, gzip, record, xz, zip, zstd};
use super::*;

/// Kind, executable, and hash or target of each path; every directory above a path is there too.
type Listing = BTreeMap<String, String>;

/// Prints one line for each entry: hex of the path, and the same words as [`describe`].
const SECOND_OPINION: &str = r#"
import hashlib, io, os, subprocess, sys, tarfile, zipfile
path, kind = sys.argv[1:]
def say(name, text): print(os.fsencode(name).hex(), text)
def clean(name): return name.removeprefix("./").rstrip("/")
sha = lambda data: hashlib.sha256(data).hexdigest()
if kind == "zip":
    archive = zipfile.ZipFile(path)
    for entry in archive.infolist():
        mode = entry.external_attr >> 16
        if entry.is_dir(): say(clean(entry.filename), "directory")
        else: say(clean(entry.filename), f"file {bool(mode & 0o111)} {sha(archive.read(entry))}")
else:
    if kind == "deb":
        data = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE, check=True).stdout
        archive = tarfile.open(fileobj=io.BytesIO(data))
    else: archive = tarfile.open(path)
    for entry in archive:
        name = clean(entry.name)
        if entry.isdir():
            if name not in ("", "."): say(name, "directory")
        elif entry.issym():
            target = entry.linkname
            if target.startswith("/"): target = os.path.relpath(target, "/" + os.path.dirname(name))
            say(name, "symlink " + os.fsencode(target).hex())
        else:
            first = archive.getmember(entry.linkname) if entry.islnk() else entry
            say(name, f"file {bool(first.mode & 0o111)} {sha(archive.extractfile(entry).read())}")
"#;

fn second_opinion(file: &Path, kind: &str) -> Option<Listing> {
    let mut command = Command::new("python3");
    command.args(["-c", SECOND_OPINION]).arg(file).arg(kind);
    let output = command.stderr(Stdio::inherit()).output().ok()?;
    assert!(output.status.success(), "{}", file.display());
    let lines = String::from_utf8(output.stdout).unwrap();
    let entries = lines.lines().map(|line| {
        let (name, text) = line.split_once(' ').unwrap();
        (unhex(name), text.to_owned())
    });
    Some(with_parents(entries.collect()))
}

fn unhex(hex: &str) -> String {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes = (0..hex.len()).step_by(2).map(digit).collect();
    String::from_utf8(bytes).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn with_parents(mut listing: Listing) -> Listing {
    for path in listing.keys().cloned().collect::<Vec<_>>() {
        for (end, _) in path.match_indices('/') {
            listing.insert(path[..end].to_owned(), "directory".to_owned());
        }
    }
    listing
}

fn describe(item: Item) -> String {
    match item {
        Item::Directory => "directory".to_owned(),
        Item::File(bytes, executable) => {
            let executable = if executable { "True" } else { "False" };
            format!("file {executable} {}", hex(&Sha256::digest(bytes)))
        }
        Item::Symlink(target) => format!("symlink {}", hex(target.as_bytes())),
    }
}

fn ours(file: &Path, kind: &str) -> Listing {
    let limits = Limits::default();
    let mut folder = Folder::default();
    let open = File::open(file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let result = match kind {
        "zip" => unpack_zip(&open, name, &limits, &mut folder),
        "deb" => unpack_deb(open, name, &limits, &mut folder),
        _ => {
            let compression = Compression::of_tar_name(name).unwrap();
            unpack_tar(open, compression, name, &limits, &mut folder)
        }
    };
    if let Err(error) = result {
        panic!("refused: {error}");
    }
    let items = folder.items.into_iter();
    with_parents(items.map(|(path, item)| (path, describe(item))).collect())
}

fn agree(file: &Path, kind: &str) {
    match second_opinion(file, kind) {
        Some(theirs) => assert_eq!(ours(file, kind), theirs, "{}", file.display()),
        None => eprintln!(
            "left out: python3 cannot be started to compare {}",
            file.display()
        ),
    }
}

#[test]
fn f029_what_we_accept_others_read_in_the_same_way() {
    let scratch = tempfile::tempdir().unwrap();
    let long = format!("pkg/{}/{}", "long".repeat(30), "ünï".repeat(40));
    let tar = Tar::new()
        .extension(b'g', &record("comment", b"0123"))
        .directory("./pkg/")
        .file("./pkg/a", b"content")
        .pax(&[("path", long.as_bytes()), ("mtime", b"1.5")])
        .file("x", &[7; 1500])
        .symlink("pkg/link", "../pkg/a")
        .hard_link("pkg/again", "./pkg/a")
        .end();
    let gnu = Tar::new()
        .extension(b'L', format!("{}\0", "n".repeat(180)).as_bytes())
        .file("cut", b"long")
        .end();
    let zipped = zip(&[
        ZipEntry::directory("d/"),
        ZipEntry::deflated("d/ü", &[b'x'; 5000]),
        ZipEntry::stored("d/b", b"b").with_descriptor(),
        ZipEntry {
            attributes: 0o100755 << 16,
            ..ZipEntry::stored("run", b"#!")
        },
    ]);
    let root = Tar::new()
        .directory("./")
        .file("./usr/bin/a", b"x")
        .symlink("./etc/a", "/usr/bin/a")
        .end();
    let control = gzip(
        &Tar::new()
            .file("./control", b"Package: x\nVersion: 1\n")
            .end(),
    );
    let deb = |name: &'static str, data: &[u8]| {
        ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", &control),
            (name, data),
        ])
    };
    for (name, kind, bytes) in [
        ("a.tar", "tar", tar.clone()),
        ("a.tar.gz", "tar", gzip(&tar)),
        ("a.tar.xz", "tar", xz(&tar)),
        ("gnu.tar", "tar", gnu),
        ("a.whl", "zip", zipped.clone()),
        ("padded.whl", "zip", [zipped, vec![0; 100]].concat()),
        ("plain.deb", "deb", deb("data.tar", &root)),
        ("gz.deb", "deb", deb("data.tar.gz", &gzip(&root))),
        ("xz.deb", "deb", deb("data.tar.xz", &xz(&root))),
        ("zst.deb", "deb", deb("data.tar.zst", &zstd(&root))),
    ] {
        let file = scratch.path().join(name);
        fs::write(&file, bytes).unwrap();
        agree(&file, kind);
    }
}

#[test]
fn f029_real_wheels_sdists_and_debs_are_read_as_others_read_them() {
    let scratch = tempfile::tempdir().unwrap();
    let fetch = |what: &str, command: &mut Command| {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        if !quiet.status().is_ok_and(|status| status.success()) {
            eprintln!("left out: {what}, which could not be fetched");
        }
    };
    let pip = |arguments: &[&str]| {
        let mut command = Command::new("python3");
        command.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--retries=1",
            "--dest",
        ]);
        command.arg(scratch.path()).args(arguments);
        command
    };
    let wheels = ["PyYAML", "psutil", "urwid", "setuptools", "requests"];
    fetch("some wheels", pip(&["--only-binary=:all:"]).args(wheels));
    let sdists = ["--no-binary=:all:", "--no-build-isolation", "setuptools"];
    fetch("an sdist", &mut pip(&sdists));
    let mut apt = Command::new("apt-get");
    apt.args(["download", "libyaml-0-2", "ca-certificates"]);
    fetch("some debs", apt.current_dir(scratch.path()));
    let extra = std::env::var_os("RECIPE_TEST_ARCHIVES").map(std::path::PathBuf::from);
    let mut compared = 0;
    for folder in [scratch.path().to_owned()].into_iter().chain(extra) {
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            match () {
                () if name.ends_with(".whl") => agree(&file, "zip"),
                () if name.ends_with(".deb") => agree(&file, "deb"),
                () if Compression::of_tar_name(&name).is_some() => agree(&file, "tar"),
                () => continue,
            }
            compared += 1;
        }
    }
    eprintln!("compared {compared} real archives");
}
