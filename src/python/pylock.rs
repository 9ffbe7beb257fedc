//! `pylock.toml` (PEP 751), a resolver's answer → [`Package`]s with the files to choose from.

use serde::Deserialize;

use super::name::shorten;
use super::{ProjectName, PythonError, Version};

/// Most bytes of one `pylock.toml`.
const LARGEST: usize = 64 << 20;

/// One project that was chosen, in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The project.
    pub name: ProjectName,
    /// The version chosen.
    pub version: Version,
    /// Its wheels that may run on the platform, as far as the resolver narrowed them.
    pub wheels: Vec<File>,
    /// Its source distribution.
    pub sdist: Option<File>,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The file's name.
    pub name: String,
    /// Where the index has it: absolute, or relative to nothing that is known.
    pub url: Option<String>,
    /// Bytes, if the index said so.
    pub size: Option<u64>,
    /// sha256, lower-case hex.
    pub sha256: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawLock {
    lock_version: String,
    #[serde(default)]
    packages: Vec<RawPackage>,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    version: Option<String>,
    #[serde(default)]
    wheels: Vec<RawFile>,
    sdist: Option<RawFile>,
    archive: Option<toml::Value>,
    directory: Option<toml::Value>,
    vcs: Option<toml::Value>,
}

#[derive(Deserialize)]
struct RawFile {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    hashes: std::collections::BTreeMap<String, String>,
}

/// Reads a `pylock.toml` of any major version 1; fields it does not know are skipped, as PEP 751
/// wants. A package from a folder, a version control system or a bare archive is refused.
pub fn parse(text: &str) -> Result<Vec<Package>, PythonError> {
    let wrong = |reason: String| PythonError::Pylock { reason };
    if text.len() > LARGEST {
        return Err(wrong(format!("larger than {LARGEST} bytes")));
    }
    let raw: RawLock = toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))?;
    if raw.lock_version.split('.').next() != Some("1") {
        return Err(wrong(format!(
            "lock-version {:?}, wanted 1.x",
            shorten(&raw.lock_version)
        )));
    }
    raw.packages.into_iter().map(package).collect()
}

fn package(raw: RawPackage) -> Result<Package, PythonError> {
    let wrong = |reason: &str| PythonError::Pylock {
        reason: format!("{}: {reason}", shorten(&raw.name)),
    };
    if raw.archive.is_some() || raw.directory.is_some() || raw.vcs.is_some() {
        return Err(wrong(
            "comes from a URL, a folder or a repository, not from an index",
        ));
    }
    let version = raw.version.as_deref().ok_or_else(|| wrong("no version"))?;
    Ok(Package {
        name: raw.name.parse()?,
        version: super::name::version(version)?,
        sdist: raw.sdist.map(|it| file(&raw.name, it)).transpose()?,
        wheels: raw
            .wheels
            .into_iter()
            .map(|it| file(&raw.name, it))
            .collect::<Result<_, _>>()?,
    })
}

fn file(project: &str, raw: RawFile) -> Result<File, PythonError> {
    let wrong = |reason: &str| PythonError::Pylock {
        reason: format!("{}: {reason}", shorten(project)),
    };
    let from_url = raw.url.as_deref().map(super::index::file_name_of);
    let from_path = raw.path.as_deref().map(super::index::file_name_of);
    let name = raw
        .name
        .or(from_url)
        .or(from_path)
        .ok_or_else(|| wrong("a file without a name"))?;
    let sha256 = raw
        .hashes
        .get("sha256")
        .map(|hash| hash.to_ascii_lowercase());
    let sha256 = sha256
        .filter(|hash| super::index::is_sha256(hash))
        .ok_or_else(|| wrong("a file without a sha256"))?;
    Ok(File {
        name,
        url: raw.url,
        size: raw.size,
        sha256,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "2a0d60c172f83ac6ab31e4554906c0f3b3588d37b5cb939b1c061f4907e278e0";

    fn lock(package: &str) -> String {
        format!("lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\n{package}\n")
    }

    #[test]
    fn a_wheels_name_comes_from_its_url_when_it_has_none() {
        let url = "https://files.example/a/b/requests-2.34.2-py3-none-any.whl";
        let text = lock(&format!(
            "name = \"Requests\"\nversion = \"2.34.2\"\nindex = \"x\"\n\
             wheels = [{{ url = \"{url}\", upload-time = 2026-05-14T19:25:26Z, hashes = {{ sha256 = \"{HASH}\" }} }}]"
        ));
        let packages = parse(&text).unwrap();
        assert_eq!(packages[0].name.as_str(), "requests");
        assert_eq!(
            packages[0].wheels[0].name,
            "requests-2.34.2-py3-none-any.whl"
        );
        assert_eq!(packages[0].wheels[0].sha256, HASH);
    }

    #[test]
    fn weak_hashes_other_sources_and_later_formats_are_refused() {
        let weak =
            "name='a'\nversion='1'\nwheels=[{name='a-1-py3-none-any.whl',hashes={md5='00'}}]";
        let folder = "name='a'\nversion='1'\ndirectory={path='.'}";
        for package in [weak, folder, "name='a'", "name='../a'\nversion='1'"] {
            assert!(parse(&lock(package)).is_err(), "{package}");
        }
        assert!(parse("lock-version = '2.0'").is_err());
        assert!(parse("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text);
            let _ = parse(&lock(&text));
        }
    }
}
