//! Plan → objects: for each step: known? else cached? else run it; then record it.

pub mod steps;
