//! A `Contents` index and a file's name → the packages that have such a file. Only asked for error messages.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};

use super::error::LockError;
use super::make::release;
use super::suites::Suites;
use super::{Context, Lock};
use crate::recipe::Recipe;

/// Files that a build missed, each with the Debian packages that have it, of the lock's own release.
pub fn packages_with(
    recipe: &Recipe,
    lock: &Lock,
    files: Vec<String>,
    context: &Context<'_>,
) -> Result<Vec<(String, Vec<String>)>, LockError> {
    let (suite, expired) = release(recipe).ok_or(LockError::NoRelease)?;
    let suites = Suites::load(context, suite, lock.platform, &lock.suites, expired)?;
    let found = files.into_iter().map(|file| {
        let packages = suites.packages_with(context, &file)?;
        Ok((file, packages))
    });
    found.collect()
}

/// No line of a real index comes near this (bytes).
const MOST_LINE: u64 = 1 << 20;

/// The packages that have a file called `name` in any folder, at most ten; `name` may have folders
/// itself.
pub(super) fn holders(index: impl Read, name: &str) -> std::io::Result<BTreeSet<String>> {
    let mut index = std::io::BufReader::with_capacity(1 << 17, index);
    let mut found = BTreeSet::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = (&mut index).take(MOST_LINE).read_until(b'\n', &mut line)?;
        if count == 0 || found.len() >= 10 {
            return Ok(found);
        }
        let Ok(text) = std::str::from_utf8(&line) else {
            continue;
        };
        // `path   section/package,section/package`: the path may hold blanks, the packages do not.
        let Some((path, packages)) = text.trim_end().rsplit_once(char::is_whitespace) else {
            continue;
        };
        let path = path.trim_end();
        let before = path.strip_suffix(name);
        if before.is_some_and(|before| before.is_empty() || before.ends_with('/')) {
            found.extend(
                packages
                    .split(',')
                    .filter_map(|package| package.rsplit('/').next())
                    .map(str::to_owned),
            );
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_in_whatever_folder_and_package_it_lies() {
        let text = b"usr/lib/x86_64-linux-gnu/libyaml-0.so.2    libs/libyaml-0-2\nusr/lib/libyaml-0.so.2.0.9 libs/no\n\
                    opt/a b/libyaml-0.so.2 non-free/libs/one,two\nlibyaml-0.so.2\n\xff\n";
        let found = holders(&text[..], "libyaml-0.so.2").unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["libyaml-0-2", "one", "two"]
        );
    }
}
