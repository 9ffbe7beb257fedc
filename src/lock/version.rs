//! Debian versions in dpkg's order. Begin at [`compare`].
//!
//! `[epoch:]upstream[-revision]`; the order is the one of deb-version(7): epochs as numbers, then
//! stretches of other characters and stretches of digits in turn, `~` before everything, even the end.

use std::cmp::Ordering;

/// The order of two versions.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, left_upstream, left_revision) = split(left);
    let (right_epoch, right_upstream, right_revision) = split(right);
    number(left_epoch)
        .cmp(&number(right_epoch))
        .then_with(|| part(left_upstream.as_bytes(), right_upstream.as_bytes()))
        .then_with(|| part(left_revision.as_bytes(), right_revision.as_bytes()))
}

/// Whether a text is a version at all: what an index may say.
pub fn is_version(text: &str) -> bool {
    let (epoch, upstream, revision) = split(text);
    let plain = |part: &str, more: &[u8]| {
        part.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || b".+~".contains(&byte) || more.contains(&byte)
        })
    };
    let has_epoch = text.contains(':');
    let good_epoch = if has_epoch {
        !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit())
    } else {
        true
    };
    let good_revision = plain(revision, b"") && !text.ends_with('-');
    text.len() <= 256
        && good_epoch
        && upstream.starts_with(|c: char| c.is_ascii_digit())
        && plain(upstream, b"-:")
        && good_revision
}

/// Whether `version` stands in `relation` (`<<`, `<=`, `=`, `>=`, `>>`) to `wanted`.
pub fn satisfies(version: &str, relation: Relation, wanted: &str) -> bool {
    let order = compare(version, wanted);
    match relation {
        Relation::Earlier => order.is_lt(),
        Relation::EarlierOrEqual => order.is_le(),
        Relation::Equal => order.is_eq(),
        Relation::LaterOrEqual => order.is_ge(),
        Relation::Later => order.is_gt(),
    }
}

/// How a version must stand to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Relation {
    /// As it is written in an index.
    pub fn sign(self) -> &'static str {
        match self {
            Relation::Earlier => "<<",
            Relation::EarlierOrEqual => "<=",
            Relation::Equal => "=",
            Relation::LaterOrEqual => ">=",
            Relation::Later => ">>",
        }
    }
}

/// Epoch, upstream version and revision; what is absent is empty.
fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// A number of any length: without leading zeros, the longer one is the greater.
fn number(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

fn part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_rest) = cut(left, |byte| !byte.is_ascii_digit());
        let (right_text, right_rest) = cut(right, |byte| !byte.is_ascii_digit());
        let order = text(left_text, right_text);
        if order.is_ne() {
            return order;
        }
        let (left_digits, left_rest) = cut(left_rest, |byte| byte.is_ascii_digit());
        let (right_digits, right_rest) = cut(right_rest, |byte| byte.is_ascii_digit());
        let order = digits(left_digits, right_digits);
        if order.is_ne() {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

fn cut(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| !belongs(*byte))
        .unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// Stretches without digits: `~`, then the end, then letters, then the rest.
fn text(left: &[u8], right: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    (0..left.len().max(right.len()))
        .map(|at| weight(left.get(at)).cmp(&weight(right.get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn digits(left: &[u8], right: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| {
        digits
            .iter()
            .position(|byte| *byte != b'0')
            .unwrap_or(digits.len())
    };
    let (left, right) = (&left[strip(left)..], &right[strip(right)..]);
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    #[test]
    fn the_examples_of_the_manual_hold() {
        let sorted = ["~~", "~~a", "~", "", "a"];
        for pair in sorted.windows(2) {
            assert_eq!(
                part(pair[0].as_bytes(), pair[1].as_bytes()),
                Ordering::Less,
                "{pair:?}"
            );
        }
        for (left, right, order) in [
            ("1.0~beta1~svn1245", "1.0~beta1", Ordering::Less),
            ("1.0~beta1", "1.0", Ordering::Less),
            ("1:0.4", "10.3", Ordering::Greater),
            ("0:1.0", "1.0", Ordering::Equal),
            ("1.0-0", "1.0", Ordering::Equal),
            ("1.05", "1.5", Ordering::Equal),
            (
                "99999999999999999999999",
                "100000000000000000000000",
                Ordering::Less,
            ),
            ("2.41-12+deb13u4", "2.41-12", Ordering::Greater),
            ("3.5.7-1~deb13u2", "3.5.7-1", Ordering::Less),
        ] {
            assert_eq!(compare(left, right), order, "{left} {right}");
            assert_eq!(compare(right, left), order.reverse(), "{right} {left}");
        }
    }

    #[test]
    fn what_dpkg_refuses_is_no_version() {
        for good in ["1", "0~", "1:2-3", "1.0-1-2", "2025b-0+deb13u1", "1:2:3-4"] {
            assert!(is_version(good), "{good}");
        }
        for bad in [
            "", "a", ":1", "x:1", "1-", "1 2", "1\n", "-1", "1_2", "1:", "é",
        ] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn f034_the_order_is_the_one_of_dpkg_on_a_thousand_pairs() {
        if Command::new("dpkg").arg("--version").output().is_err() {
            eprintln!("skipped: dpkg is not installed");
            return;
        }
        let one = "([0-2]:)?[0-9][0-9a-zA-B.+~]{0,6}(-[0-9a-b.+~]{1,4})?";
        // Half of the pairs are near each other: the same text with one end changed.
        let near = (
            "[0-9][0-9a.~+-]{0,4}[0-9]",
            "[0-9a.~+]{0,3}",
            "[0-9a.~+]{0,3}",
        )
            .prop_map(|(start, one, two)| (format!("{start}{one}"), format!("{start}{two}")));
        let pairs = prop_oneof![(one, one), near];
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::with_cases(1)
        });
        let list = proptest::collection::vec(pairs, 1200);
        runner
            .run(&list, |pairs| {
                // One shell for all of them: starting a thousand shells would take the time.
                let script: String = pairs
                    .iter()
                    .map(|(a, b)| {
                        format!("if dpkg --compare-versions '{a}' lt '{b}'; then echo lt; elif dpkg --compare-versions '{a}' eq '{b}'; then echo eq; else echo gt; fi\n")
                    })
                    .collect();
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("compare");
                std::fs::write(&file, script).unwrap();
                let output = Command::new("sh").arg(&file).output().unwrap();
                let answers = String::from_utf8(output.stdout).unwrap();
                assert_eq!(answers.lines().count(), pairs.len());
                for ((a, b), answer) in pairs.iter().zip(answers.lines()) {
                    let ours = match compare(a, b) {
                        Ordering::Less => "lt",
                        Ordering::Equal => "eq",
                        Ordering::Greater => "gt",
                    };
                    prop_assert_eq!(ours, answer, "{} {}", a, b);
                }
                Ok(())
            })
            .unwrap();
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[0-9][0-9a.~+:-]{0,6}", b in "[0-9][0-9a.~+:-]{0,6}", c in "[0-9][0-9a.~+:-]{0,6}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
