//! Items whose shape is right → [`Recipe`]: what each node of the language means. Begin at
//! [`recipe`].
//!
//! One function for each node of the grammar. A value that breaks its rule is noted and left out,
//! so that one reading tells everything that is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use miette::{NamedSource, SourceSpan};

use super::decode::{Decoder, Item, printable};
use super::document::document;
use super::error::RecipeError;
use super::files::{Asked, Reader};
use super::guard::Limits;
use super::near::nearest;
use super::requirement::{self, Origin, Requirement};
use super::values::{
    ENTRY_NAME, FILE, FOLDER, FORMATS, INSIDE, PACKAGE_NAME, PLANNED_FORMATS, POLICIES,
    PROJECT_NAME, RECIPE_NAME, Rule, TRIMS, VERSION, is_entry_name, is_inside, is_minor_version,
    is_package_name, is_prefix, is_recipe_name, is_suite, is_version, name_of,
};
use super::wrong::{Wrong, there_is};
use super::{
    Check, ClosureSpec, EntryPoint, FileRead, Interpreter, InterpreterSource, LockPolicy,
    PackageSpec, Pip, Recipe, Spanned, System,
};

/// Reads the text of one recipe file, and the requirements files that it names.
pub(super) fn recipe(
    text: &NamedSource<Arc<str>>,
    folder: &Utf8Path,
) -> Result<Recipe, RecipeError> {
    let document = document(text, &Limits::RECIPE)
        .map_err(|mistakes| RecipeError::of(text.name(), mistakes))?;
    let mut decoder = Decoder::new(text);
    let items = decoder.items(document.nodes(), "");
    let mut reading = Reading {
        text,
        folder,
        decoder,
    };
    let recipe = match items.first() {
        Some(item) => Some(reading.recipe(item)),
        None => {
            let whole: SourceSpan = (0, text.inner().len().min(1)).into();
            if document.nodes().is_empty() {
                reading.decoder.wrong(Wrong::NoRecipe, whole, "this file");
            }
            None
        }
    };
    let mistakes = reading.decoder.into_mistakes();
    match recipe {
        Some(recipe) if mistakes.is_empty() => Ok(recipe),
        _ => Err(RecipeError::of(text.name(), mistakes)),
    }
}

struct Reading<'t> {
    text: &'t NamedSource<Arc<str>>,
    folder: &'t Utf8Path,
    decoder: Decoder<'t>,
}

impl<'t> Reading<'t> {
    fn recipe(&mut self, item: &Item) -> Recipe {
        let name = self.checked(item.words.first(), RECIPE_NAME, is_recipe_name);
        let version = self.checked(item.property("version"), VERSION, is_version);
        let mut recipe = Recipe {
            name: name.map(|name| name.value).unwrap_or_default(),
            version: version.map(|version| version.value).unwrap_or_default(),
            description: None,
            license: None,
            interpreter: None,
            pip: Pip::default(),
            system: System::default(),
            closure: ClosureSpec {
                entries: Vec::new(),
                trim: Vec::new(),
                byte_code: true,
            },
            checks: Vec::new(),
            package: PackageSpec::default(),
            lock: LockPolicy::default(),
            folder: self.folder.to_owned(),
            text: self.text.clone(),
            requirements: Vec::new(),
            files_read: vec![FileRead {
                path: Utf8PathBuf::from(self.text.name()),
                bytes: self.text.inner().as_bytes().into(),
            }],
        };
        for child in &item.children {
            match child.rule.node {
                "description" => recipe.description = first(child),
                "license" => recipe.license = self.license(child),
                "interpreter" => recipe.interpreter = self.interpreter(child),
                "pip" => recipe.pip = self.pip(child),
                "system" => recipe.system = self.system(child),
                "closure" => recipe.closure = self.closure(child),
                "check" => recipe.checks = self.checks(child),
                "package" => recipe.package = self.package(child),
                "lock" => recipe.lock = self.lock(child),
                _ => {}
            }
        }
        self.whole(item, &mut recipe);
        recipe
    }

