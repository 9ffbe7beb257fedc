//! The file of an sdist → its tree, and what stands in it of how it is built. Begin at [`unpack`].

use recipe_store::{BlobId, Entry, Session, TreeId};
use serde::Deserialize;

use super::SdistError;
use super::facts::Facts;
use crate::archive::{self, Compression, Limits, TreeSink};

/// The largest `pyproject.toml` that is read (bytes).
const MOST: u64 = 4 << 20;

/// Unpacks an sdist: an archive with one folder at its top.
pub(crate) fn unpack(
    session: &Session,
    blob: &BlobId,
    file_name: &str,
) -> Result<TreeId, SdistError> {
    let limits = Limits::default();
    let mut sink = TreeSink::new(session);
    let file = session.open_blob(blob)?;
    match Compression::of_tar_name(file_name) {
        Some(compression) => {
            archive::unpack_tar(file, compression, file_name, &limits, &mut sink)?;
        }
        None => archive::unpack_zip(&file, file_name, &limits, &mut sink)?,
    }
    let tree = sink.finish()?;
    let whole = session.read_tree(&tree)?;
    let mut folders = whole.iter().filter_map(|(_, entry)| match entry {
        Entry::Directory(inside) => Some(*inside),
        _ => None,
    });
    match (folders.next(), folders.next()) {
        (Some(inside), None) => Ok(inside),
        _ => Err(SdistError::Shape {
            file: file_name.to_owned(),
        }),
    }
}

/// How a project is built (PEP 517, PEP 518).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildSystem {
    /// What has to be there before the backend can be asked anything.
    pub requires: Vec<String>,
    /// `module:object`.
    pub backend: String,
    /// Folders of the source that the backend is imported from.
    pub paths: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    build_system: Option<Table>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    #[serde(default)]
    requires: Option<Vec<String>>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

impl BuildSystem {
    /// What `pyproject.toml` says; what PEP 517 lets be assumed where it says nothing.
    pub(crate) fn read(session: &Session, source: &TreeId) -> Result<BuildSystem, SdistError> {
        match text(session, source, "pyproject.toml")? {
            Some(text) => BuildSystem::parse(&text),
            None => Ok(BuildSystem::legacy(None)),
        }
    }

    fn parse(text: &str) -> Result<BuildSystem, SdistError> {
        let wrong = |reason: &str| SdistError::Project {
            reason: reason.to_owned(),
        };
        let project: Project = toml::from_str(text).map_err(|error| wrong(error.message()))?;
        let Some(table) = project.build_system else {
            return Ok(BuildSystem::legacy(None));
        };
        let Some(backend) = table.build_backend else {
            return Ok(BuildSystem::legacy(table.requires));
        };
        let inside =
            |path: &String| !path.starts_with('/') && !path.split('/').any(|part| part == "..");
        if !table.backend_path.iter().all(inside) {
            return Err(wrong("`backend-path` leads out of the source"));
        }
        Ok(BuildSystem {
            requires: table.requires.unwrap_or_default(),
            backend,
            paths: table.backend_path,
        })
    }

    fn legacy(requires: Option<Vec<String>>) -> BuildSystem {
        BuildSystem {
            requires: requires.unwrap_or_else(|| vec!["setuptools>=40.8.0".to_owned()]),
            backend: "setuptools.build_meta:__legacy__".to_owned(),
            paths: Vec::new(),
        }
    }
}

/// What the sdist's own PKG-INFO says, where it promises that a wheel says the same (PEP 643).
pub(crate) fn static_facts(
    session: &Session,
    source: &TreeId,
) -> Result<Option<Facts>, SdistError> {
    let Some(text) = text(session, source, "PKG-INFO")? else {
        return Ok(None);
    };
    Ok(Facts::promised(text.as_bytes()))
}

fn text(session: &Session, source: &TreeId, name: &str) -> Result<Option<String>, SdistError> {
    match session.read_tree(source)?.get(name) {
        Some(Entry::File { blob, .. }) if blob.size <= MOST => {
            let bytes = session.read_blob(blob)?;
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_pyproject_does_not_say_is_what_pep_517_lets_be_assumed() {
        for text in ["", "[project]\nname = 'a'\n"] {
            let system = BuildSystem::parse(text).unwrap();
            assert_eq!(system.backend, "setuptools.build_meta:__legacy__");
            assert_eq!(system.requires, ["setuptools>=40.8.0"]);
        }
        let text = "[build-system]\nrequires = ['setuptools', 'wheel']\n";
        assert_eq!(
            BuildSystem::parse(text).unwrap().requires,
            ["setuptools", "wheel"]
        );
    }

    #[test]
    fn a_backend_of_the_source_itself_stays_in_it() {
        let text = |path: &str| {
            format!(
                "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['{path}']\n"
            )
        };
        let own = BuildSystem::parse(&text("./_build")).unwrap();
        assert_eq!(
            (own.backend.as_str(), &own.paths[..]),
            ("own", &["./_build".to_owned()][..])
        );
        for path in ["..", "/usr", "a/../../b"] {
            assert!(BuildSystem::parse(&text(path)).is_err(), "{path}");
        }
    }
}
