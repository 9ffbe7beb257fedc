//! `${name}` in the strings of a recipe → what the parameter says. Begin at [`Parameters::fill`].
//!
//! Evaluation is total: a value is text that is never looked into again, so nothing is computed and
//! nothing repeats. The rules of what stands where are held against the filled string.

use std::collections::BTreeMap;

use super::Spanned;
use super::decode::{Item, printable};
use super::near::nearest;
use super::notes::Notes;
use super::values::{GIVEN, PARAMETER, is_parameter};
use super::wrong::{Wrong, there_is};

/// Bytes of one value, and of one filled string.
const LONGEST_VALUE: usize = 1 << 10;
const LONGEST: usize = 64 << 10;

/// The parameters of one recipe.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    /// Each with its value; without one it has to be set.
    values: BTreeMap<String, Option<String>>,
    /// Where each is written.
    places: BTreeMap<String, Spanned<()>>,
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
        for item in items.extract_if(.., |item| item.rule.node == "param") {
            let Some(name) = item.words.first() else {
                continue;
            };
            if !is_parameter(&name.value) {
                notes.bad_value(name, PARAMETER);
                continue;
            }
            let default = item.property("default");
            if let Some(value) = default.filter(|value| !is_value(&value.value)) {
                notes.wrong(Wrong::BadParameter, value, "this value");
            }
            let before = parameters.places.insert(name.value.clone(), name.with(()));
            if let Some(before) = before {
                let what = format!("the parameter `{}`", name.value);
                let help = "keep one of them";
                notes.twice(Wrong::Duplicate { what, help }, name, &before);
            }
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
    pub(super) fn all_set(&mut self, notes: &mut Notes) {
        for (name, value) in &mut self.values {
            if let (None, Some(place)) = (&value, self.places.get(name)) {
                let wrong = Wrong::Unset { name: name.clone() };
                notes.wrong(wrong, place, "this one");
                *value = Some(name.clone());
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
    pub(super) fn fill(&self, items: &mut [Item], notes: &mut Notes) {
        for item in items {
            let properties = item.properties.values_mut();
            for word in item.words.iter_mut().chain(properties) {
                match self.filled(word) {
                    Ok(Some(filled)) => word.value = filled,
                    Ok(None) => {}
                    Err(wrong) => {
                        notes.wrong(wrong, word, "in this string");
                        // One mistake, one message: what is left is no value at all.
                        word.value.clear();
                    }
                }
            }
            item.words.retain(|word| !word.value.is_empty());
            self.fill(&mut item.children, notes);
        }
    }

    /// The word filled; nothing where it holds no parameter.
    fn filled(&self, word: &Spanned<String>) -> Result<Option<String>, Wrong> {
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
                let name: String = from[2..].chars().take(20).collect();
                return Err(self.unknown(&name));
            };
            match self.values.get(name) {
                Some(Some(value)) => filled.push_str(value),
                _ if self.later.contains(&name) => filled.push_str(&from[..name.len() + 3]),
                _ => return Err(self.unknown(name)),
            }
            if filled.len() > LONGEST {
                let what = "bytes in a filled string";
                let limit = LONGEST;
                return Err(Wrong::TooMany { what, limit });
            }
            rest = after;
        }
        filled.push_str(rest);
        if filled.trim().is_empty() {
            return Err(Wrong::WrongType {
                wanted: "a text",
                found: "an empty string",
            });
        }
        Ok(Some(filled))
    }

    /// That there is no parameter `name`.
    pub(super) fn unknown(&self, name: &str) -> Wrong {
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
