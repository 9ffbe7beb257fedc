//! Where an interpreter comes from, and what a recipe need not say then.

use super::*;
use crate::recipe::{SourceOrigin, Sysroot};

fn read(inside: &str) -> Result<Recipe, RecipeError> {
    let text = format!("recipe \"p\" version=\"1\" {{\n{inside}\n}}\n");
    Recipe::parse("p.kdl", text.into(), Utf8Path::new("/nowhere"))
}

const SOURCE: &str = "interpreter python \"3.13\" from=source suite=trixie";

#[test]
fn an_interpreter_from_source_says_how_it_is_built() {
    let built = read(SOURCE).expect("read").built.expect("built");
    let names: Vec<_> = built.sources.iter().map(|it| &it.value.name).collect();
    assert_eq!(names, ["python"]);
    let origin = SourceOrigin::Debian {
        package: "python3.13".into(),
        patched: false,
    };
    assert_eq!(built.sources[0].value.from, origin);
    let Sysroot {
        suite, packages, ..
    } = &built.sysroot.value;
    assert_eq!(suite, "trixie");
    assert!(packages.iter().any(|it| it == "libssl-dev"), "{packages:?}");
    assert_eq!(built.packages.len(), packages.len());
    let runs: Vec<_> = built
        .build
        .value
        .runs
        .iter()
        .map(|it| it.words[0].as_str())
        .collect();
    assert_eq!(runs, ["./configure", "make", "make", "sh"]);
    assert!(built.build.value.env.contains_key("OPT"));
}

#[test]
fn each_part_of_how_an_interpreter_is_built_can_be_another() {
    let sha256 = "0".repeat(64);
    let text = format!(
        "{SOURCE}; source python {{ url \"https://h.example/P.tgz\" sha256=\"{sha256}\"; }}\n\
         sysroot debian suite=trixie {{ package tk-dev; }}; build {{ env OPT \"-Os\"; }}"
    );
    let built = read(&text).expect("read").built.expect("built");
    assert_eq!(built.sources.len(), 1);
    assert!(matches!(
        built.sources[0].value.from,
        SourceOrigin::Url { .. }
    ));
    let packages = &built.sysroot.value.packages;
    assert!(
        ["tk-dev", "gcc"]
            .iter()
            .all(|it| packages.iter().any(|is| is == it))
    );
    assert_eq!(built.build.value.env["OPT"], "-Os");
    assert_eq!(built.build.value.runs.len(), 4);
}

#[test]
fn own_commands_take_the_place_of_all_that_is_usual() {
    let text = format!(
        "{SOURCE}; sysroot debian suite=trixie {{ package tcc; }}; build {{ run \"make\"; }}"
    );
    let built = read(&text).expect("read").built.expect("built");
    assert_eq!(built.sysroot.value.packages, ["tcc"]);
    assert_eq!(built.build.value.runs.len(), 1);
    assert!(built.build.value.env.is_empty());
}

#[test]
fn an_interpreter_and_its_sysroot_are_of_one_suite() {
    let text = format!("{SOURCE}; sysroot debian suite=bookworm {{ package gcc; }}");
    let said = message(&read(&text).expect_err("two suites"));
    assert!(said.contains("of one suite"), "{said}");
}

#[test]
fn an_archive_is_a_source_that_nothing_builds() {
    let archive = "interpreter python \"3.13\" from=archive suite=trixie";
    let said = message(&read(archive).expect_err("no source"));
    assert!(said.contains("called `python`"), "{said}");
    let source = format!(
        "source python {{ url \"https://h.example/P.tgz\" sha256=\"{}\"; }}",
        "0".repeat(64)
    );
    let recipe = read(&format!("{archive}; {source}")).expect("read");
    assert!(recipe.built.is_none() && recipe.archive.is_some());
    let facts = recipe.lock_facts().join("\n");
    assert!(
        facts.contains("interpreter python 3.13 from archive trixie"),
        "{facts}"
    );
    assert!(facts.contains("source python sha256 000"), "{facts}");
    let built = format!("{archive}; {source}; build {{ run \"make\"; }}");
    let said = message(&read(&built).expect_err("a build"));
    assert!(said.contains("from=\"source\" builds one"), "{said}");
}
