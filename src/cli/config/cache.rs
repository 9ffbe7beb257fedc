//! `cache "URL" …` of the configuration file → [`CacheSetting`].

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use kdl::KdlNode;
use miette::NamedSource;

use super::file::{FileError, label};
use crate::cache::is_level;

/// A cache, as the configuration says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheSetting {
    /// A folder, or a URL of `file:`, `http:`, `https:` or `s3:`.
    pub url: String,
    /// Names of the trusted keys that count; all of them where none are said.
    pub keys: Vec<String>,
    /// So many of them have to say the same; 0 where nothing is said.
    pub agree: usize,
    /// The least isolation of steps that run programs.
    pub isolation: Option<String>,
    /// A file with `NAME:SECRET`.
    pub credentials: Option<Utf8PathBuf>,
    /// The server of an `s3:` URL.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
}

impl CacheSetting {
    /// A cache of which only its URL is said.
    pub fn of(url: &str) -> CacheSetting {
        CacheSetting {
            url: url.to_owned(),
            ..CacheSetting::default()
        }
    }

    /// Reads the node; relative paths start at `folder`.
    pub(super) fn read(
        node: &KdlNode,
        folder: &Utf8Path,
        text: &Arc<NamedSource<Arc<str>>>,
    ) -> Result<CacheSetting, FileError> {
        let wrong = |what: String, seen: &str, span| FileError::Setting {
            what,
            help: "as in: cache \"https://cache.example/team\" keys=\"build-machine\"".to_owned(),
            text: text.clone(),
            at: vec![label(seen, span)],
        };
        let mut cache = CacheSetting::default();
        for entry in node.entries() {
            let value = entry.value();
            let word = value.as_string().filter(|word| !word.is_empty());
            let name = entry.name().map(|name| name.value().to_owned());
            let taken = match (name.as_deref(), word) {
                (None, Some(url)) if cache.url.is_empty() => {
                    cache.url = if url.contains("://") {
                        url.to_owned()
                    } else {
                        folder.join(url).into_string()
                    };
                    true
                }
                (Some("keys"), Some(names)) => {
                    cache.keys = names.split_ascii_whitespace().map(str::to_owned).collect();
                    true
                }
                (Some("agree"), None) => match value.as_integer().map(usize::try_from) {
                    Some(Ok(count)) if count > 0 => {
                        cache.agree = count;
                        true
                    }
                    _ => false,
                },
                (Some("isolation"), Some(level)) if is_level(level) => {
                    cache.isolation = Some(level.to_owned());
                    true
                }
                (Some("credentials"), Some(path)) => {
                    cache.credentials = Some(folder.join(path));
                    true
                }
                (Some("endpoint"), Some(url)) => {
                    cache.endpoint = Some(url.to_owned());
                    true
                }
                (Some("region"), Some(region)) => {
                    cache.region = Some(region.to_owned());
                    true
                }
                _ => false,
            };
            if !taken {
                let what = match name.as_deref() {
                    Some(name @ ("keys" | "credentials" | "endpoint" | "region")) => {
                        format!("`{name}` of a cache takes one string")
                    }
                    Some("agree") => "`agree` of a cache takes a number above 0".to_owned(),
                    Some("isolation") => {
                        "`isolation` of a cache is none, namespaces, filtered or landlocked"
                            .to_owned()
                    }
                    Some(name) => format!("a cache has no `{}`", name.escape_debug()),
                    None => "a cache has one URL".to_owned(),
                };
                return Err(wrong(what, "this one", entry.span()));
            }
        }
        if cache.url.is_empty() || node.children().is_some() {
            return Err(wrong(
                "a cache has one URL, and no block".to_owned(),
                "this one",
                node.span(),
            ));
        }
        Ok(cache)
    }
}
