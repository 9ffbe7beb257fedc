use super::fixture::{Tar, Zip, ZipEntry, crc32, longs, seal, shorts, zip};
use super::*;

fn packed(entries: &[ZipEntry]) -> Packed {
    Packed::Zip(zip(entries))
}

/// An honest entry before the hostile one.
fn fine() -> ZipEntry {
    ZipEntry::deflated("fine", b"content")
}

/// Entry 2 is refused before anything is unpacked.
fn second_refused(entry: ZipEntry, reason: &str) {
    let name = String::from_utf8_lossy(&entry.name).into_owned();
    refused(&packed(&[fine(), entry]), Some((2, &name)), reason);
}

#[test]
fn an_ordinary_wheel_is_unpacked() {
    let script = ZipEntry {
        attributes: 0o100755 << 16,
        ..ZipEntry::deflated("pkg/run", &[b'x'; 100_000])
    };
    let items = accepted(&packed(&[
        ZipEntry::directory("pkg/"),
        ZipEntry::stored("pkg/a", b"stored"),
        script,
        ZipEntry::deflated("pkg/empty", b""),
        ZipEntry::stored("pkg/ünï", b"u").with_descriptor(),
        ZipEntry::deflated("pkg/piped", b"piped").with_descriptor(),
    ]));
    assert_eq!(items["pkg/a"], Item::File(b"stored".to_vec(), false));
    assert_eq!(items["pkg/run"], Item::File(vec![b'x'; 100_000], true));
    assert_eq!(items["pkg/piped"], Item::File(b"piped".to_vec(), false));
    assert_eq!(items.len(), 6);
}

#[test]
fn f015_a_local_header_with_another_name_is_refused() {
    let other = ZipEntry {
        local_name: b"evil".to_vec(),
        ..ZipEntry::stored("good", b"x")
    };
    second_refused(other, "another name than the directory");
    let longer = ZipEntry {
        local_name: b"xgood".to_vec(),
        ..ZipEntry::stored("good", b"x")
    };
    second_refused(longer, "another name");
}

#[test]
fn f015_an_entry_in_only_one_of_the_two_lists_is_refused() {
    let both = Zip::of(&[fine(), ZipEntry::stored("hidden", b"x")]);
    let alone = Zip::of(&[fine()]);
    let hidden = Zip {
        body: both.body.clone(),
        ..alone.clone()
    };
    refused(
        &Packed::Zip(hidden.join()),
        Some((1, "fine")),
        "bytes after its content",
    );
    let missing = Zip {
        body: alone.body.clone(),
        ..both
    };
    refused(&Packed::Zip(missing.join()), Some((2, "hidden")), "overlap");
}

#[test]
fn f016_duplicate_names_are_refused() {
    second_refused(
        ZipEntry::stored("fine", b"2"),
        "earlier entry of the same path is a file",
    );
    let under = packed(&[ZipEntry::stored("a", b""), ZipEntry::stored("a/b", b"")]);
    refused(&under, Some((2, "a/b")), "below \"a\"");
    accepted(&packed(&[
        ZipEntry::directory("a/"),
        ZipEntry::directory("a/"),
    ]));
}

#[test]
fn f016_bytes_before_between_and_after_are_refused_and_zeros_at_the_end_pass() {
    let parts = Zip::of(&[fine(), ZipEntry::stored("b", b"x")]);
    let whole = parts.join();
    let prefixed = [b"#!/bin/sh\n".to_vec(), whole.clone()].concat();
    refused(&Packed::Zip(prefixed), None, "the end of its directory is");
    let shifted = Zip {
        body: [b"#!/bin/sh\n".to_vec(), parts.body.clone()].concat(),
        ..parts.clone()
    };
    let (result, _) = unpack_with(&Packed::Zip(shifted.join()), &Limits::default());
    assert!(result.is_err());
    let between = [&parts.body[..], &parts.directory, b"hidden", &parts.end()].concat();
    refused(&Packed::Zip(between), None, "the end of its directory is");
    let after = [whole.clone(), b"x".to_vec()].concat();
    refused(&Packed::Zip(after), None, "bytes after its end record");
    let zeros = [whole, vec![0; 5000]].concat();
    assert_eq!(accepted(&Packed::Zip(zeros)).len(), 2);
}

