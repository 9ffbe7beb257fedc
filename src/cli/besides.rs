//! A recipe → what it builds with besides its own lock: what lies in its folder, and the recipes whose
//! builds it uses, each with its own lock. Begin at [`App::besides`].

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use recipe_store::{Digest, ObjectId, Session};

use super::app::{App, unreadable};
use super::exit::Failed;
use super::found::{Forms, Found};
use crate::build::collect::{Rules, collect};
use crate::lock::Lock;
use crate::plan::{Besides, Used};
use crate::platform::Platform;
use crate::recipe::{LookedUp, Recipe, RecipeError, SourceOrigin, Spanned};

/// The largest archive in a recipe's folder (bytes).
const MOST: u64 = 8 << 30;

/// How many recipes use each other in a row.
const DEEPEST: usize = 256;

/// What was gathered, and what it was gathered from.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) besides: Besides,
    /// Files of the recipes that are used, and their locks.
    pub(super) files: Vec<(Utf8PathBuf, Digest)>,
    /// The recipes that those found by their names.
    pub(super) looked_up: Vec<LookedUp>,
    /// Whether something was read whose bytes no memo has.
    pub(super) local: bool,
}

/// A recipe that was read with its lock.
struct Opened {
    found: Found,
    recipe: Recipe,
    /// None where it has none yet.
    lock: Option<Lock>,
}

/// Reads recipes that others use, each once, however many do.
struct Gathering<'a> {
    app: &'a App,
    session: &'a Session,
    locked: bool,
    files: Files,
    /// Recipes that were read ahead, by their files.
    opened: HashMap<Utf8PathBuf, Opened>,
    known: HashMap<Utf8PathBuf, Arc<Used>>,
    /// Those that are being read, the one that was asked for first.
    open: Vec<Utf8PathBuf>,
    from: Gathered,
}

impl App {
    /// Gathers it; locks that are missing are made, unless `locked`.
    pub(super) fn besides(
        &self,
        recipe: &Recipe,
        session: &Session,
        locked: bool,
    ) -> Result<Gathered, Failed> {
        let own = recipe.files_read().first();
        let mut files = Files::default();
        let opened = self.read_ahead(recipe, &mut files);
        let own = own.map(|file| files.real(&file.path));
        let mut gathering = Gathering {
            app: self,
            session,
            locked,
            files,
            opened,
            known: HashMap::new(),
            open: own.into_iter().collect(),
            from: Gathered::default(),
        };
        let besides = gathering.besides(recipe)?;
        Ok(Gathered {
            besides,
            ..gathering.from
        })
    }

    /// The recipes that `recipe` uses, and that those use, by their files: many at once. What cannot be read is left
    /// out: whoever comes to it says so.
    fn read_ahead(&self, recipe: &Recipe, files: &mut Files) -> HashMap<Utf8PathBuf, Opened> {
        let mut opened: HashMap<Utf8PathBuf, Opened> = HashMap::new();
        let mut named = |recipe: &Recipe| -> Vec<(Utf8PathBuf, Utf8PathBuf)> {
            let words = recipe.uses.iter();
            words
                .map(|word| (files.real(&word.value), word.value.clone()))
                .collect()
        };
        let mut next = named(recipe);
        while !next.is_empty() {
            next.sort();
            next.dedup_by(|one, other| one.0 == other.0);
            next.retain(|(file, _)| !opened.contains_key(file));
            let read = next.par_iter().filter_map(|(file, word)| {
                let recipe = self.open(word, recipe.platform).ok()?;
                Some((file.clone(), recipe))
            });
            let read: Vec<(Utf8PathBuf, Opened)> = read.collect();
            next = read
                .iter()
                .flat_map(|(_, opened)| named(&opened.recipe))
                .collect();
            opened.extend(read);
        }
        opened
    }

    fn open(&self, file: &Utf8Path, platform: Platform) -> Result<Opened, Failed> {
        let mut found = self.find(file.as_str(), &Forms::of(platform))?;
        let recipe = found.recipe()?;
        let lock = self.read_lock(&found)?;
        Ok(Opened {
            found,
            recipe,
            lock,
        })
    }
}

impl Gathering<'_> {
    fn besides(&mut self, recipe: &Recipe) -> Result<Besides, Failed> {
        let mut besides = Besides::default();
        let sources = recipe.built.iter().flat_map(|built| &built.sources);
        for source in sources.chain(&recipe.archive) {
            if let SourceOrigin::Path(path) = &source.value.from {
                let object = local(self.session, path)?;
                besides.local.insert(source.value.name.clone(), object);
                self.from.local = true;
            }
        }
        for word in &recipe.uses {
            let used = self.used(word, recipe.platform)?;
            besides.uses.push(used);
        }
        Ok(besides)
    }

    fn used(
        &mut self,
        word: &Spanned<Utf8PathBuf>,
        platform: Platform,
    ) -> Result<Arc<Used>, Failed> {
        let file = self.files.real(&word.value);
        if let Some(used) = self.known.get(&file) {
            return Ok(Arc::clone(used));
        }
        if let Some(at) = self.open.iter().position(|open| *open == file) {
            let way: Vec<_> = self.open[at..].iter().chain([&file]).cloned().collect();
            return Err(RecipeError::circle(&way, word).into());
        }
        if self.open.len() > DEEPEST {
            return Err(RecipeError::too_deep(DEEPEST, word).into());
        }
        let (app, from) = (self.app, &mut self.from);
        let Opened {
            found,
            recipe,
            lock,
        } = match self.opened.remove(&file) {
            Some(opened) => opened,
            None => app.open(&word.value, platform)?,
        };
        let lock = app.lock_in_force(lock, &recipe, &found, self.session, self.locked)?;
        let files = recipe.files_read().iter();
        from.files
            .extend(files.map(|file| (file.path.clone(), Digest::of(&file.bytes))));
        from.looked_up.extend(recipe.looked_up().iter().cloned());
        let digest = Digest::of(&found.lock_now()?);
        from.files.push((found.lock_path, digest));
        self.open.push(file.clone());
        let besides = self.besides(&recipe)?;
        self.open.pop();
        let used = Arc::new(Used {
            recipe,
            lock,
            besides,
        });
        self.known.insert(file, Arc::clone(&used));
        Ok(used)
    }
}

/// The one path that each file has, by what it is called: the same recipe is named by many.
#[derive(Default)]
struct Files(HashMap<Utf8PathBuf, Utf8PathBuf>);

impl Files {
    fn real(&mut self, path: &Utf8Path) -> Utf8PathBuf {
        if let Some(known) = self.0.get(path) {
            return known.clone();
        }
        let real = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
        self.0.insert(path.to_owned(), real.clone());
        real
    }
}

/// What lies in the recipe's folder, kept in the store.
fn local(session: &Session, path: &Utf8Path) -> Result<ObjectId, Failed> {
    let about = fs::symlink_metadata(path).map_err(|error| unreadable(path, &error))?;
    if about.is_file() {
        let mut file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
        return Ok(session.put_reader(&mut file, false, MOST)?.into());
    }
    let rules = Rules {
        place: None,
        skip: &[".git"],
        ..Rules::default()
    };
    let tree = collect(session, path, &rules).map_err(|error| {
        Failed::File(super::advice::report(
            format!("the source at {path} cannot be taken: {error}"),
            "a source has files, folders and links between them: move the rest elsewhere".into(),
        ))
    })?;
    Ok(tree.into())
}
