//! Programs of another processor in a sandbox, their children included, and nothing of it on the host.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use recipe::elf::Machine;
use recipe::sandbox::{Emulator, Sandbox, Spec, Stdin};

use crate::support::skip;

/// Says its processor, then starts itself once more.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct utsname name;
    uname(&name);
    printf("%s %s %d\n", name.machine, argv[0], argc);
    fflush(stdout);
    char *again[] = {"again", NULL};
    if (argc > 1) execv(argv[1], again);
    return argc > 1;
}
"#;

fn emulator() -> Option<Emulator> {
    let folders = ["/usr/bin", "/usr/local/bin"].map(Utf8Path::new);
    match Emulator::find(Machine::Aarch64, folders) {
        Ok(emulator) => Some(emulator),
        Err(why) => {
            skip(&why);
            None
        }
    }
}

fn program(folder: &Utf8Path) -> Option<Utf8PathBuf> {
    let (source, program) = (folder.join("program.c"), folder.join("program"));
    std::fs::write(&source, PROGRAM).unwrap();
    let compiled = Command::new("aarch64-linux-gnu-gcc")
        .args(["-static", "-o", program.as_str(), source.as_str()])
        .status();
    if compiled.is_ok_and(|status| status.success()) {
        return Some(program);
    }
    skip("no aarch64-linux-gnu-gcc with its C library");
    None
}

#[test]
fn a_program_of_another_processor_and_its_children_run_in_an_empty_root() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let (Some(emulator), Some(program)) = (emulator(), program(folder)) else {
        return;
    };
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_recipe"));
    for everything in [false, true] {
        let mut spec = Spec::new("/a place/program")
            .args(["/a place/program"])
            .input(&program, "/a place/program")
            .emulated(Some(&emulator));
        (spec.proc, spec.dev, spec.tmp) = (everything, everything, everything);
        let outcome = sandbox.run(&spec, Stdin::Empty).unwrap();
        assert!(outcome.success(), "{outcome:?}");
        let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
        assert_eq!(said, "aarch64 /a place/program 2\naarch64 again 1\n");
    }
    // The host knows nothing of it, and neither does a sandbox that did not ask.
    let plain = Spec::new("/program").input(&program, "/program");
    assert!(sandbox.run(&plain, Stdin::Empty).is_err());
}

#[test]
fn an_emulator_that_could_not_be_started_in_a_sandbox_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let why = Emulator::find(Machine::Aarch64, [folder]).unwrap_err();
    assert!(why.contains("qemu-user-static"), "{why}");
    // Linked with the host's libraries, which a sandbox does not have.
    std::fs::copy("/bin/sh", folder.join("qemu-aarch64-static")).unwrap();
    assert_eq!(Emulator::find(Machine::Aarch64, [folder]), Err(why));
}
