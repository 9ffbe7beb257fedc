//! The committed machine code is what its source gives.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::text;

#[test]
fn the_committed_bytes_come_from_the_source_beside_them() {
    for (arch, compiler) in [("x86_64", "gcc"), ("aarch64", "aarch64-linux-gnu-gcc")] {
        come_from_their_source(arch, compiler);
    }
}

fn come_from_their_source(arch: &str, compiler: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/elf");
    let made_by = fs::read_to_string(here.join(format!("stub/{arch}.compiler"))).unwrap();
    let made_by = made_by.lines().next().unwrap();
    let major = |line: &str| -> Option<String> {
        let (_, version) = line.split_once("(Debian ")?;
        version.split('.').next().map(str::to_owned)
    };
    let present = match Command::new(compiler).arg("--version").output() {
        Ok(output) => text(&output.stdout).lines().next().unwrap_or("").to_owned(),
        Err(error) => return eprintln!("skipped: no {compiler}: {error}"),
    };
    if major(&present).is_none() || major(&present) != major(made_by) {
        return eprintln!("skipped: made by `{made_by}`, and here is `{present}`");
    }
    let out = tempfile::tempdir().unwrap();
    let build = here.join("stub/build.sh");
    let output = Command::new("sh")
        .arg(build)
        .arg(arch)
        .arg(out.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for kind in ["stub", "launcher"] {
        let built = fs::read(out.path().join(format!("{kind}.bin")));
        let committed = fs::read(here.join(format!("{kind}/{arch}.bin")));
        assert!(
            built.unwrap() == committed.unwrap(),
            "{kind}/{arch}.bin differs: run stub/build.sh and commit"
        );
    }
}

#[test]
fn the_stub_is_small_and_the_parameters_follow_it_aligned() {
    for (code, most) in [
        (&include_bytes!("../stub/x86_64.bin")[..], 4900),
        (include_bytes!("../launcher/x86_64.bin"), 2000),
        (include_bytes!("../stub/aarch64.bin"), 4900),
        (include_bytes!("../launcher/aarch64.bin"), 2000),
    ] {
        assert!(
            code.len() <= most && code.len().is_multiple_of(16),
            "{} bytes",
            code.len()
        );
    }
}
