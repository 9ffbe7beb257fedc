//! A text that shows no more of a line than a person can read.
//!
//! A hostile file, or one that a program wrote, may have all its text in one line; a report that shows
//! the line would be as long.

use std::sync::Arc;

use miette::{MietteError, MietteSpanContents, NamedSource, SourceCode, SourceSpan, SpanContents};

/// What is shown of the lines around a place, in bytes; three lines of ordinary text are far below.
const MOST: usize = 2_000;
/// What is shown on each side of a place in a text that is longer.
const AROUND: usize = 100;

/// A text with a name.
#[derive(Debug, Clone)]
pub(super) struct Excerpt(pub(super) NamedSource<Arc<str>>);

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = self.0.read_span(span, lines_before, lines_after)?;
        if whole.data().len() <= MOST {
            return Ok(whole);
        }
        let text: &'a str = self.0.inner();
        let (first, last) = (
            whole.span().offset(),
            whole.span().offset() + whole.span().len(),
        );
        let mut start = first.max(span.offset().saturating_sub(AROUND));
        let mut end = last.min(span.offset() + span.len().min(AROUND) + AROUND);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let skipped = &text[first..start];
        let (lines, column) = match skipped.rsplit_once('\n') {
            Some((before, line)) => (before.matches('\n').count() + 1, line.chars().count()),
            None => (0, whole.column() + skipped.chars().count()),
        };
        let shown = &text[start..end];
        Ok(Box::new(MietteSpanContents::new_named(
            self.0.name().to_owned(),
            shown.as_bytes(),
            (start..end).into(),
            whole.line() + lines,
            column,
            shown.matches('\n').count() + 1,
        )))
    }
}

/// How much of a place is marked: its first part, where it is longer than a person reads.
pub(super) fn marked(text: &str, span: SourceSpan) -> SourceSpan {
    if span.len() <= MOST {
        return span;
    }
    let mut end = span.offset() + AROUND;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (span.offset()..end).into()
}
