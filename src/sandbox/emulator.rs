//! [`Emulator`]: what lets the kernel start programs of another processor inside a sandbox, and whether
//! this machine has one. Begin at [`Emulator::find`].
//!
//! Since Linux 6.7 each user namespace may have binary formats of its own (`binfmt_misc`). A sandbox
//! registers the emulator in its own, so every program in it is started as on a machine of that
//! processor, children and scripts too, and the host stays as it is.

use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use crate::elf::{self, Machine};

/// A static program that runs those of another processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emulator {
    /// Its path on the host.
    pub program: Utf8PathBuf,
    /// `e_machine` of the ELF files it runs.
    pub machine: u16,
}

impl Emulator {
    /// The emulator for `machine` among the programs of these folders; else the reason why there is
    /// none, as a person would say it.
    pub fn find<'a>(
        machine: Machine,
        folders: impl IntoIterator<Item = &'a Utf8Path>,
    ) -> Result<Emulator, String> {
        let (name, machine) = match machine {
            Machine::Aarch64 => ("aarch64", 183),
            Machine::X86_64 => ("x86_64", 62),
            Machine::Other(_) => return Err(format!("nothing runs programs for {machine} here")),
        };
        let names = [format!("qemu-{name}-static"), format!("qemu-{name}")];
        let found = folders
            .into_iter()
            .flat_map(|folder| names.each_ref().map(|name| folder.join(name)))
            .find(|path| is_static(path));
        let program = found.ok_or_else(|| {
            format!("no static qemu-{name} is installed (Debian's qemu-user-static)")
        })?;
        kernel_allows()?;
        Ok(Emulator { program, machine })
    }
}

/// A program that needs no loader: there is none in a sandbox.
fn is_static(path: &Utf8Path) -> bool {
    // The kernel splits what is registered at colons.
    let bytes = if path.as_str().contains(':') {
        return false;
    } else {
        std::fs::read(path)
    };
    let facts = bytes
        .ok()
        .and_then(|bytes| elf::read(&bytes).ok().flatten());
    facts.is_some_and(|facts| facts.is_static_program())
}

fn kernel_allows() -> Result<(), String> {
    let read = |path: &str| std::fs::read_to_string(Path::new("/proc").join(path));
    let release = read("sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(|char: char| !char.is_ascii_digit())
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (6, 7) {
        return Err(format!(
            "Linux {} has no binary formats for a sandbox alone, Linux 6.7 has",
            release.trim()
        ));
    }
    let known = read("filesystems").unwrap_or_default();
    if known.lines().any(|line| line.ends_with("\tbinfmt_misc")) {
        return Ok(());
    }
    Err("the kernel's module binfmt_misc is not loaded (`modprobe binfmt_misc`)".to_owned())
}
