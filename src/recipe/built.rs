//! What a recipe builds from sources: the nodes `source`, `sysroot` and `build`, and what they mean.
//!
//! [`Built`] is all three: a recipe has it when it has a `build`. A [`Source`] is named once and lies
//! in a folder of that name while the build runs; a [`Sysroot`] is the machine that the build sees.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use super::cpython;
use super::decode::{Item, printable};
use super::notes::Notes;
use super::parse::path;
use super::values::{
    FILE, INSIDE, PACKAGE_NAME, RECIPE_NAME, Rule, SUITE, is_inside, is_package_name,
    is_recipe_name, is_suite,
};
use super::wrong::Wrong;
use super::{Interpreter, InterpreterSource, Spanned};

const VARIABLE: Rule = Rule(
    "the name of a variable",
    "a name has letters, digits and _, begins with no digit, and is none of those that every build \
     has: out, jobs, HOME, PATH, TMPDIR and SOURCE_DATE_EPOCH",
);
const SHA256: Rule = Rule(
    "a sha256",
    "64 hex digits, as `sha256sum FILE` prints them; a source is known before it is fetched",
);
const URL: Rule = Rule(
    "a URL",
    "it begins with https:// or http://, and ends with the name of a file",
);
const REPOSITORY: Rule = Rule(
    "the URL of a git repository",
    "it begins with https:// or http://, as `git clone` takes it",
);
const COMMIT: Rule = Rule(
    "a commit",
    "40 hex digits in lower case, as `git rev-parse` prints them: a branch or a tag moves",
);
/// The values of `patches`.
const PATCHES: &[(&str, bool)] = &[("debian", true), ("none", false)];
/// What every build has.
const GIVEN: [&str; 6] = ["out", "jobs", "HOME", "PATH", "TMPDIR", "SOURCE_DATE_EPOCH"];
/// The output that a closure takes.
pub(super) const OUT: &str = "out";

/// `source "src" { debian-source "zlib" }`: bytes known by a hash before they are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The folder that it lies in while the build runs.
    pub name: String,
    /// Where it comes from.
    pub from: Origin,
}

/// Where a source comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A source package of the sysroot's suite.
    Debian {
        /// Its name.
        package: String,
        /// Whether the distribution's patches are applied; without, it is as its authors made it.
        patched: bool,
    },
    /// A file: an archive is unpacked, anything else lies in the folder as it is.
    Url {
        /// Where it is.
        url: String,
        /// What it is: sha256, lower-case hex.
        sha256: String,
    },
    /// The files of one commit of a git repository.
    Git {
        /// Where the repository is.
        url: String,
        /// The commit: 40 lower-case hex digits.
        commit: String,
    },
    /// A folder or an archive in the folder of the file that names it.
    Path(Utf8PathBuf),
}

/// `sysroot "debian" suite="trixie" { package "gcc" "make" }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysroot {
    /// The distribution's release, such as `trixie`.
    pub suite: String,
    /// Whether indexes are taken whose time has run out.
    pub allow_expired: bool,
    /// Exact names of Debian packages, besides those that every machine has.
    pub packages: Vec<String>,
}

/// The `build` node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildSpec {
    /// Variables besides those that every build has, by name.
    pub env: BTreeMap<String, String>,
    /// Patches, applied before anything runs.
    pub patches: Vec<Patch>,
    /// What runs, one after the other.
    pub runs: Vec<Run>,
    /// Outputs besides `out`, by name: patterns of the paths that belong to them.
    pub outputs: BTreeMap<String, Vec<String>>,
    /// Paths below the prefix that programs have compiled in, and do without.
    pub compiled_in: Vec<String>,
}

/// `patch "fix.patch" in="src"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The file, relative to the recipe's folder.
    pub file: Utf8PathBuf,
    /// The source that it changes.
    pub source: String,
    /// What it says.
    pub text: String,
}

/// `run "make" "install" in="src"`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Run {
    /// The program, looked up on the sysroot's PATH, and its arguments.
    pub words: Vec<String>,
    /// Where it runs: a source's folder, or a folder below it; the folder of all sources without.
    pub folder: Option<String>,
}

/// All that a recipe with a `build` has.
#[derive(Debug, Clone)]
pub struct Built {
    /// Sources, in the order of their names.
    pub sources: Vec<Spanned<Source>>,
    /// What the build sees.
    pub sysroot: Spanned<Sysroot>,
    /// Packages of the sysroot and where they are written.
    pub packages: Vec<Spanned<String>>,
    /// What is done.
    pub build: Spanned<BuildSpec>,
}

