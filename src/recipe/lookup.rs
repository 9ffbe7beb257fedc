//! What somebody typed → the recipe file that is meant. Begin at [`Recipe::find`].

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};
use kdl::KdlDocument;

use super::decode::printable;
use super::document::document;
use super::error::{Mistake, RecipeError};
use super::guard::Limits;
use super::near::nearest;
use super::values::is_recipe_name;
use super::{Recipe, Text};

/// A recipe that another one builds on: its name, and the file that was found. A file that comes
/// later may be found before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedUp {
    /// What was asked for.
    pub name: String,
    /// The folder of the recipe that asks.
    pub from: Utf8PathBuf,
    /// Where the recipe lies.
    pub found: Utf8PathBuf,
}

impl LookedUp {
    /// Whether the same file would be found now. `search` is that of the reading:
    /// [`Wanted::search`](super::Wanted::search).
    #[must_use]
    pub fn still(&self, search: &Search) -> bool {
        let found = search.find(&self.name, &self.from);
        found.is_ok_and(|found| found == self.found)
    }
}

/// Folders in which recipes are looked for, and what was seen in them: thousands of recipes may ask for each other, and
/// a folder is only listed again if it has changed, a text only parsed once.
#[derive(Clone, Default)]
pub struct Search {
    folders: Vec<Utf8PathBuf>,
    groups: Arc<Mutex<HashMap<Utf8PathBuf, Groups>>>,
    documents: Arc<Mutex<HashMap<Arc<str>, Arc<KdlDocument>>>>,
}

/// The folders in a folder, as they were when it was last changed.
struct Groups {
    changed: SystemTime,
    folders: Arc<[Utf8PathBuf]>,
}

impl From<Vec<Utf8PathBuf>> for Search {
    fn from(folders: Vec<Utf8PathBuf>) -> Search {
        Search {
            folders,
            ..Search::default()
        }
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.folders.fmt(f)
    }
}

impl PartialEq for Search {
    fn eq(&self, other: &Search) -> bool {
        self.folders == other.folders
    }
}

impl Eq for Search {}

impl Search {
    /// The recipe of that name, for one in the folder `from` that asks for it.
    pub(super) fn find(&self, name: &str, from: &Utf8Path) -> Result<Utf8PathBuf, RecipeError> {
        self.find_in(name, &around(from, &self.folders))
    }

    /// The nodes of a text of the language.
    pub(super) fn document(&self, text: &Text) -> Result<Arc<KdlDocument>, Vec<Mistake>> {
        let documents = || {
            self.documents
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(document) = documents().get(text.inner()) {
            return Ok(document.clone());
        }
        let document = Arc::new(document(text, &Limits::RECIPE)?);
        documents().insert(text.inner().clone(), document.clone());
        Ok(document)
    }

    fn groups(&self, folder: &Utf8Path) -> Arc<[Utf8PathBuf]> {
        let Ok(changed) = folder.metadata().and_then(|about| about.modified()) else {
            return Arc::default();
        };
        let mut known = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(groups) = known.get(folder)
            && groups.changed == changed
        {
            return groups.folders.clone();
        }
        let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
        let folders = entries.filter(|entry| {
            let kind = entry.file_type();
            kind.is_ok_and(|kind| kind.is_dir() || kind.is_symlink() && entry.path().is_dir())
        });
        let folders: Arc<[Utf8PathBuf]> = folders.map(|entry| entry.into_path()).collect();
        let groups = Groups {
            changed,
            folders: folders.clone(),
        };
        known.insert(folder.to_owned(), groups);
        folders
    }

    /// The recipe of that name, or the file of that path, in the first of `folders` that has it.
    pub(super) fn find_in(
        &self,
        word: &str,
        folders: &[Utf8PathBuf],
    ) -> Result<Utf8PathBuf, RecipeError> {
        if word.contains('/') || word.ends_with(".kdl") {
            return Ok(Utf8PathBuf::from(word));
        }
        if let Some(why) = bad_name(word) {
            let name = printable(word);
            return Err(RecipeError::BadName { name, why });
        }
        for folder in folders {
            let mut found = self.called(word, folder).into_iter();
            match (found.next(), found.next()) {
                (Some(first), Some(second)) => {
                    let name = word.to_owned();
                    return Err(RecipeError::Ambiguous {
                        name,
                        first,
                        second,
                    });
                }
                (Some(file), None) => return Ok(file),
                _ => {}
            }
        }
        let names: BTreeSet<String> = folders.iter().flat_map(|folder| names_in(folder)).collect();
        let near = nearest(word, names.iter().map(String::as_str));
        Err(RecipeError::NotFound {
            name: word.to_owned(),
            searched: folders.to_vec(),
            near: near.map(str::to_owned).into_iter().collect(),
        })
    }

    /// The recipe files of that name in a folder and in the folders in it, sorted. Not all files are looked
    /// at: there may be thousands, and each of them may ask for others.
    fn called(&self, word: &str, folder: &Utf8Path) -> Vec<Utf8PathBuf> {
        let file = format!("{word}.kdl");
        let groups = self.groups(folder);
        let folders = std::iter::once(folder.to_owned()).chain(groups.iter().cloned());
        let mut files: Vec<Utf8PathBuf> = folders.map(|folder| folder.join(&file)).collect();
        files.retain(|file| file.symlink_metadata().is_ok() && is_recipe(file));
        files.sort();
        files
    }
}

/// Where a recipe in the folder `from` looks for others: there, then in the folder above (recipes
/// lie in groups), then in those of `search`.
fn around(from: &Utf8Path, search: &[Utf8PathBuf]) -> Vec<Utf8PathBuf> {
    let here = match from.as_str() {
        "" => Utf8Path::new("."),
        _ => from,
    };
    let above = match from.parent() {
        Some(above) if !above.as_str().is_empty() => above.to_owned(),
        _ => here.join(".."),
    };
    let mut folders = vec![here.to_owned(), above];
    folders.extend_from_slice(search);
    folders
}

/// Where recipes are looked for first: below the current directory.
const HERE: &str = "recipes";

impl Recipe {
    /// Takes `NAME@VARIANT` apart; a path may hold an `@` of its own.
    #[must_use]
    pub fn variant_of(word: &str) -> (&str, Option<&str>) {
        match word.rsplit_once('@') {
            Some((name, variant))
                if !variant.is_empty()
                    && !variant.contains('/')
                    && !variant.ends_with(".kdl")
                    && (name.ends_with(".kdl") || !name.contains('/')) =>
            {
                (name, Some(variant))
            }
            _ => (word, None),
        }
    }

