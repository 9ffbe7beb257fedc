//! [`KdlDocument`](kdl::KdlDocument) and the table of rules → [`Item`]s, whose shape is right. Begin at
//! [`Decoder::items`].
//!
//! What an item holds was checked against its rule: known name, right number of arguments, known
//! properties, each of the right type. Everything that was wrong is in the
//! [`Notes`], with its place; the items that remain let `parse.rs` find more mistakes in the same reading.

use std::collections::BTreeMap;
use std::sync::Arc;

use kdl::{KdlEntry, KdlNode, KdlValue};
use miette::SourceSpan;

use super::characters::{describe, is_forbidden, is_hidden};
use super::grammar::{Kind, PLANNED, RULES, Rule, children_of};
use super::near::nearest;
use super::notes::Notes;
use super::wrong::Wrong;
use super::{File, Spanned};

/// A node whose shape is right.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub rule: &'static Rule,
    /// The node's name, or where its mistakes are shown.
    pub name: Spanned<()>,
    /// The file it stands in.
    pub file: Arc<File>,
    /// Arguments of [`Kind::Text`].
    pub words: Vec<Spanned<String>>,
    /// Arguments of [`Kind::Flag`].
    pub flags: Vec<Spanned<bool>>,
    pub properties: BTreeMap<&'static str, Spanned<String>>,
    pub children: Vec<Item>,
}

impl Item {
    /// The property, unless it is missing or was found wrong.
    pub(super) fn property(&self, name: &str) -> Option<&Spanned<String>> {
        self.properties
            .get(name)
            .filter(|value| !value.value.is_empty())
    }
}

/// Turns the nodes of one file into items.
pub(super) struct Decoder<'n> {
    file: Arc<File>,
    notes: &'n mut Notes,
}

