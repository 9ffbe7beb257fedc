//! The text of a verified `InRelease` → [`Release`]: when it was made, how long it lasts, which files it vouches for.

use std::collections::BTreeMap;

use deb822_fast::borrowed::parse_borrowed;

use crate::net::date;

/// A clock may be this wrong (seconds) before an index counts as one from the future.
const CLOCK_SLACK: u64 = 3_600;

/// What an `InRelease` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Codename`, `trixie-security`.
    pub codename: String,
    /// `Suite`, `stable-security`.
    pub suite: String,
    /// `Date`, seconds since 1970.
    pub date: u64,
    /// `Valid-Until`, where there is one: stable releases have none.
    pub valid_until: Option<u64>,
    /// Whether indexes can be fetched by their hash, so that a mirror in the middle of an update does no harm.
    pub by_hash: bool,
    /// Whether packages for all architectures have an index of their own.
    pub separate_all: bool,
    /// Index files by path below `dists/SUITE/`: size and sha256.
    pub files: BTreeMap<String, (u64, String)>,
}

/// Why an index is not used although its signature is good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// A field is missing or makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// `Valid-Until` is past.
    #[error("it was valid until {}, and this machine's clock says {}", date::show(*until), date::show(*now))]
    Expired {
        /// `Valid-Until`.
        until: u64,
        /// The clock.
        now: u64,
    },
    /// `Date` lies ahead.
    #[error("it was made on {}, and this machine's clock says {}", date::show(*made), date::show(*now))]
    Ahead {
        /// `Date`.
        made: u64,
        /// The clock.
        now: u64,
    },
    /// An older index than the one of the lock: a mirror that stands still, or somebody who hides updates.
    #[error("it was made on {}, but the lock already knows one of {} (this machine's clock says {})", date::show(*made), date::show(*known), date::show(*now))]
    Older {
        /// `Date`.
        made: u64,
        /// What the lock knows.
        known: u64,
        /// The clock.
        now: u64,
    },
}

impl Release {
    /// Reads a verified text.
    pub fn read(text: &str) -> Result<Release, Stale> {
        let malformed = |reason: &str| Stale::Malformed(reason.to_owned());
        let paragraphs = parse_borrowed(text)
            .map_err(|error| Stale::Malformed(format!("it cannot be read: {error}")))?;
        let [paragraph] = &paragraphs[..] else {
            return Err(malformed("it has not exactly one paragraph"));
        };
        let field = |name: &str| paragraph.get_single(name).unwrap_or_default().trim();
        let date = date::parse(field("Date")).ok_or_else(|| malformed("it has no Date"))?;
        let valid_until = match field("Valid-Until") {
            "" => None,
            text => Some(date::parse(text).ok_or_else(|| malformed("its Valid-Until is no date"))?),
        };
        let mut files = BTreeMap::new();
        for line in paragraph.get("SHA256").unwrap_or_default() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                [] => {}
                [sha256, size, path] => {
                    let size = size
                        .parse()
                        .map_err(|_| malformed("a size in it is no number"))?;
                    if !is_sha256(sha256)
                        || path.split('/').any(|part| matches!(part, "" | "." | ".."))
                    {
                        return Err(malformed("a hash or path in it makes no sense"));
                    }
                    if files
                        .insert(path.to_owned(), (size, sha256.to_owned()))
                        .is_some()
                    {
                        return Err(Stale::Malformed(format!("it names {path} twice")));
                    }
                }
                _ => return Err(malformed("a line of its SHA256 field makes no sense")),
            }
        }
        let separate = field("Architectures")
            .split_ascii_whitespace()
            .any(|word| word == "all")
            && !field("No-Support-for-Architecture-all")
                .split_ascii_whitespace()
                .any(|word| word == "Packages");
        Ok(Release {
            codename: field("Codename").to_owned(),
            suite: field("Suite").to_owned(),
            date,
            valid_until,
            by_hash: field("Acquire-By-Hash") == "yes",
            separate_all: separate,
            files,
        })
    }

    /// Whether it may be used at `now`; `known` is the date of the index that the lock was made from.
    pub fn check(&self, now: u64, known: Option<u64>, allow_expired: bool) -> Result<(), Stale> {
        if self.date > now + CLOCK_SLACK {
            return Err(Stale::Ahead {
                made: self.date,
                now,
            });
        }
        match self.valid_until {
            Some(until) if until < now && !allow_expired => {
                return Err(Stale::Expired { until, now });
            }
            _ => {}
        }
        match known {
            Some(known) if self.date < known => Err(Stale::Older {
                made: self.date,
                known,
                now,
            }),
            _ => Ok(()),
        }
    }
}

/// 64 lower-case hex digits.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(more: &str) -> String {
        let hash = "a".repeat(64);
        format!(
            "Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nAcquire-By-Hash: yes\n\
             Architectures: all amd64\n{more}SHA256:\n {hash}  5 main/binary-amd64/Packages.xz\n"
        )
    }

    const NOW: u64 = 1_789_200_000;

    #[test]
    fn what_a_release_says_is_read() {
        let release = Release::read(&text("No-Support-for-Architecture-all: Packages\n")).unwrap();
        assert_eq!(
            (release.codename.as_str(), release.date),
            ("trixie", 1_789_199_741)
        );
        assert_eq!(release.files["main/binary-amd64/Packages.xz"].0, 5);
        assert!(release.by_hash && !release.separate_all && release.valid_until.is_none());
        assert!(Release::read(&text("")).unwrap().separate_all);
    }

    #[test]
    fn f036_an_index_from_another_time_is_refused_with_all_the_dates() {
        let expires = Release::read(&text("Valid-Until: Sat, 12 Sep 2026 08:00:00 UTC\n")).unwrap();
        assert_eq!(expires.check(NOW, None, false), Ok(()));
        let error = expires
            .check(NOW + 10_000, None, false)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("2026-09-12 08:00:00") && error.contains("2026-09-12 10:46:40"),
            "{error}"
        );
        assert_eq!(expires.check(NOW + 10_000, None, true), Ok(()));
        let release = Release::read(&text("")).unwrap();
        assert!(matches!(
            release.check(NOW - 10_000, None, true),
            Err(Stale::Ahead { .. })
        ));
        assert!(matches!(
            release.check(NOW, Some(NOW), true),
            Err(Stale::Older { .. })
        ));
        assert_eq!(release.check(NOW, Some(release.date), false), Ok(()));
    }

    #[test]
    fn f044_what_is_no_release_is_refused() {
        let good = text("");
        for bad in [
            String::new(),
            "\0".into(),
            good.replace("12 Sep", "12 then"),
            good.replace("Date:", "When:"),
            good.replace(" 5 ", " five "),
            good.replace("main/binary", "../binary"),
            good.replace("aaa", "zzz"),
            format!(
                "{good} {}  5 main/binary-amd64/Packages.xz\n",
                "b".repeat(64)
            ),
            format!("{good}\nSuite: second\n"),
            text("Valid-Until: tomorrow\n"),
        ] {
            assert!(Release::read(&bad).is_err(), "{bad}");
        }
    }
}
