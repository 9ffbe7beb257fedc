//! Flags, environment, our configuration and the machine's → [`Settings`]. Begin at [`Machine::settings`].
//!
//! What is said nearer to the person wins: a flag, then a `RECIPE_*` variable, then our
//! configuration file, then what apt, pip and uv are told on this machine. Each setting is taken
//! whole from the first that says it. [`Machine::read`] is the only function here with I/O.

mod apt;
mod auth;
mod python;

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use reqwest::Url;

use super::error::{NetError, shown};
use super::settings::{Proxies, Settings};

/// What one place (the flags, or our configuration file) says. Empty means: says nothing.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Mirrors of the Debian archive.
    pub debian: Vec<String>,
    /// Mirrors of Debian's security archive.
    pub debian_security: Vec<String>,
    /// Python indexes.
    pub python_index: Vec<String>,
    /// Make no socket.
    pub offline: bool,
    /// A folder or file of OpenPGP keys that may sign a Debian archive.
    pub archive_keys: Option<Utf8PathBuf>,
}

impl Said {
    /// Whether each mirror is one that can be asked. `place` says it, for the message.
    pub fn check(&self, place: &str) -> Result<(), NetError> {
        let mirrors = [&self.debian, &self.debian_security, &self.python_index];
        let mut mirrors = mirrors.into_iter().flatten();
        mirrors.try_for_each(|text| url(place, text).map(drop))
    }
}

/// The texts of this machine's configuration that concern us.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// apt's sources: path and text, in apt's order.
    pub apt: Vec<(Utf8PathBuf, String)>,
    /// apt's names and passwords: path and text, in apt's order.
    pub apt_auth: Vec<(Utf8PathBuf, String)>,
    /// pip's configuration files, the strongest first.
    pub pip: Vec<(Utf8PathBuf, String)>,
    /// uv's configuration files, the strongest first.
    pub uv: Vec<(Utf8PathBuf, String)>,
}

impl Machine {
    /// Reads the configuration files that exist. What cannot be read counts as absent.
    pub fn read(env: BTreeMap<String, String>) -> Machine {
        let apt = read_all(&apt_files());
        let apt_auth = read_all(&apt_auth_files());
        let pip = read_all(&python::pip_files(&env));
        let uv = read_all(&python::uv_files(&env));
        Machine {
            env,
            apt,
            apt_auth,
            pip,
            uv,
        }
    }

    /// The settings, from the flags, our configuration file, and this machine.
    pub fn settings(&self, flags: &Said, file: &Said) -> Result<Settings, NetError> {
        let env = self.said_by_variables();
        let python = python::read(&self.env, &self.pip, &self.uv);
        let apt = apt::read(&self.apt);
        let said = |pick: fn(&Said) -> &Vec<String>| {
            [
                ("the command line", flags),
                ("RECIPE_* variables", &env),
                ("the configuration file", file),
            ]
            .into_iter()
            .find(|(_, said)| !pick(said).is_empty())
            .map(|(place, said)| (place.to_owned(), pick(said).clone()))
        };
        let mut debian = urls(said(|said| &said.debian))?;
        let mut security = urls(said(|said| &said.debian_security))?;
        if security.is_empty() {
            // A mirror that was named by hand nearly always has its security archive beside it.
            security = debian.iter().filter_map(security_beside).collect();
            security.extend(apt.debian_security);
        }
        if debian.is_empty() {
            debian = apt.debian;
        }
        auth::add(&self.apt_auth, &mut debian);
        auth::add(&self.apt_auth, &mut security);
        let python_index = urls(said(|said| &said.python_index).or(python.index))?;
        let archive_keys = [flags, &env, file]
            .into_iter()
            .find_map(|said| said.archive_keys.clone());
        Ok(Settings {
            debian,
            debian_security: security,
            python_index,
            offline: flags.offline || env.offline || file.offline,
            proxies: proxies(&self.env),
            authorities: python.authorities,
            archive_keys,
            host_root: self
                .env
                .get("RECIPE_HOST_ROOT")
                .filter(|path| !path.is_empty())
                .map(Utf8PathBuf::from),
            notes: apt.notes.into_iter().chain(python.notes).collect(),
            ..Settings::default()
        })
    }

    fn said_by_variables(&self) -> Said {
        let words = |name: &str| -> Vec<String> {
            let text = self.env.get(name).map(String::as_str).unwrap_or_default();
            text.split_ascii_whitespace().map(str::to_owned).collect()
        };
        Said {
            debian: words("RECIPE_DEBIAN_MIRROR"),
            debian_security: words("RECIPE_DEBIAN_SECURITY_MIRROR"),
            python_index: words("RECIPE_PYTHON_INDEX"),
            offline: self
                .env
                .get("RECIPE_OFFLINE")
                .is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false")),
            archive_keys: self
                .env
                .get("RECIPE_ARCHIVE_KEYS")
                .filter(|path| !path.is_empty())
                .map(Utf8PathBuf::from),
        }
    }
}

/// `http://mirror/debian` → `http://mirror/debian-security`.
fn security_beside(mirror: &Url) -> Option<Url> {
    let path = mirror
        .path()
        .trim_end_matches('/')
        .strip_suffix("/debian")?
        .to_owned();
    let mut url = mirror.clone();
    url.set_path(&format!("{path}/debian-security"));
    Some(url)
}

fn urls(said: Option<(String, Vec<String>)>) -> Result<Vec<Url>, NetError> {
    let Some((place, said)) = said else {
        return Ok(Vec::new());
    };
    said.iter().map(|text| url(&place, text)).collect()
}

