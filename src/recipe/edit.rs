//! The text of a recipe and what is to be added or removed → the text after it. Begin at [`add`] and
//! [`remove`].
//!
//! Only what has to change does: comments, blank lines and the order of everything stay. What is
//! added and then removed leaves the text as it was, unless there was an empty block.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use miette::NamedSource;

use super::characters::is_space;
use super::decode::value_span;
use super::document::document;
use super::error::RecipeError;
use super::guard::Limits;
use super::layout::{Block, Node, Part, Piece, layout};
use super::requirement::project;

/// A list that people edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// `require` in `pip`.
    Requirements,
    /// `package` in `system`.
    Packages,
}

impl List {
    /// The block that it stands in.
    #[must_use]
    pub fn block(self) -> &'static str {
        match self {
            List::Requirements => "pip",
            List::Packages => "system",
        }
    }

    fn node(self) -> &'static str {
        match self {
            List::Requirements => "require",
            List::Packages => "package",
        }
    }

    /// Whether two entries are about the same thing.
    #[must_use]
    pub fn same(self, one: &str, other: &str) -> bool {
        match self {
            List::Requirements => project(one) == project(other),
            List::Packages => one == other,
        }
    }
}

/// The text with `entry` in the list. Whether that is a good recipe is for whoever parses it.
pub fn add(name: &str, text: &str, list: List, entry: &str) -> Result<String, RecipeError> {
    let file = Text::read(name, text)?;
    let parts = layout(text);
    let recipe = file.recipe(&parts)?;
    let word = format!("{} {}", list.node(), quoted(entry));
    let Some(block) = file.blocks(recipe, list).next() else {
        return Ok(file.with_block(recipe, list, &word));
    };
    let entries = nodes(block).filter(|node| file.is(node, list.node()));
    let Some(last) = entries.last() else {
        return Ok(file.at_the_end(block, &word));
    };
    let end = file.line_end(last.end());
    if end < block.close {
        let indent = file.indent(last);
        return Ok(file.insert(end, &format!("\n{indent}{word}")));
    }
    // All on one line: one more word.
    let at = last.words().last().map_or(last.end(), |word| word.end);
    Ok(file.insert(at, &format!(" {}", quoted(entry))))
}

/// The text without `entry` in the list; nothing where it is not there.
pub fn remove(
    name: &str,
    text: &str,
    list: List,
    entry: &str,
) -> Result<Option<String>, RecipeError> {
    let file = Text::read(name, text)?;
    let parts = layout(text);
    let recipe = file.recipe(&parts)?;
    let mut owners = recipe.parts.iter();
    let found = owners.find_map(|part| match part {
        Part::Node(owner) if !owner.out && file.is(owner, list.block()) => {
            let block = owner.block()?;
            let mut entries = nodes(block).filter(|node| file.is(node, list.node()));
            let found = entries.find_map(|node| {
                let mut words = node.words().skip(1);
                let word =
                    words.find(|word| file.value(word).is_some_and(|it| list.same(it, entry)))?;
                Some((node, word))
            })?;
            Some((owner, block, found))
        }
        _ => None,
    });
    let Some((owner, block, (node, word))) = found else {
        return Ok(None);
    };
    let without = if node.words().count() > 2 {
        let start = file.before(node, &word);
        file.cut(start..word.end)
    } else if block.parts.len() == 1 && block.comment.is_none() && owner.comment.is_none() {
        file.without_node(owner, recipe, true)
    } else {
        file.without_node(node, block, false)
    };
    Ok(Some(without))
}

/// The nodes of a block that count.
fn nodes(block: &Block) -> impl Iterator<Item = &Node> {
    block.parts.iter().filter_map(|part| match part {
        Part::Node(node) if !node.out => Some(node),
        _ => None,
    })
}

/// A KDL string.
fn quoted(entry: &str) -> String {
    format!("\"{}\"", entry.replace('\\', "\\\\").replace('"', "\\\""))
}

struct Text<'t> {
    name: &'t str,
    text: &'t str,
    /// What the arguments say, by where they begin.
    values: BTreeMap<usize, String>,
}

