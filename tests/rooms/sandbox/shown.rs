//! What a program sees: files, descriptors, environment, network.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use recipe::sandbox::{Identity, Root, Running, SandboxError, Spec, Stdin};

use super::*;

/// Set in a copy of this program that has made a mount below this folder.
const INPUT: &str = "SANDBOX_TEST_INPUT";

#[test]
fn a_program_sees_only_what_was_declared() {
    let input = Scratch::new();
    std::fs::write(input.path().join("file"), "").unwrap();
    let mut spec = probe(&["tree"])
        .input(input.path(), "/in/a b")
        .usual_places();
    spec.files.push(("/etc/passwd".into(), b"".to_vec()));
    let mut seen = ask(&spec);
    seen.sort();
    let expected = [
        "d /",
        "d /dev",
        "d /dev/shm",
        "d /etc",
        "d /in",
        "d /in/a b",
        "d /proc",
        "d /tmp",
        "f /dev/full",
        "f /dev/null",
        "f /dev/random",
        "f /dev/urandom",
        "f /dev/zero",
        "f /etc/passwd",
        "f /in/a b/file",
        "f /probe",
        "l /dev/fd",
        "l /dev/stderr",
        "l /dev/stdin",
        "l /dev/stdout",
    ];
    assert_eq!(seen, expected);
    assert_eq!(ask(&probe(&["tree"])), ["d /", "f /probe"]);
}

#[test]
fn a_program_is_told_only_what_was_declared() {
    let mut spec = probe(&["who"])
        .env("B", "2")
        .env("A", "ä\n")
        .env("EMPTY", "");
    let told = ask(&spec);
    let rest = [
        "umask 022",
        "session 1",
        "privileges 1",
        "env B=2",
        "env A=ä",
        "",
        "env EMPTY=",
    ];
    let user = [
        "name /probe",
        "user 1000 1000",
        "group 1000 1000",
        "host recipe (none)",
        "cwd /",
    ];
    assert_eq!(told, [&user[..], &rest[..]].concat());
    (spec.name, spec.identity) = (Some("another".into()), Identity::Root);
    (spec.cwd, spec.tmp) = ("/tmp".into(), true);
    let root = [
        "name another",
        "user 0 0",
        "group 0 0",
        "host recipe (none)",
        "cwd /tmp",
    ];
    assert_eq!(ask(&spec), [&root[..], &rest[..]].concat());
}

#[test]
fn a_program_has_three_descriptors_whatever_the_caller_has() {
    // Without close-on-exec, as a careless library would leave it.
    let careless = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&careless, rustix::io::FdFlags::empty()).unwrap();
    assert_eq!(ask(&probe(&["fds"])), ["fd 0", "fd 1", "fd 2"]);
}

#[test]
fn no_network_is_reached_unless_it_is_shared() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let name = format!("recipe-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let mut spec = probe(&["reach", &port, &name]);
    assert_eq!(
        ask(&spec),
        [
            "tcp: Network is unreachable",
            "abstract: Connection refused"
        ]
    );
    spec.network = true;
    assert_eq!(ask(&spec), ["tcp: yes", "abstract: yes"]);
}

#[test]
fn no_two_sandboxes_are_in_one_network_at_once() {
    let (sandbox, mut spec) = (sandbox(), probe(&["sleep"]));
    spec.apart = true;
    let network = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let mut living: Vec<Running> = Vec::new();
    for _ in 0..4 {
        // One of those that were used before is free, or none is.
        living.extend((0..2).map(|_| sandbox.spawn(&spec).unwrap()));
        let mut seen: Vec<_> = living.iter().map(|one| network(one.pid())).collect();
        seen.push(network(std::process::id()));
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all, "{seen:?}");
        let ended = living.remove(0);
        ended.kill();
        ended.wait().unwrap();
    }
}

