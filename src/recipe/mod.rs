//! KDL text → [`Recipe`]: what somebody wants, nothing yet looked up. Begin at [`Recipe::read`].
//!
//! The grammar is closed: what is not listed in `grammar.rs` is an error that shows the line. The
//! text goes through `guard.rs` (what kdl must not see), `document.rs` (kdl), `decode.rs` (right
//! shape), `include.rs` and `join.rs` (what it builds on), `variant.rs` and `parameter.rs` (which of
//! its forms) and `parse.rs` (meaning). A [`Spanned`] value remembers where it was written, so that rooms further right (a requirement
//! nobody can satisfy, an unknown package) can still show the line that asked for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use miette::{NamedSource, SourceSpan};

use crate::platform::Platform;

mod built;
mod characters;
mod cpython;
mod decode;
mod document;
pub mod edit;
mod error;
mod excerpt;
mod facts;
mod files;
mod form;
mod format;
mod grammar;
mod guard;
mod host;
mod include;
mod join;
mod layout;
mod lookup;
mod near;
mod notes;
mod parameter;
mod parse;
mod requirement;
mod sdists;
#[cfg(test)]
mod tests;
mod values;
mod variant;
mod wrong;

pub use built::{BuildSpec, Built, Origin as SourceOrigin, Patch, Run, Source, Sysroot};
pub use document::document;
pub use error::{Mistake, RecipeError};
pub use format::formatted;
pub use grammar::{Kind, RULES, Rule};
pub use guard::Limits;
pub use host::{HostPolicy, MATTERS, Matter, Order};
pub use lookup::{LookedUp, Search};
pub use requirement::{Origin, Requirement};
pub use sdists::Sdists;
pub use wrong::Wrong;

/// A file as it was read, for errors.
pub type Text = Arc<NamedSource<Arc<str>>>;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Spanned<T> {
    /// What was said.
    pub value: T,
    /// Where: a byte range of the text.
    pub span: SourceSpan,
    /// The file that says it: the recipe's, or one that it builds on.
    pub text: Text,
}

impl<T> Spanned<T> {
    /// Another value that was said at the same place.
    pub(crate) fn with<U>(&self, value: U) -> Spanned<U> {
        Spanned {
            value,
            span: self.span,
            text: self.text.clone(),
        }
    }
}

/// Which recipe of a file is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The variant, by its name; the recipe as it is written without one.
    pub variant: Option<String>,
    /// The processor, where it is to be another than the recipe or its variant says.
    pub arch: Option<Platform>,
    /// Parameters that are not to have their defaults.
    pub set: BTreeMap<String, String>,
    /// More folders in which the recipes that it builds on are looked for.
    pub search: Search,
}

impl Wanted {
    /// The variant with the processor: `3.11-aarch64`. Nothing where no processor is wanted.
    fn whole(&self) -> Option<String> {
        let variant = self.variant.as_deref().unwrap_or_default();
        self.arch.map(|arch| with_processor(variant, arch))
    }

    /// The variant as it is called when nothing is known of the recipe yet: x86_64 goes unsaid.
    pub fn typed(&self) -> Option<String> {
        match self.arch {
            Some(arch) if arch != Platform::default() => self.whole(),
            _ => self.variant.clone(),
        }
    }
}

impl Wanted {
    /// The same for a recipe with variants of these names, where what was typed is what the link of a
    /// form is called: a variant, a processor and settings, in this order, as `3.11-aarch64,flavour=small`.
    fn of_link(&self, is_variant: impl Fn(&str) -> bool) -> Result<Wanted, RecipeError> {
        let mut wanted = self.clone();
        let Some(typed) = self.variant.as_deref().filter(|typed| !is_variant(typed)) else {
            return Ok(wanted);
        };
        let words = typed.split(',');
        let (settings, names): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('='));
        for (name, value) in settings.iter().filter_map(|word| word.split_once('=')) {
            wanted
                .set
                .entry(name.to_owned())
                .or_insert(value.to_owned());
        }
        let name = names.join(",");
        wanted.variant = (!name.is_empty()).then(|| name.clone());
        if is_variant(&name) {
            return Ok(wanted);
        }
        let split = |arch: &Platform| {
            let rest = name.strip_suffix(arch.processor())?;
            let rest = if rest.is_empty() {
                rest
            } else {
                rest.strip_suffix('-')?
            };
            (rest.is_empty() || is_variant(rest)).then(|| (rest.to_owned(), *arch))
        };
        let Some((rest, has)) = Platform::ALL.iter().find_map(split) else {
            return Ok(wanted);
        };
        if let Some(wants) = self.arch.filter(|wants| *wants != has) {
            let (has, wants) = (has.processor(), wants.processor());
            let variant = name;
            return Err(RecipeError::OtherProcessor {
                variant,
                has,
                wants,
            });
        }
        wanted.arch = Some(has);
        wanted.variant = (!rest.is_empty()).then_some(rest);
        Ok(wanted)
    }
}

