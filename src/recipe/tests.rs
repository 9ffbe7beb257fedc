//! Facts about reading recipes: what is understood, what is refused, and what the messages say.

use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use miette::{GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;

use super::*;

mod broken;
mod builds_on;
mod forms;
mod hostile;
mod interpreters;
mod reference;
mod requirements;
mod text;

/// A whole recipe that uses every node but `requirements`, which needs a file.
const WHOLE: &str = r#"
recipe "scylla-python" version="3.13" {
    description "Python für Scylla" // ünïcödé
    license "PSF-2.0 AND MIT"
    interpreter "python" "3.13" from="debian" suite="trixie"
    pip {
        require "PyYAML" "psutil>=5.9"
        require "Requests[socks] >= 2 ; python_version >= '3.8'"
        pth "Setuptools"
    }
    system {
        package "libudev1" "ca-certificates"
        exclude "tzdata" "share/doc/**"
    }
    closure {
        entry "scylla-python" runs="bin/python3"
        trim "tests" "docs" "static-libs" "sources" "idle"
        byte-code #false
    }
    check {
        python "import yaml; assert yaml.__with_libyaml__"
        python """
            import sys
            assert {1} and sys
            """
        run "bin/python3" "-m" "venv" "/tmp/v"
    }
    package "tar.zst" "tar.gz" { prefix "/opt/scylla-python"; }
    lock "follow"
}
"#;

/// What builds from sources.
const BUILT: &str = r#"    source "zlib" { debian-source "zlib" patches="none"; }
    source "hello" {
        url "https://example.org/hello.tar.gz" sha256="8d99142afd92576f30b0cd7cb42a8dc6809998bc5d607d88761f512e26c7db20"
    }
    source "cloned" {
        git "https://example.org/hello.git" commit="8d99142afd92576f30b0cd7cb42a8dc6809998bc"
    }
    source "mine" { path "src"; }
    sysroot "debian" suite="trixie" {
        package "gcc" "make"
    }
    build {
        env "CFLAGS" "-O2"
        run "make" "install" in="zlib/contrib"
        output "dev" "include/**"
        compiled-in "share/locale"
    }
"#;

/// What can stand after it.
const VARIANTS: &str = r#"
variant "scylla-python" {
    python "3.11" suite="bookworm"
    python "3.13" suite="trixie"
    set "flavour" "small" "full"
    arch "x86_64" "aarch64"
}
"#;

/// [`WHOLE`] with a parameter, and in several forms.
const HOST: &str = r#"host {
    certificates "closure-only"; time-zones "closure-first"; locales "closure-first"
    terminals "host-first"; openssl-configuration "host-first"
    name-service "host-first"; preloads "closure-only"
}"#;

fn whole_in_forms() -> String {
    let param = "    param \"flavour\" default=\"small\"\n    license";
    let host = format!("byte-code #false\n        {HOST}");
    let whole = WHOLE.replacen("    license", param, 1);
    let fixed = format!("fixed-path \"/opt/scylla-python\"\n        {host}");
    let borrowing = "suite=\"trixie\" { patches \"python3.11\" suite=\"bookworm\"; }";
    let whole = whole.replacen("suite=\"trixie\"", borrowing, 1);
    let whole = whole.replacen("byte-code #false", &fixed, 1);
    whole.replacen("    closure {", &format!("{BUILT}    closure {{"), 1) + VARIANTS
}

fn read(text: &str) -> Result<Recipe, RecipeError> {
    Recipe::parse("hello.kdl", text.into(), Utf8Path::new("/nonexistent"))
}

fn whole() -> Recipe {
    read(WHOLE).expect("a good recipe")
}

/// The report as it looks in a narrow terminal without colours.
fn message(error: &RecipeError) -> String {
    message_in(error, 90)
}

/// The same for a message that holds a random path, which must not decide where lines break.
fn wide_message(error: &RecipeError) -> String {
    message_in(error, 400)
}

