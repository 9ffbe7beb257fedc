//! The list of mistakes: for each what is said, its stable name, and what to do next. Begin at
//! [`Wrong`]; [`super::error`] adds the places.

use std::fmt;

use thiserror::Error;

/// The page that every language mistake points to.
const REFERENCE: &str = "book/src/reference/language.md";

/// Names that a message lists.
const MOST_NAMES: usize = 32;

/// Every mistake that a recipe or a requirements file can hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "each variant's message says what it means")]
pub enum Wrong {
    #[error("the file is too large: {size} bytes, and it may have {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("the file is not UTF-8")]
    NotUtf8,
    #[error("blocks are nested more than {limit} deep")]
    TooDeep { limit: usize },
    #[error("comments are nested more than {limit} deep")]
    CommentTooDeep { limit: usize },
    #[error("more than {limit} blocks inside one another are commented out by `/-`")]
    SlashdashTooDeep { limit: usize },
    #[error("{}", too_many_slashdashes(*limit, place))]
    TooManySlashdashes { limit: usize, place: &'static str },
    #[error("a string in single quotes")]
    SingleQuotes,
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
    #[error("two nodes on one line")]
    TwoNodes { node: &'static str },
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

    #[error("cannot read {path}: {why}")]
    Unreadable { path: String, why: String },
    #[error("recipes build on each other in a circle")]
    RecipeCycle { way: Vec<String> },
    #[error("recipes build on each other more than {limit} deep")]
    RecipeTooDeep { limit: usize },
    #[error("an included file holds no recipe of its own")]
    RecipeIncluded,
    #[error("an included file extends no recipe")]
    ExtendsInside,
    #[error("nothing that this recipe builds on has `{word}` in its `{block}`")]
    NothingLeftOut {
        word: String,
        block: &'static str,
        near: Option<String>,
    },
    #[error("{why}")]
    NoSuchRecipe {
        name: String,
        why: String,
        near: Option<String>,
        /// The files of that name, where there are several.
        files: Vec<String>,
    },
    #[error("there is no parameter `{name}`")]
    NoParameter {
        name: String,
        near: Option<String>,
        known: String,
    },
    #[error("`${{` begins a parameter, and no `}}` ends it")]
    OpenParameter,
    #[error("`{name}` is what the interpreter decides, and cannot stand in it")]
    ParameterTooEarly { name: String },
    #[error("nothing uses the parameter `{name}`")]
    UnusedParameter { name: String },
    #[error("the parameter `{name}` has no default and is not set")]
    Unset { name: String, used: bool },
    #[error("this is no value of a parameter")]
    BadParameter,
    #[error("a variant of another recipe")]
    OtherRecipe { near: Option<String> },

    #[error("the sysroot is of {sysroot}, and the interpreter of {interpreter}")]
    OtherSuite {
        sysroot: String,
        interpreter: String,
    },

    #[error("the file holds no recipe")]
    NoRecipe,
    #[error("the file holds more than one recipe")]
    SeveralRecipes,
}

fn too_many_slashdashes(limit: usize, place: &str) -> String {
    match limit {
        0 => "nothing is commented out by `/-` in a lock".to_owned(),
        limit => format!("more than {limit} `/-` {place}"),
    }
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
            | Wrong::SingleQuotes
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
            Wrong::TwoNodes { .. } => "recipe::two_nodes",
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
            Wrong::Unreadable { .. } => "recipe::unreadable",
            Wrong::RecipeCycle { .. }
            | Wrong::RecipeTooDeep { .. }
            | Wrong::RecipeIncluded
            | Wrong::ExtendsInside => "recipe::builds_on",
            Wrong::NothingLeftOut { .. } => "recipe::without",
            Wrong::NoSuchRecipe { .. } => "recipe::not_found",
            Wrong::NoParameter { .. }
            | Wrong::OpenParameter
            | Wrong::ParameterTooEarly { .. }
            | Wrong::UnusedParameter { .. }
            | Wrong::Unset { .. }
            | Wrong::BadParameter => "recipe::parameter",
            Wrong::OtherRecipe { .. } => "recipe::variant",
            Wrong::OtherSuite { .. } => "recipe::other_suite",
            Wrong::NoRecipe => "recipe::no_recipe",
            Wrong::SeveralRecipes => "recipe::several_recipes",
        }
    }

