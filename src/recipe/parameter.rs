//! `${name}` in the strings of a recipe → what the parameter says. Begin at [`Parameters::fill`].
//!
//! Evaluation is total: a value is text that is never looked into again, so nothing is computed and
//! nothing repeats. The rules of what stands where are held against the filled string.

use std::collections::{BTreeMap, BTreeSet};

use super::Spanned;
use super::decode::{Item, printable};
use super::near::nearest;
use super::notes::Notes;
use super::values::{GIVEN, PARAMETER, is_parameter};
use super::wrong::{Wrong, there_is};

/// Bytes of one value, and of one filled string.
const LONGEST_VALUE: usize = 1 << 10;
const LONGEST: usize = 64 << 10;

/// Why a string is not filled.
enum Unfilled {
    /// There is no parameter of this name.
    Unknown(String),
    Wrong(Wrong),
}

impl Unfilled {
    fn told(self, parameters: &Parameters) -> Wrong {
        match self {
            Unfilled::Unknown(name) => parameters.unknown(&name),
            Unfilled::Wrong(wrong) => wrong,
        }
    }
}

/// The parameters of one recipe.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    /// Each with its value; without one it has to be set.
    values: BTreeMap<String, Option<String>>,
    /// Where each is written.
    places: BTreeMap<String, (usize, Spanned<()>)>,
    /// Those whose value, or name, was wrong: what they stand in is no further mistake.
    broken: BTreeSet<String>,
    /// Those that stand in some string.
    used: BTreeSet<String>,
    /// Names that are filled later: they stay as they are written.
    later: Vec<&'static str>,
}

/// Whether `value` can be what a parameter says.
pub(super) fn is_value(value: &str) -> bool {
    value.len() <= LONGEST_VALUE && !value.contains("${") && !value.contains(char::is_control)
}

impl Parameters {
    /// The `param` nodes among `items`, which are taken out.
    pub(super) fn take(items: &mut Vec<Item>, notes: &mut Notes) -> Parameters {
        let mut parameters = Parameters {
            later: GIVEN.to_vec(),
            ..Parameters::default()
        };
        let nodes = items.extract_if(.., |item| item.rule.node == "param");
        let mut nodes: Vec<Item> = nodes.collect();
        nodes.sort_by_key(|item| item.file.rank);
        for item in nodes {
            let Some(name) = item.words.first() else {
                continue;
            };
            if !is_parameter(&name.value) {
                notes.bad_value(name, PARAMETER, None);
                parameters.broken.insert(name.value.clone());
                continue;
            }
            let default = item.property("default");
            if let Some(value) = default.filter(|value| !is_value(&value.value)) {
                notes.wrong(Wrong::BadParameter, value, "this value");
                parameters.broken.insert(name.value.clone());
            }
            let rank = item.file.rank;
            match parameters.places.get(&name.value) {
                Some((before, _)) if *before < rank => continue,
                Some((_, before)) => {
                    let what = format!("the parameter `{}`", name.value);
                    let help = "keep one of them";
                    notes.twice(Wrong::Duplicate { what, help }, name, before);
                }
                None => {}
            }
            let place = (rank, name.with(()));
            parameters.places.insert(name.value.clone(), place);
            let default = default.map(|value| value.value.clone());
            parameters.values.insert(name.value.clone(), default);
        }
        parameters
    }

