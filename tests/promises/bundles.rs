//! A place without network takes what it needs in one file.

use std::fs;

use camino::Utf8Path;
use serde_json::Value;

use crate::support::sharing::{RECIPE, builder, closure_of, key_of, lonely, taker};

#[test]
fn a_bundle_has_all_that_a_place_without_network_needs() {
    let Some(builder) = builder() else { return };
    let bundle = builder.path().join("all.bundle");
    let create = [
        "bundle",
        "create",
        RECIPE,
        "--with-tool",
        "--output",
        bundle.as_str(),
    ];
    let ran = builder.run(create).ok();
    assert!(ran.out.contains("proved complete"), "{}", ran.out);
    let listed = builder.run(["bundle", "list", bundle.as_str()]).ok().out;
    for member in [
        "recipes/python.kdl",
        "recipes/python.lock.kdl",
        "tool/recipe",
    ] {
        assert!(listed.contains(member), "{listed}");
    }
    builder.run(["bundle", "verify", bundle.as_str()]).ok();

    // Nobody whom the other side knows.
    let other = lonely();
    fs::remove_dir_all(other.work().join("recipes")).expect("removed");
    let import = ["bundle", "import", bundle.as_str(), "--offline"];
    let ran = other.run(import).fails_with(5);
    assert!(ran.err.contains("not trusted"), "{}", ran.err);
    other.run(["key", "trust", &key_of(&builder)]).ok();
    other.run(import).ok();
    assert_eq!(closure_of(&other), closure_of(&builder));
    let ran = other
        .run([
            "build",
            "./recipes/python.kdl",
            "--locked",
            "--offline",
            "--json",
        ])
        .ok();
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(answer["closures"][0]["ran"], 0, "{answer}");
    other.store_verifies();

    // Only the sources: everything is built again, to the same bytes.
    let again = taker(&builder);
    fs::remove_dir_all(again.work().join("recipes")).expect("removed");
    again
        .run([
            "bundle",
            "import",
            bundle.as_str(),
            "--offline",
            "--sources",
        ])
        .ok();
    let ran = again
        .run([
            "build",
            "./recipes/python.kdl",
            "--locked",
            "--offline",
            "--json",
        ])
        .ok();
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_ne!(answer["closures"][0]["ran"], 0);
    assert_eq!(closure_of(&again), closure_of(&builder));

    // One that is older, and one that was changed on its way.
    let newer = builder.path().join("newer.bundle");
    builder
        .run([
            "bundle",
            "create",
            RECIPE,
            "--run-only",
            "--output",
            newer.as_str(),
        ])
        .ok();
    other.run(["bundle", "import", newer.as_str()]).ok();
    let ran = other.run(import).fails_with(5);
    assert!(ran.err.contains("--allow-older"), "{}", ran.err);
    let mut bytes = fs::read(&newer).expect("read");
    let near_the_end = bytes.len() - 1000;
    bytes[near_the_end] ^= 1;
    fs::write(&newer, &bytes).expect("written");
    builder
        .run(["bundle", "verify", newer.as_str()])
        .fails_with(5);
    let fresh = taker(&builder);
    fresh
        .run(["bundle", "import", newer.as_str(), "--recipes", "elsewhere"])
        .fails_with(5);
    assert!(
        !fresh.work().join("result").join(RECIPE).exists(),
        "all or nothing"
    );
    fresh.store_verifies();
}

#[test]
fn a_bundle_since_another_has_only_what_is_new() {
    let Some(builder) = builder() else { return };
    let first = builder.path().join("first.bundle");
    builder
        .run(["bundle", "create", RECIPE, "--output", first.as_str()])
        .ok();
    let path = builder.work().join("recipes/python/python.kdl");
    let text = fs::read_to_string(&path).expect("a recipe");
    let text = text.replace(
        "closure {",
        "closure {\n        entry \"mine\" runs=\"bin/python3\"",
    );
    fs::write(&path, text).expect("written");
    let second = builder.path().join("second.bundle");
    let words = [
        "bundle",
        "create",
        RECIPE,
        "--since",
        first.as_str(),
        "--output",
        second.as_str(),
    ];
    builder.run(words).ok();
    builder.run(["build", RECIPE, "--locked"]).ok();
    let size = |path: &Utf8Path| fs::metadata(path).expect("a bundle").len();
    assert!(
        size(&second) * 10 < size(&first),
        "{} of {}",
        size(&second),
        size(&first)
    );
    let other = taker(&builder);
    let import =
        |bundle: &Utf8Path| other.run(["bundle", "import", bundle.as_str(), "--recipes", "mine"]);
    import(&second).fails_with(4);
    import(&first).ok();
    // What the first one wrote is replaced, and what a person has changed is not.
    import(&second).ok();
    assert_eq!(closure_of(&other), closure_of(&builder));
    let own = other.work().join("mine/python.kdl");
    let text = fs::read_to_string(&own).expect("a recipe") + "// mine\n";
    fs::write(&own, text).expect("written");
    import(&second).fails_with(6);
}
