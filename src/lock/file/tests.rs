//! Row F052, and that nothing is lost between a lock and its file.

use proptest::prelude::*;

use super::*;

fn lock() -> Lock {
    let deb = |name: &str, hash: char| Locked {
        kind: FileKind::Deb,
        name: name.into(),
        version: "1:2.41-12+deb13u4".into(),
        architecture: "amd64".into(),
        source: "glibc".into(),
        archive: "debian".into(),
        path: format!("pool/main/g/glibc/{name}.deb"),
        size: 2_847_000,
        sha256: hash.to_string().repeat(64),
        reason: "python3.13-minimal needs libc.so.6".into(),
        requires: Vec::new(),
    };
    Lock {
        serial: 3,
        recipe: recipe_store::Digest::of(b"recipe"),
        platform: crate::platform::Platform::X86_64,
        date: 1_789_199_741,
        python: Some("3.13".into()),
        asked: vec!["pip PyYAML".into(), "system package libudev1".into()],
        suites: vec![Suite {
            name: "trixie".into(),
            archive: "debian".into(),
            date: 1_789_199_741,
            sha256: "c".repeat(64),
            keys: vec!["A".repeat(40), "B".repeat(40)],
        }],
        files: vec![
            deb("libc-bin", 'a'),
            deb("libc6", 'b'),
            Locked {
                kind: FileKind::Wheel,
                name: "pyyaml".into(),
                version: "6.0.3".into(),
                architecture: String::new(),
                source: String::new(),
                archive: "python".into(),
                path: "pyyaml-6.0.3-cp313-cp313-manylinux_2_17_x86_64.whl".into(),
                size: 7,
                sha256: "d".repeat(64),
                reason: "recipe".into(),
                requires: Vec::new(),
            },
        ],
    }
}

#[test]
fn what_builds_an_sdist_names_it_and_the_sdist_is_there() {
    let of = |kind, name: &str, reason: &str, requires: &[&str]| Locked {
        kind,
        name: name.into(),
        version: "1.0".into(),
        architecture: String::new(),
        source: String::new(),
        archive: "python".into(),
        path: format!("{name}-1.0.tar.gz"),
        size: 1,
        sha256: "a".repeat(64),
        reason: reason.into(),
        requires: requires.iter().map(|it| (*it).to_owned()).collect(),
    };
    let mut lock = lock();
    lock.files
        .push(of(FileKind::Sdist, "golf", "recipe", &["b>=2", "c"]));
    lock.files
        .push(of(FileKind::BuildWheel, "flit-core", "golf 1.0", &[]));
    let text = write(&lock);
    assert!(
        text.contains("    requires \"b>=2\"\n    requires \"c\"\n}"),
        "{text}"
    );
    let again = read("x.lock.kdl", &text).unwrap();
    assert_eq!(write(&again), text);
    let alone = text.replace("for \"golf 1.0\"", "for \"hotel 1.0\"");
    let error = read("x.lock.kdl", &alone).unwrap_err().to_string();
    assert!(
        error.contains("it is for hotel 1.0, which the lock has not"),
        "{error}"
    );
    let wheel = text
        .replace("build-wheel", "wheel")
        .replace("for \"golf 1.0\"", "requires \"x\"\n    for \"recipe\"");
    assert!(read("x.lock.kdl", &wheel).is_err());
}

#[test]
fn a_lock_file_looks_like_this() {
    insta::assert_snapshot!(write(&lock()));
}

#[test]
fn the_order_in_memory_does_not_reach_the_file() {
    let mut turned = lock();
    turned.files.reverse();
    turned.asked.reverse();
    assert_eq!(write(&turned), write(&lock()));
    assert_eq!(read("x.lock.kdl", &write(&turned)).unwrap(), lock());
}

#[test]
fn f052_what_a_lock_cannot_say_is_refused_with_its_line() {
    let good = write(&lock());
    let hash = "a".repeat(64);
    let cases = [
        ("later format", "lock 1", "lock 2"),
        ("format as text", "lock 1", "lock \"1\""),
        ("merge conflict", "lock 1 {", "<<<<<<< HEAD\nlock 1 {"),
        ("middle of a merge conflict", "asked {", "=======\nasked {"),
        ("short hash", &hash[..], &hash[1..]),
        ("upper case hash", &hash[..], &"A".repeat(64)),
        ("unknown hash", "sha256", "md5"),
        ("file twice", "\"libc-bin\"", "\"libc6\""),
        (
            "other architecture",
            "architecture=\"amd64\"",
            "architecture=\"arm64\"",
        ),
        (
            "property twice",
            "architecture=\"amd64\"",
            "architecture=\"amd64\" architecture=\"amd64\"",
        ),
        (
            "unknown platform",
            "platform \"x86_64-linux\"",
            "platform \"x86_64-plan9\"",
        ),
        (
            "builder of the same platform",
            "deb \"libc6\"",
            "builder \"libc6\"",
        ),
        ("unknown kind", "deb \"libc6\"", "debris \"libc6\""),
        ("path out of the archive", "pool/main/g", "pool/../g"),
        ("size missing", " size=7", ""),
        ("negative size", "size=7", "size=-7"),
        ("unknown property", "size=7", "size=7 mirror=\"x\""),
        ("field missing", "    serial 3\n", ""),
        (
            "field twice",
            "    serial 3\n",
            "    serial 3\n    serial 4\n",
        ),
        (
            "field with a block",
            "    serial 3\n",
            "    serial 3 {\n    }\n",
        ),
        ("version with a blank", "1:2.41-12", "1:2.41 12"),
        ("short fingerprint", "AAAA", "AAA"),
        ("fact of another form", "- \"pip", "+ \"pip"),
        ("another first node", "lock 1 {", "lick 1 {"),
    ];
    for (title, from, to) in cases {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{title}");
        says(title, &text);
    }
    for (title, text) in [
        ("empty", ""),
        ("open string", "deb \""),
        ("open block", "lock 1 {"),
        ("a recipe", "recipe \"hello\" version=\"1\" { }"),
        ("commented out", "lock 1 { /- serial 1; }"),
        ("deep", &("a {".repeat(40) + &"}".repeat(40))),
    ] {
        says(title, text);
    }
}

