//! [`Options`]: how to lock, and which locked versions may move.

use super::Locked;
use crate::platform::Platform;

/// Which locked versions may move.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Upgrade {
    /// None: a locked version stays while it exists and fits.
    #[default]
    Nothing,
    /// All.
    Everything,
    /// These: names of packages, of their source packages, or of Python projects.
    These(Vec<String>),
}

/// How to lock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Which locked versions may move.
    pub upgrade: Upgrade,
    /// Believe indexes whose `Valid-Until` is past.
    pub allow_expired: bool,
    /// What the closure is for.
    pub platform: Platform,
    /// What the machine is that builds it: its Python makes the byte code and helps uv.
    pub builder: Platform,
}

impl Upgrade {
    pub(super) fn covers(&self, file: &Locked) -> bool {
        match self {
            Upgrade::Nothing => false,
            Upgrade::Everything => true,
            Upgrade::These(names) => names
                .iter()
                .any(|name| file.is_called(name) || *name == file.source),
        }
    }
}
