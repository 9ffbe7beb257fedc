//! KDL text → [`KdlDocument`], bounded in time and stack whatever the text. Begin at [`document`].

use std::collections::BTreeSet;
use std::sync::Arc;

use kdl::{KdlDiagnostic, KdlDocument, KdlError};
use miette::{NamedSource, SourceSpan};

use super::characters::{is_newline, is_space};
use super::error::Mistake;
use super::guard::{self, Limits};
use super::wrong::Wrong;

/// kdl reports what follows from one slip as several errors; the first ones are the helpful ones.
const SHOWN: usize = 3;

/// Parses `text` as KDL 2 within `limits`. Offsets in the document are bytes of `text`, comments
/// are gone. At most three mistakes come back: kdl repeats itself.
pub fn document(
    text: &NamedSource<Arc<str>>,
    limits: &Limits,
) -> Result<KdlDocument, Vec<Mistake>> {
    let checked = guard::check(text.inner(), limits).map_err(|fault| {
        let mistake = Mistake::new(fault.wrong, text, fault.at, fault.label);
        vec![match fault.also {
            Some((at, label)) => mistake.and(at, label),
            None => mistake,
        }]
    })?;
    if let Some(shadow) = checked.shadow {
        parsed(&shadow, text)?;
    }
    parsed(&checked.text, text)
}

/// Bytes of stack that kdl gets, and more for each byte of the text: after many of the mistakes it knows it
/// goes on one call deeper, however many there are.
const STACK: usize = 1 << 20;
const STACK_FOR_A_BYTE: usize = 1 << 10;
/// Texts of fewer bytes need no more stack than every thread has.
const SMALL: usize = 512;

/// What kdl makes of `clean`; mistakes are shown in `text`.
fn parsed(clean: &str, text: &NamedSource<Arc<str>>) -> Result<KdlDocument, Vec<Mistake>> {
    let parse = || KdlDocument::parse_v2(clean);
    let parsed = if clean.len() < SMALL {
        parse()
    } else {
        let thread = std::thread::Builder::new().stack_size(STACK + clean.len() * STACK_FOR_A_BYTE);
        let joined = std::thread::scope(|scope| {
            let handle = thread.spawn_scoped(scope, parse).ok()?;
            handle.join().ok()
        });
        joined.ok_or_else(|| {
            let wrong = Wrong::Syntax {
                message: "there is not enough memory to read this file".to_owned(),
                help: Some("make the file smaller, or end other programs".to_owned()),
            };
            vec![Mistake::new(wrong, text, 0..0, "here")]
        })?
    };
    parsed.map_err(|error| mistakes(text, error))
}

fn mistakes(text: &NamedSource<Arc<str>>, error: KdlError) -> Vec<Mistake> {
    // The guard found every brace closed: what kdl says of braces follows from something else.
    let original = |it: &&KdlDiagnostic| !follows(text.inner(), it);
    let (first, all) = (error.diagnostics.iter().find(original), &error.diagnostics);
    let told = all
        .iter()
        .filter(|it| first.is_none() || !follows(text.inner(), it));
    let mut lines = BTreeSet::new();
    let line = |it: &KdlDiagnostic| {
        let before = text
            .inner()
            .get(..last_line(text.inner(), it.span).offset());
        before.unwrap_or_default().matches('\n').count()
    };
    told.filter(|it| lines.insert(line(it)))
        .take(SHOWN)
        .map(|it| mistake(text, it))
        .collect()
}

/// Whether kdl says this only because of what it says elsewhere.
fn follows(text: &str, diagnostic: &KdlDiagnostic) -> bool {
    let closing = || text[diagnostic.span.offset()..].starts_with('}');
    match diagnostic.message.as_deref() {
        Some("Expected end of document") => {
            text.is_char_boundary(diagnostic.span.offset()) && closing()
        }
        Some(message) => {
            message.starts_with("No closing '}'") || message.starts_with("Closing '}'")
        }
        None => false,
    }
}

fn mistake(text: &NamedSource<Arc<str>>, diagnostic: &KdlDiagnostic) -> Mistake {
    let message = diagnostic.message.as_deref().unwrap_or("this is not KDL");
    let span = last_line(text.inner(), diagnostic.span);
    if let Some((wrong, at, label)) = known(text.inner(), message, span) {
        return Mistake::new(wrong, text, at, label);
    }
    let wrong = older_version(text.inner(), span).unwrap_or_else(|| Wrong::Syntax {
        message: decapitalised(message),
        help: help(message)
            .map(str::to_owned)
            .or_else(|| diagnostic.help.as_deref().map(decapitalised)),
    });
    // kdl's labels tell what something is not.
    let label = diagnostic.label.clone();
    let label = label.filter(|label| !label.starts_with("not "));
    Mistake::new(
        wrong,
        text,
        span,
        label.unwrap_or_else(|| "here".to_owned()),
    )
}

