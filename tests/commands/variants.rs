//! Variants and parameters, as they are typed: their locks, their links, their archives.

use std::fs;

use crate::support::{Scratch, sources, sources_of};

/// Asks a lock for what the recipe `python` asks for, so that its lock serves.
const HELLO: &str = r#"recipe "hello" version="1" {
    extends "python"
    param "greeting" default="hello"
    check { python "print('${greeting}')"; }
}
variant "hello" { set "greeting" "hello" "servus"; }
"#;

const LOCK: &str = "recipes/app/hello.lock.kdl";
const LOCK_OF_THE_VARIANT: &str = "recipes/app/hello@servus.lock.kdl";

fn scratch(locks: &[&str]) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("recipes/app/hello.kdl", HELLO);
    let lock = scratch.work().join("recipes/python/python.lock.kdl");
    for path in locks {
        fs::copy(&lock, scratch.work().join(path)).expect("copied");
    }
    scratch
}

#[test]
fn each_variant_has_a_lock_and_a_link_of_its_own() {
    let Some(sources) = sources() else { return };
    let scratch = scratch(&[LOCK, LOCK_OF_THE_VARIANT]).warm(sources);
    let ran = scratch
        .run(["build", "hello", "--all-variants", "--locked"])
        .ok();
    assert!(ran.out.contains("result/hello\n"), "{}", ran.out);
    assert!(ran.out.contains("result/hello@servus\n"), "{}", ran.out);
    // The recipe by another name: typed for the first time, but nothing is left to be done.
    let ran = scratch.run(["build", "hello@hello", "--locked"]).ok();
    assert!(
        ran.out.starts_with("result/hello\n  0 steps run"),
        "{}",
        ran.out
    );
    for name in ["hello", "hello@servus", "hello@hello"] {
        let ran = scratch.run(["build", name, "--locked", "--offline"]).ok();
        assert!(ran.out.contains("nothing to do"), "{name}: {}", ran.out);
    }
    scratch.run(["export", "hello@servus", "--locked"]).ok();
    let archive = scratch.work().join("hello-1-servus-x86_64-linux.tar.zst");
    assert!(archive.exists());
    scratch.run(["export", "hello", "--locked"]).ok();
    assert!(scratch.work().join("hello-1-x86_64-linux.tar.zst").exists());
}

/// The locks say the same for each greeting, so those of the recipe `python` serve.
#[test]
fn arch_with_all_variants_is_each_variant_for_that_processor() {
    let Some(sources) = sources_of("recipes/python/python@aarch64.lock.kdl") else {
        return;
    };
    // Nothing that emulates is found, so that the closures are proved by their files.
    let scratch = scratch(&[]).local(&sources).set("PATH", "/nothing");
    let lock = scratch
        .work()
        .join("recipes/python/python@aarch64.lock.kdl");
    let words = [
        "build",
        "hello",
        "--all-variants",
        "--arch",
        "aarch64",
        "--locked",
    ];
    let ran = scratch.run(words).fails_with(3);
    let told = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("hello@aarch64"), "{told}");
    for form in ["hello@aarch64", "hello@servus-aarch64"] {
        let path = format!("recipes/app/{form}.lock.kdl");
        fs::copy(&lock, scratch.work().join(path)).expect("copied");
    }
    let ran = scratch.run(words).ok();
    for link in ["result/hello@aarch64", "result/hello@servus-aarch64"] {
        assert!(ran.out.contains(&format!("{link}\n")), "{}", ran.out);
        let manifest = scratch.work().join(link).join(".recipe-manifest");
        let manifest = fs::read_to_string(manifest).expect("a manifest");
        assert!(manifest.contains("\nmachine aarch64\n"), "{link}");
    }
    // Either is built by what its link is called.
    for form in ["hello@aarch64", "hello@servus-aarch64"] {
        let ran = scratch.run(["build", form, "--locked"]).ok();
        assert!(ran.out.contains(&format!("result/{form}\n")), "{}", ran.out);
    }
    let words = ["build", "hello@aarch64", "--arch", "x86_64"];
    let ran = scratch.run(words).fails_with(3);
    assert!(ran.err.contains("x86_64"), "{}", ran.err);
    // Those of this machine were not asked for.
    for link in ["result/hello", "result/hello@servus"] {
        assert!(!scratch.work().join(link).exists(), "{link}");
    }
    // Variants that name processors: those of another are left out.
    let both = r#"set "greeting" "hello" "servus"; arch "x86_64" "aarch64"; }"#;
    let text = HELLO.replace(r#"set "greeting" "hello" "servus"; }"#, both);
    assert_ne!(text, HELLO);
    for recipe in [HELLO, &text] {
        scratch.write("recipes/app/hello.kdl", recipe);
        let words = [
            "lock",
            "hello",
            "--all-variants",
            "--arch",
            "aarch64",
            "--locked",
        ];
        let ran = scratch.run(words).ok();
        let lines: Vec<&str> = ran.out.lines().collect();
        let wanted = ["hello@aarch64", "hello@servus-aarch64"]
            .map(|form| format!("recipes/app/{form}.lock.kdl is up to date"));
        assert_eq!(lines, wanted);
    }
}