#[test]
fn only_outputs_and_tmp_can_be_written() {
    let (input, output) = (Scratch::new(), Scratch::new());
    std::fs::write(input.path().join("file"), "as it was").unwrap();
    let places = [
        "/x",
        "/in/x",
        "/in/file",
        "/probe",
        "/dev/x",
        "/out/x",
        "/tmp/x",
        "/dev/shm/x",
        "/dev/null",
    ];
    let spec = probe(&places.map(|place| ["write", place]).concat());
    let spec = spec
        .input(input.path(), "/in")
        .output(output.path(), "/out")
        .usual_places();
    let said = ask(&spec);
    let expected = places.map(|place| match place {
        // Linux tells that a running program is busy before it looks at the mount.
        "/probe" => "/probe: Text file busy".to_owned(),
        "/out/x" | "/tmp/x" | "/dev/shm/x" | "/dev/null" => format!("{place}: yes"),
        _ => format!("{place}: Read-only file system"),
    });
    assert_eq!(
        said.iter()
            .filter(|line| !line.starts_with("/probe"))
            .collect::<Vec<_>>(),
        expected
            .iter()
            .filter(|line| !line.starts_with("/probe"))
            .collect::<Vec<_>>()
    );
    assert!(!said.contains(&"/probe: yes".to_owned()));
    let written = std::fs::metadata(output.path().join("x")).unwrap();
    assert_eq!(written.uid(), rustix::process::geteuid().as_raw());
    assert_eq!(
        std::fs::read(input.path().join("file")).unwrap(),
        b"as it was"
    );
}

#[test]
fn user_0_inside_can_do_nothing_that_an_ordinary_user_cannot() {
    let mut spec = probe(&["escape"]).usual_places();
    for identity in [Identity::Root, Identity::User] {
        spec.identity = identity;
        let said = ask(&spec);
        assert_eq!(said.len(), 10);
        assert!(said.iter().all(|line| !line.ends_with(": yes")), "{said:?}");
    }
}

#[test]
fn a_tree_with_a_place_for_everything_is_the_root_as_it_is() {
    let tree = Scratch::new();
    for place in ["usr/bin", "dev", "proc", "out"] {
        std::fs::create_dir_all(tree.path().join(place)).unwrap();
    }
    std::fs::copy(folder().join("probe"), tree.path().join("usr/bin/probe")).unwrap();
    std::os::unix::fs::symlink("usr/bin", tree.path().join("bin")).unwrap();
    for apart in [false, true] {
        let out = Scratch::new();
        let words = ["tree", "write", "/x", "write", "/usr/x", "write", "/dev/x"];
        let mut spec = Spec::new("/bin/probe").args(words);
        (spec.root, spec.proc, spec.dev) = (Root::Tree(tree.path()), true, true);
        spec.apart = apart;
        let seen = ask(&spec.output(out.path(), "/out"));
        for path in ["/x", "/usr/x", "/dev/x"] {
            let refused = format!("{path}: Read-only file system");
            assert!(seen.contains(&refused), "{refused} in {seen:?}");
        }
        let top = |line: &&String| line.len() > 3 && line[3..].matches('/').count() == 0;
        let mut top: Vec<&String> = seen.iter().filter(top).collect();
        top.retain(|line| {
            ["d /", "f /", "l /"]
                .iter()
                .any(|kind| line.starts_with(kind))
        });
        top.sort();
        assert_eq!(top, ["d /dev", "d /out", "d /proc", "d /usr", "l /bin"]);
    }
}

