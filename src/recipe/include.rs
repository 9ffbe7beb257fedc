//! One recipe building on others: `include`, `extends` and `use` → the nodes of all. Begin at
//! [`Library::compose`].
//!
//! Files are read once, must be regular, and are bounded in size, number and depth, so that text from
//! anywhere is refused at once. An included file lies in the folder of its recipe; another recipe is
//! found by its name.

use std::collections::BTreeSet;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use miette::NamedSource;

use super::decode::{Decoder, Item, printable};
use super::error::{Mistake, RecipeError};
use super::files;
use super::guard::Limits;
use super::join::{LeftOut, content, join, leave_out};
use super::lookup::Search;
use super::notes::Notes;
use super::parameter::Parameters;
use super::values::{RECIPE_NAME, is_recipe_name};
use super::wrong::Wrong;
use super::{File, FileRead, LookedUp, Spanned};

/// Files that one recipe builds on, all bytes of them, and how deep they name each other.
const MOST_FILES: usize = 64;
const MOST_BYTES: usize = 1 << 20;
const DEEPEST: usize = 16;

/// Why a recipe is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It is the one that was asked for, or that one extends it.
    Extended,
    /// Another one uses it.
    Used,
}

/// Reads what recipes build on.
pub(super) struct Library<'w> {
    /// Where recipes are looked for, after the folders around the one that asks.
    pub search: &'w Search,
    pub files: Vec<FileRead>,
    pub looked_up: Vec<LookedUp>,
    /// Recipes that are used and build something: each is built for itself.
    pub builds: Vec<Spanned<Utf8PathBuf>>,
    /// What is left out of what was read.
    pub left_out: Vec<LeftOut>,
    bytes: usize,
    /// The files being read, outermost first: where they lie, and how they are called.
    open: Vec<(Utf8PathBuf, Utf8PathBuf)>,
    /// Recipes whose content is joined already.
    used: BTreeSet<Utf8PathBuf>,
}

