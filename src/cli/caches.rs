//! The caches and keys of the configuration → what a build asks, and what signs. Begin at [`App::caches`].

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::Session;

use super::app::App;
use super::config::CacheSetting;
use super::exit::Failed;
use super::options::Options;
use super::render::Progress;
use crate::cache::{About, Asked, Cache, CacheError, Caches, Place, Policy, PublicKey, SecretKey};
use crate::net::Net;

/// The file of our own key.
const SECRET: &str = "secret-key";
/// The file of those that are trusted, one on each line.
const TRUSTED: &str = "trusted-keys";

impl App {
    /// The caches that a build asks.
    pub(super) fn caches<'a>(
        &self,
        session: &'a Session,
        progress: &'a Arc<Progress>,
        about: impl FnOnce() -> Asked,
        options: &Options,
    ) -> Result<Caches<'a>, Failed> {
        if options.required && self.config.caches.is_empty() {
            return Err(no_cache());
        }
        let mut caches = Vec::new();
        if !self.config.caches.is_empty() && !options.alone {
            let net = self.cache_net(progress)?;
            let offline = net.settings().offline;
            let trusted = self.trusted_keys()?;
            for setting in &self.config.caches {
                if offline && is_far(setting) {
                    continue;
                }
                let place = place(setting, &net)?;
                caches.push(Cache::new(place, policy(setting, &trusted)));
            }
        }
        let about = (!caches.is_empty()).then(about);
        Ok(Caches::new(
            caches,
            session,
            &**progress,
            about,
            options.required,
        ))
    }

    /// The cache that is pushed to: the one that is named, else the first of the configuration.
    pub(super) fn push_place(
        &self,
        to: Option<&str>,
        progress: &Arc<Progress>,
    ) -> Result<Place, Failed> {
        let caches = &self.config.caches;
        let setting = match to {
            Some(url) => {
                let known = caches.iter().find(|cache| cache.url == url);
                known.cloned().unwrap_or_else(|| CacheSetting::of(url))
            }
            None => caches.first().cloned().ok_or_else(no_cache)?,
        };
        Ok(place(&setting, &self.cache_net(progress)?)?)
    }

    /// Where files go that can be made again.
    pub(super) fn cache_home(&self) -> Option<Utf8PathBuf> {
        let get = |name: &str| {
            let value = self.config.network.environment.get(name);
            value
                .filter(|value| value.starts_with('/'))
                .map(Utf8PathBuf::from)
        };
        get("XDG_CACHE_HOME").or_else(|| Some(get("HOME")?.join(".cache")))
    }

    /// Whoever asks a cache does not wait for minutes: the step can be built.
    fn cache_net(&self, progress: &Arc<Progress>) -> Result<Arc<Net>, Failed> {
        let net = self.net(progress.clone())?;
        let mut settings = net.settings().clone();
        settings.timing.tries = 3;
        settings.timing.connect = Duration::from_secs(5);
        settings.timing.idle = Duration::from_secs(15);
        settings.timing.longest_wait = Duration::from_secs(10);
        // What they say of mirrors is nothing to a cache.
        settings.notes.clear();
        Ok(Arc::new(Net::new(settings, progress.clone())))
    }

    fn key_path(&self, name: &str) -> Result<Utf8PathBuf, Failed> {
        let folder = self.config.folder.as_ref();
        let folder = folder.ok_or_else(|| {
            Failed::Usage(super::advice::report(
                "there is no place for keys: neither HOME nor XDG_CONFIG_HOME is set".to_owned(),
                "set one of them".to_owned(),
            ))
        })?;
        Ok(folder.join(name))
    }

    /// Where our own key lies, and the key if there is one.
    pub(super) fn own_key(&self) -> Result<(Utf8PathBuf, Option<SecretKey>), Failed> {
        let path = self.key_path(SECRET)?;
        let Some(text) = private_text(&path)? else {
            return Ok((path, None));
        };
        let key = SecretKey::decode(&text);
        let key =
            key.map_err(|why| bad_file(&path, &why, "move it away; `recipe key new` makes one"))?;
        Ok((path, Some(key)))
    }

    /// Where the keys lie that are trusted, and those.
    pub(super) fn trust_file(&self) -> Result<(Utf8PathBuf, Vec<PublicKey>), Failed> {
        let path = self.key_path(TRUSTED)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(bad_file(&path, &error.to_string(), "make it readable").into());
            }
        };
        let lines = text.lines().enumerate();
        let keys = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let keys = keys.map(|(number, line)| {
            line.trim().parse().map_err(|why: String| {
                bad_file(
                    &path,
                    &format!("line {}: {why}", number + 1),
                    "mend the line, or delete it",
                )
            })
        });
        let keys: Result<Vec<PublicKey>, CacheError> = keys.collect();
        Ok((path, keys?))
    }

    /// Whom to believe: those that are trusted, and ourselves.
    pub(super) fn trusted_keys(&self) -> Result<Vec<PublicKey>, Failed> {
        if self.config.folder.is_none() {
            return Ok(Vec::new());
        }
        let (_, mut keys) = self.trust_file()?;
        if let (_, Some(own)) = self.own_key()? {
            keys.push(own.public());
        }
        Ok(keys)
    }
}

fn no_cache() -> Failed {
    Failed::Usage(super::advice::report(
        "no cache is named, and the configuration has none".to_owned(),
        "name one with `--cache URL` (`--to URL` for a push), or write `cache \"URL\"` into the configuration file"
            .to_owned(),
    ))
}

/// Whether it takes a network to reach it.
fn is_far(setting: &CacheSetting) -> bool {
    ["http://", "https://", "s3://"]
        .iter()
        .any(|scheme| setting.url.starts_with(scheme))
}

fn place(setting: &CacheSetting, net: &Arc<Net>) -> Result<Place, CacheError> {
    let credentials = setting.credentials.as_deref().map(|path| {
        let text = private_text(path)?;
        text.map(|text| text.trim().to_owned())
            .ok_or_else(|| bad_file(path, "there is none", "write NAME:SECRET into it"))
    });
    let about = About {
        credentials: credentials.transpose()?,
        endpoint: setting.endpoint.clone(),
        region: setting.region.clone(),
    };
    Place::of(&setting.url, &about, net.clone())
}

fn policy(setting: &CacheSetting, trusted: &[PublicKey]) -> Policy {
    let counts = |key: &&PublicKey| {
        setting.keys.is_empty() || setting.keys.iter().any(|name| name == key.name())
    };
    Policy {
        keys: trusted.iter().filter(counts).cloned().collect(),
        agree: setting.agree,
        isolation: setting.isolation.clone(),
    }
}

/// The text of a file that nobody else may read; nothing where there is none.
fn private_text(path: &Utf8Path) -> Result<Option<String>, CacheError> {
    let facts = match fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad_file(path, &error.to_string(), "make it readable")),
    };
    if facts.mode() & 0o077 != 0 {
        let why = format!(
            "others can read it: its mode is {:04o}",
            facts.mode() & 0o7777
        );
        return Err(bad_file(path, &why, &format!("chmod 600 {path}")));
    }
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| bad_file(path, &error.to_string(), "make it readable"))?;
    Ok(Some(text))
}

fn bad_file(path: &Utf8Path, why: &str, help: &str) -> CacheError {
    CacheError::KeyFile {
        path: path.to_owned(),
        why: why.to_owned(),
        help: help.to_owned(),
    }
}
