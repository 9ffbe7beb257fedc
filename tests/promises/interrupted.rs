use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::{Fault, MAIN_JOB, Scratch, Server, is_root, skip, sources};

/// What an uninterrupted build comes to.
fn expected() -> Option<String> {
    let scratch = Scratch::new().local(sources()?);
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    Some(scratch.closure_id())
}

#[test]
fn kill_9_at_any_moment_leaves_a_sound_store_and_the_next_build_succeeds() {
    let Some(sources) = sources() else { return };
    let expected = expected().expect("built");
    let scratch = Scratch::new().local(sources);
    for delay in [20, 100, 250, 450, 700, 1000, 1500, 2200] {
        let mut child = scratch.start(["build", MAIN_JOB, "--locked"]);
        thread::sleep(Duration::from_millis(delay));
        // A build that was quicker cannot be killed any more, which is as good.
        let _ = child.kill();
        child.wait().expect("ended");
        scratch.store_verifies();
    }
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    assert_eq!(expected, scratch.closure_id());
}

#[test]
fn nothing_that_was_started_outlives_kill_9() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    let mut child = scratch.start(["build", MAIN_JOB, "--locked"]);
    thread::sleep(Duration::from_millis(1200));
    // See above.
    let _ = child.kill();
    child.wait().expect("ended");
    thread::sleep(Duration::from_secs(1));
    let store = scratch.store();
    let alive = Command::new("pgrep").args(["-f", store.as_str()]).output();
    if let Ok(alive) = alive {
        assert!(
            alive.stdout.is_empty(),
            "{}",
            String::from_utf8_lossy(&alive.stdout)
        );
    }
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
