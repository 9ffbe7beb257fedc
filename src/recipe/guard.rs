//! KDL text from anywhere → the same text made harmless, or why not. Begin at [`check`].
//!
//! The kdl crate recurses on nesting and on every `*` of a block comment, and takes time
//! exponential in nested `/-` blocks, so a file of 200 bytes can keep it busy for a minute. This
//! scan sees the text first, in one pass without recursion. It refuses what is too deep, blanks
//! comments (same length, so that offsets stay), and lexes strings as strictly as KDL defines
//! them. That strictness matters: after a syntax error kdl goes on inside what was a string, and
//! there a brace would be a brace. Where strings hold such characters, [`Checked::shadow`] is the
//! text with strings filled by `x`; a text whose shadow parses cannot lead kdl astray.

use std::ops::Range;

use super::characters::{describe, is_forbidden, is_hidden, is_newline, is_space};
use super::wrong::Wrong;

/// How much of everything a file may have.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the file. kdl parses 1.6 MB a second.
    pub bytes: usize,
    /// Blocks inside blocks.
    pub depth: usize,
    /// Blocks inside one another that follow a `/-`: each doubles the time that kdl takes.
    pub slashdash_depth: usize,
    /// `/-` in the whole file.
    pub slashdashes: usize,
    /// `/-` with nothing but blanks between them.
    pub slashdash_row: usize,
    /// Brackets, and `=` that join no name and value: after each of them kdl goes on one call deeper.
    pub stray: usize,
}

impl Limits {
    /// For recipes. The largest real one has some 5 kB; three levels are all that the grammar has.
    pub const RECIPE: Limits = Limits {
        bytes: 256 << 10,
        depth: 64,
        slashdash_depth: 3,
        slashdashes: 200,
        slashdash_row: 8,
        stray: 200,
    };
    /// For lock files, which people do not comment out.
    pub const LOCK: Limits = Limits {
        bytes: 4 << 20,
        depth: 16,
        slashdash_depth: 0,
        slashdashes: 0,
        slashdash_row: 0,
        stray: 200,
    };
}

/// Text that kdl can be given.
#[derive(Debug)]
pub(super) struct Checked {
    /// The text with its comments blanked; every offset is that of the file.
    pub text: String,
    /// To be parsed first, when there is one: the text with its strings filled.
    pub shadow: Option<String>,
}

/// What is wrong, where, what is seen there, and another place that matters.
#[derive(Debug)]
pub(super) struct Fault {
    pub wrong: Wrong,
    pub at: Range<usize>,
    pub label: &'static str,
    pub also: Option<(Range<usize>, &'static str)>,
}

type Scan<T> = Result<T, Box<Fault>>;

fn fault<T>(wrong: Wrong, at: Range<usize>, label: &'static str) -> Scan<T> {
    Err(Box::new(Fault {
        wrong,
        at,
        label,
        also: None,
    }))
}

/// Scans `text` once.
pub(super) fn check(text: &str, limits: &Limits) -> Scan<Checked> {
    if text.len() > limits.bytes {
        let wrong = Wrong::TooLarge {
            size: text.len(),
            limit: limits.bytes,
        };
        return fault(wrong, 0..0, "this file");
    }
    let mut scanner = Scanner {
        text,
        limits,
        at: 0,
        clean: text.as_bytes().to_vec(),
        filled: Vec::new(),
        tempting: false,
        open: Vec::new(),
        seen_slashdash: vec![false],
        slashdashes: 0,
        row: 0,
        stray: 0,
    };
    scanner.run()?;
    scanner.finish()
}

/// A block that was opened.
struct Open {
    at: usize,
    slashdashed: bool,
}

struct Scanner<'t> {
    text: &'t str,
    limits: &'t Limits,
    at: usize,
    clean: Vec<u8>,
    /// What lies between the quotes of each string.
    filled: Vec<Range<usize>>,
    /// Whether a string holds what kdl could trip over after an error.
    tempting: bool,
    open: Vec<Open>,
    /// For each open block and for the file: whether a `/-` came by.
    seen_slashdash: Vec<bool>,
    slashdashes: usize,
    row: usize,
    stray: usize,
}