    /// The file of a recipe: by path if the word holds a `/` or ends in `.kdl`, else by name in
    /// `./recipes`, then in the folders of `search`, in order. A folder holds recipes as
    /// `NAME.kdl` or `GROUP/NAME.kdl`. The file is not opened.
    pub fn find(name_or_path: &str, search: &[Utf8PathBuf]) -> Result<Utf8PathBuf, RecipeError> {
        let here = std::iter::once(Utf8PathBuf::from(HERE));
        let folders: Vec<Utf8PathBuf> = here.chain(search.iter().cloned()).collect();
        Search::default().find_in(name_or_path, &folders)
    }

    /// The recipe files in a folder and in its groups, sorted.
    #[must_use]
    pub fn files(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
        files_in(folder)
    }

    /// The names of all recipes in `./recipes` and in the folders of `search`, sorted.
    #[must_use]
    pub fn names(search: &[Utf8PathBuf]) -> Vec<String> {
        let here = std::iter::once(Utf8Path::new(HERE));
        let folders = here.chain(search.iter().map(Utf8PathBuf::as_path));
        let names: BTreeSet<String> = folders.flat_map(names_in).collect();
        names.into_iter().collect()
    }
}

fn bad_name(word: &str) -> Option<String> {
    (!is_recipe_name(word)).then(|| {
        "a name has letters a-z, digits and + . _ -, and begins with a letter or a digit".to_owned()
    })
}

fn names_in(folder: &Utf8Path) -> Vec<String> {
    let stems = files_in(folder);
    stems
        .iter()
        .filter_map(|file| file.file_stem().map(str::to_owned))
        .collect()
}

/// The recipe files of a folder and of the folders in it, sorted; none where it cannot be read.
fn files_in(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut files = Vec::new();
    for path in entries(folder) {
        if is_recipe(&path) {
            files.push(path);
        } else if path.is_dir() {
            files.extend(entries(&path).into_iter().filter(|path| is_recipe(path)));
        }
    }
    files.sort();
    files
}

fn entries(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let Ok(entries) = folder.read_dir_utf8() else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.into_path()))
        .collect()
}

/// `NAME.kdl`, and not `NAME.lock.kdl`.
fn is_recipe(path: &Utf8Path) -> bool {
    path.extension() == Some("kdl")
        && path
            .file_stem()
            .is_some_and(|stem| is_recipe_name(stem) && !stem.ends_with(".lock"))
        && !path.is_dir()
}