/// Reads the three nodes; `None` where there is nothing to build. Of an interpreter that is built, what
/// they do not say is what [`cpython`] says.
pub(super) fn built(
    item: &Item,
    interpreter: Option<&Spanned<Interpreter>>,
    notes: &mut Notes,
) -> Option<Built> {
    let node = |name: &'static str| {
        let mut found = item.children.iter();
        found.find(move |child| child.rule.node == name)
    };
    let from = |from: InterpreterSource| interpreter.filter(|it| it.value.from == from);
    if let Some(build) = node("build")
        && let Some(interpreter) = from(InterpreterSource::Archive)
    {
        let help = "from=\"archive\" takes the interpreter as it is, from=\"source\" builds one";
        let what = "where the closure's files come from".to_owned();
        notes.twice(Wrong::Duplicate { what, help }, &build.name, interpreter);
        return None;
    }
    let python = from(InterpreterSource::Source);
    let mut sources = sources(item, notes);
    if let Some(python) = python {
        let named = |source: &Spanned<Source>| source.value.name == cpython::SOURCE;
        if !sources.iter().any(named) {
            sources.push(python.with(Source {
                name: cpython::SOURCE.to_owned(),
                from: Origin::Debian {
                    package: cpython::package(&python.value.version),
                    patched: false,
                },
            }));
            sources.sort_by(|one, other| one.value.name.cmp(&other.value.name));
        }
    }
    let build_node = node("build");
    let Some(at) = build_node
        .map(|node| &node.name)
        .or(item_of(python).as_ref())
        .cloned()
    else {
        if interpreter.is_none_or(|it| it.value.from != InterpreterSource::Archive)
            && let Some(source) = item.children.iter().find(|it| it.rule.node == "source")
        {
            missing(
                "a `build`, which is what a `source` is for",
                "build { run \"make\" in=\"src\"; }",
                &source.name,
                notes,
            );
        }
        return None;
    };
    let mut build = match build_node {
        Some(node) => build(node, &sources, python.is_none(), notes),
        None => at.with(BuildSpec::default()),
    };
    let usual = python.filter(|_| build.value.runs.is_empty());
    if let Some(python) = usual {
        build.value.runs = cpython::runs(&python.value.version);
        for (name, value) in cpython::ENV {
            let env = build.value.env.entry(name.to_owned());
            env.or_insert_with(|| value.to_owned());
        }
    }
    let (sysroot, packages) = match (node("sysroot"), python) {
        (Some(node), _) => sysroot(node, notes)?,
        (None, Some(python)) => {
            let sysroot = Sysroot {
                suite: python.value.suite.clone(),
                allow_expired: python.value.allow_expired,
                packages: Vec::new(),
            };
            (python.with(sysroot), Vec::new())
        }
        (None, None) => {
            missing(
                "a `sysroot`: a build sees its packages and nothing of this machine",
                "sysroot \"debian\" suite=\"trixie\" { package \"gcc\" \"make\"; }",
                &at,
                notes,
            );
            return None;
        }
    };
    if let Some(interpreter) = interpreter.filter(|it| it.value.suite != sysroot.value.suite) {
        let what = "the suite, and another one,".to_owned();
        let help = "all of a recipe is of one suite: write suite=\"${suite}\" for the sysroot";
        notes.twice(Wrong::Duplicate { what, help }, &sysroot, interpreter);
    }
    let mut built = Built {
        sources,
        sysroot,
        packages,
        build,
    };
    if let Some(python) = usual {
        built.add_packages(python, &cpython::packages(&python.value.version));
    }
    Some(built)
}

fn item_of(python: Option<&Spanned<Interpreter>>) -> Option<Spanned<()>> {
    python.map(|python| python.with(()))
}

impl Built {
    /// Adds packages to the sysroot that it does not name itself.
    fn add_packages(&mut self, at: &Spanned<Interpreter>, packages: &[&str]) {
        for name in packages {
            if !self.sysroot.value.packages.iter().any(|it| it == name) {
                self.sysroot.value.packages.push((*name).to_owned());
                self.packages.push(at.with((*name).to_owned()));
            }
        }
    }
}

/// The archive of an interpreter that is one.
pub(super) fn archive(
    item: &Item,
    interpreter: &Spanned<Interpreter>,
    notes: &mut Notes,
) -> Option<Spanned<Source>> {
    let sources = sources(item, notes);
    let found = sources
        .into_iter()
        .find(|source| source.value.name == cpython::SOURCE);
    if found.is_none() && notes.is_empty() {
        let wrong = Wrong::Missing {
            node: "recipe",
            what: "a `source` that is called `python`: the archive that its interpreter is in"
                .to_owned(),
            example: "source \"python\" { url \"https://example.org/python-3.13.tar.gz\" sha256=\"…\"; }",
            anchor: "interpreter",
        };
        notes.wrong(wrong, interpreter, "this interpreter");
    }
    found
}

