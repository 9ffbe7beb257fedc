//! `recipe init`, `add`, `remove` and `fmt`: what they write, and what they leave alone.

use std::fs;

use crate::support::{Scratch, sources};

const MINE: &str = "recipes/mine.kdl";

fn told(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_first_recipe_builds() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    scratch.run(["init", "mine"]).ok();
    // It asks a lock for what the recipe `python` asks for.
    let lock = scratch.work().join("recipes/python/python.lock.kdl");
    fs::copy(lock, scratch.work().join("recipes/mine.lock.kdl")).expect("copied");
    scratch.run(["build", "mine", "--locked"]).ok();
    assert!(scratch.work().join("result/mine/bin/python3").exists());
}

#[test]
fn a_recipe_that_is_there_is_not_written_over() {
    let scratch = Scratch::new();
    for name in ["python", "scylla-python"] {
        let ran = scratch.run(["init", name]).fails_with(2);
        assert!(
            ran.err.contains("there is a recipe of this name"),
            "{}",
            ran.err
        );
    }
    let ran = scratch.run(["init", "Hello World"]).fails_with(2);
    assert!(
        ran.err.contains("letters a-z") && !ran.err.contains(".kdl"),
        "{}",
        ran.err
    );
    scratch.run(["init", "./mine"]).fails_with(2);
    // Without a name it is that of the folder.
    let ran = scratch.run(["init"]).ok();
    assert!(ran.out.starts_with("recipes/work.kdl\n"), "{}", ran.out);
    scratch.run(["fmt", "work", "--check"]).ok();
}

#[test]
fn what_is_added_and_removed_leaves_the_file_as_it_was() {
    let scratch = Scratch::new();
    scratch.run(["init", "mine"]).ok();
    let path = scratch.work().join(MINE);
    let before = fs::read_to_string(&path).expect("read");
    let words = [
        "add",
        "mine",
        "requests>=2",
        "PyYAML",
        "--system",
        "libudev1",
    ];
    scratch.run(words).ok();
    let text = fs::read_to_string(&path).expect("read");
    assert!(
        text.contains("        require \"requests>=2\"\n        require \"PyYAML\"\n"),
        "{text}"
    );
    assert!(
        text.contains(
            "// for hosts that have no certificates of their own\n        package \"libudev1\"\n"
        ),
        "{text}"
    );
    scratch.run(["fmt", "mine", "--check"]).ok();
    let words = [
        "remove", "mine", "Requests", "pyyaml", "--system", "libudev1",
    ];
    scratch.run(words).ok();
    assert_eq!(fs::read_to_string(&path).expect("read"), before);
}

#[test]
fn an_edit_that_would_break_the_recipe_changes_nothing() {
    let scratch = Scratch::new();
    scratch.run(["init", "mine"]).ok();
    scratch.run(["add", "mine", "six"]).ok();
    scratch.write(
        "recipes/more.kdl",
        "recipe more version=\"1\" { extends mine; }\n",
    );
    let before = fs::read_to_string(scratch.work().join(MINE)).expect("read");
    for (words, code, says) in [
        (
            ["add", "mine", "psutil=>5"],
            3,
            "is not a Python requirement",
        ),
        (
            ["add", "mine", "a @ https://e.invalid/a"],
            3,
            "names a place, not a release",
        ),
        (
            ["add", "mine", "SIX>=1"],
            2,
            "`six` is in the recipe already",
        ),
        (
            ["add", "mine", "--system=No Package"],
            3,
            "is not the name of a Debian package",
        ),
        (
            ["remove", "mine", "click"],
            2,
            "`click` is not in recipes/mine.kdl",
        ),
        (
            ["remove", "more", "six"],
            2,
            "asked for in recipes/mine.kdl line",
        ),
        (["add", "mines", "six"], 3, "did you mean `mine`?"),
    ] {
        let ran = scratch.run(words).fails_with(code);
        assert!(told(&ran.err).contains(says), "{}", ran.err);
    }
    assert_eq!(
        fs::read_to_string(scratch.work().join(MINE)).expect("read"),
        before
    );
    // What comes from a base may be asked for differently.
    scratch.run(["add", "more", "six>=1"]).ok();
    let text = fs::read_to_string(scratch.work().join("recipes/more.kdl")).expect("read");
    assert!(text.contains("require \"six>=1\""), "{text}");
}

#[test]
fn a_link_stays_a_link_and_the_mode_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new();
    scratch.run(["init", "mine"]).ok();
    let path = scratch.work().join(MINE);
    let target = scratch.work().join("elsewhere.kdl");
    fs::rename(&path, &target).expect("moved");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).expect("set");
    std::os::unix::fs::symlink(&target, &path).expect("linked");
    scratch.run(["add", "mine", "six"]).ok();
    assert!(fs::symlink_metadata(&path).expect("there").is_symlink());
    let meta = fs::metadata(&target).expect("there");
    assert_eq!(meta.permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(&target).expect("read").contains("six"));
}

#[test]
fn fmt_changes_what_is_not_canonical_and_check_only_tells() {
    let scratch = Scratch::new();
    scratch.run(["fmt", "--check"]).ok();
    let messy = "recipe  mine version=\"1\"{\n// why\n\n\ninterpreter python \"3.13\" from=debian suite=trixie}\n";
    scratch.write(MINE, messy);
    let ran = scratch.run(["fmt", "--check"]).fails_with(3);
    assert!(
        ran.out.contains("recipes/mine.kdl would change"),
        "{}",
        ran.out
    );
    assert_eq!(
        fs::read_to_string(scratch.work().join(MINE)).expect("read"),
        messy
    );
    scratch.run(["fmt"]).ok();
    scratch.run(["fmt", "./recipes", "--check"]).ok();
    let text = fs::read_to_string(scratch.work().join(MINE)).expect("read");
    assert!(
        text.starts_with("recipe \"mine\" version=\"1\" {\n    // why\n\n    interp"),
        "{text}"
    );
    scratch.write(MINE, "recipe {");
    scratch.run(["fmt", "mine"]).fails_with(3);
}

#[test]
fn where_no_recipe_is_fmt_says_so() {
    let scratch = Scratch::new();
    scratch.write("empty/README", "nothing");
    let ran = scratch.run(["fmt", "./empty"]).ok();
    assert!(
        ran.err.contains("There are no recipes in ./empty"),
        "{}",
        ran.err
    );
}

#[test]
fn a_mirror_that_is_no_url_is_told_where_nothing_is_fetched_too() {
    let scratch = Scratch::new();
    let ran = scratch
        .run(["fmt", "--debian-mirror", "nonsense"])
        .fails_with(2);
    assert!(ran.err.contains("nonsense"), "{}", ran.err);
}
