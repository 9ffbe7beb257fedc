//! Every answer in JSON has the shape that the book documents.

use std::collections::BTreeMap;
use std::fs;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::support::{Scratch, built, checkout};

/// What a value is made of; fields in the order they come.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    One(&'static str),
    Maybe(Box<Shape>),
    List(Option<Box<Shape>>),
    Fields(Vec<(String, Shape)>),
}

impl Shape {
    /// What both are: a field that is null in one may be.
    fn and(self, other: Shape) -> Shape {
        match (self, other) {
            (one, other) if one == other => one,
            (Shape::One("null"), Shape::Maybe(one)) | (Shape::Maybe(one), Shape::One("null")) => {
                Shape::Maybe(one)
            }
            (Shape::One("null"), one) | (one, Shape::One("null")) => Shape::Maybe(one.into()),
            (Shape::Maybe(one), other) | (other, Shape::Maybe(one)) => {
                Shape::Maybe(one.and(other).into())
            }
            (Shape::List(None), list) | (list, Shape::List(None)) => list,
            (Shape::List(Some(one)), Shape::List(Some(other))) => {
                Shape::List(Some(one.and(*other).into()))
            }
            (Shape::Fields(one), Shape::Fields(other)) => Shape::Fields(
                one.into_iter()
                    .zip(other)
                    .map(|((name, one), (same, other))| {
                        assert_eq!(name, same, "one order of fields, always");
                        (name, one.and(other))
                    })
                    .collect(),
            ),
            (one, other) => panic!("{one:?} is not {other:?}"),
        }
    }

    /// Reads what the book writes; gives what is left of the text too.
    fn read(text: &str) -> (Shape, &str) {
        let text = text.trim_start();
        let (shape, rest) = if let Some(mut rest) = text.strip_prefix('{') {
            let mut fields = Vec::new();
            loop {
                rest = rest.trim_start();
                if let Some(rest) = rest.strip_prefix('}') {
                    break (Shape::Fields(fields), rest);
                }
                let (name, value) = rest.split_once(": ").expect("a field");
                let (shape, after) = Shape::read(value);
                fields.push((name.to_owned(), shape));
                rest = after;
            }
        } else if let Some(rest) = text.strip_prefix('[') {
            let (shape, rest) = Shape::read(rest);
            let rest = rest.strip_prefix(", …]").expect("the end of a list");
            (Shape::List(Some(shape.into())), rest)
        } else {
            let words = ["text", "number", "true or false"];
            let word = words.into_iter().find(|word| text.starts_with(word));
            let word = word.unwrap_or_else(|| panic!("no kind of value: {text:.40}"));
            (Shape::One(word), &text[word.len()..])
        };
        match rest.strip_prefix(" or null") {
            Some(rest) => (Shape::Maybe(shape.into()), rest),
            None => (shape, rest),
        }
    }

    /// Whether this, which was found, is what that says.
    fn fits(&self, documented: &Shape) -> bool {
        match (self, documented) {
            (Shape::One("null"), Shape::Maybe(_)) | (Shape::List(None), Shape::List(_)) => true,
            (Shape::Maybe(one), Shape::Maybe(two)) => one.fits(two),
            (one, Shape::Maybe(two)) => one.fits(two),
            (Shape::List(Some(one)), Shape::List(Some(two))) => one.fits(two),
            (Shape::Fields(one), Shape::Fields(two)) => {
                one.len() == two.len()
                    && one
                        .iter()
                        .zip(two)
                        .all(|((name, one), (same, two))| name == same && one.fits(two))
            }
            (one, two) => one == two,
        }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
        struct Looks;
        impl<'de> Visitor<'de> for Looks {
            type Value = Shape;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
                Ok(Shape::One("true or false"))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
                Ok(Shape::One("number"))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
                Ok(Shape::One("number"))
            }
            fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
                Ok(Shape::One("text"))
            }
            fn visit_unit<E>(self) -> Result<Shape, E> {
                Ok(Shape::One("null"))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut all: Option<Shape> = None;
                while let Some(one) = list.next_element::<Shape>()? {
                    all = Some(match all {
                        None => one,
                        Some(before) => before.and(one),
                    });
                }
                Ok(Shape::List(all.map(Box::new)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry::<String, Shape>()? {
                    fields.push(field);
                }
                Ok(Shape::Fields(fields))
            }
        }
        deserializer.deserialize_any(Looks)
    }
}

/// The shape of what the command answers, and the answer's name.
fn shape(scratch: &Scratch, args: &[&str]) -> (String, Shape) {
    let out = scratch.run(args.iter().chain(&["--json"])).out;
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON, and nothing else");
    let name = value["answer"].as_str().expect("a name").to_owned();
    assert_eq!(value["version"], 1);
    (name, serde_json::from_str(&out).expect("a shape"))
}