impl<'n> Decoder<'n> {
    pub(super) fn new(file: &Arc<File>, notes: &'n mut Notes) -> Decoder<'n> {
        Decoder {
            file: file.clone(),
            notes,
        }
    }

    fn at(&self, span: SourceSpan) -> Spanned<()> {
        Spanned {
            value: (),
            span,
            text: self.file.text.clone(),
        }
    }

    fn wrong(&mut self, wrong: Wrong, span: SourceSpan, label: &str) {
        let at = self.at(span);
        self.notes.wrong(wrong, &at, label);
    }

    fn twice(&mut self, wrong: Wrong, again: SourceSpan, first: SourceSpan) {
        let (again, first) = (self.at(again), self.at(first));
        self.notes.twice(wrong, &again, &first);
    }

    /// The items that stand inside `parent`.
    pub(super) fn items(&mut self, nodes: &[KdlNode], parent: &'static str) -> Vec<Item> {
        let mut first: BTreeMap<&'static str, SourceSpan> = BTreeMap::new();
        let mut items = Vec::new();
        for node in nodes {
            let name = node.name().span();
            let Some(rule) = self.rule(node, parent) else {
                continue;
            };
            if let (Some(first), false) = (first.get(rule.node), rule.repeats) {
                let wrong = match rule.node {
                    "recipe" => Wrong::SeveralRecipes,
                    _ => Wrong::Duplicate {
                        what: format!("`{}`", rule.node),
                        help: "put all of it into one",
                    },
                };
                self.twice(wrong, name, *first);
                continue;
            }
            first.insert(rule.node, name);
            items.push(self.item(node, rule));
        }
        items
    }

    fn rule(&mut self, node: &KdlNode, parent: &'static str) -> Option<&'static Rule> {
        let word = node.name().value();
        let known: Vec<&'static str> = children_of(parent).map(|rule| rule.node).collect();
        let found = children_of(parent).find(|rule| rule.node == word);
        if found.is_some() {
            return found;
        }
        let near = nearest(word, known.iter().copied()).map(str::to_owned);
        self.notes.meant(near.as_deref());
        let planned = PLANNED.iter().find(|(name, _)| *name == word);
        let wrong = match planned {
            Some((name, hint)) => Wrong::NotYet {
                what: format!("the node `{name}`"),
                hint,
            },
            None => Wrong::UnknownNode {
                node: printable(word),
                parent,
                near,
                belongs: RULES
                    .iter()
                    .find(|rule| rule.node == word && !rule.inside.is_empty())
                    .map(|rule| rule.inside),
                anchor: known_anchor(parent),
                known,
            },
        };
        self.wrong(wrong, node.name().span(), "this one");
        None
    }

    fn item(&mut self, node: &KdlNode, rule: &'static Rule) -> Item {
        if let Some(ty) = node.ty() {
            self.wrong(Wrong::TypeAnnotation, ty.span(), "delete it");
        }
        let mut item = Item {
            rule,
            name: self.at(node.name().span()),
            file: self.file.clone(),
            words: Vec::new(),
            flags: Vec::new(),
            properties: BTreeMap::new(),
            children: Vec::new(),
        };
        let mut arguments = 0;
        let mut single_quotes = false;
        for entry in node.entries() {
            let word = unquoted(entry).unwrap_or_default();
            if single_quotes {
                // What KDL takes for further arguments.
                single_quotes = !word.ends_with('\'');
                continue;
            }
            single_quotes = word.starts_with('\'') && (word.len() == 1 || !word.ends_with('\''));
            if let Some(ty) = entry.ty() {
                self.wrong(Wrong::TypeAnnotation, ty.span(), "delete it");
            }
            match entry.name() {
                Some(_) => self.property(entry, &mut item),
                None => {
                    arguments += 1;
                    self.argument(entry, arguments, &mut item);
                }
            }
        }
        self.complete(&item, arguments);
        if let Some(block) = node.children() {
            if rule.children().next().is_some() {
                item.children = self.items(block.nodes(), rule.node);
            } else {
                let wrong = Wrong::NoBlock {
                    node: rule.node,
                    anchor: rule.anchor(),
                };
                self.wrong(wrong, item.name.span, "this node has one");
            }
        }
        item
    }

    /// Says what the node lacks.
    fn complete(&mut self, item: &Item, arguments: usize) {
        let rule = item.rule;
        let mut lacks: Vec<String> = Vec::new();
        if arguments < rule.arguments.0 {
            lacks.push(rule.noun.to_owned());
        }
        for (name, required) in rule.properties {
            if *required && !item.properties.contains_key(name) {
                lacks.push(format!("`{name}`"));
            }
        }
        if !lacks.is_empty() {
            let wrong = Wrong::Missing {
                node: rule.node,
                what: lacks.join(" and "),
                example: rule.example,
                anchor: rule.anchor(),
            };
            self.wrong(wrong, item.name.span, "this node");
        }
    }

    fn argument(&mut self, entry: &KdlEntry, count: usize, item: &mut Item) {
        let rule = item.rule;
        let span = value_span(entry);
        if count > 1
            && let Some(node) = unquoted(entry).and_then(|word| sibling(rule, word))
        {
            return self.wrong(Wrong::TwoNodes { node }, span, "the second begins here");
        }
        if count > rule.arguments.1 {
            if count == rule.arguments.1 + 1 {
                let wrong = Wrong::TooManyArguments {
                    node: rule.node,
                    wanted: rule.wanted(),
                    anchor: rule.anchor(),
                };
                self.wrong(wrong, span, "one too many");
            }
            return;
        }
        match rule.kind {
            Kind::Text => {
                if let Some(value) = self.text(entry, matches!(rule.node, "python" | "run")) {
                    item.words.push(self.at(span).with(value));
                }
            }
            Kind::Flag => match entry.value() {
                KdlValue::Bool(value) => item.flags.push(self.at(span).with(*value)),
                other => self.wrong(
                    Wrong::WrongType {
                        wanted: "#true or #false",
                        found: type_of(other),
                    },
                    span,
                    "this value",
                ),
            },
        }
    }

    fn property(&mut self, entry: &KdlEntry, item: &mut Item) {
        let Some(key) = entry.name() else { return };
        let rule = item.rule;
        let known = rule.properties.iter().map(|(name, _)| *name);
        let Some(name) = known.clone().find(|name| *name == key.value()) else {
            let known: Vec<&'static str> = known.collect();
            let near = nearest(key.value(), known.iter().copied());
            if let Some(meant) = known.iter().find(|name| near == Some(**name)) {
                let stand_in = self.at(key.span()).with(String::new());
                item.properties.entry(meant).or_insert(stand_in);
            }
            let wrong = Wrong::UnknownProperty {
                node: rule.node,
                property: printable(key.value()),
                near: near.map(str::to_owned),
                known,
                anchor: rule.anchor(),
            };
            return self.wrong(wrong, key.span(), "this one");
        };
        let span = value_span(entry);
        if let Some(first) = item.property(name) {
            let wrong = Wrong::Duplicate {
                what: format!("the property `{name}`"),
                help: "keep one of them",
            };
            return self.twice(wrong, span, first.span);
        }
        // A value of the wrong type counts as given: one mistake, one message.
        let value = self.text(entry, false).unwrap_or_default();
        item.properties.insert(name, self.at(span).with(value));
    }

    /// A string without characters that nobody can see. Only code, and what a program is given, may have
    /// several lines.
    fn text(&mut self, entry: &KdlEntry, lines: bool) -> Option<String> {
        let span = value_span(entry);
        let KdlValue::String(value) = entry.value() else {
            let wrong = Wrong::WrongType {
                wanted: "a string",
                found: type_of(entry.value()),
            };
            self.wrong(wrong, span, "this value");
            return None;
        };
        let line_ends = |c: char| lines && matches!(c, '\n' | '\t');
        if unquoted(entry).is_some_and(|word| word.starts_with('\'')) {
            self.wrong(Wrong::SingleQuotes, span, "opened here");
            return None;
        }
        let bad = value
            .chars()
            .find(|c| !line_ends(*c) && (is_forbidden(*c) || c.is_control()));
        if let Some(c) = bad {
            let wrong = Wrong::Character {
                character: describe(c),
            };
            self.wrong(wrong, span, "in this string");
            return None;
        }
        if value.trim().is_empty() {
            let wrong = Wrong::WrongType {
                wanted: "a text",
                found: "an empty string",
            };
            self.wrong(wrong, span, "this value");
            return None;
        }
        Some(value.clone())
    }
}

/// The argument, if it is a word without quotes.
fn unquoted(entry: &KdlEntry) -> Option<&str> {
    let bare = entry
        .format()
        .is_some_and(|format| format.value_repr == entry.value().as_string().unwrap_or_default());
    entry.value().as_string().filter(|_| bare)
}

/// The node of this name that could stand beside `rule`.
fn sibling(rule: &Rule, word: &str) -> Option<&'static str> {
    children_of(rule.inside)
        .map(|sibling| sibling.node)
        .find(|node| *node == word)
}

fn known_anchor(parent: &'static str) -> &'static str {
    if parent.is_empty() { "recipe" } else { parent }
}

/// Where the value of an argument or property stands, without the property's name.
pub(super) fn value_span(entry: &KdlEntry) -> SourceSpan {
    let span = entry.span();
    let length = entry
        .format()
        .map_or(span.len(), |format| format.value_repr.len())
        .min(span.len());
    (span.offset() + span.len() - length, length).into()
}

fn type_of(value: &KdlValue) -> &'static str {
    match value {
        KdlValue::String(_) => "a string",
        KdlValue::Integer(_) | KdlValue::Float(_) => "a number",
        KdlValue::Bool(_) => "a truth value",
        KdlValue::Null => "#null",
    }
}

/// `word` fit for a terminal: what cannot be seen is escaped, what is endless is cut.
pub(super) fn printable(word: &str) -> String {
    let mut shown = String::new();
    for c in word.chars().take(80) {
        if c.is_control() || is_forbidden(c) || is_hidden(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    if word.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}
