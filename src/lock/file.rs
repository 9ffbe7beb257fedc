//! [`Lock`] ⇄ the text of a lock file. Begin at [`read`] and [`write()`].
//!
//! One text for one lock: sorted, one fact in one line, so that a diff shows what moved and no more.
//! Reading is strict, as a lock is what a build believes: a merge conflict, an unknown field, a
//! short hash or the same file twice is an error that shows the line. A later format keeps the
//! first node, `lock NUMBER`, so that an old program can say what it met.

mod own;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use kdl::{KdlDocument, KdlEntry, KdlNode};
use miette::{NamedSource, SourceSpan};

use super::error::{FileError, LockError};
use super::release::is_sha256;
use super::{FileKind, Lock, Locked, Suite, relation, version};
use crate::platform::Platform;
use crate::recipe::{Limits, document};

/// The newest format, and the only one so far.
pub const FORMAT: u64 = 1;

const HEADER: &str = "// What `recipe lock` found; every build reads exactly this. Commit it beside its recipe.\n\
                      // `recipe lock RECIPE` brings it up to date, with `--upgrade` to newer versions.\n";

/// The one text of a lock. The order of its files and suites does not matter.
pub fn write(lock: &Lock) -> String {
    let mut out = String::from(HEADER);
    let mut line = |depth: usize, text: fmt::Arguments<'_>| {
        out.push_str(["", "    "][depth]);
        let _ = out.write_fmt(text);
        out.push('\n');
    };
    line(0, format_args!("lock {FORMAT} {{"));
    line(1, format_args!("serial {}", lock.serial));
    line(
        1,
        format_args!("recipe {}", quoted(&lock.recipe.to_string())),
    );
    line(1, format_args!("platform {}", quoted(lock.platform.name())));
    line(1, format_args!("date {}", lock.date));
    if let Some(python) = &lock.python {
        line(1, format_args!("python {}", quoted(python)));
    }
    line(0, format_args!("}}"));
    let asked: BTreeSet<&String> = lock.asked.iter().collect();
    if !asked.is_empty() {
        line(0, format_args!("asked {{"));
        asked
            .iter()
            .for_each(|fact| line(1, format_args!("- {}", quoted(fact))));
        line(0, format_args!("}}"));
    }
    let mut suites: Vec<&Suite> = lock.suites.iter().collect();
    suites.sort_by_key(|suite| (&suite.archive, &suite.name));
    for suite in suites {
        line(
            0,
            format_args!(
                "suite {} archive={} {{",
                quoted(&suite.name),
                quoted(&suite.archive)
            ),
        );
        line(1, format_args!("date {}", suite.date));
        line(1, format_args!("sha256 {}", quoted(&suite.sha256)));
        suite
            .keys
            .iter()
            .for_each(|key| line(1, format_args!("key {}", quoted(key))));
        line(0, format_args!("}}"));
    }
    let mut files: Vec<&Locked> = lock.files.iter().collect();
    files.sort_by_key(|file| order(file));
    for file in files {
        let (kind, name, version) = (file.kind, quoted(&file.name), quoted(&file.version));
        let architecture = property("architecture", &file.architecture);
        let source = property("source", &file.source);
        line(
            0,
            format_args!("{kind} {name} {version}{architecture}{source} {{"),
        );
        line(1, format_args!("for {}", quoted(&file.reason)));
        line(
            1,
            format_args!("from {} {}", quoted(&file.archive), quoted(&file.path)),
        );
        line(
            1,
            format_args!("sha256 {} size={}", quoted(&file.sha256), file.size),
        );
        file.requires
            .iter()
            .for_each(|it| line(1, format_args!("requires {}", quoted(it))));
        line(0, format_args!("}}"));
    }
    out
}

/// The order of files in a lock.
pub(super) fn order(file: &Locked) -> (FileKind, &str, &str, &str) {
    (file.kind, &file.name, &file.version, &file.path)
}

/// A KDL string. Everything that a terminal could take for something else is escaped.
fn quoted(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        f.write_str("\"")?;
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if text.bytes().all(plain) {
            f.write_str(text)?;
            return f.write_str("\"");
        }
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                ' '..='~' => f.write_char(c)?,
                c if c.is_alphanumeric() => f.write_char(c)?,
                c => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            }
        }
        f.write_str("\"")
    })
}

