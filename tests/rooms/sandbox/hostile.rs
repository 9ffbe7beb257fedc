//! Builds that nobody would want: each gets one clear end, the store is whole afterwards, and no
//! process is left. `data/hostile.c` is the program.

use recipe::build::collect::{CollectError, Rules, collect};
use recipe::sandbox::{APART, Status};
use recipe_store::{Store, TreeId};
use std::os::unix::fs::MetadataExt;

use super::*;

/// The program as a step of a build, alone in an empty root.
pub(super) fn hostile(words: &[&str]) -> Spec {
    Spec::build("/hostile")
        .input(folder().join("hostile"), "/hostile")
        .args(words)
}

/// An output folder, and what became of the build and its output.
struct Build {
    out: Scratch,
    outcome: Outcome,
}

impl Build {
    fn of(words: &[&str], change: impl FnOnce(&mut Spec)) -> Build {
        let out = Scratch::new();
        let mut spec = hostile(words).output(out.path(), "/out");
        change(&mut spec);
        let outcome = run(&spec);
        Build { out, outcome }
    }

    fn said(&self) -> String {
        String::from_utf8(self.outcome.stdout.clone()).unwrap()
    }

    /// Takes the output into a store, which is whole afterwards whatever became of it.
    fn collected(&self) -> Result<TreeId, CollectError> {
        let home = Scratch::new();
        let store = Store::open(&home.path().join("store")).unwrap();
        let session = store.session().unwrap();
        let taken = collect(&session, &self.out.path(), &Rules::default());
        session.commit().unwrap();
        drop(session);
        assert!(store.verify().unwrap().findings.is_empty());
        taken
    }
}

/// Processes of this machine that have this word among their arguments.
fn alive(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            line.split(|byte| *byte == 0)
                .any(|one| one == word.as_bytes())
        })
        .count()
}

#[test]
fn a_build_that_forks_without_end_is_stopped_and_nothing_is_left_of_it() {
    let word = format!("bomb-{}", std::process::id());
    let build = Build::of(&["forks", &word], |spec| {
        spec.limits.processes = Some(40);
        spec.limits.wall = Some(Duration::from_secs(2));
    });
    assert_eq!(build.outcome.status, Status::TimedOut);
    assert!(build.outcome.duration < Duration::from_secs(20));
    assert_eq!(alive(&word), 0);
}

#[test]
fn the_number_of_processes_is_limited_for_root_too() {
    let mut spec = Spec::build("/probe").input(folder().join("probe"), "/probe");
    spec.limits.processes = Some(20);
    assert_eq!(ask(&spec.args(["processes"])), ["19 more processes"]);
}

#[test]
fn a_build_that_fills_the_disk_is_stopped_in_time() {
    for words in [["fills", "/out"], ["grows", "/out/one"], ["crowds", "/out"]] {
        let build = Build::of(&words, |spec| spec.limits.disk = Some(8 << 20));
        assert_eq!(build.outcome.status, Status::TooMuchDisk, "{words:?}");
        // Well below the wall time of an hour, on a machine that does much else.
        assert!(
            build.outcome.duration < Duration::from_secs(120),
            "{words:?}"
        );
    }
    let build = Build::of(&["file", "/out/small"], |spec| {
        spec.limits.disk = Some(8 << 20)
    });
    assert!(build.outcome.success());
}

#[test]
fn a_build_that_leaves_a_daemon_leaves_none() {
    let out = Scratch::new();
    let spec = Spec::build("/probe").input(folder().join("probe"), "/probe");
    let spec = spec
        .args(["linger", "/out/beat", "stderr"])
        .output(out.path(), "/out");
    assert!(run(&spec).success());
    assert!(!out.is_written_to());
}