fn url(place: &str, text: &str) -> Result<Url, NetError> {
    let bad = |value: &str, reason: String| NetError::Setting {
        setting: format!("a mirror in {place}"),
        value: value.escape_debug().to_string(),
        reason,
    };
    // What is no URL may still hold a password: it is not printed.
    let url: Url = text.parse().map_err(|reason| {
        bad(
            if text.contains('@') {
                "(not shown)"
            } else {
                text
            },
            format!("not a URL: {reason}"),
        )
    })?;
    match url.scheme() {
        "http" | "https" | "file" => Ok(url),
        scheme => Err(bad(
            &shown(&url),
            format!("{scheme}: is not http:, https: or file:"),
        )),
    }
}

fn proxies(env: &BTreeMap<String, String>) -> Proxies {
    let mut variables = Vec::new();
    let mut of = |names: &[&str]| {
        let (name, value) = names.iter().find_map(|name| {
            env.get(*name)
                .filter(|value| !value.is_empty())
                .map(|value| (name, value.clone()))
        })?;
        if !variables.iter().any(|known| known == name) {
            variables.push((*name).to_owned());
        }
        Some(value)
    };
    let http = of(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]);
    let https = of(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]);
    let none = ["no_proxy", "NO_PROXY"]
        .iter()
        .find_map(|name| env.get(*name).cloned());
    Proxies {
        http,
        https,
        none,
        variables,
    }
}

/// apt's source files, in the order apt reads them.
fn apt_files() -> Vec<Utf8PathBuf> {
    with_parts("/etc/apt/sources.list", &["list", "sources"])
}

/// apt's names and passwords, likewise.
fn apt_auth_files() -> Vec<Utf8PathBuf> {
    with_parts("/etc/apt/auth.conf", &["conf"])
}

/// A file, and those of the folder beside it that end like this.
fn with_parts(file: &str, endings: &[&str]) -> Vec<Utf8PathBuf> {
    let mut files = vec![Utf8PathBuf::from(file)];
    if let Ok(folder) = Utf8PathBuf::from(format!("{file}.d")).read_dir_utf8() {
        let names = folder.flatten().map(|entry| entry.path().to_owned());
        let mut parts: Vec<_> = names
            .filter(|path| path.extension().is_some_and(|end| endings.contains(&end)))
            .collect();
        parts.sort();
        files.append(&mut parts);
    }
    files
}

fn read_all(paths: &[Utf8PathBuf]) -> Vec<(Utf8PathBuf, String)> {
    let read = |path: &Utf8PathBuf| {
        // A device or FIFO would block; nobody keeps megabytes of configuration.
        let data = std::fs::metadata(path)
            .ok()
            .filter(|data| data.is_file() && data.len() < 1 << 20)?;
        let _ = data;
        Some((path.clone(), std::fs::read_to_string(path).ok()?))
    };
    paths.iter().filter_map(read).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn machine(env: &[(&str, &str)], apt: &str) -> Machine {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        Machine {
            env,
            apt: vec![("/etc/apt/sources.list".into(), apt.into())],
            ..Machine::default()
        }
    }

    fn said(debian: &str) -> Said {
        Said {
            debian: vec![debian.into()],
            ..Said::default()
        }
    }

    #[test]
    fn a_flag_beats_a_variable_beats_our_file_beats_apt() {
        let apt = "deb http://apt.test/debian bookworm main\ndeb http://apt.test/sec bookworm-security main\n";
        let machine = machine(&[("RECIPE_DEBIAN_MIRROR", "http://env.test/debian")], apt);
        let first = |flags: &Said, file: &Said, machine: &Machine| {
            machine.settings(flags, file).unwrap().debian[0]
                .host_str()
                .unwrap()
                .to_owned()
        };
        let nothing = Said::default();
        assert_eq!(
            first(
                &said("http://flag.test/debian"),
                &said("http://file.test/d"),
                &machine
            ),
            "flag.test"
        );
        assert_eq!(
            first(&nothing, &said("http://file.test/d"), &machine),
            "env.test"
        );
        let without = Machine {
            env: BTreeMap::new(),
            ..machine
        };
        assert_eq!(
            first(&nothing, &said("http://file.test/d"), &without),
            "file.test"
        );
        assert_eq!(first(&nothing, &nothing, &without), "apt.test");
    }

    #[test]
    fn the_security_archive_is_looked_for_beside_a_mirror_named_by_hand() {
        let apt = "deb http://apt.test/sec bookworm-security main\n";
        let settings = machine(&[], apt)
            .settings(&said("http://flag.test/debian/"), &Said::default())
            .unwrap();
        let urls: Vec<_> = settings.debian_security.iter().map(Url::as_str).collect();
        assert_eq!(
            urls,
            ["http://flag.test/debian-security", "http://apt.test/sec"]
        );
    }

    #[test]
    fn a_mirror_that_is_no_url_is_refused_without_its_password() {
        for text in [
            "ftp://mirror.test/debian",
            "mirror.test",
            "https://me:secret@[x",
        ] {
            let error = machine(&[], "")
                .settings(&said(text), &Said::default())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("the command line") && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn f067_proxies_come_from_the_usual_variables() {
        let env = [
            ("https_proxy", "http://p.test:1"),
            ("ALL_PROXY", "http://q.test:2"),
            ("NO_PROXY", "a.test,.b.test"),
        ];
        let settings = machine(&env, "")
            .settings(&Said::default(), &Said::default())
            .unwrap();
        assert_eq!(settings.proxies.https.as_deref(), Some("http://p.test:1"));
        assert_eq!(settings.proxies.http.as_deref(), Some("http://q.test:2"));
        assert_eq!(settings.proxies.none.as_deref(), Some("a.test,.b.test"));
        assert_eq!(settings.proxies.variables, ["ALL_PROXY", "https_proxy"]);
    }
}
