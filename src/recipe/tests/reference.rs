//! The book's reference and the grammar say the same.

use super::*;

fn page(path: &str) -> String {
    let path = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The KDL examples of a page.
fn examples(page: &str) -> Vec<String> {
    let mut blocks = page.split("```");
    let mut found = Vec::new();
    while let (Some(_), Some(block)) = (blocks.next(), blocks.next()) {
        if let Some(text) = block.strip_prefix("kdl\n") {
            found.push(text.to_owned());
        }
    }
    found
}

/// An example that shows one node stands in a recipe of its own.
fn completed(example: &str) -> String {
    if example.contains("recipe \"") {
        return example.to_owned();
    }
    let interpreter = if example.contains("interpreter \"") || example.contains("extends \"") {
        ""
    } else {
        "interpreter python \"3.13\" from=debian suite=trixie"
    };
    format!("recipe \"example\" version=\"1\" {{\n{interpreter}\n{example}\n}}\n")
}

#[test]
fn every_example_of_the_documentation_is_a_good_recipe() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = Utf8Path::from_path(folder.path()).expect("UTF-8");
    let base = r#"recipe python version="1" {
        interpreter python "3.13" from=debian suite=trixie
        pip { require "click"; }
        system { package "libudev1"; exclude "share/doc/**"; }
        closure { trim "tests"; }
        check { python "import click"; }
    }"#;
    for (name, text) in [
        ("requirements.txt", "click\n"),
        ("fix.patch", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"),
        ("common.kdl", "lock \"follow\"\n"),
        ("python.kdl", base),
        ("mine.kdl", &base.replace("recipe python", "recipe mine")),
        (
            "yaml-tools.kdl",
            "recipe yaml-tools version=\"1\" { pip { require yamllint; }; }",
        ),
    ] {
        std::fs::write(folder.join(name), text).expect("written");
    }
    for (path, least) in [
        ("README.md", 1),
        ("book/src/reference/language.md", 15),
        ("book/src/guide/your-own-recipe.md", 5),
    ] {
        let examples = examples(&page(path));
        assert!(examples.len() >= least, "{path} has {}", examples.len());
        for example in examples {
            let text = completed(&example);
            if let Err(error) = Recipe::parse(path, text.into(), folder) {
                panic!("{}", message(&error));
            }
        }
    }
}

#[test]
fn every_node_has_its_heading_and_its_example_in_the_reference() {
    let page = page("book/src/reference/language.md");
    let examples = examples(&page).join("\n");
    for rule in RULES {
        let top = matches!(rule.inside, "" | "recipe");
        let heading = match (top, rule.node) {
            (true, node) => format!("\n## `{node}`\n"),
            (false, node) if RULES.iter().filter(|it| it.node == node).count() > 1 => {
                format!("\n### `{node}` in `{}`\n", rule.inside)
            }
            (false, node) => format!("\n### `{node}`\n"),
        };
        assert!(page.contains(&heading), "no heading {heading:?}");
        assert!(
            examples.contains(&format!("{} ", rule.node)),
            "no example of {}",
            rule.node
        );
        for (property, _) in rule.properties {
            assert!(
                page.contains(&format!("{property}=")),
                "{property} of {}",
                rule.node
            );
        }
    }
}

#[test]
fn every_value_of_a_closed_list_is_in_the_reference() {
    let page = page("book/src/reference/language.md");
    let trims = values::TRIMS.iter().map(|(name, _)| *name);
    let formats = values::FORMATS.iter().map(|(name, _)| *name);
    let policies = values::POLICIES.iter().map(|(name, _)| *name);
    let planned = grammar::PLANNED.iter().map(|(name, _)| *name);
    let nested = ["debian-source", "arch"];
    for name in trims.chain(formats).chain(policies).chain(planned) {
        assert!(
            page.contains(&format!("`{name}`")) || nested.contains(&name),
            "{name}"
        );
    }
}

#[test]
fn the_limits_in_the_reference_are_those_of_the_code() {
    let page = page("book/src/reference/language.md");
    let limits = Limits::RECIPE;
    assert!(page.contains(&format!("at most {} KiB", limits.bytes >> 10)));
    assert!(page.contains(&format!("at most {} deep", limits.depth)));
    assert!(page.contains(&format!("at most {} `/-` in a file", limits.slashdashes)));
    assert!(page.contains(&format!("and {} in a row", limits.slashdash_row)));
    let stray = format!("at most {} brackets", limits.stray);
    assert!(page.contains(&stray));
    assert_eq!(limits.slashdash_depth, 3, "the page says three");
}

#[test]
fn the_tests_that_the_book_names_exist() {
    let book = page("book/src/concepts/promises.md");
    let rows = book
        .lines()
        .filter(|line| line.contains("`promises/") || line.contains("`commands/"));
    let mut named = 0;
    for row in rows {
        let mut words = row.split('`').skip(1).step_by(2);
        let Some(file) = words.next().filter(|word| word.ends_with(".rs")) else {
            continue;
        };
        let text = page(&format!("tests/{file}"));
        for name in words {
            assert!(
                text.contains(&format!("#[test]\nfn {name}(")),
                "{name} in {file}"
            );
            named += 1;
        }
    }
    assert!(named >= 20, "{named}");
}