/// A property after a blank; nothing where there is none.
fn property(name: &'static str, value: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| match value {
        "" => Ok(()),
        value => write!(f, " {name}={}", quoted(value)),
    })
}

/// Reads a lock file; `name` is what it is called in errors.
pub fn read(name: &str, text: &str) -> Result<Lock, LockError> {
    match own::read(text) {
        Some(lock) => Ok(lock),
        None => read_strictly(name, text),
    }
}

fn read_strictly(name: &str, text: &str) -> Result<Lock, LockError> {
    let source = NamedSource::new(name, Arc::<str>::from(text)).with_language("KDL");
    let reader = Reader { text: &source };
    reader.refuse_conflict()?;
    let document =
        document(&source, &Limits::LOCK).map_err(|mistakes| LockError::Syntax { mistakes })?;
    reader.lock(&document)
}

struct Reader<'t> {
    text: &'t NamedSource<Arc<str>>,
}

type Read<T> = Result<T, LockError>;

impl Reader<'_> {
    fn lock(&self, document: &KdlDocument) -> Read<Lock> {
        let mut nodes = document.nodes().iter();
        let head = nodes.next().filter(|node| node.name().value() == "lock");
        let Some(head) = head else {
            let at = document.nodes().first().map_or(0..0, span_of_name);
            return self.fail(at, "this is no lock file: it does not begin with `lock`");
        };
        let mut lock = self.head(head)?;
        let mut seen = BTreeSet::new();
        let mut asked = false;
        for node in nodes {
            let id = match node.name().value() {
                "asked" if asked => return self.fail(span(node), "`asked` stands here twice"),
                "asked" => {
                    asked = true;
                    self.arguments(node, 0, &[])?;
                    lock.asked = self
                        .children(node)?
                        .iter()
                        .map(|fact| self.fact(fact))
                        .collect::<Read<_>>()?;
                    continue;
                }
                "suite" => {
                    let suite = self.suite(node)?;
                    let id = format!("suite {} of {}", suite.name, suite.archive);
                    lock.suites.push(suite);
                    id
                }
                word => {
                    let Some(kind) = FileKind::named(word) else {
                        return self.fail(
                            span(node),
                            format!("`{}` is nothing that a lock holds", word.escape_debug()),
                        );
                    };
                    let file = self.file(node, kind, lock.platform)?;
                    let id = identity(&file);
                    lock.files.push(file);
                    id
                }
            };
            if !seen.insert(id.clone()) {
                return self.fail(span(node), format!("{id} stands here twice"));
            }
        }
        self.builds(document, &lock)?;
        lock.files.sort_by(|a, b| order(a).cmp(&order(b)));
        lock.suites
            .sort_by(|a, b| (&a.archive, &a.name).cmp(&(&b.archive, &b.name)));
        Ok(lock)
    }

    /// What is for builds is for sdists that are there.
    fn builds(&self, document: &KdlDocument, lock: &Lock) -> Read<()> {
        let Some((file, id)) = builds_what_is_not_there(lock) else {
            return Ok(());
        };
        let kind = file.kind.to_string();
        let node = document.nodes().iter().find(|node| {
            node.name().value() == kind
                && node.get(0).and_then(|it| it.as_string()) == Some(&file.name)
        });
        let what = format!("it is for {}, which the lock has not", id.escape_debug());
        self.fail(node.map_or(0..0, span), what)
    }

    fn head(&self, node: &KdlNode) -> Read<Lock> {
        let format = self.number(node, node.get(0), "the number of the format")?;
        if format != FORMAT {
            let at = node.name().span();
            return self.fail_with(
                at.offset()..at.offset() + at.len(),
                format!("it has format {format}, and this version of recipe reads format {FORMAT}"),
                format!(
                    "a later version of recipe wrote it: use that one, or delete it and let \
                     `recipe lock {}` of this one write it anew",
                    recipe_of(self.text.name())
                ),
            );
        }
        let values = self.arguments(node, 1, &[])?;
        debug_assert_eq!(values.len(), 1);
        let mut fields = Fields::of(
            self,
            node,
            &["serial", "recipe", "platform", "date", "python"],
        )?;
        let recipe = fields.one("recipe")?;
        let digest = self.text_of(recipe)?;
        let Ok(digest) = recipe_store::Digest::from_str(digest) else {
            return self.fail(span(recipe), "this is no digest of 64 hex digits");
        };
        let platform = fields.one("platform")?;
        let Ok(platform) = self.text_of(platform)?.parse() else {
            let known = Platform::ALL.map(Platform::name).join(" or ");
            return self.fail(span(platform), format!("this platform is not {known}"));
        };
        Ok(Lock {
            serial: self.number_of(fields.one("serial")?)?,
            recipe: digest,
            platform,
            date: self.number_of(fields.one("date")?)?,
            python: fields
                .optional("python")
                .map(|node| self.text_of(node))
                .transpose()?
                .map(str::to_owned),
            asked: Vec::new(),
            suites: Vec::new(),
            files: Vec::new(),
        })
    }

    fn suite(&self, node: &KdlNode) -> Read<Suite> {
        let values = self.arguments(node, 1, &["archive"])?;
        let mut fields = Fields::of(self, node, &["date", "sha256", "key"])?;
        let sha256 = fields.one("sha256")?;
        let keys = fields
            .all("key")
            .iter()
            .map(|key| self.key(key))
            .collect::<Read<Vec<_>>>()?;
        Ok(Suite {
            name: self.string(node, values[0])?.to_owned(),
            archive: self.property(node, "archive")?,
            date: self.number_of(fields.one("date")?)?,
            sha256: self.sha256(sha256, self.text_of(sha256)?)?,
            keys,
        })
    }

    fn file(&self, node: &KdlNode, kind: FileKind, platform: Platform) -> Read<Locked> {
        let values = self.arguments(node, 2, &["architecture", "source"])?;
        let known: &[&str] = match kind.is_sdist() {
            true => &["for", "from", "sha256", "requires"],
            false => &["for", "from", "sha256"],
        };
        let mut fields = Fields::of(self, node, known)?;
        let from = fields.one("from")?;
        let places = self.arguments(from, 2, &[])?;
        let hash = fields.one("sha256")?;
        let hashes = self.arguments(hash, 1, &["size"])?;
        let property = |name: &str| match node.entry(name) {
            Some(entry) => self.string(node, entry).map(str::to_owned),
            None => Ok(String::new()),
        };
        let file = Locked {
            kind,
            name: self.string(node, values[0])?.to_owned(),
            version: self.string(node, values[1])?.to_owned(),
            architecture: property("architecture")?,
            source: property("source")?,
            archive: self.string(from, places[0])?.to_owned(),
            path: self.string(from, places[1])?.to_owned(),
            size: self.number(hash, hash.get("size"), "its size in bytes")?,
            sha256: self.sha256(hash, self.string(hash, hashes[0])?)?,
            reason: self.text_of(fields.one("for")?)?.to_owned(),
            requires: fields
                .all("requires")
                .iter()
                .map(|node| Ok(self.text_of(node)?.to_owned()))
                .collect::<Read<_>>()?,
        };
        match wrong(&file, platform) {
            Some((true, why)) => self.fail(span(from), why),
            Some((false, why)) => self.fail(span(node), why),
            None => Ok(file),
        }
    }

    fn fact(&self, node: &KdlNode) -> Read<String> {
        if node.name().value() != "-" {
            return self.fail(span(node), "here only `- \"...\"` can stand");
        }
        self.text_of(node).map(str::to_owned)
    }

    fn key(&self, node: &KdlNode) -> Read<String> {
        let key = self.text_of(node)?;
        if is_fingerprint(key) {
            return Ok(key.to_owned());
        }
        self.fail(span(node), "this is no fingerprint of an OpenPGP key")
    }

    fn sha256(&self, node: &KdlNode, text: &str) -> Read<String> {
        if is_sha256(text) {
            return Ok(text.to_owned());
        }
        self.fail(span(node), "this is no sha256 of 64 lower-case hex digits")
    }

    /// The one string of a node that holds nothing else.
    fn text_of<'n>(&self, node: &'n KdlNode) -> Read<&'n str> {
        let values = self.arguments(node, 1, &[])?;
        self.no_children(node)?;
        self.string(node, values[0])
    }

    fn number_of(&self, node: &KdlNode) -> Read<u64> {
        self.arguments(node, 1, &[])?;
        self.no_children(node)?;
        self.number(node, node.get(0), "a number")
    }

    fn number(&self, node: &KdlNode, value: Option<&kdl::KdlValue>, what: &str) -> Read<u64> {
        match value
            .and_then(kdl::KdlValue::as_integer)
            .and_then(|number| u64::try_from(number).ok())
        {
            Some(number) => Ok(number),
            None => self.fail(
                span(node),
                format!("here {what} is missing, or is no such number"),
            ),
        }
    }

    fn string<'n>(&self, node: &KdlNode, entry: &'n KdlEntry) -> Read<&'n str> {
        match entry.value().as_string() {
            Some(text) => Ok(text),
            None => self.fail(span(node), "this has to be a text in quotes"),
        }
    }

    fn property(&self, node: &KdlNode, name: &str) -> Read<String> {
        match node.entry(name) {
            Some(entry) => self.string(node, entry).map(str::to_owned),
            None => self.fail(span(node), format!("`{name}=` is missing")),
        }
    }

    /// The arguments of a node: exactly `count`, and no properties but these, each once.
    fn arguments<'n>(
        &self,
        node: &'n KdlNode,
        count: usize,
        properties: &[&str],
    ) -> Read<Vec<&'n KdlEntry>> {
        let mut values = Vec::new();
        let mut seen = BTreeSet::new();
        for entry in node.entries() {
            match entry.name().map(|name| name.value()) {
                None => values.push(entry),
                Some(name) if !properties.contains(&name) => {
                    return self.fail(
                        span(node),
                        format!("`{}=` has no meaning here", name.escape_debug()),
                    );
                }
                Some(name) if !seen.insert(name) => {
                    return self.fail(span(node), format!("`{name}=` stands here twice"));
                }
                Some(_) => {}
            }
        }
        if values.len() != count {
            return self.fail(
                span(node),
                format!("here {count} values are expected, not {}", values.len()),
            );
        }
        Ok(values)
    }

    fn children<'n>(&self, node: &'n KdlNode) -> Read<&'n [KdlNode]> {
        match node.children() {
            Some(children) => Ok(children.nodes()),
            None => self.fail(span(node), "its `{ ... }` is missing"),
        }
    }

    fn no_children(&self, node: &KdlNode) -> Read<()> {
        if node.children().is_some() {
            return self.fail(span(node), "no `{ ... }` belongs here");
        }
        Ok(())
    }

    fn refuse_conflict(&self) -> Read<()> {
        let mut offset = 0;
        for line in self.text.inner().split_inclusive('\n') {
            if ["<<<<<<< ", ">>>>>>> ", "||||||| "]
                .iter()
                .any(|mark| line.starts_with(mark))
                || line.trim_end() == "======="
            {
                return self.fail(
                    offset..offset + line.trim_end().len(),
                    "a merge left its conflict here",
                );
            }
            offset += line.len();
        }
        Ok(())
    }

    fn fail<T>(&self, at: Range<usize>, what: impl Into<String>) -> Read<T> {
        let help = format!(
            "it is not meant to be written by hand: restore it from version control, or let \
             `recipe lock {}` write it anew",
            recipe_of(self.text.name())
        );
        self.fail_with(at, what, help)
    }

    fn fail_with<T>(&self, at: Range<usize>, what: impl Into<String>, help: String) -> Read<T> {
        Err(LockError::File(Box::new(FileError {
            what: what.into(),
            help,
            text: self.text.clone(),
            at: SourceSpan::from(at),
        })))
    }
}

