//! One closure of the main job for all tests that only look at it, and copies of it to spoil.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};

use super::{MAIN_JOB, Scratch, sources};

/// The folder with what is run inside a tree, in the checkout.
pub const PROBE: &str = "src/conformance/probe";

/// The closure, built once; `None` where there are no sources to build it from.
pub fn closure() -> Option<&'static Utf8Path> {
    static BUILT: OnceLock<Option<(Scratch, Utf8PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let scratch = Scratch::new().warm(sources()?);
        scratch.run(["build", MAIN_JOB, "--locked"]).ok();
        let place = fs::canonicalize(scratch.result()).expect("a closure");
        Some((scratch, Utf8PathBuf::from_path_buf(place).expect("UTF-8")))
    });
    Some(&built.as_ref()?.1)
}

/// Copies a tree, with all that it is.
pub fn copy(from: &Utf8Path, to: &Utf8Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("created");
    let copied = Command::new("cp")
        .args(["-a", from.as_str(), to.as_str()])
        .status();
    assert!(copied.expect("cp starts").success());
}
