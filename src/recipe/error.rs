//! What can be wrong with a recipe → a report that shows the line. Begin at [`RecipeError`].
//!
//! [`Wrong`] lists every mistake a person can make; a [`Mistake`] is one of them together with the places in the text. One reading reports all the
//! mistakes it finds, so that nobody has to fix a file in ten runs.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use camino::Utf8PathBuf;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use thiserror::Error;

use super::Spanned;
use super::characters::{is_forbidden, is_hidden};
use super::excerpt::{Excerpt, marked};
use super::wrong::{Wrong, quoted, suggestion};

/// Why there is no [`Recipe`](super::Recipe).
#[derive(Debug, Error, Diagnostic)]
pub enum RecipeError {
    /// A recipe file that could not be read.
    #[error("cannot read the recipe {path}: {why}")]
    #[diagnostic(
        code(recipe::unreadable),
        help("give the name of a recipe in ./recipes, or the path of a .kdl file")
    )]
    Unreadable {
        /// The file, as it was asked for.
        path: Utf8PathBuf,
        /// What the system answered, or what the file is instead of a regular one.
        why: String,
    },

    /// Nothing goes by that name.
    #[error("no recipe is called `{name}`")]
    #[diagnostic(code(recipe::not_found), help("{}", not_found_help(searched, near)))]
    NotFound {
        /// What was asked for.
        name: String,
        /// The folders that were searched, in order.
        searched: Vec<Utf8PathBuf>,
        /// Names that look like it.
        near: Vec<String>,
    },

    /// One folder holds the name twice.
    #[error("two recipes are called `{name}`")]
    #[diagnostic(
        code(recipe::ambiguous),
        help("name one of them by its path: {first} or {second}")
    )]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// One file.
        first: Utf8PathBuf,
        /// The other.
        second: Utf8PathBuf,
    },

    /// Something that cannot be the name of a recipe.
    #[error("`{name}` cannot be the name of a recipe: {why}")]
    #[diagnostic(
        code(recipe::bad_name),
        help("give a name such as `scylla-python`, or the path of a .kdl file")
    )]
    BadName {
        /// What was asked for, made printable.
        name: String,
        /// The rule it breaks.
        why: String,
    },

    /// The recipe does not come in this form.
    #[error("`{recipe}` has no variant `{variant}`")]
    #[diagnostic(code(recipe::no_variant), help("{}{known}", suggestion(near)))]
    NoVariant {
        /// The recipe's name.
        recipe: String,
        /// What was asked for, made printable.
        variant: String,
        /// The name that looks like it.
        near: Option<String>,
        /// What there is, in words.
        known: String,
    },

    /// A parameter that was set and is none.
    #[error("the recipe has no parameter `{name}`")]
    #[diagnostic(code(recipe::parameter), help("{}{known}", suggestion(near)))]
    NoParameter {
        /// What was set, made printable.
        name: String,
        /// The name that looks like it.
        near: Option<String>,
        /// What there is, in words.
        known: String,
    },

    /// The variant is for one processor, and another was asked for.
    #[error("the variant `{variant}` is for {has}, and `--arch` says {wants}")]
    #[diagnostic(
        code(recipe::processor),
        help("leave `--arch` out, or name a variant that says nothing of processors")
    )]
    OtherProcessor {
        /// The variant.
        variant: String,
        /// Its processor.
        has: &'static str,
        /// What was asked for.
        wants: &'static str,
    },

    /// A parameter that was set to what it cannot be.
    #[error("`{name}` is set to what is no value of a parameter")]
    #[diagnostic(
        code(recipe::parameter),
        help("a value has at most 1024 bytes on one line, and holds no parameter itself")
    )]
    BadSetting {
        /// What was set, made printable.
        name: String,
    },

    /// A file without a recipe, or a recipe without a block.
    #[error("{name} holds no recipe that could be changed")]
    #[diagnostic(code(recipe::no_recipe), help("`recipe init NAME` writes one"))]
    NothingToEdit {
        /// The file.
        name: String,
    },

    /// A text that could not be laid out.
    #[error("{name} cannot be laid out without changing what it says; it is left as it is")]
    #[diagnostic(
        code(recipe::not_formatted),
        help("this is a mistake of recipe: please report it, with the file")
    )]
    NotFormatted {
        /// The file.
        name: String,
    },

    /// One mistake in a file.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Mistake(Mistake),

    /// Several mistakes.
    #[error("{} mistakes in {name}", mistakes.len())]
    #[diagnostic(code(recipe::mistakes))]
    Mistakes {
        /// The recipe's file.
        name: String,
        /// Each of them, in the order of the text.
        #[related]
        mistakes: Vec<Mistake>,
    },
}