    /// What holds between nodes.
    fn whole(&mut self, item: &Item, recipe: &mut Recipe) {
        let has = |node: &str| item.children.iter().any(|child| child.rule.node == node);
        if !has("interpreter") && !self.decoder.was_meant("interpreter") {
            let wrong = Wrong::Missing {
                node: "recipe",
                what: "an `interpreter`: closures without one are not in this version of recipe"
                    .to_owned(),
                example: "interpreter \"python\" \"3.13\" from=\"debian\" suite=\"trixie\"",
                anchor: "interpreter",
            };
            self.decoder.wrong(wrong, item.name, "this recipe");
        }
        self.requirements(recipe);
    }

    /// Parses what `pip` asks for, files included, once.
    fn requirements(&mut self, recipe: &mut Recipe) {
        for wanted in &recipe.pip.require {
            let origin = Origin::new(self.text, wanted.span);
            match requirement::parse(&wanted.value, Vec::new(), origin) {
                Ok(requirement) => recipe.requirements.push(requirement),
                Err(bad) => {
                    let (wrong, at) = *bad;
                    let span = self.part(wanted, at);
                    self.decoder.wrong(wrong, span, "here");
                }
            }
        }
        let mut reader = Reader::new(self.folder);
        for file in &recipe.pip.requirements {
            let asked = Asked {
                text: self.text,
                span: file.span,
            };
            reader.read(&file.value, asked);
        }
        for mistake in reader.mistakes {
            self.decoder.add(mistake);
        }
        recipe.requirements.extend(reader.requirements);
        recipe.files_read.extend(reader.files);
        for mistake in requirement::duplicates(&recipe.requirements) {
            self.decoder.add(mistake);
        }
    }

    /// The place of some bytes of a string, where the string is written without escapes.
    fn part(&self, whole: &Spanned<String>, at: std::ops::Range<usize>) -> SourceSpan {
        let start = whole.span.offset();
        let written = self.text.inner().get(start..start + whole.span.len());
        match written.and_then(|written| written.find(&whole.value)) {
            Some(quote) => (start + quote + at.start, at.len()).into(),
            None => whole.span,
        }
    }

