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
//! | `cache "URL"` … | `--cache` | `RECIPE_CACHE` | caches that are asked before a step is run |
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
use file::File;

mod cache;
mod file;

pub use cache::CacheSetting;
pub use file::FileError;

/// What the person at the terminal set, all sources joined.
#[derive(Debug, Clone)]
pub struct Config {
    /// The store's folder.
    pub store: Utf8PathBuf,
    /// More folders with recipes, in the order they are searched.
    pub recipes: Vec<Utf8PathBuf>,
    /// Jobs for the steps that build: the processors, where nobody said how many.
    pub jobs: usize,
    /// Steps that run at once: one more than processors, where nobody said how many. A step waits for its sandbox
    /// and for disks, and there should be work meanwhile.
    pub at_once: usize,
    /// Caches, in the order in which they are asked.
    pub caches: Vec<CacheSetting>,
    /// Our own folder of configuration: keys lie there.
    pub folder: Option<Utf8PathBuf>,
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
    /// The configuration file is not usable.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] FileError),
    /// No place for the store.
    #[error("there is no place for the store: neither HOME nor XDG_DATA_HOME is set")]
    #[diagnostic(
        code(config::no_home),
        help("name one: `--store DIR`, or set RECIPE_STORE")
    )]
    NoHome,
    /// A variable holds what it cannot.
    #[error("{name} is `{value}`, which is not {wanted}")]
    #[diagnostic(code(config::variable), help("unset it, or set it to {wanted}"))]
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
            .or_else(|| file.word("store").map(|path| file.folder().join(path)))
            .or_else(|| data_home(&get).map(|home| home.join("recipe/store")))
            .ok_or(ConfigError::NoHome)?;
        let jobs = match (flags.jobs, get("RECIPE_JOBS"), file.number("jobs")) {
            (Some(jobs), _, _) => Some(jobs),
            (None, Some(text), _) => {
                let number = text.parse().ok().filter(|jobs| *jobs > 0);
                Some(number.ok_or(ConfigError::Variable {
                    name: "RECIPE_JOBS".into(),
                    value: text,
                    wanted: "a number above 0",
                })?)
            }
            (None, None, said) => said,
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let said = match get("RECIPE_OFFLINE").as_deref() {
            None | Some("" | "0" | "false") => false,
            Some("1" | "true") => true,
            Some(value) => {
                return Err(ConfigError::Variable {
                    name: "RECIPE_OFFLINE".into(),
                    value: value.to_owned(),
                    wanted: "1 or 0",
                });
            }
        };
        let offline = flags.offline || said || file.truth("offline");
        let mut recipes: Vec<Utf8PathBuf> = get("RECIPE_PATH")
            .map(|text| {
                text.split(':')
                    .filter(|part| !part.is_empty())
                    .map(Into::into)
                    .collect()
            })
            .unwrap_or_default();
        recipes.extend(file.words("recipes").into_iter().map(Utf8PathBuf::from));
        let said = get("RECIPE_CACHE").unwrap_or_default();
        let said = said.split_ascii_whitespace().map(str::to_owned);
        let said: Vec<String> = flags.cache.iter().cloned().chain(said).collect();
        let mut caches: Vec<CacheSetting> = said
            .iter()
            .map(|url| {
                // What the file says of it holds for it too.
                let known = file.caches.iter().find(|cache| cache.url == *url);
                known.cloned().unwrap_or_else(|| CacheSetting::of(url))
            })
            .collect();
        caches.extend(
            file.caches
                .iter()
                .filter(|cache| !said.contains(&cache.url))
                .cloned(),
        );
        if flags.no_cache {
            caches.clear();
        }
        Ok(Config {
            caches,
            folder: folder(&get),
            store: absolute(store),
            recipes,
            jobs: jobs.unwrap_or(processors),
            at_once: jobs.unwrap_or(processors + 1),
            network: Network {
                flags: Said {
                    debian: flags.debian_mirror.clone(),
                    debian_security: flags.debian_security_mirror.clone(),
                    python_index: flags.python_index.clone(),
                    offline,
                    archive_keys: None,
                },
                file: Said {
                    debian: file.words("debian-mirror"),
                    debian_security: file.words("debian-security-mirror"),
                    python_index: file.words("python-index"),
                    offline: false,
                    archive_keys: file.word("archive-keys").map(Utf8PathBuf::from),
                },
                environment,
            },
        })
    }
}

/// Where our configuration lies.
fn folder(get: &impl Fn(&str) -> Option<String>) -> Option<Utf8PathBuf> {
    let folder = get("XDG_CONFIG_HOME").map(Utf8PathBuf::from);
    let home = || get("HOME").map(|home| Utf8PathBuf::from(home).join(".config"));
    folder.or_else(home).map(|folder| folder.join("recipe"))
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

/// Where a relative path of the command line starts.
pub fn here() -> Utf8PathBuf {
    camino::absolute_utf8(Utf8Path::new(".")).unwrap_or_else(|_| Utf8PathBuf::from("."))
}
