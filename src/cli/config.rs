//! Flags + environment + configuration file → one [`Config`].
//!
//! | file key | flag | environment | meaning |
//! | --- | --- | --- | --- |
//! | `store "DIR"` | `--store` | `RECIPE_STORE` | where objects are kept |
//! | `recipes "DIR"...` | | `RECIPE_PATH` | more folders with recipes |
//! | `jobs 4` | `--jobs` | `RECIPE_JOBS` | steps that run at once |
//! | `offline #true` | `--offline` | `RECIPE_OFFLINE` | no network at all |
//! | `debian-mirror "URL"...` | `--debian-mirror` | `RECIPE_DEBIAN_MIRROR` | Debian archives |
//! | `debian-security-mirror "URL"...` | `--debian-security-mirror` | `RECIPE_DEBIAN_SECURITY_MIRROR` | Debian security archives |
//! | `python-index "URL"...` | `--python-index` | `RECIPE_PYTHON_INDEX` | Python package indexes |
//! | `archive-keys "PATH"` | | `RECIPE_ARCHIVE_KEYS` | OpenPGP keys of a Debian archive of your own |
//!
//! A flag wins over the environment, the environment over the file, the file over what the machine
//! itself is set to (apt's sources, pip's and uv's configuration).

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use miette::Diagnostic;
use thiserror::Error;

use super::GlobalArgs;
use crate::net::Said;

/// What the person at the terminal set, all sources joined.
#[derive(Debug, Clone)]
pub struct Config {
    /// The store's folder.
    pub store: Utf8PathBuf,
    /// More folders with recipes, in the order they are searched.
    pub recipes: Vec<Utf8PathBuf>,
    /// Steps that run at once.
    pub jobs: usize,
    /// Where mirrors are and how they are reached; apt's, pip's and uv's settings are joined when
    /// the network is first needed.
    pub network: Network,
}

/// What flags, environment and file say of mirrors.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The flags.
    pub flags: Said,
    /// The configuration file.
    pub file: Said,
    /// The whole environment: proxies, pip's and uv's variables, ours.
    pub environment: BTreeMap<String, String>,
}

/// Why the configuration is not usable.
#[derive(Debug, Error, Diagnostic)]
pub enum ConfigError {
    /// The file could not be read or parsed.
    #[error("the configuration file {path} is not usable: {why}")]
    #[diagnostic(help("its keys are listed in the book, under \"Settings\""))]
    File {
        /// Which file.
        path: Utf8PathBuf,
        /// Why not.
        why: String,
    },
    /// No place for the store.
    #[error("there is no place for the store: neither HOME nor XDG_DATA_HOME is set")]
    #[diagnostic(help("name one: `--store DIR`, or set RECIPE_STORE"))]
    NoHome,
    /// A variable holds what it cannot.
    #[error("{name} is `{value}`, which is not {wanted}")]
    #[diagnostic(help("unset it, or set it to {wanted}"))]
    Variable {
        /// The variable.
        name: String,
        /// What it holds.
        value: String,
        /// What it can hold.
        wanted: &'static str,
    },
}

