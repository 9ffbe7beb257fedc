use super::fixture::{Tar, ar, deb, gzip, header, xz, zstd};
use super::*;

fn data() -> Vec<u8> {
    Tar::new()
        .directory("./")
        .directory("./usr/")
        .file("./usr/f", b"content")
        .end()
}

fn control() -> Vec<u8> {
    gzip(
        &Tar::new()
            .directory("./")
            .file("./control", b"Package: x\n")
            .end(),
    )
}

fn of(members: &[(&str, &[u8])]) -> Packed {
    Packed::Deb(ar(members))
}

const VERSION: (&str, &[u8]) = ("debian-binary", b"2.0\n");

#[test]
fn every_compression_of_the_data_is_read() {
    for (name, packed) in [
        ("data.tar", data()),
        ("data.tar.gz", gzip(&data())),
        ("data.tar.xz", xz(&data())),
        ("data.tar.zst", zstd(&data())),
    ] {
        let signed = of(&[
            VERSION,
            ("_extra", b"odd"),
            ("control.tar.gz", &control()),
            (name, &packed),
            ("_gpgorigin", b"s"),
        ]);
        let items = accepted(&signed);
        assert_eq!(names(&items), ["usr", "usr/f"]);
    }
    for name in ["data.tar.bz2", "data.tar.lzma"] {
        let old = of(&[VERSION, ("control.tar.gz", &control()), (name, b"")]);
        refused(&old, None, "bzip2 or lzma");
    }
}

#[test]
fn f030_a_container_that_is_not_as_prescribed_is_refused() {
    let control = control();
    let control = ("control.tar.gz", &control[..]);
    let data = data();
    let data = ("data.tar", &data[..]);
    let order = "once each and in this order";
    refused(&of(&[control, VERSION, data]), None, order);
    refused(&of(&[VERSION, data, control]), None, order);
    refused(&of(&[VERSION, control, control, data]), None, order);
    refused(&of(&[VERSION, control, data, data]), None, order);
    refused(
        &of(&[VERSION, control, data, ("data.tar.gz", b"")]),
        None,
        order,
    );
    refused(&of(&[VERSION, control]), None, "no data.tar member");
    refused(&of(&[]), None, "no data.tar member");
    refused(
        &of(&[VERSION, control, ("evil", b""), data]),
        None,
        "no deb has a member \"evil\"",
    );
    refused(
        &of(&[("debian-binary", b"3.0\n"), control, data]),
        None,
        "2.0 was wanted",
    );
    let whole = ar(&[VERSION, control, data]);
    for (at, field, reason) in [
        (
            8 + 48,
            "-4        ",
            "the size of member \"debian-binary\" is \"-4\"",
        ),
        (8 + 48, "9999999999", "cut short"),
        (8 + 48, "4 4       ", "the size of member"),
        (8 + 48, "          ", "the size of member"),
        (8 + 58, "xx", "does not end with"),
        (0, "!<ARCH>\n", "a Debian package was wanted"),
    ] {
        let mut bytes = whole.clone();
        bytes[at..at + field.len()].copy_from_slice(field.as_bytes());
        refused(&Packed::Deb(bytes), None, reason);
    }
    let mut huge = whole.clone();
    let last = whole.len() - data.1.len() - 60;
    huge[last + 48..last + 58].copy_from_slice(b"8888888888");
    let (result, _) = unpack_with(&Packed::Deb(huge), &Limits::default());
    assert!(result.is_err(), "a size past the end");
}

#[test]
fn f030_a_missing_or_wrong_padding_is_refused() {
    let odd = [
        VERSION,
        ("control.tar.gz", &control()),
        ("data.tar", &data()),
        ("_odd", b"x"),
    ];
    let whole = ar(&odd);
    refused(
        &Packed::Deb(whole[..whole.len() - 1].to_vec()),
        None,
        "the padding of a member is cut short",
    );
    let wrong = [&whole[..whole.len() - 1], b"x"].concat();
    refused(&Packed::Deb(wrong), None, "not a line feed");
}