    fn license(&mut self, item: &Item) -> Option<String> {
        let rule = Rule(
            "an SPDX expression",
            "such as Apache-2.0, or PSF-2.0 AND MIT",
        );
        let good = |text: &str| {
            text.len() <= 256
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || " ()+-.:".contains(c))
        };
        self.checked(item.words.first(), rule, good)
            .map(|license| license.value)
    }

    fn interpreter(&mut self, item: &Item) -> Option<Spanned<Interpreter>> {
        let language = item.words.first()?;
        if language.value != "python" {
            self.unfinished(language, "language", &["python"]);
        }
        let rule = Rule(
            "a version of an interpreter",
            "write the major and the minor number, such as 3.13: the suite decides the rest",
        );
        let version = self.checked(item.words.get(1), rule, is_minor_version)?;
        let from = item.property("from")?;
        if from.value != "debian" {
            let planned = ["source", "host", "archive"];
            if planned.contains(&from.value.as_str()) {
                self.not_yet(from, "an interpreter from", "write from=\"debian\"");
            } else {
                self.unfinished(from, "source of an interpreter", &["debian"]);
            }
        }
        let rule = Rule("the name of a suite", "such as trixie or bookworm");
        let suite = self.checked(item.property("suite"), rule, is_suite)?;
        Some(Spanned {
            value: Interpreter {
                language: language.value.clone(),
                version: version.value,
                from: InterpreterSource::Debian,
                suite: suite.value,
            },
            span: item.name,
        })
    }

    fn pip(&mut self, item: &Item) -> Pip {
        let mut pip = Pip::default();
        for child in &item.children {
            let words = child.words.iter();
            match child.rule.node {
                "require" => pip.require.extend(words.cloned()),
                "requirements" => {
                    for word in words {
                        let file = self.checked(Some(word), FILE, is_inside);
                        pip.requirements.extend(file.map(path));
                    }
                }
                "pth" => {
                    for word in words {
                        let name = self.checked(Some(word), PROJECT_NAME, requirement::is_name);
                        pip.keep_pth.extend(name.map(|name| Spanned {
                            value: requirement::normalised(&name.value),
                            span: name.span,
                        }));
                    }
                }
                _ => {}
            }
        }
        let files = pip.requirements.iter();
        self.unique(
            "the file",
            files.map(|file| (file.value.as_str(), file.span)),
        );
        let kept = pip.keep_pth.iter();
        self.unique(
            "the project",
            kept.map(|name| (name.value.as_str(), name.span)),
        );
        pip
    }

    fn system(&mut self, item: &Item) -> System {
        let mut system = System::default();
        for child in &item.children {
            for word in &child.words {
                match child.rule.node {
                    "package" => {
                        let name = self.checked(Some(word), PACKAGE_NAME, is_package_name);
                        system.packages.extend(name);
                    }
                    _ => system.exclude.extend(self.exclusion(word)),
                }
            }
        }
        let packages = system.packages.iter();
        self.unique(
            "the package",
            packages.map(|it| (it.value.as_str(), it.span)),
        );
        let excluded = system.exclude.iter();
        self.unique(
            "the exclusion",
            excluded.map(|it| (it.value.as_str(), it.span)),
        );
        for wanted in &system.packages {
            if let Some(out) = system.exclude.iter().find(|out| out.value == wanted.value) {
                let name = wanted.value.clone();
                self.decoder.contradiction(name, out.span, wanted.span);
            }
        }
        system
    }

    /// A package's name, or a path or pattern inside the closure.
    fn exclusion(&mut self, word: &Spanned<String>) -> Option<Spanned<String>> {
        if word.value.contains(['/', '*']) {
            self.checked(Some(word), INSIDE, is_inside)
        } else {
            self.checked(Some(word), PACKAGE_NAME, is_package_name)
        }
    }

    fn closure(&mut self, item: &Item) -> ClosureSpec {
        let mut closure = ClosureSpec {
            entries: Vec::new(),
            trim: Vec::new(),
            byte_code: true,
        };
        for child in &item.children {
            match child.rule.node {
                "entry" => closure.entries.extend(self.entry(child)),
                "trim" => {
                    for word in &child.words {
                        closure.trim.extend(self.one_of(word, "a rule", TRIMS));
                    }
                }
                _ => closure.byte_code = child.flags.first().is_none_or(|flag| flag.value),
            }
        }
        let entries = closure.entries.iter();
        self.unique(
            "the entry",
            entries.map(|it| (it.value.name.as_str(), it.span)),
        );
        let trims = closure.trim.iter();
        self.unique(
            "the rule",
            trims.map(|it| (name_of(TRIMS, it.value), it.span)),
        );
        closure
    }

    fn entry(&mut self, item: &Item) -> Option<Spanned<EntryPoint>> {
        let name = self.checked(item.words.first(), ENTRY_NAME, is_entry_name);
        let runs = self.checked(item.property("runs"), INSIDE, is_inside);
        let (name, runs) = (name?, runs?);
        Some(Spanned {
            span: name.span,
            value: EntryPoint {
                name: name.value,
                runs: runs.value.into(),
            },
        })
    }

    fn checks(&mut self, item: &Item) -> Vec<Spanned<Check>> {
        let mut checks = Vec::new();
        for child in &item.children {
            let Some(word) = child.words.first() else {
                continue;
            };
            let value = match child.rule.node {
                "python" => Check::Python(word.value.clone()),
                _ => match self.checked(Some(word), INSIDE, is_inside) {
                    Some(_) => Check::Run(child.words.iter().map(|w| w.value.clone()).collect()),
                    None => continue,
                },
            };
            checks.push(Spanned {
                value,
                span: child.name,
            });
        }
        checks
    }

    fn package(&mut self, item: &Item) -> PackageSpec {
        let mut package = PackageSpec::default();
        for word in &item.words {
            if PLANNED_FORMATS.contains(&word.value.as_str()) {
                self.not_yet(word, "the format", "write \"tar.zst\" or \"tar.gz\"");
            } else {
                package
                    .formats
                    .extend(self.one_of(word, "a format", FORMATS));
            }
        }
        let formats = package.formats.iter();
        self.unique(
            "the format",
            formats.map(|it| (name_of(FORMATS, it.value), it.span)),
        );
        for child in &item.children {
            package.prefix = self
                .checked(child.words.first(), FOLDER, is_prefix)
                .map(path);
        }
        package
    }

    fn lock(&mut self, item: &Item) -> LockPolicy {
        item.words
            .first()
            .and_then(|word| self.one_of(word, "a policy of a lock", POLICIES))
            .map(|policy| policy.value)
            .unwrap_or_default()
    }

    /// The word, if it keeps to its rule.
    fn checked(
        &mut self,
        word: Option<&Spanned<String>>,
        rule: Rule,
        good: impl Fn(&str) -> bool,
    ) -> Option<Spanned<String>> {
        let word = word?;
        if good(&word.value) {
            return Some(word.clone());
        }
        let wrong = Wrong::BadValue {
            value: printable(&word.value),
            wanted: rule.0.to_owned(),
            rule: rule.1.to_owned(),
            near: None,
        };
        self.decoder.wrong(wrong, word.span, "this value");
        None
    }

    /// The value that the word names, of a closed list.
    fn one_of<T: Copy>(
        &mut self,
        word: &Spanned<String>,
        wanted: &str,
        known: &[(&'static str, T)],
    ) -> Option<Spanned<T>> {
        let found = known.iter().find(|(name, _)| *name == word.value);
        if let Some((_, value)) = found {
            return Some(Spanned {
                value: *value,
                span: word.span,
            });
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        self.unknown_value(word, wanted, &names);
        None
    }

    fn unknown_value(&mut self, word: &Spanned<String>, wanted: &str, names: &[&str]) {
        let wrong = Wrong::BadValue {
            value: printable(&word.value),
            wanted: wanted.to_owned(),
            rule: there_is(names),
            near: nearest(&word.value, names.iter().copied()).map(str::to_owned),
        };
        self.decoder.wrong(wrong, word.span, "this value");
    }

    fn unfinished(&mut self, word: &Spanned<String>, what: &str, names: &[&str]) {
        self.unknown_value(word, &format!("a {what} of this version of recipe"), names);
    }

    fn not_yet(&mut self, word: &Spanned<String>, what: &str, hint: &'static str) {
        let wrong = Wrong::NotYet {
            what: format!("{what} `{}`", printable(&word.value)),
            hint,
        };
        self.decoder.wrong(wrong, word.span, "this value");
    }

    /// Notes every value that is given twice.
    fn unique<'v>(&mut self, what: &str, values: impl Iterator<Item = (&'v str, SourceSpan)>) {
        let mut seen: BTreeMap<&str, SourceSpan> = BTreeMap::new();
        for (value, span) in values {
            if let Some(first) = seen.get(value) {
                let wrong = Wrong::Duplicate {
                    what: format!("{what} `{value}`"),
                    help: "keep one of them",
                };
                self.decoder.twice(wrong, span, *first);
            } else {
                seen.insert(value, span);
            }
        }
    }
}

fn first(item: &Item) -> Option<String> {
    item.words.first().map(|word| word.value.clone())
}

fn path(word: Spanned<String>) -> Spanned<Utf8PathBuf> {
    Spanned {
        value: word.value.into(),
        span: word.span,
    }
}

impl Recipe {
    /// What is asked of pip, requirements files included, in the order it was written. Every
    /// requirement was parsed, and no project is asked for twice by one environment.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Every file whose bytes went into this recipe, its own first: what a memo of a build hashes.
    #[must_use]
    pub fn files_read(&self) -> &[FileRead] {
        &self.files_read
    }
}
