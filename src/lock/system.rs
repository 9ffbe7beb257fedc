//! What a recipe asks of the distribution → the Debian packages that contribute. Begin at [`System::resolve`].
//!
//! Roots are the interpreter's packages, the data every closure has, and what the recipe names. What
//! they depend on, directly or not, says which packages *may* be needed, in which version; then only
//! those are kept that are roots or hold a library that a kept file reaches. Debian's policy helps:
//! whoever needs a library depends on its package directly, so most of what may be needed is never fetched.
//! No maintainer script runs.

use std::collections::{BTreeMap, BTreeSet};

use miette::NamedSource;
use recipe_store::{Entry, TreeBuilder, TreeId};

use super::candidates::{Candidates, Libraries, Unpacked};
use super::error::{LockError, MissingLibrary, Needed, NoInterpreter};
use super::suites::Suites;
use super::sysroot::{LINKABLE, unknown};
use super::universe::{Chosen, Offer, Unmet};
use super::{Context, FileKind, Locked};
use crate::elf::{self, Answer, Facts, Machine};
use crate::recipe::Recipe;

/// Its loader and C library run everything else.
const LIBC: &str = "libc6";
/// Data that every closure has: C library, its `C.utf8` locale, zones, terminals, certificates, media types.
const BASE: [&str; 6] = [
    LIBC,
    "libc-bin",
    "tzdata",
    "ncurses-base",
    "ca-certificates",
    "media-types",
];
/// What of that a closure has that holds no Python: the loader, the C library and its locale.
const PLAIN: [&str; 2] = [LIBC, "libc-bin"];
/// glibc opens it by name when a thread ends early.
const OPENED_BY_NAME: [(&str, &str); 1] = [("libgcc_s.so.1", "libgcc-s1")];
/// Libraries outside glibc that a manylinux wheel may expect of its host (PEP 513 and its successors).
const MANYLINUX: [&str; 5] = [
    "libstdc++6",
    "libgcc-s1",
    "libatomic1",
    "zlib1g",
    "libexpat1",
];

/// The Debian part of a lock.
pub(super) struct System<'s> {
    suites: &'s Suites,
    chosen: Chosen<'s>,
    candidates: Candidates,
    /// Root packages and why.
    roots: BTreeMap<String, String>,
    excluded: BTreeSet<String>,
    /// Kept packages that are no roots, and why.
    reached: BTreeMap<String, String>,
    machine: Machine,
}

