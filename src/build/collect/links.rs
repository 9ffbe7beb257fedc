//! Symlinks of an output: which stay inside. Begin at [`judged`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{CollectError, Rules};

/// As many links in a row as Linux follows.
const HOPS: usize = 40;

/// The target that the link at `path` has in the store: as written, or relative where it was an
/// absolute one into the output itself.
pub(super) fn judged<'a>(
    path: &str,
    target: &'a str,
    links: &BTreeMap<String, String>,
    rules: &Rules<'_>,
) -> Result<Cow<'a, str>, CollectError> {
    let refused = || CollectError::Escapes {
        path: path.to_owned(),
        target: target.to_owned(),
    };
    let target = match inside(target, rules.place) {
        Some(rest) => Cow::Owned(relative(path, rest)),
        None if !target.starts_with('/') => Cow::Borrowed(target),
        None if rules
            .elsewhere
            .iter()
            .any(|folder| below(target, folder).is_some()) =>
        {
            return Ok(Cow::Borrowed(target));
        }
        None => return Err(refused()),
    };
    if leads_out(path, &target, links, rules.place) {
        return Err(refused());
    }
    Ok(target)
}

/// What follows `place` in an absolute target.
fn inside<'a>(target: &'a str, place: Option<&str>) -> Option<&'a str> {
    below(target, place?)
}

/// What follows `folder` in an absolute path that never climbs.
fn below<'a>(target: &'a str, folder: &str) -> Option<&'a str> {
    let rest = target.strip_prefix(folder.trim_end_matches('/'))?;
    let climbs = target.split('/').any(|part| part == "..");
    (!climbs && (rest.is_empty() || rest.starts_with('/'))).then(|| rest.trim_start_matches('/'))
}

/// `rest`, which counts from the top, as seen from the link at `path`.
fn relative(path: &str, rest: &str) -> String {
    let up = path.split('/').count() - 1;
    let mut parts = vec![".."; up];
    parts.extend(rest.split('/').filter(|part| !part.is_empty()));
    match parts.is_empty() {
        true => ".".to_owned(),
        false => parts.join("/"),
    }
}

/// Whether a walk along `target` leaves the top, through whatever other links it goes: `a/..` is not
/// where `a` is if that is a link. A walk in a circle leads nowhere, hence not out.
fn leads_out(
    path: &str,
    target: &str,
    links: &BTreeMap<String, String>,
    place: Option<&str>,
) -> bool {
    let mut here: Vec<String> = path.split('/').map(str::to_owned).collect();
    here.pop();
    let mut todo: Vec<String> = parts(target);
    let mut hops = 0;
    while let Some(part) = todo.pop() {
        if part == ".." {
            if here.pop().is_none() {
                return true;
            }
            continue;
        }
        here.push(part);
        let Some(next) = links.get(&here.join("/")) else {
            continue;
        };
        hops += 1;
        if hops > HOPS {
            return false;
        }
        here.pop();
        match inside(next, place) {
            Some(rest) => {
                here.clear();
                todo.extend(parts(rest));
            }
            // Where that one leads is judged when it is its turn.
            None if next.starts_with('/') => return false,
            None => todo.extend(parts(next)),
        }
    }
    false
}

/// The parts of a path, the first one last.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').rev();
    parts
        .filter(|part| !matches!(*part, "" | "."))
        .map(str::to_owned)
        .collect()
}
