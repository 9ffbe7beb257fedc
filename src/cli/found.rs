//! What was typed → the recipe's file, the form of it that is meant, and its lock. Begin at
//! [`App::find`].

use std::collections::BTreeSet;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use super::app::{App, unreadable};
use super::exit::Failed;
use crate::platform::Platform;
use crate::recipe::{Recipe, RecipeError, Search, Wanted};

/// What chooses the form of a recipe, besides its name.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Forms {
    /// Processor of the machines that the closure is for: x86_64 or aarch64 [default: the variant's,
    /// else x86_64]
    #[arg(long, value_name = "ARCH", value_parser = platform)]
    arch: Option<Platform>,
    /// Give a parameter of the recipe another value than its default
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

impl Forms {
    /// A recipe as it is written, for this processor.
    pub(super) fn of(arch: Platform) -> Forms {
        Forms {
            arch: Some(arch).filter(|arch| *arch != Platform::default()),
            set: Vec::new(),
        }
    }
}

fn platform(name: &str) -> Result<Platform, String> {
    let known = Platform::ALL.map(Platform::processor).join(" or ");
    Platform::of_processor(name).ok_or_else(|| format!("wanted {known}"))
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("wanted NAME=VALUE, such as flavour=small")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `NAME:STEP` as a name and the words that name a step; a file of that whole name is a name.
pub(super) fn split_step(word: &str) -> (&str, Vec<String>) {
    match word.rsplit_once(':') {
        Some((name, step)) if !Utf8Path::new(word).exists() => {
            (name, step.split_whitespace().map(str::to_owned).collect())
        }
        _ => (word, Vec::new()),
    }
}

/// Whether the words name this step: its kind, its subject or the first words of that, or one after the other; none
/// name any.
pub(super) fn step_is(kind: &str, subject: &str, words: &[String]) -> bool {
    let is_subject = |words: &[String]| {
        let rest = subject.strip_prefix(words.join(" ").as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    match words {
        [] => true,
        [word] if word == kind => true,
        words if is_subject(words) => true,
        [first, rest @ ..] => first == kind && !rest.is_empty() && is_subject(rest),
    }
}

/// A recipe that was found, not yet parsed.
pub(super) struct Found {
    /// The recipe as it was typed, without its variant.
    word: String,
    pub(super) path: Utf8PathBuf,
    /// The lock of the form that was typed. A variant that is the recipe as it is written has the
    /// recipe's own lock, which is known once the recipe is parsed: see [`Found::recipe`].
    pub(super) lock_path: Utf8PathBuf,
    pub(super) text: Vec<u8>,
    /// Empty when there is no lock yet.
    pub(super) lock_text: Vec<u8>,
    wanted: Wanted,
}

impl App {
    /// Finds a recipe by path or name, `NAME@VARIANT` as well, and reads it and its lock, as bytes.
    pub(super) fn find(&self, word: &str, forms: &Forms) -> Result<Found, Failed> {
        let (name, variant) = Recipe::variant_of(word);
        let path = Recipe::find(name, &self.config.recipes)?;
        // Recipe::read says what is wrong with a file that cannot be read.
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) => {
                return Err(
                    Recipe::read(&path).map_or_else(Failed::from, |_| unreadable(&path, &error))
                );
            }
        };
        let wanted = Wanted {
            variant: variant.map(str::to_owned),
            arch: forms.arch,
            set: forms.set.iter().cloned().collect(),
            search: self.search.clone(),
        };
        let own = lock_path(&path, None);
        let lock_path = match wanted.typed().map(|form| lock_path(&path, Some(&form))) {
            Some(lock) if lock.exists() => lock,
            _ => own,
        };
        Ok(Found {
            word: name.to_owned(),
            lock_text: lock_text(&lock_path)?,
            path,
            lock_path,
            text,
            wanted,
        })
    }

    /// What to type for the recipe as it is written and for each of its variants.
    pub(super) fn all_variants(&self, word: &str, forms: &Forms) -> Result<Vec<String>, Failed> {
        let (name, _) = Recipe::variant_of(word);
        let path = Recipe::find(name, &self.config.recipes)?;
        let mut seen = BTreeSet::new();
        let mut words = Vec::new();
        let own = self.find(name, forms)?.recipe()?;
        seen.insert(own.variant);
        words.push(name.to_owned());
        for variant in Recipe::variants(&path)? {
            let wanted = Wanted {
                variant: Some(variant.clone()),
                arch: forms.arch,
                set: forms.set.iter().cloned().collect(),
                search: self.search.clone(),
            };
            let recipe = match Recipe::read_as(&path, &wanted) {
                // `--arch` chooses among those that name a processor.
                Err(RecipeError::OtherProcessor { .. }) => continue,
                recipe => recipe?,
            };
            // One of them may be the recipe as it is written.
            if seen.insert(recipe.variant) {
                words.push(format!("{name}@{variant}"));
            }
        }
        Ok(words)
    }
}

impl Found {
    /// The recipe; from now on the lock is the one of its form.
    pub(super) fn recipe(&mut self) -> Result<Recipe, Failed> {
        let recipe = Recipe::read_as(&self.path, &self.wanted)?;
        let lock_path = lock_path(&self.path, recipe.variant.as_deref());
        if lock_path != self.lock_path {
            self.lock_text = lock_text(&lock_path)?;
            self.lock_path = lock_path;
        }
        Ok(recipe)
    }

    /// The recipe, if its file said this instead.
    pub(super) fn parse(&self, text: &str) -> Result<Recipe, Failed> {
        let folder = self.path.parent().unwrap_or(Utf8Path::new(""));
        let name = self.path.as_str();
        Ok(Recipe::parse_as(name, text.into(), folder, &self.wanted)?)
    }

    /// The lock as it lies there now.
    pub(super) fn lock_now(&self) -> Result<Vec<u8>, Failed> {
        lock_text(&self.lock_path)
    }

    /// Where recipes are looked for that this one builds on.
    pub(super) fn search(&self) -> &Search {
        &self.wanted.search
    }

    /// Everything besides the recipe and its lock that decides what is built.
    pub(super) fn form(&self) -> String {
        format!("{:?}", self.wanted)
    }

    /// The flags that choose this form again, after the recipe's title.
    pub(super) fn flags(&self) -> String {
        let arch = self.wanted.arch.iter();
        let arch = arch.map(|arch| format!(" --arch {}", arch.processor()));
        let set = self.wanted.set.iter();
        arch.chain(set.map(|(name, value)| format!(" --set {name}={value}")))
            .collect()
    }

    /// What to type for this form in any folder; nothing where parameters were set.
    pub(super) fn typed_anywhere(&self) -> Option<Utf8PathBuf> {
        let path = self.path.canonicalize_utf8().ok()?;
        let variant = self.wanted.variant.as_ref();
        let variant = variant.map_or_else(String::new, |variant| format!("@{variant}"));
        self.flags()
            .is_empty()
            .then(|| format!("{path}{variant}").into())
    }

    /// What to type for this form: a path where it was given by path.
    pub(super) fn typed(&self) -> String {
        let variant = self.wanted.variant.as_ref();
        let variant = variant.map(|variant| format!("@{variant}"));
        format!(
            "{}{}{}",
            self.word,
            variant.unwrap_or_default(),
            self.flags()
        )
    }
}

/// `NAME.lock.kdl` beside the recipe, `NAME@VARIANT.lock.kdl` for another form of it.
fn lock_path(recipe: &Utf8Path, variant: Option<&str>) -> Utf8PathBuf {
    let stem = recipe.with_extension("");
    match variant {
        None => Utf8PathBuf::from(format!("{stem}.lock.kdl")),
        Some(variant) => Utf8PathBuf::from(format!("{stem}@{variant}.lock.kdl")),
    }
}

fn lock_text(path: &Utf8Path) -> Result<Vec<u8>, Failed> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(path, &error)),
    }
}
