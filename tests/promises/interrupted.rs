use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Fault, MAIN_JOB, Scratch, Server, hearing, is_root, skip, sources};

/// What an uninterrupted build comes to.
fn expected() -> Option<String> {
    let scratch = Scratch::new().warm(sources()?);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    Some(scratch.closure_id())
}

#[test]
fn kill_9_at_any_moment_leaves_a_sound_store_and_the_next_build_succeeds() {
    let Some(sources) = sources() else { return };
    let expected = expected().expect("built");
    let scratch = Scratch::new().local(sources);
    for delay in [20, 100, 450, 1000, 2200] {
        let mut child = scratch.start(["build", MAIN_JOB, "--locked"]);
        thread::sleep(Duration::from_millis(delay));
        // A build that was quicker cannot be killed any more, which is as good.
        let _ = child.kill();
        child.wait().expect("ended");
        // On a machine that is busy the first may end before there is a store.
        if scratch.store().exists() {
            scratch.store_verifies();
        }
    }
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    assert_eq!(expected, scratch.closure_id());
}

#[test]
fn every_signal_ends_a_build_and_all_it_started_within_a_second() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    for (signal, code) in [
        (Signal::INT, Some(130)),
        (Signal::TERM, Some(143)),
        (Signal::HUP, None),
        (Signal::KILL, None),
    ] {
        let mut build = hearing(&scratch.command(["build", MAIN_JOB, "--locked"]));
        let mut build = build.spawn().expect("started");
        let number = build.id();
        let started = wait_for_descendants(number, 3);
        // Stopped, it starts no more of them while we write them down.
        send(number, Signal::STOP);
        let started = [started, descendants(number)].concat();
        send(number, signal);
        send(number, Signal::CONT);
        let since = Instant::now();
        let status = build.wait().expect("ended");
        // The first two are heard, and answered with an exit code of our own.
        assert_eq!(status.code(), code, "{status}");
        let killed_by = code.is_none().then(|| signal.as_raw());
        assert_eq!(status.signal(), killed_by, "{status}");
        while started.iter().any(Process::is_alive) {
            assert!(since.elapsed() < Duration::from_secs(1), "{started:?}");
            thread::sleep(Duration::from_millis(5));
        }
        scratch.store_verifies();
    }
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
}

/// A process, not to be confused with a later one of the same number.
#[derive(Debug, Clone)]
struct Process {
    number: u32,
    parent: u32,
    since: String,
}

impl Process {
    fn find(number: u32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        // The name before it may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        (*fields.first()? != "Z").then_some(Process {
            number,
            parent: fields.get(1)?.parse().ok()?,
            since: (*fields.get(19)?).to_owned(),
        })
    }

    fn is_alive(&self) -> bool {
        Process::find(self.number).is_some_and(|now| now.since == self.since)
    }
}

fn descendants(of: u32) -> Vec<Process> {
    let names = std::fs::read_dir("/proc").expect("/proc").flatten();
    let mut all: Vec<Process> = names
        .filter_map(|entry| Process::find(entry.file_name().to_str()?.parse().ok()?))
        .collect();
    let mut family = Vec::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        let (children, others) = all
            .into_iter()
            .partition(|process| process.parent == parent);
        let children: Vec<Process> = children;
        parents.extend(children.iter().map(|child| child.number));
        family.extend(children);
        all = others;
    }
    family
}

/// Helper, first process and program: the build is in the middle of a step that runs something.
fn wait_for_descendants(of: u32, count: usize) -> Vec<Process> {
    let since = Instant::now();
    loop {
        let found = descendants(of);
        if found.len() >= count {
            return found;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{found:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn send(number: u32, signal: Signal) {
    let process = i32::try_from(number).ok().and_then(Pid::from_raw);
    kill_process(process.expect("a process"), signal).expect("sent");
}

#[test]
fn a_network_that_goes_away_is_told_and_the_next_build_goes_on() {
    let Some(sources) = sources() else { return };
    let server = Server::of(sources.folder());
    server.fault(Fault::DeadAfter(20));
    let scratch = Scratch::new().from(&server);
    let ran = scratch.run(["build", MAIN_JOB, "--locked"]).fails_with(4);
    assert!(ran.err.contains("cannot fetch"), "{}", ran.err);
    scratch.store_verifies();
    server.heal();
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
}

#[test]
fn a_full_disk_is_told_and_with_room_the_next_build_succeeds() {
    let Some(sources) = sources() else { return };
    if !is_root() {
        return skip("only root can mount a small disk");
    }
    let scratch = Scratch::new().local(sources);
    let disk = scratch.work().join("disk");
    std::fs::create_dir(&disk).expect("created");
    let mount = |size: &str| {
        let options = format!("{size},mode=0755");
        let words = ["-t", "tmpfs", "-o", &options, "tmpfs", disk.as_str()];
        Command::new("mount")
            .args(words)
            .status()
            .is_ok_and(|status| status.success())
    };
    if !mount("size=30m") {
        return skip("a tmpfs cannot be mounted here");
    }
    let store = disk.join("store");
    let build = ["build", MAIN_JOB, "--locked", "--store", store.as_str()];
    let ran = scratch.run(build).fails_with(6);
    let verified = scratch.run(["store", "verify", "--store", store.as_str()]);
    let grown = mount("remount,size=900m");
    let again = scratch.run(build);
    let unmounted = Command::new("umount").arg("-l").arg(&disk).status();
    assert!(
        ran.err.contains("room") || ran.err.contains("full"),
        "{}",
        ran.err
    );
    verified.ok();
    assert!(grown && unmounted.expect("umount starts").success());
    again.ok();
}
