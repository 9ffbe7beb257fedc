//! A file's name and hash → its bytes, from whatever index the machine has. Begin at [`fetch`].
//!
//! A lock names no host, so the address of a wheel is looked up in the page of its project. What
//! the page says decides nothing: the bytes have the locked hash or are not delivered.

use std::io::Read;

use recipe_store::{BlobId, Session};
use reqwest::Url;

use super::{Context, WheelsError};
use crate::archive::{ArchiveError, Limits, OnlyFiles, unpack_zip};
use crate::net::{Net, Wanted};
use crate::python::index::{self, IndexFile};
use crate::python::{ProjectName, WheelName, pylock};

/// The archive that locks name for files of a package index.
pub const ARCHIVE: &str = "python";

/// A file as a lock has it.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// The wheel's file name.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
    /// sha256 in lower-case hex.
    pub sha256: &'a str,
}

/// Fetches a wheel into the store, from the first of `indexes` that has it.
///
/// # Errors
/// [`WheelsError::Gone`] when every index that answered lacks it; otherwise what the last one did.
pub fn fetch(
    file: &File<'_>,
    net: &Net,
    session: &Session,
    indexes: &[Url],
) -> Result<BlobId, WheelsError> {
    let project = project_of(file.name)?;
    let wanted = Wanted::exact(ARCHIVE, file.name, file.size, file.sha256);
    if let Some(blob) = net.here(&wanted, session)? {
        return Ok(blob);
    }
    let mut failure = WheelsError::NoIndex;
    for index in indexes {
        let found = page(net, index, &project)
            .and_then(|files| Ok(index::find(&files, file.name, file.sha256)?.url.clone()))
            .and_then(|url| Ok(net.fetch_from(&[authorised(url, index)], &wanted, session)?));
        match found {
            Ok(blob) => return Ok(blob),
            // An index that lacks the file says more than one that could not be reached.
            Err(WheelsError::Python(cause)) => {
                let (file, project) = (file.name.to_owned(), project.to_string());
                failure = WheelsError::Gone {
                    file,
                    project,
                    cause,
                };
            }
            Err(error) if matches!(failure, WheelsError::Gone { .. }) => drop(error),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The project that a file of an index is of: a wheel, or an sdist.
fn project_of(name: &str) -> Result<ProjectName, WheelsError> {
    let stem = [".tar.gz", ".zip", ".tar.xz", ".tgz"]
        .iter()
        .find_map(|end| name.strip_suffix(end));
    match stem.and_then(|stem| stem.rsplit_once('-')) {
        Some((project, _)) => Ok(project.parse()?),
        None => Ok(name.parse::<WheelName>()?.name),
    }
}

/// The page of a project in one index.
pub(super) fn page(
    net: &Net,
    index: &Url,
    project: &ProjectName,
) -> Result<Vec<IndexFile>, WheelsError> {
    let url = index::project_page(index, project);
    let page = net.page(&url, index::ACCEPT, index::LARGEST_PAGE as u64)?;
    Ok(index::parse_page(
        &page.content_type,
        &page.bytes,
        &page.url,
    )?)
}

/// Fetches a file that the resolver chose, from the address it gave.
pub(super) fn of_answer(
    file: &pylock::File,
    index: &Url,
    context: &Context<'_>,
) -> Result<BlobId, WheelsError> {
    /// No wheel is larger; the store would be full before.
    const LARGEST: u64 = 32 << 30;
    let wanted = Wanted {
        archive: ARCHIVE,
        path: &file.name,
        size: file.size,
        sha256: Some(&file.sha256),
        limit: file.size.unwrap_or(LARGEST),
    };
    if let Some(blob) = context.net.here(&wanted, context.session)? {
        return Ok(blob);
    }
    let url = file.url.as_deref().and_then(|url| Url::parse(url).ok());
    // As for links of a page: an answer does not make us read files of this machine.
    let may = |url: &Url| ["http", "https", index.scheme()].contains(&url.scheme());
    let url = url.filter(may).ok_or_else(|| WheelsError::Tool {
        reason: format!("it gives no address for {}", file.name),
    })?;
    Ok(context
        .net
        .fetch_from(&[authorised(url, index)], &wanted, context.session)?)
}

/// Gives `url` the user and password of the index, if both are one origin.
fn authorised(mut url: Url, index: &Url) -> Url {
    if url.origin() == index.origin() && url.username().is_empty() {
        // These fail for URLs without a host only, which have no origin in common with anything.
        let _ = url.set_username(index.username());
        let _ = url.set_password(index.password());
    }
    url
}

/// The indexes to ask: those that are configured, else the one that pip would ask, which stands
/// in `pip`, the locked wheel of pip that comes with the interpreter.
pub fn indexes(
    configured: &[Url],
    session: &Session,
    pip: Option<&BlobId>,
) -> Result<Vec<Url>, WheelsError> {
    match (configured, pip) {
        ([], None) => Err(WheelsError::NoIndex),
        ([], Some(pip)) => Ok(vec![default_index(session, pip)?]),
        (configured, _) => Ok(configured.to_vec()),
    }
}

/// The index that is written in pip's own source, inside a wheel of pip.
pub fn default_index(session: &Session, pip: &BlobId) -> Result<Url, WheelsError> {
    let mut text = String::new();
    let mut source = OnlyFiles(|path: &str, size: u64, content: &mut dyn Read| {
        if path == "pip/_internal/models/index.py" && size < 1 << 20 {
            content
                .read_to_string(&mut text)
                .map_err(ArchiveError::sink)?;
        }
        Ok(())
    });
    unpack_zip(
        &session.open_blob(pip)?,
        "pip's wheel",
        &Limits::default(),
        &mut source,
    )?;
    Ok(index::default_index(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_goes_only_to_the_index_it_is_for() {
        let index = Url::parse("https://me:secret@index.example/simple").unwrap();
        let url = |text: &str| authorised(Url::parse(text).unwrap(), &index).to_string();
        assert_eq!(
            url("https://index.example/a.whl"),
            "https://me:secret@index.example/a.whl"
        );
        for other in [
            "https://files.example/a.whl",
            "http://index.example/a.whl",
            "https://index.example:8443/a",
        ] {
            assert_eq!(url(other), other);
        }
    }
}
