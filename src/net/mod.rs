//! Names of files in archives → their bytes: the one HTTP client. Begin at [`Net::fetch`].
//!
//! A [`Wanted`] file lies in an archive (`debian`, `debian-security`, `python`), at a path, and has
//! a size and a hash. [`Settings`] say which mirrors of the archive there are; they are tried in
//! order, with retries, resume where a server knows ranges, an idle timeout and a minimum rate,
//! but no total timeout. What is delivered has the expected hash, or is not delivered. Nothing
//! here trusts a server: names, lengths, types and codings that it sends choose nothing.
//!
//! `object.rs` is for caches: parts of a file, its size, and putting one. `machine/` reads apt's, pip's and uv's configuration; `request.rs` is one GET with its
//! redirects; `body.rs` reads one answer to its end; `retry.rs` says when to try again.

mod body;
pub mod date;
mod deliver;
mod error;
mod known;
pub mod machine;
mod object;
mod redirect;
mod request;
mod retry;
mod settings;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod testing;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use recipe_store::{BlobId, Session};
use reqwest::Url;

pub(crate) use self::body::hex;
pub use self::error::{Cause, Mismatch, NetError, Tries, Try, shown};
pub use self::known::{recall, remember};
pub use self::machine::{Machine, Said};
pub use self::object::{Part, Putting};
pub use self::request::Posted;
pub use self::retry::Timing;
pub use self::settings::{Proxies, Settings};

/// Hears what happens. All methods do nothing unless they are written.
pub trait Watch: Sync + Send {
    /// Something a person wants to know: a mirror is down, a server asks to wait.
    fn note(&self, line: &str) {
        let _ = line;
    }
    /// `done` bytes of `item` came, of `total` where known. Goes back to less when a download starts again.
    fn progress(&self, item: &str, done: u64, total: Option<u64>) {
        let _ = (item, done, total);
    }
    /// `done` bytes of `total` came from a cache, or went there.
    fn moved(&self, cache: &str, done: u64, total: u64) {
        let _ = (cache, done, total);
    }
    /// Nothing more will be said of `item`.
    fn finished(&self, item: &str) {
        let _ = item;
    }
}

/// Hears nothing.
pub struct Silence;

impl Watch for Silence {}

/// A file that is wanted: where it lies in an archive, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// `debian`, `debian-security`, `python`.
    pub archive: &'a str,
    /// Path inside the archive, `pool/main/...`.
    pub path: &'a str,
    /// Bytes, where known. Not one more is read.
    pub size: Option<u64>,
    /// sha256 in lower-case hex, where known.
    pub sha256: Option<&'a str>,
    /// Never read more than this, also when the size is not known.
    pub limit: u64,
}

impl<'a> Wanted<'a> {
    /// A file whose size and hash are known.
    pub fn exact(archive: &'a str, path: &'a str, size: u64, sha256: &'a str) -> Self {
        Wanted {
            archive,
            path,
            size: Some(size),
            sha256: Some(sha256),
            limit: size,
        }
    }

    /// A file of which only a bound is known; whoever asks must verify it.
    pub fn unknown(archive: &'a str, path: &'a str, limit: u64) -> Self {
        Wanted {
            archive,
            path,
            size: None,
            sha256: None,
            limit,
        }
    }

    fn what(&self) -> String {
        format!("{}: {}", self.archive, self.path)
    }
}

/// An index page: bytes that no hash vouches for.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where it came from, after redirects; links in it are relative to this.
    pub url: Url,
    /// `Content-Type`, as sent.
    pub content_type: String,
    /// The page.
    pub bytes: Vec<u8>,
}

/// The client. One for the whole process; used from many threads.
pub struct Net {
    settings: Settings,
    watch: Arc<dyn Watch>,
    client: OnceLock<reqwest::blocking::Client>,
    /// Origins that could not be reached, and whether all tries there were used up.
    dead: Mutex<BTreeMap<String, bool>>,
    noted: Mutex<BTreeSet<String>>,
}

impl Net {
    /// A client with these settings; no socket is made before the first request.
    pub fn new(settings: Settings, watch: Arc<dyn Watch>) -> Net {
        Net {
            settings,
            watch,
            client: OnceLock::new(),
            dead: Mutex::default(),
            noted: Mutex::default(),
        }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who listens.
    pub fn watch(&self) -> &dyn Watch {
        &*self.watch
    }

    /// Fetches a file into the store, unless it was [`remember`]ed there. The blob has the size and hash that were wanted.
    pub fn fetch(&self, wanted: &Wanted<'_>, session: &Session) -> Result<BlobId, NetError> {
        if let Some(blob) = self.here(wanted, session)? {
            return Ok(blob);
        }
        let urls = self.urls_of(wanted)?;
        self.fetch_from(&urls, wanted, session)
    }

    /// The blob of a file that was fetched before; asks no mirror.
    pub fn here(&self, wanted: &Wanted<'_>, session: &Session) -> Result<Option<BlobId>, NetError> {
        let Some(sha256) = wanted.sha256 else {
            return Ok(None);
        };
        let found = recall(session, sha256).map_err(|cause| NetError::Store {
            what: wanted.what(),
            cause,
        })?;
        Ok(found.filter(|blob| wanted.size.is_none_or(|size| size == blob.size)))
    }

    /// As [`Net::fetch`], from these URLs instead of the archive's mirrors (a wheel's URL stands in an index page).
    pub fn fetch_from(
        &self,
        urls: &[Url],
        wanted: &Wanted<'_>,
        session: &Session,
    ) -> Result<BlobId, NetError> {
        self.deliver(urls, wanted, &mut |body| {
            session
                .put_reader(body, false, wanted.limit)
                .map_err(|cause| NetError::Store {
                    what: wanted.what(),
                    cause,
                })
        })
        .map(|(blob, _)| blob)
    }

    /// Fetches a file into memory; a `sha256` that is wanted was checked.
    pub fn bytes(&self, wanted: &Wanted<'_>) -> Result<Vec<u8>, NetError> {
        let urls = self.urls_of(wanted)?;
        self.bytes_from(&urls, wanted)
    }

    /// As [`Net::bytes`], from these URLs.
    pub fn bytes_from(&self, urls: &[Url], wanted: &Wanted<'_>) -> Result<Vec<u8>, NetError> {
        self.bytes_and_url(urls, wanted).map(|(bytes, _)| bytes)
    }

    /// As [`Net::bytes_from`]; also tells which of the URLs gave it.
    pub fn bytes_and_url(
        &self,
        urls: &[Url],
        wanted: &Wanted<'_>,
    ) -> Result<(Vec<u8>, Url), NetError> {
        self.deliver(urls, wanted, &mut |body| {
            let mut bytes = Vec::new();
            match body.read_to_end(&mut bytes) {
                Ok(_) => Ok(bytes),
                // The body remembers its own failure, which is the one that is told.
                Err(reason) => Err(NetError::Client {
                    reason: reason.to_string(),
                }),
            }
        })
    }

    /// The mirrors of `wanted.archive`, each with the path joined to it.
    pub fn urls_of(&self, wanted: &Wanted<'_>) -> Result<Vec<Url>, NetError> {
        let mirrors = self.settings.mirrors(wanted.archive);
        if mirrors.is_empty() {
            return Err(NetError::NoMirror {
                archive: wanted.archive.to_owned(),
            });
        }
        mirrors
            .iter()
            .map(|mirror| settings::join(mirror, wanted.path))
            .collect()
    }

    /// Says `line`, unless it was said before.
    fn note_once(&self, line: String) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.insert(line.clone()) {
            self.watch.note(&line);
        }
    }
}
