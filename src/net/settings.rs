//! What the client has to know, as plain data: mirrors, proxies, certificates, times.

use camino::Utf8PathBuf;
use reqwest::Url;

use super::error::{NetError, shown};
use super::retry::Timing;

/// Everything the client has to know. Gathered by `cli`, from flags, environment, files ([`super::Machine::settings`]).
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Mirrors of the Debian archive, the best first.
    pub debian: Vec<Url>,
    /// Mirrors of Debian's security archive.
    pub debian_security: Vec<Url>,
    /// Python package indexes (simple API), each complete in itself. Empty: whoever asks falls back to pip's own.
    pub python_index: Vec<Url>,
    /// Make no socket. `file:` mirrors still work.
    pub offline: bool,
    /// Proxies.
    pub proxies: Proxies,
    /// A PEM file of certificate authorities, besides the system's.
    pub authorities: Option<Utf8PathBuf>,
    /// A folder or file of OpenPGP keys that may sign a Debian archive, besides Debian's own.
    pub archive_keys: Option<Utf8PathBuf>,
    /// The `/` of the machine whose installed packages are taken; our own without.
    pub host_root: Option<Utf8PathBuf>,
    /// Times and bounds.
    pub timing: Timing,
    /// What was read and is deliberately not used, for people.
    pub notes: Vec<String>,
}

/// Proxies, as `http_proxy` and its sisters say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:` URLs.
    pub http: Option<String>,
    /// For `https:` URLs.
    pub https: Option<String>,
    /// Hosts that are asked directly, as in `NO_PROXY`.
    pub none: Option<String>,
    /// The variables that said so, for messages.
    pub variables: Vec<String>,
}

impl Settings {
    /// The mirrors of an archive; none for an archive nobody knows.
    pub fn mirrors(&self, archive: &str) -> &[Url] {
        match archive {
            "debian" => &self.debian,
            "debian-security" => &self.debian_security,
            "python" => &self.python_index,
            _ => &[],
        }
    }
}

/// A mirror's URL and a path inside the archive, joined. What is not a plain relative path is refused.
pub(super) fn join(mirror: &Url, path: &str) -> Result<Url, NetError> {
    let refuse = |reason: &str| NetError::Setting {
        setting: format!("a path inside {}", shown(mirror)),
        value: path.escape_debug().to_string(),
        reason: reason.into(),
    };
    if path.split('/').any(|part| matches!(part, "" | "." | ".."))
        || path.chars().any(char::is_control)
    {
        return Err(refuse("it is not a plain relative path"));
    }
    let mut url = mirror.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend(path.split('/')),
        Err(()) => return Err(refuse("the mirror's URL cannot hold a path")),
    };
    Ok(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn f064_a_path_never_leaves_its_mirror() {
        let mirror: Url = "http://mirror.test/debian/".parse().unwrap();
        let url = join(&mirror, "pool/main/g/g++/g++_1%3a4~x_amd64.deb").unwrap();
        assert_eq!(
            url.as_str(),
            "http://mirror.test/debian/pool/main/g/g++/g++_1%253a4~x_amd64.deb"
        );
        for path in ["../x", "a/../x", "/x", "a//b", "", "a/.", "a\nb"] {
            assert!(join(&mirror, path).is_err(), "{path:?}");
        }
    }
}
