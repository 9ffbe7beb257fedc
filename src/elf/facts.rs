//! [`Facts`]: what an ELF file is, what it needs, what it offers. `read.rs` fills it in.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What an ELF file is, needs and offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The processor it is for.
    pub machine: Machine,
    /// Its word size.
    pub class: Class,
    /// False for big-endian files.
    pub little_endian: bool,
    /// Program at a fixed address, shared or position-independent, object file…
    pub kind: Kind,
    /// PT_INTERP: the absolute path of the loader it asks the kernel for.
    pub interpreter: Option<String>,
    /// DT_SONAME: the name others need it by.
    pub soname: Option<String>,
    /// DT_NEEDED, in the order of the search.
    pub needed: Vec<String>,
    /// DT_RPATH: searched for its own needs and for those of what it loads.
    pub rpath: Option<String>,
    /// DT_RUNPATH: searched for its own needs only; makes DT_RPATH void.
    pub runpath: Option<String>,
    /// Symbol versions wanted, by the library they are wanted from: `libc.so.6` → `GLIBC_2.34`…
    pub versions_needed: BTreeMap<String, Vec<String>>,
    /// Symbol versions it defines, its own name (the base version) left out.
    pub versions_defined: Vec<String>,
    /// The processor level it says it needs (GNU property); `None` when it says nothing.
    pub isa: Option<Isa>,
    /// The oldest kernel it says it runs on (ABI note): major, minor, patch.
    pub minimum_kernel: Option<(u32, u32, u32)>,
    /// It asks for a stack that can be executed.
    pub executable_stack: bool,
    /// It relocates its code, which hardened kernels refuse.
    pub text_relocations: bool,
    /// It has PT_DYNAMIC: it is linked dynamically, or is a static PIE.
    pub dynamic: bool,
    /// It holds our entry stub, see [`embed`](super::embed()).
    pub entry_stub: bool,
    /// The address it is entered at; 0 for what is never entered.
    pub entry: u64,
    /// It says that it is a position-independent program (DF_1_PIE).
    pub says_pie: bool,
    /// It has DT_DEBUG, which linkers put into every program and no library.
    pub debug_slot: bool,
}

impl Facts {
    /// A program that the kernel starts through a loader: what [`embed`](super::embed()) is for.
    /// Libraries that can be run as well are libraries: libc.so.6 has a DT_SONAME, and pam_cap.so no
    /// DT_DEBUG, which linkers put into every program.
    pub fn is_executable_program(&self) -> bool {
        self.interpreter.is_some() && self.soname.is_none() && self.debug_slot
    }

    /// A program that needs no loader: static, or static-pie.
    pub fn is_static_program(&self) -> bool {
        let runs = match self.kind {
            Kind::Program => true,
            Kind::Shared => self.says_pie,
            _ => false,
        };
        runs && self.entry != 0
            && self.interpreter.is_none()
            && self.needed.is_empty()
            && self.soname.is_none()
            && !self.entry_stub
    }

    /// The newest version wanted with this prefix, from any library: `"GLIBC_"` → `(2, 34)`.
    pub fn newest_version(&self, prefix: &str) -> Option<(u32, u32)> {
        let names = self.versions_needed.values().flatten();
        names
            .filter_map(|name| version_number(name.strip_prefix(prefix)?))
            .max()
    }
}

fn version_number(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().unwrap_or("0").parse().ok()?))
}

/// The processor a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Machine {
    /// x86, 64 bits.
    X86_64,
    /// ARM, 64 bits.
    Aarch64,
    /// Any other, by its ELF number.
    Other(u16),
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Machine::X86_64 => f.write_str("x86_64"),
            Machine::Aarch64 => f.write_str("aarch64"),
            Machine::Other(number) => write!(f, "ELF machine {number}"),
        }
    }
}

/// The word size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

/// The ELF type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// ET_EXEC: a program at a fixed address.
    Program,
    /// ET_DYN: a library or a position-independent program.
    Shared,
    /// ET_REL: an object file.
    Object,
    /// Any other, by its ELF number.
    Other(u16),
}

/// Levels of x86_64, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Isa {
    /// `x86-64`
    Baseline,
    /// `x86-64-v2`
    V2,
    /// `x86-64-v3`
    V3,
    /// `x86-64-v4`
    V4,
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Baseline => "x86-64",
            Isa::V2 => "x86-64-v2",
            Isa::V3 => "x86-64-v3",
            Isa::V4 => "x86-64-v4",
        })
    }
}
