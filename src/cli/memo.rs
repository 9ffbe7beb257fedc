//! A build that has nothing to do: a few reads, before any KDL is parsed.
//!
//! The record's name is the hash of the raw bytes of recipe and lock and of what the flags can
//! change; it holds the closure that came out, the digests of the further files that were read, and
//! which file each recipe that is named was found in: a new one may be found before it.

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{Digest, ObjectId, Store, StoreError, TreeId};

use super::found::Found;
use crate::platform::Platform;
use crate::recipe::LookedUp;

/// What a build came to, for the next one like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Memo {
    /// Name of the recipe.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// Which form of the recipe it is; empty for the recipe as it is written.
    pub(super) variant: String,
    /// What the closure runs on.
    pub(super) platform: Platform,
    /// What ran it here, in a word: an emulator that came since runs what was left out.
    pub(super) means: String,
    /// The closure.
    pub(super) closure: TreeId,
    /// SOURCE_DATE_EPOCH, seconds since 1970.
    pub(super) date: u64,
    /// Formats of its archives, as the recipe names them.
    pub(super) formats: Vec<String>,
    /// Further files that were read: requirements, includes.
    pub(super) files: Vec<(Utf8PathBuf, Digest)>,
    /// The recipes that were found by their names.
    pub(super) looked_up: Vec<LookedUp>,
    /// Size and host contract, in words.
    pub(super) about: String,
}

/// Raised when what a build does with the same files changes.
const VERSION: &str = "recipe-memo 5";

/// The name of the record for these bytes, as this program would build them in this form.
pub(super) fn key(recipe: &[u8], lock: &[u8], form: &str) -> Digest {
    let mut text = format!("{VERSION}\n");
    for (kind, version) in crate::plan::VERSIONS {
        text.push_str(&format!("{kind} {version}\n"));
    }
    for part in [recipe, lock, form.as_bytes()] {
        text.push_str(&format!("{}\n", Digest::of(part)));
    }
    Digest::of(text.as_bytes())
}

impl Memo {
    /// The record of this name, if every file it lists still has the same bytes, the recipe's own
    /// first: elsewhere its text may name other files. And if each name still leads to its file.
    pub(super) fn find(
        store: &Store,
        key: &Digest,
        found: &Found,
    ) -> Result<Option<Memo>, StoreError> {
        let Some(bytes) = store.memo_get(key)? else {
            return Ok(None);
        };
        let memo = String::from_utf8(bytes)
            .ok()
            .and_then(|text| Memo::decode(&text));
        Ok(memo.filter(|memo| {
            let own = memo.files.first().map(|(path, _)| path);
            let mut names = memo.looked_up.iter();
            own == Some(&found.path)
                && memo.files.iter().all(|(path, digest)| same(path, digest))
                && names.all(|name| name.still(found.search()))
        }))
    }

    /// `scylla-python@3.11`: what its link is called.
    pub(super) fn title(&self) -> String {
        match self.variant.as_str() {
            "" => self.name.clone(),
            variant => format!("{}@{variant}", self.name),
        }
    }

    /// `scylla-python-3.11-x86_64-linux`: what its archives are called. What the version or the
    /// platform says already is not said again.
    pub(super) fn stem(&self) -> String {
        let variant = self.variant.strip_suffix(self.platform.processor());
        let variant = variant.unwrap_or(&self.variant);
        let variant = variant.trim_end_matches('-');
        let mut words = vec![self.name.as_str(), &self.version];
        if !variant.is_empty() && variant != self.version {
            words.push(variant);
        }
        words.push(self.platform.name());
        words.join("-")
    }

    /// Keeps the record.
    pub(super) fn keep(&self, store: &Store, key: &Digest) -> Result<(), StoreError> {
        store.memo_put(key, self.encode().as_bytes())
    }

    fn encode(&self) -> String {
        let Memo {
            name,
            version,
            variant,
            platform,
            means,
            closure,
            date,
            formats,
            files,
            looked_up,
            about,
        } = self;
        let mut text = format!(
            "{VERSION}\nname {name}\nversion {version}\nvariant {variant}\nplatform {platform}\nmeans {means}\nclosure {}\ndate {date}\nformats {}\n",
            ObjectId::Tree(*closure),
            formats.join(" ")
        );
        for (path, digest) in files {
            text.push_str(&format!("file {digest} {path}\n"));
        }
        for LookedUp { name, from, found } in looked_up {
            text.push_str(&format!("name {name} {from}\nfound {found}\n"));
        }
        text.push_str("about\n");
        text.push_str(about);
        text
    }

    fn decode(text: &str) -> Option<Memo> {
        let (head, about) = text.split_once("\nabout\n")?;
        let mut lines = head.lines();
        if lines.next()? != VERSION {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let (name, version) = (field("name")?.to_owned(), field("version")?.to_owned());
        let variant = field("variant")?.to_owned();
        let platform = field("platform")?.parse().ok()?;
        let means = field("means")?.to_owned();
        let ObjectId::Tree(closure) = field("closure")?.parse().ok()? else {
            return None;
        };
        let date = field("date")?.parse().ok()?;
        let formats = field("formats")?
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let (mut files, mut looked_up) = (Vec::new(), Vec::new());
        while let Some(line) = lines.next() {
            let (word, rest) = line.split_once(' ')?;
            let (first, second) = rest.split_once(' ')?;
            match word {
                "file" => files.push((second.into(), first.parse().ok()?)),
                "name" => looked_up.push(LookedUp {
                    name: first.to_owned(),
                    from: second.into(),
                    found: lines.next()?.strip_prefix("found ")?.into(),
                }),
                _ => return None,
            }
        }
        Some(Memo {
            name,
            version,
            variant,
            platform,
            means,
            closure,
            date,
            formats,
            files,
            looked_up,
            about: about.to_owned(),
        })
    }
}

fn same(path: &Utf8Path, digest: &Digest) -> bool {
    std::fs::read(path).is_ok_and(|bytes| Digest::of(&bytes) == *digest)
}
