//! A word and the words that exist → the one that was probably meant.

/// The candidate nearest to `word`, when it is near enough to be a slip of the finger.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// A value that breaks its rule → one that does not, where the slip is one that many make: a path from
/// the root, a name with its version, a version with too many numbers, a file for a name.
pub(super) fn mended(value: &str, good: impl Fn(&str) -> bool) -> Option<String> {
    let lower = value.to_lowercase().replace([' ', '_'], "-");
    let file = lower.strip_suffix(".kdl").unwrap_or(&lower);
    let name = file.rsplit('/').next();
    let relative = value.trim_start_matches("../").trim_start_matches("./");
    let candidates = [
        name.filter(|_| value.ends_with(".kdl")),
        value.strip_prefix("/usr/"),
        value.strip_prefix('/'),
        Some(relative),
        value
            .find(['=', '<', '>', '~', '!', '['])
            .map(|end| value[..end].trim_end()),
        value
            .rsplit_once('.')
            .map(|(before, _)| before)
            .filter(|it| it.contains('.')),
        Some(value)
            .filter(|value| value.contains(' '))
            .map(|_| lower.as_str()),
        name.filter(|_| file.starts_with('.')),
    ];
    let mut candidates = candidates.into_iter().flatten();
    candidates
        .find(|it| *it != value && good(it))
        .map(str::to_owned)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. Words
/// over 64 characters are nobody's typing mistake and are infinitely far.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(65).collect();
    let b: Vec<char> = b.chars().take(65).collect();
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let words = ["interpreter", "pip", "system", "closure", "check"];
        assert_eq!(nearest("interpeter", words), Some("interpreter"));
        assert_eq!(nearest("systme", words), Some("system"));
        assert_eq!(nearest("PIP", words), Some("pip"));
        assert_eq!(nearest("package", words), None);
        assert_eq!(nearest("x", words), None);
    }

    #[test]
    fn a_value_that_many_write_is_mended() {
        let path = |it: &str| !it.is_empty() && !it.starts_with(['/', '.']);
        assert_eq!(mended("/usr/share/doc", path).as_deref(), Some("share/doc"));
        assert_eq!(mended("../bin/sh", path).as_deref(), Some("bin/sh"));
        let name =
            |it: &str| !it.is_empty() && it.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        assert_eq!(mended("./hello.kdl", name).as_deref(), Some("hello"));
        assert_eq!(mended("../My App", name).as_deref(), Some("my-app"));
        assert_eq!(mended("requests >= 2", name).as_deref(), Some("requests"));
        assert_eq!(mended("日本", name), None);
        let number = |it: &str| it.matches('.').count() == 1;
        assert_eq!(mended("3.13.5", number).as_deref(), Some("3.13"));
    }

    #[test]
    fn distances_are_counted_in_characters() {
        assert_eq!(distance("närrisch", "narrisch"), 1);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance(&"a".repeat(65), "a"), usize::MAX);
    }
}