fn not_found_help(searched: &[Utf8PathBuf], near: &[String]) -> String {
    let mut help = String::new();
    if !near.is_empty() {
        help = format!("did you mean {}? ", quoted(near, "or"));
    }
    let folders: Vec<&str> = searched.iter().map(|folder| folder.as_str()).collect();
    help + &format!(
        "looked for it in {}; a path such as ./NAME.kdl works too",
        folders.join(", ")
    )
}

impl RecipeError {
    /// Recipes whose builds use each other: `way` leads from one of them to itself, and `word` says the
    /// last of it.
    pub fn circle(way: &[Utf8PathBuf], word: &Spanned<Utf8PathBuf>) -> RecipeError {
        let way = way.iter().map(ToString::to_string).collect();
        let wrong = Wrong::RecipeCycle { way };
        let label = "this recipe waits for the one that says so";
        RecipeError::Mistake(Mistake::new(wrong, &word.text, word.span, label))
    }

    /// Recipes whose builds use each other `limit` times in a row, and once more at `word`.
    pub fn too_deep(limit: usize, word: &Spanned<Utf8PathBuf>) -> RecipeError {
        let wrong = Wrong::RecipeTooDeep { limit };
        RecipeError::Mistake(Mistake::new(
            wrong,
            &word.text,
            word.span,
            "one level too many",
        ))
    }

    /// The mistakes found in the text; `name` is the file they are counted in.
    pub(super) fn of(name: &str, mut mistakes: Vec<Mistake>) -> RecipeError {
        mistakes.sort_by_key(|mistake| (!mistake.is_in(name), mistake.offset()));
        match mistakes.pop() {
            Some(only) if mistakes.is_empty() => RecipeError::Mistake(only),
            last => {
                mistakes.extend(last);
                RecipeError::Mistakes {
                    name: name.to_owned(),
                    mistakes,
                }
            }
        }
    }
}

/// Something wrong at a place in a text.
#[derive(Debug, Clone)]
pub struct Mistake {
    /// What is wrong.
    pub wrong: Box<Wrong>,
    labels: Vec<LabeledSpan>,
    text: Arc<Excerpt>,
}

impl Mistake {
    /// `wrong` at `span` of `text`; the label says what is seen there.
    pub(super) fn new(
        wrong: Wrong,
        text: &NamedSource<Arc<str>>,
        span: impl Into<SourceSpan>,
        label: impl Into<String>,
    ) -> Mistake {
        Mistake {
            wrong: Box::new(wrong),
            labels: Vec::new(),
            text: Arc::new(Excerpt(harmless(text))),
        }
        .and(span, label)
    }

    /// The same with another place, such as where a name was used first.
    pub(super) fn and(mut self, span: impl Into<SourceSpan>, label: impl Into<String>) -> Mistake {
        let text = self.text.0.inner();
        let span = marked(text, within(text, span.into()));
        let label = LabeledSpan::new_with_span(Some(label.into()), span);
        self.labels.push(label);
        self
    }

    fn is_in(&self, name: &str) -> bool {
        self.text.0.name() == name
    }

    fn offset(&self) -> usize {
        self.labels.first().map_or(0, LabeledSpan::offset)
    }
}

/// The text without what would play tricks on a terminal; every offset stays.
fn harmless(text: &NamedSource<Arc<str>>) -> NamedSource<Arc<str>> {
    let bad = |c: char| {
        is_forbidden(c) || is_hidden(c) || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    };
    if !text.inner().contains(bad) {
        return text.clone();
    }
    let mut shown = String::with_capacity(text.inner().len());
    for c in text.inner().chars() {
        match c.len_utf8() {
            _ if !bad(c) => shown.push(c),
            3 => shown.push(char::REPLACEMENT_CHARACTER),
            length => shown.extend(std::iter::repeat_n('?', length)),
        }
    }
    NamedSource::new(text.name(), shown.into())
}

/// `span` cut to the text and to whole characters: parsers differ in what they call an offset.
fn within(text: &str, span: SourceSpan) -> SourceSpan {
    let range: Range<usize> = span.offset()..span.offset().saturating_add(span.len());
    let mut start = range.start.min(text.len());
    let mut end = range.end.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    (start..end).into()
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wrong.fmt(f)
    }
}

impl std::error::Error for Mistake {}

impl Diagnostic for Mistake {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.wrong.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.wrong.help()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}