#[test]
fn f016_two_end_records_are_refused() {
    let parts = Zip::of(&[fine()]);
    let twice = [parts.join(), parts.end()].concat();
    refused(&Packed::Zip(twice), None, "two end records");
    let mut commented = parts.join();
    let end = parts.end();
    let length = commented.len();
    commented[length - 2..].copy_from_slice(&(end.len() as u16).to_le_bytes());
    commented.extend(end);
    refused(&Packed::Zip(commented), None, "two end records");
    let two = [parts.join(), parts.join()].concat();
    refused(&Packed::Zip(two), None, "two end records");
}

#[test]
fn f016_wrong_places_and_counts_are_refused() {
    let parts = Zip::of(&[fine(), ZipEntry::stored("b", b"x")]);
    let end_at = parts.body.len() + parts.directory.len();
    let with = |at: usize, bytes: &[u8]| {
        let mut whole = parts.join();
        whole[at..at + bytes.len()].copy_from_slice(bytes);
        Packed::Zip(whole)
    };
    refused(
        &with(end_at + 16, &1u32.to_le_bytes()),
        None,
        "the end of its directory",
    );
    refused(
        &with(end_at + 12, &u32::MAX.to_le_bytes()),
        None,
        "the end of its directory",
    );
    refused(
        &with(end_at + 8, &[3, 0, 3, 0]),
        None,
        "its number of entries is 3 in one place and 2 in another",
    );
    refused(&with(end_at + 8, &[1, 0, 2, 0]), None, "several volumes");
    refused(&with(end_at + 4, &[1, 0]), None, "several volumes");
    refused(&with(end_at + 20, &[9, 0]), None, "cut short");
    refused(&with(parts.body.len(), b"XX"), None, "no entry");
    let second = parts.directory.len() - 47;
    let offset_at = parts.body.len() + second + 42;
    refused(
        &with(offset_at, &7u32.to_le_bytes()),
        Some((1, "fine")),
        "overlap",
    );
}

/// A zip whose end is told in ZIP64 records.
fn zip64(change: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>, &mut Vec<u8>)) -> Packed {
    let parts = Zip::of(&[fine()]);
    let start = parts.body.len() as u64;
    let size = parts.directory.len() as u64;
    let mut record = b"PK\x06\x06".to_vec();
    record.extend(44u64.to_le_bytes());
    shorts(&mut record, &[45, 45]);
    longs(&mut record, &[0, 0]);
    record.extend(
        [1, 1, size, start]
            .iter()
            .flat_map(|value: &u64| value.to_le_bytes()),
    );
    let mut locator = b"PK\x06\x07".to_vec();
    longs(&mut locator, &[0]);
    locator.extend((start + size).to_le_bytes());
    longs(&mut locator, &[1]);
    let mut end = parts.end();
    end[8..20].fill(0xff);
    change(&mut record, &mut locator, &mut end);
    Packed::Zip([parts.body, parts.directory, record, locator, end].concat())
}