fn missing(what: &str, example: &'static str, at: &Spanned<()>, notes: &mut Notes) {
    let wrong = Wrong::Missing {
        node: "recipe",
        what: what.to_owned(),
        example,
        anchor: "build",
    };
    notes.wrong(wrong, at, "this node");
}

/// Of the same name, what is nearer counts; twice in one file is a mistake.
fn sources(item: &Item, notes: &mut Notes) -> Vec<Spanned<Source>> {
    let nodes = item.children.iter().filter(|it| it.rule.node == "source");
    let mut nearest: BTreeMap<&str, &Item> = BTreeMap::new();
    for node in nodes {
        let Some(word) = node.words.first() else {
            continue;
        };
        match nearest.get(word.value.as_str()) {
            Some(known) if known.file.rank == node.file.rank => {
                let what = format!("the source `{}`", printable(&word.value));
                let help = "keep one of them";
                notes.twice(Wrong::Duplicate { what, help }, word, &known.name);
            }
            Some(known) if known.file.rank < node.file.rank => {}
            _ => {
                nearest.insert(&word.value, node);
            }
        }
    }
    let nodes: Vec<&Item> = nearest.into_values().collect();
    nodes
        .iter()
        .filter_map(|node| source(node, notes))
        .collect()
}

fn source(item: &Item, notes: &mut Notes) -> Option<Spanned<Source>> {
    let name = notes.checked(item.words.first(), RECIPE_NAME, is_recipe_name)?;
    let [place] = item.children.as_slice() else {
        let wrong = Wrong::Missing {
            node: "source",
            what: "one place that it comes from: `debian-source`, `url`, `git` or `path`"
                .to_owned(),
            example: "source \"src\" { debian-source \"zlib\"; }",
            anchor: "source",
        };
        notes.wrong(wrong, &item.name, "this node");
        return None;
    };
    let word = place.words.first();
    let from = match place.rule.node {
        "debian-source" => Origin::Debian {
            package: notes.checked(word, PACKAGE_NAME, is_package_name)?.value,
            patched: match place.property("patches") {
                None => true,
                Some(word) => {
                    notes
                        .one_of(word, "which patches are applied", PATCHES)?
                        .value
                }
            },
        },
        "url" => Origin::Url {
            url: notes.checked(word, URL, is_url)?.value,
            sha256: notes
                .checked(place.property("sha256"), SHA256, is_sha256)?
                .value,
        },
        "git" => Origin::Git {
            url: notes.checked(word, REPOSITORY, is_repository)?.value,
            commit: notes
                .checked(place.property("commit"), COMMIT, is_commit)?
                .value,
        },
        _ => {
            let path = notes.checked(word, FILE, is_inside)?.value;
            Origin::Path(place.file.folder.join(path))
        }
    };
    Some(name.with(Source {
        name: name.value.clone(),
        from,
    }))
}

pub(super) fn sysroot(
    item: &Item,
    notes: &mut Notes,
) -> Option<(Spanned<Sysroot>, Vec<Spanned<String>>)> {
    if let Some(distribution) = item.words.first().filter(|it| it.value != "debian") {
        notes.unknown_value(
            distribution,
            "a distribution of this version of recipe",
            &["debian"],
        );
    }
    let suite = notes.checked(item.property("suite"), SUITE, is_suite);
    let expired = item.property("expired");
    if let Some(expired) = expired.filter(|it| it.value != "allow") {
        notes.unknown_value(expired, "a policy for expired indexes", &["allow"]);
    }
    let words = item.children.iter().flat_map(|child| &child.words);
    let packages: Vec<Spanned<String>> = words
        .filter_map(|word| notes.checked(Some(word), PACKAGE_NAME, is_package_name))
        .collect();
    notes.unique(
        "the package",
        packages.iter().map(|it| (it.value.as_str(), it)),
    );
    let sysroot = item.name.with(Sysroot {
        suite: suite?.value,
        allow_expired: expired.is_some(),
        packages: packages.iter().map(|it| it.value.clone()).collect(),
    });
    Some((sysroot, packages))
}