    /// The names there are.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// What `name` says so far.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_deref()
    }

    /// Sets a parameter that exists; says whether it does.
    pub(super) fn set(&mut self, name: &str, value: &str) -> bool {
        match self.values.get_mut(name) {
            Some(old) => *old = Some(value.to_owned()),
            None => return false,
        }
        true
    }

    /// Notes every parameter that has no value. From then on it has some: one mistake, one message.
    /// Those of a `used` recipe can only have defaults.
    pub(super) fn all_set(&mut self, used: bool, notes: &mut Notes) {
        for (name, value) in &mut self.values {
            if let (None, Some((_, place))) = (&value, self.places.get(name)) {
                let wrong = Wrong::Unset {
                    name: name.clone(),
                    used,
                };
                notes.wrong(wrong, place, "this one");
                *value = Some(name.clone());
            }
        }
    }

    /// Notes each parameter of the recipe's own file that stands nowhere. Where something else is
    /// wrong, that may be why.
    pub(super) fn all_used(&self, notes: &mut Notes) {
        let own = self.places.iter().filter(|(_, (rank, _))| *rank == 0);
        let unused = own.filter(|(name, _)| !self.used.contains(*name));
        if notes.is_empty() {
            for (name, (_, place)) in unused {
                let name = name.clone();
                notes.wrong(Wrong::UnusedParameter { name }, place, "this one");
            }
        }
    }

    /// Fills the interpreter, which decides what every recipe has and so cannot use it.
    pub(super) fn fill_interpreter(&mut self, item: &mut Item, notes: &mut Notes) {
        let later = std::mem::take(&mut self.later);
        self.fill(std::slice::from_mut(item), notes);
        self.later = later;
    }

    /// Adds what every recipe has: then nothing is left for later.
    pub(super) fn give(&mut self, name: &str, value: &str) {
        let value = Some(value.to_owned());
        self.values.insert(name.to_owned(), value);
        self.later.clear();
    }

    /// Fills every string of the items.
    pub(super) fn fill(&mut self, items: &mut [Item], notes: &mut Notes) {
        for item in items {
            let properties = item.properties.values_mut();
            for word in item.words.iter_mut().chain(properties) {
                match self.filled(word) {
                    Ok(Some(filled)) => word.value = filled,
                    Ok(None) => {}
                    Err(wrong) => {
                        // What there is instead is not looked up for mistakes that nobody reads.
                        if let Some(wrong) = wrong
                            && !notes.is_full()
                        {
                            notes.wrong(wrong.told(self), word, "in this string");
                        }
                        // One mistake, one message: what is left is no value at all.
                        word.value.clear();
                    }
                }
            }
            item.words.retain(|word| !word.value.is_empty());
            self.fill(&mut item.children, notes);
        }
    }

    /// The word filled; nothing where it holds no parameter. No mistake where it was noted already.
    fn filled(&mut self, word: &Spanned<String>) -> Result<Option<String>, Option<Unfilled>> {
        if !word.value.contains("${") {
            return Ok(None);
        }
        let mut filled = String::new();
        let mut rest = word.value.as_str();
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if before.ends_with('$') {
                // Filled later, it is still to be written as it is.
                let escaped = if self.later.is_empty() { 1 } else { 0 };
                filled.push_str(&before[..before.len() - escaped]);
                filled.push_str("${");
                rest = &from[2..];
                continue;
            }
            filled.push_str(before);
            let Some((name, after)) = from[2..].split_once('}') else {
                return Err(Some(Unfilled::Wrong(Wrong::OpenParameter)));
            };
            if self.broken.contains(name) {
                return Err(None);
            }
            match self.values.get(name) {
                Some(Some(value)) => filled.push_str(value),
                _ if self.later.contains(&name) => filled.push_str(&from[..name.len() + 3]),
                _ => return Err(Some(Unfilled::Unknown(name.to_owned()))),
            }
            if !self.used.contains(name) {
                self.used.insert(name.to_owned());
            }
            if filled.len() > LONGEST {
                let what = "bytes in a filled string";
                let limit = LONGEST;
                let wrong = Wrong::TooMany { what, limit };
                return Err(Some(Unfilled::Wrong(wrong)));
            }
            rest = after;
        }
        filled.push_str(rest);
        if filled.trim().is_empty() {
            let wrong = Wrong::WrongType {
                wanted: "a text",
                found: "an empty string",
            };
            return Err(Some(Unfilled::Wrong(wrong)));
        }
        Ok(Some(filled))
    }

    /// That there is no parameter `name`.
    pub(super) fn unknown(&self, name: &str) -> Wrong {
        if GIVEN.contains(&name) {
            let name = name.to_owned();
            return Wrong::ParameterTooEarly { name };
        }
        let mut known: Vec<&str> = self.names().chain(self.later.iter().copied()).collect();
        known.sort_unstable();
        let near = nearest(name, known.iter().copied()).map(str::to_owned);
        Wrong::NoParameter {
            name: printable(name),
            near,
            known: there_is(&known),
        }
    }
}
