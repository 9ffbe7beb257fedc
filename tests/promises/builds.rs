//! What recipes build from sources of their own, and what they use of each other. Locking asks the
//! mirrors of this machine: where there are none, that is said.

use std::fs;

use crate::support::{Scratch, skip};

const LIBRARY: &str = r#"recipe "answer" version="1" {
    source "src" { path "answer-src"; }
    sysroot "debian" suite="trixie" { package "gcc" "libc6-dev"; }
    build {
        run "mkdir" "-p" "$out/lib" "$out/include"
        run "gcc" "-shared" "-fPIC" "-Wl,-soname,libanswer.so.1" "-o" "$out/lib/libanswer.so.1" "answer.c" in="src"
        run "ln" "-s" "libanswer.so.1" "$out/lib/libanswer.so"
        run "cp" "answer.h" "$out/include" in="src"
    }
}
"#;

const PROGRAM: &str = r#"recipe "asks" version="1" {
    use "answer"
    source "src" { path "asks-src"; }
    sysroot "debian" suite="trixie" { package "gcc" "libc6-dev"; }
    build {
        run "mkdir" "-p" "$out/bin"
        run "gcc" "-o" "$out/bin/asks" "asks.c" "-lanswer" in="src"
    }
    check { run "bin/asks"; }
}
"#;

#[test]
fn what_a_recipe_uses_is_built_before_it_and_a_change_of_it_is_seen() {
    let scratch = Scratch::new();
    let answer = |number: u32| format!("int answer(void) {{ return {number}; }}\n");
    scratch.write("recipes/answer.kdl", LIBRARY);
    scratch.write("recipes/answer-src/answer.h", "int answer(void);\n");
    scratch.write("recipes/answer-src/answer.c", &answer(42));
    scratch.write("recipes/asks.kdl", PROGRAM);
    scratch.write(
        "recipes/asks-src/asks.c",
        "#include <answer.h>\nint main(void) { return answer() == 42 ? 0 : 1; }\n",
    );
    let ran = scratch.run(["build", "asks"]);
    if ran.code == Some(4) {
        return skip("no mirror can be reached");
    }
    let ran = ran.ok();
    assert!(ran.out.contains("result/asks"), "{}", ran.out);
    let library = scratch.work().join("result/asks/lib/libanswer.so.1");
    assert!(fs::metadata(&library).is_ok(), "{library}");
    let headers = scratch.work().join("result/asks/include");
    assert!(
        fs::metadata(&headers).is_err(),
        "headers are for who builds"
    );

    // Nothing but a file of what is used has changed: no memo may hide it.
    scratch.write("recipes/answer-src/answer.c", &answer(41));
    let ran = scratch.run(["build", "asks", "--offline"]).fails_with(1);
    assert!(ran.err.contains("bin/asks"), "{}", ran.err);
    scratch.store_verifies();
}
