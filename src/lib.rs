//! `recipe`: a declarative build-recipe interpreter whose outputs are relocatable closures.
//!
//! The rooms stand in the order the data flows; `ARCHITECTURE.md` tells what each takes, gives,
//! and must never know.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod platform;

pub mod archive;
pub mod elf;
pub mod net;
pub mod python;
pub mod sandbox;

pub mod recipe;

pub mod git;
pub mod lock;

pub mod plan;

pub mod build;

pub mod cache;

pub mod closure;

pub mod package;

pub mod conformance;

pub mod cli;
