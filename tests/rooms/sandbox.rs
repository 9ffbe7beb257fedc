//! What `recipe::sandbox` promises, asked of real programs. `data/probe.c` is the program; it
//! tells what it sees and how far it gets. Every test also runs as an ordinary user: see
//! [`all_of_this_holds_for_an_ordinary_user_too`].

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use recipe::sandbox::{
    Channel, Identity, Level, Outcome, Root, Sandbox, SandboxError, Spec, Status, Stdin,
};

/// Set in a copy of this program that runs as another user, to the folder with its files.
const FOLDER: &str = "SANDBOX_TEST_FOLDER";

/// Set in a copy of this program that runs where namespaces are forbidden.
const FORBIDDEN: &str = "SANDBOX_TEST_FORBIDDEN";

/// Set in a copy of this program that has made a mount below this folder.
const INPUT: &str = "SANDBOX_TEST_INPUT";

/// The folder with `recipe` (the helper), `deaf` (the same, deaf to deaths) and `probe`, executable
/// by everybody.
fn folder() -> &'static Utf8Path {
    static FOLDER_ONCE: OnceLock<Utf8PathBuf> = OnceLock::new();
    FOLDER_ONCE.get_or_init(|| match std::env::var(FOLDER) {
        Ok(given) => given.into(),
        Err(_) => prepare_folder(),
    })
}

fn prepare_folder() -> Utf8PathBuf {
    let folder = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let probe = folder.join(format!("probe-{}", std::process::id()));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/probe.c");
    let cc = Command::new("cc")
        .args([
            "-static",
            "-O1",
            "-Wall",
            "-Werror",
            "-o",
            probe.as_str(),
            source,
        ])
        .status();
    assert!(cc.expect("a C compiler is needed").success());
    std::fs::rename(probe, folder.join("probe")).unwrap();
    let helper = folder.join("recipe");
    let new = folder.join(format!("recipe-{}", std::process::id()));
    std::fs::copy(env!("CARGO_BIN_EXE_recipe"), &new).unwrap();
    std::fs::rename(new, helper).unwrap();
    // Written by another process: no child of ours can hold it open for writing.
    let deaf = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/deaf.sh");
    let installed = Command::new("install")
        .args(["-m", "755", deaf, folder.join("deaf").as_str()])
        .status();
    assert!(installed.unwrap().success());
    folder
}

fn sandbox() -> Sandbox {
    Sandbox::new(folder().join("recipe"))
}

/// The probe alone in an empty root.
fn probe(words: &[&str]) -> Spec {
    Spec::new("/probe")
        .input(folder().join("probe"), "/probe")
        .args(words)
}

fn run(spec: &Spec) -> Outcome {
    sandbox()
        .run(spec, Stdin::Empty)
        .unwrap_or_else(|e| panic!("{:?}", miette::Report::new(e)))
}

