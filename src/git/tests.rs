//! Packs that the real git makes, and packs that nobody should make.

use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;

use super::archive::{self, Failed};
use super::{MOST, ObjectName, pack, protocol};

/// Runs git in a folder; `None` where there is none.
fn git(folder: &Utf8Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(["-c", "user.name=A B", "-c", "user.email=a@b.test"])
        .args(["-c", "init.defaultBranch=main", "-c", "core.autocrlf=false"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_COMMITTER_DATE", "2020-02-03T04:05:06+0100")
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

struct Repository {
    _scratch: tempfile::TempDir,
    path: Utf8PathBuf,
    commit: ObjectName,
}

/// Two commits of files of many kinds, packed with differences; `None` where there is no git.
fn repository() -> Option<Repository> {
    let scratch = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(scratch.path().to_owned()).unwrap();
    if git(&path, &["init", "-q"]).is_none() {
        println!("skipped: there is no git");
        return None;
    }
    let write = |name: &str, text: &[u8]| {
        let file = path.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    let long: String = (0..4000).map(|n| format!("line {n} of it\n")).collect();
    write("a.txt", b"first\n");
    write("a/b/c.txt", long.as_bytes());
    write("a-b", b"sorts between a.txt and a/b\n");
    write("empty", b"");
    write(
        &format!("deep/{}/x", "d/".repeat(60).trim_end_matches('/')),
        b"far\n",
    );
    write("\u{e4} b", "ümlaut\n".as_bytes());
    write("run.sh", b"#!/bin/sh\n");
    let run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path.join("run.sh"), run).unwrap();
    std::os::unix::fs::symlink("a/b", path.join("link")).unwrap();
    git(&path, &["add", "-A"])?;
    git(&path, &["commit", "-qm", "one"])?;
    write("a/b/d.txt", format!("{long}and one more\n").as_bytes());
    git(&path, &["add", "-A"])?;
    git(&path, &["commit", "-qm", "two"])?;
    let commit = git(&path, &["rev-parse", "HEAD"])?.parse().unwrap();
    Some(Repository {
        _scratch: scratch,
        path,
        commit,
    })
}

/// What git's own server answers to our request.
fn answer(repository: &Repository, commit: ObjectName) -> Vec<u8> {
    let mut server = Command::new("git")
        .args(["upload-pack", "--stateless-rpc", repository.path.as_str()])
        .env("GIT_PROTOCOL", "version=2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = server.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, &protocol::request(commit)).unwrap();
    drop(stdin);
    server.wait_with_output().unwrap().stdout
}

/// The archive that we make of a commit, as tar lists it, with each file's bytes.
fn listing(tar: &[u8]) -> Vec<(String, String, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type() == tar::EntryType::XGlobalHeader {
            continue;
        }
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let target = entry.link_name().unwrap();
        let header = entry.header();
        let is_run = header.mode().unwrap() & 0o100 != 0 && header.entry_type().is_file();
        let facts = format!(
            "{:?} {is_run} {target:?} {}",
            header.entry_type(),
            header.mtime().unwrap()
        );
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        all.push((path.trim_end_matches('/').to_owned(), facts, bytes));
    }
    all
}

#[test]
fn a_commit_gives_the_files_that_gits_own_archive_has() {
    let Some(repository) = repository() else {
        return;
    };
    let commit = repository.commit;
    let pack = protocol::read(&answer(&repository, commit)).unwrap();
    let objects = pack::read(&pack, MOST).unwrap();
    let ours = repository.path.join("ours.tar");
    archive::write(&objects, commit, "top", &ours).unwrap();
    let ours = std::fs::read(&ours).unwrap();
    let args = [
        "archive",
        "--format=tar",
        "--prefix=top/",
        "-o",
        "theirs.tar",
    ];
    let name = commit.to_string();
    git(&repository.path, &[&args[..], &[&name]].concat()).unwrap();
    let theirs = std::fs::read(repository.path.join("theirs.tar")).unwrap();
    let (ours, theirs) = (listing(&ours), listing(&theirs));
    assert!(theirs.len() > 70);
    assert_eq!(ours, theirs);
    let older = git(&repository.path, &["rev-parse", "HEAD~1"]).unwrap();
    let older = older.parse().unwrap();
    let older = objects.get(&older, pack::Kind::Commit);
    assert!(older.is_err(), "its history is not asked for");
}

#[test]
fn a_commit_that_is_not_there_is_refused_in_the_servers_own_words() {
    let Some(repository) = repository() else {
        return;
    };
    let other = "1234567890123456789012345678901234567890".parse().unwrap();
    match protocol::read(&answer(&repository, other)) {
        Err(protocol::Wrong::Said(said)) => assert!(said.contains("not our ref"), "{said}"),
        other => panic!("{other:?}"),
    }
}

/// A pack with all that a repository has, as `git pack-objects` makes it.
fn whole_pack(repository: &Repository, args: &[&str]) -> Vec<u8> {
    let all = git(&repository.path, &["rev-list", "--objects", "--all"]).unwrap();
    let names: String = all
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(|name| format!("{name}\n"))
        .collect();
    let mut packing = Command::new("git")
        .args([
            "pack-objects",
            "--stdout",
            "-q",
            "--window=10",
            "--depth=50",
        ])
        .args(args)
        .current_dir(&repository.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = packing.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, names.as_bytes()).unwrap();
    drop(stdin);
    packing.wait_with_output().unwrap().stdout
}

#[test]
fn differences_by_place_and_by_name_give_the_same_objects() {
    let Some(repository) = repository() else {
        return;
    };
    let write = |args: &[&str], file: &str| {
        let objects = pack::read(&whole_pack(&repository, args), MOST).unwrap();
        let path = repository.path.join(file);
        archive::write(&objects, repository.commit, "x", &path).unwrap();
        std::fs::read(path).unwrap()
    };
    let named = write(&[], "named.tar");
    assert_eq!(named, write(&["--delta-base-offset"], "placed.tar"));
}

#[test]
fn every_damaged_byte_of_a_pack_is_noticed() {
    let Some(repository) = repository() else {
        return;
    };
    let pack = whole_pack(&repository, &["--delta-base-offset"]);
    assert!(pack::read(&pack, MOST).is_ok());
    for at in (0..pack.len()).step_by(7) {
        let mut damaged = pack.clone();
        damaged[at] ^= 0x10;
        assert!(pack::read(&damaged, MOST).is_err(), "byte {at}");
    }
    assert!(pack::read(&pack[..pack.len() - 1], MOST).is_err());
    assert!(pack::read(&pack, 100).is_err(), "larger than is allowed");
}

/// A tree object with these entries.
fn tree(entries: &[(&str, &str)]) -> Vec<u8> {
    let entry =
        |(mode, name): &(&str, &str)| [format!("{mode} {name}\0").as_bytes(), &[7; 20]].concat();
    entries.iter().flat_map(entry).collect()
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (mode, name) in [
        ("100644", ".."),
        ("100644", "."),
        ("100644", ""),
        ("100644", "a/b"),
        ("40000", ".git"),
        ("100600", "a"),
        ("20000", "a"),
    ] {
        let list = archive::names(&tree(&[(mode, name)]));
        assert!(list.is_err(), "{mode} {name}");
    }
    assert_eq!(
        archive::names(&tree(&[("100644", "a"), ("120000", "é")])),
        Ok(vec!["a".into(), "é".into()])
    );
    assert!(archive::names(b"100644 a\0short").is_err());
    assert!(archive::names(b"100644").is_err());
}

#[test]
fn the_name_of_an_object_is_forty_digits_in_lower_case() {
    let name = "0123456789abcdef0123456789abcdef01234567";
    assert_eq!(
        name.parse::<ObjectName>().map(|it| it.to_string()),
        Ok(name.into())
    );
    for wrong in [
        "",
        "main",
        &name[1..],
        &name.to_uppercase(),
        &format!("{name}0"),
    ] {
        assert!(wrong.parse::<ObjectName>().is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_bytes_of_a_server_are_more_than_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = protocol::read(&bytes);
        let _ = pack::read(&bytes, MOST);
        let _ = archive::names(&bytes);
        let mut pack = b"PACK\0\0\0\x02\0\0\0\x01".to_vec();
        pack.extend(&bytes);
        let sum = pack::sum(&pack);
        pack.extend(sum);
        if let Ok(objects) = pack::read(&pack, MOST) {
            let path = Utf8Path::new("/nonexistent/archive");
            let failed = archive::write(&objects, ObjectName([0; 20]), "x", path);
            prop_assert!(matches!(failed, Err(Failed::Objects(_))));
        }
    }
}