#[test]
fn every_answer_has_the_shape_that_the_book_shows() {
    let Some(scratch) = built() else { return };
    let other = Scratch::new();
    let folder = other.write("there/file", "x");
    other.write("here/more", "y");
    let folder = folder.parent().expect("a folder").as_str();
    let here = other.work().join("here");
    std::os::unix::fs::symlink("more", here.join("link")).expect("a link");
    let old = scratch.work().join("recipes/python/python.lock.kdl");
    let text = fs::read_to_string(&old).expect("a lock");
    let new = other.write(
        "new.lock.kdl",
        &text.replace("deb \"libffi8\" ", "deb \"libffi9\" "),
    );
    let copy = other.work().join("copy");
    let from = scratch.work().join("result/python/");
    let mut cp = std::process::Command::new("cp");
    assert!(
        cp.args(["-r", from.as_str(), copy.as_str()])
            .status()
            .expect("cp")
            .success()
    );
    fs::remove_file(copy.join("bin/python3")).expect("removed");
    let out = other.work();
    let questions: &[&[&str]] = &[
        &["build", "python", "--locked"],
        &["lock", "python", "--locked"],
        &["plan", "python"],
        &["export", "python", "--level", "1", "--output", out.as_str()],
        &["log", "python"],
        &["why", "python", "libssl3t64"],
        &["why", "python", "lib/libz.so.1"],
        &["diff", folder, here.as_str()],
        &["diff", old.as_str(), new.as_str()],
        &["verify", copy.as_str()],
        // What holds, fails and is skipped.
        &[
            "test-closure",
            copy.as_str(),
            "--program",
            "bin/python3.13",
            "--only",
            "links",
            "--only",
            "same_bytes",
            "--only",
            "modes",
        ],
        &["gc", "--dry-run"],
        &["store", "verify"],
        &["store", "path"],
        &["store", "repair"],
        &["doctor", "--offline"],
        &["man", out.as_str()],
    ];
    let mut shapes: BTreeMap<String, Vec<Shape>> = BTreeMap::new();
    for args in questions {
        let (name, shape) = shape(scratch, args);
        shapes.entry(name).or_default().push(shape);
    }
    // Before anything is built, everything would run.
    for args in [["plan", "python"].as_slice(), &["why", "python"]] {
        let (name, shape) = shape(&other, args);
        shapes.entry(name).or_default().push(shape);
    }
    // Those that write recipes, and failures of all kinds.
    other.write(
        "recipes/wrong.kdl",
        "recipe \"wrong\" version=\"1\" {\n    pip {\n        require \"é==\"\n    }\n    nod\n}\n",
    );
    let questions: &[&[&str]] = &[
        &["init", "mine"],
        &["add", "mine", "requests"],
        &["remove", "mine", "requests"],
        &["fmt", "mine"],
        &["build", "nothing-like-it"],
        &["build", "wrong"],
        &["build", "python", "--offline"],
        &["lock", "python", "--locked", "--no-such-flag"],
        &["plan", "python", "--jobs", "0"],
        &["log", "python"],
        &["verify", "nowhere"],
        &["fmt", "wrong"],
    ];
    for args in questions {
        let (name, shape) = shape(&other, args);
        shapes.entry(name).or_default().push(shape);
    }
    let page = fs::read_to_string(checkout().join("book/src/reference/json.md")).expect("the page");
    let mut documented: BTreeMap<String, Vec<Shape>> = BTreeMap::new();
    for part in page.split("\n## ").skip(1) {
        let name = part.lines().next().expect("a title").trim_matches('`');
        let blocks = part.split("```text\n").skip(1);
        let shapes = blocks.map(|block| Shape::read(block).0);
        documented.insert(name.to_owned(), shapes.collect());
    }
    for (name, found) in shapes {
        for found in found {
            let known = documented
                .get(&name)
                .is_some_and(|known| known.iter().any(|known| found.fits(known)));
            assert!(
                known,
                "the book does not show this answer of {name}: {found:#?}"
            );
        }
    }
}

#[test]
fn a_failure_in_json_says_what_the_text_says_and_where() {
    let scratch = Scratch::new();
    scratch.write(
        "recipes/wrong.kdl",
        "recipe \"wrong\" version=\"1\" {\n    interpreter \"python\" \"3.13\" from=\"debian\" suite=\"trixie\"\n    /* é */ nod\n    lok \"follow\"\n}\n",
    );
    let fails = |args: &[&str], code: i32| -> serde_json::Value {
        let ran = scratch.run(args.iter().chain(&["--json"])).fails_with(code);
        let error: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON, nothing else");
        assert_eq!(error["answer"], "error", "{args:?}");
        assert_eq!(error["exit_code"], code, "{args:?}");
        let message = error["message"].as_str().expect("a message");
        for line in message.lines() {
            assert!(
                ran.err.contains(line.trim()),
                "{line} is not in {}",
                ran.err
            );
        }
        error
    };
    let error = fails(&["build", "wrong"], 3);
    assert_eq!(error["code"], "recipe::mistakes");
    let first = &error["errors"][0];
    assert_eq!(first["code"], "recipe::unknown_node");
    assert_eq!(first["places"][0]["file"], "recipes/wrong.kdl");
    let place = (&first["places"][0]["line"], &first["places"][0]["column"]);
    assert_eq!(place, (&3.into(), &13.into()), "{first:#}");
    assert_eq!(error["errors"][1]["places"][0]["line"], 4);
    assert!(
        error["errors"][1]["help"]
            .as_str()
            .is_some_and(|help| help.contains("lock"))
    );
    let error = fails(&["build", "scyla-python"], 3);
    assert!(
        error["help"]
            .as_str()
            .is_some_and(|help| help.contains("scylla-python"))
    );
    let error = fails(&["plan", "--no-such-flag"], 2);
    assert_eq!(error["code"], "usage");
    let error = fails(&["log", "python"], 2);
    assert!(
        error["help"]
            .as_str()
            .is_some_and(|help| help.contains("recipe build python"))
    );
    fails(&["plan", "python", "--store", "/dev/null/store"], 6);
    // Who has an answer gets it, and no error besides.
    let folder = scratch.work().join("recipes");
    fs::write(folder.join("ugly.kdl"), "recipe   \"ugly\" version=\"1\"\n").expect("written");
    let ran = scratch
        .run(["fmt", "ugly", "--check", "--json"])
        .fails_with(3);
    let answer: serde_json::Value = serde_json::from_str(&ran.out).expect("one object");
    assert_eq!(answer["answer"], "fmt");
    assert_eq!(answer["files"][0]["changed"], true);
}
