//! Real bytes where a machine has what makes them, else bytes as the formats say.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use proptest::prelude::*;

use super::{Difference, Scene, explain};
use crate::sandbox::Elsewhere;
use crate::sandbox::elsewhere::AHEAD;

/// 2026-11-29 19:24:32.
const THEN: u64 = 1_795_980_272;

fn scene() -> Scene {
    Scene {
        changed: Elsewhere::than(4, 4).changes(4, 4),
        clock: Some((THEN..THEN + 60, THEN + AHEAD..THEN + AHEAD + 900)),
    }
}

/// Place and cause of each difference.
fn told(path: &str, before: &[u8], now: &[u8]) -> Vec<(String, String)> {
    let found = explain(path, before, now, &scene());
    let told = |it: Difference| (it.place, it.cause.unwrap_or_default());
    found.into_iter().map(told).collect()
}

fn one(path: &str, before: &[u8], now: &[u8]) -> (String, String) {
    let mut told = told(path, before, now);
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

#[track_caller]
fn line(before: &str, now: &str, cause: &str) {
    let (place, found) = one("a", before.as_bytes(), now.as_bytes());
    assert_eq!(
        (place.as_str(), found.as_str()),
        ("line 1", cause),
        "{before} {now}"
    );
}

#[test]
fn what_was_changed_is_recognised_in_a_line() {
    line("2026", "2028", "the clock");
    line("built 2026-11-29", "built 2028-01-05", "the clock");
    line(
        "Sun Nov 29 19:24:32 UTC 2026",
        "Wed Jan  5 15:07:53 ELS 2028",
        "the time zone, or the clock",
    );
    line("at 1795980300", "at 1830647310", "the clock");
    line("at 1795980300123", "at 1830647310001", "the clock");
    line("root@recipe", "root at elsewhere", "the host name");
    line("uid=1000", "uid=4321", "the user");
    line("0022", "0002", "the umask");
    line("jobs 4", "jobs 5", "the jobs");
    line("cores: 4", "cores: 3", "the processors");
    line(
        "#line /tmp/build/x/a.c",
        "#line /tmp/sources/built-elsewhere/x/a.c",
        "the build path",
    );
    line("LC_ALL=C.UTF-8", "LC_ALL=POSIX", "the locale");
    line("19471", "20931", "");
    // Years that are those of no clock.
    line("2024", "2025", "");
}

#[test]
fn the_same_in_another_order_is_told_as_that() {
    let (place, cause) = one("list", b"a\nb\nc\n", b"c\nb\na\n");
    assert_eq!(place, "the order of lines, from line 1");
    assert!(cause.contains("order"), "{cause}");
    assert!(one("list", b"a b c\n", b"c b a\n").1.contains("order"));
}

#[test]
fn lines_and_bytes_are_shown_where_they_begin_to_differ() {
    let found = explain("a", b"one\ntwo\n", b"one\nzwei\n", &scene());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].kind, found[0].place.as_str()), ("line", "line 2"));
    assert_eq!(
        (found[0].before.as_str(), found[0].now.as_str()),
        ("two", "zwei")
    );
    let found = explain("a", b"\0\x01\x02", b"\0\x01\xff", &scene());
    assert_eq!(
        (found[0].place.as_str(), found[0].now.as_str()),
        ("byte 2", "ff")
    );
    let longer = explain("a", b"\0", b"\0\0", &scene());
    assert_eq!(longer[0].place, "byte 1");
    assert_eq!(explain("a", b"same", b"same", &scene()), []);
    assert_eq!(one("a", b"a\n", b"a\r\n").0, "byte 1");
}

#[test]
fn a_time_in_binary_is_recognised() {
    let with = |time: u64| {
        let mut bytes = vec![0, 7, 9];
        bytes.extend((time as u32).to_le_bytes());
        bytes.push(0);
        bytes
    };
    let (place, cause) = one("a.bin", &with(THEN + 4), &with(THEN + AHEAD + 60));
    assert!(place.starts_with("byte "), "{place}");
    assert_eq!(cause, "the clock");
}

