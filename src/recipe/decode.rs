//! [`KdlDocument`](kdl::KdlDocument) and the table of rules → [`Item`]s, whose shape is right. Begin at
//! [`Decoder::items`].
//!
//! What an item holds was checked against its rule: known name, right number of arguments, known
//! properties, each of the right type. Everything that was wrong is in [`Decoder::mistakes`],
//! with its place; the items that remain let `parse.rs` find more mistakes in the same reading.

use std::collections::BTreeMap;
use std::sync::Arc;

use kdl::{KdlEntry, KdlNode, KdlValue};
use miette::{NamedSource, SourceSpan};

use super::Spanned;
use super::characters::{describe, is_forbidden, is_hidden};
use super::error::Mistake;
use super::grammar::{Kind, PLANNED, RULES, Rule, children_of};
use super::near::nearest;
use super::wrong::Wrong;

/// More than this is not read by anybody.
const ENOUGH: usize = 20;

/// A node whose shape is right.
#[derive(Debug)]
pub(super) struct Item {
    pub rule: &'static Rule,
    /// The node's name, or where its mistakes are shown.
    pub name: SourceSpan,
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

/// Turns nodes into items and collects what is wrong.
pub(super) struct Decoder<'t> {
    text: &'t NamedSource<Arc<str>>,
    mistakes: Vec<Mistake>,
    /// Nodes that were probably meant by unknown ones: they are not missing as well.
    meant: Vec<String>,
}

impl<'t> Decoder<'t> {
    pub(super) fn new(text: &'t NamedSource<Arc<str>>) -> Decoder<'t> {
        Decoder {
            text,
            mistakes: Vec::new(),
            meant: Vec::new(),
        }
    }

    /// Whether an unknown node looked like `node`.
    pub(super) fn was_meant(&self, node: &str) -> bool {
        self.meant.iter().any(|meant| meant == node)
    }

    /// Everything wrong so far.
    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    /// Notes a mistake.
    pub(super) fn wrong(&mut self, wrong: Wrong, at: SourceSpan, label: impl Into<String>) {
        let mistake = Mistake::new(wrong, self.text, at, label);
        self.add(mistake);
    }

    /// Notes that something is said again.
    pub(super) fn twice(&mut self, wrong: Wrong, again: SourceSpan, first: SourceSpan) {
        let mistake = Mistake::new(wrong, self.text, again, "again here").and(first, "first here");
        self.add(mistake);
    }

    /// Notes that a package is kept out at one place and asked for at another.
    pub(super) fn contradiction(&mut self, name: String, out: SourceSpan, wanted: SourceSpan) {
        let wrong = Wrong::Contradiction { name };
        let mistake =
            Mistake::new(wrong, self.text, out, "excluded here").and(wanted, "wanted here");
        self.add(mistake);
    }

    /// Notes mistakes that were made elsewhere.
    pub(super) fn add(&mut self, mistake: Mistake) {
        if self.mistakes.len() < ENOUGH {
            self.mistakes.push(mistake);
        }
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
                let wrong = match parent {
                    "" => Wrong::SeveralRecipes,
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
        self.meant.extend(near.clone());
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
            name: node.name().span(),
            words: Vec::new(),
            flags: Vec::new(),
            properties: BTreeMap::new(),
            children: Vec::new(),
        };
        let mut arguments = 0;
        for entry in node.entries() {
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
                self.wrong(wrong, item.name, "this node has one");
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
            self.wrong(wrong, item.name, "this node");
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
                if let Some(value) = self.text(entry, rule.node == "python") {
                    item.words.push(Spanned { value, span });
                }
            }
            Kind::Flag => match entry.value() {
                KdlValue::Bool(value) => item.flags.push(Spanned {
                    value: *value,
                    span,
                }),
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
                let (value, span) = (String::new(), key.span());
                let stand_in = Spanned { value, span };
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
        item.properties.insert(name, Spanned { value, span });
    }

    /// A string without characters that nobody can see. Only code may have several lines.
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
fn value_span(entry: &KdlEntry) -> SourceSpan {
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
