//! What is wrong with the files of one recipe, collected. Begin at [`Notes`].

use std::collections::BTreeMap;

use super::Spanned;
use super::decode::printable;
use super::error::{Mistake, RecipeError};
use super::near::{mended, nearest};
use super::values::Rule;
use super::wrong::{Wrong, there_is};

/// More than this is not read by anybody.
pub(super) const ENOUGH: usize = 20;

/// Mistakes, in the order they were found.
#[derive(Debug, Default)]
pub(super) struct Notes {
    mistakes: Vec<Mistake>,
    /// Nodes that were probably meant by unknown ones: they are not missing as well.
    meant: Vec<String>,
}

impl Notes {
    /// Whether an unknown node looked like `node`.
    pub(super) fn was_meant(&self, node: &str) -> bool {
        self.meant.iter().any(|meant| meant == node)
    }

    /// Notes that an unknown node looked like this one.
    pub(super) fn meant(&mut self, node: Option<&str>) {
        self.meant.extend(node.map(str::to_owned));
    }

    /// Whether there are more mistakes than anybody reads: looking for further ones is in vain.
    pub(super) fn is_full(&self) -> bool {
        self.mistakes.len() >= ENOUGH
    }

    pub(super) fn is_empty(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Everything wrong so far, as the error of the file `name`.
    pub(super) fn into_error(self, name: &str) -> RecipeError {
        RecipeError::of(name, self.mistakes)
    }

    /// Notes a mistake.
    pub(super) fn wrong<T>(&mut self, wrong: Wrong, at: &Spanned<T>, label: impl Into<String>) {
        if !self.is_full() {
            self.add(Mistake::new(wrong, &at.text, at.span, label));
        }
    }

    /// Notes that something is said again.
    pub(super) fn twice<T, U>(&mut self, wrong: Wrong, again: &Spanned<T>, first: &Spanned<U>) {
        self.pair(wrong, (again, "again here"), (first, "first here"));
    }

    /// Notes that a package is kept out at one place and asked for at another.
    pub(super) fn contradiction(&mut self, out: &Spanned<String>, wanted: &Spanned<String>) {
        let name = wanted.value.clone();
        let wrong = Wrong::Contradiction { name };
        self.pair(wrong, (out, "excluded here"), (wanted, "wanted here"));
    }

    fn pair<T, U>(
        &mut self,
        wrong: Wrong,
        (one, label): (&Spanned<T>, &str),
        (two, other): (&Spanned<U>, &str),
    ) {
        if self.is_full() {
            return;
        }
        let mistake = if std::sync::Arc::ptr_eq(&one.text, &two.text) {
            Mistake::new(wrong, &one.text, one.span, label).and(two.span, other)
        } else {
            let before = two
                .text
                .inner()
                .get(..two.span.offset())
                .unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let there = format!("{label}; {other}: {} line {line}", two.text.name());
            Mistake::new(wrong, &one.text, one.span, there)
        };
        self.add(mistake);
    }

    /// Notes a value that breaks its rule, and what may be meant.
    pub(super) fn bad_value(&mut self, word: &Spanned<String>, rule: Rule, near: Option<String>) {
        let wrong = Wrong::BadValue {
            value: printable(&word.value),
            wanted: rule.0.to_owned(),
            rule: rule.1.to_owned(),
            near,
        };
        self.wrong(wrong, word, "this value");
    }

    /// The word, if it keeps to its rule.
    pub(super) fn checked(
        &mut self,
        word: Option<&Spanned<String>>,
        rule: Rule,
        good: impl Fn(&str) -> bool,
    ) -> Option<Spanned<String>> {
        let word = word?;
        if good(&word.value) {
            return Some(word.clone());
        }
        self.bad_value(word, rule, mended(&word.value, good));
        None
    }

    /// The value that the word names, of a closed list.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        word: &Spanned<String>,
        wanted: &str,
        known: &[(&'static str, T)],
    ) -> Option<Spanned<T>> {
        if let Some((_, value)) = known.iter().find(|(name, _)| *name == word.value) {
            return Some(word.with(*value));
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        self.unknown_value(word, wanted, &names);
        None
    }

    /// Notes a word that a closed list does not have.
    pub(super) fn unknown_value(&mut self, word: &Spanned<String>, wanted: &str, names: &[&str]) {
        let wrong = Wrong::BadValue {
            value: printable(&word.value),
            wanted: wanted.to_owned(),
            rule: there_is(names),
            near: nearest(&word.value, names.iter().copied()).map(str::to_owned),
        };
        self.wrong(wrong, word, "this value");
    }

    /// Notes a value that the language will have.
    pub(super) fn not_yet(&mut self, word: &Spanned<String>, what: &str, hint: &'static str) {
        let wrong = Wrong::NotYet {
            what: format!("{what} `{}`", printable(&word.value)),
            hint,
        };
        self.wrong(wrong, word, "this value");
    }

    /// Notes every value that is given twice.
    pub(super) fn unique<'v, T: 'v>(
        &mut self,
        what: &str,
        values: impl Iterator<Item = (&'v str, &'v Spanned<T>)>,
    ) {
        let mut seen: BTreeMap<&str, &Spanned<T>> = BTreeMap::new();
        for (value, place) in values {
            if let Some(first) = seen.get(value) {
                let what = format!("{what} `{value}`");
                let help = "keep one of them";
                self.twice(Wrong::Duplicate { what, help }, place, first);
            } else {
                seen.insert(value, place);
            }
        }
    }

    /// Notes a mistake that was made elsewhere.
    pub(super) fn add(&mut self, mistake: Mistake) {
        if !self.is_full() {
            self.mistakes.push(mistake);
        }
    }
}
