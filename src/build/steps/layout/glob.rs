//! Pattern and path → whether the recipe meant that path. Begin at [`matches()`].
//!
//! `?` is one character and `*` any number, neither crosses `/`; `**` is any number of anything.
//! A pattern that names a folder means all that is inside.

/// Whether `pattern` means `path`, both relative and with `/` between parts.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_matches('/');
    let folder = path.match_indices('/').map(|(end, _)| &path[..end]);
    let pattern: Vec<char> = pattern.chars().collect();
    std::iter::once(path)
        .chain(folder)
        .any(|path| fits(&pattern, &path.chars().collect::<Vec<_>>()))
}

/// Matches with a single point of return for each kind of star, so that time stays at the
/// product of both lengths however many stars there are.
fn fits(pattern: &[char], path: &[char]) -> bool {
    // reachable[j]: the pattern read so far can end at path[..j].
    let mut reachable = vec![false; path.len() + 1];
    reachable[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            '*' if pattern.get(at + 1) == Some(&'*') => {
                at += 1;
                // `a/**/b` means `a/b` too.
                let whole_parts =
                    pattern.get(at + 1) == Some(&'/') && (at < 2 || pattern[at - 2] == '/');
                let before = reachable.clone();
                spread(&mut reachable, |_| true);
                if whole_parts {
                    at += 1;
                    after_slash(&mut reachable, &before, path);
                }
            }
            '*' => spread(&mut reachable, |j| path[j] != '/'),
            '?' => step(&mut reachable, |j| path[j] != '/'),
            wanted => step(&mut reachable, |j| path[j] == wanted),
        }
        at += 1;
    }
    reachable[path.len()]
}

/// From each reachable place, every later place up to the first byte that may not be crossed.
fn spread(reachable: &mut [bool], may_cross: impl Fn(usize) -> bool) {
    for j in 1..reachable.len() {
        reachable[j] |= reachable[j - 1] && may_cross(j - 1);
    }
}

/// Moves every reachable place over one character that `accepts`.
fn step(reachable: &mut [bool], accepts: impl Fn(usize) -> bool) {
    let before = reachable.to_vec();
    reachable.fill(false);
    for j in 0..before.len() - 1 {
        if before[j] && accepts(j) {
            reachable[j + 1] = true;
        }
    }
}

/// Of the places reached by `**/`: where it began, and behind every slash.
fn after_slash(reachable: &mut [bool], before: &[bool], path: &[char]) {
    for j in 0..reachable.len() {
        reachable[j] &= before[j] || (j > 0 && path[j - 1] == '/');
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::matches;

    #[test]
    fn one_star_stays_inside_a_part_and_two_cross_parts() {
        assert!(matches("lib/*.so", "lib/a.so"));
        assert!(!matches("lib/*.so", "lib/x/a.so"));
        assert!(matches("lib/**/*.so", "lib/x/y/a.so"));
        assert!(matches("lib/**/*.so", "lib/a.so"));
        assert!(matches("**/test", "a/b/test"));
        assert!(matches("**/test", "test"));
        assert!(!matches("**/test", "a/latest"));
        assert!(matches("a?c", "abc"));
        assert!(!matches("a?c", "a/c"));
    }

    #[test]
    fn a_folder_means_all_that_is_inside() {
        assert!(matches("share/zoneinfo", "share/zoneinfo/Europe/Berlin"));
        assert!(matches("share/zoneinfo/", "share/zoneinfo/Europe/Berlin"));
        assert!(!matches("share/zone", "share/zoneinfo/UTC"));
        assert!(matches("libc-bin/**", "libc-bin/lib/locale/C.utf8/LC_TIME"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "*a".repeat(40) + "b";
        assert!(!matches(&pattern, &"a".repeat(400)));
    }
}
