//! What the store promises, through its public surface. Each file is one group of promises.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod collect;
mod crash;
mod machine;
mod objects;
mod sessions;
mod support;
mod verify;
