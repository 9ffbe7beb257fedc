//! The last steps of a process that is about to become the program. Begin at [`become_program`].
//!
//! The memory is still the first process's, which stands still meanwhile: what is changed here, it finds
//! changed. The walls of `walls.rs` come last: after everything that needs what they forbid.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::sys::personality::{self, Persona};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, CpuSet};

use super::{Control, kernel, walls};
use crate::sandbox::Level;
use crate::sandbox::spec::{Root, Spec};
use crate::sandbox::wire::{Failure, Message, Stage};

/// Bytes of stack that Linux gives when nobody asked for another size.
const STACK: u64 = 8 << 20;

/// Becomes the program, or tells why not.
pub(super) fn become_program(spec: &Spec, stdio: &[OwnedFd; 3], control: &Control) -> Failure {
    match prepare_and_execute(spec, stdio, control) {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

fn prepare_and_execute(
    spec: &Spec,
    stdio: &[OwnedFd; 3],
    control: &Control,
) -> Result<Infallible, Failure> {
    let step = |what: &'static str| move |e: Errno| Failure::new(Stage::System, what, e);
    // A session of its own: no terminal to type on (TIOCSTI), no group to be signalled with.
    rustix::process::setsid().map_err(step("starting a session"))?;
    place_stdio(stdio).map_err(step("placing descriptors 0, 1 and 2"))?;
    if spec.terminal {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())
            .map_err(step("taking its terminal"))?;
    }
    rustix::process::chdir(spec.cwd.as_str())
        .map_err(|e| Failure::new(Stage::System, format!("entering `{}`", spec.cwd), e))?;
    limit(spec).map_err(step("setting limits"))?;
    if let Some(count) = spec.cpus {
        use_processors(count).map_err(step("choosing processors"))?;
    }
    if spec.root != Root::Host {
        shed_capabilities().map_err(step("shedding capabilities"))?;
    } else {
        let kill = Some(rustix::process::Signal::KILL);
        rustix::process::set_parent_process_death_signal(kill)
            .map_err(step("tying its life to ours"))?;
    }
    if !spec.privileges {
        rustix::thread::set_no_new_privs(true).map_err(step("renouncing privileges"))?;
    }
    if spec.same_addresses {
        // A container may refuse it: then addresses differ, as they do for most programs on most machines.
        let _ = personality::set(Persona::ADDR_NO_RANDOMIZE);
    }
    kernel::reset_signals();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(spec.umask));
    let level = match &spec.root {
        Root::Host => Level::None,
        _ if spec.hardened => walls::put_up(spec).map_err(step("putting up walls"))?,
        _ => Level::Namespaces,
    };
    execute(spec, level, control)
}

fn execute(spec: &Spec, level: Level, control: &Control) -> Result<Infallible, Failure> {
    let refused = |e| Failure::new(Stage::Program, spec.program.as_str(), e);
    let program = words([spec.program.as_str()]).map_err(refused)?;
    let name = spec
        .name
        .as_deref()
        .unwrap_or(OsStr::new(spec.program.as_str()));
    let args = words(std::iter::once(name).chain(spec.args.iter().map(|arg| arg.as_os_str())))
        .map_err(refused)?;
    let env = words(spec.env.iter().map(|(name, value)| {
        let mut pair = name.clone();
        pair.push("=");
        pair.push(value);
        pair
    }))
    .map_err(refused)?;
    control.tell(&Message::Starting(level));
    nix::unistd::execve(&program[0], &args, &env).map_err(|e| refused(kernel::from_nix(e)))
}

fn words<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Result<Vec<CString>, Errno> {
    let word = |word: S| CString::new(word.as_ref().as_bytes()).map_err(|_| Errno::INVAL);
    words.into_iter().map(word).collect()
}

/// All three come from above 2, so that none can overwrite another. All else closes by itself.
fn place_stdio([stdin, stdout, stderr]: &[OwnedFd; 3]) -> Result<(), Errno> {
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)
}

fn limit(spec: &Spec) -> Result<(), Errno> {
    let limits = &spec.limits;
    // The first process counts too.
    let processes = limits.processes.map(|count| count.saturating_add(1));
    // What is deleted while it is open escapes the eye that looks at the folders.
    let file_size = limits.file_size.or(limits.disk);
    let wanted = [
        (Resource::As, limits.memory),
        (Resource::Nproc, processes),
        (Resource::Nofile, Some(limits.open_files)),
        (Resource::Fsize, file_size),
        (Resource::Core, Some(0)),
    ];
    for (resource, wanted) in wanted {
        if let Some(wanted) = wanted {
            let hard = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let limit = Some(wanted.min(hard));
            setrlimit(
                resource,
                Rlimit {
                    current: limit,
                    maximum: limit,
                },
            )?;
        }
    }
    // Not a limit of ours, but the layout of a process's memory depends on it.
    let maximum = getrlimit(Resource::Stack).maximum;
    let current = Some(STACK.min(maximum.unwrap_or(STACK)));
    setrlimit(Resource::Stack, Rlimit { current, maximum })
}

/// The first so many of those that we may use.
fn use_processors(count: u32) -> Result<(), Errno> {
    let ours = rustix::thread::sched_getaffinity(None)?;
    let mut chosen = CpuSet::new();
    let usable = (0..CpuSet::MAX_CPU).filter(|cpu| ours.is_set(*cpu));
    usable.take(count as usize).for_each(|cpu| chosen.set(cpu));
    rustix::thread::sched_setaffinity(None, &chosen)
}

/// Without any of them, and without a way to gain any: also for a program that is user 0 inside.
fn shed_capabilities() -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // This kernel knows no more of them.
            Err(Errno::INVAL) => break,
            Err(e) => return Err(e),
        }
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, sets)
}
