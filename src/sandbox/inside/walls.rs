//! The walls behind the namespaces: what could still be asked of the kernel, and what could still be
//! written if a mount were not as read-only as it was made. Begin at [`put_up`].
//!
//! Both are there as far as the kernel has them; the level tells.

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::AsFd;

use super::{filter, kernel};
use crate::sandbox::Level;
use crate::sandbox::spec::Spec;

// Accesses of Landlock, by the version that they came with.
const WRITE_FILE: u64 = 1 << 1;
const REMOVE_TO_MAKE: u64 = (1 << 4) | (1 << 5) | (0x7f << 6);
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;

/// Puts them up before this process, which needs `no_new_privs` first. Tells what stands.
pub(super) fn put_up(spec: &Spec) -> Result<Level, Errno> {
    let landlocked = allow_writing(spec)?;
    let Some(mut program) = filter::program() else {
        return Ok(Level::Namespaces);
    };
    match kernel::filter_calls(&mut program) {
        Ok(()) if landlocked => Ok(Level::Landlocked),
        Ok(()) => Ok(Level::Filtered),
        // A kernel that was built without filters.
        Err(Errno::NOSYS | Errno::INVAL) => Ok(Level::Namespaces),
        Err(e) => Err(e),
    }
}

/// From here on files are written, made and removed in the declared places only. The first version of
/// Landlock would forbid to rename from one folder into another, so it is not used.
fn allow_writing(spec: &Spec) -> Result<bool, Errno> {
    let version = match kernel::landlock_version() {
        Ok(version) if version >= 2 => version,
        _ => return Ok(false),
    };
    let mut accesses = WRITE_FILE | REMOVE_TO_MAKE | REFER;
    if version >= 3 {
        accesses |= TRUNCATE;
    }
    let rules = kernel::landlock_rules(accesses)?;
    let writable = spec.binds.iter().filter(|bind| bind.writable);
    let mut places: Vec<&str> = writable.map(|bind| bind.at.as_str()).collect();
    if spec.tmp {
        places.push("/tmp");
    }
    if spec.dev {
        places.push("/dev");
    }
    for place in places {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let place = rustix::fs::openat(CWD, place, flags, Mode::empty())?;
        let is_folder =
            FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode) == FileType::Directory;
        let on_files = WRITE_FILE | TRUNCATE;
        let here = if is_folder {
            accesses
        } else {
            accesses & on_files
        };
        kernel::landlock_allow(rules.as_fd(), place.as_fd(), here)?;
    }
    kernel::landlock_enter(rules.as_fd())?;
    Ok(true)
}
