//! Items whose shape is right → [`Recipe`]: what each node of the language means. Begin at
//! [`recipe`].
//!
//! One function for each node of the grammar. A value that breaks its rule is noted and left out,
//! so that one reading tells everything that is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8PathBuf;

use super::built;
use super::decode::{Decoder, Item, printable};
use super::error::RecipeError;
use super::files::{Asked, Reader};
use super::form::{self, Form};
use super::include::Library;
use super::join::settle;
use super::lookup::Search;
use super::notes::Notes;
use super::requirement::{self, Origin, Requirement};
use super::sdists;
use super::values::{
    ENTRY_NAME, FILE, FOLDER, FORMATS, INSIDE, MINOR_VERSION, PACKAGE_NAME, PLANNED_FORMATS,
    POLICIES, PROJECT_NAME, RECIPE_NAME, Rule, SUITE, TIME, TRIMS, VERSION, VERSIONS,
    is_entry_name, is_inside, is_minor_version, is_package_name, is_prefix, is_recipe_name,
    is_suite, is_version, name_of, time,
};
use super::variant;
use super::wrong::Wrong;
use super::{
    Ask, Check, ChosenVersions, ClosureSpec, EntryPoint, File, FileRead, HostPolicy, Interpreter,
    InterpreterSource, LockPolicy, LookedUp, MATTERS, PackageSpec, PatchesFrom, Pip, Recipe,
    Spanned, System, Wanted,
};

/// Reads one recipe file in the form that is wanted, and the files that it names.
pub(super) fn recipe(file: &Arc<File>, wanted: &Wanted) -> Result<Recipe, RecipeError> {
    let mut reading = Reading::new(file, &wanted.search);
    let items = reading.items()?;
    let recipe = match items.iter().find(|item| item.rule.node == "recipe") {
        Some(item) => reading.recipe(item, &items, wanted)?,
        None => None,
    };
    match recipe {
        Some(recipe) if reading.notes.is_empty() => Ok(recipe),
        _ => Err(reading.notes.into_error(file.text.name())),
    }
}

/// The names of the variants in a recipe file.
pub(super) fn variants(file: &Arc<File>) -> Result<Vec<String>, RecipeError> {
    let nowhere = Search::default();
    let mut reading = Reading::new(file, &nowhere);
    let items = reading.items()?;
    let recipe = items.iter().find(|item| item.rule.node == "recipe");
    let name = recipe.and_then(|recipe| recipe.words.first());
    let name = name.map_or("", |name| name.value.as_str());
    let rows = variant::rows(&items, name, &mut reading.notes);
    match reading.notes.is_empty() {
        true => Ok(rows.into_iter().map(|row| row.name).collect()),
        false => Err(reading.notes.into_error(file.text.name())),
    }
}

struct Reading<'w> {
    file: Arc<File>,
    notes: Notes,
    library: Library<'w>,
    /// Requirements, each with the rank of its file.
    required: Vec<(usize, Spanned<String>)>,
    /// Requirements files, and the files that name them.
    files: Vec<(Arc<File>, Spanned<Utf8PathBuf>)>,
}

