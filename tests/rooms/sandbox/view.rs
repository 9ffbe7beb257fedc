//! The whole view from inside, compared with a golden file: whatever machine, caller and user.

use std::collections::BTreeSet;

use recipe::sandbox::Identity;

use super::*;

const GOLDEN: &str = include_str!("../../data/view.txt");

fn view(change: impl FnOnce(&mut Spec)) -> String {
    let (input, out, folder_of_build) = (Scratch::new(), Scratch::new(), Scratch::new());
    std::fs::write(input.path().join("file"), "").unwrap();
    let mut spec = Spec::build("/probe")
        .args(["view"])
        .input(folder().join("probe"), "/probe")
        .input(input.path(), "/in/source")
        .output(folder_of_build.path(), "/build")
        .output(out.path(), "/out");
    spec.cwd = "/build".into();
    spec.cpus = Some(1);
    (spec.limits.memory, spec.limits.processes) = (Some(8 << 30), Some(100));
    (spec.limits.open_files, spec.limits.disk) = (1024, Some(1 << 30));
    change(&mut spec);
    same_everywhere(&ask(&spec))
}

/// The lines, sorted, without what is known to differ: the kernel's release, the ids of mounts and
/// pipes, which file system a bind lies on and where, what it says of access times and owners, numbers that the
/// kernel counts (memory, time, switches), and the host's control group.
fn same_everywhere(lines: &[String]) -> String {
    let mut kept = BTreeSet::new();
    for line in lines {
        if let Some(mount) = line.strip_prefix("/proc/self/mountinfo: ") {
            kept.insert(format!("mount {}", same_mount(mount)));
        } else if let Some(status) = line.strip_prefix("/proc/self/status: ") {
            let known = [
                "Uid",
                "Gid",
                "Groups",
                "NoNewPrivs",
                "Seccomp:",
                "Cap",
                "TracerPid",
            ];
            if known.iter().any(|word| status.starts_with(word)) {
                let words: Vec<&str> = status.split_whitespace().collect();
                kept.insert(format!("status {}", words.join(" ")));
            }
        } else if line.starts_with("/proc/self/uid_map: ") {
            // The number outside is the caller's or the one for builds.
            kept.insert("numbers: one".into());
        } else if line.starts_with("in /proc ") && line[9..].parse::<u32>().is_ok() {
            kept.insert("in /proc PROCESS".into());
        } else if line.starts_with("/proc/self/cgroup: ") {
            kept.insert("control group: the caller's".into());
        } else if line.starts_with("release ") || line.starts_with("version ") {
            kept.insert(format!("{} *", &line[..7]));
        } else if line.starts_with("owner of /in/source") {
            // Some file systems cannot show another owner than root.
            kept.insert(line.replace("65534", "1000"));
        } else if let Some((fd, _)) = line.split_once("pipe:[") {
            kept.insert(format!("{fd}a pipe"));
        } else {
            kept.insert(line.replace(std::env::consts::ARCH, "ARCH"));
        }
    }
    kept.into_iter().map(|line| line + "\n").collect()
}

/// `id parent device root PLACE OPTIONS … - TYPE source …`
fn same_mount(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let differs = |option: &str| option.contains("atime") || option == "idmapped";
    let options = words[5].split(',').filter(|option| !differs(option));
    let options: Vec<&str> = options.collect();
    let (own, kind) = match words.iter().position(|word| *word == "-") {
        Some(at) => (["tmpfs", "proc"].contains(&words[at + 1]), words[at + 1]),
        None => (false, ""),
    };
    // A tmpfs of ours shows its own root, a bind some folder of the host.
    let kind = if own && words[3] == "/" {
        kind
    } else {
        "of the host"
    };
    format!("{} {} {kind}", words[4], options.join(","))
}

#[test]
fn the_whole_view_from_inside_is_the_golden_one() {
    let seen = view(|_| {});
    assert!(
        seen == GOLDEN,
        "what is seen is not tests/data/view.txt but:\n{seen}"
    );
}

#[test]
fn what_a_second_build_varies_shows_and_nothing_else_does() {
    let seen = view(|spec| {
        (spec.hostname, spec.umask) = ("elsewhere".into(), 0o027);
        spec.identity = Identity::Other(4321);
    });
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
        (GOLDEN.lines().collect(), seen.lines().collect());
    // Whatever is the build's own is owned by its user.
    let is_owner = |line: &&&str| line.starts_with("owner of ");
    let added = new.difference(&old).filter(|line| !is_owner(line));
    let added: Vec<&&str> = added.collect();
    assert_eq!(
        added,
        [
            &"group 4321 4321",
            &"host elsewhere (none)",
            &"status Gid: 4321 4321 4321 4321",
            &"status Uid: 4321 4321 4321 4321",
            &"umask 027",
            &"user 4321 4321",
        ]
    );
    let gone = old.difference(&new).filter(|line| !is_owner(line));
    assert_eq!(gone.count(), added.len());
    assert!(seen.contains("owner of /out 4321 4321\n") && !seen.contains(" 1000 1000\n"));
}