/// What to type for the recipe of the lock file `name`: `hello@3.11`.
/// Outside of the folder in which names are looked up it is the recipe's path.
fn recipe_of(name: &str) -> String {
    let Some(whole) = name.strip_suffix(".lock.kdl") else {
        return "RECIPE".to_owned();
    };
    let (folder, file) = whole.rsplit_once('/').unwrap_or(("", whole));
    if folder.split('/').next() == Some("recipes") {
        return file.to_owned();
    }
    match file.split_once('@') {
        None => format!("{whole}.kdl"),
        Some((_, variant)) => {
            let recipe = whole.strip_suffix(&format!("@{variant}")).unwrap_or(whole);
            format!("{recipe}.kdl@{variant}")
        }
    }
}

/// Where the name of a node stands.
fn span_of_name(node: &KdlNode) -> Range<usize> {
    let span = node.name().span();
    span.offset()..span.offset() + span.len()
}

/// The children of a node by name.
struct Fields<'r, 'n> {
    reader: &'r Reader<'r>,
    node: &'n KdlNode,
    fields: Vec<&'n KdlNode>,
}

impl<'r, 'n> Fields<'r, 'n> {
    fn of(reader: &'r Reader<'r>, node: &'n KdlNode, known: &[&str]) -> Read<Fields<'r, 'n>> {
        let fields: Vec<&KdlNode> = reader.children(node)?.iter().collect();
        for field in &fields {
            let name = field.name().value();
            if !known.contains(&name) {
                return reader.fail(
                    span(field),
                    format!("`{}` has no meaning here", name.escape_debug()),
                );
            }
        }
        Ok(Fields {
            reader,
            node,
            fields,
        })
    }