fn pyc(flags: u32, words: [u32; 2], code: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xf3, 0x0d, b'\r', b'\n'];
    bytes.extend(flags.to_le_bytes());
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(code);
    bytes
}

#[test]
fn byte_code_is_told_by_its_fields() {
    let path = "a/__pycache__/b.cpython-313.pyc";
    let time = |time: u64| pyc(0, [time as u32, 10], b"code");
    let found = one(path, &time(THEN), &time(THEN + AHEAD));
    assert_eq!(
        found,
        ("byte code: time of the source".into(), "the clock".into())
    );
    assert_eq!(
        one(path, &pyc(3, [1, 2], b"c"), &pyc(3, [1, 3], b"c")).0,
        "byte code: hash of the source"
    );
    assert_eq!(
        one(path, &pyc(0, [1, 2], b"c"), &pyc(0, [1, 3], b"c")).0,
        "byte code: size of the source"
    );
    assert_eq!(
        told(path, &pyc(0, [1, 2], b"c"), &pyc(1, [1, 2], b"c"))[0].0,
        "byte code: flags"
    );
    let (place, _) = one(path, &pyc(1, [1, 2], b"\0code"), &pyc(1, [1, 2], b"\0mode"));
    assert_eq!(place, "byte code: the code, byte 1");
}