#[test]
fn a_tree_can_be_the_root() {
    let tree = Scratch::new();
    std::fs::create_dir_all(tree.path().join("usr/bin")).unwrap();
    std::fs::copy(folder().join("probe"), tree.path().join("usr/bin/probe")).unwrap();
    std::os::unix::fs::symlink("usr/bin", tree.path().join("bin")).unwrap();
    std::fs::write(tree.path().join("note"), "").unwrap();
    let mut spec = Spec::new("/bin/probe").args(["tree", "write", "/usr/x", "write", "/note"]);
    spec.root = Root::Tree(tree.path());
    let mut seen = ask(&spec.clone().output(tree.path(), "/out"));
    seen.sort();
    assert!(
        seen.contains(&"/usr/x: Read-only file system".into()),
        "{seen:?}"
    );
    assert!(
        seen.contains(&"/note: Read-only file system".into()),
        "{seen:?}"
    );
    for path in ["l /bin", "f /usr/bin/probe", "f /note", "d /out/usr/bin"] {
        assert!(seen.contains(&path.to_owned()), "{path} in {seen:?}");
    }
    // A mount through a symlink of the tree could end anywhere.
    let error = sandbox()
        .run(&spec.clone().input("/dev/null", "/bin/x"), Stdin::Empty)
        .unwrap_err();
    assert!(
        matches!(&error, SandboxError::Mount { what, .. } if what == "`/bin/x`"),
        "{error:?}"
    );
    // Nor can places be made where the tree is read-only.
    let error = sandbox()
        .run(&spec.input("/dev/null", "/usr/x"), Stdin::Empty)
        .unwrap_err();
    assert!(
        matches!(&error, SandboxError::Mount { what, .. } if what == "`/usr/x`"),
        "{error:?}"
    );
}

#[test]
fn an_input_is_read_only_in_the_mounts_below_it_too() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join("sub")).unwrap();
    let mount = "mount -t tmpfs -o noatime,nosuid,noexec none \"$0/sub\" && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", mount])
        .arg(scratch.path())
        .arg(std::env::current_exe().unwrap())
        .args([
            "rooms::sandbox::shown::an_input_with_a_mount_below",
            "--exact",
        ])
        .env(FOLDER, folder())
        .env(INPUT, scratch.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{output:?}"
    );
}

/// No test by itself: see [`an_input_is_read_only_in_the_mounts_below_it_too`].
#[test]
fn an_input_with_a_mount_below() {
    let Ok(input) = std::env::var(INPUT) else {
        return;
    };
    let spec = probe(&["write", "/in/x", "write", "/in/sub/x"]).input(input, "/in");
    let read_only = |place| format!("{place}: Read-only file system");
    assert_eq!(ask(&spec), ["/in/x", "/in/sub/x"].map(read_only));
}

#[test]
fn what_lies_in_a_noexec_tmp_can_be_written_and_read_but_not_started() {
    for (noexec, expected) in [(false, "0"), (true, "126")] {
        let words =
            "cp /bin/true /tmp/t && cmp /bin/true /tmp/t && { /tmp/t 2>/dev/null; echo $?; }";
        let mut spec = Spec::new("/bin/sh").args(["-c", words]);
        spec.root = Root::Tree("/".into());
        spec = spec.usual_places().env("PATH", "/usr/bin:/bin");
        spec.noexec = noexec;
        assert_eq!(ask(&spec), [expected], "noexec {noexec}");
    }
}

#[test]
fn a_program_gains_privileges_only_where_that_was_asked_for() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let words = "grep NoNewPrivs /proc/self/status";
    let mut spec = Spec::new("/bin/sh").args(["-c", words]);
    (spec.root, spec.privileges) = (Root::Host, true);
    let said = |spec: &Spec| String::from_utf8(run(spec).stdout).unwrap();
    let spec = spec.env("PATH", "/usr/bin:/bin");
    assert_eq!(said(&spec).trim(), "NoNewPrivs:\t0");
    let mut without = spec.clone();
    without.privileges = false;
    assert_eq!(said(&without).trim(), "NoNewPrivs:\t1");
    let mut inside = spec;
    inside.root = Root::Empty;
    assert!(sandbox().run(&inside, Stdin::Empty).is_err());
}

#[test]
fn a_build_finds_its_memory_where_it_was_the_last_time() {
    let told = |same_addresses| {
        let mut spec = Spec {
            same_addresses,
            ..probe(&["where"])
        };
        spec.apart = true;
        (0..4).map(|_| ask(&spec)).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(told(true), 1);
    // Or nothing was shown.
    assert!(told(false) > 1);
    assert!(Spec::build("/probe").same_addresses);
}
