//! A failure → the one JSON object of a command that has no answer. Begin at [`Failure::of`].

use miette::{Diagnostic, LabeledSpan, SourceCode};
use serde::Serialize;

use crate::cli::advice::command_advice;
use crate::cli::exit::{self, Failed};

/// Why there is no answer.
#[derive(Serialize)]
pub(in crate::cli) struct Failure {
    exit_code: u8,
    #[serde(flatten)]
    told: Told,
    /// Where it is several errors, such as the mistakes of a recipe: each of them.
    errors: Vec<Told>,
}

/// One error.
#[derive(Serialize)]
struct Told {
    code: Option<String>,
    message: String,
    causes: Vec<String>,
    help: Option<String>,
    places: Vec<Place>,
}

/// A place in a file; lines and columns are counted from 1, columns in characters.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Place {
    file: String,
    line: usize,
    column: usize,
    label: Option<String>,
}

impl Failure {
    /// What `failed` tells.
    pub(in crate::cli) fn of(failed: &Failed) -> Failure {
        let error = failed.diagnostic();
        let mut told = Told::of(error);
        told.help = command_advice(failed).or(told.help);
        told.code.get_or_insert_with(|| failed.word().to_owned());
        let related = error.related().into_iter().flatten();
        Failure {
            exit_code: failed.code(),
            told,
            errors: related.map(Told::whole).collect(),
        }
    }

    /// A command line that means nothing: what is wrong, and then how it is used.
    pub(in crate::cli) fn of_usage(error: &clap::Error) -> Failure {
        let text = error.render().to_string();
        let (message, help) = text.split_once("\n\n").unwrap_or((&text, ""));
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let told = Told {
            code: Some("usage".to_owned()),
            message: message.trim_end().to_owned(),
            causes: Vec::new(),
            help: Some(help.trim().to_owned()).filter(|help| !help.is_empty()),
            places: Vec::new(),
        };
        Failure {
            exit_code: exit::USAGE,
            told,
            errors: Vec::new(),
        }
    }
}

impl Told {
    /// The error with the further files that it shows.
    fn whole(error: &dyn Diagnostic) -> Told {
        let mut told = Told::of(error);
        for other in error.related().into_iter().flatten() {
            told.places.extend(Told::of(other).places);
        }
        told
    }

    /// The error with what lies behind it: the first that has a code, or advice, gives it.
    fn of(error: &dyn Diagnostic) -> Told {
        let mut told = Told {
            code: None,
            message: error.to_string(),
            causes: Vec::new(),
            help: None,
            places: Vec::new(),
        };
        let mut text = None;
        let mut at = Some(error);
        while let Some(error) = at {
            told.code = told.code.or_else(|| error.code().map(|it| it.to_string()));
            told.help = told.help.or_else(|| error.help().map(|it| it.to_string()));
            text = error.source_code().or(text);
            let labels = error.labels().into_iter().flatten();
            told.places
                .extend(labels.filter_map(|label| text.and_then(|text| Place::of(&label, text))));
            let behind = error.diagnostic_source();
            match behind {
                Some(behind) => told.causes.push(behind.to_string()),
                None => told.causes.extend(causes(error)),
            }
            at = behind;
        }
        told
    }
}

/// What lies behind an error that is no diagnostic.
fn causes(error: &dyn Diagnostic) -> impl Iterator<Item = String> {
    std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string)
}

impl Place {
    fn of(label: &LabeledSpan, text: &dyn SourceCode) -> Option<Place> {
        let whole = text.read_span(&(0, 0).into(), 0, usize::MAX).ok()?;
        let shown = String::from_utf8_lossy(whole.data());
        let before = shown.get(..label.offset())?;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some(Place {
            file: whole.name()?.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            label: label.label().map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use miette::NamedSource;

    use super::*;

    #[test]
    fn a_place_is_a_line_and_a_column_counted_from_one_in_characters() {
        let text = "recipe\r\n  größe wrong\n\nlast";
        let source = NamedSource::new("x.kdl", text);
        let place = |word: &str| {
            let at = text.find(word).expect("there");
            let label = LabeledSpan::new(None, at, word.len());
            let place = Place::of(&label, &source).expect("a place");
            (place.file, place.line, place.column)
        };
        let at = |line, column| ("x.kdl".to_owned(), line, column);
        assert_eq!(place("recipe"), at(1, 1));
        assert_eq!(place("wrong"), at(2, 9));
        assert_eq!(place("last"), at(4, 1));
        let end = LabeledSpan::new(None, text.len(), 0);
        assert_eq!(Place::of(&end, &source).map(|place| place.line), Some(4));
    }
}
