//! What tests share: [`Scratch`], a throw-away home and store; [`sources`], real files to build
//! from; [`closure()`], one built closure for all; [`Server`], a mirror on loopback that can misbehave.

mod closure;
mod scratch;
mod server;
pub mod sharing;
mod sources;
mod terminal;

pub use closure::{PROBE, closure, copy};
pub use scratch::{Ran, Scratch, built, hearing};
pub use server::{Fault, Server};
pub use sources::{Sources, sources, sources_of};
pub use terminal::{NO_TERMINAL, at_a_terminal};

/// Says why a test did not run, in the form that `.ci/run` counts.
pub fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// Whether this process may do what only root may.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The recipe of the main job, and where it lies in this checkout.
pub const MAIN_JOB: &str = "scylla-python";

/// The checkout of this project.
pub fn checkout() -> camino::Utf8PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Whether a program is installed.
pub fn has(program: &str) -> bool {
    let mut command = std::process::Command::new("sh");
    let found = command
        .args(["-c", &format!("command -v {program}")])
        .stdout(std::process::Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}
