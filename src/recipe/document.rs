//! KDL text → [`KdlDocument`], bounded in time and stack whatever the text. Begin at [`document`].

use std::sync::Arc;

use kdl::{KdlDocument, KdlError};
use miette::{NamedSource, SourceSpan};

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
        KdlDocument::parse_v2(&shadow).map_err(|error| mistakes(text, error))?;
    }
    KdlDocument::parse_v2(&checked.text).map_err(|error| mistakes(text, error))
}

fn mistakes(text: &NamedSource<Arc<str>>, error: KdlError) -> Vec<Mistake> {
    let mut seen = Vec::new();
    for diagnostic in error.diagnostics {
        if seen.len() == SHOWN {
            break;
        }
        let message = diagnostic
            .message
            .unwrap_or_else(|| "this is not KDL".to_owned());
        let label = diagnostic.label.unwrap_or_else(|| "here".to_owned());
        let span = last_line(text.inner(), diagnostic.span);
        let wrong = older_version(text.inner(), span).unwrap_or_else(|| Wrong::Syntax {
            message: decapitalised(&message),
            help: diagnostic.help.map(|help| decapitalised(&help)),
        });
        seen.push(Mistake::new(wrong, text, span, label));
    }
    seen
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
