//! Failures → what to do next, where that takes the name of a command. Begin at [`advice`].
//!
//! The store states facts, and the rooms do not know what the commands are called.

use miette::{Diagnostic, Report};
use recipe_store::StoreError;

use super::exit::{self, Failed};

/// What the store said, with a code and with advice.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct StoreFailed(pub(super) StoreError);

impl Diagnostic for StoreFailed {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new("store::failed"))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(store_advice(&self.0)))
    }
}

/// All the advice there is: the error's own, else that of a command.
pub(super) fn advice(failed: &Failed) -> String {
    let own = failed.diagnostic().help().map(|help| help.to_string());
    own.or_else(|| command_advice(failed)).unwrap_or_default()
}

/// Advice that the error itself cannot give.
pub(super) fn command_advice(failed: &Failed) -> Option<String> {
    match (exit::store_error(failed), exit::gone(failed)) {
        (Some(error), _) => Some(store_advice(error).to_owned()),
        (None, Some(name)) => Some(gone_advice(name)),
        (None, None) if exit::is_torn(failed) => Some(TORN.to_owned()),
        (None, None) => None,
    }
}

const TORN: &str = "a mirror whose index names what it does not have is in the middle of an update: \
    try again in a few minutes, or name another one with --debian-mirror or --python-index";

/// The distribution has moved on, and this recipe's lock has not.
fn gone_advice(package: &str) -> String {
    format!(
        "the archive has dropped this version: `recipe lock RECIPE --upgrade {package}` takes the one \
         there is now; a mirror that keeps old versions can be named with --debian-mirror \
         (or --debian-security-mirror); \
         `lock \"follow\"` in the recipe does the first by itself, unless --locked forbids it"
    )
}

fn store_advice(error: &StoreError) -> &'static str {
    match error {
        error if error.is_full() => {
            "make room on the disk (`recipe gc` deletes what no result needs), or put the store \
             elsewhere with `--store DIR`, then run the same command again"
        }
        StoreError::Corrupt { .. } | StoreError::Missing { .. } => {
            "`recipe store repair` drops what is damaged and what needs it; the next build makes it anew"
        }
        StoreError::NotALink { .. } => "name another place for the link: `--out-link LINK`",
        StoreError::Version { .. } => {
            "use the newer version of recipe, or another store: `--store DIR`"
        }
        StoreError::Owner { .. } | StoreError::Exposed { .. } | StoreError::NotAStore { .. } => {
            "each user has a store of their own: name one with `--store DIR`, or set RECIPE_STORE"
        }
        _ => {
            "check that the folder can be written to; `--store DIR` names another place for the store"
        }
    }
}

/// A report of facts that are nobody's error type.
pub(super) fn report(message: String, help: String) -> Report {
    miette::miette!(help = help, "{message}")
}