#[test]
fn a_build_with_nothing_to_do_reads_again_what_the_recipe_builds_on() {
    let Some(sources) = sources() else { return };
    let scratch = scratch(&[LOCK]).warm(sources);
    scratch.run(["build", "hello", "--locked"]).ok();
    let base = scratch.work().join("recipes/python/python.kdl");
    let text = fs::read_to_string(&base).expect("read");
    let broken = text.replacen(
        "check {",
        "check {\n        python \"raise SystemExit(3)\"",
        1,
    );
    assert_ne!(text, broken);
    fs::write(&base, broken).expect("written");
    scratch.run(["build", "hello", "--locked"]).fails_with(1);
    fs::write(&base, text).expect("written");
    let ran = scratch.run(["build", "hello", "--locked"]).ok();
    assert!(ran.out.contains("nothing to do"), "{}", ran.out);
}

#[test]
fn a_build_with_nothing_to_do_looks_again_for_what_the_recipe_names() {
    let Some(sources) = sources() else { return };
    let scratch = scratch(&[LOCK]).warm(sources);
    scratch.run(["build", "hello", "--locked"]).ok();
    let ran = scratch.run(["build", "hello", "--locked"]).ok();
    assert!(ran.out.contains("nothing to do"), "{}", ran.out);
    // Found before the one in recipes/python: beside the recipe that asks.
    let base = scratch.work().join("recipes/python/python.kdl");
    let text = fs::read_to_string(base).expect("read");
    let fails = "check {\n        python \"raise SystemExit(3)\"";
    scratch.write(
        "recipes/app/python.kdl",
        &text.replacen("check {", fails, 1),
    );
    scratch.run(["build", "hello", "--locked"]).fails_with(1);
    // Two in one folder.
    let second = scratch.write("recipes/app/lib/python.kdl", &text);
    let ran = scratch.run(["build", "hello", "--locked"]).fails_with(3);
    assert!(ran.err.contains("two recipes are called"), "{}", ran.err);
    for path in [scratch.work().join("recipes/app/python.kdl"), second] {
        fs::remove_file(path).expect("removed");
    }
    let ran = scratch.run(["build", "hello", "--locked"]).ok();
    assert!(ran.out.contains("nothing to do"), "{}", ran.out);
}

#[test]
fn a_form_without_a_lock_says_how_it_gets_one() {
    let scratch = scratch(&[LOCK]);
    for (words, says) in [
        (vec!["hello@servus"], "recipe lock hello@servus"),
        (
            vec!["hello", "--set", "greeting=moin"],
            "recipe lock hello --set greeting=moin",
        ),
    ] {
        let words = ["lock", "--locked"].into_iter().chain(words);
        let ran = scratch.run(words).fails_with(3);
        let told = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(says), "{told}");
    }
    let ran = scratch.run(["lock", "hello@hello", "--locked"]).ok();
    assert!(
        ran.out.contains("hello.lock.kdl is up to date"),
        "{}",
        ran.out
    );
    let ran = scratch.run(["build", "hello@moin"]).fails_with(3);
    assert!(ran.err.contains("has no variant `moin`"), "{}", ran.err);
    let ran = scratch
        .run(["plan", "hello", "--set", "greting=moin"])
        .fails_with(3);
    assert!(ran.err.contains("did you mean `greeting`?"), "{}", ran.err);
    scratch
        .run(["plan", "hello", "--set", "greeting"])
        .fails_with(2);
}
