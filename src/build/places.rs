//! A step that failed → where the recipe asks for it, to be shown with the line. Begin at
//! [`BuildError::in_recipe`].
//!
//! Steps know nothing of places: two recipes share a step, and a comment above a line makes no
//! other step of it. So the recipe is asked once something failed.

use std::fmt::{self, Display};
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, SourceCode, SourceSpan};

use super::error::MissingLibrary;
use super::steps::layout::glob;
use super::{BuildError, Failure, StepError};
use crate::net::NetError;
use crate::recipe::{Recipe, Spanned, Text};

/// Places in one file: a recipe, or something that it reads.
#[derive(Debug)]
pub struct Places {
    text: Text,
    labels: Vec<LabeledSpan>,
}

/// One of them.
struct Place {
    text: Text,
    label: LabeledSpan,
}

impl Place {
    fn new(text: &Text, span: SourceSpan, label: &str) -> Place {
        Place {
            text: text.clone(),
            label: LabeledSpan::new_with_span(Some(label.to_owned()), span),
        }
    }

    fn of<T>(said: &Spanned<T>, label: &str) -> Place {
        Place::new(&said.text, said.span, label)
    }
}

impl Places {
    /// By file, in the order in which the files come up.
    fn by_file(places: Vec<Place>) -> Vec<Places> {
        let mut files: Vec<Places> = Vec::new();
        for Place { text, label } in places {
            match files
                .iter_mut()
                .find(|file| file.text.name() == text.name())
            {
                Some(file) => file.labels.push(label),
                None => files.push(Places {
                    text,
                    labels: vec![label],
                }),
            }
        }
        files
    }
}

impl BuildError {
    /// The same, with what to type for `recipe`, and its places that the failures are about.
    #[must_use]
    pub fn in_recipe(mut self, recipe: &Recipe, typed: &str) -> BuildError {
        if let BuildError::Failed {
            failures,
            recipe: named,
            ..
        } = &mut self
        {
            *named = typed.to_owned();
            for failure in failures {
                failure.places = Places::by_file(places(recipe, failure));
            }
        }
        self
    }
}

fn places(recipe: &Recipe, failure: &Failure) -> Vec<Place> {
    const ASKED: &str = "asked for here";
    match &failure.error {
        StepError::Checks { failed, .. } => {
            let checks = failed.iter();
            let checks = checks.filter_map(|failed| recipe.checks.get(failed.index));
            checks
                .map(|check| Place::of(check, "this check failed"))
                .collect()
        }
        StepError::Build(_)
        | StepError::NoProgram { .. }
        | StepError::Prefix { .. }
        | StepError::Collect(_)
            if recipe.name == failure.subject =>
        {
            let built = recipe.built.as_ref();
            let place = built.map(|built| Place::of(&built.build, "this build"));
            place.into_iter().collect()
        }
        StepError::NoEntry { name, .. } | StepError::EntryTaken { name, .. } => {
            let mut entries = recipe.closure.entries.iter();
            let entry = entries.find(|entry| entry.value.name == *name);
            let entry = entry.map(|entry| Place::of(entry, "this entry"));
            entry.into_iter().collect()
        }
        StepError::Conflict { first, second, .. } => {
            let first = asked_for(recipe, first, "one comes from what is asked for here");
            let second = asked_for(recipe, second, "the other from this");
            first.into_iter().chain(second).collect()
        }
        StepError::MissingLibraries { missing } => {
            let left_out = left_out(recipe, missing);
            if !left_out.is_empty() {
                return left_out;
            }
            let mut places = Vec::new();
            let mut told: Vec<&str> = Vec::new();
            for missing in missing {
                if !told.contains(&missing.of.as_str()) {
                    told.push(&missing.of);
                    let label = format!("{} needs it", missing.of);
                    places.extend(asked_for(recipe, &missing.of, &label));
                }
            }
            places
        }
        // Where it is asked for says nothing of a network that is not there.
        error if error.net().is_some_and(|error| !NetError::is_gone(error)) => Vec::new(),
        _ => asked_for(recipe, &failure.subject, ASKED)
            .into_iter()
            .collect(),
    }
}