#[test]
fn f016_zip64_records_must_agree_with_all_else() {
    assert_eq!(accepted(&zip64(|_, _, _| {})).len(), 1);
    accepted(&zip64(|_, _, end| {
        end[8..12].copy_from_slice(&[1, 0, 1, 0])
    }));
    refused(
        &zip64(|_, _, end| end[8..12].copy_from_slice(&[2, 0, 2, 0])),
        None,
        "its number of entries",
    );
    refused(
        &zip64(|_, locator, _| locator[8] ^= 1),
        None,
        "the place of its ZIP64 end record",
    );
    refused(
        &zip64(|record, _, _| record[48] ^= 1),
        None,
        "the end of its directory",
    );
    refused(
        &zip64(|record, _, _| record[0] = b'X'),
        None,
        "no ZIP64 end record",
    );
    refused(&zip64(|record, _, _| record[4] = 45), None, "45 bytes long");
    refused(
        &zip64(|_, locator, _| locator[16] = 2),
        None,
        "several volumes",
    );
    let beside = ZipEntry {
        extra: [&[1, 0, 8, 0][..], &5u64.to_le_bytes()].concat(),
        ..ZipEntry::stored("b", b"x")
    };
    second_refused(beside, "more than its header asks for");
    let absent = ZipEntry {
        size: u32::MAX,
        ..ZipEntry::deflated("b", b"x")
    };
    second_refused(absent, "a ZIP64 field that is not there");
}

#[test]
fn zip64_sizes_of_one_entry_are_read() {
    let content = b"some content";
    let sizes = [content.len() as u64, content.len() as u64];
    let wide: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    let entry = ZipEntry {
        local: Some((crc32(content), u32::MAX, u32::MAX)),
        local_extra: [&[1, 0, 16, 0][..], &wide].concat(),
        ..ZipEntry::stored("b", content)
    };
    accepted(&packed(std::slice::from_ref(&entry)));
    let mut lying = entry.clone();
    lying.local_extra[4] ^= 1;
    second_refused(lying, "its size is 12 in one place and 13 in another");
    let mut torn = entry;
    torn.local_extra.push(0);
    second_refused(torn, "an extra field reaches beyond its header");
}

#[test]
fn f017_wrong_checksums_sizes_and_descriptors_are_refused() {
    let crc = ZipEntry {
        crc: 1,
        ..ZipEntry::deflated("b", b"content")
    };
    second_refused(crc, "has the CRC-32");
    let short = ZipEntry {
        size: 3,
        ..ZipEntry::deflated("b", b"content")
    };
    second_refused(short, "beyond its recorded size");
    let long = ZipEntry {
        size: 9,
        ..ZipEntry::deflated("b", b"content")
    };
    second_refused(long, "cut short");
    let stored = ZipEntry {
        size: 9,
        ..ZipEntry::stored("b", b"content")
    };
    second_refused(stored, "the size of its stored content");
    let local = ZipEntry {
        local: Some((crc32(b"content"), 7, 8)),
        ..ZipEntry::stored("b", b"content")
    };
    second_refused(local, "its size is 7 in one place and 8 in another");
    let mut slack = ZipEntry::deflated("b", b"content");
    slack.packed.extend([0; 4]);
    second_refused(slack, "its packed size");
    for at in [4, 8, 12] {
        let mut piped = ZipEntry::deflated("b", b"content").with_descriptor();
        piped.descriptor[at] ^= 1;
        second_refused(piped, "in its data descriptor");
    }
    let mut unsigned = ZipEntry::deflated("b", b"content").with_descriptor();
    unsigned.descriptor.drain(..4);
    accepted(&packed(&[fine(), unsigned.clone()]));
    unsigned.descriptor.pop();
    second_refused(unsigned, "room for 11 bytes");
    let silent = ZipEntry {
        local: Some((0, 0, 0)),
        ..ZipEntry::deflated("b", b"content")
    };
    second_refused(silent, "its CRC-32");
}

#[test]
fn f018_overlapping_entries_are_refused_before_inflating() {
    let kernel = vec![0; 1 << 20];
    let parts = Zip::of(&[
        ZipEntry::deflated("a", &kernel),
        ZipEntry::deflated("b", &kernel),
    ]);
    let mut whole = parts.join();
    // The second entry claims the first one's bytes.
    let second = parts.body.len() + 47 + 42;
    whole[second..second + 4].copy_from_slice(&0u32.to_le_bytes());
    let (result, items) = unpack_with(&Packed::Zip(whole), &Limits::default());
    let message = result.expect_err("refused").to_string();
    assert!(message.contains("overlap"), "{message}");
    assert!(items.is_empty());
}

