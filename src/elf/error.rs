//! What can be wrong with an ELF file, told to the person who gave it.

use miette::Diagnostic;
use thiserror::Error;

/// Why an ELF file was not read or not changed. Callers add which file it was.
#[derive(Debug, Clone, PartialEq, Eq, Error, Diagnostic)]
pub enum ElfError {
    /// It starts like an ELF file, and what follows does not hold together.
    #[error("the ELF file is damaged: {what}")]
    #[diagnostic(
        code(elf::damaged),
        help("fetch it again; a file that was cut short fails here")
    )]
    Damaged {
        /// Which part, and how.
        what: String,
    },

    /// Only an ELF file can be changed.
    #[error("not an ELF file")]
    #[diagnostic(code(elf::not_elf), help("name a program or library"))]
    NotElf,

    /// There is no stub or launcher for its processor.
    #[error(
        "no entry stub exists for {machine}, only for x86_64 and aarch64 (64 bits, little endian)"
    )]
    #[diagnostic(
        code(elf::machine),
        help("leave the program out, or build for a platform that closures are made for")
    )]
    NoStubFor {
        /// Machine, word size and byte order of the file.
        machine: String,
    },

    /// Libraries that can be run (libc.so.6, libcap.so.2) stay libraries.
    #[error("a library, not a program: its DT_SONAME is `{soname}`")]
    #[diagnostic(
        code(elf::library),
        help("libraries need no stub: the program that loads them brings the search path")
    )]
    Library {
        /// The name it is loaded by.
        soname: String,
    },

    /// Nothing to replace: the file names no loader.
    #[error("names no loader (PT_INTERP): a static program or an object file")]
    #[diagnostic(code(elf::no_loader), help("a static program runs anywhere as it is"))]
    NoLoader,

    /// It went through [`embed`](super::embed()) before.
    #[error("already holds an entry stub")]
    #[diagnostic(
        code(elf::already),
        help("start from the file as the distribution ships it")
    )]
    AlreadyEmbedded,

    /// Something lies behind the end of the ELF file, and would be found no more.
    #[error("{bytes} bytes are appended to the program (an archive, a signature)")]
    #[diagnostic(
        code(elf::payload),
        help("such a program must not be changed: start it through a launcher instead")
    )]
    Payload {
        /// How many bytes.
        bytes: u64,
    },

    /// The program is laid out in a way that the stub cannot serve.
    #[error("no entry stub can be put into this program: {why}")]
    #[diagnostic(
        code(elf::layout),
        help(
            "leave the program out of the closure, and please report it: programs like it should work"
        )
    )]
    Layout {
        /// What is missing or in the way.
        why: String,
    },

    /// What was asked for cannot be written into a file.
    #[error("`{value}` cannot be {what}: {why}")]
    #[diagnostic(code(elf::parameter), help("give a shorter, plain relative path"))]
    Parameter {
        /// What it was to become.
        what: &'static str,
        /// The text given.
        value: String,
        /// Why not.
        why: &'static str,
    },

    /// An edit in place would move everything behind it.
    #[error("`{to}` does not fit in the place of `{from}`: {to_length} bytes, {from_length} there")]
    #[diagnostic(
        code(elf::length),
        help(
            "this version of the package is built differently from those we know: lock another version, or report it"
        )
    )]
    Length {
        /// What is in the file.
        from: String,
        /// What was to replace it.
        to: String,
        /// Bytes of `from`.
        from_length: usize,
        /// Bytes of `to`.
        to_length: usize,
    },
}

/// A short way to say which part is damaged.
pub(super) fn damaged(what: impl Into<String>) -> ElfError {
    ElfError::Damaged { what: what.into() }
}
