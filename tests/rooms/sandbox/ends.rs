//! How a program ends, and all that it started.

use std::path::Path;
use std::process::{Command, Stdio};

use recipe::sandbox::{Level, Root, Sandbox, SandboxError, Spec, Status, Stdin};

use super::*;

/// Set in a copy of this program that runs where namespaces are forbidden.
const FORBIDDEN: &str = "SANDBOX_TEST_FORBIDDEN";

#[test]
fn nothing_is_left_alive_when_the_program_ends() {
    let scratch = Scratch::new();
    // The program waits for the first beat, so that there is something to kill.
    let spec = probe(&["linger", "/out/beat", "stderr"]).output(scratch.path(), "/out");
    let outcome = run(&spec);
    assert!(outcome.success(), "{outcome:?}");
    assert!(
        std::fs::metadata(scratch.path().join("beat"))
            .unwrap()
            .len()
            > 0
    );
    assert!(!scratch.is_written_to());
}

#[test]
fn nothing_is_left_alive_when_the_caller_is_killed() {
    for root in ["empty", "host"] {
        let scratch = Scratch::new();
        let mut caller = Command::new(std::env::current_exe().unwrap())
            .args([
                "rooms::sandbox::ends::a_caller_that_waits_for_ever",
                "--exact",
            ])
            .env(FOLDER, folder())
            .env("SANDBOX_TEST_OUTPUT", scratch.path())
            .env("SANDBOX_TEST_ROOT", root)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the descendants write", || scratch.is_written_to());
        let family = descendants(caller.id());
        assert!(family.len() >= 3, "{family:?}");
        caller.kill().unwrap();
        caller.wait().unwrap();
        wait_until("the descendants are dead", || !scratch.is_written_to());
        let alive = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
        wait_until("all processes are gone", || !family.iter().any(alive));
    }
}

/// No test, but the caller in [`nothing_is_left_alive_when_the_caller_is_killed`].
#[test]
fn a_caller_that_waits_for_ever() {
    let Ok(output) = std::env::var("SANDBOX_TEST_OUTPUT") else {
        return;
    };
    let mut spec = probe(&["linger", "/out/beat", "sleep"]).output(&output, "/out");
    if std::env::var("SANDBOX_TEST_ROOT").unwrap() == "host" {
        spec = on_the_host(&["linger", &format!("{output}/beat"), "sleep"]);
    }
    sandbox().run(&spec, Stdin::Empty).unwrap();
}