impl Config {
    /// Joins `flags` with the environment and the configuration file that the environment names.
    pub fn gather(
        flags: &GlobalArgs,
        environment: BTreeMap<String, String>,
    ) -> Result<Config, ConfigError> {
        let get = |name: &str| {
            environment
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
        };
        let file = File::read(&get)?;
        let store = flags
            .store
            .clone()
            .or_else(|| get("RECIPE_STORE").map(Utf8PathBuf::from))
            .or_else(|| file.one("store").map(|path| file.folder().join(path)))
            .or_else(|| data_home(&get).map(|home| home.join("recipe/store")))
            .ok_or(ConfigError::NoHome)?;
        let jobs = match (flags.jobs, get("RECIPE_JOBS"), file.number("jobs")?) {
            (Some(jobs), _, _) => jobs,
            (None, Some(text), _) => {
                text.parse()
                    .ok()
                    .filter(|jobs| *jobs > 0)
                    .ok_or(ConfigError::Variable {
                        name: "RECIPE_JOBS".into(),
                        value: text,
                        wanted: "a number above 0",
                    })?
            }
            (None, None, Some(jobs)) => jobs,
            (None, None, None) => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let offline = flags.offline
            || get("RECIPE_OFFLINE").is_some_and(|value| value != "0")
            || file.truth("offline")?;
        let mut recipes: Vec<Utf8PathBuf> = get("RECIPE_PATH")
            .map(|text| {
                text.split(':')
                    .filter(|part| !part.is_empty())
                    .map(Into::into)
                    .collect()
            })
            .unwrap_or_default();
        recipes.extend(file.all("recipes").into_iter().map(Utf8PathBuf::from));
        Ok(Config {
            store: absolute(store),
            recipes,
            jobs,
            network: Network {
                flags: Said {
                    debian: flags.debian_mirror.clone(),
                    debian_security: flags.debian_security_mirror.clone(),
                    python_index: flags.python_index.clone(),
                    offline,
                    archive_keys: None,
                },
                file: Said {
                    debian: file.all("debian-mirror"),
                    debian_security: file.all("debian-security-mirror"),
                    python_index: file.all("python-index"),
                    offline: false,
                    archive_keys: file.one("archive-keys").map(Utf8PathBuf::from),
                },
                environment,
            },
        })
    }
}

fn absolute(path: Utf8PathBuf) -> Utf8PathBuf {
    camino::absolute_utf8(&path).unwrap_or(path)
}

fn data_home(get: &impl Fn(&str) -> Option<String>) -> Option<Utf8PathBuf> {
    get("XDG_DATA_HOME").map(Utf8PathBuf::from).or_else(|| {
        get("HOME")
            .filter(|home| home.starts_with('/'))
            .map(|home| Utf8PathBuf::from(home).join(".local/share"))
    })
}

/// The configuration file's nodes: name, then arguments.
#[derive(Default)]
struct File {
    path: Utf8PathBuf,
    nodes: Vec<(String, Vec<kdl::KdlValue>)>,
}

/// The keys of the configuration file.
const KEYS: [&str; 8] = [
    "store",
    "recipes",
    "jobs",
    "offline",
    "debian-mirror",
    "debian-security-mirror",
    "python-index",
    "archive-keys",
];

impl File {
    fn read(get: &impl Fn(&str) -> Option<String>) -> Result<File, ConfigError> {
        let folder = get("XDG_CONFIG_HOME")
            .map(Utf8PathBuf::from)
            .or_else(|| get("HOME").map(|home| Utf8PathBuf::from(home).join(".config")));
        let Some(path) = folder.map(|folder| folder.join("recipe/config.kdl")) else {
            return Ok(File::default());
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => File::parse(path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
            Err(error) => Err(ConfigError::File {
                path,
                why: error.to_string(),
            }),
        }
    }

    fn parse(path: Utf8PathBuf, text: &str) -> Result<File, ConfigError> {
        let wrong = |why: String| ConfigError::File {
            path: path.clone(),
            why,
        };
        let document: kdl::KdlDocument = text
            .parse()
            .map_err(|error: kdl::KdlError| wrong(error.to_string()))?;
        let mut nodes = Vec::new();
        for node in document.nodes() {
            let name = node.name().value().to_owned();
            if !KEYS.contains(&name.as_str()) {
                return Err(wrong(format!(
                    "there is no setting `{name}`; there are {}",
                    KEYS.join(", ")
                )));
            }
            nodes.push((
                name,
                node.entries()
                    .iter()
                    .map(|entry| entry.value().clone())
                    .collect(),
            ));
        }
        Ok(File { path, nodes })
    }

    fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a kdl::KdlValue> {
        self.nodes
            .iter()
            .filter(move |(name, _)| name == key)
            .flat_map(|(_, values)| values)
    }

    fn all(&self, key: &str) -> Vec<String> {
        self.values(key)
            .filter_map(|value| value.as_string().map(str::to_owned))
            .collect()
    }

    /// Relative paths in the file start where the file lies.
    fn folder(&self) -> &Utf8Path {
        self.path.parent().unwrap_or(Utf8Path::new("/"))
    }

    fn one(&self, key: &str) -> Option<String> {
        self.all(key).pop()
    }

    fn number(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        let Some(value) = self.values(key).last() else {
            return Ok(None);
        };
        let number = value
            .as_integer()
            .and_then(|number| usize::try_from(number).ok());
        number
            .filter(|number| *number > 0)
            .map(Some)
            .ok_or_else(|| ConfigError::File {
                path: self.path.clone(),
                why: format!("`{key}` takes a number above 0"),
            })
    }

    fn truth(&self, key: &str) -> Result<bool, ConfigError> {
        let Some(value) = self.values(key).last() else {
            return Ok(false);
        };
        value.as_bool().ok_or_else(|| ConfigError::File {
            path: self.path.clone(),
            why: format!("`{key}` takes #true or #false"),
        })
    }
}

/// Where a relative path of the command line starts.
pub fn here() -> Utf8PathBuf {
    camino::absolute_utf8(Utf8Path::new(".")).unwrap_or_else(|_| Utf8PathBuf::from("."))
}