/// `3.11-aarch64` of `3.11`, `aarch64` of nothing.
fn with_processor(variant: &str, platform: Platform) -> String {
    let processor = platform.processor();
    match variant {
        "" => processor.to_owned(),
        variant if variant.ends_with(&format!("-{processor}")) => variant.to_owned(),
        variant => format!("{variant}-{processor}"),
    }
}

/// What somebody wants.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The name it is built by; also the name of `result/NAME`.
    pub name: String,
    /// The version of what comes out, as in the names of archives.
    pub version: String,
    /// One line for people.
    pub description: Option<String>,
    /// SPDX licence expression.
    pub license: Option<String>,
    /// The interpreter inside the closure.
    pub interpreter: Option<Spanned<Interpreter>>,
    /// Python requirements.
    pub pip: Pip,
    /// Packages of the distribution.
    pub system: System,
    /// What is built from sources.
    pub built: Option<Built>,
    /// Files of recipes whose builds this one uses.
    pub uses: Vec<Spanned<Utf8PathBuf>>,
    /// Where an interpreter lies that is taken as it is ([`InterpreterSource::Archive`]).
    pub archive: Option<Spanned<Source>>,
    /// The projects of pip that are built from their sdists.
    pub sdists: Option<Sdists>,
    /// How the closure is shaped.
    pub closure: ClosureSpec,
    /// What must work inside the finished closure.
    pub checks: Vec<Spanned<Check>>,
    /// Formats `recipe export` writes when none is named, and the prefix of installable ones.
    pub package: PackageSpec,
    /// What happens when a locked source is gone from every mirror.
    pub lock: LockPolicy,
    /// What the closure runs on.
    pub platform: Platform,
    /// What sets it apart from the recipe as it is written: the name of a variant, parameters that
    /// were set. Each has a lock and a result of its own.
    pub variant: Option<String>,
    /// The folder of the recipe file: relative paths inside it start here.
    pub folder: Utf8PathBuf,
    /// The file as it was read, for errors.
    pub text: Text,
    /// See [`Recipe::requirements`].
    requirements: Vec<Requirement>,
    /// See [`Recipe::files_read`].
    files_read: Vec<FileRead>,
    /// See [`Recipe::looked_up`].
    looked_up: Vec<LookedUp>,
}

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRead {
    /// Where it lies.
    pub path: Utf8PathBuf,
    /// What it held.
    pub bytes: Arc<[u8]>,
}

impl Recipe {
    /// Reads the recipe file at `path` as it is written, and the files that it names. Each file is
    /// read once, must be a regular one, and is never waited for.
    pub fn read(path: &Utf8Path) -> Result<Recipe, RecipeError> {
        Recipe::read_as(path, &Wanted::default())
    }

    /// The same for a variant, or with parameters.
    pub fn read_as(path: &Utf8Path, wanted: &Wanted) -> Result<Recipe, RecipeError> {
        let text = text_of(path)?;
        parse::recipe(&File::new(text, folder_of(path)), wanted)
    }

    /// The names of the variants in the recipe file at `path`, in the order they are written.
    pub fn variants(path: &Utf8Path) -> Result<Vec<String>, RecipeError> {
        let text = text_of(path)?;
        parse::variants(&File::new(text, folder_of(path)))
    }

    /// The recipe that `text` says. `name` is what the text is called in messages, and `folder` is
    /// where the files that it names are read from.
    pub fn parse(name: &str, text: Arc<str>, folder: &Utf8Path) -> Result<Recipe, RecipeError> {
        Recipe::parse_as(name, text, folder, &Wanted::default())
    }