fn message_in(error: &RecipeError, width: usize) -> String {
    let mut shown = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(width)
        .with_links(false)
        .render_report(&mut shown, error)
        .expect("rendered");
    shown
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// A folder with a recipe and files beside it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Folder {
        let folder = Folder(tempfile::tempdir().expect("folder"));
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).expect("UTF-8")
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("one")).expect("made");
        std::fs::write(path, content).expect("written");
    }
}

fn values<T: Clone>(of: &[Spanned<T>]) -> Vec<T> {
    of.iter().map(|it| it.value.clone()).collect()
}

#[test]
fn every_node_is_understood() {
    let recipe = whole();
    assert_eq!(recipe.name, "scylla-python");
    assert_eq!(recipe.version, "3.13");
    assert_eq!(recipe.description.as_deref(), Some("Python für Scylla"));
    assert_eq!(recipe.license.as_deref(), Some("PSF-2.0 AND MIT"));
    let interpreter = recipe.interpreter.expect("one").value;
    assert_eq!(interpreter.version, "3.13");
    assert_eq!(interpreter.suite, "trixie");
    assert_eq!(recipe.pip.require.len(), 3);
    assert_eq!(values(&recipe.pip.keep_pth), ["setuptools"]);
    assert_eq!(
        values(&recipe.system.packages),
        ["libudev1", "ca-certificates"]
    );
    assert_eq!(values(&recipe.system.exclude), ["tzdata", "share/doc/**"]);
    assert_eq!(recipe.closure.entries[0].value.runs, "bin/python3");
    assert_eq!(recipe.closure.trim.len(), 5);
    assert!(!recipe.closure.byte_code);
    assert_eq!(
        recipe.checks[1].value.ask,
        Ask::Python("import sys\nassert {1} and sys".to_owned())
    );
    let venv = ["bin/python3", "-m", "venv", "/tmp/v"].map(str::to_owned);
    assert_eq!(recipe.checks[2].value.ask, Ask::Run(venv.to_vec()));
    assert_eq!(
        values(&recipe.package.formats),
        [PackageFormat::TarZst, PackageFormat::TarGz]
    );
    assert_eq!(
        recipe.package.prefix.expect("one").value,
        "/opt/scylla-python"
    );
    assert_eq!(recipe.lock, LockPolicy::Follow);
}

#[test]
fn what_is_left_out_has_its_default() {
    let recipe =
        read(r#"recipe hello version="1" { interpreter python "3.13" from=debian suite=trixie }"#)
            .expect("good");
    assert!(recipe.closure.byte_code);
    assert_eq!(recipe.lock, LockPolicy::Exact);
    assert!(recipe.requirements().is_empty());
    assert_eq!(recipe.files_read().len(), 1);
}

#[test]
fn a_span_is_the_bytes_of_its_value_even_after_other_scripts() {
    let recipe = whole();
    let at = |span: SourceSpan| &WHOLE[span.offset()..span.offset() + span.len()];
    assert_eq!(at(recipe.pip.require[1].span), "\"psutil>=5.9\"");
    assert_eq!(at(recipe.system.packages[0].span), "\"libudev1\"");
    assert_eq!(at(recipe.closure.entries[0].span), "\"scylla-python\"");
    assert_eq!(
        at(recipe.package.prefix.expect("one").span),
        "\"/opt/scylla-python\""
    );
    assert_eq!(at(recipe.interpreter.expect("one").span), "interpreter");
    assert_eq!(recipe.requirements[1].origin.line, 7);
}

#[test]
fn a_recipe_is_read_from_its_file() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = Utf8Path::from_path(folder.path()).expect("UTF-8");
    let path = folder.join("hello.kdl");
    std::fs::write(&path, WHOLE).expect("written");
    let recipe = Recipe::read(&path).expect("good");
    assert_eq!(recipe.folder, folder);
    assert_eq!(recipe.files_read()[0].path, path);
    assert_eq!(&*recipe.files_read()[0].bytes, WHOLE.as_bytes());
}

#[test]
fn a_byte_order_mark_may_open_a_file() {
    assert!(read(&format!("\u{FEFF}{WHOLE}")).is_ok());
}

#[test]
fn line_ends_of_another_system_change_nothing() {
    let there = read(&WHOLE.replace('\n', "\r\n")).expect("good");
    assert_eq!(there.lock_facts(), whole().lock_facts());
    assert_eq!(values(&there.checks), values(&whole().checks));
}

