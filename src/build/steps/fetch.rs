//! Source → blob: bytes that were known by their hash before they came.

use std::sync::OnceLock;

use recipe_store::{BlobId, Entry};
use reqwest::Url;

use super::layout::{self, Layout};
use super::{Bench, SourceError, StepError, leaves};
use crate::git;
use crate::lock::host::{self, HostFile};
use crate::lock::is_wheel_of_pip;
use crate::lock::wheels::fetch::{self as wheels, File};
use crate::net::Wanted;
use crate::plan::Source;

/// The Python package indexes of a build: those that are configured, else the one that the locked
/// pip itself would ask. Looked up once, when the first wheel is fetched.
#[derive(Default)]
pub struct PythonIndexes {
    /// The locked package that holds pip's own wheel.
    pub pip: Option<Source>,
    found: OnceLock<Vec<Url>>,
}

impl PythonIndexes {
    /// Indexes whose default comes from `pip`.
    pub fn new(pip: Option<Source>) -> PythonIndexes {
        PythonIndexes {
            pip,
            found: OnceLock::new(),
        }
    }

    fn get(&self, bench: &Bench<'_>) -> Result<&[Url], StepError> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let configured = &bench.shop.net.settings().python_index;
        let pip = if configured.is_empty() {
            self.pip_wheel(bench)?
        } else {
            None
        };
        let found = wheels::indexes(configured, bench.session(), pip.as_ref())?;
        Ok(self.found.get_or_init(|| found))
    }

    fn pip_wheel(&self, bench: &Bench<'_>) -> Result<Option<BlobId>, StepError> {
        let Some(source) = &self.pip else {
            return Ok(None);
        };
        let deb = fetch(source, bench)?;
        let layout = Layout {
            package: &source.name,
            named: false,
            exclude: &[],
        };
        let tree = layout::unpack_deb(bench.session(), &deb, &layout)?;
        Ok(leaves(bench.session(), &tree)?
            .into_iter()
            .find_map(|(path, entry)| match entry {
                Entry::File { blob, .. } if is_wheel_of_pip(&path) => Some(blob),
                _ => None,
            }))
    }
}

pub(super) fn fetch(source: &Source, bench: &Bench<'_>) -> Result<BlobId, StepError> {
    let (net, session) = (bench.shop.net, bench.session());
    if let Some(url) = &source.url {
        let wanted = Wanted::exact(&source.archive, &source.path, source.size, &source.sha256);
        if let Some(blob) = net.here(&wanted, session)? {
            return Ok(blob);
        }
        if source.archive == git::ARCHIVE {
            return commit(source, url, bench);
        }
        let urls: Vec<Url> = url.parse().into_iter().collect();
        return Ok(net.fetch_from(&urls, &wanted, session)?);
    }
    if source.archive == host::ARCHIVE {
        let wanted = Wanted::exact(&source.archive, &source.path, source.size, &source.sha256);
        if let Some(blob) = net.here(&wanted, session)? {
            return Ok(blob);
        }
        let root = net.settings().host_root.as_deref();
        let file = HostFile {
            name: &source.name,
            version: &source.version,
            path: &source.path,
            sha256: &source.sha256,
        };
        return Ok(host::fetch(root.unwrap_or("/".into()), session, &file)?);
    }
    if source.archive != wheels::ARCHIVE {
        let wanted = Wanted::exact(&source.archive, &source.path, source.size, &source.sha256);
        return Ok(net.fetch(&wanted, session)?);
    }
    let file = File {
        name: &source.path,
        size: source.size,
        sha256: &source.sha256,
    };
    Ok(wheels::fetch(
        &file,
        net,
        session,
        bench.shop.indexes.get(bench)?,
    )?)
}

/// The archive of a commit, which has to be the one that was locked.
fn commit(source: &Source, place: &str, bench: &Bench<'_>) -> Result<BlobId, StepError> {
    let session = bench.session();
    let git::Fetched {
        blob,
        sha256: found,
    } = git::fetch(bench.shop.net, session, place, &source.path)?;
    if found != source.sha256 {
        return Err(StepError::Source(SourceError::Commit {
            file: source.path.clone(),
            wanted: source.sha256.clone(),
            found,
        }));
    }
    Ok(blob)
}