#[test]
fn f019_a_zip_that_is_a_tar_as_well_is_refused() {
    let content = [0; 600];
    let mut whole = zip(&[ZipEntry::stored("a", &content)]);
    let mut block: [u8; 512] = whole[..512].try_into().unwrap();
    seal(&mut block);
    whole[..512].copy_from_slice(&block);
    refused(&Packed::Zip(whole), None, "those of a tar archive as well");
    let tar = Tar::new().file("f", b"x").end();
    refused(&Packed::Zip(tar), None, "a zip archive was wanted");
    refused(&Packed::Zip(Vec::new()), None, "none at all");
}

#[test]
fn f020_other_methods_and_encryption_are_refused() {
    for (method, reason) in [
        (12, "the method bzip2"),
        (14, "the method LZMA"),
        (95, "the method xz"),
        (93, "the method zstd"),
        (9, "Deflate64"),
        (99, "encryption"),
        (1, "a method other than"),
    ] {
        let entry = ZipEntry {
            method,
            ..ZipEntry::stored("b", b"x")
        };
        second_refused(entry, reason);
    }
    for flags in [1, 1 << 6, 1 << 13] {
        let entry = ZipEntry {
            flags,
            ..ZipEntry::stored("b", b"x")
        };
        second_refused(entry, "encryption");
    }
}

#[test]
fn f021_paths_that_lead_out_are_refused_and_prefixes_compared_by_part() {
    second_refused(ZipEntry::stored("../bin/python", b"x"), "\"..\"");
    second_refused(ZipEntry::stored("/bin/python", b"x"), "absolute");
    second_refused(ZipEntry::stored("a/./b", b"x"), "\".\" part");
    let evil = accepted(&packed(&[
        ZipEntry::stored("site-packages/a", b""),
        ZipEntry::stored("site-packages-evil", b""),
    ]));
    assert_eq!(names(&evil), ["site-packages-evil", "site-packages/a"]);
    let back = ZipEntry::stored("a\\..\\b", b"x");
    refused(
        &packed(&[fine(), back]),
        Some((2, "a\\\\..\\\\b")),
        "backslash",
    );
    let mut nul = ZipEntry::stored("a_b", b"x");
    nul.name[1] = 0;
    nul.local_name[1] = 0;
    refused(&packed(&[fine(), nul]), Some((2, "a\\u{0}b")), "NUL");
    let mut cp437 = ZipEntry::stored("a_b", b"x");
    cp437.name[1] = 0x81;
    cp437.local_name[1] = 0x81;
    refused(&packed(&[fine(), cp437]), Some((2, "a\\x81b")), "not UTF-8");
    let renamed = ZipEntry {
        extra: vec![0x75, 0x70, 0, 0],
        ..ZipEntry::stored("b", b"x")
    };
    second_refused(renamed, "a second name");
}