#[test]
fn slashdash_comments_out_a_node() {
    let text = WHOLE.replace("    lock", "    /- lock \"x\"\n    lock");
    assert_eq!(read(&text).expect("good").lock, LockPolicy::Follow);
    let text = WHOLE.replace("    check {", "    /- check {");
    assert!(read(&text).expect("good").checks.is_empty());
}

/// Held against a change by accident: a changed digest makes every lock out of date.
#[test]
fn the_digest_of_a_lock_request_is_pinned() {
    let facts = whole().lock_facts();
    let expected = [
        "interpreter python 3.13 from debian trixie",
        "pip psutil>=5.9",
        "pip pyyaml",
        "pip requests[socks]>=2 ; python_full_version >= '3.8'",
        "system exclude share/doc/**",
        "system exclude tzdata",
        "system package ca-certificates",
        "system package libudev1",
    ];
    assert_eq!(facts, expected);
    assert_eq!(
        whole().lock_digest().to_string(),
        "aa67ff4b04f32d27cd217d8eb3e6c6aca90c4256b7823d7a23ef8245ca42cedd"
    );
}

#[test]
fn a_lock_request_ignores_what_no_lock_depends_on() {
    let here = whole().lock_digest();
    for (old, new) in [
        ("PyYAML", "pyyaml"),
        (
            "\"libudev1\" \"ca-certificates\"",
            "\"ca-certificates\" \"libudev1\"",
        ),
        ("psutil>=5.9", "psutil >= 5.9"),
        ("für Scylla", "for everybody"),
        ("import yaml;", "import yaml, sys;"),
        ("trim \"tests\"", "trim"),
        ("lock \"follow\"", "lock \"exact\""),
        ("pth \"Setuptools\"", ""),
        ("version=\"3.13\"", "version=\"4\""),
        ("package \"tar.zst\"", "package"),
    ] {
        assert!(WHOLE.contains(old), "{old}");
        let there = read(&WHOLE.replacen(old, new, 1)).expect(new).lock_digest();
        assert_eq!(here, there, "{old} -> {new}");
    }
}

#[test]
fn a_lock_request_changes_with_what_a_lock_depends_on() {
    let here = whole().lock_digest();
    for (old, new) in [
        ("\"PyYAML\" ", ""),
        ("psutil>=5.9", "psutil>=6"),
        ("[socks]", ""),
        (" \"ca-certificates\"", ""),
        ("exclude \"tzdata\"", "exclude"),
        ("\"python\" \"3.13\"", "\"python\" \"3.12\""),
        ("\"trixie\"", "\"bookworm\""),
    ] {
        let there = read(&WHOLE.replacen(old, new, 1)).expect(new).lock_digest();
        assert_ne!(here, there, "{old} -> {new}");
    }
}

#[test]
fn every_name_of_a_closed_list_is_a_value() {
    for (name, _) in values::TRIMS {
        let text = WHOLE.replace(
            "trim \"tests\" \"docs\" \"static-libs\" \"sources\" \"idle\"",
            &format!("trim {name:?}"),
        );
        assert_eq!(read(&text).expect(name).closure.trim.len(), 1);
    }
}

#[test]
fn a_recipe_is_found_by_name_then_by_folder() {
    let scratch = tempfile::tempdir().expect("folder");
    let root = Utf8Path::from_path(scratch.path()).expect("UTF-8");
    for file in [
        "a/app/hello.kdl",
        "a/one.kdl",
        "b/one.kdl",
        "b/x/two.kdl",
        "b/y/two.kdl",
    ] {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().expect("one")).expect("made");
        std::fs::write(path, "").expect("written");
    }
    std::fs::write(root.join("a/app/hello.lock.kdl"), "").expect("written");
    let folders = [root.join("a"), root.join("b"), root.join("absent")];
    let find = |word: &str| lookup::Search::default().find_in(word, &folders);
    assert_eq!(find("hello").expect("found"), root.join("a/app/hello.kdl"));
    assert_eq!(find("one").expect("found"), root.join("a/one.kdl"));
    assert_eq!(find("./one.kdl").expect("a path"), "./one.kdl");
    assert!(matches!(find("two"), Err(RecipeError::Ambiguous { .. })));
    match find("helo") {
        Err(RecipeError::NotFound { near, .. }) => assert_eq!(near, ["hello"]),
        other => panic!("{other:?}"),
    }
    for word in [
        "hello@3.11",
        "-rf",
        "..",
        "$(x)",
        "a b",
        "",
        &"a".repeat(65),
    ] {
        assert!(
            matches!(find(word), Err(RecipeError::BadName { .. })),
            "{word}"
        );
    }
}

