//! What `recipe::sandbox` promises, asked of real programs. `data/probe.c` is the program; it
//! tells what it sees and how far it gets. Every test also runs as an ordinary user: see
//! [`all_of_this_holds_for_an_ordinary_user_too`].

mod ends;
mod filter;
mod hostile;
mod limits;
mod shown;
mod talk;
mod view;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use recipe::sandbox::{Level, Outcome, Root, Sandbox, Spec, Stdin};

/// Set in a copy of this program that runs as another user, to the folder with its files.
const FOLDER: &str = "SANDBOX_TEST_FOLDER";

/// The folder with `recipe` (the helper), `deaf` (the same, deaf to deaths), `probe` and `hostile`,
/// executable by everybody.
fn folder() -> &'static Utf8Path {
    static FOLDER_ONCE: OnceLock<Utf8PathBuf> = OnceLock::new();
    FOLDER_ONCE.get_or_init(|| match std::env::var(FOLDER) {
        Ok(given) => given.into(),
        Err(_) => prepare_folder(),
    })
}

fn prepare_folder() -> Utf8PathBuf {
    let folder = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for name in ["probe", "hostile"] {
        let new = folder.join(format!("{name}-{}", std::process::id()));
        let source = format!("{}/tests/data/{name}.c", env!("CARGO_MANIFEST_DIR"));
        let cc = Command::new("cc")
            .args(["-static", "-O1", "-Wall", "-Werror", "-pthread"])
            .args(["-o", new.as_str(), &source])
            .status();
        assert!(cc.expect("a C compiler is needed").success());
        std::fs::rename(new, folder.join(name)).unwrap();
    }
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
    assert!(outcome.level >= Level::Filtered, "{outcome:?}");
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

#[test]
fn all_of_this_holds_for_an_ordinary_user_too() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let public = Scratch::new();
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(public.path(), everybody).unwrap();
    for name in ["recipe", "probe", "hostile", "deaf"] {
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