impl<'w> Reading<'w> {
    fn new(file: &Arc<File>, search: &'w Search) -> Reading<'w> {
        Reading {
            file: file.clone(),
            notes: Notes::default(),
            library: Library::new(search),
            required: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The nodes of the file itself.
    fn items(&mut self) -> Result<Vec<Item>, RecipeError> {
        let text = &self.file.text;
        let document = self
            .library
            .search
            .document(text)
            .map_err(|mistakes| RecipeError::of(text.name(), mistakes))?;
        let items = Decoder::new(&self.file, &mut self.notes).items(document.nodes(), "");
        let alone = items.iter().all(|item| item.rule.node != "recipe");
        if alone && self.notes.is_empty() {
            let whole = Spanned {
                value: (),
                span: (0, text.inner().len().min(1)).into(),
                text: text.clone(),
            };
            self.notes.wrong(Wrong::NoRecipe, &whole, "this file");
        }
        Ok(items)
    }

    fn recipe(
        &mut self,
        item: &Item,
        items: &[Item],
        wanted: &Wanted,
    ) -> Result<Option<Recipe>, RecipeError> {
        let notes = &mut self.notes;
        let name = notes.checked(item.words.first(), RECIPE_NAME, is_recipe_name);
        let name = name.map(|name| name.value).unwrap_or_default();
        let rows = variant::rows(items, &name, notes);
        let known = |word: &str| rows.iter().any(|row| row.name == word || row.whole == word);
        let wanted = &wanted.of_link(known)?;
        let row = form::row(rows, &name, wanted)?;
        let mut whole = item.clone();
        let nodes = std::mem::take(&mut whole.children);
        whole.children = self.library.compose(&self.file, nodes, notes);
        let form = form::choose(&mut whole, row, wanted, notes)?;
        settle(&mut whole.children);
        Ok(Some(self.meaning(&whole, name, form)))
    }

    fn meaning(&mut self, item: &Item, name: String, form: Form) -> Recipe {
        let version = self
            .notes
            .checked(item.property("version"), VERSION, is_version);
        let mut recipe = Recipe {
            name,
            version: version.map(|version| version.value).unwrap_or_default(),
            description: None,
            license: None,
            interpreter: None,
            pip: Pip::default(),
            system: System::default(),
            built: None,
            uses: std::mem::take(&mut self.library.builds),
            archive: None,
            sdists: None,
            closure: ClosureSpec {
                entries: Vec::new(),
                trim: Vec::new(),
                byte_code: true,
                fixed_path: None,
                host: HostPolicy::default(),
            },
            checks: Vec::new(),
            package: PackageSpec::default(),
            lock: LockPolicy::default(),
            platform: form.platform,
            variant: form.label,
            folder: self.file.folder.clone(),
            text: self.file.text.clone(),
            requirements: Vec::new(),
            files_read: vec![FileRead {
                path: Utf8PathBuf::from(self.file.text.name()),
                bytes: self.file.text.inner().as_bytes().into(),
            }],
            looked_up: std::mem::take(&mut self.library.looked_up),
        };
        recipe.files_read.append(&mut self.library.files);
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
        let interpreter = recipe.interpreter.as_ref();
        recipe.built = built::built(item, interpreter, &mut self.notes);
        if let Some(interpreter) = interpreter
            && interpreter.value.from == InterpreterSource::Archive
        {
            recipe.archive = built::archive(item, interpreter, &mut self.notes);
        }
        if let Some(built) = &recipe.built {
            let patches = built.build.value.patches.iter();
            recipe.files_read.extend(patches.map(|patch| FileRead {
                path: patch.file.clone(),
                bytes: patch.text.as_bytes().into(),
            }));
        }
        recipe.sdists = sdists::sdists(item, &recipe, &mut self.notes);
        self.whole(item, &mut recipe);
        recipe
    }

    /// What holds between nodes.
    fn whole(&mut self, item: &Item, recipe: &mut Recipe) {
        let has = |node: &str| item.children.iter().any(|child| child.rule.node == node);
        let made = has("interpreter") || has("build");
        if !made && !self.notes.was_meant("interpreter") && !self.notes.was_meant("build") {
            let wrong = Wrong::Missing {
                node: "recipe",
                what: "an `interpreter`, or a `build`: something that its closure is made of"
                    .to_owned(),
                example: "interpreter \"python\" \"3.13\" from=\"debian\" suite=\"trixie\"",
                anchor: "interpreter",
            };
            self.notes.wrong(wrong, &item.name, "this recipe");
        }
        self.requirements(recipe);
    }

    /// Parses what `pip` asks for, files included, once. Of the same project, what is nearer counts.
    fn requirements(&mut self, recipe: &mut Recipe) {
        let mut all: Vec<(usize, Requirement)> = Vec::new();
        for (rank, wanted) in &self.required {
            if self.notes.is_full() {
                break;
            }
            let origin = Origin::new(&wanted.text, wanted.span);
            match requirement::parse(&wanted.value, Vec::new(), origin) {
                Ok(requirement) => all.push((*rank, requirement)),
                Err(bad) => {
                    let (wrong, at) = *bad;
                    self.notes.wrong(wrong, &part(wanted, at), "here");
                }
            }
        }
        let mut reader = Reader::new();
        self.files.sort_by_key(|(file, _)| file.rank);
        for (from, file) in &self.files {
            let asked = Asked {
                text: &file.text,
                span: file.span,
            };
            reader.read(from, &file.value, asked);
        }
        for mistake in reader.mistakes {
            self.notes.add(mistake);
        }
        all.extend(reader.requirements);
        recipe.files_read.extend(reader.files);
        self.leave_out(&mut all);
        let mut nearest: BTreeMap<String, usize> = BTreeMap::new();
        for (rank, requirement) in &all {
            let near = nearest.entry(requirement.name.clone()).or_insert(*rank);
            *near = *rank.min(near);
        }
        all.retain(|(rank, requirement)| nearest.get(&requirement.name) == Some(rank));
        recipe.requirements = all
            .into_iter()
            .map(|(_, requirement)| requirement)
            .collect();
        for mistake in requirement::duplicates(&recipe.requirements) {
            self.notes.add(mistake);
        }
    }

    /// Takes requirements away that a recipe leaves out, those of files too, and tells what nothing has.
    fn leave_out(&mut self, all: &mut Vec<(usize, Requirement)>) {
        let left_out = &mut self.library.left_out;
        all.retain(|(rank, requirement)| {
            let mut kept = true;
            for out in left_out.iter_mut() {
                kept &= !out.leaves_out(&requirement.name, *rank);
            }
            kept
        });
        for out in left_out.iter().filter(|out| !out.found) {
            let word = printable(&out.word.value);
            let near = out.near.clone();
            let block = out.block;
            let wrong = Wrong::NothingLeftOut { word, block, near };
            self.notes.wrong(wrong, &out.word, "this one");
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
        self.notes
            .checked(item.words.first(), rule, good)
            .map(|license| license.value)
    }

    fn interpreter(&mut self, item: &Item) -> Option<Spanned<Interpreter>> {
        let language = item.words.first()?;
        if language.value != "python" {
            self.unfinished(language, "language", &["python"]);
        }
        let version = item.words.get(1);
        let version = self
            .notes
            .checked(version, MINOR_VERSION, is_minor_version)?;
        let from = item.property("from")?;
        let sources = &InterpreterSource::ALL;
        let from = self.notes.one_of(
            from,
            "a source of an interpreter of this version of recipe",
            sources,
        );
        let suite = self
            .notes
            .checked(item.property("suite"), SUITE, is_suite)?;
        let allow_expired = self.allow_expired(item);
        let patches = item.children.iter().find(|it| it.rule.node == "patches");
        Some(item.name.with(Interpreter {
            language: language.value.clone(),
            version: version.value,
            from: from?.value,
            suite: suite.value,
            allow_expired,
            patches: patches.and_then(|it| self.patches(it)),
        }))
    }

    fn patches(&mut self, item: &Item) -> Option<Spanned<PatchesFrom>> {
        let notes = &mut self.notes;
        let source = notes.checked(item.words.first(), PACKAGE_NAME, is_package_name)?;
        let suite = notes.checked(item.property("suite"), SUITE, is_suite)?;
        Some(source.with(PatchesFrom {
            source: source.value.clone(),
            suite: suite.value,
            allow_expired: self.allow_expired(item),
        }))
    }

    fn allow_expired(&mut self, item: &Item) -> bool {
        let expired = item.property("expired");
        if let Some(expired) = expired.filter(|it| it.value != "allow") {
            self.unfinished(expired, "policy for expired indexes", &["allow"]);
        }
        expired.is_some()
    }

    fn pip(&mut self, item: &Item) -> Pip {
        let mut pip = Pip::default();
        for child in &item.children {
            let words = child.words.iter();
            match child.rule.node {
                "require" => {
                    let rank = child.file.rank;
                    self.required
                        .extend(words.cloned().map(|word| (rank, word)));
                    pip.require.extend_from_slice(&child.words);
                }
                "requirements" => {
                    for word in words {
                        let file = self.notes.checked(Some(word), FILE, is_inside).map(path);
                        let named = file.clone().map(|file| (child.file.clone(), file));
                        self.files.extend(named);
                        pip.requirements.extend(file);
                    }
                }
                "pth" => pip.keep_pth.extend(self.projects(words)),
                "no-binary" => pip.no_binary.extend(self.projects(words)),
                "override" => pip.overrides.extend(self.chosen_versions(child)),
                "build-constraint" => pip.build_constraints.extend(self.chosen_versions(child)),
                _ => {}
            }
        }
        let built = pip.no_binary.iter();
        self.notes
            .unique("the project", built.map(|it| (it.value.as_str(), it)));
        let overridden = pip.overrides.iter();
        let overridden = overridden.map(|it| (it.value.name.as_str(), it));
        self.notes.unique("the override of", overridden);
        let constrained = pip.build_constraints.iter();
        let constrained = constrained.map(|it| (it.value.name.as_str(), it));
        self.notes.unique("the build constraint of", constrained);
        let kept = pip.keep_pth.iter();
        self.notes
            .unique("the project", kept.map(|it| (it.value.as_str(), it)));
        pip
    }

    /// Names of projects, in their one spelling.
    fn projects<'i>(
        &mut self,
        words: impl Iterator<Item = &'i Spanned<String>>,
    ) -> Vec<Spanned<String>> {
        let mut names = Vec::new();
        for word in words {
            let name = self
                .notes
                .checked(Some(word), PROJECT_NAME, requirement::is_name);
            names.extend(name.map(|name| name.with(requirement::normalised(&name.value))));
        }
        names
    }

    /// `override "urllib3" ">=2.5" reason="…"`, or a `build-constraint`.
    fn chosen_versions(&mut self, item: &Item) -> Option<Spanned<ChosenVersions>> {
        let [name, versions] = item.words.as_slice() else {
            return None;
        };
        let reason = item.property("reason")?;
        let name = self
            .notes
            .checked(Some(name), PROJECT_NAME, requirement::is_name)?;
        let said = versions.value.trim();
        let versions_text = match said.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            true => format!("=={said}"),
            false => said.to_owned(),
        };
        let text = format!("{}{versions_text}", requirement::normalised(&name.value));
        let origin = Origin::new(&versions.text, versions.span);
        let plain = !said.is_empty() && !said.contains([';', '@', '[', '(']);
        match requirement::parse(&text, Vec::new(), origin) {
            Ok(requirement) if plain => Some(name.with(ChosenVersions {
                name: requirement.name.clone(),
                text: requirement.text,
                reason: reason.value.clone(),
            })),
            _ => {
                self.notes.bad_value(versions, VERSIONS, None);
                None
            }
        }
    }

    fn system(&mut self, item: &Item) -> System {
        let mut system = System::default();
        for child in &item.children {
            for word in &child.words {
                match child.rule.node {
                    "package" => {
                        let name = self
                            .notes
                            .checked(Some(word), PACKAGE_NAME, is_package_name);
                        system.packages.extend(name);
                    }
                    _ => system.exclude.extend(self.exclusion(word)),
                }
            }
        }
        let packages = system.packages.iter();
        self.notes
            .unique("the package", packages.map(|it| (it.value.as_str(), it)));
        let excluded = system.exclude.iter();
        self.notes
            .unique("the exclusion", excluded.map(|it| (it.value.as_str(), it)));
        for wanted in &system.packages {
            if let Some(out) = system.exclude.iter().find(|out| out.value == wanted.value) {
                self.notes.contradiction(out, wanted);
            }
        }
        system
    }

    /// A package's name, or a path or pattern inside the closure.
    fn exclusion(&mut self, word: &Spanned<String>) -> Option<Spanned<String>> {
        if word.value.contains(['/', '*']) {
            self.notes.checked(Some(word), INSIDE, is_inside)
        } else {
            self.notes
                .checked(Some(word), PACKAGE_NAME, is_package_name)
        }
    }

    fn closure(&mut self, item: &Item) -> ClosureSpec {
        let mut closure = ClosureSpec {
            entries: Vec::new(),
            trim: Vec::new(),
            byte_code: true,
            fixed_path: None,
            host: HostPolicy::default(),
        };
        for child in &item.children {
            match child.rule.node {
                "entry" => closure.entries.extend(self.entry(child)),
                "trim" => {
                    for word in &child.words {
                        closure
                            .trim
                            .extend(self.notes.one_of(word, "a rule", TRIMS));
                    }
                }
                "fixed-path" => {
                    let folder = self.notes.checked(child.words.first(), FOLDER, is_prefix);
                    closure.fixed_path = folder.map(|it| it.value.into());
                }
                "host" => closure.host = self.host(child),
                _ => closure.byte_code = child.flags.first().is_none_or(|flag| flag.value),
            }
        }
        let entries = closure.entries.iter();
        self.notes
            .unique("the entry", entries.map(|it| (it.value.name.as_str(), it)));
        let trims = closure.trim.iter();
        self.notes
            .unique("the rule", trims.map(|it| (name_of(TRIMS, it.value), it)));
        closure
    }

    fn host(&mut self, item: &Item) -> HostPolicy {
        let mut policy = HostPolicy::default();
        for child in &item.children {
            let known = MATTERS.iter().find(|(name, _)| *name == child.rule.node);
            if let (Some((_, matter)), Some(word)) = (known, child.words.first()) {
                let order = self.notes.one_of(word, "an order", &matter.orders());
                if let Some(order) = order {
                    policy.set(*matter, order.value);
                }
            }
        }
        policy
    }

    fn entry(&mut self, item: &Item) -> Option<Spanned<EntryPoint>> {
        let name = self
            .notes
            .checked(item.words.first(), ENTRY_NAME, is_entry_name);
        let runs = self.notes.checked(item.property("runs"), INSIDE, is_inside);
        let (name, runs) = (name?, runs?);
        Some(name.with(EntryPoint {
            name: name.value.clone(),
            runs: runs.value.into(),
        }))
    }

    fn checks(&mut self, item: &Item) -> Vec<Spanned<Check>> {
        let mut checks = Vec::new();
        for child in &item.children {
            let Some(word) = child.words.first() else {
                continue;
            };
            let value = match child.rule.node {
                "python" => Ask::Python(word.value.clone()),
                _ => match self.notes.checked(Some(word), INSIDE, is_inside) {
                    Some(_) => Ask::Run(child.words.iter().map(|w| w.value.clone()).collect()),
                    None => continue,
                },
            };
            let limit = child.property("timeout");
            let limit = self.notes.checked(limit, TIME, |text| time(text).is_some());
            checks.push(child.name.with(Check {
                ask: value,
                limit: limit.and_then(|limit| time(&limit.value)),
            }));
        }
        checks
    }

    fn package(&mut self, item: &Item) -> PackageSpec {
        let mut package = PackageSpec::default();
        for word in &item.words {
            if PLANNED_FORMATS.contains(&word.value.as_str()) {
                self.notes.not_yet(
                    word,
                    "the format",
                    "write \"tar.zst\", \"tar.gz\" or \"zip\"",
                );
            } else {
                package
                    .formats
                    .extend(self.notes.one_of(word, "a format", FORMATS));
            }
        }
        let formats = package.formats.iter();
        self.notes.unique(
            "the format",
            formats.map(|it| (name_of(FORMATS, it.value), it)),
        );
        for child in &item.children {
            package.prefix = self
                .notes
                .checked(child.words.first(), FOLDER, is_prefix)
                .map(path);
        }
        package
    }

    fn lock(&mut self, item: &Item) -> LockPolicy {
        item.words
            .first()
            .and_then(|word| self.notes.one_of(word, "a policy of a lock", POLICIES))
            .map(|policy| policy.value)
            .unwrap_or_default()
    }

    fn unfinished(&mut self, word: &Spanned<String>, what: &str, names: &[&str]) {
        self.notes
            .unknown_value(word, &format!("a {what} of this version of recipe"), names);
    }
}

/// The place of some bytes of a string, where the string is written without escapes.
fn part(whole: &Spanned<String>, at: std::ops::Range<usize>) -> Spanned<()> {
    let start = whole.span.offset();
    let written = whole.text.inner().get(start..start + whole.span.len());
    let mut place = whole.with(());
    if let Some(quote) = written.and_then(|written| written.find(&whole.value)) {
        place.span = (start + quote + at.start, at.len()).into();
    }
    place
}

fn first(item: &Item) -> Option<String> {
    item.words.first().map(|word| word.value.clone())
}

pub(super) fn path(word: Spanned<String>) -> Spanned<Utf8PathBuf> {
    word.with(word.value.clone().into())
}

impl Recipe {
    /// `scylla-python`, or `scylla-python@3.11` for another form of it.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.variant {
            None => self.name.clone(),
            Some(variant) => format!("{}@{variant}", self.name),
        }
    }

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

    /// Every recipe that was looked for by its name: another one may be found tomorrow.
    #[must_use]
    pub fn looked_up(&self) -> &[LookedUp] {
        &self.looked_up
    }
}