    fn all(&mut self, name: &str) -> Vec<&'n KdlNode> {
        let (taken, left) = self
            .fields
            .iter()
            .partition(|field| field.name().value() == name);
        self.fields = left;
        taken
    }

    fn one(&mut self, name: &str) -> Read<&'n KdlNode> {
        match self.all(name)[..] {
            [field] => Ok(field),
            [] => self
                .reader
                .fail(span(self.node), format!("`{name}` is missing")),
            [_, second, ..] => self
                .reader
                .fail(span(second), format!("`{name}` stands here twice")),
        }
    }

    fn optional(&mut self, name: &str) -> Option<&'n KdlNode> {
        self.all(name).first().copied()
    }
}

/// What no two files of a lock share.
fn identity(file: &Locked) -> String {
    let kind = file.kind;
    match kind {
        // A source may consist of several files.
        FileKind::Source => format!("{kind} {} {}", file.name, file.path),
        // Two sdists may be built with two versions of something.
        kind if kind.is_for_builds() => format!("{kind} {} {}", file.name, file.version),
        _ => format!("{kind} {}", file.name),
    }
}

/// A file for builds, and the sdist that it is for and the lock has not.
fn builds_what_is_not_there(lock: &Lock) -> Option<(&Locked, &str)> {
    let sdists = lock.files.iter().filter(|file| file.kind.is_sdist());
    let ids: BTreeSet<String> = sdists.map(Locked::id).collect();
    lock.files.iter().find_map(|file| {
        let missing = file.builds().find(|id| !ids.contains(*id))?;
        Some((file, missing))
    })
}

