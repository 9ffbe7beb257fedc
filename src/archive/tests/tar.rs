use super::fixture::{Block, Tar, bzip2, gzip, header, record};
use super::*;

fn tar(tar: Tar) -> Packed {
    Packed::tar(tar.end())
}

fn one(block: Block) -> Packed {
    tar(Tar::new().raw(block, b""))
}

#[test]
fn an_ordinary_archive_is_unpacked() {
    let long = format!("pkg/{}/file", "long".repeat(60));
    let items = accepted(&tar(Tar::new()
        .extension(b'g', &record("comment", b"0123456789abcdef"))
        .directory("./")
        .directory("./pkg/")
        .file("./pkg/a", b"content")
        .directory("pkg/")
        .file("pkg/empty", b"")
        .pax(&[
            ("path", long.as_bytes()),
            ("mtime", b"1.5"),
            ("uid", b"9999999"),
        ])
        .file("short", &[7; 700])
        .symlink("pkg/link", "../pkg/a")
        .hard_link("pkg/again", "./pkg/a")));
    assert_eq!(items["pkg/a"], Item::File(b"content".to_vec(), false));
    assert_eq!(items["pkg/again"], items["pkg/a"]);
    assert_eq!(items[&long], Item::File(vec![7; 700], false));
    assert_eq!(items["pkg/link"], Item::Symlink("../pkg/a".into()));
    assert_eq!(items.len(), 6);
}

#[test]
fn gnu_long_names_and_links_are_read() {
    let name = "n".repeat(150);
    let target = format!("{}/x", "t".repeat(150));
    let items = accepted(&tar(Tar::new()
        .extension(b'L', format!("{name}\0").as_bytes())
        .extension(b'K', format!("{target}\0").as_bytes())
        .symlink("cut", "cut")));
    assert_eq!(items[&name], Item::Symlink(target));
}

#[test]
fn a_ustar_prefix_is_part_of_the_name() {
    let mut block = header(b'0', b"file", 0);
    block[345..350].copy_from_slice(b"a/dir");
    assert_eq!(names(&accepted(&one(block))), ["a/dir/file"]);
}

#[test]
fn f005_a_pax_size_that_contradicts_the_header_is_refused() {
    let inner = Tar::new().file("smuggled", b"").end();
    let size = inner.len().to_string();
    let hiding = Tar::new()
        .pax(&[("size", size.as_bytes())])
        .raw(header(b'0', b"f", 0), &inner);
    refused(
        &tar(hiding),
        Some((1, "f")),
        "its size is 1536 in one place and 0 in another",
    );
    let shorter = Tar::new()
        .pax(&[("size", b"0")])
        .raw(header(b'0', b"f", 1536), &inner);
    refused(
        &tar(shorter),
        Some((1, "f")),
        "its size is 0 in one place and 1536 in another",
    );
    let same = Tar::new()
        .pax(&[("size", size.as_bytes())])
        .raw(header(b'0', b"f", 1536), &inner);
    assert_eq!(names(&accepted(&tar(same))), ["f"]);
}

#[test]
fn f005_entries_over_8_gib_pass() {
    let size: u64 = (9 << 30) + 1;
    let pax = Tar::new()
        .pax(&[("size", size.to_string().as_bytes())])
        .raw(header(b'0', b"f", 0), b"");
    let mut block = header(b'0', b"f", 0);
    block[257..265].copy_from_slice(b"ustar  \0");
    block[124..136].copy_from_slice(&[&[0x80, 0, 0, 0][..], &size.to_be_bytes()].concat());
    for tar in [pax, Tar::new().raw(block, b"")] {
        let mut asked = None;
        let mut ask = OnlyFiles(|_: &str, size: u64, _: &mut dyn Read| {
            asked = Some(size);
            Err(ArchiveError::sink("enough"))
        });
        let result = Packed::tar(tar.end()).unpack(&Limits::default(), &mut ask);
        let error = result.expect_err("the sink ended it");
        assert_eq!(
            error.to_string(),
            "hostile-1.0: entry 1 \"f\": cannot be stored"
        );
        assert_eq!(asked, Some(size));
    }
}

#[test]
fn f006_gnu_and_pax_extensions_in_one_archive_are_refused() {
    let mixed = Tar::new()
        .pax(&[("path", b"a")])
        .extension(b'L', b"b\0")
        .file("c", b"");
    refused(
        &tar(mixed),
        Some((1, "extension")),
        "GNU long names and pax headers in one archive",
    );
    let apart = Tar::new()
        .extension(b'L', b"b\0")
        .file("c", b"")
        .pax(&[("path", b"a")])
        .file("d", b"");
    refused(
        &tar(apart),
        Some((2, "extension")),
        "GNU long names and pax headers",
    );
    for twice in [b'L', b'K', b'x'] {
        let content: &[u8] = if twice == b'x' { b"9 path=a\n" } else { b"a\0" };
        let again = Tar::new()
            .extension(twice, content)
            .extension(twice, content)
            .file("c", b"");
        refused(&tar(again), Some((1, "extension")), "second one follows");
    }
}