#[test]
fn symlinks_are_kept_only_where_they_have_their_place_and_obey_the_rules() {
    let link = |name: &str, target: &[u8]| ZipEntry {
        attributes: 0o120777 << 16,
        ..ZipEntry::stored(name, target)
    };
    let unpack = |entries: &[ZipEntry]| {
        let mut folder = Folder::default();
        let result = unpack_zip_with_links(&zip(entries), NAME, &Limits::default(), &mut folder);
        result.map(|()| folder.items)
    };
    let items = unpack(&[fine(), link("d/link", b"../fine")]).unwrap();
    assert_eq!(items["d/link"], Item::Symlink("../fine".into()));
    let deflated = ZipEntry {
        attributes: 0o120777 << 16,
        ..ZipEntry::deflated("link", b"fine")
    };
    assert_eq!(
        unpack(&[fine(), deflated]).unwrap()["link"],
        Item::Symlink("fine".into())
    );
    let long = [b'x'; 5000];
    for (entry, reason) in [
        (link("link", b"../out"), "leads out of"),
        (link("link", b"/etc/passwd"), "is absolute"),
        (link("link", b""), "is empty"),
        (link("link", &long), "4096 bytes long"),
        (link("link/", b"fine"), "symlink"),
    ] {
        let error = unpack(&[fine(), entry]).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let damaged = ZipEntry {
        crc: 7,
        ..link("link", b"fine")
    };
    let error = unpack(&[fine(), damaged]).unwrap_err().to_string();
    assert!(error.contains("CRC-32"), "{error}");
}

#[test]
fn f022_symlinks_and_devices_are_refused_and_setuid_is_dropped() {
    for (mode, what) in [
        (0o120777, "symlink"),
        (0o010644, "FIFO"),
        (0o020644, "device"),
        (0o060644, "device"),
        (0o140644, "socket"),
    ] {
        let entry = ZipEntry {
            attributes: mode << 16,
            ..ZipEntry::stored("b", b"x")
        };
        second_refused(entry, what);
    }
    let setuid = ZipEntry {
        attributes: 0o106755 << 16,
        ..ZipEntry::stored("b", b"x")
    };
    assert_eq!(
        accepted(&packed(&[setuid]))["b"],
        Item::File(b"x".to_vec(), true)
    );
    let no_slash = ZipEntry {
        attributes: 0o040755 << 16,
        ..ZipEntry::stored("b", b"")
    };
    second_refused(no_slash, "must end in a slash");
    let slash = ZipEntry::stored("b/", b"");
    second_refused(slash, "ends in a slash");
    let full = ZipEntry {
        attributes: 0o040755 << 16,
        ..ZipEntry::stored("b/", b"x")
    };
    second_refused(full, "but has content");
}

#[test]
fn zips_that_differ_in_the_umask_of_their_modes_are_made_one() {
    let zipped = |modes: [u32; 4]| {
        let [file, program, folder, none] = modes.map(|mode| mode << 16 | 1);
        let with = |attributes, entry| ZipEntry {
            attributes,
            ..entry
        };
        zip(&[
            with(folder | 0x10, ZipEntry::directory("pkg/")),
            with(file, ZipEntry::stored("pkg/a", b"stored")),
            with(program, ZipEntry::deflated("pkg/run", &[b'x'; 100_000])),
            with(none, ZipEntry::stored("pkg/b", b"b").with_descriptor()),
        ])
    };
    let wanted = zipped([0o100_644, 0o100_755, 0o040_755, 0]);
    for modes in [
        [0o100_664, 0o100_775, 0o040_775, 0],
        [0o100_600, 0o104_700, 0o040_700, 0],
        [0o100_644, 0o100_755, 0o040_755, 0],
    ] {
        let mut plain = Vec::new();
        zip_with_plain_modes(zipped(modes), "a.whl", &Limits::default())
            .unwrap()
            .read_to_end(&mut plain)
            .unwrap();
        assert!(plain == wanted, "{modes:?}");
    }
    let cut = zipped([0o100_644; 4].map(|_| 0)).split_off(9);
    assert!(zip_with_plain_modes(cut, "a.whl", &Limits::default()).is_err());
}

#[test]
fn an_empty_zip_is_refused() {
    refused(&packed(&[]), None, "no entry at all");
}

#[test]
fn a_zip_cut_anywhere_is_refused() {
    let whole = zip(&[fine(), ZipEntry::stored("b", b"x").with_descriptor()]);
    for length in 0..whole.len() {
        let (result, items) = unpack_in_memory(&Packed::Zip(whole[..length].to_vec()));
        assert!(result.is_err() && items.is_empty(), "cut at {length}");
    }
}
