use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use camino::Utf8Path;
use proptest::prelude::*;
use recipe_store::{Session, Store, TreeBuilder};

use super::*;
use crate::archive::{ArchiveError, Compression, Limits, Sink, unpack_tar};

/// A store in a temporary directory.
struct Scratch {
    home: tempfile::TempDir,
    session: Session,
}

impl Scratch {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Utf8Path::from_path(home.path()).unwrap().join("store");
        let session = Store::open(&store).unwrap().session().unwrap();
        Scratch { home, session }
    }

    fn tree(&self, items: &BTreeMap<String, Item>) -> TreeId {
        let mut tree = TreeBuilder::new();
        for (path, item) in items {
            match item {
                Item::Directory => tree.directory(path).unwrap(),
                Item::Symlink(target) => {
                    let target = target.clone();
                    tree.insert(path, Entry::Symlink { target }).unwrap();
                }
                Item::File(bytes, executable) => {
                    let executable = *executable;
                    let blob = self.session.put_blob(bytes, executable).unwrap();
                    tree.insert(path, Entry::File { blob, executable }).unwrap();
                }
            }
        }
        tree.finish(&self.session).unwrap()
    }

    fn pack(&self, tree: &TreeId, options: &Options) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = write(&self.session, tree, options, &mut bytes, &mut |_| {}).unwrap();
        assert_eq!(written.bytes, bytes.len() as u64);
        assert_eq!(written.digest, Digest::of(&bytes));
        bytes
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Directory,
    File(Vec<u8>, bool),
    Symlink(String),
}

#[derive(Default)]
struct Remembered(BTreeMap<String, Item>);

impl Sink for Remembered {
    fn directory(&mut self, path: &str) -> Result<(), ArchiveError> {
        self.0.insert(path.into(), Item::Directory);
        Ok(())
    }
    fn file(
        &mut self,
        path: &str,
        executable: bool,
        _: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        let mut bytes = Vec::new();
        content
            .read_to_end(&mut bytes)
            .map_err(ArchiveError::sink)?;
        self.0.insert(path.into(), Item::File(bytes, executable));
        Ok(())
    }
    fn symlink(&mut self, path: &str, target: &str) -> Result<(), ArchiveError> {
        self.0.insert(path.into(), Item::Symlink(target.into()));
        Ok(())
    }
    fn hard_link(&mut self, _: &str, _: &str) -> Result<(), ArchiveError> {
        unreachable!("we write none")
    }
}

fn unpacked(bytes: &[u8], format: Format) -> BTreeMap<String, Item> {
    let compression = match format {
        Format::TarGz => Compression::Gzip,
        _ => Compression::Zstd,
    };
    let mut sink = Remembered::default();
    let limits = Limits::default();
    unpack_tar(bytes, compression, "package", &limits, &mut sink).unwrap();
    sink.0
}

fn options(format: Format) -> Options {
    Options {
        format,
        level: None,
        top: "closure-1.0".into(),
        epoch: 1_700_000_000,
        threads: 2,
    }
}

/// Every case in which ustar is not enough, and those just before.
fn awkward() -> BTreeMap<String, Item> {
    let file = |text: &str| Item::File(text.into(), false);
    let mut items = BTreeMap::from([
        ("bin/run".to_owned(), Item::File(b"#!".to_vec(), true)),
        ("bin/run.d".to_owned(), Item::Directory),
        ("empty".to_owned(), file("")),
        ("large".to_owned(), Item::File(vec![9; 2_000_000], false)),
        ("ünï/cödé".to_owned(), file("u")),
        ("a b\nc\"".to_owned(), file("odd")),
        ("link".to_owned(), Item::Symlink("bin/run".into())),
        (
            "far".to_owned(),
            Item::Symlink(format!("{}x", "d/".repeat(60))),
        ),
        ("ünlink".to_owned(), Item::Symlink("ünï/cödé".into())),
    ]);
    for length in [86, 87, 88, 89, 100, 101, 155, 156, 200, 255] {
        items.insert("n".repeat(length), file("long name"));
        items.insert(format!("{}/file", "p".repeat(length)), file("long folder"));
        items.insert(
            format!("{}/{}", "q".repeat(length), "r".repeat(99)),
            Item::Directory,
        );
    }
    items
}

/// With every directory above an entry.
fn whole(items: &BTreeMap<String, Item>, top: &str) -> BTreeMap<String, Item> {
    let mut all = BTreeMap::new();
    for (path, item) in items {
        let path = format!("{top}/{path}");
        for (end, _) in path.match_indices('/') {
            all.insert(path[..end].to_owned(), Item::Directory);
        }
        all.insert(path, item.clone());
    }
    all
}

