//! Real packages of a suite, laid out and relocated, then run: on the host from an odd path, and in
//! an empty root with and without `/proc`. What runs is the probe of
//! `recipe test-closure`, without the rest of that.

mod debian;

use std::path::Path;
use std::process::Command;

use recipe_store::{Entry, Session, Store, TreeBuilder, TreeId, walk};

use super::{RelocateFacts, library_patches, tree};
use crate::build::steps::layout::{Layout, unpack_deb};
use crate::build::steps::trim::Trimmer;
use crate::recipe::{HostPolicy, Trim};
use debian::Suite;

const TRIXIE: &[&str] = &[
    "python3.13-minimal",
    "libpython3.13-minimal",
    "libpython3.13-stdlib",
    "python3.13-venv",
    "python3-pip-whl",
    "libc6",
    "libc-bin",
    "zlib1g",
    "libexpat1",
    "libssl3t64",
    "libzstd1",
    "libffi8",
    "libbz2-1.0",
    "liblzma5",
    "libncursesw6",
    "libtinfo6",
    "libreadline8t64",
    "libsqlite3-0",
    "libuuid1",
    "libdb5.3t64",
    "libgcc-s1",
    "libstdc++6",
    "libudev1",
    "libcap2",
    "ca-certificates",
    "tzdata",
    "ncurses-base",
    "media-types",
];

/// An older suite: two merged folders, Python's own `distutils`, terminfo in `/lib`.
const BOOKWORM: &[&str] = &[
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "python3.11-venv",
    "python3-distutils",
    "python3-pip-whl",
    "libc6",
    "libc-bin",
    "zlib1g",
    "libexpat1",
    "libssl3",
    "libffi8",
    "libbz2-1.0",
    "liblzma5",
    "libncursesw6",
    "libtinfo6",
    "libreadline8",
    "libsqlite3-0",
    "libuuid1",
    "libdb5.3",
    "libcrypt1",
    "libnsl2",
    "libtirpc3",
    "libgssapi-krb5-2",
    "libkrb5-3",
    "libk5crypto3",
    "libkrb5support0",
    "libkeyutils1",
    "libcom-err2",
    "libgcc-s1",
    "libstdc++6",
    "ca-certificates",
    "tzdata",
    "ncurses-base",
    "media-types",
];

/// Every package unpacked and relocated on its own, as a build does it, then composed.
fn closure(
    session: &Session,
    suite: &Suite,
    packages: &[&str],
    python: &str,
) -> Result<TreeId, String> {
    let failed = |error: &dyn std::error::Error| {
        let causes = std::iter::successors(error.source(), |error| error.source());
        causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
    };
    let packaging = suite.file(&format!("python{python}"))?;
    let packaging = session.put_blob(&packaging, false).unwrap();
    let patches = library_patches(session, &packaging).map_err(|error| failed(&error))?;
    let facts = RelocateFacts {
        pristine: false,
        python: Some(python),
        patches: Some(&patches),
        host: &HostPolicy::default(),
        fixed: None,
    };
    let mut whole = TreeBuilder::new();
    for package in packages {
        let deb = session.put_blob(&suite.file(package)?, false).unwrap();
        let layout = Layout {
            package,
            named: false,
            exclude: &[],
        };
        let unpacked = unpack_deb(session, &deb, &layout).map_err(|error| failed(&error))?;
        let relocated = tree(session, &unpacked, &facts).map_err(|error| failed(&error))?;
        whole.merge("", relocated).unwrap();
    }
    whole.finish(session).map_err(|error| failed(&error))
}

fn paths(session: &Session, tree: &TreeId) -> Vec<String> {
    let mut paths = Vec::new();
    walk(session, tree, &mut |path: &str,
                              entry: &Entry|
     -> Result<
        (),
        recipe_store::StoreError,
    > {
        if !matches!(entry, Entry::Directory(_)) {
            paths.push(path.to_owned());
        }
        Ok(())
    })
    .unwrap();
    paths
}

/// The tree without what the rules take, all of them.
fn trimmed(session: &Session, tree: &TreeId) -> TreeId {
    const RULES: [Trim; 5] = [
        Trim::Tests,
        Trim::Docs,
        Trim::StaticLibs,
        Trim::Sources,
        Trim::Idle,
    ];
    let paths = paths(session, tree);
    let trimmer = Trimmer::new(&RULES, paths.iter().map(String::as_str));
    let mut builder = TreeBuilder::from_tree(*tree);
    let gone: Vec<_> = paths.iter().filter(|path| !trimmer.keeps(path)).collect();
    assert!(gone.len() > 20, "{gone:?}");
    for path in gone {
        builder.remove(path).unwrap();
    }
    builder.finish(session).unwrap()
}

struct Scratch {
    _home: tempfile::TempDir,
    path: camino::Utf8PathBuf,
}

impl Scratch {
    fn new() -> Scratch {
        let home = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(home.path().canonicalize().unwrap()).unwrap();
        Scratch { _home: home, path }
    }

    fn session(&self) -> Session {
        Store::open(&self.path.join("store"))
            .unwrap()
            .session()
            .unwrap()
    }
}