#[test]
fn what_is_taken_of_the_host_is_kept_where_it_is_not_as_usual() {
    let text = |host: &str| WHOLE.replacen("byte-code #false", host, 1);
    let recipe = read(&text(HOST)).expect("good");
    let unusual: Vec<_> = recipe.closure.host.unusual().collect();
    let expected = [
        ("certificates", "closure-only"),
        ("time-zones", "closure-first"),
        ("locales", "closure-first"),
        ("openssl-configuration", "host-first"),
        ("name-service", "host-first"),
    ];
    assert_eq!(unusual, expected);
    let first = r#"host { preloads "closure-first"; }"#;
    let error = message(&read(&text(first)).expect_err("it has none"));
    insta::assert_snapshot!("host_order", error);
}

#[test]
fn the_whole_recipe_uses_every_node_of_the_grammar() {
    let text = NamedSource::new("x", whole_in_forms().into());
    let document = document(&text, &Limits::RECIPE).expect("good");
    for rule in RULES {
        let mut names = document
            .nodes()
            .iter()
            .map(|node| (node, ""))
            .collect::<Vec<_>>();
        let mut found = false;
        while let Some((node, parent)) = names.pop() {
            found |= node.name().value() == rule.node && parent == rule.inside;
            let name = RULES.iter().find(|it| it.node == node.name().value());
            let inside = name.expect("known").node;
            names.extend(node.iter_children().map(|child| (child, inside)));
        }
        assert!(
            found
                || matches!(
                    rule.node,
                    "requirements" | "include" | "extends" | "use" | "without" | "patch"
                )
                || matches!(rule.node, "no-binary" | "override" | "build-constraint")
                || (rule.node, rule.inside) == ("suite", "variant"),
            "{} in {:?}",
            rule.node,
            rule.inside
        );
    }
}

#[test]
fn what_is_built_from_sdists_is_part_of_what_a_lock_depends_on() {
    let recipe = |more: &str| {
        let text = format!(
            "recipe hello version=\"1\" {{\n interpreter python \"3.13\" from=debian suite=trixie\n pip {{ require psutil urllib3; {more} }}\n}}\n"
        );
        Recipe::parse("hello.kdl", text.into(), Utf8Path::new("")).expect("good")
    };
    let built = recipe(
        "no-binary PSUtil; override urllib3 \"2.5\" reason=why; build-constraint Cython \"<3.3\" reason=why",
    );
    let facts = built.lock_facts();
    for fact in [
        "pip no-binary psutil",
        "pip override urllib3==2.5",
        "pip build-constraint cython<3.3",
        "sysroot debian trixie",
    ] {
        assert!(facts.iter().any(|it| it == fact), "{fact}: {facts:?}");
    }
    let other_reason = recipe(
        "no-binary psutil; override urllib3 \"==2.5\" reason=another; build-constraint cython \"<3.3\" reason=another",
    );
    assert_eq!(built.lock_digest(), other_reason.lock_digest());
    assert!(recipe("").sdists.is_none());
}

#[test]
fn the_recipes_we_ship_are_good_and_lie_where_their_name_is_looked_for() {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for name in [
        "scylla-python",
        "python",
        "scylla-python-3.14",
        "python-3.14",
    ] {
        let path = lookup::Search::default()
            .find_in(name, std::slice::from_ref(&root))
            .expect(name);
        let recipe = Recipe::read(&path).unwrap_or_else(|error| panic!("{}", message(&error)));
        assert_eq!(recipe.name, name);
    }
}
