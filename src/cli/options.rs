//! What a person says of how a build goes: several commands take it, and hand it on.

/// What changes how a build goes, not what it makes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) locked: bool,
    pub(super) keep_going: bool,
    pub(super) loud: bool,
    /// Every step has to be there, not only the closure.
    pub(super) whole: bool,
    /// Nothing is made here: what no cache has is an error.
    pub(super) required: bool,
    /// No cache is asked.
    pub(super) alone: bool,
}
