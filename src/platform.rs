//! [`Platform`]: what a closure runs on, with every name that others have for it.
//!
//! Every room may ask it; nothing else compares names of processors.

use std::fmt;
use std::str::FromStr;

use crate::elf::Machine;

/// The platforms that closures are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Platform {
    /// Linux on x86 with 64 bits.
    #[default]
    X86_64,
    /// Linux on ARM with 64 bits.
    Aarch64,
}

impl Platform {
    /// All of them.
    pub const ALL: [Platform; 2] = [Platform::X86_64, Platform::Aarch64];

    /// The machine that this program runs on, if closures are made for it.
    pub fn here() -> Option<Platform> {
        Platform::of_processor(std::env::consts::ARCH)
    }

    /// Its processor as the kernel, Python's wheels and recipes name it: `x86_64`.
    pub fn processor(self) -> &'static str {
        match self {
            Platform::X86_64 => "x86_64",
            Platform::Aarch64 => "aarch64",
        }
    }

    /// The platform with this processor.
    pub fn of_processor(name: &str) -> Option<Platform> {
        let mut all = Platform::ALL.into_iter();
        all.find(|platform| platform.processor() == name)
    }

    /// Its name in locks and archives: `x86_64-linux`.
    pub fn name(self) -> &'static str {
        match self {
            Platform::X86_64 => "x86_64-linux",
            Platform::Aarch64 => "aarch64-linux",
        }
    }

    /// Debian's name for it: `amd64`.
    pub fn debian(self) -> &'static str {
        match self {
            Platform::X86_64 => "amd64",
            Platform::Aarch64 => "arm64",
        }
    }

    /// The platform that Debian has this name for.
    pub fn of_debian(name: &str) -> Option<Platform> {
        let mut all = Platform::ALL.into_iter();
        all.find(|platform| platform.debian() == name)
    }

    /// The folder of its libraries in Debian, and the prefix of its compilers: `x86_64-linux-gnu`.
    pub fn triplet(self) -> &'static str {
        match self {
            Platform::X86_64 => "x86_64-linux-gnu",
            Platform::Aarch64 => "aarch64-linux-gnu",
        }
    }

    /// The platform that this folder of libraries belongs to.
    pub fn of_triplet(folder: &str) -> Option<Platform> {
        let mut all = Platform::ALL.into_iter();
        all.find(|platform| platform.triplet() == folder)
    }

    /// The file name of its loader.
    pub fn loader(self) -> &'static str {
        match self {
            Platform::X86_64 => "ld-linux-x86-64.so.2",
            Platform::Aarch64 => "ld-linux-aarch64.so.1",
        }
    }

    /// What its ELF files say.
    pub fn machine(self) -> Machine {
        match self {
            Platform::X86_64 => Machine::X86_64,
            Platform::Aarch64 => Machine::Aarch64,
        }
    }

    /// The platform whose ELF files say this.
    pub fn of_machine(machine: Machine) -> Option<Platform> {
        let mut all = Platform::ALL.into_iter();
        all.find(|platform| platform.machine() == machine)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of a platform is wanted, and this is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownPlatform;

impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(name: &str) -> Result<Platform, UnknownPlatform> {
        let mut all = Platform::ALL.into_iter();
        all.find(|platform| platform.name() == name)
            .ok_or(UnknownPlatform)
    }
}