/// Holds what is said of a refused lock against the snapshot of its case.
fn says(title: &str, text: &str) {
    assert_eq!(own::read(text), None, "{title}");
    let report = miette::Report::new(read("python.lock.kdl", text).unwrap_err());
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let mut shown = String::new();
    miette::GraphicalReportHandler::new_themed(theme)
        .with_width(100)
        .render_report(&mut shown, &*report)
        .unwrap();
    let name = title.replace(' ', "_");
    insta::with_settings!({ snapshot_path => "broken", prepend_module_to_snapshot => false,
        omit_expression => true, description => title },
        { insta::assert_snapshot!(name, shown); });
}

/// Of those for builds the reason says which sdists they are for.
fn not_for_builds() -> Vec<FileKind> {
    let all = FileKind::ALL.into_iter();
    all.filter(|kind| !kind.is_for_builds()).collect()
}

prop_compose! {
    fn any_file()(kind in prop::sample::select(not_for_builds()), name in "[a-z0-9][a-z0-9+.-]{1,12}",
        version in "[0-9][0-9a-z.+~]{0,8}", reason in any::<String>(), source in "[a-z0-9+.-]{0,8}", path in "[a-zA-Z0-9%+~ ]{1,9}(/[a-z]{1,4}){0,3}",
        size in any::<u64>(), hash in "[0-9a-f]{64}") -> Locked {
        let architecture = match kind { FileKind::Deb | FileKind::Sysroot => "all", FileKind::Builder => "arm64", _ => "" }.into();
        let archive = if kind == FileKind::Wheel { "python".into() } else { "debian".into() };
        Locked { kind, name, version, architecture, source, archive, path, size, sha256: hash, reason, requires: Vec::new() }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(serial in any::<u64>(), date in any::<u64>(), asked in prop::collection::btree_set(any::<String>(), 0..4),
        files in prop::collection::btree_map("[a-z]{1,3}", any_file(), 0..5)) {
        let mut lock = Lock { serial, date, asked: asked.into_iter().collect(), ..lock() };
        lock.files = files.into_values().collect();
        lock.files.sort_by(|a, b| order(a).cmp(&order(b)));
        lock.files.dedup_by(|a, b| (a.kind, &a.name) == (b.kind, &b.name));
        let text = write(&lock);
        prop_assert_eq!(own::read(&text).is_some(), !text.contains('\\'));
        prop_assert_eq!(&read_strictly("x", &text).unwrap(), &lock);
        prop_assert_eq!(read("x", &text).unwrap(), lock);
    }

    /// A line that is gone, twice there or elsewhere, and a character that is another.
    #[test]
    fn what_is_read_without_a_document_is_what_the_strict_reader_reads(edits in prop::collection::vec((0usize..40, 0usize..40, any::<prop::sample::Index>(), "[ a-z0-9\"={}]?"), 1..3), which in 0u8..4) {
        let mut lines: Vec<String> = write(&lock()).lines().map(str::to_owned).collect();
        for (from, to, at, with) in edits {
            let (from, to) = (from % lines.len(), to % lines.len());
            match which {
                0 => drop(lines.remove(from)),
                1 => lines.insert(to, lines[from].clone()),
                2 => lines.swap(from, to),
                _ if lines[from].is_empty() || !lines[from].is_ascii() => {}
                _ => {
                    let at = at.index(lines[from].len());
                    lines[from].replace_range(at..=at, &with);
                }
            }
        }
        let text = lines.join("\n") + "\n";
        if let Some(lock) = own::read(&text) {
            prop_assert_eq!(lock, read_strictly("x", &text).unwrap());
        }
    }

    #[test]
    fn f044_any_text_is_read_or_refused(text in any::<String>()) {
        let _ = read("x", &text);
    }
}

#[test]
fn a_lock_for_another_platform_keeps_what_the_machine_that_builds_runs() {
    let mut foreign = lock();
    foreign.platform = Platform::Aarch64;
    for file in foreign
        .files
        .iter_mut()
        .filter(|file| file.kind == FileKind::Deb)
    {
        file.architecture = "arm64".into();
    }
    let builder = Locked {
        kind: FileKind::Builder,
        architecture: "amd64".into(),
        ..foreign.files[1].clone()
    };
    foreign.files.push(builder);
    let read = read("x.lock.kdl", &write(&foreign)).unwrap();
    assert_eq!(read, foreign);
    assert_eq!(read.builder(), Some(Platform::X86_64));
    assert_eq!(read.files[3].subject(), "libc6:amd64");
}