#[test]
fn f006_malformed_pax_records_are_refused() {
    for (content, reason) in [
        (&b"8 path=a\n"[..], "does not end with its line"),
        (b"11 path=a\n", "cut short"),
        (b"09 path=a\n", "no length"),
        (b"+9 path=a\n", "no length"),
        (b"99999999999999999999 path=a\n", "no length"),
        (b"path=a\n", "cut short"),
        (b"7 path\n", "has no key"),
        (b"5 =a\n", "has no key"),
        (b"8 path=\n", "empty"),
        (b"12 path=a\0b\n", "NUL"),
        (b"9 path=a\n9 path=b\n", "twice"),
        (b"11 size=-1\n", "no size"),
        (b"12 size=0x1\n", "no size"),
        (b"29 size=18446744073709551616\n", "no size"),
        (b"9 what=a\n", "is unknown"),
        (b"0 ", "cut short"),
    ] {
        let hostile = Tar::new().extension(b'x', content).file("c", b"");
        refused(&tar(hostile), Some((1, "extension")), reason);
    }
    let dangling = Tar::new().file("a", b"").pax(&[("path", b"b")]);
    refused(
        &tar(dangling),
        Some((2, "extension")),
        "no entry that it is for",
    );
    let global = Tar::new().extension(b'g', b"9 path=a\n").file("c", b"");
    refused(
        &tar(global),
        Some((1, "extension")),
        "global extended header that sets names",
    );
    let target = Tar::new().pax(&[("linkpath", b"x")]).file("c", b"");
    refused(
        &tar(target),
        Some((1, "c")),
        "gives a link target to a file",
    );
}

#[test]
fn f006_sparse_files_and_volumes_are_refused() {
    for (kind, reason) in [
        (b'S', "sparse"),
        (b'M', "volumes"),
        (b'V', "volume label"),
        (b'D', "incremental"),
        (b'X', "Solaris"),
        (b'7', "contiguous"),
        (b'Z', "no entry type \"Z\""),
    ] {
        refused(&one(header(kind, b"f", 0)), Some((1, "f")), reason);
    }
    for key in ["GNU.sparse.major", "GNU.sparse.name", "SCHILY.realsize"] {
        let sparse = Tar::new().pax(&[(key, b"1")]).file("f", b"");
        refused(&tar(sparse), Some((1, "extension")), "sparse");
    }
}

#[test]
fn f007_devices_fifos_and_sockets_are_refused() {
    for (kind, what) in [
        (b'3', "character device"),
        (b'4', "block device"),
        (b'6', "FIFO"),
        (b's', "socket"),
    ] {
        refused(&one(header(kind, b"dev/x", 0)), Some((1, "dev/x")), what);
    }
}

#[test]
fn f008_of_all_mode_bits_only_executable_is_kept() {
    let modes = ["4777", "2777", "1777", "0000", "0666", "0644", "0100"];
    let executable = [true, true, true, false, false, false, true];
    let mut all = Tar::new();
    for mode in modes {
        let mut block = header(b'0', mode.as_bytes(), 0);
        block[100..108].copy_from_slice(format!("000{mode}\0").as_bytes());
        all = all.raw(block, b"");
    }
    let items = accepted(&tar(all));
    for (mode, executable) in modes.iter().zip(executable) {
        assert_eq!(items[*mode], Item::File(vec![], executable), "{mode}");
    }
}

