//! The text of a recipe → its one canonical text. Begin at [`formatted`].
//!
//! Comments stay, and one blank line where there was any. Blocks are indented by four blanks; a
//! block that was written on one line stays on one, if it fits. Words are quoted. Comments at the
//! ends of lines that follow each other stand in one column.

use std::sync::Arc;

use kdl::KdlDocument;
use miette::NamedSource;

use super::characters::{is_newline, is_space};
use super::document::document;
use super::error::RecipeError;
use super::guard::Limits;
use super::layout::{Block, Node, Part, Piece, layout};

/// Columns of a line that is kept on one.
const WIDTH: usize = 100;
/// Blanks before the comment at the end of a line.
const GAP: usize = 3;

/// The canonical text of a recipe, or of a file that recipes include. `name` is what the text is
/// called in messages. The text has to be KDL; whether it is a recipe is not asked.
pub fn formatted(name: &str, text: &str) -> Result<String, RecipeError> {
    let before = parsed(name, text)?;
    let mut printer = Printer {
        text,
        lines: Vec::new(),
    };
    printer.parts(&layout(text), 0);
    let written = printer.written();
    // Nobody's file is spoilt by a mistake of ours.
    match parsed(name, &written) {
        Ok(after) if same(&before, &after) => Ok(written),
        _ => Err(RecipeError::NotFormatted {
            name: name.to_owned(),
        }),
    }
}

fn parsed(name: &str, text: &str) -> Result<KdlDocument, RecipeError> {
    let text = NamedSource::new(name, Arc::from(text));
    document(&text, &Limits::RECIPE).map_err(|mistakes| RecipeError::of(name, mistakes))
}

/// Whether both say the same.
fn same(one: &KdlDocument, other: &KdlDocument) -> bool {
    let (one, other) = (one.nodes(), other.nodes());
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            let entry = |node: &kdl::KdlNode| -> Vec<_> {
                let entries = node.entries().iter();
                let told = entries.map(|entry| {
                    let name = entry.name().map(|name| name.value().to_owned());
                    (name, entry.value().clone())
                });
                told.collect()
            };
            let blocks = match (one.children(), other.children()) {
                (Some(one), Some(other)) => same(one, other),
                (None, None) => true,
                _ => false,
            };
            one.name().value() == other.name().value() && entry(one) == entry(other) && blocks
        })
}

/// One line, and the comment at its end.
#[derive(Default)]
struct Line {
    code: String,
    comment: Option<String>,
}

struct Printer<'t> {
    text: &'t str,
    lines: Vec<Line>,
}

fn indent(depth: usize) -> String {
    " ".repeat(depth * 4)
}

