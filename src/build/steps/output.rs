//! What a build made → one of its outputs, and that in closure layout. Begin at [`select`] and
//! [`lay_out`].
//!
//! A build installs below [`PREFIX`], which exists nowhere else. What holds it afterwards would look for
//! itself in the wrong place, so it is written anew where the form of a file says how (pkg-config's
//! files, search paths of programs), and is an error everywhere else that names the file and the byte,
//! but for paths of which the recipe says that they are compiled in and done without.

use std::io::Cursor;

mod python;

use recipe_store::{Entry, Session, TreeBuilder, TreeId};

use super::layout::glob;
use super::layout::place::{self, Place};
use super::layout::{Layout, LayoutSink};
use super::{StepError, leaves, relocate};
use crate::archive::Sink as _;
use crate::elf;
use crate::sandbox::Elsewhere;

/// The prefix of every build: `$out`.
pub const PREFIX: &str = "/out/of-this-build";
/// Where sources lie while a build runs; nothing of it may be left in what it makes.
pub const SOURCES: &str = Elsewhere::SOURCES;

/// The part of `tree` that `only` means, all of it without patterns, less what `without` means.
pub(super) fn select(
    session: &Session,
    tree: &TreeId,
    only: &[String],
    without: &[String],
) -> Result<TreeId, StepError> {
    let means = |patterns: &[String], path: &str| {
        patterns.iter().any(|pattern| glob::matches(pattern, path))
    };
    let mut builder = TreeBuilder::new();
    for (path, entry) in leaves(session, tree)? {
        if (only.is_empty() || means(only, &path)) && !means(without, &path) {
            builder.insert(&path, entry)?;
        }
    }
    Ok(builder.finish(session)?)
}

/// What an output is, and what may stay in it.
pub(super) struct Kept<'a> {
    /// Whose it is: its licence lies under that name.
    pub subject: &'a str,
    /// Paths below the prefix that may stay.
    pub compiled_in: &'a [String],
    /// The version of the interpreter that it is, and what starts its scripts.
    pub python: Option<(&'a str, &'a [u8])>,
}

/// The output `tree` as a closure has it.
pub(super) fn lay_out(
    session: &Session,
    tree: &TreeId,
    kept: &Kept<'_>,
) -> Result<TreeId, StepError> {
    let layout = Layout {
        package: kept.subject,
        named: true,
        exclude: &[],
    };
    let failed = |error: crate::archive::ArchiveError| StepError::Layout(error.into());
    let mut sink = LayoutSink::new(session, &layout);
    let mut remains = Vec::new();
    for (path, entry) in leaves(session, tree)? {
        let mut place = placed(&path);
        if kept.python.is_some() {
            place = python::header(place);
        }
        if place::place(&place, &layout) == Place::Drop
            || kept.python.is_some() && python::is_left_out(&place)
        {
            continue;
        }
        match entry {
            Entry::File { blob, executable } => {
                let mut bytes = session.read_blob(&blob)?;
                let mut executable = executable;
                if let Some((_, launcher)) = kept.python
                    && let Some((script, text)) = python::script(&place, &bytes)
                {
                    let size = launcher.len() as u64;
                    sink.file(&place, true, size, &mut Cursor::new(launcher))
                        .map_err(failed)?;
                    (place, bytes, executable) = (script, text, false);
                }
                let bytes = without_prefix(&path, bytes)?;
                if !(kept.python.is_some() && relocate::moves_prefix(&place)) {
                    remains.extend(remain(&path, &bytes, kept.compiled_in));
                }
                let size = bytes.len() as u64;
                sink.file(&place, executable, size, &mut Cursor::new(bytes))
                    .map_err(failed)?;
            }
            Entry::Symlink { target } => {
                let target = inside(&path, &target);
                sink.symlink(&place, &target).map_err(failed)?;
            }
            Entry::Directory(_) => {}
        }
    }
    if !remains.is_empty() {
        remains.truncate(MOST_TOLD);
        return Err(StepError::Prefix { remains });
    }
    let tree = sink.finish()?;
    match kept.python {
        Some((version, _)) => python::named(session, tree, version),
        None => Ok(tree),
    }
}