/// Whether it may be the fingerprint of an OpenPGP key.
fn is_fingerprint(key: &str) -> bool {
    let is_hex = key
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    is_hex && matches!(key.len(), 40 | 64)
}

/// What is wrong with a file, and if it is about where it comes from.
fn wrong(file: &Locked, platform: Platform) -> Option<(bool, String)> {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if !file.path.split('/').all(plain) || file.path.contains(char::is_control) {
        return Some((true, "this is no plain relative path".into()));
    }
    if !plain(&file.archive)
        || file
            .archive
            .contains(|c: char| !c.is_ascii_lowercase() && c != '-')
    {
        return Some((true, "this is no name of an archive".into()));
    }
    match file.kind {
        kind if kind.is_of_python() => return None,
        // Only a distribution says which version it is.
        FileKind::Source if file.version.is_empty() && file.source.is_empty() => return None,
        FileKind::Source if !version::is_version(&file.version) => {
            return Some((false, "this is no version of a source package".into()));
        }
        FileKind::Source => return None,
        _ => {}
    }
    if !relation::is_name(&file.name) || !version::is_version(&file.version) {
        return Some((
            false,
            "this is no name and version of a Debian package".into(),
        ));
    }
    let architecture = file.architecture.escape_debug();
    match file.kind {
        FileKind::Deb | FileKind::Sysroot
            if ![platform.debian(), "all"].contains(&&*file.architecture) =>
        {
            let why =
                format!("its architecture is \"{architecture}\", and this lock is for {platform}");
            Some((false, why))
        }
        FileKind::Builder
            if file.architecture != "all"
                && Platform::of_debian(&file.architecture)
                    .is_none_or(|other| other == platform) =>
        {
            let why = format!(
                "its architecture is \"{architecture}\"; a builder for {platform} is of another processor"
            );
            Some((false, why))
        }
        _ => None,
    }
}

fn span(node: &KdlNode) -> Range<usize> {
    let span = node.span();
    span.offset()..span.offset() + span.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
