use crate::support::built;

#[test]
fn a_shell_finds_the_closures_programs_first_and_keeps_the_rest_of_the_environment() {
    let Some(scratch) = built() else { return };
    let script = "command -v python3; python3 -c 'import sys; print(sys.prefix)'; echo $MARK";
    let output = scratch
        .command(["shell", "python", "--locked", "--", "sh", "-c", script])
        .env("MARK", "kept")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    let [python, prefix, mark] = lines.as_slice() else {
        panic!("{said}")
    };
    assert!(python.starts_with(scratch.store().as_str()), "{said}");
    assert_eq!(*python, format!("{prefix}/bin/python3"));
    assert_eq!(*mark, "kept");
}

#[test]
fn the_shell_is_the_persons_own_and_its_exit_code_is_ours() {
    let Some(scratch) = built() else { return };
    let shell = scratch.write("my shell", "#!/bin/sh\nexit 7\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&shell, mode).unwrap();
    let mut command = scratch.command(["shell", "python", "--locked"]);
    let status = command.env("SHELL", &shell).status().unwrap();
    assert_eq!(status.code(), Some(7));
    let ran = scratch.run(["shell", "python", "--locked", "--", "no-such-program"]);
    assert!(ran.fails_with(2).err.contains("no-such-program"));
}
