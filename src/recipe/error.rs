//! What can be wrong with a recipe → a report that shows the line. Begin at [`RecipeError`].
//!
//! [`Wrong`] lists every mistake a person can make in a recipe or in a requirements file; a
//! [`Mistake`] is one of them together with the places in the text. One reading reports all the
//! mistakes it finds, so that nobody has to fix a file in ten runs.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use camino::Utf8PathBuf;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use thiserror::Error;

use super::guard::{is_forbidden, is_hidden};

/// The page that every language mistake points to.
const REFERENCE: &str = "book/src/reference/language.md";

/// Why there is no [`Recipe`](super::Recipe).
#[derive(Debug, Error, Diagnostic)]
pub enum RecipeError {
    /// A recipe file that could not be read.
    #[error("cannot read the recipe {path}: {why}")]
    #[diagnostic(code(recipe::unreadable))]
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
    /// The mistakes found in the text; `name` is the file they are counted in.
    pub(super) fn of(name: &str, mut mistakes: Vec<Mistake>) -> RecipeError {
        mistakes.sort_by_key(Mistake::offset);
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
    text: Arc<NamedSource<Arc<str>>>,
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
            text: Arc::new(harmless(text)),
        }
        .and(span, label)
    }

    /// The same with another place, such as where a name was used first.
    pub(super) fn and(mut self, span: impl Into<SourceSpan>, label: impl Into<String>) -> Mistake {
        let span = within(self.text.inner(), span.into());
        let label = LabeledSpan::new_with_span(Some(label.into()), span);
        self.labels.push(label);
        self
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
        self.wrong.help().map(|help| Box::new(help) as Box<_>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// Every mistake that a recipe or a requirements file can hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "each variant's message says what it means")]
pub enum Wrong {
    #[error("the file is too large: {size} bytes, and a recipe may have {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("the file is not UTF-8")]
    NotUtf8,
    #[error("blocks are nested more than {limit} deep")]
    TooDeep { limit: usize },
    #[error("comments are nested more than {limit} deep")]
    CommentTooDeep { limit: usize },
    #[error("more than {limit} blocks inside one another are commented out by `/-`")]
    SlashdashTooDeep { limit: usize },
    #[error("more than {limit} `/-` {place}")]
    TooManySlashdashes { limit: usize, place: &'static str },
    #[error("the character {character} is not allowed here")]
    Character { character: String },
    #[error("a string that is never closed")]
    OpenString,
    #[error("a line ends inside a string")]
    NewlineInString,
    #[error("a string of several lines that is not written as one")]
    BadMultiline { rule: &'static str },
    #[error("an unknown escape in a string")]
    BadEscape,
    #[error("a comment that is never closed")]
    OpenComment,
    #[error("a block that is never closed")]
    OpenBlock,
    #[error("a `}}` that closes nothing")]
    StrayClose,
    #[error("{message}")]
    Syntax {
        message: String,
        help: Option<String>,
    },

    #[error("`{node}` is not a node{}", inside(parent))]
    UnknownNode {
        node: String,
        parent: &'static str,
        near: Option<String>,
        known: Vec<&'static str>,
        belongs: Option<&'static str>,
        anchor: &'static str,
    },
    #[error("{what} is not in this version of recipe")]
    NotYet { what: String, hint: &'static str },
    #[error("`{node}` has no property `{property}`")]
    UnknownProperty {
        node: &'static str,
        property: String,
        near: Option<String>,
        known: Vec<&'static str>,
        anchor: &'static str,
    },
    #[error("`{node}` takes {wanted}")]
    TooManyArguments {
        node: &'static str,
        wanted: String,
        anchor: &'static str,
    },
    #[error("`{node}` takes no block")]
    NoBlock {
        node: &'static str,
        anchor: &'static str,
    },
    #[error("a type annotation means nothing in a recipe")]
    TypeAnnotation,
    #[error("`{node}` lacks {what}")]
    Missing {
        node: &'static str,
        what: String,
        example: &'static str,
        anchor: &'static str,
    },
    #[error("wanted {wanted}, found {found}")]
    WrongType {
        wanted: &'static str,
        found: &'static str,
    },
    #[error("{what} is given twice")]
    Duplicate { what: String, help: &'static str },
    #[error("`{value}` is not {wanted}")]
    BadValue {
        value: String,
        wanted: String,
        rule: String,
        near: Option<String>,
    },
    #[error("`{name}` is both wanted and excluded")]
    Contradiction { name: String },

    #[error("`{text}` is not a Python requirement: {why}")]
    BadRequirement { text: String, why: String },
    #[error("`{text}` names a place, not a release")]
    PlaceRequirement { text: String },
    #[error("`{name}` is required twice")]
    DuplicateRequirement { name: String },
    #[error("`{option}` is not allowed in a requirements file")]
    RefusedOption { option: String, why: &'static str },
    #[error("cannot read the requirements file {path}: {why}")]
    RequirementsFile { path: String, why: String },
    #[error("requirements files include each other")]
    IncludeCycle,
    #[error("requirements files include each other more than {limit} deep")]
    IncludeTooDeep { limit: usize },
    #[error("too many {what}: more than {limit}")]
    TooMany { what: &'static str, limit: usize },

    #[error("the file holds no recipe")]
    NoRecipe,
    #[error("the file holds more than one recipe")]
    SeveralRecipes,
}

fn inside(parent: &str) -> String {
    match parent {
        "" => " of a recipe file".to_owned(),
        parent => format!(" of `{parent}`"),
    }
}

impl Wrong {
    /// A short stable name, such as `recipe::unknown_node`, for tools that read messages.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Wrong::TooLarge { .. } => "recipe::too_large",
            Wrong::NotUtf8 => "recipe::not_utf8",
            Wrong::TooDeep { .. } | Wrong::CommentTooDeep { .. } => "recipe::too_deep",
            Wrong::SlashdashTooDeep { .. } | Wrong::TooManySlashdashes { .. } => {
                "recipe::slashdash"
            }
            Wrong::Character { .. } => "recipe::character",
            Wrong::OpenString
            | Wrong::NewlineInString
            | Wrong::BadMultiline { .. }
            | Wrong::BadEscape
            | Wrong::OpenComment
            | Wrong::OpenBlock
            | Wrong::StrayClose
            | Wrong::Syntax { .. } => "recipe::syntax",
            Wrong::UnknownNode { .. } => "recipe::unknown_node",
            Wrong::NotYet { .. } => "recipe::not_yet",
            Wrong::UnknownProperty { .. } => "recipe::unknown_property",
            Wrong::TooManyArguments { .. } => "recipe::too_many_arguments",
            Wrong::NoBlock { .. } => "recipe::no_block",
            Wrong::TypeAnnotation => "recipe::type_annotation",
            Wrong::Missing { .. } => "recipe::missing",
            Wrong::WrongType { .. } => "recipe::wrong_type",
            Wrong::Duplicate { .. } => "recipe::duplicate",
            Wrong::BadValue { .. } => "recipe::bad_value",
            Wrong::Contradiction { .. } => "recipe::contradiction",
            Wrong::BadRequirement { .. } => "recipe::bad_requirement",
            Wrong::PlaceRequirement { .. } => "recipe::place_requirement",
            Wrong::DuplicateRequirement { .. } => "recipe::duplicate_requirement",
            Wrong::RefusedOption { .. } => "recipe::refused_option",
            Wrong::RequirementsFile { .. } => "recipe::requirements_file",
            Wrong::IncludeCycle | Wrong::IncludeTooDeep { .. } => "recipe::include",
            Wrong::TooMany { .. } => "recipe::too_many",
            Wrong::NoRecipe => "recipe::no_recipe",
            Wrong::SeveralRecipes => "recipe::several_recipes",
        }
    }

    /// What to do next.
    fn help(&self) -> Option<String> {
        let help = match self {
            Wrong::TooDeep { .. } => "a recipe needs three levels at most".to_owned(),
            Wrong::SlashdashTooDeep { .. } | Wrong::TooManySlashdashes { .. } => {
                "delete what is commented out, or use // for each line".to_owned()
            }
            Wrong::Character { .. } => {
                "delete it; inside a quoted string it can be written as \\u{…}".to_owned()
            }
            Wrong::OpenString => "add the closing quote".to_owned(),
            Wrong::NewlineInString => {
                "close the string on its line, write \\n, or use \"\"\" for several lines"
                    .to_owned()
            }
            Wrong::BadMultiline { rule } => (*rule).to_owned(),
            Wrong::BadEscape => {
                "there are \\n \\r \\t \\s \\b \\f \\\" \\\\ and \\u{…}; in a raw string, #\"…\"#, \
                 a backslash is a backslash"
                    .to_owned()
            }
            Wrong::Syntax { help, .. } => return help.clone(),
            Wrong::UnknownNode {
                near,
                known,
                belongs,
                anchor,
                ..
            } => {
                let mut help = suggestion(near);
                if let Some(belongs) = belongs {
                    help += &format!("it belongs inside `{belongs}`; ");
                }
                format!("{help}{}; {}", there_is(known), see(anchor))
            }
            Wrong::NotYet { hint, .. } => (*hint).to_owned(),
            Wrong::UnknownProperty {
                near,
                known,
                anchor,
                ..
            } => {
                let there = match known.as_slice() {
                    [] => "it takes none".to_owned(),
                    known => there_is(known),
                };
                format!("{}{there}; {}", suggestion(near), see(anchor))
            }
            Wrong::WrongType {
                wanted: "a string",
                found: "a number",
            } => "write it in quotes".to_owned(),
            Wrong::TooManyArguments { anchor, .. } | Wrong::NoBlock { anchor, .. } => see(anchor),
            Wrong::Missing {
                example, anchor, ..
            } => format!("such as: {example}; {}", see(anchor)),
            Wrong::Duplicate { help, .. } => (*help).to_owned(),
            Wrong::BadValue { rule, near, .. } => suggestion(near) + rule,
            Wrong::Contradiction { .. } => "delete one of the two".to_owned(),
            Wrong::PlaceRequirement { .. } => {
                "a lock names no host, so that any mirror and any cache will do: require a \
                 released version, such as `requests>=2.32`"
                    .to_owned()
            }
            Wrong::DuplicateRequirement { .. } => {
                "write one requirement that says all, such as `psutil>=5.9,<8`".to_owned()
            }
            Wrong::RefusedOption { why, .. } => (*why).to_owned(),
            Wrong::NoRecipe => {
                format!(
                    "such as: recipe \"hello\" version=\"1\" {{ … }}; {}",
                    see("recipe")
                )
            }
            Wrong::SeveralRecipes => "give each recipe a file of its own".to_owned(),
            _ => return None,
        };
        Some(help)
    }
}

fn suggestion(near: &Option<String>) -> String {
    near.as_ref()
        .map(|near| format!("did you mean `{near}`? "))
        .unwrap_or_default()
}

/// there is `a`; there are `a` and `b`
pub(super) fn there_is(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("there {verb} {}", quoted(names, "and"))
}

fn see(anchor: &str) -> String {
    format!("see {REFERENCE}#{anchor}")
}

/// `a`, `b` and `c`
fn quoted<T: fmt::Display>(words: &[T], join: &str) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} {join} {last}", rest.join(", ")),
    }
}
