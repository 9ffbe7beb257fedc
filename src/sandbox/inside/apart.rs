//! A helper that was started by root → one whose programs run under a number of their own outside.
//! Begin at [`prepare`], then [`unshare`].
//!
//! For root the kernel counts no processes, so a sandbox that is root outside can start them without
//! end. What is to be shown lies where only root can go (a store is closed to others), so it is made
//! into mounts that lie nowhere before the rights are given up. The numbers of the new user namespace
//! are written by a child that stays outside: root there may map any of them, and no setting that
//! keeps ordinary users from making namespaces is in the way.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, Pid, WaitOptions, getpid, waitpid};
use rustix::thread::UnshareFlags;

use super::root::{How, Sources};
use super::{kernel, write};
use crate::sandbox::spec::{APART, Spec};
use crate::sandbox::wire::{Failure, Stage};

/// Opens all that is to be shown. What root owns is shown as owned by [`APART`], so that the view is
/// an ordinary user's; where the file system cannot do that, what may be written is given to it, and
/// inputs have to be readable for everybody. `None` where that number
/// does not exist, as in a container that has but a few: then all is as for any caller.
pub(super) fn prepare(spec: &Spec) -> Result<Option<Sources>, Failure> {
    if !exists("/proc/self/uid_map") || !exists("/proc/self/gid_map") {
        return Ok(None);
    }
    let sources = Sources::open(spec, How::Detached)?;
    let mapped = match owners() {
        Ok(users) => sources.map_owners(users.as_fd()),
        Err(_) => vec![false; spec.binds.len()],
    };
    let binds = spec.binds.iter().zip(mapped);
    for (bind, _) in binds.filter(|(bind, mapped)| bind.writable && !mapped) {
        give(bind.host.as_str()).map_err(|e| Failure::new(Stage::Source, bind.host.as_str(), e))?;
    }
    Ok(Some(sources))
}

/// A user namespace in which root's number is [`APART`] outside: for a mount, whose files are shown so.
fn owners() -> Result<OwnedFd, Errno> {
    let (ready, made) = pipe_with(PipeFlags::CLOEXEC)?;
    let (until, stay) = pipe_with(PipeFlags::CLOEXEC)?;
    let Some(holder) = kernel::fork()? else {
        drop((ready, stay));
        let unshared = kernel::unshare(UnshareFlags::NEWUSER);
        if unshared.is_ok() {
            let _ = rustix::io::write(&made, &[1]);
        }
        drop(made);
        // Until we are not needed any more.
        let _ = rustix::io::read(until.as_fd(), &mut [0]);
        std::process::exit(0)
    };
    drop((made, until));
    let id = holder.as_raw_nonzero().get();
    let opened = match rustix::io::read(ready.as_fd(), &mut [0]) {
        Ok(1) => map(id, 0).and_then(|()| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::openat(CWD, format!("/proc/{id}/ns/user"), flags, Mode::empty())
        }),
        _ => Err(Errno::PERM),
    };
    drop(stay);
    end_of(holder)?;
    opened
}

/// Waits for the end of a child.
fn end_of(child: Pid) -> Result<Option<i32>, Errno> {
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            other => return Ok(other?.and_then(|(_, status)| status.exit_status())),
        }
    }
}

/// Whether [`APART`] is a number of this user namespace.
fn exists(map: &str) -> bool {
    let text = std::fs::read_to_string(map).unwrap_or_default();
    text.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>().ok());
        let (Some(Some(first)), _, Some(Some(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&APART.into())
    })
}

/// Gives away a folder with all below it, or a file, following no symlink and leaving no mount. A file
/// that has another name elsewhere is left alone: it is not the caller's alone.
fn give(path: &str) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let top = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&top)?;
    rustix::fs::fchown(&top, Some(uid()), Some(gid()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(());
    }
    let mut todo: Vec<OwnedFd> = vec![top];
    while let Some(folder) = todo.pop() {
        for entry in rustix::fs::Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let found = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            if found.st_dev != stat.st_dev || (!is_folder && found.st_nlink > 1) {
                continue;
            }
            let nofollow = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(&folder, name, Some(uid()), Some(gid()), nofollow)?;
            if is_folder {
                let flags = flags | OFlags::DIRECTORY;
                todo.push(rustix::fs::openat(&folder, name, flags, Mode::empty())?);
            }
        }
    }
    Ok(())
}

fn uid() -> Uid {
    Uid::from_raw(APART)
}

fn gid() -> Gid {
    Gid::from_raw(APART)
}

/// Leaves the namespaces of our parent, and is [`APART`] outside and `inside` inside from then on.
pub(super) fn unshare(flags: UnshareFlags, inside: u32) -> Result<(), Errno> {
    let helper = getpid().as_raw_nonzero();
    let (go, said) = pipe_with(PipeFlags::CLOEXEC)?;
    let Some(mapper) = kernel::fork()? else {
        // Ends with the helper too: then nothing is said, and nothing is left to be written.
        drop(said);
        let mut word = [0];
        let mapped = match rustix::io::read(go.as_fd(), &mut word) {
            Ok(1) => map(helper.get(), inside),
            _ => Err(Errno::CANCELED),
        };
        std::process::exit(mapped.map_or_else(Errno::raw_os_error, |()| 0));
    };
    drop(go);
    let unshared = kernel::unshare(flags).and_then(|()| write("/proc/self/setgroups", "deny"));
    if unshared.is_ok() {
        rustix::io::write(&said, &[1])?;
    }
    drop(said);
    let status = end_of(mapper)?;
    unshared?;
    match status {
        Some(0) => {}
        Some(errno) => return Err(Errno::from_raw_os_error(errno)),
        None => return Err(Errno::CHILD),
    }
    let (user, group) = (Uid::from_raw(inside), Gid::from_raw(inside));
    rustix::thread::set_keep_capabilities(true)?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    rustix::thread::set_keep_capabilities(false)?;
    keep_using_proc()
}

/// Whoever changes its user is taken for one who has something to hide, and its `/proc` for root's.
fn keep_using_proc() -> Result<(), Errno> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
}

/// Writes the numbers of another process's user namespace.
fn map(process: i32, inside: u32) -> Result<(), Errno> {
    for map in ["uid_map", "gid_map"] {
        write(
            &format!("/proc/{process}/{map}"),
            &format!("{inside} {APART} 1"),
        )?;
    }
    Ok(())
}
