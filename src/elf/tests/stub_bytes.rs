//! The committed machine code is what its source gives.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::text;

#[test]
fn the_committed_bytes_come_from_the_source_beside_them() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/elf");
    let compiler = fs::read_to_string(here.join("stub/x86_64.compiler")).unwrap();
    let made_by = compiler.lines().next().unwrap();
    let major = |line: &str| -> Option<String> {
        let (_, version) = line.split_once("(Debian ")?;
        version.split('.').next().map(str::to_owned)
    };
    let present = match Command::new("gcc").arg("--version").output() {
        Ok(output) => text(&output.stdout).lines().next().unwrap_or("").to_owned(),
        Err(error) => return eprintln!("skipped: no gcc: {error}"),
    };
    if major(&present).is_none() || major(&present) != major(made_by) {
        return eprintln!("skipped: made by `{made_by}`, and here is `{present}`");
    }
    let out = tempfile::tempdir().unwrap();
    let build = here.join("stub/build.sh");
    let output = Command::new("sh")
        .arg(build)
        .arg("x86_64")
        .arg(out.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for (name, committed) in [
        ("stub.bin", "stub/x86_64.bin"),
        ("launcher.bin", "launcher/x86_64.bin"),
    ] {
        let (built, committed) = (
            fs::read(out.path().join(name)),
            fs::read(here.join(committed)),
        );
        assert!(
            built.unwrap() == committed.unwrap(),
            "{name} differs: run stub/build.sh and commit"
        );
    }
}

#[test]
fn the_stub_is_small_and_the_parameters_follow_it_aligned() {
    for (code, most) in [
        (&include_bytes!("../stub/x86_64.bin")[..], 4700),
        (include_bytes!("../launcher/x86_64.bin"), 2000),
    ] {
        assert!(
            code.len() <= most && code.len().is_multiple_of(16),
            "{} bytes",
            code.len()
        );
    }
}