#[test]
fn what_goes_in_comes_out() {
    let scratch = Scratch::new();
    let tree = scratch.tree(&awkward());
    for format in [Format::TarZst, Format::TarGz] {
        let bytes = scratch.pack(&tree, &options(format));
        assert_eq!(unpacked(&bytes, format), whole(&awkward(), "closure-1.0"));
        let nested = Options {
            top: "opt/x".into(),
            ..options(format)
        };
        let bytes = scratch.pack(&tree, &nested);
        assert_eq!(unpacked(&bytes, format), whole(&awkward(), "opt/x"));
    }
}

#[test]
fn any_number_of_threads_and_any_store_give_the_same_bytes() {
    let (one, other) = (Scratch::new(), Scratch::new());
    let mut items = awkward();
    let tree = one.tree(&items);
    assert_eq!(other.tree(&items), tree);
    let gz = options(Format::TarGz);
    assert_eq!(one.pack(&tree, &gz), other.pack(&tree, &gz));
    // At level 9 one job of the compressor is 16 MiB: this makes more than one.
    let noise = (0..20_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 29) as u8);
    items.insert("noise".into(), Item::File(noise.collect(), false));
    let tree = one.tree(&items);
    assert_eq!(other.tree(&items), tree);
    let with = |scratch: &Scratch, threads| {
        let zst = options(Format::TarZst);
        scratch.pack(&tree, &Options { threads, ..zst })
    };
    let first = with(&one, 1);
    for threads in [0, 2, 3] {
        assert!(with(&other, threads) == first, "{threads} threads");
    }
}

#[test]
fn the_tar_inside_is_the_same_for_ever() {
    let scratch = Scratch::new();
    let tree = scratch.tree(&awkward());
    let bytes = scratch.pack(&tree, &options(Format::TarZst));
    let tar = zstd::decode_all(&bytes[..]).unwrap();
    let digest = "fe7907ada590afc320e1d4933f816695bb7c61dbfa8850d5674ab5f13f27a074";
    assert_eq!(Digest::of(&tar).to_string(), digest);
}

#[test]
fn entries_are_sorted_and_carry_nothing_of_this_machine() {
    let scratch = Scratch::new();
    let tree = scratch.tree(&awkward());
    let bytes = zstd::decode_all(&scratch.pack(&tree, &options(Format::TarZst))[..]).unwrap();
    let mut archive = ::tar::Archive::new(&bytes[..]);
    let mut paths = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let mode = header.mode().unwrap();
        match header.entry_type() {
            ::tar::EntryType::Directory => assert_eq!(mode, 0o755),
            ::tar::EntryType::Symlink => assert_eq!(mode, 0o777),
            _ => assert_eq!(
                mode,
                if entry.path_bytes().ends_with(b"bin/run") {
                    0o755
                } else {
                    0o644
                }
            ),
        }
        assert_eq!(header.mtime().unwrap(), 1_700_000_000);
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.username_bytes().unwrap(), b"");
        assert_eq!(header.groupname_bytes().unwrap(), b"");
        let path = entry.path_bytes().into_owned();
        paths.push(path.strip_suffix(b"/").map(<[u8]>::to_vec).unwrap_or(path));
    }
    assert!(paths.is_sorted());
    assert_eq!(paths.len(), whole(&awkward(), "closure-1.0").len());
}

/// Prints path, mode and content of what a program unpacked.
const LOOK: &str = r#"
import hashlib, os, sys
root = os.fsencode(sys.argv[1])
for folder, folders, files in os.walk(root):
    for name in folders + files:
        path = os.path.join(folder, name)
        status = os.lstat(path)
        what = oct(status.st_mode) if not os.path.islink(path) else os.readlink(path).hex()
        content = hashlib.sha256(open(path, "rb").read()).hexdigest() if os.path.isfile(path) and not os.path.islink(path) else ""
        print(os.path.relpath(path, root).hex(), what, content, 0 if os.path.islink(path) else int(status.st_mtime))
"#;

