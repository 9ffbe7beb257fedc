//! What a build does that it should not: one clear error, no process left, and a store that is sound.
//! Locking asks the mirrors of this machine: where there are none, that is said.

use std::fs;
use std::process::Command;

use crate::support::{Ran, Scratch, skip};

/// Builds a recipe whose only program is this shell script.
fn build(scratch: &Scratch, script: &str) -> Ran {
    let lines: String = script
        .lines()
        .map(|line| format!("            {}\n", line.trim()))
        .collect();
    scratch.write(
        "recipes/odd.kdl",
        &format!(
            r###"recipe "odd" version="1" {{
    source "src" {{ path "odd-src"; }}
    sysroot "debian" suite="trixie" {{ package "bash"; }}
    build {{
        run "sh" "-ec" in="src" #"""
{lines}            """#
    }}
}}
"###
        ),
    );
    scratch.run(["build", "odd"])
}

fn scratch() -> Option<Scratch> {
    let scratch = Scratch::new().sharing();
    scratch.write("recipes/odd-src/file", "text\n");
    let ran = build(&scratch, "mkdir $out/share\ncp file $out/share");
    if ran.code == Some(4) {
        skip("no mirror can be reached");
        return None;
    }
    ran.ok();
    Some(scratch)
}

#[test]
fn what_a_build_may_not_leave_is_named() {
    let Some(scratch) = scratch() else { return };
    for (script, wanted) in [
        ("rmdir $out", "left no output"),
        ("rmdir $out\nln -s / $out", "has to be a directory"),
        ("touch $out/x\nln -s /etc/passwd $out/link", "link"),
        ("touch $out/x\nln -s ../../../etc/passwd $out/link", "link"),
        ("mkfifo $out/fifo", "fifo"),
        (
            "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => \"$ENV{out}/socket\", Listen => 1)'",
            "socket",
        ),
    ] {
        let ran = build(&scratch, script).fails_with(1);
        assert!(ran.err.contains(wanted), "{script}: {}", ran.err);
        assert!(ran.err.contains("odd"), "{script}: {}", ran.err);
    }
    scratch.store_verifies();
}

#[test]
fn what_a_build_may_not_do_is_refused_by_the_kernel() {
    let Some(scratch) = scratch() else { return };
    for (script, wanted) in [
        ("touch /usr/bin/new", "/usr/bin/new"),
        ("echo text > /etc/passwd", "/etc/passwd"),
        ("mknod $out/null c 1 3", "mknod"),
        ("cp file $out/x\nchmod u+s $out/x", "chmod"),
        ("ln /usr/bin/env $out/env", "env"),
        (
            "perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => \"127.0.0.1:80\") or die \"refused: $!\"'",
            "refused: ",
        ),
        ("false", "exit code 1"),
    ] {
        let ran = build(&scratch, script).fails_with(1);
        assert!(ran.err.contains(wanted), "{script}: {}", ran.err);
    }
    scratch.store_verifies();
}

#[test]
fn what_a_build_leaves_running_ends_with_it() {
    let Some(scratch) = scratch() else { return };
    let script = "(trap '' TERM HUP; setsid sleep 31417 > /dev/null 2>&1 &)\nmkdir $out/share\ncp file $out/share";
    build(&scratch, script).ok();
    let left = Command::new("pgrep").args(["-fx", "sleep 31417"]).output();
    assert_eq!(String::from_utf8_lossy(&left.expect("pgrep").stdout), "");
    let file = scratch.work().join("result/odd/share/file");
    assert_eq!(fs::read_to_string(file).expect("built"), "text\n");
    scratch.store_verifies();
}