impl Scanner<'_> {
    fn run(&mut self) -> Scan<()> {
        while let Some(c) = self.peek() {
            let rest = &self.text[self.at..];
            match c {
                '\u{FEFF}' if self.at == 0 => self.at += c.len_utf8(),
                '/' if rest.starts_with("//") => self.line_comment()?,
                '/' if rest.starts_with("/*") => self.block_comment()?,
                '/' if rest.starts_with("/-") => self.slashdash()?,
                '"' => self.string(0)?,
                '#' => self.hashes()?,
                '{' => self.open_block()?,
                '}' => self.close_block()?,
                c if is_space(c) || is_newline(c) => self.at += c.len_utf8(),
                c => {
                    self.allowed(c, is_hidden(c))?;
                    self.joined(c)?;
                    self.row = 0;
                    self.at += c.len_utf8();
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Scan<Checked> {
        if let Some(open) = self.open.last() {
            return fault(Wrong::OpenBlock, open.at..open.at + 1, "opened here");
        }
        let shadow = self.tempting.then(|| {
            let mut shadow = self.clean.clone();
            for range in self.filled {
                shadow[range].fill(b'x');
            }
            into_text(shadow)
        });
        Ok(Checked {
            text: into_text(self.clean),
            shadow,
        })
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    /// Refuses `c` at the current place if it is forbidden everywhere, or `here`.
    fn allowed(&self, c: char, here: bool) -> Scan<()> {
        if !here && !is_forbidden(c) {
            return Ok(());
        }
        let wrong = Wrong::Character {
            character: describe(c),
        };
        fault(wrong, self.at..self.at + c.len_utf8(), "here")
    }

    /// Counts what may join nothing: a property has its name and its value right beside its `=`.
    fn joined(&mut self, c: char) -> Scan<()> {
        let ends =
            |c: Option<char>| c.is_none_or(|c| is_space(c) || is_newline(c) || ";{}=".contains(c));
        let after = self.text[self.at + c.len_utf8()..].chars().next();
        let stray = match c {
            '=' => ends(self.text[..self.at].chars().next_back()) || ends(after),
            _ => "()[],".contains(c),
        };
        self.stray += usize::from(stray);
        if self.stray <= self.limits.stray {
            return Ok(());
        }
        let limit = self.limits.stray;
        let what = "brackets, commas and `=` that join nothing";
        let at = self.at..self.at + c.len_utf8();
        fault(Wrong::TooMany { what, limit }, at, "one too many")
    }

    fn line_comment(&mut self) -> Scan<()> {
        let start = self.at;
        while let Some(c) = self.peek().filter(|c| !is_newline(*c)) {
            self.allowed(c, false)?;
            self.at += c.len_utf8();
        }
        self.clean[start..self.at].fill(b' ');
        Ok(())
    }

    fn block_comment(&mut self) -> Scan<()> {
        let start = self.at;
        let mut depth = 0;
        loop {
            let rest = &self.text[self.at..];
            let Some(c) = rest.chars().next() else {
                return fault(Wrong::OpenComment, start..start + 2, "opened here");
            };
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
                if depth > self.limits.depth {
                    let limit = self.limits.depth;
                    let at = self.at - 2..self.at;
                    return fault(Wrong::CommentTooDeep { limit }, at, "one level too many");
                }
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    break;
                }
            } else {
                self.allowed(c, false)?;
                self.at += c.len_utf8();
            }
        }
        self.clean[start..self.at].fill(b' ');
        Ok(())
    }

    fn slashdash(&mut self) -> Scan<()> {
        let at = self.at..self.at + 2;
        self.at += 2;
        self.slashdashes += 1;
        self.row += 1;
        if let Some(seen) = self.seen_slashdash.last_mut() {
            *seen = true;
        }
        let (limit, place) = if self.slashdashes > self.limits.slashdashes {
            (self.limits.slashdashes, "in one file")
        } else if self.row > self.limits.slashdash_row {
            (self.limits.slashdash_row, "in a row")
        } else {
            return Ok(());
        };
        fault(
            Wrong::TooManySlashdashes { limit, place },
            at,
            "one too many",
        )
    }

    /// A block counts as commented out when any `/-` came before it in the block around it: kdl
    /// may read all of that twice.
    fn open_block(&mut self) -> Scan<()> {
        let at = self.at..self.at + 1;
        self.at += 1;
        self.row = 0;
        self.open.push(Open {
            at: at.start,
            slashdashed: self.seen_slashdash.last().copied().unwrap_or(false),
        });
        self.seen_slashdash.push(false);
        let limit = self.limits.depth;
        if self.open.len() > limit {
            return fault(Wrong::TooDeep { limit }, at, "one level too many");
        }
        let limit = self.limits.slashdash_depth;
        if self.open.iter().filter(|open| open.slashdashed).count() > limit {
            return fault(Wrong::SlashdashTooDeep { limit }, at, "one level too many");
        }
        Ok(())
    }

    fn close_block(&mut self) -> Scan<()> {
        if self.open.pop().is_none() {
            return fault(Wrong::StrayClose, self.at..self.at + 1, "nothing is open");
        }
        self.seen_slashdash.pop();
        self.row = 0;
        self.at += 1;
        Ok(())
    }

    /// A raw string, or a keyword such as `#true`.
    fn hashes(&mut self) -> Scan<()> {
        self.row = 0;
        let rest = &self.text[self.at..];
        let count = rest.bytes().take_while(|byte| *byte == b'#').count();
        self.at += count;
        if rest[count..].starts_with('"') {
            if self.text[..self.at - count].ends_with('r') {
                let wrong = Wrong::Syntax {
                    message: "a raw string has no `r` in KDL 2".to_owned(),
                    help: Some("write #\"…\"#".to_owned()),
                };
                let at = self.at - count - 1..self.at + 1;
                return fault(wrong, at, "opened here");
            }
            return self.string(count);
        }
        Ok(())
    }

    /// A string; the current place is its first quote, after `hashes` hashes.
    fn string(&mut self, hashes: usize) -> Scan<()> {
        self.row = 0;
        let start = self.at - hashes;
        let rest = &self.text[self.at..];
        let several = rest.starts_with("\"\"\"");
        if several && !rest[3..].starts_with(is_newline) {
            // `#"""#` is a raw string holding one quote; kdl refuses it, and so do we.
            let at = start..self.at + 3;
            let rule = "\"\"\" opens a string of several lines: the text begins on the next line";
            return fault(Wrong::BadMultiline { rule }, at, "no line ends here");
        }
        let quotes = if several { "\"\"\"" } else { "\"" };
        let close = format!("{quotes}{}", "#".repeat(hashes));
        self.at += quotes.len();
        let body = self.at;
        while !self.text[self.at..].starts_with(&close) {
            let Some(c) = self.peek() else {
                let at = start..body;
                return fault(Wrong::OpenString, at, "opened here");
            };
            if is_newline(c) && !several {
                let also = Some((start..body, "the string opens here"));
                let at = self.at..self.at + c.len_utf8();
                return Err(Box::new(Fault {
                    wrong: Wrong::NewlineInString,
                    at,
                    label: "the line ends here",
                    also,
                }));
            }
            self.allowed(c, false)?;
            match c {
                '\\' if hashes == 0 => self.escape()?,
                c => self.at += c.len_utf8(),
            }
        }
        let content = &self.text[body..self.at];
        self.tempting |= ["{", "}", "/-", "/*"].iter().any(|it| content.contains(it));
        if several {
            indented(content, body)?;
        } else {
            self.filled.push(body..self.at);
        }
        if several {
            self.filled.extend(line_bodies(content, body));
        }
        self.at += close.len();
        Ok(())
    }

    fn escape(&mut self) -> Scan<()> {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let length = match rest.chars().next() {
            Some('\\' | '"' | 'b' | 'f' | 'n' | 'r' | 't' | 's') => 1,
            Some('u') => unicode_escape(&rest[1..]).map_or(0, |length| length + 1),
            _ => rest
                .chars()
                .take_while(|c| is_space(*c) || is_newline(*c))
                .map(char::len_utf8)
                .sum(),
        };
        if length == 0 {
            let shown = rest.chars().next().map_or(0, char::len_utf8);
            return fault(Wrong::BadEscape, start..start + 1 + shown, "this one");
        }
        self.at += 1 + length;
        Ok(())
    }
}

/// The length of `{1F600}` at the start of `rest`, when it names a character.
fn unicode_escape(rest: &str) -> Option<usize> {
    let (digits, _) = rest.strip_prefix('{')?.split_once('}')?;
    let good = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let code = good.then(|| u32::from_str_radix(digits, 16).ok())??;
    char::from_u32(code).map(|_| digits.len() + 2)
}

/// KDL's rule for strings of several lines: the closing quotes stand alone on their line, and what
/// is before them begins every other line that is not blank.
fn indented(content: &str, offset: usize) -> Scan<()> {
    let lines: Vec<(usize, &str)> = lines_of(content).collect();
    let Some((&(start, prefix), body)) = lines.split_last() else {
        return Ok(());
    };
    if !prefix.chars().all(is_space) || body.is_empty() {
        let rule = "the closing \"\"\" stands alone on its line";
        let at = offset + start..offset + start + prefix.len();
        return fault(Wrong::BadMultiline { rule }, at, "this is before it");
    }
    // The first line is what follows the opening quotes: nothing.
    for &(start, line) in body.iter().skip(1) {
        if !line.starts_with(prefix) && !line.chars().all(is_space) {
            let rule = "every line begins with the blanks that stand before the closing \"\"\"";
            let shown = line.chars().next().map_or(0, char::len_utf8);
            let at = offset + start..offset + start + shown;
            return fault(Wrong::BadMultiline { rule }, at, "indent this line");
        }
    }
    Ok(())
}

/// The lines of a string with their offsets; `\r\n` ends one line.
fn lines_of(content: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let from = start?;
        let rest = &content[from..];
        match rest.find(is_newline) {
            None => {
                start = None;
                Some((from, rest))
            }
            Some(end) => {
                let newline = if rest[end..].starts_with("\r\n") {
                    2
                } else {
                    0
                };
                let one = rest[end..].chars().next().map_or(1, char::len_utf8);
                start = Some(from + end + newline.max(one));
                Some((from, &rest[..end]))
            }
        }
    })
}

/// What a shadow fills in a string of several lines: each line after its indentation.
fn line_bodies(content: &str, offset: usize) -> Vec<Range<usize>> {
    lines_of(content)
        .map(|(start, line)| {
            let blanks = line.len() - line.trim_start_matches(is_space).len();
            offset + start + blanks..offset + start + line.len()
        })
        .collect()
}

/// Only whole characters are ever overwritten, so this is UTF-8; were it otherwise, a replacement
/// character is what the parser would see and complain about.
fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