impl<'t> Text<'t> {
    fn read(name: &'t str, text: &'t str) -> Result<Text<'t>, RecipeError> {
        let source = NamedSource::new(name, Arc::from(text));
        let document = document(&source, &Limits::RECIPE)
            .map_err(|mistakes| RecipeError::of(name, mistakes))?;
        let mut values = BTreeMap::new();
        let mut nodes: Vec<&kdl::KdlNode> = document.nodes().iter().collect();
        while let Some(node) = nodes.pop() {
            for entry in node.entries() {
                if let Some(value) = entry.value().as_string() {
                    values.insert(value_span(entry).offset(), value.to_owned());
                }
            }
            nodes.extend(node.iter_children());
        }
        Ok(Text { name, text, values })
    }

    /// The block of the recipe.
    fn recipe<'p>(&self, parts: &'p [Part]) -> Result<&'p Block, RecipeError> {
        let mut nodes = parts.iter().filter_map(|part| match part {
            Part::Node(node) if !node.out && self.is(node, "recipe") => node.block(),
            _ => None,
        });
        nodes.next().ok_or_else(|| RecipeError::NothingToEdit {
            name: self.name.to_owned(),
        })
    }

    /// The blocks of the list that the recipe has.
    fn blocks<'p>(&self, recipe: &'p Block, list: List) -> impl Iterator<Item = &'p Block> {
        let blocks = nodes(recipe).filter(move |node| self.is(node, list.block()));
        blocks
            .filter_map(Node::block)
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn is(&self, node: &Node, name: &str) -> bool {
        let word = node.name().map_or("", |at| &self.text[at]);
        word == name || word.strip_prefix('"').and_then(|it| it.strip_suffix('"')) == Some(name)
    }

    fn value(&self, word: &Range<usize>) -> Option<&str> {
        self.values.get(&word.start).map(String::as_str)
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The end of a line, without the line end.
    fn line_end(&self, at: usize) -> usize {
        let end = self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |length| at + length);
        at + self.text[at..end].trim_end_matches('\r').len()
    }

    /// The blanks before the line on which a node begins.
    fn indent(&self, node: &Node) -> &'t str {
        let at = node.name().map_or(0, |name| name.start);
        self.blanks(at)
    }

    fn blanks(&self, at: usize) -> &'t str {
        let line = &self.text[self.line_start(at)..];
        &line[..line.len() - line.trim_start_matches(is_space).len()]
    }

    fn insert(&self, at: usize, what: &str) -> String {
        let what = match self.text.contains("\r\n") {
            true => what.replace('\n', "\r\n"),
            false => what.to_owned(),
        };
        format!("{}{what}{}", &self.text[..at], &self.text[at..])
    }

    fn cut(&self, range: Range<usize>) -> String {
        format!("{}{}", &self.text[..range.start], &self.text[range.end..])
    }

    /// A block of its own for the list: after the interpreter, else at the end of the recipe.
    fn with_block(&self, recipe: &Block, list: List, word: &str) -> String {
        let after = nodes(recipe).find(|node| self.is(node, "interpreter"));
        let after = after.or(nodes(recipe).last());
        let end = after.map(|node| self.line_end(node.end()));
        match (after, end) {
            (Some(after), Some(end)) if end < recipe.close => {
                let indent = self.indent(after);
                let inner = format!("{indent}    ");
                let block = list.block();
                let what = format!("\n\n{indent}{block} {{\n{inner}{word}\n{indent}}}");
                self.insert(end, &what)
            }
            _ => self.at_the_end(recipe, &format!("{} {{ {word}; }}", list.block())),
        }
    }

    /// A node more at the end of a block.
    fn at_the_end(&self, block: &Block, word: &str) -> String {
        let inside = &self.text[block.open + 1..block.close];
        let end = block.open + 1 + inside.trim_end().len();
        if self.line_end(end) < block.close {
            // A line of its own, before that of the closing brace.
            let indent = match nodes(block).last() {
                Some(last) => self.indent(last).to_owned(),
                None => format!("{}    ", self.blanks(block.close)),
            };
            let end = self.line_end(end);
            return self.insert(end, &format!("\n{indent}{word}"));
        }
        let before = match self.text[..end].chars().last() {
            Some('{' | ';') => "",
            _ => ";",
        };
        // `{}` has no blank that could stand before the brace.
        let after = if inside.ends_with(is_space) { "" } else { " " };
        let ends = if before.is_empty() && !inside.trim().is_empty() {
            ";"
        } else {
            ""
        };
        self.insert(end, &format!("{before} {word}{ends}{after}"))
    }

    /// Where the blanks before a word begin, line breaks included.
    fn before(&self, node: &Node, word: &Range<usize>) -> usize {
        let ends = node.pieces.iter().filter_map(|piece| match piece {
            Piece::Word { at, .. } | Piece::Comment(at) => Some(at.end),
            Piece::Break(comment) => comment.as_ref().map(|comment| comment.end),
            Piece::Block(block) => Some(block.close + 1),
        });
        ends.filter(|end| *end <= word.start)
            .max()
            .unwrap_or(word.start)
    }

    /// The end of the line above.
    fn before_line(&self, line_start: usize) -> usize {
        let above = &self.text[..line_start];
        let above = above.strip_suffix('\n').unwrap_or(above);
        above.strip_suffix('\r').unwrap_or(above).len()
    }

    /// The text without a node of `block`: with its lines where it stands alone on them, and with a
    /// `blank` line above them.
    fn without_node(&self, node: &Node, block: &Block, blank: bool) -> String {
        let start = node.name().map_or(0, |name| name.start);
        let end = node
            .comment
            .as_ref()
            .map_or(node.end(), |comment| comment.end);
        let line_start = self.line_start(start).max(block.open + 1);
        let line_end = self.line_end(end);
        let after = self.text[end..line_end].trim_start_matches([';', ' ', '\t']);
        let alone = line_start > block.open + 1
            && self.text[line_start..start].trim().is_empty()
            && after.is_empty();
        if alone {
            let mut from = self.before_line(line_start);
            let above = self.line_start(from);
            if blank && above > block.open && self.text[above..from].trim().is_empty() {
                from = self.before_line(above);
            }
            return self.cut(from..line_end);
        }
        let from = self.text[..start].trim_end_matches(is_space).len();
        let rest = &self.text[end..];
        let blanks = rest.len() - rest.trim_start_matches(is_space).len();
        match rest[blanks..].strip_prefix(';') {
            Some(_) => self.cut(from..end + blanks + 1),
            // The last of its line: what separated it goes with it.
            None if self.text[..from].ends_with(';') => self.cut(from - 1..end),
            None => self.cut(from..end),
        }
    }
}
