//! What a person at a terminal can count on: Ctrl-C leaves nothing behind, and nobody is sent
//! colours or a progress bar who did not want them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{
    MAIN_JOB, NO_TERMINAL, Scratch, Server, at_a_terminal, hearing, skip, sources,
};

/// What the command prints when it has a terminal of so many columns.
fn printed(scratch: &Scratch, columns: u32, env: &[(&str, &str)], line: &str) -> Option<String> {
    let output = at_a_terminal(scratch, columns, 24, line)
        .env_remove("NO_COLOR")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            skip(NO_TERMINAL);
            None
        }
    }
}

/// Whether text sets a colour or a weight.
fn has_colours(text: &str) -> bool {
    text.split("\x1b[").skip(1).any(|rest| {
        let end = rest.find(|c: char| c.is_ascii_alphabetic());
        end.is_some_and(|end| rest[end..].starts_with('m') && rest[..end] != *"0")
    })
}

#[test]
fn an_error_has_colours_at_a_terminal_and_none_where_no_color_is_set_or_a_pipe_is() {
    let scratch = Scratch::new();
    let line = "build scyla-python";
    let Some(plain) = printed(&scratch, 80, &[], line) else {
        return;
    };
    assert!(has_colours(&plain), "{plain:?}");
    let without = printed(&scratch, 80, &[("NO_COLOR", "1")], line).expect("script");
    assert!(!has_colours(&without), "{without:?}");
    assert!(without.contains("scylla-python"), "{without:?}");
    let help = printed(&scratch, 80, &[("NO_COLOR", "1")], "--help").expect("script");
    assert!(!has_colours(&help), "{help:?}");
    let piped = scratch.run(["build", "scyla-python"]);
    assert!(!piped.err.contains('\x1b'), "{:?}", piped.err);
}

#[test]
fn in_a_narrow_terminal_no_line_of_progress_is_wider_than_it() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    let line = "build python --locked";
    let Some(said) = printed(&scratch, 30, &[], line) else {
        return;
    };
    let progress = said.split(['\r', '\n']).map(|line| {
        let mut plain = String::new();
        let mut rest = line;
        while let Some(start) = rest.find("\x1b[") {
            plain.push_str(&rest[..start]);
            rest = &rest[start + 2..];
            let end = rest
                .find(|c: char| c.is_ascii_alphabetic())
                .map_or(0, |end| end + 1);
            rest = &rest[end..];
        }
        plain + rest
    });
    let bars: Vec<String> = progress.filter(|line| line.contains("/116")).collect();
    assert!(!bars.is_empty(), "{said:?}");
    for line in bars {
        assert!(line.chars().count() <= 30, "{line:?}");
    }
}

#[test]
fn a_terminal_that_cannot_draw_gets_no_bar() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    let line = "build python --locked";
    let Some(said) = printed(&scratch, 80, &[("TERM", "dumb")], line) else {
        return;
    };
    assert!(said.contains("steps run"), "{said}");
    assert!(!said.contains('\x1b'), "{said:?}");
}

/// Starts a build, waits until it has begun to write, sends the signal, and gives the end.
fn interrupted(signal: Signal) -> Option<(Scratch, Option<i32>, String)> {
    let sources = sources()?;
    let server = Server::of(sources.folder());
    let scratch = Scratch::new().from(&server);
    let mut child = hearing(&scratch.command(["build", MAIN_JOB, "--locked"]))
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("starts");
    let staging = scratch.store().join("tmp");
    let begun = Instant::now();
    let full = || {
        let folders = fs::read_dir(&staging).into_iter().flatten().flatten();
        folders
            .flat_map(|folder| fs::read_dir(folder.path()))
            .count()
            > 0
    };
    while !full() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(700));
    kill(Pid::from_raw(child.id() as i32), signal).expect("sent");
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().expect("a pipe")).lines() {
        said.push_str(&line.expect("a line"));
        said.push('\n');
    }
    let code = child.wait().expect("ended").code();
    Some((scratch, code, said))
}

#[test]
fn ctrl_c_says_one_line_leaves_no_staging_and_loses_nothing() {
    for (signal, wanted) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let Some((scratch, code, said)) = interrupted(signal) else {
            return;
        };
        assert_eq!(code, Some(wanted), "{said}");
        let lines = said.lines().filter(|line| line.contains("interrupted"));
        assert_eq!(
            lines.collect::<Vec<_>>(),
            ["interrupted: nothing is left half done, run the same command again"],
            "{said}"
        );
        let left = fs::read_dir(scratch.store().join("tmp")).expect("a folder");
        assert_eq!(left.count(), 0, "staging is left");
        scratch.store_verifies();
    }
}

