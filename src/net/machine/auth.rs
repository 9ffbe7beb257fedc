//! apt's `auth.conf` → names and passwords on the mirrors they belong to. Begin at [`add`].
//!
//! As apt_auth.conf(5) says: words separated by white space, `machine [PROTOCOL://]HOST[:PORT][/PATH]`,
//! then `login NAME` and `password WORD`. An entry without a protocol is for https alone. What stands in a
//! mirror's own URL is stronger. Nothing of these files is ever printed.

use camino::Utf8PathBuf;
use reqwest::Url;

/// One entry.
#[derive(Default)]
struct Entry {
    machine: String,
    login: String,
    password: String,
}

/// Puts the first entry that fits on each mirror that has no name and password of its own.
pub(super) fn add(files: &[(Utf8PathBuf, String)], mirrors: &mut [Url]) {
    let entries: Vec<Entry> = files.iter().flat_map(|(_, text)| entries(text)).collect();
    for mirror in mirrors {
        let has_own = !mirror.username().is_empty() || mirror.password().is_some();
        let fits = |entry: &&Entry| !has_own && entry.fits(mirror);
        if let Some(entry) = entries.iter().find(fits) {
            // Only URLs without a host refuse, and an entry fits none of those.
            let _ = mirror.set_username(&entry.login);
            let _ = mirror.set_password(Some(&entry.password));
        }
    }
}

fn entries(text: &str) -> Vec<Entry> {
    let lines = text.lines().map(str::trim_start);
    let mut words = lines
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace);
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default().to_owned();
        match (word, entries.last_mut()) {
            ("machine", _) => entries.push(Entry {
                machine: value(),
                ..Entry::default()
            }),
            ("login", Some(entry)) => entry.login = value(),
            ("password", Some(entry)) => entry.password = value(),
            _ => {}
        }
    }
    entries
}

impl Entry {
    fn fits(&self, mirror: &Url) -> bool {
        let (scheme, rest) = self
            .machine
            .split_once("://")
            .unwrap_or(("https", &self.machine));
        let Ok(wanted) = format!("{scheme}://{rest}").parse::<Url>() else {
            return false;
        };
        let origin = |url: &Url| {
            let host = url.host_str().unwrap_or_default().to_owned();
            (url.scheme().to_owned(), host, url.port_or_known_default())
        };
        let path = wanted.path().trim_end_matches('/');
        let below = mirror.path().strip_prefix(path);
        wanted.has_host()
            && origin(&wanted) == origin(mirror)
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FILE: &str = "# machine no.test login no password no\n\
        machine a.test/debian login me password secret\n\
        machine http://b.test:8080\n  login you\n  password word machine a.test login other password x\n";

    fn with(mirror: &str) -> String {
        let mut mirrors = [mirror.parse().unwrap()];
        add(&[("auth.conf".into(), FILE.into())], &mut mirrors);
        mirrors[0].to_string()
    }

    #[test]
    fn a_name_and_password_go_to_the_machine_they_are_for_and_to_no_other() {
        assert_eq!(
            with("https://a.test/debian"),
            "https://me:secret@a.test/debian"
        );
        assert_eq!(
            with("https://a.test/debian2"),
            "https://other:x@a.test/debian2"
        );
        assert_eq!(
            with("http://b.test:8080/x"),
            "http://you:word@b.test:8080/x"
        );
        for other in [
            "http://a.test/debian",
            "https://a.test:444/debian",
            "https://b.test/x",
            "http://b.test/x",
            "https://no.test/",
            "https://xa.test/debian",
            "file:///debian",
        ] {
            assert_eq!(with(other), other);
        }
    }

    #[test]
    fn a_mirrors_own_name_and_password_are_stronger() {
        let own = "https://own:word@a.test/debian";
        assert_eq!(with(own), own);
    }

    #[test]
    fn what_is_broken_gives_nothing() {
        for text in [
            "machine",
            "login a password b",
            "machine :// login a password b",
            "\0",
        ] {
            let mut mirrors = ["https://a.test/".parse().unwrap()];
            add(&[("auth.conf".into(), text.into())], &mut mirrors);
            assert_eq!(mirrors[0].as_str(), "https://a.test/", "{text:?}");
        }
    }
}
