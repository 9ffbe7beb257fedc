//! Projects that are built from their sdists. Locking them asks the mirrors and the package index of
//! this machine: where there are none, that is said.

use std::fs;

use crate::support::{Scratch, skip};

const RECIPE: &str = r#"recipe "built" version="1" {
    interpreter "python" "3.13" from="debian" suite="trixie"
    sysroot "debian" suite="trixie" { package "gcc" "libc6-dev"; }
    pip {
        require "six" "markupsafe"
        no-binary "six" "markupsafe"
        build-constraint "setuptools" "<81" reason="to see that it holds"
    }
    check { python "import six, markupsafe._speedups"; }
}
"#;

#[test]
fn what_is_built_is_what_was_locked_and_nothing_that_builds_it_is_missing() {
    let scratch = Scratch::new();
    scratch.write("built.kdl", RECIPE);
    let ran = scratch.run(["build", "./built.kdl"]);
    if ran.code == Some(4) {
        return skip("no mirror or no package index can be reached");
    }
    let ran = ran.ok();
    assert!(ran.out.contains("result/built"), "{}", ran.out);
    let path = scratch.work().join("built.lock.kdl");
    let lock = fs::read_to_string(&path).expect("a lock");
    // The compiler stays laid out for whoever builds next.
    let trees = fs::read_dir(scratch.store().join("trees")).expect("a folder");
    let trees = trees.map(|tree| tree.expect("an entry").path());
    assert_eq!(
        trees
            .filter(|tree| tree.join("usr/bin/gcc").exists())
            .count(),
        1
    );
    // setuptools writes the umask of the build into the wheel of six.
    scratch.run(["check", "./built.kdl", "--rebuild"]).ok();
    assert!(lock.contains("\nsdist \"six\" "), "{lock}");
    let setuptools = lock
        .lines()
        .filter_map(|line| line.strip_prefix("build-wheel \"setuptools\" \""));
    let major = |version: &str| {
        version
            .split('.')
            .next()
            .and_then(|it| it.parse::<u32>().ok())
    };
    let majors: Vec<_> = setuptools.map(major).collect();
    assert!(
        !majors.is_empty() && majors.iter().all(|it| it.is_some_and(|it| it < 81)),
        "{majors:?}"
    );

    // What no build asks for cannot be held back.
    let text = RECIPE.replace("\"setuptools\"", "\"setuptoolz\"");
    scratch.write("other.kdl", &text);
    let ran = scratch.run(["lock", "./other.kdl"]).fails_with(3);
    for said in [
        "no build requires the project setuptoolz",
        "did you mean `setuptools`?",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }

    // An sdist whose metadata lie: another thing was locked than its wheel says.
    let six = lock.find("\nsdist \"six\" ").expect("six");
    let end = six + lock[six..].find("\n}").expect("its end");
    let lies = format!(
        "{}\n    requires \"attrs>=20\"{}",
        &lock[..end],
        &lock[end..]
    );
    fs::write(&path, lies).expect("written");
    let ran = scratch
        .run(["build", "./built.kdl", "--locked", "--offline"])
        .fails_with(1);
    for said in [
        "locked: attrs>=20",
        "in the wheel that was built: nothing",
        "asked for here",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }

    // A build requirement that the lock has not.
    let start = lock
        .find("\nbuild-wheel \"setuptools\" ")
        .expect("setuptools");
    let end = start + lock[start..].find("\n}").expect("its end") + 2;
    let bare = format!("{}{}", &lock[..start], &lock[end..]);
    fs::write(&path, bare).expect("written");
    let ran = scratch
        .run(["build", "./built.kdl", "--locked", "--offline"])
        .fails_with(1);
    for said in ["asks for setuptools", "the lock has no setuptools"] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    scratch.store_verifies();
}
