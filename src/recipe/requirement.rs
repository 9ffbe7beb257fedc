//! The text of one Python requirement → [`Requirement`], parsed once and known to be good. Begin
//! at [`parse`].
//!
//! `pep508_rs` does the parsing (PEP 508). What it panics on, expands from the environment, or
//! takes exponential time for is refused before it sees the text.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use camino::Utf8PathBuf;
use miette::{NamedSource, SourceSpan};
use pep508_rs::{Pep508ErrorSource, VerbatimUrl};

use super::error::Mistake;
use super::notes::ENOUGH;
use super::wrong::Wrong;

/// Bytes of one requirement, hashes not counted.
const LONGEST: usize = 1024;
/// `and` and `or` in one marker: the decision diagram behind them can double with each.
const MOST_CONDITIONS: usize = 16;
/// Parentheses in one requirement: they are parsed by recursion.
const MOST_PARENTHESES: usize = 32;

/// A Python requirement and where it was asked for.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// The project's name, normalised (PEP 503): `scylla-driver`.
    pub name: String,
    /// The requirement in one canonical spelling (PEP 508): `psutil>=5.9`.
    pub text: String,
    /// `sha256:…` of the files that will do, sorted; empty means any.
    pub hashes: Vec<String>,
    /// Where it was asked for.
    pub origin: Origin,
    parsed: pep508_rs::Requirement<VerbatimUrl>,
}

/// A place in a recipe or in a requirements file.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file, as it is called in messages.
    pub file: Utf8PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The bytes of the file.
    pub span: SourceSpan,
    /// The file's text, for errors.
    pub text: NamedSource<Arc<str>>,
}

impl Origin {
    pub(super) fn new(text: &NamedSource<Arc<str>>, span: SourceSpan) -> Origin {
        let before = text.inner().get(..span.offset()).unwrap_or_default();
        Origin {
            file: text.name().into(),
            line: before.matches('\n').count() + 1,
            span,
            text: text.clone(),
        }
    }
}

impl Requirement {
    /// The requirement taken apart.
    #[must_use]
    pub fn parsed(&self) -> &pep508_rs::Requirement<VerbatimUrl> {
        &self.parsed
    }

    /// Whether both can be asked for by one environment.
    fn overlaps(&self, other: &Requirement) -> bool {
        !self.parsed.marker.is_disjoint(&other.parsed.marker)
    }
}

/// Parses a requirement. An error tells what is wrong and which bytes of `text`.
pub(super) fn parse(
    text: &str,
    hashes: Vec<String>,
    origin: Origin,
) -> Result<Requirement, Box<(Wrong, Range<usize>)>> {
    let all = 0..text.len();
    precheck(text)
        .map_err(|(why, at)| Box::new((bad(text, why), at.unwrap_or_else(|| all.clone()))))?;
    let head = text.split(';').next().unwrap_or(text);
    if head.contains('@') || head.contains("://") || head.starts_with("git+") {
        let text = text.to_owned();
        return Err(Box::new((Wrong::PlaceRequirement { text }, all)));
    }
    if let Some((why, at)) = bad_name(head) {
        return Err(Box::new((bad(text, why.to_owned()), at)));
    }
    let parsed: pep508_rs::Requirement<VerbatimUrl> =
        text.parse()
            .map_err(|error: pep508_rs::Pep508Error<VerbatimUrl>| {
                let why = match error.message {
                    Pep508ErrorSource::String(why)
                    | Pep508ErrorSource::UnsupportedRequirement(why) => why,
                    Pep508ErrorSource::UrlError(why) => why.to_string(),
                };
                let end = error.start.saturating_add(error.len).min(text.len());
                let at = error.start.min(end)..end;
                Box::new((bad(text, why), at))
            })?;
    Ok(Requirement {
        name: parsed.name.to_string(),
        text: parsed.to_string(),
        hashes,
        origin,
        parsed,
    })
}

fn bad(text: &str, why: String) -> Wrong {
    let why = why.lines().next().unwrap_or_default().to_owned();
    Wrong::BadRequirement {
        text: super::decode::printable(text),
        why,
    }
}

fn precheck(text: &str) -> Result<(), (String, Option<Range<usize>>)> {
    if text.len() > LONGEST {
        return Err((format!("it has more than {LONGEST} bytes"), None));
    }
    if let Some((at, c)) = text
        .char_indices()
        .find(|(_, c)| !matches!(c, ' '..='~' | '\t'))
    {
        let why = "only ASCII characters can stand in one".to_owned();
        return Err((why, Some(at..at + c.len_utf8())));
    }
    if text.matches('(').count() > MOST_PARENTHESES {
        return Err((format!("it has more than {MOST_PARENTHESES} `(`"), None));
    }
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    if words.filter(|word| matches!(*word, "and" | "or")).count() > MOST_CONDITIONS {
        return Err((
            format!("it has more than {MOST_CONDITIONS} conditions"),
            None,
        ));
    }
    Ok(())
}

/// Holds the names before version and marker against PEP 508's grammar: `pep508_rs` panics where
/// a name or an extra ends in `-`, `_` or `.`.
fn bad_name(head: &str) -> Option<(&'static str, Range<usize>)> {
    let end = head
        .find(|c: char| !is_name_character(c))
        .unwrap_or(head.len());
    let why = "a name begins and ends with a letter or a digit";
    if !is_name(&head[..end]) {
        return Some((why, 0..end.max(1).min(head.len())));
    }
    let rest = head[end..].trim_start();
    let extras = rest.strip_prefix('[')?;
    let start = head.len() - extras.len();
    let close = extras.find(']').unwrap_or(extras.len());
    let mut at = start;
    for extra in extras[..close].split(',') {
        let name = extra.trim();
        let empty = close == 0;
        if !is_name(name) && !empty {
            return Some((why, at..(at + extra.len()).max(at + 1).min(head.len())));
        }
        at += extra.len() + 1;
    }
    None
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Whether `name` could be a project's name.
pub(super) fn is_name(name: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.chars().all(is_name_character) && ends(name.chars().next()) && ends(name.chars().last())
}

/// The project that a requirement asks for, as far as its text tells.
pub(super) fn project(text: &str) -> String {
    let end = text.find(|c: char| !is_name_character(c));
    normalised(&text[..end.unwrap_or(text.len())])
}

/// PEP 503: `Foo_Bar`, `foo.bar` and `foo-bar` are one project.
pub(super) fn normalised(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.push(c.to_ascii_lowercase()),
        }
    }
    normal
}

/// Every project that is asked for twice by one environment, with both places.
pub(super) fn duplicates(requirements: &[Requirement]) -> Vec<Mistake> {
    let mut seen: BTreeMap<&str, Vec<&Requirement>> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for requirement in requirements {
        if mistakes.len() >= ENOUGH {
            break;
        }
        let earlier = seen.entry(&requirement.name).or_default();
        if let Some(first) = earlier.iter().find(|first| first.overlaps(requirement)) {
            mistakes.push(asked_twice(first, requirement));
        }
        earlier.push(requirement);
    }
    mistakes
}

fn asked_twice(first: &Requirement, again: &Requirement) -> Mistake {
    let wrong = Wrong::DuplicateRequirement {
        name: again.name.clone(),
    };
    let (one, two) = (&first.origin, &again.origin);
    if one.file == two.file {
        return Mistake::new(wrong, &two.text, two.span, "again here").and(one.span, "first here");
    }
    let label = format!("first asked for in {} line {}", one.file, one.line);
    Mistake::new(wrong, &two.text, two.span, label)
}
