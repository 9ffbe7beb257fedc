//! Tests over the public surface: the `recipe` command, as a person or a script uses it.
//!
//! `commands/` has one file per command, `promises/` one per promise of the README. What needs a
//! mirror, root or a tool that is not there says so and passes: see `support::skip`.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

mod commands {
    mod answers;
    mod build;
    mod check;
    mod diff;
    mod doctor;
    mod edit;
    mod export;
    mod lock;
    mod log;
    mod manual;
    mod plan;
    mod run;
    mod shell;
    mod store;
    mod test_closure;
    mod variants;
    mod verify;
    mod why;
}

mod promises {
    mod bad_caches;
    mod builds;
    mod bundles;
    mod caches;
    mod early_cut_off;
    mod failed_build;
    mod fixed_path;
    mod follow;
    mod foreign;
    mod host_policy;
    mod hostile_builds;
    mod interrupted;
    mod on_top;
    mod relocatable;
    mod reproducible;
    mod sdists;
    mod shared_store;
    mod terminal;
}

/// What single rooms promise, asked of real programs.
mod rooms {
    mod byte_code;
    mod emulator;
    mod sandbox;
    mod wheels;
}
