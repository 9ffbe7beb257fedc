//! How far a program can go.

use recipe::sandbox::Status;

use super::*;

#[test]
fn a_program_that_takes_too_long_is_killed_with_all_it_started() {
    let scratch = Scratch::new();
    let mut spec = probe(&["linger", "/out/beat", "sleep"]).output(scratch.path(), "/out");
    spec.limits.wall = Some(Duration::from_millis(300));
    let outcome = run(&spec);
    assert_eq!(outcome.status, Status::TimedOut);
    assert!(outcome.duration >= Duration::from_millis(300));
    assert!(outcome.duration < Duration::from_secs(60));
    assert!(!scratch.is_written_to());
}

#[test]
fn a_program_that_says_too_much_is_killed_and_what_was_heard_is_kept() {
    let mut spec = probe(&["shout"]);
    spec.limits.output = 100_000;
    let outcome = run(&spec);
    assert_eq!(outcome.status, Status::TooMuchOutput);
    assert_eq!(outcome.stdout.len(), 100_000);
    // The same at the very end, when the program has ended by itself.
    let mut spec = probe(&["stderr"]);
    spec.limits.output = 99_999;
    let outcome = run(&spec);
    assert_eq!(
        (outcome.status, outcome.stderr.len()),
        (Status::TooMuchOutput, 99_999)
    );
    spec.limits.output = 100_000;
    let outcome = run(&spec);
    assert_eq!(
        (outcome.status, outcome.stderr.len()),
        (Status::Exited(0), 100_000)
    );
}

#[test]
fn limits_hold() {
    let mut spec = probe(&["memory", "big", "files"]).usual_places();
    spec.limits.open_files = 64;
    spec.limits.memory = Some(128 << 20);
    spec.limits.tmp = 30 << 20;
    let said = ask(&spec);
    assert_eq!(
        said,
        [
            "256 MiB: Cannot allocate memory",
            "30 MiB: yes",
            "again: No space left on device",
            "60 more files",
        ]
    );
    let mut spec = probe(&["big"]).usual_places();
    spec.limits.file_size = Some(30 << 20);
    // SIGXFSZ
    assert_eq!(run(&spec).status, Status::Signalled(25));
    if !rustix::process::geteuid().is_root() {
        let mut spec = probe(&["processes"]);
        spec.limits.processes = Some(20);
        assert_eq!(ask(&spec), ["19 more processes"]);
    }
}