/// Where the recipe leaves out what is missing: by a path that fits a library, else by the packages
/// that it excludes, any of which may have had it.
fn left_out(recipe: &Recipe, missing: &[MissingLibrary]) -> Vec<Place> {
    let fits = |pattern: &str| {
        let mut paths = missing.iter().map(|it| format!("lib/{}", it.soname));
        pattern.contains(['/', '*']) && paths.any(|path| glob::matches(pattern, &path))
    };
    let all = &recipe.system.exclude;
    let by_path: Vec<Place> = all
        .iter()
        .filter(|exclude| fits(&exclude.value))
        .map(|exclude| Place::of(exclude, "left out here"))
        .collect();
    if !by_path.is_empty() {
        return by_path;
    }
    let packages = all
        .iter()
        .filter(|exclude| !exclude.value.contains(['/', '*']));
    packages
        .map(|exclude| Place::of(exclude, "if this has it, it is left out here"))
        .collect()
}

/// Where the recipe asks for a package or project by its name, or for the interpreter that it is
/// part of. What only others need is asked for nowhere.
fn asked_for(recipe: &Recipe, name: &str, label: &str) -> Option<Place> {
    let name = name.strip_suffix(" (byte code)").unwrap_or(name);
    let mut packages = recipe.system.packages.iter();
    if let Some(package) = packages.find(|package| package.value == name) {
        return Some(Place::of(package, label));
    }
    let mut requirements = recipe.requirements().iter();
    if let Some(requirement) = requirements.find(|requirement| requirement.name == name) {
        let origin = &requirement.origin;
        let text = Arc::new(origin.text.clone());
        return Some(Place::new(&text, origin.span, label));
    }
    let mut built = recipe.pip.no_binary.iter();
    if let Some(project) = built.find(|project| project.value == name) {
        return Some(Place::of(project, label));
    }
    let interpreter = recipe.interpreter.as_ref()?;
    crate::plan::is_interpreter_name(&interpreter.value.version, name)
        .then(|| Place::of(interpreter, label))
}

impl Diagnostic for Failure {
    fn diagnostic_source(&self) -> Option<&dyn Diagnostic> {
        Some(&self.error)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.places.first()?.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.places.first()?.labels()
    }

    /// A report shows one file; the others follow it.
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        let others = self.places.get(1..).filter(|others| !others.is_empty())?;
        Some(Box::new(
            others.iter().map(|other| other as &dyn Diagnostic),
        ))
    }
}

impl Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "and in {}", self.text.name())
    }
}

impl std::error::Error for Places {}

impl Diagnostic for Places {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    fn shown(exclude: &str) -> Vec<(String, String)> {
        let text = format!(
            "recipe \"a\" version=\"1\" {{\n    interpreter \"python\" \"3.13\" from=\"debian\" suite=\"trixie\"\n    \
             system {{ exclude {exclude}; }}\n}}\n"
        );
        let recipe = Recipe::parse("a.kdl", text.as_str().into(), Utf8Path::new("/a")).unwrap();
        let missing = MissingLibrary {
            path: "bin/python3.13".into(),
            of: "python3.13-minimal".into(),
            soname: "libexpat.so.1".into(),
        };
        let failure = Failure {
            error: StepError::MissingLibraries {
                missing: vec![missing],
            },
            kind: "scan",
            subject: "a".into(),
            also: Vec::new(),
            places: Vec::new(),
        };
        let said = |place: Place| {
            let span = place.label.inner();
            let at = &text[span.offset()..span.offset() + span.len()];
            let label = place.label.label().unwrap_or_default();
            (at.to_owned(), label.to_owned())
        };
        places(&recipe, &failure).into_iter().map(said).collect()
    }

    #[test]
    fn a_library_that_is_left_out_is_shown_where_the_recipe_does_that() {
        let pair = |at: &str, label: &str| (at.to_owned(), label.to_owned());
        let by_path = [pair("\"lib/libexpat.so*\"", "left out here")];
        assert_eq!(shown("\"lib/libexpat.so*\" \"zlib1g\""), by_path);
        let by_package = [pair("\"libexpat1\"", "if this has it, it is left out here")];
        assert_eq!(shown("\"libexpat1\" \"share/doc/**\""), by_package);
        let told = shown("\"share/doc/**\"");
        assert!(
            told[0].1.contains("python3.13-minimal needs it"),
            "{told:?}"
        );
    }
}