impl<'s> System<'s> {
    /// Chooses packages; `prefer` are versions that stay where they can. Those in `linkable` are there
    /// for what is built, which may need them.
    pub(super) fn resolve(
        context: &Context<'_>,
        suites: &'s Suites,
        recipe: &Recipe,
        prefer: &BTreeMap<String, String>,
        linkable: &BTreeSet<String>,
    ) -> Result<System<'s>, LockError> {
        let release = suites.release();
        let mut roots = roots(suites, recipe)?;
        let mut linked: BTreeMap<String, String> = linkable
            .iter()
            .map(|name| (name.clone(), LINKABLE.to_owned()))
            .collect();
        linked.append(&mut roots);
        let roots = linked;
        let mut names: Vec<&str> = roots.keys().map(String::as_str).collect();
        // Candidates only: they are kept when a wheel turns out to need them.
        names.extend(
            MANYLINUX
                .iter()
                .filter(|name| suites.universe.newest(name).is_some()),
        );
        let chosen = suites
            .universe
            .choose(&names, prefer)
            // A kept version may have stopped to fit: then all move.
            .or_else(|_| suites.universe.choose(&names, &BTreeMap::new()))
            .map_err(|cause| LockError::Unmet {
                suite: release.to_owned(),
                cause: Box::new(cause),
            })?;
        let plain = recipe.system.exclude.iter().map(|exclude| &exclude.value);
        let excluded = plain
            .filter(|name| !name.contains(['/', '*']))
            .cloned()
            .collect();
        let candidates = Candidates::default();
        let mut system = System {
            suites,
            chosen,
            candidates,
            roots,
            excluded,
            reached: BTreeMap::new(),
            machine: suites.platform.machine(),
        };
        let wanted: Vec<String> = system
            .roots
            .keys()
            .cloned()
            .chain(
                OPENED_BY_NAME
                    .iter()
                    .map(|(_, package)| (*package).to_owned()),
            )
            .collect();
        system.load(context, &wanted)?;
        system.reach(context, &BTreeMap::new())?;
        Ok(system)
    }

    /// The files of the lock.
    pub(super) fn files(&self) -> Vec<Locked> {
        let all = self.roots.iter().chain(&self.reached);
        let kept = all.filter(|(name, _)| !self.excluded.contains(*name));
        let locked = kept.filter_map(|(name, reason)| {
            let offer = self.chosen.get(name)?;
            Some(Locked {
                reason: reason.clone(),
                ..self.suites.locked(offer)
            })
        });
        locked.collect()
    }

    /// The kept packages in one tree, as a distribution would have them installed: enough to run its
    /// Python in. All is below `/usr`, as since trixie: older packages have some of it beside that.
    pub(super) fn root(&self, context: &Context<'_>) -> Result<TreeId, LockError> {
        let mut builder = TreeBuilder::new();
        for name in self.roots.keys().chain(self.reached.keys()) {
            let Some((_, unpacked)) = self.candidates.get(name) else {
                continue;
            };
            let tree = context.session.read_tree(&unpacked.tree)?;
            for (top, entry) in tree.iter() {
                let Entry::Directory(folder) = entry else {
                    continue;
                };
                let merged = ["bin", "sbin", "lib", "lib64"].contains(&top);
                let place = if merged {
                    format!("usr/{top}")
                } else {
                    top.to_owned()
                };
                let done = builder.merge(&place, *folder);
                done.map_err(recipe_store::StoreError::from)?;
            }
        }
        Ok(builder.finish(context.session)?)
    }

    /// The kept package of a name, with its tree.
    pub(super) fn package(&self, name: &str) -> Option<(&Locked, TreeId)> {
        self.candidates
            .get(name)
            .map(|(locked, unpacked)| (locked, unpacked.tree))
    }

    /// Keeps what the ELF files of these wheels need besides what they bring along.
    pub(super) fn add_wheels(
        &mut self,
        context: &Context<'_>,
        wheels: &BTreeMap<String, Unpacked>,
    ) -> Result<(), LockError> {
        self.reach(context, wheels)
    }

    /// The offer of the interpreter's main package.
    pub(super) fn interpreter(&self, python: &str) -> Option<&'s Offer> {
        self.chosen.get(&format!("python{python}")).copied()
    }

    fn load(&mut self, context: &Context<'_>, names: &[String]) -> Result<(), LockError> {
        let offers = names
            .iter()
            .filter_map(|name| self.chosen.get(name))
            .map(|offer| self.suites.locked(offer));
        self.candidates.load(context, offers.collect())
    }

    /// Walks from the files of the roots and wheels to the libraries they need, loading packages until all is met.
    fn reach(
        &mut self,
        context: &Context<'_>,
        wheels: &BTreeMap<String, Unpacked>,
    ) -> Result<(), LockError> {
        loop {
            let libraries = self.candidates.libraries(self.machine);
            let walk = self.walk(&libraries, wheels);
            if walk.missing.is_empty() {
                self.reached = walk.reached;
                return Ok(());
            }
            let more = self.expand(&walk)?;
            if more.is_empty() {
                return Err(self.missing(context, &walk.missing[0]));
            }
            self.load(context, &more)?;
        }
    }

    /// The packages to look into next: what those with unmet needs depend on, else all the rest.
    fn expand(&self, walk: &Walk) -> Result<Vec<String>, LockError> {
        let mut more = BTreeSet::new();
        for missing in &walk.missing {
            let Some(offer) = self.chosen.get(&missing.owner) else {
                continue;
            };
            let package = &offer.package;
            let unmet = |cause: Unmet| LockError::Unmet {
                suite: self.suites.release().to_owned(),
                cause: Box::new(cause),
            };
            let direct = self
                .suites
                .universe
                .direct(package, &self.chosen)
                .map_err(unmet)?;
            more.extend(
                direct
                    .into_iter()
                    .filter(|name| !self.candidates.has(name))
                    .map(str::to_owned),
            );
        }
        if more.is_empty() {
            // The need of a wheel, or a dependency that was not declared: any library package may be meant.
            let rest = self.chosen.keys().filter(|name| !self.candidates.has(name));
            more.extend(rest.filter(|name| name.starts_with("lib")).cloned());
        }
        Ok(more.into_iter().collect())
    }

    fn walk(&self, libraries: &Libraries, wheels: &BTreeMap<String, Unpacked>) -> Walk {
        let mut walk = Walk::default();
        let mut visit = |owner: &str, elf: &BTreeMap<String, Facts>| {
            let mine = elf
                .iter()
                .filter(|(_, facts)| facts.machine == self.machine);
            let roots: Vec<(&str, &Facts)> =
                mine.map(|(path, facts)| (path.as_str(), facts)).collect();
            // A wheel or package may have libraries in folders of its own, which only its own files reach.
            let mut providers = libraries.facts.clone();
            for (path, facts) in &roots {
                let file = path.rsplit('/').next().unwrap_or(path);
                let soname = facts.soname.clone().unwrap_or_else(|| file.to_owned());
                providers.entry(soname).or_insert_with(|| (*facts).clone());
            }
            walk.take(owner, elf::needs(&providers, roots), libraries, &self.roots);
        };
        for name in self.roots.keys() {
            if let Some((_, unpacked)) = self.candidates.get(name) {
                visit(name, &unpacked.elf);
            }
        }
        for (name, unpacked) in wheels {
            visit(name, &unpacked.elf);
        }
        for (soname, _) in OPENED_BY_NAME {
            if let Some((package, facts)) =
                libraries.owner.get(soname).zip(libraries.facts.get(soname))
            {
                let answer = elf::needs(&libraries.facts, [(soname, facts)]);
                walk.reached
                    .entry(package.clone())
                    .or_insert_with(|| "libc6 opens libgcc_s.so.1".to_owned());
                walk.take(package, answer, libraries, &self.roots);
            }
        }
        walk
    }

    fn missing(&self, context: &Context<'_>, missing: &Need) -> LockError {
        // Only asked when there is an error to tell, and only where there is a network.
        let offered = self
            .suites
            .packages_with(context, &missing.soname)
            .unwrap_or_default();
        LockError::MissingLibrary(Box::new(MissingLibrary {
            owner: missing.owner.clone(),
            file: missing.file.clone(),
            soname: missing.soname.clone(),
            symbols: missing.symbols.clone(),
            offered,
        }))
    }
}