    /// The same for a variant, or with parameters.
    pub fn parse_as(
        name: &str,
        text: Arc<str>,
        folder: &Utf8Path,
        wanted: &Wanted,
    ) -> Result<Recipe, RecipeError> {
        let text = Arc::new(NamedSource::new(name, text));
        parse::recipe(&File::new(text, folder), wanted)
    }
}

/// A file of the language.
#[derive(Debug, Clone)]
struct File {
    text: Text,
    /// Where relative paths in it start.
    folder: Utf8PathBuf,
    /// How far away it is from the recipe that is read, whose rank is 0.
    rank: usize,
}

impl File {
    fn new(text: Text, folder: &Utf8Path) -> Arc<File> {
        File::at(text, folder, 0)
    }

    fn at(text: Text, folder: &Utf8Path, rank: usize) -> Arc<File> {
        let folder = folder.to_owned();
        Arc::new(File { text, folder, rank })
    }
}

fn folder_of(path: &Utf8Path) -> &Utf8Path {
    path.parent().unwrap_or(Utf8Path::new(""))
}

/// The text of the recipe file at `path`, whether it says anything or not.
pub fn text(path: &Utf8Path) -> Result<String, RecipeError> {
    // What is above the limit of a recipe is told by its reader, with the size.
    const MOST: usize = 64 << 20;
    let bytes = files::read_regular(path, MOST).map_err(|why| RecipeError::Unreadable {
        path: path.to_owned(),
        why,
    })?;
    String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))
}

fn text_of(path: &Utf8Path) -> Result<Text, RecipeError> {
    Ok(Arc::new(NamedSource::new(path, Arc::from(text(path)?))))
}

/// Shows the place where the text stops being UTF-8.
fn not_utf8(path: &Utf8Path, error: &std::string::FromUtf8Error) -> RecipeError {
    let at = error.utf8_error().valid_up_to();
    let shown: Arc<str> = String::from_utf8_lossy(error.as_bytes()).into();
    let text = NamedSource::new(path, shown);
    let mistake = Mistake::new(Wrong::NotUtf8, &text, at..at, "it is up to here");
    RecipeError::of(path.as_str(), vec![mistake])
}

/// `interpreter "python" "3.13" from="debian" suite="trixie"`
#[derive(Debug, Clone)]
pub struct Interpreter {
    /// Language: `python`.
    pub language: String,
    /// `3.13`: major and minor.
    pub version: String,
    /// Where its files come from.
    pub from: InterpreterSource,
    /// The distribution's release, such as `trixie`.
    pub suite: String,
    /// Whether indexes are taken whose time has run out, as those of a suite that stands still.
    pub allow_expired: bool,
    /// Whose patches are undone instead of those of its own source package.
    pub patches: Option<Spanned<PatchesFrom>>,
}

/// `patches "python3.13" suite="trixie"`: a source package that has nearly the interpreter's patches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchesFrom {
    /// Its name.
    pub source: String,
    /// The distribution's release that has it.
    pub suite: String,
    /// Whether indexes of that release are taken whose time has run out.
    pub allow_expired: bool,
}

/// Where an interpreter's files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterpreterSource {
    /// The distribution's binary packages.
    Debian,
    /// CPython's source, which is built.
    Source,
    /// The packages that are installed on the machine that locks.
    Host,
    /// A tree that somebody else has built.
    Archive,
}

impl InterpreterSource {
    /// The values of `from`.
    pub const ALL: [(&'static str, InterpreterSource); 4] = [
        ("debian", InterpreterSource::Debian),
        ("source", InterpreterSource::Source),
        ("host", InterpreterSource::Host),
        ("archive", InterpreterSource::Archive),
    ];

    /// How a recipe says it.
    pub fn name(self) -> &'static str {
        let found = InterpreterSource::ALL
            .iter()
            .find(|(_, from)| *from == self);
        found.map_or("", |(name, _)| name)
    }

    /// Whether its files are as their authors made them, and not as a distribution changes them.
    pub fn is_pristine(self) -> bool {
        matches!(self, InterpreterSource::Source | InterpreterSource::Archive)
    }
}

