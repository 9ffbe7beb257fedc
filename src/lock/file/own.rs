//! The one text of a lock → [`Lock`], without reading a KDL document. Begin at [`read`].
//!
//! Locks are most of what a build reads, and hardly ever edited. So what [`super::write`] writes is split
//! into words, and what came of it written again: if that is the same text, it was understood. Whatever is
//! not exactly so, such as every mistake, is left to the strict reader, which can say what is wrong and where.

use std::collections::BTreeSet;

use super::{FORMAT, HEADER, builds_what_is_not_there, identity, is_fingerprint, write, wrong};
use crate::lock::release::is_sha256;
use crate::lock::{FileKind, Lock, Locked, Suite};
use crate::recipe::Limits;

/// The lock; nothing where only the strict reader can tell.
pub(super) fn read(text: &str) -> Option<Lock> {
    let body = text.strip_prefix(HEADER)?;
    let mut blocks = blocks(body)?.into_iter();
    let mut lock = head(&blocks.next()?)?;
    for block in blocks {
        match block.word(0)? {
            "asked" => {
                let facts = block.fields.iter().map(|field| field.word(1));
                lock.asked = facts.map(owned).collect::<Option<_>>()?;
            }
            "suite" => lock.suites.push(suite(&block)?),
            kind => lock.files.push(file(kind, &block)?),
        }
    }
    (text.len() <= Limits::LOCK.bytes && is_sound(&lock) && write(&lock) == text).then_some(lock)
}

/// A word of a line, and its name where it is a property.
struct Word<'t> {
    name: &'t str,
    value: &'t str,
}

struct Line<'t>(Vec<Word<'t>>);

impl<'t> Line<'t> {
    /// Splits a line; nothing where it has escapes, or what no lock has.
    fn of(line: &'t str) -> Option<Line<'t>> {
        let (mut words, mut rest) = (Vec::new(), line.trim_start());
        while !rest.is_empty() {
            let end = rest.find([' ', '"']).unwrap_or(rest.len());
            let (bare, after) = rest.split_at(end);
            let (name, value) = match after.strip_prefix('"') {
                Some(quoted) => {
                    let (value, after) = quoted.split_once('"')?;
                    rest = after;
                    (bare.strip_suffix('=').unwrap_or(bare), value)
                }
                None => {
                    rest = after;
                    bare.split_once('=').unwrap_or(("", bare))
                }
            };
            if value.contains('\\') {
                return None;
            }
            words.push(Word { name, value });
            rest = rest.trim_start();
        }
        Some(Line(words))
    }

    fn word(&self, at: usize) -> Option<&'t str> {
        self.0.get(at).map(|word| word.value)
    }

    fn number(&self, at: usize) -> Option<u64> {
        self.word(at)?.parse().ok()
    }

    /// A property, empty without it.
    fn property(&self, name: &str) -> String {
        let found = self.0.iter().find(|word| word.name == name);
        found.map_or_else(String::new, |word| word.value.to_owned())
    }
}

/// A line and what stands in its braces.
struct Block<'t> {
    head: Line<'t>,
    fields: Vec<Line<'t>>,
}

fn blocks(text: &str) -> Option<Vec<Block<'_>>> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for line in text.lines() {
        match &mut open {
            None => {
                open = Some(Block {
                    head: Line::of(line)?,
                    fields: Vec::new(),
                });
            }
            Some(_) if line == "}" => blocks.extend(open.take()),
            Some(block) => block.fields.push(Line::of(line)?),
        }
    }
    Some(blocks)
}

impl<'t> Block<'t> {
    fn word(&self, at: usize) -> Option<&'t str> {
        self.head.word(at)
    }

    fn all<'b>(&'b self, name: &str) -> impl Iterator<Item = &'b Line<'t>> {
        let fields = self.fields.iter();
        fields.filter(move |field| field.word(0) == Some(name))
    }

    fn field(&self, name: &str) -> Option<&Line<'t>> {
        self.all(name).next()
    }

    fn texts(&self, name: &str) -> Option<Vec<String>> {
        self.all(name).map(|field| owned(field.word(1))).collect()
    }
}

fn owned(word: Option<&str>) -> Option<String> {
    word.map(str::to_owned)
}

fn head(block: &Block<'_>) -> Option<Lock> {
    if block.word(0) != Some("lock") || block.head.number(1) != Some(FORMAT) {
        return None;
    }
    Some(Lock {
        serial: block.field("serial")?.number(1)?,
        recipe: block.field("recipe")?.word(1)?.parse().ok()?,
        platform: block.field("platform")?.word(1)?.parse().ok()?,
        date: block.field("date")?.number(1)?,
        python: block.field("python").and_then(|it| owned(it.word(1))),
        asked: Vec::new(),
        suites: Vec::new(),
        files: Vec::new(),
    })
}

fn suite(block: &Block<'_>) -> Option<Suite> {
    Some(Suite {
        name: owned(block.word(1))?,
        archive: block.head.property("archive"),
        date: block.field("date")?.number(1)?,
        sha256: owned(block.field("sha256")?.word(1))?,
        keys: block.texts("key")?,
    })
}

fn file(kind: &str, block: &Block<'_>) -> Option<Locked> {
    let (from, hash) = (block.field("from")?, block.field("sha256")?);
    Some(Locked {
        kind: FileKind::named(kind)?,
        name: owned(block.word(1))?,
        version: owned(block.word(2))?,
        architecture: block.head.property("architecture"),
        source: block.head.property("source"),
        archive: owned(from.word(1))?,
        path: owned(from.word(2))?,
        size: hash.property("size").parse().ok()?,
        sha256: owned(hash.word(1))?,
        reason: owned(block.field("for")?.word(1))?,
        requires: block.texts("requires")?,
    })
}

/// Whether the strict reader has nothing to say against what is written there.
fn is_sound(lock: &Lock) -> bool {
    let mut seen = BTreeSet::new();
    let suites = lock.suites.iter().all(|suite| {
        is_sha256(&suite.sha256)
            && suite.keys.iter().all(|key| is_fingerprint(key))
            && seen.insert((suite.name.clone(), suite.archive.clone()))
    });
    let mut seen = BTreeSet::new();
    let files = lock.files.iter().all(|file| {
        is_sha256(&file.sha256)
            && (file.requires.is_empty() || file.kind.is_sdist())
            && wrong(file, lock.platform).is_none()
            && seen.insert(identity(file))
    });
    suites && files && builds_what_is_not_there(lock).is_none()
}
