//! Facts about the text of recipes: its canonical form, and edits that keep what people wrote.

use super::edit::{List, add, remove};
use super::*;

fn canonical(text: &str) -> String {
    formatted("hello.kdl", text).unwrap_or_else(|error| panic!("{}\n{text}", message(&error)))
}

/// Everything a recipe says, without places.
fn meaning(text: &str) -> String {
    let recipe = read(text).unwrap_or_else(|error| panic!("{}", message(&error)));
    format!(
        "{:?}",
        (
            (
                &recipe.name,
                &recipe.version,
                &recipe.description,
                &recipe.license
            ),
            recipe.interpreter.map(|it| it.value),
            recipe
                .requirements
                .iter()
                .map(|it| &it.text)
                .collect::<Vec<_>>(),
            (
                values(&recipe.pip.keep_pth),
                values(&recipe.system.packages)
            ),
            (
                values(&recipe.system.exclude),
                values(&recipe.closure.entries)
            ),
            (values(&recipe.closure.trim), recipe.closure.byte_code),
            (values(&recipe.checks), values(&recipe.package.formats)),
            (recipe.package.prefix.map(|it| it.value), recipe.lock),
        )
    )
}

const MESSY: &str = "\u{FEFF}// head\r\n\n\n\nrecipe   hello  version = \"1\" { // the recipe
interpreter python \"3.13\" \\ // goes on
   from=debian suite=trixie;license MIT

  /* about
       pip */


    pip{require six /* why */ \"click\" ;require \"psutil\"   // three
      require \"a-longer-name\" // four
      /- require \"not-this\"
      require /-\"nor-this\" \"this\"

    }
  system {}
  check {
        python \"\"\"
          import sys

            # deeper
          assert sys
          \"\"\"
  }
  /-
  closure { trim tests; }
  package tar.zst { prefix \"/opt/x\" }; lock \"follow\" }
// tail";

#[test]
fn a_messy_recipe_becomes_this_text() {
    let text = canonical(MESSY);
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("canonical", text); });
    assert_eq!(canonical(&text), text);
    assert_eq!(meaning(&text), meaning(MESSY));
}

#[test]
fn the_recipes_we_ship_are_canonical() {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for path in Recipe::files(&root) {
        let text = std::fs::read_to_string(&path).expect("read");
        assert!(text == canonical(&text), "run `recipe fmt {path}`");
    }
}

#[test]
fn a_long_block_is_not_kept_on_one_line() {
    let names = "\"a-package\" ".repeat(9);
    let text = canonical(&format!("system {{ package {names}; exclude {names}; }}\n"));
    assert_eq!(text.lines().count(), 4, "{text}");
    assert_eq!(canonical(&text), text);
}

#[test]
fn what_is_no_kdl_is_not_formatted() {
    for text in ["recipe {", "a \"b", "x = 1", &"a {".repeat(70)] {
        assert!(formatted("hello.kdl", text).is_err(), "{text}");
    }
}

#[test]
fn a_requirement_is_added_where_the_others_stand() {
    let with = |text: &str, list, entry: &str| add("hello.kdl", text, list, entry).expect("added");
    let text = with(WHOLE, List::Requirements, "six>=1");
    let line = "python_version >= '3.8'\"\n        require \"six>=1\"\n        pth";
    assert!(text.contains(line), "{text}");
    let text = with(WHOLE, List::Packages, "libyaml-0-2");
    let line = "\"ca-certificates\"\n        package \"libyaml-0-2\"\n        exclude";
    assert!(text.contains(line), "{text}");
    let text = with(
        "recipe a version=\"1\" { pip { require b; }\n}",
        List::Requirements,
        "c",
    );
    assert_eq!(text, "recipe a version=\"1\" { pip { require b \"c\"; }\n}");
}

