//! A name nobody has, and the names there are → those that were probably meant.

/// The nearest names, the best first, at most five.
pub(crate) fn nearest<'n>(name: &str, all: impl Iterator<Item = &'n str>) -> Vec<String> {
    let most = (name.len() / 3).clamp(1, 3);
    let plain = letters(name);
    let mut near: Vec<(usize, &str)> = all
        .filter_map(|other| {
            // `libssl` for `libssl3t64`: what a name begins with is often all that is remembered.
            let begins = name.len() >= 4 && (other.starts_with(name) || letters(other) == plain);
            let distance = distance(name, other, most + 1);
            if distance <= most {
                Some((distance, other))
            } else {
                begins.then(|| (most + 1 + other.len() - name.len().min(other.len()), other))
            }
        })
        .collect();
    near.sort();
    near.into_iter()
        .take(5)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// The same as a question; nothing where no name is near.
pub(crate) fn question<'n>(name: &str, all: impl Iterator<Item = &'n str>) -> Option<String> {
    let near = nearest(name, all);
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(", ")))
}

/// A name without its version's digits and punctuation: `libssl3t64` and `libssl` have the same.
fn letters(name: &str) -> String {
    let name = name.strip_suffix("t64").unwrap_or(name);
    name.chars().filter(char::is_ascii_alphabetic).collect()
}

/// Edits between two names; `most` when there are that many or more.
fn distance(a: &str, b: &str, most: usize) -> usize {
    if a.len().abs_diff(b.len()) >= most || a.len() > 128 {
        return most;
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replace = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()].min(most)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_of_the_finger_and_forgotten_versions_are_found() {
        let names = [
            "libudev1",
            "libudev-dev",
            "libssl3t64",
            "libssl-dev",
            "zlib1g",
            "ca-certificates",
            "curl",
        ];
        let near = |name: &str| nearest(name, names.into_iter());
        assert_eq!(near("libudev")[0], "libudev1");
        assert_eq!(near("libudevl")[0], "libudev1");
        assert!(near("libssl").contains(&"libssl3t64".to_owned()));
        assert_eq!(near("ca-certifcates"), ["ca-certificates"]);
        assert!(near("something-else").is_empty());
    }
}