/// What to do about some of kdl's messages.
fn help(message: &str) -> Option<&'static str> {
    match message {
        "Expected property value" => {
            Some("write the value right behind the `=`, as in suite=\"trixie\"")
        }
        message if message.starts_with("Expected") && message.contains("number") => {
            Some("a number is written 12, 1.5, 0x1f, 0o17 or 0b101; a text stands in quotes")
        }
        _ => None,
    }
}

/// Slips that kdl has no words for: it only says that a node, or the file, should have ended.
fn known(text: &str, message: &str, span: SourceSpan) -> Option<(Wrong, SourceSpan, &'static str)> {
    let at = span.offset();
    let (before, after) = (text.get(..at)?, text.get(at..)?);
    let first = after.chars().next()?;
    let here: SourceSpan = (at, first.len_utf8()).into();
    let syntax = |message: String, help: &str| Wrong::Syntax {
        message,
        help: Some(help.to_owned()),
    };
    if message == "Found child block instead of node name" {
        let help = "`{` stands on the line of the node whose block it opens";
        return Some((
            syntax("a block without a node".to_owned(), help),
            here,
            "opened here",
        ));
    }
    if message == "Found invalid node name" && first == '#' {
        let help = "a comment begins with `//`, and #true is a value";
        return Some((
            syntax("a line that begins with `#`".to_owned(), help),
            here,
            "here",
        ));
    }
    if message == "Found invalid node name" {
        let help =
            "a node is a name, then its values with blanks between them, as in lock \"follow\"";
        let message = format!("`{first}` begins no node");
        return Some((syntax(message, help), here, "here"));
    }
    if message == "Expected quoted string" {
        let help = "write a blank between values, and no comma";
        return Some((
            syntax(
                "a string that does not end with its quotes".to_owned(),
                help,
            ),
            span,
            "this one",
        ));
    }
    if message != "Expected end of document" {
        return None;
    }
    if before.trim_end_matches(is_space).ends_with('}') && !"{}=".contains(first) {
        let end = after.find(|c: char| is_space(c) || is_newline(c) || "{;=".contains(c));
        let help = "begin a new line after `}`, or write `;` there";
        let wrong = syntax("two nodes on one line".to_owned(), help);
        let whole = (at, end.unwrap_or(after.len())).into();
        return Some((wrong, whole, "the second begins here"));
    }
    let (message, help) = match first {
        '=' => (
            "a `=` that joins no name and value".to_owned(),
            "an argument follows its node without `=`, as in lock \"follow\"; a property has no \
             blanks around it, as in suite=\"trixie\"",
        ),
        ',' | '[' | ']' | '(' | ')' => (
            format!("`{first}` means nothing here"),
            "values follow each other with blanks between them, as in \
             package \"tar.zst\" \"tar.gz\"",
        ),
        _ => return None,
    };
    Some((syntax(message, help), here, "this one"))
}

/// Where kdl points at everything since the beginning of the file, what is wrong is the end.
fn last_line(text: &str, span: SourceSpan) -> SourceSpan {
    let all = span.offset()..span.offset().saturating_add(span.len());
    let Some(shown) = text.get(all) else {
        return span;
    };
    match shown.trim_end().rfind('\n') {
        Some(newline) => {
            let line = shown.trim_end()[newline + 1..].trim_start();
            (
                span.offset() + shown.trim_end().len() - line.len(),
                line.len(),
            )
                .into()
        }
        None => span,
    }
}

/// Words that were keywords in KDL 1.
fn older_version(text: &str, span: SourceSpan) -> Option<Wrong> {
    let word = text.get(span.offset()..span.offset() + span.len())?.trim();
    let keyword = ["true", "false", "null", "inf", "-inf", "nan"].contains(&word);
    keyword.then(|| Wrong::Syntax {
        message: format!("`{word}` is not a word of KDL 2"),
        help: Some(format!("write #{word}, or \"{word}\" for the text")),
    })
}

/// kdl's messages begin with a capital letter; those of this program do not.
fn decapitalised(message: &str) -> String {
    let mut chars = message.chars();
    let first: String = chars
        .next()
        .into_iter()
        .flat_map(char::to_lowercase)
        .collect();
    first + chars.as_str()
}
