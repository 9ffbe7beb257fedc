//! apt's sources (one-line and deb822) → mirrors of Debian. Other distributions' and vendors' entries are left alone.

use camino::Utf8PathBuf;
use reqwest::Url;

/// Release names of Debian, and the names that move.
const RELEASES: [&str; 17] = [
    "wheezy",
    "jessie",
    "stretch",
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "experimental",
    "unstable",
    "testing",
    "stable",
    "oldstable",
    "oldoldstable",
    "rc-buggy",
];

/// What apt's sources say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mirrors {
    pub(super) debian: Vec<Url>,
    pub(super) debian_security: Vec<Url>,
    pub(super) notes: Vec<String>,
}

/// One entry: places, and the suites they have.
struct Entry<'a> {
    uris: Vec<&'a str>,
    suites: Vec<&'a str>,
}

pub(super) fn read(files: &[(Utf8PathBuf, String)]) -> Mirrors {
    let mut mirrors = Mirrors::default();
    for (path, text) in files {
        let entries = if path.extension() == Some("sources") {
            deb822(text)
        } else {
            one_line(text)
        };
        for entry in entries {
            mirrors.add(&entry, path);
        }
    }
    mirrors
}

impl Mirrors {
    fn add(&mut self, entry: &Entry<'_>, path: &Utf8PathBuf) {
        for suite in &entry.suites {
            let Some(is_security) = security(suite) else {
                continue;
            };
            for uri in &entry.uris {
                let url = match uri.parse::<Url>() {
                    Ok(url) if matches!(url.scheme(), "http" | "https" | "file") => url,
                    _ => {
                        let kind = uri.split(':').next().unwrap_or_default();
                        let note = format!("{path}: an entry with a {kind}: URI is not used");
                        if !self.notes.contains(&note) {
                            self.notes.push(note);
                        }
                        continue;
                    }
                };
                let list = if is_security {
                    &mut self.debian_security
                } else {
                    &mut self.debian
                };
                if !list.contains(&url) {
                    list.push(url);
                }
            }
        }
    }
}

/// Whether a suite is one of Debian's security archive; `None` when it is not Debian's at all.
fn security(suite: &str) -> Option<bool> {
    let (name, is_security) = match suite
        .strip_suffix("-security")
        .or_else(|| suite.strip_suffix("/updates"))
    {
        Some(name) => (name, true),
        None => (suite, false),
    };
    let ends = [
        "-updates",
        "-backports",
        "-backports-sloppy",
        "-proposed-updates",
    ];
    let name = ends
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name);
    RELEASES.contains(&name).then_some(is_security)
}

/// `deb [options] URI suite component ...`
fn one_line(text: &str) -> Vec<Entry<'_>> {
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next().unwrap_or_default().trim();
            let rest = line
                .strip_prefix("deb-src")
                .or_else(|| line.strip_prefix("deb"))?;
            if !rest.starts_with([' ', '\t', '[']) {
                return None;
            }
            let rest = rest.trim_start();
            let rest = match rest.strip_prefix('[') {
                Some(options) => options.split_once(']')?.1,
                None => rest,
            };
            let mut words = rest.split_ascii_whitespace();
            Some(Entry {
                uris: vec![words.next()?],
                suites: vec![words.next()?],
            })
        })
        .collect()
}

/// Paragraphs with `Types`, `URIs`, `Suites`; `Enabled: no` turns one off.
fn deb822(text: &str) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut fields: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            entries.extend(entry(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, words)) = fields.last_mut() {
                words.extend(line.split_ascii_whitespace());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim(), value.split_ascii_whitespace().collect()));
        }
    }
    entries
}

fn entry<'a>(fields: &[(&str, Vec<&'a str>)]) -> Option<Entry<'a>> {
    let words = |wanted: &str| {
        fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, words)| words.clone())
            .unwrap_or_default()
    };
    let off = words("Enabled").first().is_some_and(|word| {
        matches!(
            word.to_ascii_lowercase().as_str(),
            "no" | "false" | "0" | "off" | "without"
        )
    });
    let is_deb = words("Types")
        .iter()
        .any(|kind| matches!(*kind, "deb" | "deb-src"));
    (!off && is_deb).then(|| Entry {
        uris: words("URIs"),
        suites: words("Suites"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> (Vec<String>, Vec<String>) {
        let mirrors = read(&[(name.into(), text.to_owned())]);
        let text = |urls: Vec<Url>| urls.into_iter().map(String::from).collect();
        (text(mirrors.debian), text(mirrors.debian_security))
    }

    #[test]
    fn deb822_sources_give_debian_and_its_security_archive() {
        let text = "Types: deb\n# a comment\nURIs: http://m.test/debian\n  http://n.test/debian/\nSuites: bookworm bookworm-updates\n\
                    Components: main\n\nTypes: deb deb-src\nURIs: http://m.test/sec\nSuites: bookworm-security\nSigned-By:\n -----BEGIN\n .\n x\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://off.test/debian\nSuites: bookworm\n\n\
                    Types: deb\nURIs: https://vendor.test/apt\nSuites: nodistro\n";
        let (debian, security) = of("/x/debian.sources", text);
        assert_eq!(debian, ["http://m.test/debian", "http://n.test/debian/"]);
        assert_eq!(security, ["http://m.test/sec"]);
    }

    #[test]
    fn one_line_sources_may_have_options_and_comments() {
        let text = "# deb http://no.test/debian sid main\ndeb http://m.test/debian trixie main contrib # mine\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://n.test/debian bullseye-backports main\n\
                    deb-src http://m.test/debian trixie main\ndeb http://s.test/sec buster/updates main\n\
                    deb http://ubuntu.test/ubuntu jammy main\ndebris http://x.test/ sid main\ndeb\ndeb [x\n";
        let (debian, security) = of("/x/sources.list", text);
        assert_eq!(debian, ["http://m.test/debian", "https://n.test/debian"]);
        assert_eq!(security, ["http://s.test/sec"]);
    }

    #[test]
    fn mirror_lists_and_discs_are_not_used_and_said_so() {
        let text = "deb mirror+file:/etc/mirrors trixie main\ndeb cdrom:[Debian]/ trixie main\ndeb file:///srv/debian trixie main\n";
        let mirrors = read(&[("/x/a.list".into(), text.into())]);
        assert_eq!(mirrors.debian.len(), 1);
        assert!(
            mirrors.notes[0].contains("mirror+file"),
            "{:?}",
            mirrors.notes
        );
    }
}
