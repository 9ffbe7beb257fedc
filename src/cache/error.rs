//! What can go wrong with caches, told so that somebody can act on it.

use camino::Utf8PathBuf;
use miette::Diagnostic;
use recipe_store::StoreError;
use thiserror::Error;

use crate::net::{NetError, Tries};

/// Why something was not put into a cache or taken from it.
#[derive(Debug, Error, Diagnostic)]
pub enum CacheError {
    /// The cache has no such file.
    #[error("{cache} has no {name}")]
    #[diagnostic(
        code(cache::gone),
        help("`recipe push --verify NAME` puts back what a cache has lost")
    )]
    Gone {
        /// The cache.
        cache: String,
        /// The file.
        name: String,
    },
    /// The cache could not be asked, or did not answer as it should.
    #[error("{cache}: {why}")]
    #[diagnostic(
        code(cache::unreachable),
        help("check that the cache can be reached; `--no-cache` does without")
    )]
    Unreachable {
        /// The cache.
        cache: String,
        /// What it said.
        why: String,
    },
    /// It wants credentials, or does not take those it was given.
    #[error("{cache} does not allow it: {why}")]
    #[diagnostic(
        code(cache::forbidden),
        help(
            "give the credentials for it in a file of your own: `cache \"URL\" credentials=\"FILE\"` in the configuration"
        )
    )]
    Forbidden {
        /// The cache.
        cache: String,
        /// What it said.
        why: String,
    },
    /// What came is not what it should be.
    #[error("{name} of {cache} is damaged: {why}")]
    #[diagnostic(
        code(cache::damaged),
        help("`recipe push --verify NAME` puts a good one in its place")
    )]
    Damaged {
        /// The cache.
        cache: String,
        /// The file.
        name: String,
        /// How one can tell.
        why: String,
    },
    /// A URL or setting that cannot be used.
    #[error("the cache `{cache}` cannot be used: {why}")]
    #[diagnostic(
        code(cache::setting),
        help(
            "a cache is a folder, or a URL of file:, http:, https: or s3:; the book lists its settings under \"Settings\""
        )
    )]
    Setting {
        /// What was said.
        cache: String,
        /// What is wrong with it.
        why: String,
    },
    /// A name that no key can have.
    #[error("there can be no key called `{name}`: {why}")]
    #[diagnostic(
        code(cache::key_name),
        help("give another name: `recipe key new NAME`")
    )]
    KeyName {
        /// What was asked for.
        name: String,
        /// Which rule it breaks.
        why: String,
    },
    /// A file of keys that cannot be used.
    #[error("the key file {path} cannot be used: {why}")]
    #[diagnostic(code(cache::key_file), help("{help}"))]
    KeyFile {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do next.
        help: String,
    },
    /// A folder cache that cannot be written or read, or a file for what passes.
    #[error("cannot {verb} {path}")]
    #[diagnostic(
        code(cache::file),
        help("make sure that it may be written to and has room")
    )]
    File {
        /// What was done.
        verb: &'static str,
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    #[diagnostic(code(cache::store))]
    Store(#[from] StoreError),
}

impl CacheError {
    /// What asking `cache` for `name` came to.
    pub(super) fn of_net(cache: &str, name: &str, error: NetError) -> CacheError {
        match error {
            NetError::Store { cause, .. } => CacheError::Store(cause),
            NetError::Gone { .. } => CacheError::Gone {
                cache: cache.to_owned(),
                name: name.to_owned(),
            },
            NetError::Forbidden { tries, .. } => CacheError::Forbidden {
                cache: cache.to_owned(),
                why: said(name, &tries),
            },
            NetError::Unreachable { tries, .. } | NetError::Corrupt { tries, .. } => {
                CacheError::Unreachable {
                    cache: cache.to_owned(),
                    why: said(name, &tries),
                }
            }
            NetError::Offline { .. } => CacheError::Unreachable {
                cache: cache.to_owned(),
                why: "--offline forbids to ask it".to_owned(),
            },
            error => CacheError::Unreachable {
                cache: cache.to_owned(),
                why: error.to_string(),
            },
        }
    }

    /// Whether the store or this machine failed: no other cache changes that.
    pub fn is_ours(&self) -> bool {
        matches!(self, CacheError::Store(_) | CacheError::File { .. })
    }
}

/// What the server said when it was asked for a file; without the URL, which may hold a signature.
fn said(name: &str, tries: &Tries) -> String {
    let causes: Vec<String> = tries.0.iter().map(|one| one.cause.to_string()).collect();
    format!("{name}: {}", causes.join("; "))
}
