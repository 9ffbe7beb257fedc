//! A commit of a git repository → an archive with its files. Begin at [`fetch`].
//!
//! One request of git's protocol, version 2, over HTTP asks for one commit without its history. What
//! comes is hashed as git does it, from the commit down: whoever sent it, it is what the commit names.
//! SHA-1 alone would be little to trust: hashes with the marks of a known attack are refused, and the
//! lock has the SHA-256 of the archive, which is the same wherever it is made. No program is needed.
//!
//! `protocol.rs` speaks with the server, `pack.rs` reads objects, `archive.rs` writes the archive. The
//! sources are git's own documents: gitprotocol-v2(5), gitprotocol-pack(5), gitformat-pack(5).

mod archive;
mod name;
mod pack;
mod protocol;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use miette::Diagnostic;
use recipe_store::{BlobId, Session, StoreError};
use reqwest::Url;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

pub use name::ObjectName;

use crate::net::{Net, NetError, hex};

/// The most that a commit's files may be together, and the most that a server may send (bytes).
const MOST: u64 = 2 << 30;

/// Why a commit could not be had.
#[derive(Debug, Error, Diagnostic)]
pub enum GitError {
    /// The repository could not be asked.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Net(#[from] NetError),
    /// The server said no.
    #[error("{url} does not give commit {commit}: {said}")]
    #[diagnostic(
        code(git::refused),
        help(
            "the commit must be one that the repository still has; `git ls-remote URL` lists its branches and tags"
        )
    )]
    Refused {
        /// The repository.
        url: String,
        /// What was wanted.
        commit: ObjectName,
        /// What the server said.
        said: String,
    },
    /// What answered is no git server of our kind.
    #[error("{url} does not speak git's protocol as it was asked to: {what}")]
    #[diagnostic(
        code(git::protocol),
        help(
            "the URL is that of the repository, as `git clone` takes it over https; servers speak version 2 of the protocol since git 2.18"
        )
    )]
    Protocol {
        /// The repository.
        url: String,
        /// What was wrong.
        what: String,
    },
    /// The objects are damaged, or are others.
    #[error("what {url} sent is not commit {commit}: {what}")]
    #[diagnostic(
        code(git::objects),
        help(
            "something on the way changes it, or the repository is damaged: try again, or another mirror of it"
        )
    )]
    Objects {
        /// The repository.
        url: String,
        /// What was wanted.
        commit: ObjectName,
        /// What was wrong.
        what: String,
    },
    /// A place that cannot be asked.
    #[error("{place:?} is not the URL of a git repository")]
    #[diagnostic(
        code(git::place),
        help("a source has `git \"https://…\" commit=\"…\"` with the URL that `git clone` takes")
    )]
    Place {
        /// What was to be asked.
        place: String,
    },
    /// The archive could not be kept.
    #[error("cannot keep the files of a commit")]
    #[diagnostic(code(git::store))]
    Store(#[from] StoreError),
    /// The archive could not be written.
    #[error("the files of a commit could not be written: {error}")]
    #[diagnostic(
        code(git::write),
        help("the store lies on this disk: make room, or choose another place with `--store`")
    )]
    Write {
        /// Why.
        error: std::io::Error,
    },
}

/// The archive of files that are commits.
pub const ARCHIVE: &str = "git";

/// The archive of a commit.
pub struct Fetched {
    /// The archive.
    pub blob: BlobId,
    /// Its SHA-256, lower-case hex.
    pub sha256: String,
}

/// Fetches the files of one commit as a tar archive: `place` is the repository's URL, a `#` and the commit.
///
/// The archive depends on the commit and on its own `name` alone. A submodule is an empty folder in it, as in
/// the archives that git makes.
///
/// # Errors
/// [`GitError`]: no network, another commit or none, or no room.
pub fn fetch(net: &Net, session: &Session, place: &str, name: &str) -> Result<Fetched, GitError> {
    let found = place
        .split_once('#')
        .and_then(|(url, commit)| Some((url.parse::<Url>().ok()?, commit.parse().ok()?)));
    let Some((url, commit)) = found else {
        return Err(GitError::Place {
            place: place.to_owned(),
        });
    };
    let url = &url;
    let pack = protocol::ask(net, url, commit)?;
    let broken = |what: String| GitError::Objects {
        url: crate::net::shown(url),
        commit,
        what,
    };
    let objects = pack::read(&pack, MOST).map_err(broken)?;
    drop(pack);
    let scratch = session.scratch()?;
    let path = scratch.path().join("archive");
    let folder = name.strip_suffix(".tar").unwrap_or(name);
    archive::write(&objects, commit, folder, &path).map_err(|failed| match failed {
        archive::Failed::Objects(what) => broken(what),
        archive::Failed::Write(error) => GitError::Write { error },
    })?;
    let opened = std::fs::File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, mut file) = opened.map_err(|error| GitError::Write { error })?;
    let blob = session.put_reader(&mut file, false, size)?;
    let mut hash = Sha256::new();
    std::fs::File::open(&path)
        .and_then(|mut file| std::io::copy(&mut file, &mut hash))
        .map_err(|error| GitError::Write { error })?;
    Ok(Fetched {
        blob,
        sha256: hex(&hash.finalize()),
    })
}