#[test]
fn a_signal_that_the_caller_ignores_stays_ignored() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    let recipe = env!("CARGO_BIN_EXE_recipe");
    let line = format!(
        "trap '' INT; '{recipe}' build python --locked & p=$!; sleep 1; kill -INT $p; wait $p"
    );
    let mut command = Command::new("sh");
    let ours = scratch.command([""; 0]);
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command
        .args(["-c", &line])
        .current_dir(scratch.work())
        .output();
    let output = output.expect("sh starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn an_export_that_is_interrupted_leaves_no_part_of_an_archive() {
    let Some(scratch) = crate::support::built() else {
        return;
    };
    let folder = Scratch::new();
    let output = folder.work();
    let args = ["export", "python", "--best", "--output", output.as_str()];
    let mut child = hearing(&scratch.command(args)).spawn().expect("starts");
    let parts = || {
        let names = fs::read_dir(&output).expect("a folder").flatten();
        names
            .filter(|entry| entry.file_name().to_string_lossy().contains(".tar.zst"))
            .count()
    };
    let begun = Instant::now();
    while parts() == 0 && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("sent");
    assert_eq!(child.wait().expect("ended").code(), Some(130));
    assert_eq!(parts(), 0);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let scratch = Scratch::new();
    let recipe = env!("CARGO_BIN_EXE_recipe");
    let line = format!("'{recipe}' completions bash | head -n 1; exit ${{PIPESTATUS:-0}}");
    let output = Command::new("bash")
        .args(["-c", &line])
        .current_dir(scratch.work())
        .output();
    let output = output.expect("bash starts");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn a_closed_standard_output_or_error_stops_no_command() {
    let Some(scratch) = crate::support::built() else {
        return;
    };
    let recipe = env!("CARGO_BIN_EXE_recipe");
    for closed in [">&-", "2>&-", ">&- 2>&- <&-"] {
        for words in [
            "plan python",
            "build python --locked",
            "store path",
            "gc -n",
        ] {
            let line = format!("'{recipe}' {words} {closed}");
            let mut command = Command::new("sh");
            let ours = scratch.command([""; 0]);
            command.envs(
                ours.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            let output = command
                .args(["-c", &line])
                .current_dir(scratch.work())
                .output();
            let output = output.expect("sh starts");
            assert!(output.status.success(), "{line}: {output:?}");
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(!err.contains("panicked"), "{line}: {err}");
        }
    }
}

#[test]
fn every_command_that_takes_long_ends_with_130_and_leaves_nothing_half_done() {
    let Some(scratch) = crate::support::built() else {
        return;
    };
    // Takes every request and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mirror = format!("http://{}/", silent.local_addr().expect("an address"));
    let other = Scratch::new()
        .set("RECIPE_STORE", scratch.store().as_str())
        .set("RECIPE_DEBIAN_MIRROR", &mirror)
        .set("RECIPE_DEBIAN_SECURITY_MIRROR", &mirror)
        .set("RECIPE_PYTHON_INDEX", &mirror)
        .set("no_proxy", "*");
    let temporary = other.work().join("temporary");
    fs::create_dir(&temporary).expect("a folder");
    for args in [
        ["store", "verify"].as_slice(),
        &["doctor"],
        &["gc", "-n"],
        &["lock", "python", "--upgrade"],
    ] {
        let mut child = hearing(&other.command(args))
            .env("TMPDIR", &temporary)
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        std::thread::sleep(Duration::from_millis(100));
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("sent");
        let mut said = String::new();
        let mut err = child.stderr.take().expect("a pipe");
        std::io::Read::read_to_string(&mut err, &mut said).expect("text");
        let code = child.wait().expect("ended").code();
        // What asks no mirror may have been done already, or not yet have begun to listen.
        assert!(
            matches!(code, Some(130 | 0) | None),
            "{args:?}: {code:?} {said}"
        );
        if code == Some(130) {
            assert!(said.ends_with("run the same command again\n"), "{said}");
        }
    }
    let left = fs::read_dir(&temporary).expect("a folder").count();
    assert_eq!(left, 0, "something is left in TMPDIR");
    scratch.store_verifies();
}