/// The process ids of all descendants of a process.
fn descendants(ancestor: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let children = format!("/proc/{ancestor}/task");
    for task in std::fs::read_dir(children).into_iter().flatten().flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in list.split_whitespace().map(|pid| pid.parse().unwrap()) {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

#[test]
fn many_run_at_once_and_none_sees_another() {
    std::thread::scope(|scope| {
        for number in 0..32 {
            scope.spawn(move || {
                let code = number.to_string();
                let scratch = Scratch::new();
                let spec = probe(&["fds", "write", "/out/x", "exit", &code]);
                let outcome = run(&spec.output(scratch.path(), "/out").usual_places());
                assert_eq!(outcome.status, Status::Exited(number));
                assert_eq!(outcome.stdout, b"fd 0\nfd 1\nfd 2\n/out/x: yes\n");
            });
        }
    });
}

#[test]
fn the_end_of_a_program_is_told_as_it_was() {
    assert_eq!(run(&probe(&["exit", "7"])).status, Status::Exited(7));
    assert_eq!(run(&probe(&["signal", "6"])).status, Status::Signalled(6));
    assert_eq!(run(&probe(&["signal", "13"])).status, Status::Signalled(13));
}

#[test]
fn the_end_of_a_program_is_told_where_the_caller_ignores_deaths() {
    let mut spec = probe(&["exit", "3"]);
    spec.limits.wall = Some(Duration::from_secs(20));
    for root in [Root::Empty, Root::Host] {
        spec.root = root;
        if spec.root == Root::Host {
            (spec.binds, spec.program) = (Vec::new(), folder().join("probe"));
        }
        let outcome = Sandbox::new(folder().join("deaf")).run(&spec, Stdin::Empty);
        assert_eq!(outcome.unwrap().status, Status::Exited(3));
    }
}

#[test]
fn a_running_program_can_be_looked_at_and_killed() {
    let scratch = Scratch::new();
    let spec = probe(&["linger", "/out/beat", "sleep"]).output(scratch.path(), "/out");
    let running = sandbox().spawn(&spec).unwrap();
    // It is started once it has been asked for, and has its own files mapped a moment later.
    wait_until("it writes", || scratch.is_written_to());
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", running.pid())).unwrap();
    assert!(maps.lines().any(|line| line.ends_with(" /probe")), "{maps}");
    running.kill();
    assert_eq!(running.wait().unwrap().status, Status::Stopped);
    assert!(!scratch.is_written_to());

    let running = sandbox().spawn(&spec).unwrap();
    wait_until("it writes", || scratch.is_written_to());
    drop(running);
    assert!(!scratch.is_written_to());
}

#[test]
fn what_cannot_be_started_is_told_as_an_error() {
    let error = |spec: &Spec| sandbox().run(spec, Stdin::Empty).unwrap_err();
    let absent = error(&Spec::new("/absent"));
    assert!(
        matches!(&absent, SandboxError::Program { program, .. } if program == "/absent"),
        "{absent:?}"
    );
    let absent = error(&probe(&[]).input("/no/such/input", "/in"));
    assert!(
        matches!(&absent, SandboxError::Input { path, .. } if path == "/no/such/input"),
        "{absent:?}"
    );
    let mut spec = probe(&[]);
    spec.cwd = "/nowhere".into();
    assert!(matches!(error(&spec), SandboxError::System { what, .. } if what.contains("/nowhere")));
    let spawned = sandbox().spawn(&Spec::new("/absent")).unwrap_err();
    assert!(matches!(spawned, SandboxError::Program { .. }));
    let no_helper = Sandbox::new("/no/helper")
        .run(&probe(&[]), Stdin::Empty)
        .unwrap_err();
    assert!(
        matches!(no_helper, SandboxError::Start { .. }),
        "{no_helper:?}"
    );
    let wrong_helper = Sandbox::new("/bin/false")
        .run(&probe(&[]), Stdin::Empty)
        .unwrap_err();
    assert!(
        matches!(wrong_helper, SandboxError::HelperLost { .. }),
        "{wrong_helper:?}"
    );
}

#[test]
fn without_a_sandbox_the_environment_is_exact_and_descendants_die_too() {
    let scratch = Scratch::new();
    let beat = scratch.path().join("beat");
    let outcome = run(&on_the_host(&["linger", beat.as_str(), "stderr", "fds"]).env("A", "b"));
    assert_eq!(
        (outcome.status, outcome.level),
        (Status::Exited(0), Level::None)
    );
    assert_eq!(outcome.stdout, b"fd 0\nfd 1\nfd 2\n");
    assert!(beat.exists() && !scratch.is_written_to());
}

#[test]
fn where_namespaces_are_forbidden_the_error_says_what_to_allow() {
    let limit = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", limit, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "rooms::sandbox::ends::a_host_that_forbids_namespaces",
            "--exact",
        ])
        .env(FOLDER, folder())
        .env(FORBIDDEN, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{output:?}"
    );
}

/// No test by itself: see [`where_namespaces_are_forbidden_the_error_says_what_to_allow`].
#[test]
fn a_host_that_forbids_namespaces() {
    if std::env::var(FORBIDDEN).is_err() {
        return;
    }
    let error = sandbox().run(&probe(&["who"]), Stdin::Empty).unwrap_err();
    assert!(error.is_no_namespaces(), "{error:?}");
    let help = miette::Diagnostic::help(&error).unwrap().to_string();
    assert_eq!(help, "as root: sysctl user.max_user_namespaces=15000");
    // Running in place is there for those who ask for it.
    assert_eq!(run(&on_the_host(&["exit", "4"])).status, Status::Exited(4));
}