/// Places that one message lists.
const MOST_TOLD: usize = 10;

/// Programs for administrators are programs.
fn placed(path: &str) -> String {
    match path.strip_prefix("sbin/") {
        Some(program) => format!("bin/{program}"),
        None => path.to_owned(),
    }
}

/// A link's target, which may be written as an absolute path below the prefix.
fn inside(path: &str, target: &str) -> String {
    match target.strip_prefix(PREFIX) {
        Some(rest) => super::layout::relative(path, rest.trim_start_matches('/')),
        None => target.to_owned(),
    }
}

/// The file with its prefix written anew, where its form says how.
fn without_prefix(path: &str, bytes: Vec<u8>) -> Result<Vec<u8>, StepError> {
    if memchr::memmem::find(&bytes, PREFIX.as_bytes()).is_none() {
        return Ok(bytes);
    }
    let up = "../".repeat(path.matches('/').count());
    if path.ends_with(".pc")
        && let Ok(text) = std::str::from_utf8(&bytes)
    {
        let here = format!("${{pcfiledir}}/{}", up.trim_end_matches('/'));
        return Ok(text.replace(PREFIX, &here).into_bytes());
    }
    if bytes.starts_with(b"\x7fELF") {
        let mut bytes = bytes;
        elf::move_search_path(&mut bytes, PREFIX, up.trim_end_matches('/')).map_err(|error| {
            StepError::Elf {
                path: path.to_owned(),
                error,
            }
        })?;
        return Ok(bytes);
    }
    Ok(bytes)
}

/// A place that holds a path of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// The file, below the prefix.
    pub path: String,
    /// The byte at which it begins.
    pub offset: usize,
    /// What stands there.
    pub text: String,
}

fn remain(path: &str, bytes: &[u8], compiled_in: &[String]) -> Vec<Remains> {
    let mut remains = Vec::new();
    for word in [PREFIX, SOURCES] {
        for offset in memchr::memmem::find_iter(bytes, word.as_bytes()) {
            if goes_on(&bytes[offset + word.len()..]) {
                continue;
            }
            let text: Vec<u8> = bytes[offset..]
                .iter()
                .copied()
                .take(256)
                .take_while(|byte| byte.is_ascii_graphic() && !b"\"'`:;,)>".contains(byte))
                .collect();
            let text = String::from_utf8_lossy(&text).into_owned();
            let below = text.strip_prefix(PREFIX).unwrap_or("");
            let below = below.trim_matches('/');
            let known = compiled_in.iter().any(|it| glob::matches(it, below));
            if known && word == PREFIX {
                continue;
            }
            remains.push(Remains {
                path: path.to_owned(),
                offset,
                text,
            });
            if remains.len() == MOST_TOLD {
                return remains;
            }
        }
    }
    remains
}

/// Whether a name goes on with these bytes: `/tmp/build-env` is another folder than `/tmp/build`.
fn goes_on(rest: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_+".contains(byte);
    match rest {
        [b'.', next, ..] => is_letter(next),
        [next, ..] => is_letter(next),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_the_build_itself_remain_of_it() {
        let found = |text: &str| remain("lib/x", text.as_bytes(), &[]).len();
        for text in [
            "/tmp/build",
            "-I/tmp/build/src/a.c",
            "\0/tmp/build\0",
            "lies in /tmp/build.",
            "/out/of-this-build/share",
        ] {
            assert_eq!(found(text), 1, "{text:?}");
        }
        for text in [
            "/tmp/build-env-x/bin",
            "/tmp/build.old/x",
            "/tmp/builds",
            "/tmp/build_1",
        ] {
            assert_eq!(found(text), 0, "{text:?}");
        }
    }
}
