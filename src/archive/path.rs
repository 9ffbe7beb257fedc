//! Names and link targets of archives → relative paths that are safe below any root, or a [`Fault`].

use super::error::{Fault, Kind, escape};
use super::limits::Limits;

/// Longest link target plus one, as the store and Linux have it.
pub(super) const TARGET_LIMIT: usize = 4096;

/// What is to be done with symlinks that begin with `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// The archive is an image of `/`, as a deb is: they begin at the archive's root.
    Archive,
    /// They are refused.
    Unknown,
}

/// The path an entry's name means. `None` is the root itself (`./`, which only a directory can be).
/// One leading `./` and, for directories, one trailing slash are dropped; nothing else is changed.
pub(super) fn entry_path<'n>(
    name: &'n [u8],
    kind: Kind,
    limits: &Limits,
) -> Result<Option<&'n str>, Fault> {
    if name == b"./" && kind == Kind::Directory {
        return Ok(None);
    }
    let mut path = text(name, "name")?;
    if let Some(shorter) = path.strip_suffix('/') {
        match kind {
            Kind::Directory => path = shorter,
            kind if !shorter.is_empty() => return Err(Fault::SlashAfter { kind }),
            _ => {}
        }
        if path.is_empty() {
            return Err(Fault::AbsolutePath);
        }
    }
    let path = path.strip_prefix("./").unwrap_or(path);
    check_path(path, limits)?;
    Ok(Some(path))
}

/// Refuses every path that is not plainly relative, or is beyond the limits.
pub(super) fn check_path(path: &str, limits: &Limits) -> Result<(), Fault> {
    if path.is_empty() || path == "." {
        return Err(Fault::EmptyName);
    }
    if path.starts_with('/') {
        return Err(Fault::AbsolutePath);
    }
    at_most("the length of its path", path.len(), limits.path, "bytes")?;
    let mut depth = 0;
    for part in path.split('/') {
        match part {
            "" | "." => return Err(Fault::DotPart),
            ".." => return Err(Fault::ParentPart),
            _ => {}
        }
        at_most("a part of its path", part.len(), limits.name, "bytes")?;
        depth += 1;
    }
    at_most("the depth of its path", depth, limits.depth, "parts")
}

/// The target a symlink at `path` gets: as it is, or, where `root` allows, an absolute one made
/// relative. The second value is true where a `..` follows a name, so that a later look at the whole
/// archive must show that no symlink stands before it (see [`climbed`]).
pub(super) fn link_target(path: &str, target: &[u8], root: Root) -> Result<(String, bool), Fault> {
    let bad = |why| Fault::BadTarget { why };
    if target.is_empty() {
        return Err(bad("is empty"));
    }
    if target.contains(&0) {
        return Err(bad("holds a NUL byte"));
    }
    if target.len() >= TARGET_LIMIT {
        return Err(bad("is 4096 bytes long or longer"));
    }
    let target = text(target, "link target")?;
    let escapes = || Fault::Escapes {
        target: escape(target.as_bytes()),
    };
    let folder: Vec<&str> = path.split('/').rev().skip(1).collect();
    let target = match (target.strip_prefix('/'), root) {
        (None, _) => target.to_owned(),
        (Some(inside), Root::Archive) => {
            lexical_depth(inside, 0).ok_or_else(escapes)?;
            relative(&folder, inside)
        }
        (Some(_), Root::Unknown) => {
            return Err(Fault::AbsoluteTarget {
                target: escape(target.as_bytes()),
            });
        }
    };
    if target.len() >= TARGET_LIMIT {
        return Err(bad("is 4096 bytes long or longer"));
    }
    let climbs = lexical_depth(&target, folder.len()).ok_or_else(escapes)?;
    Ok((target, climbs))
}

/// For a target with a `..` after a name: every path below the root that the target walks into before
/// it climbs for the last time.
pub(super) fn climbed(path: &str, target: &str) -> Vec<String> {
    let mut at: Vec<&str> = path.split('/').collect();
    at.pop();
    let parts: Vec<&str> = target.split('/').collect();
    let last = parts.iter().rposition(|part| *part == "..").unwrap_or(0);
    let mut visited = Vec::new();
    for part in &parts[..last] {
        match *part {
            "" | "." => {}
            ".." => {
                at.pop();
            }
            name => {
                at.push(name);
                visited.push(at.join("/"));
            }
        }
    }
    visited
}

/// Walks `target` from a folder `depth` below the root. `None` where it climbs above the root, else
/// whether a `..` follows a name.
fn lexical_depth(target: &str, mut depth: usize) -> Option<bool> {
    let (mut named, mut climbs) = (false, false);
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                depth = depth.checked_sub(1)?;
                climbs |= named;
            }
            _ => {
                depth += 1;
                named = true;
            }
        }
    }
    Some(climbs)
}

/// `inside`, a path from the root, as seen from `folder` (given from its last part to its first).
fn relative(folder: &[&str], inside: &str) -> String {
    let wanted: Vec<&str> = inside
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    // A `..` among the shared parts would be dropped unseen: then nothing is shared.
    let shared = if wanted.contains(&"..") {
        0
    } else {
        folder
            .iter()
            .rev()
            .zip(&wanted)
            .take_while(|(one, other)| one == other)
            .count()
    };
    let up = std::iter::repeat_n("..", folder.len() - shared);
    let parts: Vec<&str> = up.chain(wanted[shared..].iter().copied()).collect();
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}

fn text<'n>(bytes: &'n [u8], what: &'static str) -> Result<&'n str, Fault> {
    if bytes.contains(&0) {
        return Err(Fault::NulInName);
    }
    std::str::from_utf8(bytes).map_err(|_| Fault::NotUtf8 { what })
}

fn at_most(
    what: &'static str,
    found: usize,
    limit: usize,
    unit: &'static str,
) -> Result<(), Fault> {
    if found > limit {
        let limit = limit as u64;
        return Err(Fault::Limit { what, limit, unit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_targets_become_the_shortest_relative_ones() {
        let rebased = |path, target: &str| {
            let target = link_target(path, target.as_bytes(), Root::Archive);
            target.expect("accepted").0
        };
        assert_eq!(rebased("usr/lib/x", "/usr/lib/y"), "y");
        assert_eq!(rebased("usr/lib/x", "/usr//./share/y/"), "../share/y");
        assert_eq!(
            rebased("etc/alternatives/awk", "/usr/bin/mawk"),
            "../../usr/bin/mawk"
        );
        assert_eq!(rebased("top", "/"), ".");
        assert_eq!(rebased("usr/lib/x", "/"), "../..");
        assert_eq!(rebased("usr/lib/x", "/usr/a/../b"), "../../usr/a/../b");
        assert_eq!(rebased("usr/lib", "/usr/lib/real"), "lib/real");
    }

    #[test]
    fn a_climb_lists_every_folder_it_trusts() {
        assert_eq!(climbed("a/l", "b/c/../../x"), ["a/b", "a/b/c"]);
        assert_eq!(climbed("a/l", "../b/../c"), ["b"]);
        assert!(climbed("a/l", "../x").is_empty());
    }

    #[test]
    fn targets_above_the_root_are_refused() {
        for target in ["..", "../..", "a/../../..", "../a/../.."] {
            assert!(
                link_target("x", target.as_bytes(), Root::Unknown).is_err(),
                "{target}"
            );
        }
        for target in ["/..", "/a/../.."] {
            assert!(
                link_target("a/b/c", target.as_bytes(), Root::Archive).is_err(),
                "{target}"
            );
        }
    }
}
