//! Broken recipes, and what a person reads about them.

use super::*;

/// Names a case, and what of [`WHOLE`] is replaced by what.
type Case = (&'static str, &'static str, &'static str);

/// One snapshot for each case, named after it.
fn messages(group: &str, cases: &[Case]) {
    for (title, old, new) in cases {
        assert!(WHOLE.contains(old), "{title}");
        let text = WHOLE.replacen(old, new, 1);
        let error = read(&text).expect_err(title);
        says(group, title, &message(&error));
    }
}

/// Holds a message against the snapshot of its case.
pub(super) fn says(group: &str, title: &str, message: &str) {
    let name = format!("{group}_{}", title.replace(' ', "_"));
    insta::with_settings!({ snapshot_path => "broken", prepend_module_to_snapshot => false,
        omit_expression => true, description => title },
        { insta::assert_snapshot!(name, message); });
}

#[test]
fn messages_about_syntax() {
    messages(
        "syntax",
        &[
            ("open string", "\"libudev1\"", "\"libudev1"),
            (
                "string to the end",
                "\"follow\"\n}\n",
                "\"\"\"\nfollow\n}\n",
            ),
            (
                "open block",
                "byte-code #false\n    }",
                "byte-code #false\n",
            ),
            ("stray close", "lock \"follow\"\n}", "lock \"follow\"\n}}"),
            ("open comment", "// ünïcödé", "/* ünïcödé"),
            ("unknown escape", "\"PyYAML\"", "\"Py\\YAML\""),
            ("version 1 keyword", "#false", "false"),
            ("version 1 raw string", "\"import yaml;", "r#\"import yaml;"),
            ("badly indented", "            assert {1}", "    assert {1}"),
            ("quotes glued", "\"PyYAML\" ", "\"PyYAML\""),
            ("block without a node", "check {", "{"),
            ("equals without a value", "suite=\"trixie\"", "suite="),
            ("bad number", "byte-code #false", "byte-code 0x"),
            ("infinite", "byte-code #false", "byte-code 1e4000"),
            ("turned text", "// ünïcödé", "// \u{202E}ünï"),
            ("hidden character in a name", "license", "licen\u{200B}se"),
            (
                "two blocks on one line",
                "pth \"Setuptools\"\n    }\n    system",
                "pth \"Setuptools\"\n    } system",
            ),
            (
                "a node after a block",
                "prefix \"/opt/scylla-python\"; }\n    lock",
                "prefix \"/opt/scylla-python\"; } lock",
            ),
            ("equals with blanks", "lock \"follow\"", "lock = \"follow\""),
            (
                "brackets",
                "\"tar.zst\" \"tar.gz\"",
                "[\"tar.zst\", \"tar.gz\"]",
            ),
            (
                "commas",
                "\"tar.zst\" \"tar.gz\"",
                "\"tar.zst\", \"tar.gz\"",
            ),
            ("single quotes", "\"PSF-2.0 AND MIT\"", "'PSF-2.0 AND MIT'"),
        ],
    );
}

#[test]
fn messages_about_the_shape() {
    messages(
        "shape",
        &[
            (
                "unknown node",
                "interpreter \"python\"",
                "interpeter \"python\"",
            ),
            (
                "nothing like it",
                "license \"PSF-2.0 AND MIT\"",
                "wheels \"a\"",
            ),
            ("in another block", "trim \"tests\"", "require \"tests\""),
            (
                "at the top",
                "recipe \"scylla-python\" version=\"3.13\" {",
                "pip {",
            ),
            (
                "planned",
                "license \"PSF-2.0 AND MIT\"",
                "sysroot \"debian\"",
            ),
            (
                "override without a reason",
                "pth \"Setuptools\"",
                "override \"numpy\" \"2\"",
            ),
            (
                "twice",
                "lock \"follow\"",
                "lock \"follow\"; lock \"exact\"",
            ),
            ("unknown property", "suite=\"trixie\"", "suit=\"trixie\""),
            (
                "property of a node without any",
                "lock \"follow\"",
                "lock \"follow\" always=#true",
            ),
            (
                "property twice",
                "suite=\"trixie\"",
                "suite=\"trixie\" suite=\"sid\"",
            ),
            (
                "too many arguments",
                "license \"PSF-2.0 AND MIT\"",
                "license \"MIT\" \"PSF-2.0\"",
            ),
            ("no arguments allowed", "system {", "system \"trixie\" {"),
            ("argument missing", "lock \"follow\"", "lock"),
            (
                "argument and property missing",
                "entry \"scylla-python\" runs=\"bin/python3\"",
                "entry",
            ),
            ("a number for a text", "version=\"3.13\"", "version=3.13"),
            (
                "a text for a truth value",
                "byte-code #false",
                "byte-code \"no\"",
            ),
            ("null", "license \"PSF-2.0 AND MIT\"", "license #null"),
            ("empty", "license \"PSF-2.0 AND MIT\"", "license \"\""),
            (
                "a block where none is",
                "lock \"follow\"",
                "lock \"follow\" { x; }",
            ),
            (
                "type annotation",
                "lock \"follow\"",
                "lock (policy)\"follow\"",
            ),
            (
                "two nodes on one line",
                "lock \"follow\"",
                "lock \"follow\" license \"MIT\"",
            ),
            (
                "two nodes in a row of arguments",
                "\"psutil>=5.9\"",
                "\"psutil>=5.9\" require \"six\"",
            ),
            (
                "a colon after a node",
                "lock \"follow\"",
                "lock: \"follow\"",
            ),
            (
                "no interpreter",
                "interpreter \"python\" \"3.13\" from=\"debian\" suite=\"trixie\"",
                "",
            ),
            (
                "two recipes",
                "recipe \"scylla-python\"",
                "recipe \"x\" version=\"1\" { interpreter python \"3.13\" from=debian suite=trixie; }\nrecipe \"scylla-python\"",
            ),
        ],
    );
}

#[test]
fn messages_about_values() {
    messages(
        "values",
        &[
            (
                "name",
                "recipe \"scylla-python\"",
                "recipe \"../Scylla Python\"",
            ),
            ("version", "version=\"3.13\"", "version=\"3.13 beta\""),
            (
                "patch version",
                "\"python\" \"3.13\"",
                "\"python\" \"3.13.5\"",
            ),
            ("language", "\"python\" \"3.13\"", "\"perl\" \"3.13\""),
            ("source misspelt", "from=\"debian\"", "from=\"debain\""),
            ("trim", "trim \"tests\"", "trim \"test\""),
            ("format to come", "package \"tar.zst\"", "package \"deb\""),
            ("format", "package \"tar.zst\"", "package \"tar.zstd\""),
            ("policy", "lock \"follow\"", "lock \"folow\""),
            ("package", "\"libudev1\"", "\"libudev1=257\""),
            (
                "package twice",
                "package \"libudev1\"",
                "package \"libudev1\" \"libudev1\"",
            ),
            (
                "wanted and not",
                "exclude \"tzdata\"",
                "exclude \"libudev1\"",
            ),
            (
                "path out of the closure",
                "runs=\"bin/python3\"",
                "runs=\"../bin/python3\"",
            ),
            (
                "absolute path",
                "run \"bin/python3\"",
                "run \"/usr/bin/python3\"",
            ),
            (
                "absolute exclusion",
                "\"share/doc/**\"",
                "\"/usr/share/doc/**\"",
            ),
            (
                "relative prefix",
                "\"/opt/scylla-python\"",
                "\"opt/../scylla\"",
            ),
            (
                "project with a version",
                "pth \"Setuptools\"",
                "pth \"setuptools>=1\"",
            ),
            (
                "versions of an override",
                "pth \"Setuptools\"",
                "override \"numpy\" \"=>2\" reason=\"why\"",
            ),
            (
                "sysroot of another suite",
                "pth \"Setuptools\"\n    }",
                "no-binary \"psutil\"\n    }\n    sysroot \"debian\" suite=\"sid\" { package \"gcc\"; }",
            ),
            ("requirement", "\"psutil>=5.9\"", "\"psutil=>5.9\""),
            (
                "requirement twice",
                "\"psutil>=5.9\"",
                "\"psutil>=5.9\" \"Py_YAML\" \"py.yaml>6\"",
            ),
            (
                "a place",
                "\"psutil>=5.9\"",
                "\"psutil @ git+https://example.invalid/psutil\"",
            ),
            (
                "several mistakes",
                "license \"PSF-2.0 AND MIT\"\n    interpreter",
                "licence \"MIT\"\n    interpreter \"x\"",
            ),
        ],
    );
}

#[test]
fn messages_about_whole_files() {
    for (title, text) in [
        ("empty", ""),
        (
            "only comments",
            "// nothing
",
        ),
        ("a word", "hello"),
        (
            "two recipes on one line",
            "recipe a version=\"1\" { } recipe b version=\"1\" { }",
        ),
        (
            "a comment of other languages",
            "# a comment
recipe hello version=\"1\" { }",
        ),
        (
            "a block on its own line",
            "recipe hello version=\"1\"
{
}
",
        ),
        ("json", "{\"recipe\": {\"version\": 1}}"),
        (
            "yaml",
            "recipe: hello
version: 1
",
        ),
        (
            "toml",
            "[recipe]
version = \"1\"
",
        ),
        (
            "a lock",
            "lock 1 {
    serial 1
}
",
        ),
    ] {
        says("file", title, &message(&read(text).expect_err("refused")));
    }
    let folder = tempfile::tempdir().expect("folder");
    let folder = Utf8Path::from_path(folder.path()).expect("UTF-8");
    let path = folder.join("latin1.kdl");
    std::fs::write(&path, b"recipe \"x\" {\n  description \"f\xFCr\"\n}").expect("written");
    for (title, path) in [
        ("latin 1", path),
        ("folder", folder.to_owned()),
        ("absent", folder.join("absent.kdl")),
        ("device", "/dev/zero".into()),
    ] {
        let error = Recipe::read(&path).expect_err("refused");
        let shown = wide_message(&error).replace(folder.as_str(), "DIR");
        says("file", title, &shown);
    }
    let folders: Vec<Utf8PathBuf> = vec!["nowhere/recipes".into(), "/nowhere/recipes".into()];
    for (title, word) in [
        ("name unknown", "scylla-pithon"),
        ("name impossible", "$(x)"),
    ] {
        let error = lookup::Search::default()
            .find_in(word, &folders)
            .expect_err("refused");
        says("file", title, &message(&error));
    }
}

#[test]
fn a_misspelt_name_suggests_the_recipe_that_is_there() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = Utf8PathBuf::from_path_buf(folder.path().to_owned()).expect("UTF-8");
    std::fs::write(folder.join("scylla-python.kdl"), "").expect("written");
    let error = lookup::Search::default()
        .find_in("scylla-pithon", std::slice::from_ref(&folder))
        .expect_err("none");
    let shown = wide_message(&error).replace(folder.as_str(), "DIR");
    assert!(shown.contains("did you mean `scylla-python`?"), "{shown}");
}
