//! (being built)

pub mod layout;
pub mod relocate;
pub mod trim;
