//! What a person can do about a build that failed: read all it said, look into what it left, try again.
//! Locking asks the mirrors of this machine: where there are none, that is said.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{NO_TERMINAL, Scratch, at_a_terminal, skip};

fn recipe(last: &str) -> String {
    format!(
        r#"recipe "fails" version="1" {{
    source "src" {{ path "fails-src"; }}
    sysroot "debian" suite="trixie" {{ package "bash"; }}
    build {{
        run "mkdir" "-p" "$out/share"
        run "sh" "-c" "seq 100000; echo half > half; echo it said this >&2" in="src"
        run "sh" "-c" "{last}" in="src"
    }}
}}
"#
    )
}

fn scratch(last: &str) -> Scratch {
    let scratch = Scratch::new().sharing();
    scratch.write("recipes/fails.kdl", &recipe(last));
    scratch.write("recipes/fails-src/file", "text\n");
    scratch
}

#[test]
fn a_failed_build_can_be_read_looked_into_and_tried_again() {
    let scratch = scratch("cat file; exit 3");
    let ran = scratch.run(["build", "fails"]);
    if ran.code == Some(4) {
        return skip("no mirror can be reached");
    }
    let ran = ran.fails_with(1);
    assert!(
        ran.err
            .contains("recipe shell \"fails:build fails\" --failed"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("exit code 3"), "{}", ran.err);

    // Every line, though far more was said than a record keeps, and why it failed.
    let log = scratch.run(["log", "fails:build"]).ok().out;
    for line in [
        "    1\n",
        "    50000\n",
        "    100000\n",
        "it said this",
        "exit code 3",
    ] {
        assert!(log.contains(line), "{line:?}");
    }

    let inside = |words: &[&str]| scratch.run([&["shell", "fails:build fails"], words].concat());
    let left = inside(&["--failed", "--", "cat", "half", "file"]).ok();
    assert_eq!(left.out, "half\ntext\n");
    let ran = inside(&["--", "cat", "half"]).fails_with(1);
    assert!(ran.err.contains("half"), "{}", ran.err);
    let ran = inside(&["--failed", "--", "sh", "-c", "exit 7"]);
    assert_eq!(ran.code, Some(7));
    // What is found there is what the build found: its variables, and no network.
    let env = inside(&[
        "--",
        "sh",
        "-c",
        "echo $out $HOME; cat /proc/net/dev | wc -l",
    ])
    .ok();
    assert!(env.out.starts_with("/out/"), "{}", env.out);

    let ran = scratch.run(["retry", "fails"]).fails_with(1);
    assert!(ran.err.contains("Again: build fails"), "{}", ran.err);
    assert!(ran.err.contains("\n99999\n"), "it is shown as it comes");

    scratch.write("recipes/fails.kdl", &recipe("cp file $out/share"));
    scratch.run(["retry", "fails", "--offline"]).ok();
    scratch.run(["retry", "fails"]).fails_with(2);
    inside(&["--failed", "--", "true"]).fails_with(2);
    scratch.run(["shell", "fails", "--failed"]).fails_with(2);
    scratch.run(["shell", "fails:fetch"]).fails_with(2);
    scratch.store_verifies();
}

#[test]
fn a_shell_in_a_step_has_a_terminal_of_its_own() {
    let scratch = scratch("exit 3");
    let ran = scratch.run(["build", "fails"]);
    if ran.code == Some(4) {
        return skip("no mirror can be reached");
    }
    ran.fails_with(1);
    let started = at_a_terminal(&scratch, 71, 17, "shell fails:build")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut script) = started else {
        return skip(NO_TERMINAL);
    };
    let mut typed = script.stdin.take().expect("a pipe");
    // A Ctrl-C ends what runs, not the shell.
    let pause = || std::thread::sleep(Duration::from_millis(1500));
    pause();
    typed.write_all(b"stty size; sleep 300\n").expect("typed");
    pause();
    typed.write_all(b"\x03").expect("typed");
    pause();
    typed
        .write_all(b"echo $((6 * 7)) in $PWD\nexit 5\n")
        .expect("typed");
    let begun = Instant::now();
    let output = script.wait_with_output().expect("its end");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(begun.elapsed() < Duration::from_secs(200), "{shown}");
    assert_eq!(output.status.code(), Some(5), "{shown}");
    assert!(shown.contains("17 71"), "{shown}");
    assert!(shown.contains("42 in /tmp/build/src"), "{shown}");
    drop(typed);
}

#[test]
fn an_interrupt_ends_a_build_and_all_it_started_and_the_next_one_goes_on() {
    let scratch = scratch("sleep 31415 & sleep 31415");
    let ran = scratch.run(["lock", "fails"]);
    if ran.code == Some(4) {
        return skip("no mirror can be reached");
    }
    ran.ok();
    let mut child = scratch.start(["build", "fails"]);
    let sleeps = || {
        let said = Command::new("pgrep").args(["-fx", "sleep 31415"]).output();
        String::from_utf8_lossy(&said.expect("pgrep").stdout)
            .lines()
            .count()
    };
    let begun = Instant::now();
    while sleeps() < 2 {
        assert!(
            begun.elapsed() < Duration::from_secs(300),
            "it never came so far"
        );
        assert!(child.try_wait().expect("a child").is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(50));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("sent");
    assert_eq!(child.wait().expect("its end").code(), Some(130));
    assert_eq!(sleeps(), 0);
    scratch.write("recipes/fails.kdl", &recipe("cp file $out/share"));
    let ran = scratch.run(["build", "fails", "--offline"]).ok();
    assert!(!ran.out.contains(" 0 reused"), "{}", ran.out);
    scratch.store_verifies();
}
