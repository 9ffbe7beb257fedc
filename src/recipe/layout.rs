//! Text that kdl accepts → its nodes, words and comments with their places. Begin at [`layout`].
//!
//! kdl drops comments and says nothing of lines, and both are what people write a file for. The
//! text went through `guard.rs`, so strings and comments end, braces balance, and blocks nest to a
//! bounded depth.

use std::ops::Range;

use super::characters::{is_newline, is_space};

/// What a block, or the file, holds.
#[derive(Debug)]
pub(super) enum Part {
    /// One blank line or more.
    Blank,
    /// A comment on lines of its own.
    Comment(Range<usize>),
    Node(Node),
}

/// One node.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Whether `/-` comments it out.
    pub out: bool,
    /// Its name first.
    pub pieces: Vec<Piece>,
    /// The comment after it, on its last line.
    pub comment: Option<Range<usize>>,
}

/// What a node is written with.
#[derive(Debug)]
pub(super) enum Piece {
    /// A name, an argument or a property; `out` where `/-` comments it out.
    Word {
        at: Range<usize>,
        out: bool,
    },
    /// A `/* … */` among the words.
    Comment(Range<usize>),
    /// A `\` at the end of a line, and the comment after it.
    Break(Option<Range<usize>>),
    Block(Block),
}

/// What stands in braces.
#[derive(Debug)]
pub(super) struct Block {
    pub out: bool,
    /// The places of its braces.
    pub open: usize,
    pub close: usize,
    /// The comment after the opening brace, on its line.
    pub comment: Option<Range<usize>>,
    pub parts: Vec<Part>,
}

impl Node {
    /// Where its name stands.
    pub(super) fn name(&self) -> Option<Range<usize>> {
        self.words().next()
    }

    /// Its words that count, the name first.
    pub(super) fn words(&self) -> impl Iterator<Item = Range<usize>> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Word { at, out: false } => Some(at.clone()),
            _ => None,
        })
    }

    /// Its block that counts.
    pub(super) fn block(&self) -> Option<&Block> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Block(block) if !block.out => Some(block),
            _ => None,
        })
    }

    /// The place after its last piece.
    pub(super) fn end(&self) -> usize {
        let ends = self.pieces.iter().map(|piece| match piece {
            Piece::Word { at, .. } | Piece::Comment(at) => at.end,
            Piece::Break(_) => 0,
            Piece::Block(block) => block.close + 1,
        });
        ends.max().unwrap_or(0)
    }
}