/// What the program said, line by line.
fn ask(spec: &Spec) -> Vec<String> {
    let outcome = run(spec);
    assert!(outcome.success(), "{outcome:?}");
    assert_eq!(outcome.level, Level::Namespaces);
    String::from_utf8(outcome.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Scratch {
        Scratch(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> Utf8PathBuf {
        Utf8Path::from_path(self.0.path()).unwrap().to_owned()
    }

    /// Whether something writes to the file `beat` here.
    fn is_written_to(&self) -> bool {
        let size = || std::fs::metadata(self.0.path().join("beat")).map_or(0, |meta| meta.len());
        let before = size();
        std::thread::sleep(Duration::from_millis(100));
        size() != before
    }
}

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
fn nothing_is_left_alive_when_the_program_ends() {
    let scratch = Scratch::new();
    // The program waits for the first beat, so that there is something to kill.
    let spec = probe(&["linger", "/out/beat", "stderr"]).output(scratch.path(), "/out");
    let outcome = run(&spec);
    assert!(outcome.success(), "{outcome:?}");
    assert!(
        std::fs::metadata(scratch.path().join("beat"))
            .unwrap()
            .len()
            > 0
    );
    assert!(!scratch.is_written_to());
}

#[test]
fn nothing_is_left_alive_when_the_caller_is_killed() {
    for root in ["empty", "host"] {
        let scratch = Scratch::new();
        let mut caller = Command::new(std::env::current_exe().unwrap())
            .args(["rooms::sandbox::a_caller_that_waits_for_ever", "--exact"])
            .env(FOLDER, folder())
            .env("SANDBOX_TEST_OUTPUT", scratch.path())
            .env("SANDBOX_TEST_ROOT", root)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the descendants write", || scratch.is_written_to());
        let family = descendants(caller.id());
        assert!(family.len() >= 3, "{family:?}");
        caller.kill().unwrap();
        caller.wait().unwrap();
        wait_until("the descendants are dead", || !scratch.is_written_to());
        let alive = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
        wait_until("all processes are gone", || !family.iter().any(alive));
    }
}

/// No test, but the caller in [`nothing_is_left_alive_when_the_caller_is_killed`].
#[test]
fn a_caller_that_waits_for_ever() {
    let Ok(output) = std::env::var("SANDBOX_TEST_OUTPUT") else {
        return;
    };
    let mut spec = probe(&["linger", "/out/beat", "sleep"]).output(&output, "/out");
    if std::env::var("SANDBOX_TEST_ROOT").unwrap() == "host" {
        spec = on_the_host(&["linger", &format!("{output}/beat"), "sleep"]);
    }
    sandbox().run(&spec, Stdin::Empty).unwrap();
}

fn on_the_host(words: &[&str]) -> Spec {
    let mut spec = Spec::new(folder().join("probe")).args(words);
    spec.root = Root::Host;
    spec
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "waited too long until {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The process ids of all descendants of a process.
fn descendants(ancestor: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let children = format!("/proc/{ancestor}/task");
    for task in std::fs::read_dir(children).into_iter().flatten().flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in list.split_whitespace().map(|pid| pid.parse().unwrap()) {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_all_it_started() {
    let scratch = Scratch::new();
    let mut spec = probe(&["linger", "/out/beat", "sleep"]).output(scratch.path(), "/out");
    spec.limits.wall = Some(Duration::from_millis(300));
    let outcome = run(&spec);
    assert_eq!(outcome.status, Status::TimedOut);
    assert!(outcome.duration >= Duration::from_millis(300));
    assert!(outcome.duration < Duration::from_secs(3));
    assert!(!scratch.is_written_to());
}

#[test]
fn a_program_that_says_too_much_is_killed_and_what_was_heard_is_kept() {
    let mut spec = probe(&["shout"]);
    spec.limits.output = 100_000;
    let outcome = run(&spec);
    assert_eq!(outcome.status, Status::TooMuchOutput);
    assert_eq!(outcome.stdout.len(), 100_000);
    // The same at the very end, when the program has ended by itself.
    let mut spec = probe(&["stderr"]);
    spec.limits.output = 99_999;
    let outcome = run(&spec);
    assert_eq!(
        (outcome.status, outcome.stderr.len()),
        (Status::TooMuchOutput, 99_999)
    );
    spec.limits.output = 100_000;
    let outcome = run(&spec);
    assert_eq!(
        (outcome.status, outcome.stderr.len()),
        (Status::Exited(0), 100_000)
    );
}

#[test]
fn much_input_and_much_output_at_once_do_not_block() {
    let data: Vec<u8> = (0..50_000_000_u32).map(|n| (n ^ (n >> 9)) as u8).collect();
    let outcome = sandbox()
        .run(&probe(&["copy"]), Stdin::Bytes(&data))
        .unwrap();
    assert!(outcome.success());
    assert!(outcome.stdout == data);

    let mut running = sandbox().spawn(&probe(&["stderr", "copy"])).unwrap();
    let (mut to, mut from) = (
        running.stdin.take().unwrap(),
        running.stdout.take().unwrap(),
    );
    let copy = std::thread::scope(|scope| {
        scope.spawn(|| {
            to.write_all(&data).unwrap();
            drop(to);
        });
        let mut copy = Vec::new();
        from.read_to_end(&mut copy).unwrap();
        copy
    });
    assert!(copy == data);
    let outcome = running.wait().unwrap();
    assert!(outcome.success());
    assert_eq!(outcome.stderr.len(), 100_000);
}

#[test]
fn a_program_that_reads_nothing_does_not_hold_us_up() {
    let data = vec![0; 10_000_000];
    let outcome = sandbox()
        .run(&probe(&["exit", "3"]), Stdin::Bytes(&data))
        .unwrap();
    assert_eq!(outcome.status, Status::Exited(3));
}

#[test]
fn output_is_heard_while_the_program_runs() {
    let mut heard = Vec::new();
    let mut ear = |channel, bytes: &[u8]| heard.push((channel, bytes.len()));
    let outcome = sandbox()
        .run_watched(&probe(&["who", "stderr"]), Stdin::Empty, &mut ear)
        .unwrap();
    assert!(outcome.success() && outcome.stdout.is_empty());
    let total = |wanted| {
        heard
            .iter()
            .filter(|(c, _)| *c == wanted)
            .map(|(_, n)| n)
            .sum::<usize>()
    };
    assert_eq!(total(Channel::Stderr), 100_000);
    assert!(total(Channel::Stdout) > 0);
}

#[test]
fn many_run_at_once_and_none_sees_another() {
    std::thread::scope(|scope| {
        for number in 0..32 {
            scope.spawn(move || {
                let code = number.to_string();
                let scratch = Scratch::new();
                let spec = probe(&["fds", "write", "/out/x", "exit", &code]);
                let outcome = run(&spec.output(scratch.path(), "/out").usual_places());
                assert_eq!(outcome.status, Status::Exited(number));
                assert_eq!(outcome.stdout, b"fd 0\nfd 1\nfd 2\n/out/x: yes\n");
            });
        }
    });
}

#[test]
fn the_end_of_a_program_is_told_as_it_was() {
    assert_eq!(run(&probe(&["exit", "7"])).status, Status::Exited(7));
    assert_eq!(run(&probe(&["signal", "6"])).status, Status::Signalled(6));
    assert_eq!(run(&probe(&["signal", "13"])).status, Status::Signalled(13));
}

#[test]
fn the_end_of_a_program_is_told_where_the_caller_ignores_deaths() {
    let mut spec = probe(&["exit", "3"]);
    spec.limits.wall = Some(Duration::from_secs(20));
    for root in [Root::Empty, Root::Host] {
        spec.root = root;
        if spec.root == Root::Host {
            (spec.binds, spec.program) = (Vec::new(), folder().join("probe"));
        }
        let outcome = Sandbox::new(folder().join("deaf")).run(&spec, Stdin::Empty);
        assert_eq!(outcome.unwrap().status, Status::Exited(3));
    }
}

#[test]
fn a_running_program_can_be_looked_at_and_killed() {
    let scratch = Scratch::new();
    let spec = probe(&["linger", "/out/beat", "sleep"]).output(scratch.path(), "/out");
    let running = sandbox().spawn(&spec).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", running.pid())).unwrap();
    assert!(maps.lines().any(|line| line.ends_with(" /probe")), "{maps}");
    wait_until("it writes", || scratch.is_written_to());
    running.kill();
    assert_eq!(running.wait().unwrap().status, Status::Stopped);
    assert!(!scratch.is_written_to());

    let running = sandbox().spawn(&spec).unwrap();
    wait_until("it writes", || scratch.is_written_to());
    drop(running);
    assert!(!scratch.is_written_to());
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
fn limits_hold() {
    let mut spec = probe(&["memory", "big", "files"]).usual_places();
    spec.limits.open_files = 64;
    spec.limits.memory = Some(128 << 20);
    spec.limits.tmp = 30 << 20;
    let said = ask(&spec);
    assert_eq!(
        said,
        [
            "256 MiB: Cannot allocate memory",
            "30 MiB: yes",
            "again: No space left on device",
            "60 more files",
        ]
    );
    let mut spec = probe(&["big"]).usual_places();
    spec.limits.file_size = Some(30 << 20);
    // SIGXFSZ
    assert_eq!(run(&spec).status, Status::Signalled(25));
    if !rustix::process::geteuid().is_root() {
        let mut spec = probe(&["processes"]);
        spec.limits.processes = Some(20);
        assert_eq!(ask(&spec), ["19 more processes"]);
    }
}

#[test]
fn what_cannot_be_started_is_told_as_an_error() {
    let error = |spec: &Spec| sandbox().run(spec, Stdin::Empty).unwrap_err();
    let absent = error(&Spec::new("/absent"));
    assert!(
        matches!(&absent, SandboxError::Program { program, .. } if program == "/absent"),
        "{absent:?}"
    );
    let absent = error(&probe(&[]).input("/no/such/input", "/in"));
    assert!(
        matches!(&absent, SandboxError::Input { path, .. } if path == "/no/such/input"),
        "{absent:?}"
    );
    let mut spec = probe(&[]);
    spec.cwd = "/nowhere".into();
    assert!(matches!(error(&spec), SandboxError::System { what, .. } if what.contains("/nowhere")));
    let spawned = sandbox().spawn(&Spec::new("/absent")).unwrap_err();
    assert!(matches!(spawned, SandboxError::Program { .. }));
    let no_helper = Sandbox::new("/no/helper")
        .run(&probe(&[]), Stdin::Empty)
        .unwrap_err();
    assert!(
        matches!(no_helper, SandboxError::Start { .. }),
        "{no_helper:?}"
    );
    let wrong_helper = Sandbox::new("/bin/false")
        .run(&probe(&[]), Stdin::Empty)
        .unwrap_err();
    assert!(
        matches!(wrong_helper, SandboxError::HelperLost { .. }),
        "{wrong_helper:?}"
    );
}

#[test]
fn without_a_sandbox_the_environment_is_exact_and_descendants_die_too() {
    let scratch = Scratch::new();
    let beat = scratch.path().join("beat");
    let outcome = run(&on_the_host(&["linger", beat.as_str(), "stderr", "fds"]).env("A", "b"));
    assert_eq!(
        (outcome.status, outcome.level),
        (Status::Exited(0), Level::None)
    );
    assert_eq!(outcome.stdout, b"fd 0\nfd 1\nfd 2\n");
    assert!(beat.exists() && !scratch.is_written_to());
}

#[test]
fn where_namespaces_are_forbidden_the_error_says_what_to_allow() {
    let limit = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", limit, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["rooms::sandbox::a_host_that_forbids_namespaces", "--exact"])
        .env(FOLDER, folder())
        .env(FORBIDDEN, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{output:?}"
    );
}

/// No test by itself: see [`where_namespaces_are_forbidden_the_error_says_what_to_allow`].
#[test]
fn a_host_that_forbids_namespaces() {
    if std::env::var(FORBIDDEN).is_err() {
        return;
    }
    let error = sandbox().run(&probe(&["who"]), Stdin::Empty).unwrap_err();
    assert!(error.is_no_namespaces(), "{error:?}");
    let help = miette::Diagnostic::help(&error).unwrap().to_string();
    assert_eq!(help, "as root: sysctl user.max_user_namespaces=15000");
    // Running in place is there for those who ask for it.
    assert_eq!(run(&on_the_host(&["exit", "4"])).status, Status::Exited(4));
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
        .args(["rooms::sandbox::an_input_with_a_mount_below", "--exact"])
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
fn all_of_this_holds_for_an_ordinary_user_too() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let public = Scratch::new();
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(public.path(), everybody).unwrap();
    for name in ["recipe", "probe", "deaf"] {
        std::fs::copy(folder().join(name), public.path().join(name)).unwrap();
    }
    let copy = public.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = Command::new(copy)
        .arg("rooms::sandbox::")
        .uid(65534)
        .gid(65534)
        .env(FOLDER, public.path())
        .current_dir("/")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
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