fn build(
    item: &Item,
    sources: &[Spanned<Source>],
    must_run: bool,
    notes: &mut Notes,
) -> Spanned<BuildSpec> {
    let mut build = BuildSpec::default();
    for child in &item.children {
        match child.rule.node {
            "env" => {
                if let [name, value] = child.words.as_slice()
                    && let Some(name) = notes.checked(Some(name), VARIABLE, is_variable)
                    && build
                        .env
                        .insert(name.value.clone(), value.value.clone())
                        .is_some()
                {
                    let what = format!("the variable `{}`", name.value);
                    let help = "keep one of them";
                    notes.twice(Wrong::Duplicate { what, help }, &name, &child.name);
                }
            }
            "patch" => build.patches.extend(patches(child, sources, notes)),
            "run" => build.runs.extend(run(child, sources, notes)),
            "output" => output(child, &mut build, notes),
            _ => {
                let inside = child.words.iter();
                let inside = inside.filter_map(|word| notes.checked(Some(word), INSIDE, is_inside));
                build.compiled_in.extend(inside.map(|word| word.value));
            }
        }
    }
    build.compiled_in.sort();
    build.compiled_in.dedup();
    if must_run && !item.children.iter().any(|child| child.rule.node == "run") {
        let wrong = Wrong::Missing {
            node: "build",
            what: "a `run`: something that makes the output".to_owned(),
            example: "build { run \"make\" \"install\" in=\"src\"; }",
            anchor: "build",
        };
        notes.wrong(wrong, &item.name, "this node");
    }
    item.name.with(build)
}

fn patches(item: &Item, sources: &[Spanned<Source>], notes: &mut Notes) -> Vec<Patch> {
    let Some(source) = item.property("in").and_then(|it| known(it, sources, notes)) else {
        return Vec::new();
    };
    let mut patches = Vec::new();
    for word in &item.words {
        let Some(file) = notes.checked(Some(word), FILE, is_inside).map(path) else {
            continue;
        };
        let folder = &item.file.folder;
        let read = super::files::inside(folder, &file.value, &folder.join(&file.value))
            .and_then(|real| super::files::read_regular(&real, MOST_PATCH))
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()));
        match read {
            Ok(text) => patches.push(Patch {
                file: folder.join(&file.value),
                source: source.clone(),
                text,
            }),
            Err(why) => {
                let path = printable(&word.value);
                notes.wrong(Wrong::Unreadable { path, why }, word, "asked for here");
            }
        }
    }
    patches
}

/// No patch that a person reads comes near this (bytes).
const MOST_PATCH: usize = 16 << 20;

fn run(item: &Item, sources: &[Spanned<Source>], notes: &mut Notes) -> Option<Run> {
    let folder = match item.property("in") {
        None => None,
        Some(place) => {
            let (first, _) = place.value.split_once('/').unwrap_or((&place.value, ""));
            known(&place.with(first.to_owned()), sources, notes)?;
            Some(notes.checked(Some(place), FILE, is_inside)?.value)
        }
    };
    Some(Run {
        words: item.words.iter().map(|word| word.value.clone()).collect(),
        folder,
    })
}

fn known(name: &Spanned<String>, sources: &[Spanned<Source>], notes: &mut Notes) -> Option<String> {
    let names: Vec<&str> = sources.iter().map(|it| it.value.name.as_str()).collect();
    if names.contains(&name.value.as_str()) {
        return Some(name.value.clone());
    }
    notes.unknown_value(name, "a source of this recipe", &names);
    None
}

fn output(item: &Item, build: &mut BuildSpec, notes: &mut Notes) {
    let Some((name, patterns)) = item.words.split_first() else {
        return;
    };
    let Some(name) = notes.checked(Some(name), RECIPE_NAME, is_recipe_name) else {
        return;
    };
    if name.value == OUT || build.outputs.contains_key(&name.value) {
        let what = format!("the output `{}`", name.value);
        let help = "what belongs to no other output belongs to `out`: give each a name of its own";
        notes.wrong(Wrong::Duplicate { what, help }, &name, "this name");
        return;
    }
    let patterns = patterns.iter();
    let patterns = patterns.filter_map(|word| notes.checked(Some(word), INSIDE, is_inside));
    let patterns = patterns.map(|word| word.value).collect();
    build.outputs.insert(name.value, patterns);
}

fn is_variable(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty()
        && name.len() <= 128
        && name.chars().all(good)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !GIVEN.contains(&name)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_repository(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        rest.contains('/') && !rest.starts_with('/') && !rest.contains(['#', '?'])
    }) && text.chars().all(|c| c.is_ascii_graphic())
}

fn is_commit(text: &str) -> bool {
    text.len() == 40
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_sha256(text: &str) -> bool {
    is_hex(text, 64)
}

fn is_url(text: &str) -> bool {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|it| text.strip_prefix(it));
    rest.is_some_and(|rest| {
        let file = rest.split(['?', '#']).next().unwrap_or(rest);
        file.split_once('/')
            .is_some_and(|(host, path)| !host.is_empty() && !path.ends_with('/'))
    }) && text.chars().all(|c| c.is_ascii_graphic())
}
