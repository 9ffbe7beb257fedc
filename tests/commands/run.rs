use crate::support::{MAIN_JOB, Scratch, built, sources};

#[test]
fn a_program_of_the_closure_runs_with_its_arguments_and_its_exit_code() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let code = "import sys; print(sys.argv[1:]); sys.exit(7)";
    let ran = scratch.run([
        "run", MAIN_JOB, "--locked", "--", "python3", "-c", code, "a b",
    ]);
    assert_eq!(
        (ran.code, ran.out.trim()),
        (Some(7), "['a b']"),
        "{}",
        ran.err
    );
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let ran = scratch
        .run(["run", MAIN_JOB, "--locked", "--", "no-such-program"])
        .fails_with(2);
    assert!(ran.err.contains("no-such-program"), "{}", ran.err);
}

#[test]
fn a_program_of_the_closure_hears_every_signal() {
    let Some(scratch) = built() else { return };
    let code = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))";
    for command in ["run", "shell"] {
        let ran = scratch.run([command, "python", "--", "python3", "-c", code]);
        assert_eq!(ran.ok().out, "set()\n", "{command}");
    }
}