#[test]
fn what_a_build_writes_outside_of_its_output_is_refused() {
    let input = Scratch::new();
    std::fs::write(input.path().join("file"), "as it was").unwrap();
    for path in [input.path(), input.path().join("file")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let words = [
        "file", "/in/file", "file", "/in/new", "file", "/new", "file", "/dev/new",
    ];
    let build = Build::of(&words, |spec| {
        *spec = spec.clone().input(input.path(), "/in")
    });
    let said = build.said();
    assert_eq!(said.matches(": Read-only file system").count(), 4, "{said}");
    assert_eq!(
        std::fs::read(input.path().join("file")).unwrap(),
        b"as it was"
    );
}

#[test]
fn an_input_cannot_be_linked_into_the_output() {
    let input = Scratch::new();
    std::fs::write(input.path().join("file"), "").unwrap();
    let build = Build::of(&["links", "/in/file"], |spec| {
        *spec = spec.clone().input(input.path(), "/in");
    });
    assert_eq!(build.said(), "hard link: Invalid cross-device link\n");
}

#[test]
fn the_output_folder_itself_can_neither_go_nor_become_something_else() {
    let build = Build::of(&["replaces"], |_| {});
    let busy = "Device or resource busy";
    // Its parent is read-only as well, and which of the two is told first is the kernel's business.
    for line in build.said().lines() {
        let (_, answer) = line.split_once(": ").unwrap();
        let known = [busy, "Read-only file system", "Invalid cross-device link"];
        assert!(known.contains(&answer), "{line}");
    }
    assert!(matches!(
        build.collected(),
        Err(CollectError::NoOutput { .. })
    ));
}

#[test]
fn sockets_pipes_and_links_that_lead_out_are_refused_when_they_are_collected() {
    let refused = |words: &[&str]| Build::of(words, |_| {}).collected().unwrap_err();
    assert!(matches!(
        refused(&["socket"]),
        CollectError::Kind {
            kind: "a socket",
            ..
        }
    ));
    assert!(matches!(
        refused(&["pipe"]),
        CollectError::Kind {
            kind: "a named pipe",
            ..
        }
    ));
    for target in ["/etc/passwd", "../secret", "/proc/self/root"] {
        let error = refused(&["points", target]);
        assert!(matches!(error, CollectError::Escapes { .. }), "{error:?}");
    }
    assert!(matches!(refused(&["nested"]), CollectError::Tree(_)));
    assert!(matches!(refused(&[]), CollectError::NoOutput { .. }));
}

#[test]
fn what_a_build_made_is_collected_whoever_owns_it() {
    let build = Build::of(&["hides", "file", "/out/seen"], |_| {});
    let owner = std::fs::metadata(build.out.path().join("seen"))
        .unwrap()
        .uid();
    // Where the file system can show root's files as those of another, they stay root's.
    match rustix::process::geteuid().as_raw() {
        0 => assert!([0, APART].contains(&owner), "{owner}"),
        user => assert_eq!(owner, user),
    }
    build.collected().unwrap();
}

#[test]
fn what_lies_in_a_build_folder_can_be_changed_and_inputs_below_a_closed_folder_can_be_read() {
    let (closed, folder) = (Scratch::new(), Scratch::new());
    std::fs::create_dir(closed.path().join("tree")).unwrap();
    std::fs::write(closed.path().join("tree/file"), "").unwrap();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/main.c"), "").unwrap();
    std::fs::hard_link(
        closed.path().join("tree/file"),
        folder.path().join("src/linked"),
    )
    .unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("src/link")).unwrap();
    let before = std::fs::metadata("/etc/passwd").unwrap().uid();
    let build = Build::of(
        &["file", "/build/src/main.c", "file", "/build/src/new"],
        |spec| {
            *spec = spec
                .clone()
                .input(closed.path().join("tree"), "/in")
                .output(folder.path(), "/build");
        },
    );
    assert_eq!(
        build.said(),
        "/build/src/main.c: yes\n/build/src/new: yes\n"
    );
    // Neither what a symlink points to nor what has another name elsewhere was given away.
    assert_eq!(std::fs::metadata("/etc/passwd").unwrap().uid(), before);
    let linked = std::fs::metadata(closed.path().join("tree/file")).unwrap();
    assert_eq!(linked.uid(), rustix::process::geteuid().as_raw());
}

#[test]
fn an_input_that_only_its_owner_can_read_can_be_read_and_not_be_changed() {
    let input = Scratch::new();
    std::fs::write(input.path().join("file"), "").unwrap();
    let owners = std::fs::Permissions::from_mode(0o400);
    std::fs::set_permissions(input.path().join("file"), owners).unwrap();
    let build = Build::of(&["reads", "/in/file", "file", "/in/file"], |spec| {
        *spec = spec.clone().input(input.path(), "/in");
    });
    let said = build.said();
    if said.contains("Permission denied") && rustix::process::geteuid().is_root() {
        return crate::support::skip("this file system cannot show root's files as another's");
    }
    assert_eq!(said, "/in/file: yes\n/in/file: Read-only file system\n");
}