impl Printer<'_> {
    fn parts(&mut self, parts: &[Part], depth: usize) {
        for part in parts {
            match part {
                Part::Blank => self.lines.push(Line::default()),
                Part::Comment(at) => {
                    let code = indent(depth) + &self.text[at.clone()];
                    self.line(code);
                }
                Part::Node(node) => self.node(node, depth),
            }
        }
    }

    fn line(&mut self, code: String) {
        self.lines.push(Line {
            code,
            comment: None,
        });
    }

    fn node(&mut self, node: &Node, depth: usize) {
        if let Some(line) = self.on_one_line(node, depth)
            && (line.chars().count() + depth * 4 <= WIDTH || !has_block(node))
        {
            self.line(indent(depth) + &line);
        } else {
            self.on_lines(node, depth);
        }
        if let (Some(at), Some(line)) = (&node.comment, self.lines.last_mut()) {
            line.comment = Some(self.text[at.clone()].to_owned());
        }
    }

    /// The node without its comment, if it was written on one line.
    fn on_one_line(&self, node: &Node, depth: usize) -> Option<String> {
        let mut line = String::from(if node.out { "/- " } else { "" });
        for (count, piece) in node.pieces.iter().enumerate() {
            if count > 0 {
                line.push(' ');
            }
            match piece {
                Piece::Word { at, out } => {
                    line.push_str(if *out { "/-" } else { "" });
                    line.push_str(&self.word(&self.text[at.clone()], count > 0, depth));
                }
                Piece::Comment(at) => line.push_str(&self.text[at.clone()]),
                Piece::Break(_) => return None,
                Piece::Block(block) => {
                    line.push_str(if block.out { "/-" } else { "" });
                    line.push_str(&self.block_on_one_line(block, depth)?);
                }
            }
        }
        Some(line)
    }

    fn block_on_one_line(&self, block: &Block, depth: usize) -> Option<String> {
        let written = &self.text[block.open..block.close];
        if block.comment.is_some() || written.contains(is_newline) {
            return None;
        }
        let mut line = String::from("{");
        for part in &block.parts {
            line.push(' ');
            match part {
                Part::Node(node) if node.comment.is_none() => {
                    line.push_str(&self.on_one_line(node, depth)?);
                    line.push(';');
                }
                _ => return None,
            }
        }
        line.push_str(if block.parts.is_empty() { "}" } else { " }" });
        Some(line)
    }

    fn on_lines(&mut self, node: &Node, depth: usize) {
        let mut code = indent(depth) + if node.out { "/- " } else { "" };
        for (count, piece) in node.pieces.iter().enumerate() {
            if count > 0 && !code.ends_with(' ') {
                code.push(' ');
            }
            match piece {
                Piece::Word { at, out } => {
                    code.push_str(if *out { "/-" } else { "" });
                    code.push_str(&self.word(&self.text[at.clone()], count > 0, depth));
                }
                Piece::Comment(at) => code.push_str(&self.text[at.clone()]),
                Piece::Break(comment) => {
                    code.push('\\');
                    let comment = comment.clone().map(|at| self.text[at].to_owned());
                    let code = std::mem::replace(&mut code, indent(depth + 1));
                    self.lines.push(Line { code, comment });
                }
                Piece::Block(block) => {
                    code.push_str(if block.out { "/-{" } else { "{" });
                    let code = std::mem::replace(&mut code, indent(depth) + "}");
                    let comment = block.comment.clone().map(|at| self.text[at].to_owned());
                    self.lines.push(Line { code, comment });
                    self.parts(&block.parts, depth + 1);
                }
            }
        }
        self.line(code);
    }

    /// A word as it is written in canonical text.
    fn word(&self, word: &str, quote: bool, depth: usize) -> String {
        if word.contains("\"\"\"") {
            return reindented(word, &indent(depth + 1)).unwrap_or_else(|| word.to_owned());
        }
        if !quote || word.starts_with(['"', '#', '(']) {
            return joined(word);
        }
        let word = joined(word);
        match word.split_once('=') {
            Some((name, value)) => format!("{name}={}", quoted(value)),
            None => quoted(&word),
        }
    }

    /// All lines; where comments follow each other they stand in one column.
    fn written(self) -> String {
        let mut text = String::new();
        let mut column = 0;
        for (at, line) in self.lines.iter().enumerate() {
            let Some(comment) = &line.comment else {
                text.push_str(line.code.trim_end());
                text.push('\n');
                continue;
            };
            let beside = |other: &Line| other.comment.is_some() && blanks(other) == blanks(line);
            if at == 0 || !beside(&self.lines[at - 1]) {
                let run = self.lines[at..].iter().take_while(|other| beside(other));
                column = run.map(|line| width(&line.code)).max().unwrap_or(0) + GAP;
            }
            let gap = column.saturating_sub(width(&line.code));
            text.push_str(&line.code);
            text.push_str(&" ".repeat(gap));
            text.push_str(comment);
            text.push('\n');
        }
        text
    }
}

/// The columns of the last line of some code: a string may have several.
fn width(code: &str) -> usize {
    code.rsplit('\n').next().unwrap_or(code).chars().count()
}

/// How far a line is indented.
fn blanks(line: &Line) -> usize {
    line.code.len() - line.code.trim_start().len()
}

fn has_block(node: &Node) -> bool {
    let mut pieces = node.pieces.iter();
    pieces.any(|piece| matches!(piece, Piece::Block(_)))
}

/// A property without blanks around its `=`.
fn joined(word: &str) -> String {
    let quote = word.find('"').unwrap_or(word.len());
    match word.find('=').filter(|at| *at < quote) {
        Some(at) => {
            let (name, value) = (&word[..at], &word[at + 1..]);
            let name = name.trim_end_matches(is_space);
            format!("{name}={}", value.trim_start_matches(is_space))
        }
        None => word.to_owned(),
    }
}

/// A bare word in quotes; numbers, keywords and strings as they are.
fn quoted(value: &str) -> String {
    let mut digits = value.trim_start_matches(['+', '-']).chars();
    let first = digits.next();
    let number = first.is_some_and(|c| c.is_ascii_digit());
    if value.starts_with(['"', '#', '(']) || number || value.is_empty() {
        return value.to_owned();
    }
    format!("\"{value}\"")
}

/// A string of several lines, with `indent` before each; nothing where that could change it.
fn reindented(word: &str, indent: &str) -> Option<String> {
    let exotic = |c: char| is_newline(c) && !matches!(c, '\n' | '\r');
    let escaped = word.contains("\\\n") || word.contains("\\\r") || word.contains("\\ ");
    if escaped || word.contains(exotic) || word.matches("\"\"\"").count() != 2 {
        return None;
    }
    let mut lines = word.split('\n').map(|line| line.trim_end_matches('\r'));
    let (first, rest) = (lines.next()?, lines.collect::<Vec<_>>());
    let (last, body) = rest.split_last()?;
    let prefix = &last[..last.len() - last.trim_start_matches(is_space).len()];
    let mut text = joined(first);
    for line in body {
        text.push('\n');
        if !line.chars().all(is_space) {
            text.push_str(indent);
            text.push_str(line.strip_prefix(prefix)?);
        }
    }
    text.push('\n');
    text.push_str(indent);
    text.push_str(&last[prefix.len()..]);
    Some(text)
}
