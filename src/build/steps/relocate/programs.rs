//! A program or library → the same with its strings replaced, its libraries looked for beside it,
//! and, if it is a program, an entry stub. Begin at [`relocate`].
//!
//! The order is fixed: strings, then search paths, then the stub, which moves things that nothing may
//! touch afterwards.

use super::{FixedPlace, RelocateError, strings};
use crate::elf::{self, Class, ElfError, EntryStub, PrivateVariable};
use crate::platform::Platform;
use crate::recipe::{HostPolicy, Matter, Order};

/// Whether the file at `path` has to be looked at.
pub(super) fn may_be_elf(path: &str, executable: bool) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_library = name.ends_with(".so") || name.contains(".so.");
    is_library || (executable && (path.starts_with("bin/") || path.starts_with("libexec/")))
}

/// The relocated content; `None` when nothing changes. `prefix` is where an interpreter was built for
/// that is none of a distribution's.
pub(super) fn relocate(
    path: &str,
    mut bytes: Vec<u8>,
    prefix: Option<&str>,
    host: &HostPolicy,
    fixed: Option<&FixedPlace>,
) -> Result<Option<Vec<u8>>, RelocateError> {
    if !bytes.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let failed = |source| RelocateError::Elf {
        file: path.to_owned(),
        source,
    };
    let Some(facts) = elf::read(&bytes).map_err(failed)? else {
        return Ok(None);
    };
    let platform = || {
        Platform::of_machine(facts.machine).ok_or_else(|| {
            let machine = facts.machine.to_string();
            failed(ElfError::NoStubFor { machine })
        })
    };
    let mut changed = strings::concerns(path, prefix);
    if changed {
        strings::apply(path, platform()?, prefix, host, &mut bytes)?;
    }
    let searches = facts.rpath.is_some() || facts.runpath.is_some();
    if searches && facts.class == Class::Bits64 && facts.little_endian {
        changed |= elf::drop_foreign_search_path(&mut bytes).map_err(failed)?;
    }
    if facts.runpath.is_some() {
        changed |= elf::runpath_to_rpath(&mut bytes).map_err(failed)?;
    }
    if facts.is_executable_program() && !facts.entry_stub {
        let mut stub = stub(path, platform()?, host);
        stub.fixed = fixed.map(|place| place.start(path, &facts));
        return elf::embed(&bytes, &stub).map(Some).map_err(failed);
    }
    Ok(changed.then_some(bytes))
}

/// How the program at `path` starts. A host's preloads and the data of bare hosts concern all; that
/// `argv[0]` must lead to the program concerns Python, which finds its library by it.
fn stub(path: &str, platform: Platform, host: &HostPolicy) -> EntryStub {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let up = "../".repeat(path.matches('/').count());
    EntryStub {
        python: strings::is_interpreter(path),
        hide_host_preloads: host.of(Matter::Preloads) == Order::ClosureOnly,
        private: [
            (
                Matter::Locales,
                PrivateVariable::locale(format!("{up}lib/locale")),
            ),
            (
                Matter::TimeZones,
                PrivateVariable::time_zones(format!("{up}share/zoneinfo")),
            ),
            (
                Matter::Terminals,
                PrivateVariable::terminals(format!("{up}share/terminfo")),
            ),
        ]
        .map(|(matter, variable)| match host.of(matter) {
            Order::HostFirst => variable,
            Order::ClosureFirst | Order::ClosureOnly => variable.always(),
        })
        .into(),
        ..EntryStub::of(folder, "lib", platform)
    }
}