#[test]
fn other_programs_unpack_the_same_files_and_modes() {
    let scratch = Scratch::new();
    let tree = scratch.tree(&awkward());
    let package = scratch.home.path().join("package.tar.gz");
    std::fs::write(&package, scratch.pack(&tree, &options(Format::TarGz))).unwrap();
    let plain = scratch.home.path().join("package.tar");
    let zst = scratch.pack(&tree, &options(Format::TarZst));
    std::fs::write(&plain, zstd::decode_all(&zst[..]).unwrap()).unwrap();
    let extract =
        "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter='tar')";
    let mut seen: Vec<(String, String)> = Vec::new();
    for file in [&package, &plain] {
        for program in ["tar", "bsdtar", "python3"] {
            let folder = scratch.home.path().join(format!(
                "{program}-of-{}",
                file.extension().unwrap().display()
            ));
            std::fs::create_dir(&folder).unwrap();
            let mut command = Command::new(program);
            match program {
                "python3" => command.args(["-c", extract]).arg(file).arg(&folder),
                _ => command.arg("-xpf").arg(file).arg("-C").arg(&folder),
            };
            match command
                .env("LC_ALL", "C.UTF-8")
                .stderr(Stdio::inherit())
                .status()
            {
                Ok(status) => assert!(status.success(), "{program}"),
                Err(error) => {
                    eprintln!("left out: {program}: {error}");
                    continue;
                }
            }
            let look = Command::new("python3")
                .args(["-c", LOOK])
                .arg(&folder)
                .output()
                .unwrap();
            let mut lines: Vec<_> = String::from_utf8(look.stdout)
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect();
            lines.sort();
            assert_eq!(
                lines.len(),
                whole(&awkward(), "closure-1.0").len(),
                "{program}"
            );
            seen.push((program.to_owned(), lines.join("\n")));
        }
    }
    assert!(seen.len() >= 2, "there are programs to compare with");
    for (program, lines) in &seen {
        assert_eq!(lines, &seen[0].1, "{program}");
    }
}

#[test]
fn a_blob_that_changed_in_the_store_is_not_packed() {
    let scratch = Scratch::new();
    let items = BTreeMap::from([("f".to_owned(), Item::File(vec![5; 100_000], false))]);
    let tree = scratch.tree(&items);
    scratch.session.commit().unwrap();
    let mut pending = vec![scratch.home.path().to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if std::fs::read(&path).unwrap() == vec![5; 100_000] {
            let writable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            std::fs::set_permissions(&path, writable).unwrap();
            std::fs::write(&path, vec![6; 100_000]).unwrap();
        }
    }
    let result = write(
        scratch.session.store(),
        &tree,
        &options(Format::TarZst),
        &mut io::sink(),
        &mut |_| {},
    );
    let message = result.expect_err("damaged").to_string();
    assert!(
        message.starts_with("\"f\" is damaged in the store"),
        "{message}"
    );
}

