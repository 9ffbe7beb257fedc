use std::fs;
use std::process::Command;

use crate::support::{Scratch, skip};

#[test]
fn bash_completes_commands_by_what_the_program_prints() {
    let scratch = Scratch::new();
    let script = scratch.run(["completions", "bash"]).ok().out;
    let path = scratch.write("completions", &script);
    let code = format!(
        "source '{path}'; COMP_WORDS=(recipe ver); COMP_CWORD=1; _recipe recipe ver recipe; echo \"${{COMPREPLY[*]}}\""
    );
    let output = Command::new("bash").args(["-c", &code]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "verify");
    for shell in ["zsh", "fish"] {
        assert!(!scratch.run(["completions", shell]).ok().out.is_empty());
    }
    scratch.run(["completions", "tcsh"]).fails_with(2);
}

#[test]
fn man_renders_the_pages_without_a_warning() {
    let scratch = Scratch::new();
    // There is no such folder yet.
    let folder = scratch.work().join("share/man/man1");
    scratch.run(["man", folder.as_str()]).ok();
    let page = folder.join("recipe-store-verify.1");
    assert!(fs::read_to_string(&page).unwrap().contains("recipe"));
    let build = fs::read_to_string(folder.join("recipe-build.1")).unwrap();
    let synopsis = build.split(".SH SYNOPSIS\n").nth(1).unwrap();
    let synopsis = synopsis.lines().next().unwrap().replace("\\-", "-");
    let synopsis = synopsis
        .replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "");
    for typed in [
        "[--arch ARCH]",
        "[--set NAME=VALUE]...",
        "[-o|--out-link LINK]",
        "[--locked]",
        " NAME...",
    ] {
        assert!(synopsis.contains(typed), "{typed}: {synopsis}");
    }
    let Ok(output) = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", page.as_str()])
        .output()
    else {
        return skip("there is no groff");
    };
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    scratch.run(["man", "/proc/no-such-folder"]).fails_with(6);
}