#[test]
fn a_deb_cut_anywhere_is_refused() {
    let whole = ar(&[
        VERSION,
        ("control.tar.gz", &control()),
        ("data.tar.gz", &gzip(&data())),
    ]);
    for length in 0..whole.len() {
        let (result, _) = unpack_in_memory(&Packed::Deb(whole[..length].to_vec()));
        assert!(result.is_err(), "cut at {length}");
    }
}

#[test]
fn f031_data_cut_inside_a_frame_are_refused() {
    for (name, packed) in [
        ("data.tar.zst", zstd(&data())),
        ("data.tar.xz", xz(&data())),
        ("data.tar.gz", gzip(&data())),
    ] {
        for length in 0..packed.len() {
            let cut = of(&[
                VERSION,
                ("control.tar.gz", &control()),
                (name, &packed[..length]),
            ]);
            let (result, _) = unpack_in_memory(&cut);
            assert!(result.is_err(), "{name} cut at {length}");
        }
    }
}

#[test]
fn f031_a_million_empty_frames_end() {
    let empty = zstd(b"");
    let frames = empty.repeat(1_000_000);
    let start = std::time::Instant::now();
    refused(
        &Packed::Tar(frames, Compression::Zstd),
        None,
        "no entry at all",
    );
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn f032_maintainer_scripts_are_only_files() {
    let mut closed = header(b'5', b"./", 0);
    closed[100..108].copy_from_slice(b"0000000\0");
    let control = Tar::new()
        .raw(closed, b"")
        .file("./control", b"Package: x\n")
        .file("./postinst", b"#!/bin/sh\ntouch /canary\n")
        .file("./triggers", b"interest /x\n")
        .end();
    let members = ar(&[
        VERSION,
        ("control.tar.xz", &xz(&control)),
        ("data.tar", &data()),
    ]);
    assert_eq!(
        names(&accepted(&Packed::Deb(members.clone()))),
        ["usr", "usr/f"]
    );
    assert_eq!(
        names(&accepted(&Packed::Control(members))),
        ["control", "postinst", "triggers"]
    );
}

#[test]
fn f033_links_that_escape_are_refused_and_absolute_ones_rebased() {
    let escape = Tar::new()
        .symlink("./usr/lib", "../..")
        .file("./usr/lib/x", b"");
    refused(
        &Packed::Deb(deb(&escape.end())),
        Some((1, "./usr/lib")),
        "leads out",
    );
    let absolute = Tar::new().symlink("./usr/lib", "/../x");
    refused(
        &Packed::Deb(deb(&absolute.end())),
        Some((1, "./usr/lib")),
        "leads out",
    );
    let through = Tar::new().symlink("./lib", "usr/lib").file("./lib/x", b"");
    refused(
        &Packed::Deb(deb(&through.end())),
        Some((2, "./lib/x")),
        "below \"lib\"",
    );
    let fine = Tar::new()
        .symlink("./etc/alternatives/awk", "/usr/bin/mawk")
        .symlink("./usr/lib/libx.so", "/usr/lib/libx.so.1")
        .symlink("./usr/share/doc/x", "../../lib/x");
    let items = accepted(&Packed::Deb(deb(&fine.end())));
    assert_eq!(
        items["etc/alternatives/awk"],
        Item::Symlink("../../usr/bin/mawk".into())
    );
    assert_eq!(items["usr/lib/libx.so"], Item::Symlink("libx.so.1".into()));
    assert_eq!(
        items["usr/share/doc/x"],
        Item::Symlink("../../lib/x".into())
    );
}

#[test]
fn f033_both_sides_of_a_merged_usr_pair_are_kept_as_they_are() {
    let pair = Tar::new().file("./lib/a", b"1").file("./usr/lib/a", b"2");
    assert_eq!(
        names(&accepted(&Packed::Deb(deb(&pair.end())))),
        ["lib/a", "usr/lib/a"]
    );
}
