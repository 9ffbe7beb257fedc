use std::process::Command;

use crate::support::{MAIN_JOB, Scratch, is_root, skip, sources};

#[test]
fn another_folder_with_odd_characters_gives_the_same_closure() {
    let Some(sources) = sources() else { return };
    let here = Scratch::new().warm(sources);
    let there = Scratch::below(Some("ä long 'folder' : with odd characters")).local(sources);
    here.run(["build", MAIN_JOB, "--locked"]).ok();
    there.run(["build", MAIN_JOB, "--locked", "-j", "1"]).ok();
    assert_eq!(here.closure_id(), there.closure_id());
}

#[test]
fn another_locale_zone_umask_and_clock_give_the_same_closure() {
    let Some(sources) = sources() else { return };
    let here = Scratch::new().warm(sources);
    here.run(["build", MAIN_JOB, "--locked"]).ok();
    let there = Scratch::new()
        .local(sources)
        .set("LANG", "tr_TR.UTF-8")
        .set("LC_ALL", "tr_TR.UTF-8")
        .set("TZ", "Pacific/Kiritimati")
        .set("PYTHONHASHSEED", "7")
        .set("PYTHONDONTWRITEBYTECODE", "1")
        .set("SOURCE_DATE_EPOCH", "1");
    let mut command = there.command(["build", MAIN_JOB, "--locked"]);
    let shell = "umask 077; exec \"$0\" \"$@\"";
    let mut wrapped = Command::new("sh");
    wrapped
        .args(["-c", shell])
        .arg(command.get_program())
        .args(command.get_args());
    wrapped
        .current_dir(there.work())
        .envs(command.get_envs().filter_map(|(n, v)| Some((n, v?))));
    command.stdin(std::process::Stdio::null());
    assert!(wrapped.output().expect("sh starts").status.success());
    assert_eq!(here.closure_id(), there.closure_id());
}

#[test]
fn an_ordinary_user_comes_to_the_same_closure() {
    let Some(sources) = sources() else { return };
    if !is_root() {
        return skip("only root can become another user");
    }
    let here = Scratch::new().warm(sources);
    here.run(["build", MAIN_JOB, "--locked"]).ok();
    let there = Scratch::new().local(sources);
    let own = |path: &str| {
        Command::new("chown")
            .args(["-R", "65534:65534", path])
            .status()
    };
    assert!(own(there.path().as_str()).expect("chown starts").success());
    // The program lies where an ordinary user need not be able to go.
    let program = there.path().join("recipe");
    std::fs::copy(env!("CARGO_BIN_EXE_recipe"), &program).expect("copied");
    let command = there.command(["build", MAIN_JOB, "--locked"]);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&program)
        .args(command.get_args())
        .current_dir(there.work())
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .expect("setpriv starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(here.closure_id(), there.closure_id());
}
