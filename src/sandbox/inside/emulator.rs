//! An emulator that the kernel starts for programs of another processor, in this user namespace and
//! nowhere else. Begin at [`register`].

use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::sandbox::emulator::Emulator;

/// Registers `emulator`; it works as long as what is given back stays open. The emulator is opened
/// here (flag F): nothing of it has to be in sight afterwards.
pub(super) fn register(emulator: &Emulator) -> Result<OwnedFd, Errno> {
    let formats = fsopen("binfmt_misc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&formats)?;
    // Attached to no folder: nobody in the sandbox sees or changes it.
    let formats = fsmount(
        &formats,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let register = rustix::fs::openat(&formats, "register", flags, Mode::empty())?;
    let line = CString::new(line(emulator)).map_err(|_| Errno::INVAL)?;
    rustix::io::write(&register, line.as_bytes())?;
    Ok(formats)
}

/// Every 64-bit little-endian ELF file of that processor, whichever ABI it names, ET_EXEC or ET_DYN;
/// P: the program's own name is passed on.
fn line(emulator: &Emulator) -> String {
    let [low, high] = emulator.machine.to_le_bytes();
    let zeroes = r"\x00".repeat(8);
    let any = r"\xff".repeat(7);
    format!(
        r":recipe:M::\x7fELF\x02\x01\x01\x00{zeroes}\x02\x00\x{low:02x}\x{high:02x}:{any}\x00{}\xfe\xff\xff\xff:{}:FP",
        r"\xff".repeat(8),
        emulator.program
    )
}