#[test]
fn f009_numbers_that_cannot_be_are_refused() {
    let with = |at: usize, field: &[u8]| {
        let mut block = header(b'0', b"f", 0);
        block[at..at + field.len()].copy_from_slice(field);
        one(block)
    };
    let base256 = |top: u8, value: u64| [&[top, 0, 0, 0][..], &value.to_be_bytes()].concat();
    for (at, field, reason) in [
        (124, base256(0x80, 1 << 63), "is no size"),
        (124, base256(0x80, u64::MAX - 7), "is no size"),
        (124, base256(0xff, u64::MAX), "is no size"),
        (124, base256(0x80, 5), "base 256 without need"),
        (124, b"-0000000001\0".to_vec(), "is no size"),
        (124, b"00000000008\0".to_vec(), "is no size"),
        (124, b"0000 000000\0".to_vec(), "is no size"),
        (124, vec![0; 12], "is no size"),
        (108, vec![0xff; 8], "is no owner"),
        (108, [0x80, 0xff, 0, 0, 0, 0, 0, 0].to_vec(), "1"),
        (116, b"xyz\0\0\0\0\0".to_vec(), "is no group"),
        (100, b"rwxr-xr-".to_vec(), "is no mode"),
        (257, b"ustar!00".to_vec(), "no tar format has the magic"),
        (508, b"tar\0".to_vec(), "old versions of star"),
    ] {
        let packed = with(at, &field);
        if reason == "1" {
            accepted(&packed); // A large owner in base 256 is what GNU tar writes.
            continue;
        }
        refused(&packed, Some((1, "f")), reason);
    }
    let huge = Tar::new()
        .pax(&[("size", b"9223372036854775808")])
        .raw(header(b'0', b"f", 0), b"");
    refused(&tar(huge), Some((1, "f")), "its size: more than");
    let mut sum = Tar::new().file("f", b"").end();
    sum[0] = b'g';
    refused(&Packed::tar(sum), Some((1, "g")), "checksum");
}

#[test]
fn f012_an_archive_cut_anywhere_is_refused() {
    let whole = Tar::new().directory("d").file("d/f", &[1; 600]).end();
    for length in 0..whole.len() {
        let (result, _) = unpack_in_memory(&Packed::tar(whole[..length].to_vec()));
        assert!(result.is_err(), "cut at {length}");
    }
    refused(
        &Packed::tar(whole[..1500].to_vec()),
        Some((2, "d/f")),
        "cut short",
    );
    let no_end = whole[..whole.len() - 1024].to_vec();
    refused(&Packed::tar(no_end), None, "has no end mark");
    let half_end = whole[..whole.len() - 512].to_vec();
    refused(&Packed::tar(half_end), None, "end mark is cut short");
}

#[test]
fn f012_bytes_after_the_end_are_refused_and_zeros_pass() {
    let whole = || Tar::new().file("f", b"x").end();
    let garbage = [whole(), b"garbage".to_vec()].concat();
    refused(
        &Packed::tar(garbage),
        None,
        "bytes after the archive's end mark",
    );
    let twice = [whole(), whole()].concat();
    refused(
        &Packed::tar(twice.clone()),
        None,
        "bytes after the archive's end mark",
    );
    refused(
        &Packed::Tar(gzip(&twice), Compression::Gzip),
        None,
        "after the archive's end mark",
    );
    let members = [gzip(&whole()), gzip(&whole())].concat();
    refused(
        &Packed::Tar(members, Compression::Gzip),
        None,
        "after the archive's end mark",
    );
    let trailing = [gzip(&whole()), b"x".to_vec()].concat();
    refused(&Packed::Tar(trailing, Compression::Gzip), None, "");
    let streams = [bzip2(&twice[..700]), bzip2(&whole()[700..])].concat();
    accepted(&Packed::Tar(streams, Compression::Bzip2));
    let cut = bzip2(&whole());
    let cut = cut[..cut.len() - 5].to_vec();
    refused(&Packed::Tar(cut, Compression::Bzip2), None, "");
    let mut lone = Tar::new().file("f", b"x");
    lone.bytes.extend([0; 512]);
    refused(
        &tar(lone.file("g", b"")),
        None,
        "after a single block of zeros",
    );
    accepted(&Packed::tar([whole(), vec![0; 9000]].concat()));
}

#[test]
fn f012_an_empty_archive_is_refused() {
    refused(&Packed::tar(Vec::new()), None, "no entry at all");
    refused(&Packed::tar(vec![0; 10240]), None, "no entry at all");
    let comment = Tar::new().extension(b'g', &record("comment", b"x"));
    refused(&tar(comment), None, "no entry at all");
}

#[test]
fn f019_a_tar_that_is_another_format_as_well_is_refused() {
    let mut block = header(b'0', b"PK\x03\x04evil", 0);
    block[100..108].copy_from_slice(b"0000644\0");
    refused(
        &one(block),
        None,
        "a tar archive was wanted, but its bytes are those of a zip archive",
    );
    let zip = fixture::zip(&[fixture::ZipEntry::stored("a", &[0; 600])]);
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Xz,
        Compression::Zstd,
    ] {
        refused(
            &Packed::Tar(zip.clone(), compression),
            None,
            "those of a zip archive",
        );
    }
    let appended = [Tar::new().file("f", b"x").end(), zip].concat();
    refused(&Packed::tar(appended), None, "after the archive's end mark");
    let page = b"<!DOCTYPE html><html>moved</html>".to_vec();
    refused(
        &Packed::Tar(page, Compression::Gzip),
        None,
        "those of a web page",
    );
}
