//! `source` nodes → the files that they stand for, each fetched once and known by its hash. Begin at
//! [`sources`].
//!
//! A Debian source package is several files; all but its `.dsc`, which says what the signed index says
//! already, are locked. A URL is the recipe's own, and its hash was known before: the lock adds the
//! size, and names no host.

use reqwest::Url;

use super::error::{LockError, NoSourcePackage};
use super::suites::Suites;
use super::version::compare;
use super::{Context, FileKind, Locked};
use crate::git;
use crate::net::Wanted;
use crate::recipe::{Source, SourceOrigin, Spanned};

/// The archive of files that a recipe names by URL.
pub const URL_ARCHIVE: &str = "url";
/// The largest source that is fetched (bytes).
const MOST: u64 = 8 << 30;

/// The files of all sources; those in `kept` stay where they can.
pub(super) fn sources(
    context: &Context<'_>,
    suites: &Suites,
    sources: &[Spanned<Source>],
    kept: &[&Locked],
) -> Result<Vec<Locked>, LockError> {
    let mut files = Vec::new();
    for source in sources {
        match &source.value.from {
            SourceOrigin::Debian { package, patched } => {
                files.extend(debian(context, suites, source, (package, *patched), kept)?)
            }
            SourceOrigin::Url { url, sha256 } => {
                files.push(file_at(context, &source.value, url, sha256)?);
            }
            SourceOrigin::Git { url, commit } => {
                files.push(commit_of(context, &source.value, url, commit, kept)?);
            }
            SourceOrigin::Path(_) => {}
        }
    }
    Ok(files)
}

/// The version that was locked, if the suite still has it, else the newest whose files a mirror has: a
/// mirror may lack the sources of a version whose binaries it has.
fn debian(
    context: &Context<'_>,
    suites: &Suites,
    source: &Spanned<Source>,
    (package, patched): (&str, bool),
    kept: &[&Locked],
) -> Result<Vec<Locked>, LockError> {
    let name = &source.value.name;
    let mut found = suites.sources(context, package)?;
    found.sort_by(|(a, _), (b, _)| compare(&b.version, &a.version));
    let is_kept = |version: &str| {
        kept.iter().any(|file| {
            file.kind == FileKind::Source
                && (&file.name, file.source.as_str()) == (name, package)
                && file.version == version
        })
    };
    if let Some(index) = found.iter().position(|(it, _)| is_kept(&it.version)) {
        let kept = found.remove(index);
        found.insert(0, kept);
    }
    let mut gone: Option<LockError> = None;
    for (chosen, archive) in found {
        let version = chosen.version.clone();
        let files: Vec<Locked> = chosen
            .files
            .into_iter()
            .filter(|file| is_wanted(&file.path, patched))
            .map(|file| Locked {
                kind: FileKind::Source,
                name: name.clone(),
                version: version.clone(),
                architecture: String::new(),
                source: package.to_owned(),
                archive: archive.clone(),
                path: file.path,
                size: file.size,
                sha256: file.sha256,
                reason: "recipe".to_owned(),
                requires: Vec::new(),
            })
            .collect();
        let fetched = files
            .iter()
            .map(|file| super::candidates::fetch(context, file));
        match fetched.collect::<Result<Vec<_>, _>>() {
            Ok(_) => {
                if gone.is_some() {
                    let note =
                        format!("the sources of {package} {version} are taken, of {archive}");
                    context.net.watch().note(&note);
                }
                return Ok(files);
            }
            Err(error) if error.is_gone() => {
                let without = match patched {
                    true => "; `patches=\"none\"` in the recipe needs its original alone",
                    false => "",
                };
                context.net.watch().note(&format!(
                    "no mirror has all sources of {package} {version} in {archive}: others are looked for{without}"
                ));
                gone = gone.or(Some(error.into()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(gone.unwrap_or_else(|| {
        LockError::NoSourcePackage(Box::new(NoSourcePackage {
            name: package.to_owned(),
            suite: suites.release().to_owned(),
            builds: suites.source_of(package),
            text: miette::NamedSource::clone(&source.text),
            at: source.span,
        }))
    }))
}

/// Without patches only what the authors made is wanted: the original and its components, or all that a
/// package has which the distribution itself makes.
fn is_wanted(path: &str, patched: bool) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let archive = name.contains(".tar.") && !name.ends_with(".asc");
    let packaging = name.contains(".debian.tar.") || name.ends_with(".diff.gz");
    (archive || packaging) && (patched || !packaging)
}

fn file_at(
    context: &Context<'_>,
    source: &Source,
    url: &str,
    sha256: &str,
) -> Result<Locked, LockError> {
    let path = file_name(url);
    let wanted = Wanted {
        archive: URL_ARCHIVE,
        path: &path,
        size: None,
        sha256: Some(sha256),
        limit: MOST,
    };
    let blob = match context.net.here(&wanted, context.session)? {
        Some(blob) => blob,
        None => {
            let urls: Vec<Url> = url.parse().into_iter().collect();
            let blob = context.net.fetch_from(&urls, &wanted, context.session)?;
            context.fetched(sha256, &blob);
            blob
        }
    };
    Ok(Locked {
        kind: FileKind::Source,
        name: source.name.clone(),
        version: String::new(),
        architecture: String::new(),
        source: String::new(),
        archive: URL_ARCHIVE.to_owned(),
        path,
        size: blob.size,
        sha256: sha256.to_owned(),
        reason: "recipe".to_owned(),
        requires: Vec::new(),
    })
}

/// The archive of a commit, as it was locked before, or made now.
fn commit_of(
    context: &Context<'_>,
    source: &Source,
    url: &str,
    commit: &str,
    kept: &[&Locked],
) -> Result<Locked, LockError> {
    let path = format!("{}-{commit}.tar", source.name);
    let known = |file: &&&Locked| {
        file.kind == FileKind::Source
            && (file.archive.as_str(), &file.path) == (git::ARCHIVE, &path)
    };
    if let Some(file) = kept.iter().find(known) {
        return Ok((*file).clone());
    }
    let place = format!("{url}#{commit}");
    let git::Fetched { blob, sha256 } = git::fetch(context.net, context.session, &place, &path)?;
    context.fetched(&sha256, &blob);
    Ok(Locked {
        kind: FileKind::Source,
        name: source.name.clone(),
        version: String::new(),
        architecture: String::new(),
        source: String::new(),
        archive: git::ARCHIVE.to_owned(),
        path,
        size: blob.size,
        sha256,
        reason: "recipe".to_owned(),
        requires: Vec::new(),
    })
}

/// What the file at a URL is called: the end of its path.
pub(crate) fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