/// The `pip` node.
#[derive(Debug, Clone, Default)]
pub struct Pip {
    /// PEP 508 requirements, as written; each was parsed once to be known good.
    pub require: Vec<Spanned<String>>,
    /// Requirements files, relative to [`Recipe::folder`], read when locking.
    pub requirements: Vec<Spanned<Utf8PathBuf>>,
    /// Keep start-up `.pth` files of these packages (`pth "setuptools"`); all others that run code are left out.
    pub keep_pth: Vec<Spanned<String>>,
    /// Projects that are built from their sdists (normalised names).
    pub no_binary: Vec<Spanned<String>>,
    /// Projects whose versions are the recipe's own, whatever others require.
    pub overrides: Vec<Spanned<ChosenVersions>>,
    /// Projects of which builds get no other versions, where they require them.
    pub build_constraints: Vec<Spanned<ChosenVersions>>,
}

/// `override "urllib3" ">=2.5" reason="the pin has a known fault"`, or a `build-constraint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenVersions {
    /// The project (normalised name).
    pub name: String,
    /// The requirement (PEP 508): of an override it takes the place of all others of this project.
    pub text: String,
    /// Why.
    pub reason: String,
}

/// The `system` node.
#[derive(Debug, Clone, Default)]
pub struct System {
    /// Exact Debian package names whose files are kept whole.
    pub packages: Vec<Spanned<String>>,
    /// Packages (by name) or paths (with `/` or `*`) that stay out.
    pub exclude: Vec<Spanned<String>>,
}

/// The `closure` node.
#[derive(Debug, Clone)]
pub struct ClosureSpec {
    /// Names under `bin/` that start another program of the closure.
    pub entries: Vec<Spanned<EntryPoint>>,
    /// Named rules of what is left out.
    pub trim: Vec<Spanned<Trim>>,
    /// Whether `.pyc` files are part of it (`byte-code #false` leaves them out).
    pub byte_code: bool,
    /// Where it is installed when its programs are given more privileges than their callers have;
    /// anywhere else they refuse those. It runs from any folder all the same.
    pub fixed_path: Option<Utf8PathBuf>,
    /// What it takes of the host that it runs on.
    pub host: HostPolicy,
}

/// `entry "scylla-python" runs="bin/python3"`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryPoint {
    /// Name under `bin/`.
    pub name: String,
    /// Path inside the closure of what it starts.
    pub runs: Utf8PathBuf,
}

/// What `trim` can name. Each rule has a functional test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trim {
    /// `tests`: test suites of the standard library and of wheels.
    Tests,
    /// `docs`: manuals and pydoc's data.
    Docs,
    /// `static-libs`: `.a`, `.la`, headers and pkg-config files of static libraries.
    StaticLibs,
    /// `sources`: C, C++, Cython and Python sources beside the modules compiled from them.
    Sources,
    /// `idle`: idlelib, turtledemo, tkinter without its library, lib2to3.
    Idle,
}

/// The `check` node: each must succeed inside the finished closure.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Check {
    /// What is run.
    pub ask: Ask,
    /// `timeout="20m"`: when it is stopped, in seconds, where the recipe says it.
    pub limit: Option<u32>,
}

/// What a check runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ask {
    /// `python "CODE"`
    Python(String),
    /// `run "bin/python3" "-m" "venv" "/tmp/v"`: a program of the closure and its arguments.
    Run(Vec<String>),
}

/// The `package` node.
#[derive(Debug, Clone, Default)]
pub struct PackageSpec {
    /// Formats, as written.
    pub formats: Vec<Spanned<PackageFormat>>,
    /// Where installable packages put the closure, such as `/opt/scylla-python`.
    pub prefix: Option<Spanned<Utf8PathBuf>>,
}

/// A format of `recipe export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackageFormat {
    /// `tar.zst`
    TarZst,
    /// `tar.gz`
    TarGz,
    /// `zip`
    Zip,
}

impl PackageFormat {
    /// The format's name: how its files end.
    pub fn name(self) -> &'static str {
        match self {
            PackageFormat::TarZst => "tar.zst",
            PackageFormat::TarGz => "tar.gz",
            PackageFormat::Zip => "zip",
        }
    }
}

/// `lock "exact"` or `lock "follow"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LockPolicy {
    /// A locked source that is gone is an error.
    #[default]
    Exact,
    /// Resolve just that source again within the same signed suite, say so, write the moved lock.
    Follow,
}
