//! Bytes of an ELF file → [`Facts`], and → the same file made relocatable. Begin at [`read()`] and [`embed()`].
//!
//! `read.rs` reads what a file is and needs, `needs.rs` walks from files to the libraries they
//! reach, `embed.rs` puts the entry stub into a program, `launcher.rs` writes the tiny static program
//! that starts scripts, `edit.rs` changes bytes in place. This room knows no closure: which file gets
//! which edit is decided by whoever calls.
//!
//! The machine code (`stub/`, `launcher/`) is committed as bytes beside its source, because what is
//! put into a closure must not depend on the compiler of the machine that built `recipe`.

mod edit;
mod embed;
mod error;
mod facts;
mod image;
mod launcher;
mod needs;
mod read;
mod sections;
mod stub;
mod versions;

pub use edit::{
    drop_foreign_search_path, move_search_path, replace_c_string, replace_same_length,
    replace_strings, runpath_to_rpath,
};
pub use embed::embed;
pub use error::ElfError;
pub use facts::{Class, Facts, Isa, Kind, Machine};
pub use launcher::{Launcher, launcher};
pub use needs::{Answer, Missing, is_glibc_soname, needs, needs_in_tree};
pub use read::read;
pub use sections::sections;
pub use stub::{EntryStub, FixedStart, PrivateVariable};

#[cfg(test)]
mod tests;
