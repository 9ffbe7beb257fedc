//! One file (or folder) for each kind of step: inputs in the store → an object in the store.

pub mod bytecode;
pub mod wheel;