/// A need that nothing meets so far.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    owner: String,
    file: String,
    soname: String,
    symbols: Option<String>,
}

#[derive(Debug, Default)]
struct Walk {
    /// Packages that are no roots, and who reached them first, in the order of names.
    reached: BTreeMap<String, String>,
    missing: Vec<Need>,
}

impl Walk {
    fn take(
        &mut self,
        owner: &str,
        answer: Answer,
        libraries: &Libraries,
        roots: &BTreeMap<String, String>,
    ) {
        for soname in answer.reached {
            let Some(package) = libraries.owner.get(&soname) else {
                continue;
            };
            if !roots.contains_key(package) {
                self.reached
                    .entry(package.clone())
                    .or_insert_with(|| format!("{owner} needs {soname}"));
            }
        }
        for missing in answer.missing {
            // What a library needs is its package's business, whoever reached it.
            let owner = libraries
                .owner
                .get(&missing.file)
                .map_or(owner, String::as_str)
                .to_owned();
            let need = Need {
                owner,
                file: missing.file,
                soname: missing.soname,
                symbols: missing.version,
            };
            if !self.missing.contains(&need) {
                self.missing.push(need);
            }
        }
    }
}

/// Every package that may be a root of this recipe's closure, or that its wheels may need.
pub(super) fn possible(recipe: &Recipe) -> Vec<String> {
    let interpreter = recipe.interpreter.as_ref();
    let (needed, optional) = interpreter
        .map(|it| interpreter_packages(&it.value.version))
        .unwrap_or_default();
    let named = recipe.system.packages.iter().map(|it| it.value.as_str());
    let opened = OPENED_BY_NAME.iter().map(|(_, package)| *package);
    let others = BASE.into_iter().chain(super::PIP).chain(MANYLINUX);
    let others = others.chain(opened).chain(named).map(str::to_owned);
    needed.into_iter().chain(optional).chain(others).collect()
}