    /// What to do next.
    pub(super) fn help(&self) -> String {
        match self {
            Wrong::TooLarge { .. } => {
                "put part of it into files that it includes; lists of requirements can be files of \
                 their own"
                    .to_owned()
            }
            Wrong::NotUtf8 => "write the file anew in UTF-8".to_owned(),
            Wrong::TooDeep { .. } => "real files need four levels at most".to_owned(),
            Wrong::CommentTooDeep { .. } => "use // for each line".to_owned(),
            Wrong::SingleQuotes => "write it in double quotes".to_owned(),
            Wrong::OpenComment => "add the closing `*/`".to_owned(),
            Wrong::OpenBlock => "add the closing `}`".to_owned(),
            Wrong::StrayClose => {
                "delete it, or look above for a `}` that closes its block too early".to_owned()
            }
            Wrong::TypeAnnotation => "delete it, with its parentheses".to_owned(),
            Wrong::SlashdashTooDeep { .. } | Wrong::TooManySlashdashes { .. } => {
                "delete what is commented out, or use // for each line".to_owned()
            }
            Wrong::Character { .. } => {
                "delete it; in a quoted string of a recipe it can be written as \\u{…}".to_owned()
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
            Wrong::Syntax { help, .. } => help.clone().unwrap_or_else(|| see("the-language")),
            Wrong::UnknownNode {
                node,
                parent,
                near,
                known,
                belongs,
                anchor,
            } => {
                let mut help = suggestion(near);
                if node == "lock" && parent.is_empty() {
                    help += "a lock is read together with its recipe: name that; ";
                } else if let Some(belongs) = belongs {
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
            Wrong::WrongType {
                wanted: "#true or #false",
                ..
            } => "write #true or #false, without quotes".to_owned(),
            Wrong::WrongType { .. } => "write a text in quotes, or delete the node".to_owned(),
            Wrong::TooManyArguments { anchor, .. } => {
                format!("delete what is too much; {}", see(anchor))
            }
            Wrong::NoBlock { anchor, .. } => format!("delete what is in braces; {}", see(anchor)),
            Wrong::TwoNodes { node } => format!(
                "begin a new line before `{node}`, or write `;` there; if it is a value, write \
                 it in quotes"
            ),
            Wrong::Missing {
                example, anchor, ..
            } => format!("such as: {example}; {}", see(anchor)),
            Wrong::Duplicate { help, .. } => (*help).to_owned(),
            Wrong::BadValue { rule, near, .. } => suggestion(near) + rule,
            Wrong::Contradiction { .. } => "delete one of the two".to_owned(),
            Wrong::BadRequirement { .. } => format!(
                "such as `requests`, `requests[socks]>=2.32,<3` or `tomli; python_version < '3.11'`; {}",
                see("require")
            ),
            Wrong::RequirementsFile { .. } => format!(
                "such a file lies in the folder of the recipe that names it, or below; {}",
                see("requirements")
            ),
            Wrong::IncludeCycle | Wrong::IncludeTooDeep { .. } => {
                "delete this line, or let one file name all the others".to_owned()
            }
            Wrong::TooMany { what, .. } if what.contains('=') => {
                "is this KDL? values follow their node with blanks between them, as in lock \"follow\""
                    .to_owned()
            }
            Wrong::TooMany { .. } => "make it several recipes".to_owned(),
            Wrong::RecipeTooDeep { .. } => "let one file include all the others".to_owned(),
            Wrong::PlaceRequirement { .. } => {
                "a lock names no host, so that any mirror and any cache will do: require a \
                 released version, such as `requests>=2.32`"
                    .to_owned()
            }
            Wrong::DuplicateRequirement { .. } => {
                "write one requirement that says all, such as `psutil>=5.9,<8`".to_owned()
            }
            Wrong::RefusedOption { why, .. } => (*why).to_owned(),
            Wrong::Unreadable { .. } => format!(
                "an included file lies in the folder of its recipe, or below; {}",
                see("include")
            ),
            Wrong::RecipeIncluded => format!(
                "`include` takes a file with what stands inside of a recipe; to build on a whole \
                 one write `extends` or `use`, and its name; {}",
                see("extends")
            ),
            Wrong::RecipeCycle { way } => {
                format!("let one of them stand alone: {}", way.join(" -> "))
            }
            Wrong::ExtendsInside => {
                "write it into the recipe itself; `include` and `use` may stand here".to_owned()
            }
            Wrong::NothingLeftOut { near, .. } => format!(
                "{}`without` takes away what an included, extended or used file says, as it is \
                 written there; {}",
                suggestion(near),
                see("taking-away")
            ),
            Wrong::NoSuchRecipe { files, .. } if !files.is_empty() => {
                format!("give one of them another name: {}", files.join(" or "))
            }
            Wrong::NoSuchRecipe { near, .. } => format!(
                "{}it is looked for beside the recipe, in the folder above with its groups, then \
                 where `recipe build` looks",
                suggestion(near)
            ),
            Wrong::NoParameter { near, known, .. } => format!(
                "{}{known}; for the text `${{` itself write `$${{`; {}",
                suggestion(near),
                see("param")
            ),
            Wrong::OpenParameter => {
                "write `${name}`; for the text `${` itself write `$${`".to_owned()
            }
            Wrong::ParameterTooEarly { .. } => format!(
                "write the version and the suite themselves; a `variant` gives others; {}",
                see("variant")
            ),
            Wrong::UnusedParameter { name } => {
                format!("write `${{{name}}}` where its value is to stand, or delete it")
            }
            Wrong::Unset { used: true, .. } => {
                "give it a default: a recipe that others use has nothing set".to_owned()
            }
            Wrong::Unset { name, .. } => {
                format!("set it: --set {name}=VALUE, or give it a default")
            }
            Wrong::BadParameter => {
                "a value has at most 1024 bytes on one line, and holds no parameter itself"
                    .to_owned()
            }
            Wrong::OtherRecipe { near } => {
                format!("{}{}", suggestion(near), see("variant"))
            }
            Wrong::OtherSuite { interpreter, .. } => format!(
                "what is built runs with the interpreter's libraries: write \
                 suite=\"{interpreter}\", or suite=\"${{suite}}\" where variants have others"
            ),
            Wrong::NoRecipe => {
                format!(
                    "such as: recipe \"hello\" version=\"1\" {{ … }}; {}",
                    see("recipe")
                )
            }
            Wrong::SeveralRecipes => "give each recipe a file of its own".to_owned(),
        }
    }
}

pub(super) fn suggestion(near: &Option<String>) -> String {
    near.as_ref()
        .map(|near| format!("did you mean `{near}`? "))
        .unwrap_or_default()
}

/// there is `a`; there are `a` and `b`; of very many the first ones.
pub(super) fn there_is(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    match names.split_at_checked(MOST_NAMES) {
        Some((shown, more)) if !more.is_empty() => {
            let shown: Vec<String> = shown.iter().map(|name| format!("`{name}`")).collect();
            format!("there {verb} {} and {} more", shown.join(", "), more.len())
        }
        _ => format!("there {verb} {}", quoted(names, "and")),
    }
}

fn see(anchor: &str) -> String {
    format!("see {REFERENCE}#{anchor}")
}

/// `a`, `b` and `c`
pub(super) fn quoted<T: fmt::Display>(words: &[T], join: &str) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} {join} {last}", rest.join(", ")),
    }
}
