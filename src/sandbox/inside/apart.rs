//! A zygote that was started by root → a program that runs under a number of its own outside.
//! Begin at [`prepare`], then [`fork_into`].
//!
//! For root the kernel counts no processes, so a sandbox that is root outside can start them without
//! end. What is to be shown lies where only root can go (a store is closed to others), so it is made
//! into mounts that lie nowhere before the rights are given up. The numbers of the new user namespace
//! are written by the zygote, which stays outside: root there may map any of them, and no setting that
//! keeps ordinary users from making namespaces is in the way.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, Pid, WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

use super::dev::DevTree;
use super::mounts::How;
use super::root::Sources;
use super::{kernel, write};
use crate::sandbox::spec::{APART, Spec};
use crate::sandbox::wire::{Failure, Stage};

/// Opens all that is to be shown. What root owns is shown as owned by [`APART`], so that the view is
/// an ordinary user's; where the file system cannot do that, what may be written is given to it, and
/// inputs have to be readable for everybody. `None` where that number
/// does not exist, as in a container that has but a few: then all is as for any caller.
///
/// `owners` is what [`owners`] gave, `dev` what [`dev`] gave.
pub(super) fn prepare(
    spec: &Spec,
    owners: Option<&OwnedFd>,
    dev: Option<&DevTree>,
) -> Result<Option<Sources>, Failure> {
    if !exists("/proc/self/uid_map") || !exists("/proc/self/gid_map") {
        return Ok(None);
    }
    let sources = Sources::open(spec, How::Detached, dev)?;
    let mapped = match owners {
        Some(users) => sources.map_owners(users.as_fd()),
        None => vec![false; spec.binds.len()],
    };
    let binds = spec.binds.iter().zip(mapped);
    for (bind, _) in binds.filter(|(bind, mapped)| bind.writable && !mapped) {
        give(bind.host.as_str()).map_err(|e| Failure::new(Stage::Source, bind.host.as_str(), e))?;
    }
    Ok(Some(sources))
}

/// A user namespace in which root's number is [`APART`] outside: for a mount, whose files are shown so.
/// One does for all sandboxes. `None` for who is not root, and where the kernel makes none.
pub(super) fn owners() -> Option<OwnedFd> {
    let is_root = rustix::process::geteuid().is_root();
    is_root.then(namespace_of_owners).and_then(Result::ok)
}

/// A `/dev` for all sandboxes, owned by [`APART`]. `None` for who is not root, and where the kernel makes none.
pub(super) fn dev() -> Option<DevTree> {
    DevTree::of_root((uid(), gid()))
}

fn namespace_of_owners() -> Result<OwnedFd, Errno> {
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

/// The two sides of [`fork_into`].
pub(super) enum Forked {
    /// The zygote, the process id of what it forked, and whether that has its numbers.
    Outside(Pid, Result<(), Errno>),
    /// What was forked, which is nobody until it takes its identity.
    Inside(Nobody),
}

/// Who has no identity yet.
pub(super) struct Nobody {
    inside: u32,
    /// Tells that the numbers of the user namespace are written.
    mapped: OwnedFd,
}

/// Forks into new namespaces. The child is [`APART`] outside and `inside` inside, once it has taken that
/// identity.
pub(super) fn fork_into(flags: UnshareFlags, inside: u32) -> Result<Forked, Errno> {
    let (mapped, say) = pipe_with(PipeFlags::CLOEXEC)?;
    let Some(first) = kernel::fork_beside(flags)? else {
        drop(say);
        return Ok(Forked::Inside(Nobody { inside, mapped }));
    };
    drop(mapped);
    let id = first.as_raw_nonzero().get();
    let done = write(&format!("/proc/{id}/setgroups"), "deny").and_then(|()| map(id, inside));
    // Who reads the end of the pipe instead of a word ends without one. It is somebody to wait for all the
    // same, so what went wrong is handed back beside it.
    let said = done.and_then(|()| rustix::io::write(&say, &[1]));
    Ok(Forked::Outside(first, said.map(drop)))
}

impl Nobody {
    /// Waits for the numbers, and is one of them from then on.
    pub(super) fn take(self) -> Result<(), Errno> {
        match rustix::io::read(self.mapped.as_fd(), &mut [0]) {
            Ok(1) => {}
            _ => return Err(Errno::CANCELED),
        }
        let (user, group) = (Uid::from_raw(self.inside), Gid::from_raw(self.inside));
        rustix::thread::set_keep_capabilities(true)?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
        rustix::thread::set_thread_res_uid(user, user, user)?;
        rustix::thread::set_keep_capabilities(false)?;
        keep_using_proc()
    }
}

/// In a new user namespace, for whoever may map nobody but itself.
pub(super) fn be_ourselves(inside: u32, user: Uid, group: Gid) -> Result<(), Errno> {
    write("/proc/self/setgroups", "deny")?;
    write(
        "/proc/self/uid_map",
        &format!("{inside} {} 1", user.as_raw()),
    )?;
    write(
        "/proc/self/gid_map",
        &format!("{inside} {} 1", group.as_raw()),
    )
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