/// What stands in a text that the guard and kdl accepted.
pub(super) fn layout(text: &str) -> Vec<Part> {
    let mut lexer = Lexer { text, at: 0 };
    if text.starts_with('\u{FEFF}') {
        lexer.at = '\u{FEFF}'.len_utf8();
    }
    lexer.parts()
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn starts(&self, word: &str) -> bool {
        self.rest().starts_with(word)
    }

    fn skip(&mut self, good: impl Fn(char) -> bool) {
        while let Some(c) = self.peek().filter(|c| good(*c)) {
            self.at += c.len_utf8();
        }
    }

    /// One line end; `\r\n` is one.
    fn newline(&mut self) -> bool {
        let length = match self.peek() {
            Some('\r') if self.starts("\r\n") => 2,
            Some(c) if is_newline(c) => c.len_utf8(),
            _ => return false,
        };
        self.at += length;
        true
    }

    /// Everything up to the closing brace, or the end of the file.
    fn parts(&mut self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        // Line ends since the last part.
        let mut lines = 0;
        loop {
            self.skip(|c| is_space(c) || c == ';');
            if self.newline() {
                lines += 1;
                continue;
            }
            if lines > 1 && !parts.is_empty() {
                parts.push(Part::Blank);
            }
            let first_on_its_line = lines > 0 || parts.is_empty();
            match self.peek() {
                None | Some('}') => break,
                _ => {}
            }
            match self.comment() {
                Some(comment) => match parts.last_mut() {
                    Some(Part::Node(node)) if !first_on_its_line && node.comment.is_none() => {
                        match self.text[comment.clone()].starts_with("//") {
                            true => node.comment = Some(comment),
                            false => node.pieces.push(Piece::Comment(comment)),
                        }
                    }
                    _ => parts.push(Part::Comment(comment)),
                },
                None => {
                    let node = self.node(&mut parts);
                    parts.push(Part::Node(node));
                }
            }
            lines = 0;
        }
        if matches!(parts.last(), Some(Part::Blank)) {
            parts.pop();
        }
        parts
    }

    /// A comment that begins here.
    fn comment(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        if self.starts("//") {
            self.skip(|c| !is_newline(c));
            let end = start + self.text[start..self.at].trim_end().len();
            return Some(start..end);
        }
        if !self.starts("/*") {
            return None;
        }
        let mut depth = 0;
        while let Some(c) = self.peek() {
            if self.starts("/*") {
                depth += 1;
                self.at += 2;
            } else if self.starts("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    break;
                }
            } else {
                self.at += c.len_utf8();
            }
        }
        Some(start..self.at)
    }

    fn node(&mut self, parts: &mut Vec<Part>) -> Node {
        let mut node = Node::default();
        while self.slashdash() {
            node.out = true;
            // What stands between `/-` and the node comes before both.
            self.gap(|comment| parts.push(Part::Comment(comment)));
        }
        let mut out = false;
        loop {
            self.skip(is_space);
            match self.peek() {
                None | Some(';' | '}') => break,
                Some(c) if is_newline(c) => break,
                _ => {}
            }
            if self.starts("//") {
                break;
            }
            if let Some(comment) = self.comment() {
                node.pieces.push(Piece::Comment(comment));
            } else if self.slashdash() {
                out = true;
                let pieces = &mut node.pieces;
                self.gap(|comment| pieces.push(Piece::Comment(comment)));
            } else if self.starts("\\") {
                self.at += 1;
                self.skip(is_space);
                let comment = self.comment();
                self.skip(is_space);
                self.newline();
                node.pieces.push(Piece::Break(comment));
            } else if self.starts("{") {
                let block = self.block(std::mem::take(&mut out));
                node.pieces.push(Piece::Block(block));
            } else {
                let at = self.word();
                let out = std::mem::take(&mut out);
                node.pieces.push(Piece::Word { at, out });
            }
        }
        // A break before the end of the node breaks nothing; one comment can stand there.
        while let Some(Piece::Break(comment)) =
            node.pieces.pop_if(|it| matches!(it, Piece::Break(_)))
        {
            match comment {
                Some(comment) if node.comment.is_some() => parts.push(Part::Comment(comment)),
                comment => node.comment = node.comment.or(comment),
            }
        }
        node
    }

    fn slashdash(&mut self) -> bool {
        let found = self.starts("/-");
        if found {
            self.at += 2;
        }
        found
    }

    /// Blanks, line ends and comments after a `/-`.
    fn gap(&mut self, mut found: impl FnMut(Range<usize>)) {
        loop {
            self.skip(|c| is_space(c) || is_newline(c));
            match self.comment() {
                Some(comment) => found(comment),
                None => return,
            }
        }
    }

    fn block(&mut self, out: bool) -> Block {
        let open = self.at;
        self.at += 1;
        self.skip(is_space);
        let comment = match self.starts("//") {
            true => self.comment(),
            false => None,
        };
        let parts = self.parts();
        let close = self.at;
        self.at = (self.at + 1).min(self.text.len());
        Block {
            out,
            open,
            close,
            comment,
            parts,
        }
    }

    /// A name, an argument, or a property with its value.
    fn word(&mut self) -> Range<usize> {
        let start = self.at;
        while let Some(c) = self.peek() {
            if is_space(c) || is_newline(c) || "{};".contains(c) {
                // KDL allows blanks around the `=` of a property.
                if !self.equals_around(start) {
                    break;
                }
                self.skip(is_space);
                continue;
            }
            if self.at > start && (c == '\\' || c == '/') {
                break;
            }
            match c {
                '"' => self.string(0),
                '#' => {
                    let rest = self.rest();
                    let hashes = rest.bytes().take_while(|byte| *byte == b'#').count();
                    self.at += hashes;
                    if self.starts("\"") {
                        self.string(hashes);
                    }
                }
                c => self.at += c.len_utf8(),
            }
        }
        start..self.at
    }

    /// Whether the blanks here stand beside a `=` that joins a name and a value.
    fn equals_around(&self, start: usize) -> bool {
        let blank = self.peek().is_some_and(is_space);
        let before = self.text[start..self.at].trim_end_matches(is_space);
        let after = self.rest().trim_start_matches(is_space);
        blank && self.at > start && (before.ends_with('=') || after.starts_with('='))
    }

    /// A string; the current place is its first quote, after `hashes` hashes.
    fn string(&mut self, hashes: usize) {
        let quotes = if self.starts("\"\"\"") {
            "\"\"\""
        } else {
            "\""
        };
        let close = format!("{quotes}{}", "#".repeat(hashes));
        self.at += quotes.len();
        while let Some(c) = self.peek() {
            if self.starts(&close) {
                self.at += close.len();
                return;
            }
            self.at += c.len_utf8();
            if c == '\\' && hashes == 0 {
                self.at += self.peek().map_or(0, char::len_utf8);
            }
        }
    }
}
