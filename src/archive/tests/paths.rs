//! Names and links, all as tar: the guard behind every format is the same.

use super::fixture::{Block, Tar, header};
use super::*;

fn tar(tar: Tar) -> Packed {
    Packed::tar(tar.end())
}

fn one(block: Block) -> Packed {
    tar(Tar::new().raw(block, b""))
}

#[test]
fn f001_paths_that_lead_out_are_refused_by_name_and_number() {
    for (name, reason) in [
        ("../x", "\"..\""),
        ("a/../../x", "\"..\""),
        ("a/..", "\"..\""),
        ("..", "\"..\""),
        ("./../x", "\"..\""),
        ("/etc/passwd", "absolute"),
        ("//x", "absolute"),
        ("/", "absolute"),
    ] {
        let before = Tar::new().file("fine", b"");
        refused(&tar(before.file(name, b"x")), Some((2, name)), reason);
        let before = Tar::new().file("fine", b"");
        refused(&tar(before.directory(name)), Some((2, name)), reason);
        let before = Tar::new()
            .file("fine", b"")
            .pax(&[("path", name.as_bytes())]);
        refused(&tar(before.file("x", b"x")), Some((2, name)), reason);
    }
}

#[test]
fn f002_symlink_then_file_through_it_is_refused() {
    let outside = Tar::new().symlink("a", "../canary").file("a/x", b"");
    refused(
        &tar(outside),
        Some((1, "a")),
        "leads out of the archive's root",
    );
    let absolute = Tar::new().symlink("a", "/etc").file("a/x", b"");
    refused(&tar(absolute), Some((1, "a")), "is absolute");
    let sibling = Tar::new()
        .directory("other")
        .symlink("a", "other")
        .file("a/x", b"");
    refused(
        &tar(sibling),
        Some((3, "a/x")),
        "below \"a\", which an earlier entry made a symlink",
    );
    let two = Tar::new()
        .symlink("b", "c")
        .symlink("a", "b")
        .file("a/b/x", b"");
    refused(&tar(two), Some((3, "a/b/x")), "symlink");
    let onto = Tar::new().symlink("a", "b").file("a", b"");
    refused(
        &tar(onto),
        Some((2, "a")),
        "it is a file, but an earlier entry of the same path is a symlink",
    );
}

#[test]
fn f002_a_link_that_climbs_through_another_link_is_refused() {
    // Read as text it stays inside; followed, `up/..` is the parent of the root.
    let climbing = Tar::new()
        .directory("a/b")
        .symlink("a/b/up", "../..")
        .symlink("x", "a/b/up/../canary");
    let (result, _) = unpack_with(&tar(climbing), &Limits::default());
    let message = result.expect_err("refused").to_string();
    assert!(message.contains("entry 3 \"x\""), "{message}");
    assert!(
        message.contains("climbs with \"..\" out of \"a/b/up\""),
        "{message}"
    );
    let later = Tar::new().symlink("x", "d/../y").symlink("d", "e/f");
    let (result, _) = unpack_with(&tar(later), &Limits::default());
    assert!(result.is_err(), "the order of entries makes no difference");
    accepted(&tar(Tar::new()
        .directory("a")
        .symlink("x", "a/../y")
        .file("y", b"")));
}

#[test]
fn f003_a_directory_entry_over_a_symlink_is_refused() {
    let mut block = header(b'5', b"d", 0);
    block[100..108].copy_from_slice(b"0000777\0");
    let hostile = Tar::new().directory("e").symlink("d", "e").raw(block, b"");
    refused(
        &tar(hostile),
        Some((3, "d")),
        "it is a directory, but an earlier entry of the same path is a symlink",
    );
}

#[test]
fn f004_hard_links_to_anything_but_an_earlier_file_are_refused() {
    let base = || Tar::new().file("f", b"").directory("d").symlink("s", "f");
    for (to, reason) in [
        ("/etc/passwd", "absolute"),
        ("../canary/file", "\"..\""),
        ("s", "which is a symlink"),
        ("d", "which is a directory"),
        ("missing", "no earlier entry made"),
        ("f/x", "no earlier entry made"),
        ("s/x", "no earlier entry made"),
        ("h", "no earlier entry made"),
        ("", "empty"),
    ] {
        refused(&tar(base().hard_link("h", to)), Some((4, "h")), reason);
    }
    let content = Tar::new().file("f", b"").raw(
        {
            let mut block = header(b'1', b"h", 512);
            block[157] = b'f';
            block
        },
        &[0; 512],
    );
    refused(&tar(content), Some((2, "h")), "only files have content");
}

#[test]
fn f004_a_chain_of_links_longer_than_path_max_is_judged_without_following_it() {
    let part = "p".repeat(90);
    let mut chain = Tar::new().directory(&part);
    for index in 0..200 {
        let target = if index == 0 {
            part.clone()
        } else {
            format!("l{}", index - 1)
        };
        chain = chain.symlink(&format!("l{index}"), &target);
    }
    chain = chain.symlink("last", "l199/../../../../../canary");
    refused(&tar(chain), Some((202, "last")), "leads out");
}