impl<'w> Library<'w> {
    pub(super) fn new(search: &'w Search) -> Library<'w> {
        Library {
            search,
            files: Vec::new(),
            looked_up: Vec::new(),
            builds: Vec::new(),
            left_out: Vec::new(),
            bytes: 0,
            open: Vec::new(),
            used: BTreeSet::new(),
        }
    }

    /// The nodes of the recipe in `file` joined with those of all that it builds on.
    pub(super) fn compose(
        &mut self,
        file: &File,
        items: Vec<Item>,
        notes: &mut Notes,
    ) -> Vec<Item> {
        let path = Utf8Path::new(file.text.name());
        // A text that is no file can name no file that includes it.
        let real = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
        self.open.push((real, path.to_owned()));
        let joined = self.whole(items, &file.folder, Asked::Extended, notes);
        self.open.pop();
        joined
    }

    /// The nodes of a whole recipe, after what it leaves out of others was taken from them. One that is
    /// used and builds is built for itself, and what it uses is its own business.
    fn whole(
        &mut self,
        mut items: Vec<Item>,
        root: &Utf8Path,
        asked: Asked,
        notes: &mut Notes,
    ) -> Vec<Item> {
        let uses = self.without_uses(&mut items, root, notes);
        let builds = items.iter().any(|item| item.rule.node == "build");
        if asked == Asked::Extended || !builds {
            self.follow_uses(uses, &mut items, root, notes);
        }
        // Files that are read from now on are none of this recipe's.
        let until = self.files.len() + 1;
        self.left_out.extend(leave_out(&mut items, until, notes));
        items
    }

    /// Follows all that the nodes name. `root` is the folder that included files may not leave.
    fn joined(&mut self, mut items: Vec<Item>, root: &Utf8Path, notes: &mut Notes) -> Vec<Item> {
        let uses = self.without_uses(&mut items, root, notes);
        self.follow_uses(uses, &mut items, root, notes);
        items
    }

    /// Follows what the nodes name but for the `use` nodes, which are handed back.
    fn without_uses(
        &mut self,
        items: &mut Vec<Item>,
        root: &Utf8Path,
        notes: &mut Notes,
    ) -> Vec<Item> {
        let named: Vec<Item> = items
            .extract_if(.., |item| {
                matches!(item.rule.node, "include" | "extends" | "use")
            })
            .collect();
        let of = |node: &'static str| named.iter().filter(move |item| item.rule.node == node);
        for (node, what) in [("include", "the file"), ("use", "the recipe")] {
            let words = of(node).flat_map(|item| &item.words);
            notes.unique(what, words.map(|word| (word.value.as_str(), word)));
        }
        let mut seen = BTreeSet::new();
        for item in of("include") {
            for word in item.words.iter().filter(|it| seen.insert(&it.value)) {
                if notes.is_full() {
                    break;
                }
                let included = self.include(word, item, root, notes);
                join(items, included);
            }
        }
        for word in of("extends").flat_map(|item| &item.words) {
            if let Some((_, base)) = self.recipe(word, root, Asked::Extended, notes) {
                join(items, base);
            }
        }
        named
            .into_iter()
            .filter(|item| item.rule.node == "use")
            .collect()
    }

    fn follow_uses(
        &mut self,
        uses: Vec<Item>,
        items: &mut Vec<Item>,
        root: &Utf8Path,
        notes: &mut Notes,
    ) {
        for word in uses.iter().flat_map(|item| &item.words) {
            if notes.is_full() {
                break;
            }
            let Some((file, mut used)) = self.recipe(word, root, Asked::Used, notes) else {
                continue;
            };
            if used.iter().any(|item| item.rule.node == "build") {
                if self.used.insert(file.clone()) {
                    self.builds.push(word.with(file));
                }
                continue;
            }
            if self.used.insert(file) {
                let mut parameters = Parameters::take(&mut used, notes);
                parameters.all_set(true, notes);
                parameters.fill(&mut used, notes);
                join(items, content(used));
            }
        }
    }

    /// The nodes of an included file and of what it builds on.
    fn include(
        &mut self,
        word: &Spanned<String>,
        item: &Item,
        root: &Utf8Path,
        notes: &mut Notes,
    ) -> Vec<Item> {
        let path = Utf8Path::new(&word.value);
        let at = item.file.folder.join(path);
        let real = match files::inside(root, path, &at) {
            Ok(real) => real,
            Err(why) => {
                refuse(unreadable(word, why), word, "asked for here", notes);
                return Vec::new();
            }
        };
        let Some(file) = self.open(&real, at, word, notes) else {
            return Vec::new();
        };
        let items = match self.search.document(&file.text) {
            Ok(document) => {
                let mut nodes = document.nodes().iter();
                let own = nodes.find(|node| matches!(node.name().value(), "recipe" | "variant"));
                match own {
                    Some(node) => {
                        let span = node.name().span();
                        notes.add(Mistake::new(
                            Wrong::RecipeIncluded,
                            &file.text,
                            span,
                            "this one",
                        ));
                        notes.meant(Some("interpreter"));
                        Vec::new()
                    }
                    None => Decoder::new(&file, notes).items(document.nodes(), "recipe"),
                }
            }
            Err(mistakes) => {
                mistakes.into_iter().for_each(|it| notes.add(it));
                Vec::new()
            }
        };
        for item in items.iter().filter(|item| item.rule.node == "extends") {
            notes.wrong(Wrong::ExtendsInside, &item.name, "this node");
        }
        let joined = self.joined(items, root, notes);
        self.open.pop();
        joined
    }

    /// The nodes of another recipe and of what it builds on, and its file.
    fn recipe(
        &mut self,
        word: &Spanned<String>,
        root: &Utf8Path,
        asked: Asked,
        notes: &mut Notes,
    ) -> Option<(Utf8PathBuf, Vec<Item>)> {
        let name = notes.checked(Some(word), RECIPE_NAME, is_recipe_name);
        let Some(name) = name else {
            notes.meant(Some("interpreter"));
            return None;
        };
        let path = match self.search.find(&name.value, root) {
            Ok(path) => path,
            Err(error) => {
                refuse(
                    not_found(&name.value, &error),
                    word,
                    "asked for here",
                    notes,
                );
                return None;
            }
        };
        let real = match path.canonicalize_utf8() {
            Ok(real) => real,
            Err(error) => {
                refuse(
                    unreadable(word, error.to_string()),
                    word,
                    "asked for here",
                    notes,
                );
                return None;
            }
        };
        self.looked_up.push(LookedUp {
            name: name.value,
            from: root.to_owned(),
            found: path.clone(),
        });
        let file = self.open(&real, path, word, notes)?;
        let items = match self.search.document(&file.text) {
            Ok(document) => Decoder::new(&file, notes).items(document.nodes(), ""),
            Err(mistakes) => {
                mistakes.into_iter().for_each(|it| notes.add(it));
                Vec::new()
            }
        };
        let recipe = items.into_iter().find(|item| item.rule.node == "recipe");
        if recipe.is_none() && notes.is_empty() {
            let label = format!("this one: {}", file.text.name());
            notes.wrong(Wrong::NoRecipe, word, label);
        }
        let children = recipe.map(|recipe| recipe.children).unwrap_or_default();
        let joined = self.whole(children, &file.folder, asked, notes);
        self.open.pop();
        Some((real, joined))
    }

    /// Reads a file, which is then the innermost one that is open.
    fn open(
        &mut self,
        real: &Utf8Path,
        shown: Utf8PathBuf,
        word: &Spanned<String>,
        notes: &mut Notes,
    ) -> Option<Arc<File>> {
        let mut refuse = |wrong, label: &str| {
            refuse(wrong, word, label, notes);
            None
        };
        if let Some(at) = self.open.iter().position(|(open, _)| open == real) {
            let way = self.open[at..].iter().map(|(_, shown)| shown);
            let way = way.chain([&shown]).map(|path| path.to_string()).collect();
            return refuse(
                Wrong::RecipeCycle { way },
                "this file is being read already",
            );
        }
        if self.open.len() > DEEPEST {
            let limit = DEEPEST;
            return refuse(Wrong::RecipeTooDeep { limit }, "one level too many");
        }
        if self.files.len() >= MOST_FILES {
            let (what, limit) = ("files that a recipe builds on", MOST_FILES);
            return refuse(Wrong::TooMany { what, limit }, "one too many");
        }
        let room = Limits::RECIPE.bytes.min(MOST_BYTES - self.bytes);
        let bytes = match files::read_regular(real, room) {
            Ok(bytes) => bytes,
            Err(why) => return refuse(unreadable(word, why), "asked for here"),
        };
        let Ok(text) = String::from_utf8(bytes.clone()) else {
            let why = "it is not UTF-8".to_owned();
            return refuse(unreadable(word, why), "asked for here");
        };
        self.bytes += bytes.len();
        self.files.push(FileRead {
            path: shown.clone(),
            bytes: bytes.into(),
        });
        self.open.push((real.to_owned(), shown.clone()));
        let folder = shown.parent().unwrap_or(Utf8Path::new("")).to_owned();
        let text = Arc::new(NamedSource::new(shown, Arc::from(text)));
        Some(File::at(text, &folder, self.files.len()))
    }
}

/// Notes that a file is not followed. What it may have held is no further mistake.
fn refuse(wrong: Wrong, word: &Spanned<String>, label: &str, notes: &mut Notes) {
    notes.wrong(wrong, word, label);
    notes.meant(Some("interpreter"));
}

fn unreadable(word: &Spanned<String>, why: String) -> Wrong {
    let path = printable(&word.value);
    Wrong::Unreadable { path, why }
}

fn not_found(name: &str, error: &RecipeError) -> Wrong {
    let (near, files) = match error {
        RecipeError::NotFound { near, .. } => (near.first().cloned(), Vec::new()),
        RecipeError::Ambiguous { first, second, .. } => {
            (None, vec![first.to_string(), second.to_string()])
        }
        _ => (None, Vec::new()),
    };
    Wrong::NoSuchRecipe {
        name: name.to_owned(),
        why: error.to_string(),
        near,
        files,
    }
}
