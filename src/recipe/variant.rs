//! `variant` nodes → the forms that a recipe comes in, and the one that is wanted. Begin at [`rows`].
//!
//! A variant is one choice from each list of its node: a row of a matrix. The recipe as it is
//! written needs none of them.

use std::collections::BTreeSet;

use super::Spanned;
use super::decode::Item;
use super::notes::Notes;
use super::values::{
    MINOR_VERSION, PARAMETER, PROCESSORS, SETTING, SUITE, is_minor_version, is_parameter,
    is_setting, is_suite,
};
use super::wrong::Wrong;
use crate::platform::Platform;

/// Rows of all matrices of a file.
const MOST: usize = 64;

/// One row of the matrix; what it does not say stays as the recipe says it.
#[derive(Debug, Clone, Default)]
pub(super) struct Variant {
    /// `3.11-aarch64`: its choices, joined. x86_64 is left out where anything else is said.
    pub name: String,
    /// The same with the processor, always.
    pub whole: String,
    pub python: Option<Spanned<String>>,
    pub suite: Option<Spanned<String>>,
    pub arch: Option<Spanned<String>>,
    pub set: Vec<(Spanned<String>, Spanned<String>)>,
}

/// All variants of a file, in the order they are written.
pub(super) fn rows(items: &[Item], recipe: &str, notes: &mut Notes) -> Vec<Variant> {
    let mut all: Vec<Variant> = Vec::new();
    for item in items.iter().filter(|item| item.rule.node == "variant") {
        // A recipe whose name is wrong has no variants that could be of another.
        let other = |name: &&Spanned<String>| !recipe.is_empty() && name.value != recipe;
        if let Some(name) = item.words.first().filter(other) {
            let near = Some(recipe.to_owned());
            notes.wrong(Wrong::OtherRecipe { near }, name, "this name");
        }
        let rows = Matrix::of(item, notes).rows();
        if all.len() + rows.len() > MOST {
            let (what, limit) = ("variants", MOST);
            notes.wrong(Wrong::TooMany { what, limit }, &item.name, "this one");
            continue;
        }
        all.extend(rows);
    }
    let mut names = BTreeSet::new();
    for variant in &all {
        if !names.insert(variant.name.as_str()) {
            let place = [&variant.arch, &variant.suite, &variant.python];
            let place = place.into_iter().flatten().next();
            if let Some(place) = place.or(variant.set.first().map(|(_, value)| value)) {
                let what = format!("the variant `{}`", variant.name);
                let help = "the name of a variant is its versions, suites, settings and \
                            processors: let them differ";
                notes.wrong(Wrong::Duplicate { what, help }, place, "its last choice");
            }
            // Where two are equal, many are.
            break;
        }
    }
    all
}

/// The lists of one node; an empty one is no choice.
#[derive(Default)]
struct Matrix {
    /// Versions, each with the suite that has it, where it is said.
    pythons: Vec<(Spanned<String>, Option<Spanned<String>>)>,
    suites: Vec<Spanned<String>>,
    settings: Vec<(Spanned<String>, Vec<Spanned<String>>)>,
    arches: Vec<Spanned<String>>,
}

impl Matrix {
    fn of(item: &Item, notes: &mut Notes) -> Matrix {
        let mut matrix = Matrix::default();
        for child in &item.children {
            let words = child.words.iter();
            match child.rule.node {
                "python" => {
                    let suite = notes.checked(child.property("suite"), SUITE, is_suite);
                    let good = words.filter_map(|word| {
                        notes.checked(Some(word), MINOR_VERSION, is_minor_version)
                    });
                    let pythons: Vec<_> = good.map(|word| (word, suite.clone())).collect();
                    matrix.pythons.extend(pythons);
                }
                "suite" => matrix
                    .suites
                    .extend(words.filter_map(|it| notes.checked(Some(it), SUITE, is_suite))),
                "arch" => {
                    for word in words {
                        let known = notes.one_of(word, "a processor", PROCESSORS);
                        matrix.arches.extend(known.map(|_| word.clone()));
                    }
                }
                _ => {
                    let Some((name, values)) = child.words.split_first() else {
                        continue;
                    };
                    let name = notes.checked(Some(name), PARAMETER, is_parameter);
                    let good = |value| notes.checked(Some(value), SETTING, is_setting);
                    let values: Vec<_> = values.iter().filter_map(good).collect();
                    matrix.settings.extend(name.map(|name| (name, values)));
                }
            }
        }
        let suite_of_a_row = matrix.pythons.iter().find_map(|(_, suite)| suite.as_ref());
        if let (Some(one), Some(list)) = (suite_of_a_row, matrix.suites.first()) {
            let what = "the suite".to_owned();
            let help = "write the suite beside each version, or a list of suites that have all of \
                        them";
            notes.twice(Wrong::Duplicate { what, help }, list, one);
        }
        matrix
    }

    /// Every choice of one from each list.
    fn rows(&self) -> Vec<Variant> {
        let mut rows = vec![Variant::default()];
        let grow = |rows: &mut Vec<Variant>, count: usize, set: &dyn Fn(&mut Variant, usize)| {
            if count == 0 {
                return;
            }
            // One more than allowed is enough to say so.
            let old = std::mem::take(rows);
            for row in old.iter().take(MOST + 1) {
                for choice in 0..count.min(MOST + 1) {
                    let mut row = row.clone();
                    set(&mut row, choice);
                    rows.push(row);
                }
            }
        };
        grow(&mut rows, self.pythons.len(), &|row, choice| {
            let (python, suite) = &self.pythons[choice];
            row.python = Some(python.clone());
            row.suite = suite.clone();
            row.add(&python.value);
        });
        grow(&mut rows, self.suites.len(), &|row, choice| {
            row.suite = Some(self.suites[choice].clone());
            row.add(&self.suites[choice].value);
        });
        for (name, values) in &self.settings {
            grow(&mut rows, values.len(), &|row, choice| {
                row.set.push((name.clone(), values[choice].clone()));
                row.add(&values[choice].value);
            });
        }
        grow(&mut rows, self.arches.len(), &|row, choice| {
            let arch = &self.arches[choice];
            let usual = arch.value == Platform::default().processor() && !row.name.is_empty();
            let name = row.name.clone();
            row.arch = Some(arch.clone());
            row.add(&arch.value);
            if usual {
                row.name = name;
            }
        });
        rows.retain(|row| !row.name.is_empty());
        rows
    }
}

impl Variant {
    fn add(&mut self, choice: &str) {
        for name in [&mut self.name, &mut self.whole] {
            if !name.is_empty() {
                name.push('-');
            }
            name.push_str(choice);
        }
    }
}