#[test]
fn what_is_removed_takes_its_line_and_nothing_else() {
    let text = "recipe a version=\"1\" {
    // about pip
    pip {
        require \"one\"  // the first

        // about two
        require \"two\" \"three\" \\
            \"four\"
    }
}
";
    let without = |text: &str, entry: &str| {
        let removed = remove("hello.kdl", text, List::Requirements, entry);
        removed.expect("good").expect("was there")
    };
    assert_eq!(
        without(text, "One"),
        text.replace("        require \"one\"  // the first\n", "")
    );
    assert_eq!(without(text, "two"), text.replace("\"two\" ", ""));
    assert_eq!(
        without(text, "four"),
        text.replace(" \\\n            \"four\"", "")
    );
    let rest = without(&without(&without(text, "two"), "three"), "four");
    assert!(rest.contains("// about two\n    }"), "{rest}");
    // The comment keeps the block.
    let rest = without(&rest, "one");
    assert!(
        rest.contains("pip {\n\n        // about two\n    }"),
        "{rest}"
    );
    assert!(
        remove("x", text, List::Requirements, "five")
            .expect("good")
            .is_none()
    );
    assert!(
        remove("x", text, List::Packages, "one")
            .expect("good")
            .is_none()
    );
}

#[test]
fn a_file_without_a_recipe_is_not_changed() {
    for text in ["", "pip { require a; }", "recipe a version=\"1\""] {
        assert!(add("hello.kdl", text, List::Requirements, "b").is_err());
    }
}

/// The same recipe as different people would write it.
fn layouts() -> Vec<String> {
    let all = [
        WHOLE.to_owned(),
        canonical(WHOLE),
        WHOLE.replace('\n', "\r\n"),
        whole_in_forms(),
        canonical(MESSY).replace("    system {}\n", ""),
        r#"recipe hello version="1" { interpreter python "3.13" from=debian suite=trixie; }"#
            .to_owned(),
        r#"recipe hello version="1" { interpreter python "3.13" from=debian suite=trixie }"#
            .to_owned(),
        r#"recipe hello version="1" {
  interpreter python "3.13" from=debian suite=trixie // why
  pip { requirements "r.txt" }
  system { exclude tzdata; }
}"#
        .to_owned(),
        "recipe hello version=\"1\" {\n\tlicense MIT\n\tpip {\n\t\tpth x // y\n\t}\n}\n".to_owned(),
    ];
    all.to_vec()
}

/// Pieces of text between nodes and inside them.
fn any_node(depth: u32) -> BoxedStrategy<String> {
    let words = prop::collection::vec(
        prop::sample::select(vec![
            "a",
            "\"b c\"",
            "k=v",
            "k=\"v w\"",
            "#true",
            "1.5",
            "-2",
            "#\"raw \"x\"\"#",
            "/-d",
            "/* c */",
            "\\\n",
            "\\ // on\n ",
            "\"\"\"\n   x\n     y\n   \"\"\"",
            "k = v",
            "\"\\u{e9}\\n\"",
            "\"// no\"",
            "\"{\"",
            "\"\\s\\t\\\\ \\\n      on\"",
            "#\"\"\"\n  raw \\n \"x\"\n\n    more\n  \"\"\"#",
            "##\"a\"#b\"##",
            "\"\"\"\n\t\\u{41}\n\t\"\"\"",
            "\"k k\"=v",
            "k=#\"raw\"#",
            "k=#null",
            "(t)a",
            "k=(t)\"v\"",
            "(\"t t\")0x1f",
            "#inf",
            "1_000",
            "'it",
            "-",
            "/-k=v",
            "/- /* g */ d",
            "/-\n\"d\"",
        ]),
        0..4,
    );
    let name = prop::sample::select(vec![
        "n", "n", "n", "\"n m\"", "(t)n", "-", "#\"n\"#", "n.'",
    ]);
    let end = prop::sample::select(vec![
        "\n",
        ";",
        "; // e\n",
        " // e\n",
        "\r\n",
        " /* f */\n",
        "\n\n\n",
        "\u{85}",
        "\u{2028}",
        "\u{b}",
        " \\\n\n",
    ]);
    let before = prop::sample::select(vec![
        "",
        "",
        "",
        "// o\n",
        "/- ",
        "/-\n",
        "/* p\n q */\n",
        "  ",
        "\n\n",
        "/-/* l */\n",
        "\t\u{a0}",
    ]);
    let block = match depth {
        0 => Just(String::new()).boxed(),
        _ => {
            let nodes = prop::collection::vec(any_node(depth - 1), 0..3);
            let open =
                prop::sample::select(vec!["{", "{\n", "{ // h\n", "/-{", "{ /* i */ ", "/-{} {"]);
            let some =
                (open, nodes).prop_map(|(open, nodes)| format!("{open}{}}}", nodes.concat()));
            prop_oneof![Just(String::new()), some].boxed()
        }
    };
    (before, name, words, block, end)
        .prop_map(|(before, name, words, block, end)| {
            format!("{before}{name} {} {block}{end}", words.join(" "))
        })
        .boxed()
}

