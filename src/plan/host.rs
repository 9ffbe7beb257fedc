//! [`Host`]: what the machine that builds can run, as far as a plan depends on it.

use crate::platform::Platform;

/// The machine that builds. A plan is told; it never finds out by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// What it is, if closures are made for it.
    pub platform: Option<Platform>,
    /// What it can run besides, by an emulator.
    pub emulates: Option<Platform>,
}

/// How the programs of a closure are run on the machine that builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Means {
    /// As on any machine.
    Native,
    /// By an emulator, in a sandbox.
    Emulated,
    /// Not at all: what can be read from the files has to do.
    Structure,
}

impl Host {
    /// How it runs closures for `platform`.
    pub fn means(self, platform: Platform) -> Means {
        if self.platform == Some(platform) {
            Means::Native
        } else if self.emulates == Some(platform) {
            Means::Emulated
        } else {
            Means::Structure
        }
    }
}