/// A zip with one deflated entry.
fn zip(name: &str, content: &[u8], date: u16, mode: u32) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
    packed.write_all(content).unwrap();
    let packed = packed.finish().unwrap();
    let mut header: Vec<u8> = [20u16, 0, 8, 0, date]
        .iter()
        .flat_map(|it| it.to_le_bytes())
        .collect();
    header.extend(
        [0, packed.len() as u32, content.len() as u32]
            .iter()
            .flat_map(|it| it.to_le_bytes()),
    );
    header.extend((name.len() as u16).to_le_bytes());
    header.extend(0u16.to_le_bytes());
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend(&header);
    bytes.extend(name.as_bytes());
    bytes.extend(&packed);
    let start = bytes.len() as u32;
    bytes.extend(b"PK\x01\x02\x14\x03");
    bytes.extend(&header);
    bytes.extend([0; 6]);
    bytes.extend((mode << 16).to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(name.as_bytes());
    let size = bytes.len() as u32 - start;
    bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    bytes.extend(size.to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

const DATE_THEN: u16 = (46 << 9) | (11 << 5) | 29;
const DATE_ELSEWHERE: u16 = (48 << 9) | (1 << 5) | 5;

#[test]
fn a_wheel_is_told_by_its_entries_and_their_fields() {
    let wheel = |text: &str, date, mode| zip("a/b.txt", text.as_bytes(), date, mode);
    let plain = wheel("one\n", DATE_THEN, 0o100644);
    assert_eq!(
        one("x.whl", &plain, &wheel("one\n", DATE_ELSEWHERE, 0o100644)),
        ("zip entry a/b.txt, time".into(), "the clock".into())
    );
    assert_eq!(
        one("x.whl", &plain, &wheel("one\n", DATE_THEN, 0o100664)).0,
        "zip entry a/b.txt, mode"
    );
    assert_eq!(
        one(
            "x.whl",
            &wheel("in 2026\n", DATE_THEN, 0),
            &wheel("in 2028\n", DATE_THEN, 0)
        ),
        ("zip entry a/b.txt, line 1".into(), "the clock".into())
    );
    let other = zip("a/c.txt", b"one\n", DATE_THEN, 0o100644);
    let names: Vec<String> = told("x.whl", &plain, &other)
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(names, ["zip entry a/b.txt", "zip entry a/c.txt"]);
}

#[test]
fn gzip_is_told_by_its_header_and_by_what_is_in_it() {
    let gzip = |time: u64, text: &str| {
        let mut packed = flate2::GzBuilder::new()
            .mtime(time as u32)
            .filename("x.1")
            .write(Vec::new(), Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    assert_eq!(
        one("x.1.gz", &gzip(THEN, "text"), &gzip(THEN + AHEAD, "text")),
        ("time in the gzip header".into(), "the clock".into())
    );
    assert_eq!(one("x.1.gz", &gzip(0, "one"), &gzip(0, "two")).0, "line 1");
    let plain = GzEncoder::new(Vec::new(), Compression::default())
        .finish()
        .unwrap();
    assert_eq!(
        one("x.1.gz", &gzip(0, ""), &plain).0,
        "name in the gzip header"
    );
}

#[test]
fn a_static_library_is_told_by_its_members() {
    let library = |time: u64, user: u32, text: &str| {
        format!(
            "!<arch>\n{:<16}{time:<12}{user:<6}{:<6}{:<8}{:<10}`\n{text}",
            "a.o/",
            0,
            644,
            text.len()
        )
        .into_bytes()
    };
    let plain = library(THEN, 1000, "text");
    assert_eq!(
        told("liba.a", &plain, &library(THEN + AHEAD, 4321, "text")),
        [
            ("ar member a.o, time".to_owned(), "the clock".to_owned()),
            ("ar member a.o, user".to_owned(), "the user".to_owned())
        ]
    );
    assert_eq!(
        one("liba.a", &plain, &library(THEN, 1000, "tent")).0,
        "ar member a.o, line 1"
    );
}

#[test]
fn a_program_is_told_by_its_sections() {
    let real = crate::sandbox::elsewhere::library(crate::platform::Platform::X86_64);
    let sections = crate::elf::sections(real);
    let (_, text) = sections.iter().find(|(name, _)| name == ".text").unwrap();
    let mut changed = real.to_vec();
    changed[text.start + 5] ^= 1;
    assert_eq!(one("a.so", real, &changed).0, "ELF section .text, byte 5");
    let (_, names) = sections.iter().find(|(name, _)| name == ".dynstr").unwrap();
    let mut changed = real.to_vec();
    changed[names.start + 1] = b'X';
    let found = explain("a.so", real, &changed, &scene());
    assert_eq!(found[0].place, "ELF section .dynstr, byte 1");
    assert!(found[0].now.starts_with('X'), "{found:?}");
    // Outside of any section, the file is told by its bytes.
    let mut changed = real.to_vec();
    changed[7] = 9;
    assert_eq!(one("a.so", real, &changed).0, "byte 7");
}

const HEADS: [&[u8]; 6] = [
    b"",
    b"\x7fELF\x02\x01",
    b"PK\x03\x04",
    b"!<arch>\n",
    b"\x1f\x8b\x08\x1f",
    b"ab\r\n",
];

proptest! {
    #[test]
    fn whatever_builds_made_is_compared_without_a_panic(
        head in 0..HEADS.len(),
        one in proptest::collection::vec(any::<u8>(), 0..300),
        other in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let whole = |rest: &[u8]| [HEADS[head], rest].concat();
        let (one, other) = (whole(&one), whole(&other));
        let found = explain("a.pyc", &one, &other, &scene());
        prop_assert_eq!(found.is_empty(), one == other);
        prop_assert!(found.len() <= super::MOST);
    }

    #[test]
    fn damaged_archives_are_compared_without_a_panic(
        which in 0..3usize,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let good = match which {
            0 => zip("a/b.txt", b"some text\n", DATE_THEN, 0o644),
            1 => crate::sandbox::elsewhere::library(crate::platform::Platform::X86_64).to_vec(),
            _ => b"!<arch>\n//              0           0     0     0       4         `\nabc\n/0              0           0     0     644     2         `\nxy".to_vec(),
        };
        let mut bad = good.clone();
        let place = at.index(bad.len());
        bad[place] = byte;
        bad.truncate(cut.index(bad.len()) + 1);
        let found = explain("a", &good, &bad, &scene());
        prop_assert_eq!(found.is_empty(), good == bad);
    }

    #[test]
    fn dates_go_there_and_back(seconds in 0u64..4_000_000_000) {
        let (year, month, day) = super::cause::date_of(seconds);
        prop_assert_eq!(super::cause::seconds_of(year, month, day), seconds / 86_400 * 86_400);
    }
}