#[test]
fn f009_the_same_path_twice_is_refused_but_directories_may_repeat() {
    let twice = Tar::new().file("a", b"1").file("a", b"2");
    refused(
        &tar(twice),
        Some((2, "a")),
        "it is a file, but an earlier entry of the same path is a file",
    );
    let under = Tar::new().file("a", b"").file("a/b", b"");
    refused(
        &tar(under),
        Some((2, "a/b")),
        "below \"a\", which an earlier entry made a file",
    );
    let under = Tar::new().file("a", b"").directory("a/b");
    refused(&tar(under), Some((2, "a/b")), "below \"a\"");
    let over = Tar::new().file("a/b", b"").file("a", b"");
    refused(
        &tar(over),
        Some((2, "a")),
        "it is a file, but an earlier entry of the same path is a directory",
    );
    let over = Tar::new().directory("a").symlink("a", "b");
    refused(&tar(over), Some((2, "a")), "it is a symlink, but");
    let linked = Tar::new().file("a", b"").file("b", b"").hard_link("b", "a");
    refused(&tar(linked), Some((3, "b")), "it is a file, but an earlier");
    accepted(&tar(Tar::new()
        .directory("a/")
        .file("a/b", b"")
        .directory("a")
        .directory("./a/")));
}

#[test]
fn f010_names_that_differ_by_case_or_unicode_form_stay_apart() {
    let names = ["A", "a", "e\u{301}", "\u{e9}", "ﬁ", "fi"];
    let mut all = Tar::new();
    for name in names {
        all = all.file(name, name.as_bytes());
    }
    let items = accepted(&tar(all));
    assert_eq!(items.len(), names.len());
    for name in names {
        assert_eq!(items[name], Item::File(name.into(), false));
    }
}

#[test]
fn f011_bad_names_are_refused_and_odd_ones_kept_to_the_byte() {
    let long = "x".repeat(256);
    for (name, shown, reason) in [
        (&b""[..], "", "empty"),
        (b".", ".", "dot"),
        (b"./", "./", "ends in a slash"),
        (b"a//b", "a//b", "empty or \".\" part"),
        (b"a/./b", "a/./b", "empty or \".\" part"),
        (b"a/.", "a/.", "empty or \".\" part"),
        (
            b"a/",
            "a/",
            "ends in a slash as a directory's does, but it is a file",
        ),
        (b"a\xff", "a\\xff", "not UTF-8"),
        (b"a\0b", "a", "NUL"),
    ] {
        let mut block = header(b'0', b"", 0);
        block[..name.len()].copy_from_slice(name);
        let shown = if name.contains(&0) {
            "extension".to_owned()
        } else {
            shown.to_owned()
        };
        if name.contains(&0) {
            block[..9].copy_from_slice(b"extension");
            block[10] = b'x';
        }
        refused(&one(block), Some((1, &shown)), reason);
    }
    let part = Tar::new().pax(&[("path", long.as_bytes())]).file("x", b"");
    let (result, _) = unpack_with(&tar(part), &Limits::default());
    assert!(
        result
            .expect_err("refused")
            .to_string()
            .contains("a part of its path: more than the 255 bytes")
    );
    let odd = [
        "new\nline",
        "esc\u{1b}[2J",
        "quote\"",
        "back\\slash",
        " ",
        "-rf",
        "\u{202e}gpj",
    ];
    for name in odd {
        assert_eq!(names(&accepted(&tar(Tar::new().file(name, b"")))), [name]);
    }
    let twice = |name: &str| tar(Tar::new().file(name, b"").file(name, b""));
    refused(
        &twice("new\nline"),
        Some((2, "new\\nline")),
        "earlier entry",
    );
    refused(
        &twice("esc\u{1b}[2J"),
        Some((2, "esc\\u{1b}[2J")),
        "earlier entry",
    );
    refused(
        &twice("\u{202e}gpj"),
        Some((2, "\\u{202e}gpj")),
        "earlier entry",
    );
}

#[test]
fn f011_bad_link_targets_are_refused() {
    let long = "t/".repeat(2048);
    let pax = |target: &[u8]| tar(Tar::new().pax(&[("linkpath", target)]).symlink("s", ""));
    refused(
        &tar(Tar::new().symlink("s", "")),
        Some((1, "s")),
        "link target is empty",
    );
    refused(&pax(b"a\xff"), Some((1, "s")), "link target is not UTF-8");
    refused(&pax(long.as_bytes()), Some((1, "s")), "4096 bytes");
    let nul = Tar::new().extension(b'K', b"a\0b\0").symlink("s", "");
    refused(&tar(nul), Some((1, "extension")), "NUL");
    accepted(&pax(&long.as_bytes()[..4095]));
}

#[test]
fn f013_names_of_our_own_files_are_plain_data() {
    let names = [
        ".recipe",
        ".cargo-ok",
        "manifest.json",
        ".recipe/manifest",
        "RECORD",
    ];
    let mut all = Tar::new();
    for name in names.iter().filter(|name| **name != ".recipe") {
        all = all.file(name, b"theirs");
    }
    assert_eq!(
        accepted(&tar(all))["manifest.json"],
        Item::File(b"theirs".to_vec(), false)
    );
}

#[test]
fn f014_paths_beyond_64_parts_or_4096_bytes_are_refused() {
    let deep = |parts: usize| vec!["d"; parts].join("/");
    accepted(&tar(Tar::new()
        .pax(&[("path", deep(64).as_bytes())])
        .file("x", b"")));
    for (path, reason) in [
        (deep(65), "the depth of its path: more than the 64 parts"),
        (deep(2000), "the depth of its path"),
        (
            deep(100_000),
            "the length of its path: more than the 4096 bytes",
        ),
        (
            vec!["p".repeat(200); 25].join("/"),
            "the length of its path",
        ),
    ] {
        let hostile = Tar::new().pax(&[("path", path.as_bytes())]).file("x", b"");
        let (result, items) = unpack_with(&tar(hostile), &Limits::default());
        let message = result.expect_err("refused").to_string();
        assert!(message.contains(reason), "{message}");
        assert!(message.len() < 500, "a long name is cut in messages");
        assert!(items.is_empty());
    }
}
