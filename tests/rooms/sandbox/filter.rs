//! System calls that no build needs.

use recipe::sandbox::{Level, Root};

use super::hostile::hostile;
use super::*;

#[test]
fn calls_that_no_build_needs_are_refused_and_those_it_needs_are_not() {
    let out = Scratch::new();
    let said = ask(&hostile(&["calls"]).output(out.path(), "/out"));
    let (no, none) = ("Operation not permitted", "Function not implemented");
    let family = "Address family not supported by protocol";
    let mut expected = vec![
        ("user namespace", no),
        ("own files", "yes"),
        ("clone", no),
        ("clone3", none),
        ("trace", no),
        ("keyring", none),
        ("bpf", none),
        ("userfaultfd", none),
        ("io_uring", none),
        ("perf", none),
        ("mount", no),
        ("clock", no),
        ("vsock", family),
        ("alg", family),
        ("inet", "yes"),
        ("linux32", no),
        ("fixed addresses", "yes"),
        ("threads", "yes"),
        ("whiteout", no),
        ("pipe", "yes"),
        ("chmod 4755", no),
        ("fchmod 2755", no),
        ("fchmodat2 4755", no),
        ("open 4755", no),
        ("chmod 0711", "yes"),
    ];
    if cfg!(target_arch = "x86_64") {
        expected.extend([("i386", "killed by 31"), ("x32", none)]);
    }
    let expected: Vec<String> = expected
        .into_iter()
        .map(|(what, answer)| format!("{what}: {answer}"))
        .collect();
    assert_eq!(said, expected);
}

#[test]
fn without_the_walls_the_same_calls_are_granted() {
    let out = Scratch::new();
    let mut spec = hostile(&["calls"]).output(out.path(), "/out");
    spec.hardened = false;
    let outcome = run(&spec);
    assert_eq!(outcome.level, Level::Namespaces);
    let said = String::from_utf8(outcome.stdout).unwrap();
    for granted in ["trace: yes", "linux32: yes", "chmod 4755: yes"] {
        assert!(said.contains(granted), "{said}");
    }
}

#[test]
fn what_builds_are_made_of_works_behind_the_walls() {
    let words = "set -e; cd /out; \
        printf 'int main(void){return 0;}' > a.c; cc -pthread -o a a.c; ./a; \
        printf 'b: a\\n\\tinstall -m 755 a b\\n' > Makefile; make -s -j2 b; ./b; \
        mkdir -p d/e; cp -p b d/e/; mv d/e f; ln f/b g; ln -s g h; tar cf t.tar f; rm -r f; tar xf t.tar; \
        install -m 4755 a s 2>/dev/null && echo set-user-id; echo done";
    let out = Scratch::new();
    let mut spec = Spec::build("/bin/sh").args(["-c", words]);
    spec.root = Root::Tree("/".into());
    // Where the host has a folder for it, the sandbox's root has one too.
    let spec = spec.env("PATH", "/usr/bin:/bin");
    let spec = spec.output(out.path(), "/out");
    assert_eq!(ask(&spec), ["done"]);
}

#[test]
fn the_level_is_told_with_the_outcome_and_without_a_program() {
    let outcome = run(&hostile(&[]));
    assert_eq!(outcome.level, sandbox().level().unwrap());
    assert!(outcome.level >= Level::Filtered);
    assert_eq!(Level::ALL.map(Level::word).len(), 4);
    assert!(Level::ALL.is_sorted());
}