#[test]
fn options_that_cannot_be_are_refused() {
    let scratch = Scratch::new();
    let tree = scratch.tree(&BTreeMap::new());
    let good = options(Format::TarZst);
    for (bad, reason) in [
        (
            Options {
                level: Some(21),
                ..good.clone()
            },
            "the compression level is 21, 1 to 20 for tar.zst was wanted",
        ),
        (
            Options {
                level: Some(0),
                ..options(Format::TarGz)
            },
            "the compression level is 0, 1 to 9 for tar.gz was wanted",
        ),
        (
            Options {
                top: "../x".into(),
                ..good.clone()
            },
            "the top folder is \"../x\"",
        ),
        (
            Options {
                top: "/x".into(),
                ..good.clone()
            },
            "the top folder",
        ),
        (
            Options {
                epoch: u64::MAX,
                ..good
            },
            "the time of the entries",
        ),
    ] {
        let result = write(&scratch.session, &tree, &bad, &mut io::sink(), &mut |_| {});
        let message = result.expect_err("refused").to_string();
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn a_full_disk_is_told_and_progress_ends_at_the_total() {
    let scratch = Scratch::new();
    let tree = scratch.tree(&awkward());
    let mut full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let good = options(Format::TarGz);
    let result = write(&scratch.session, &tree, &good, &mut full, &mut |_| {});
    assert!(matches!(result, Err(PackageError::Write(_))));
    let mut last = None;
    write(
        &scratch.session,
        &tree,
        &good,
        &mut io::sink(),
        &mut |told| {
            assert!(last.is_none_or(|last: Progress| last.done < told.done));
            last = Some(told);
        },
    )
    .unwrap();
    assert!(last.is_some_and(|last| last.done == last.total && last.total > 2_000_000));
}

#[test]
fn every_name_and_target_survives() {
    let scratch = Scratch::new();
    let names = prop::collection::btree_set("[a-zä☃ .]{1,80}(/[a-zä]{1,60}){0,4}", 1..8);
    proptest!(|(names in names, target in "[a-zé]{1,200}")| {
        let mut items = BTreeMap::new();
        for name in names {
            let path = format!("x{name}");
            let clash = items.keys().any(|other: &String| {
                path.starts_with(&format!("{other}/")) || other.starts_with(&format!("{path}/"))
            });
            if !clash {
                items.insert(path, Item::Symlink(target.clone()));
            }
        }
        let tree = scratch.tree(&items);
        let bytes = scratch.pack(&tree, &options(Format::TarZst));
        prop_assert_eq!(unpacked(&bytes, Format::TarZst), whole(&items, "closure-1.0"));
    });
}

/// Path, mode, date and content.
type ReadBack = (String, u32, Vec<u32>, serde_json::Value);

/// Python's zipfile tells what it reads: path, mode, kind and content of each entry.
const READS: &str = r#"
import sys, zipfile, json
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    print(json.dumps([
        [info.filename, info.external_attr >> 16, list(info.date_time), archive.read(info).hex() if info.file_size < 4096 else info.file_size]
        for info in archive.infolist()
    ]))
"#;

fn pythons_reading(scratch: &Scratch, bytes: &[u8]) -> Option<Vec<ReadBack>> {
    let path = scratch.home.path().join("a.zip");
    std::fs::write(&path, bytes).unwrap();
    let output = Command::new("python3")
        .args(["-c", READS])
        .arg(&path)
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no python3");
        return None;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_zip_holds_what_the_tree_holds_says_pythons_zipfile() {
    let scratch = Scratch::new();
    let items = awkward();
    let tree = scratch.tree(&items);
    let bytes = scratch.pack(&tree, &options(Format::Zip));
    let Some(read) = pythons_reading(&scratch, &bytes) else {
        return;
    };
    let found: BTreeMap<&str, (u32, &serde_json::Value)> = read
        .iter()
        .map(|(path, mode, date, content)| {
            assert_eq!(*date, [2023, 11, 14, 22, 13, 20]);
            (path.as_str(), (*mode, content))
        })
        .collect();
    assert_eq!(found.len(), read.len(), "no path comes twice");
    for (path, item) in &items {
        let path = format!("closure-1.0/{path}");
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        match item {
            Item::Directory => assert_eq!(found[&*format!("{path}/")].0, 0o040_755),
            Item::Symlink(target) => {
                assert_eq!(found[&*path], (0o120_777, &hex(target.as_bytes()).into()));
            }
            Item::File(content, executable) => {
                let mode = if *executable { 0o100_755 } else { 0o100_644 };
                let content = if content.len() < 4096 {
                    hex(content).into()
                } else {
                    content.len().into()
                };
                assert_eq!(found[&*path], (mode, &content), "{path}");
            }
        }
    }
}

#[test]
fn unzip_makes_programs_and_links_of_a_zip() {
    let scratch = Scratch::new();
    let tree = scratch.tree(&awkward());
    let bytes = scratch.pack(&tree, &options(Format::Zip));
    let path = scratch.home.path().join("a.zip");
    std::fs::write(&path, &bytes).unwrap();
    let unzip = Command::new("unzip")
        .arg("-q")
        .arg(&path)
        .current_dir(scratch.home.path())
        .output();
    let Ok(output) = unzip else {
        eprintln!("skipped: there is no unzip");
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let top = scratch.home.path().join("closure-1.0");
    assert_eq!(
        std::fs::read_link(top.join("link")).unwrap().to_str(),
        Some("bin/run")
    );
    let mode = std::fs::metadata(top.join("bin/run"))
        .unwrap()
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o755
    );
}

#[test]
fn a_zip_of_more_entries_than_16_bits_count_is_read_by_python() {
    let scratch = Scratch::new();
    let one = Item::File(b"x".to_vec(), false);
    let items = (0..66_000)
        .map(|n| (format!("{}/{n}", n / 1000), one.clone()))
        .collect();
    let tree = scratch.tree(&items);
    let bytes = scratch.pack(&tree, &options(Format::Zip));
    let Some(read) = pythons_reading(&scratch, &bytes) else {
        return;
    };
    assert_eq!(read.len(), 66_000 + 66 + 1);
}

#[test]
fn a_zip_is_the_same_to_the_byte_each_time() {
    let scratch = Scratch::new();
    let tree = scratch.tree(&awkward());
    let one = scratch.pack(&tree, &options(Format::Zip));
    let other = Options {
        threads: 7,
        ..options(Format::Zip)
    };
    assert!(one == scratch.pack(&tree, &other));
}