/// The root packages of a recipe and why each is there.
fn roots(suites: &Suites, recipe: &Recipe) -> Result<BTreeMap<String, String>, LockError> {
    let exists = |name: &str| suites.universe.newest(name).is_some();
    let mut roots = BTreeMap::new();
    let excluded = |name: &str| {
        recipe
            .system
            .exclude
            .iter()
            .any(|exclude| exclude.value == name)
    };
    let base: &[&str] = match recipe.interpreter {
        Some(_) => &BASE,
        None => &PLAIN,
    };
    for name in base.iter().filter(|name| exists(name) && !excluded(name)) {
        roots.insert((*name).to_owned(), "base".to_owned());
    }
    let interpreter = recipe.interpreter.as_ref();
    if let Some(interpreter) = interpreter.filter(|it| !it.value.from.is_pristine()) {
        let version = &interpreter.value.version;
        let (mut needed, optional) = interpreter_packages(version);
        let pip = super::PIP.iter().find(|name| exists(name));
        needed.push((*pip.unwrap_or(&super::PIP[0])).to_owned());
        if !needed.iter().all(|name| exists(name)) {
            return Err(LockError::NoInterpreter(Box::new(NoInterpreter {
                version: version.clone(),
                suite: suites.release().to_owned(),
                offered: pythons(suites),
                text: NamedSource::clone(&interpreter.text),
                at: interpreter.span,
            })));
        }
        let all = needed
            .into_iter()
            .chain(optional.into_iter().filter(|name| exists(name)));
        roots.extend(all.map(|name| (name, "interpreter".to_owned())));
    }
    let excluded = recipe.system.exclude.iter();
    let names = excluded.filter(|name| !name.value.contains(['/', '*']));
    for package in names {
        if !exists(&package.value) {
            return Err(unknown(suites, package));
        }
        let needed = roots.get(&package.value);
        if package.value == LIBC || needed.is_some_and(|why| why == "interpreter") {
            return Err(LockError::Needed(Box::new(Needed {
                name: package.value.clone(),
                text: NamedSource::clone(&package.text),
                at: package.span,
            })));
        }
    }
    for package in &recipe.system.packages {
        if !exists(&package.value) {
            return Err(unknown(suites, package));
        }
        roots.insert(package.value.clone(), "recipe".to_owned());
    }
    Ok(roots)
}

/// The packages that make up an interpreter: those that have to exist, and those that older releases split off.
fn interpreter_packages(version: &str) -> (Vec<String>, Vec<String>) {
    let needed = [
        "python{}",
        "python{}-minimal",
        "libpython{}-minimal",
        "libpython{}-stdlib",
        "python{}-venv",
    ];
    let needed = needed
        .iter()
        .map(|name| name.replace("{}", version))
        .collect();
    let old = version
        .split_once('.')
        .and_then(|(_, minor)| minor.parse::<u32>().ok())
        .is_some_and(|minor| minor < 12);
    let optional = if old {
        vec![
            "python3-distutils",
            "python3-lib2to3",
            "python3-setuptools-whl",
        ]
    } else {
        Vec::new()
    };
    (needed, optional.into_iter().map(str::to_owned).collect())
}

/// What builds of sdists need of an interpreter: itself, what wheels expect of their host, and its
/// headers where there is a compiler.
pub(super) fn builds_with(suites: &Suites, version: &str, headers: bool) -> Vec<String> {
    let (mut names, optional) = interpreter_packages(version);
    names.extend(optional);
    names.extend(MANYLINUX.iter().map(|name| (*name).to_owned()));
    if headers {
        names.push(format!("libpython{version}-dev"));
    }
    names.retain(|name| suites.universe.newest(name).is_some());
    names
}

/// Versions of Python that a release has, such as `3.13`.
pub(super) fn pythons(suites: &Suites) -> Vec<String> {
    let mut versions: Vec<&str> = suites
        .universe
        .names()
        .filter_map(|name| name.strip_prefix("python")?.strip_suffix("-minimal"))
        .filter(|version| version.contains('.'))
        .collect();
    versions.sort_by(|a, b| super::version::compare(a, b));
    versions.into_iter().map(str::to_owned).collect()
}

impl Suites {
    /// A package as a lock says it; the reason is still empty.
    pub(super) fn locked(&self, offer: &Offer) -> Locked {
        let package = &offer.package;
        Locked {
            kind: FileKind::Deb,
            name: package.name.to_string(),
            version: package.version.to_string(),
            architecture: package.architecture.to_string(),
            source: package.source.to_string(),
            archive: self
                .suites
                .get(offer.suite)
                .map(|suite| suite.archive.clone())
                .unwrap_or_default(),
            path: package.path.to_string(),
            size: package.size,
            sha256: package.sha256.to_string(),
            reason: String::new(),
            requires: Vec::new(),
        }
    }
}