/// Words of comments, in any order: a layout may move a comment to the end of its line.
fn comments(text: &str) -> Vec<char> {
    let mut found: Vec<char> = [
        "// o", "// e", "// h", "// on", "/* c */", "/* f */", "/* i */", "q */", "/* g */",
        "/* l */",
    ]
    .iter()
    .enumerate()
    .flat_map(|(at, word)| {
        let name = char::from(b'a' + u8::try_from(at).unwrap_or(0));
        std::iter::repeat_n(name, text.matches(word).count())
    })
    .collect();
    found.sort_unstable();
    found
}

/// What kdl itself reads in a text: each node with how deep it stands, and all its values.
fn said(text: &str) -> Option<Vec<String>> {
    let document = kdl::KdlDocument::parse_v2(text).ok()?;
    let mut nodes: Vec<_> = document
        .nodes()
        .iter()
        .rev()
        .map(|node| (0, node))
        .collect();
    let mut said = Vec::new();
    while let Some((depth, node)) = nodes.pop() {
        let ty = |ty: Option<&kdl::KdlIdentifier>| ty.map(|ty| ty.value().to_owned());
        let entries = node.entries().iter();
        let entries = entries.map(|it| (it.name().map(|it| it.value()), ty(it.ty()), it.value()));
        let entries: Vec<_> = entries.collect();
        let block = node.children().map(|block| block.nodes());
        let name = node.name().value();
        said.push(format!(
            "{depth} {:?} {name:?} {entries:?} {:?}",
            ty(node.ty()),
            block.is_some()
        ));
        nodes.extend(
            block
                .unwrap_or_default()
                .iter()
                .rev()
                .map(|node| (depth + 1, node)),
        );
    }
    Some(said)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn canonical_text_is_its_own_and_keeps_every_comment(
        nodes in prop::collection::vec(any_node(2), 0..5), mark in any::<bool>(), other_system in any::<bool>()
    ) {
        let mut text = nodes.concat();
        if other_system {
            text = text.replace('\n', "\r\n");
        }
        if mark {
            text.insert(0, '\u{FEFF}');
        }
        // What kdl refuses is no text that could be formatted.
        match formatted("x.kdl", &text) {
            Ok(once) => {
                prop_assert_eq!(formatted("x.kdl", &once).ok(), Some(once.clone()), "{}", text);
                prop_assert_eq!(comments(&once), comments(&text), "{}\n---\n{}", text, once);
                prop_assert!(said(&text).is_some(), "{}", text);
                prop_assert_eq!(said(&once), said(&text), "{}\n---\n{}", text, once);
                prop_assert!(!once.contains("\n\n\n"), "{}", once);
            }
            Err(RecipeError::NotFormatted { .. }) => prop_assert!(false, "{}", text),
            Err(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn what_is_added_and_removed_leaves_the_text_as_it_was(
        at in 0..layouts().len(), entries in prop::collection::vec("[a-z][a-z0-9]{2,8}(>=[1-9])?", 1..4),
        packages in any::<bool>()
    ) {
        let text = layouts()[at].clone();
        let list = if packages { List::Packages } else { List::Requirements };
        let mut all = vec![text];
        for entry in &entries {
            let last = all.last().expect("one");
            if remove("x.kdl", last, list, entry).expect("good").is_some() {
                return Ok(());
            }
            let next = add("x.kdl", last, list, entry).expect("added");
            prop_assert!(formatted("x.kdl", &next).is_ok(), "{}", next);
            all.push(next);
        }
        for (entry, before) in entries.iter().zip(&all).rev() {
            let last = all.iter().position(|it| it == before).expect("there") + 1;
            let removed = remove("x.kdl", &all[last], list, entry).expect("good");
            prop_assert_eq!(removed.as_ref(), Some(before), "{}", entry);
        }
    }
}