/// The suite, or a line that says why the test proves nothing here.
fn reach(name: &str, packages: &[&str], source: &str) -> Option<Suite> {
    Suite::reach(name, packages, source)
        .inspect_err(|reason| eprintln!("skipped: {reason}"))
        .ok()
}

fn run(command: &mut Command) -> Result<String, String> {
    let done = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match done.status.success() {
        true => Ok(text(&done.stdout)),
        false => Err(format!(
            "{command:?}: {}\n{}{}",
            done.status,
            text(&done.stdout),
            text(&done.stderr)
        )),
    }
}

/// The checks that are false, with what they say.
fn failures(report: &str) -> Vec<String> {
    let line =
        |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {report}"));
    let lines: Vec<serde_json::Value> = report.lines().map(line).collect();
    assert!(lines.len() > 60, "{report}");
    lines
        .iter()
        .filter(|line| line["ok"] == false)
        .map(|line| format!("{}: {}", line["check"], line["found"]))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    run(Command::new("cp").arg("-a").arg(from).arg(to)).unwrap();
}

/// What is compiled is another step's: these trees have no byte code.
/// What takes a probe by far the longest: on the host it is asked above, and of an older Python by `tests/promises/on_top.rs`.
const LONG: &str = "--skip venv --skip wheel";
const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance/probe");
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tree.py");

#[test]
fn real_packages_become_a_python_that_runs_from_an_odd_path_and_in_an_empty_root() {
    let Some(suite) = reach("trixie", TRIXIE, "python3.13") else {
        return;
    };
    let scratch = Scratch::new();
    let session = scratch.session();
    let tree = closure(&session, &suite, TRIXIE, "3.13").unwrap();
    let built = session.checkout_private(&tree).unwrap();

    // What the rules of trimming take must not be missed.
    let trimmed = session.checkout_private(&trimmed(&session, &tree)).unwrap();
    let odd = scratch
        .path
        .join("a b/ünï:'\"; (deleted)")
        .join("x".repeat(130));
    copy(trimmed.as_std_path(), odd.as_std_path());
    let python = odd.join("bin/python3");
    let files = Command::new(&python)
        .args(["-B", FILES, odd.as_str(), "--forbid", scratch.path.as_str()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&files.stdout), "[]");
    let host = Command::new(&python)
        .args(["-B", &format!("{PROBE}/probe.py"), "--skip", "byte_code"])
        .output()
        .unwrap();
    let host = String::from_utf8_lossy(&host.stdout).into_owned();
    assert_eq!(failures(&host), [""; 0], "on the host");

    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: an empty root needs root");
        return;
    }
    let root = scratch.path.join("root");
    for folder in ["tmp", "proc", "opt"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    copy(built.as_std_path(), root.join("opt/c").as_std_path());
    copy(Path::new(PROBE), root.join("probe").as_std_path());
    let script = |mount: &str| {
        format!(
            "{mount} exec chroot \"$0\" /opt/c/bin/python3 -B /probe/probe.py --skip byte_code {LONG}"
        )
    };
    for (place, mount) in [
        ("without /proc", ""),
        ("with /proc", "mount -t proc proc \"$0/proc\" &&"),
    ] {
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--pid",
                "--fork",
                "sh",
                "-c",
                &script(mount),
                root.as_str(),
            ])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let report = run(&mut command).unwrap();
        assert_eq!(failures(&report), [""; 0], "in an empty root {place}");
    }
}

#[test]
fn an_older_suite_works_by_the_same_tables() {
    let Some(suite) = reach("bookworm", BOOKWORM, "python3.11") else {
        return;
    };
    let scratch = Scratch::new();
    let session = scratch.session();
    let tree = closure(&session, &suite, BOOKWORM, "3.11").unwrap();
    let built = session.checkout_private(&tree).unwrap();
    let place = scratch.path.join("closure");
    copy(built.as_std_path(), place.as_std_path());
    let mut probe = Command::new(place.join("bin/python3"));
    probe.args(["-B", &format!("{PROBE}/probe.py"), "--skip", "byte_code"]);
    let report = run(probe.args(LONG.split(' '))).unwrap();
    assert_eq!(failures(&report), [""; 0]);
}

#[test]
fn the_same_packages_give_the_same_tree_and_nothing_unneeded() {
    let Some(suite) = reach("trixie", TRIXIE, "python3.13") else {
        return;
    };
    let (one, two) = (Scratch::new(), Scratch::new());
    let (here, there) = (one.session(), two.session());
    let tree = closure(&here, &suite, TRIXIE, "3.13").unwrap();
    assert_eq!(tree, closure(&there, &suite, TRIXIE, "3.13").unwrap());
    let paths = paths(&here, &tree);
    for part in [
        "/man/",
        "/doc/",
        "gconv",
        "dist-packages",
        "python-wheels",
        "EXTERNALLY-MANAGED",
        "sitecustomize",
        "__pycache__",
    ] {
        assert!(!paths.iter().any(|path| path.contains(part)), "{part}");
    }
    for path in [
        "bin/python3",
        "lib/libz.so.1",
        "lib/libdb-5.3.so",
        "lib/libbz2.so.1.0",
        "lib/libbz2.so.1",
        "etc/ssl/certs/ca-certificates.crt",
        "lib/locale/C.UTF-8",
    ] {
        assert!(paths.iter().any(|there| there == path), "{path}");
    }
}
