//! A lock whose files are gone from every mirror → the nearest lock that can be built. Begin at [`follow`].
//!
//! Upstream deletes an old version when the next one comes. Only what is gone moves, together with the
//! other binaries of its source package, and whatever the new version cannot do without; all from the
//! same signed suites. Wheels do not move: an index keeps old files, so one that is gone was taken
//! away on purpose.

use std::collections::{BTreeMap, BTreeSet};

use super::builder::{Builder, Question};
use super::candidates::{Candidates, Unpacked};
use super::error::{LockError, MissingLibrary};
use super::make::{self, release, settle};
use super::options::{Options, Upgrade};
use super::patches::Asked;
use super::relation;
use super::suites::Suites;
use super::universe::{Offer, Unmet};
use super::version::compare;
use super::{Context, FileKind, Lock, Locked};
use crate::elf;
use crate::recipe::Recipe;

/// A file that another took the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Which kind of file.
    pub kind: FileKind,
    /// Package name.
    pub name: String,
    /// The version that was locked; `None` for a package that the new versions need besides.
    pub from: Option<String>,
    /// The version that is locked now.
    pub to: String,
}

/// Locks `gone` anew, and nothing else that can stay. Says what moved.
pub fn follow(
    lock: &Lock,
    recipe: &Recipe,
    gone: &[Locked],
    context: &Context<'_>,
) -> Result<(Lock, Vec<Moved>), LockError> {
    if let Some(file) = gone.iter().find(|file| file.kind.is_of_python()) {
        return Err(cannot(
            file,
            "it is a file of a package index: its project took it away, or the index is another one".into(),
        ));
    }
    let (suite, expired) = release(recipe).ok_or(LockError::NoRelease)?;
    if recipe.built.is_some() || recipe.sdists.is_some() || recipe.archive.is_some() {
        return anew(lock, recipe, gone, context);
    }
    let Some(interpreter) = &recipe.interpreter else {
        return Err(LockError::NoRelease);
    };
    let suites = Suites::load(context, suite, lock.platform, &lock.suites, expired)?;
    let mut moving = Moving {
        lock,
        suites: &suites,
        sources: BTreeSet::new(),
        added: BTreeMap::new(),
    };
    let patches = Asked {
        interpreter,
        suites: &suites,
        known: &lock.suites,
        allow_expired: false,
    };
    // Those of the machine that builds follow afterwards, all together; patches that stand for the
    // interpreter's move with none of its packages.
    let alone = |file: &Locked| match file.kind {
        FileKind::Builder => true,
        FileKind::DebianPatches => patches.instead().is_some(),
        _ => false,
    };
    for file in gone.iter().filter(|file| !alone(file)) {
        moving.move_source(file)?;
    }
    moving.settle_dependencies()?;
    moving.settle_libraries(context)?;
    let mut believed = suites.suites.clone();
    let mut files = moving.files(|file| {
        let moves = match alone(file) {
            true => gone.contains(file),
            false => moving.moves(file),
        };
        if !moves {
            return Ok(file.clone());
        }
        let own = moving.source_of_interpreter(file)?;
        let found = patches.resolve(context, (&own.0, &own.1), &[])?;
        make::add_suites(&mut believed, &found.suites);
        Ok(found.file)
    })?;
    // The indexes that named what stays.
    make::add_suites(&mut believed, &lock.suites);
    if let Some(platform) = lock.builder() {
        let stays = |file: &&Locked| {
            file.kind == FileKind::Builder && !moving.moves(file) && !gone.contains(file)
        };
        let kept: Vec<&Locked> = lock.files.iter().filter(stays).collect();
        let question = Question {
            suite,
            known: &lock.suites,
            allow_expired: expired,
            python: lock.python.as_deref().unwrap_or_default(),
        };
        let builder = Builder::resolve(context, recipe, platform, &kept, &files, question)?;
        files.extend(builder.files);
    }
    let moved = differences(lock, &files);
    let new = Lock {
        serial: lock.serial + 1,
        date: make::newest(&believed),
        suites: believed,
        files,
        ..lock.clone()
    };
    context.keep_fetched()?;
    Ok((settle(new, Some(lock)), moved))
}

/// What a build may link to follows from its whole sysroot, so the recipe is locked again; only the
/// source packages of what is gone may move.
fn anew(
    lock: &Lock,
    recipe: &Recipe,
    gone: &[Locked],
    context: &Context<'_>,
) -> Result<(Lock, Vec<Moved>), LockError> {
    let sources = gone.iter().map(|file| match file.source.as_str() {
        "" => file.name.clone(),
        source => source.to_owned(),
    });
    let options = Options {
        upgrade: Upgrade::These(sources.collect()),
        allow_expired: false,
        platform: lock.platform,
        builder: lock.builder().unwrap_or(lock.platform),
    };
    let new = super::make::lock(recipe, Some(lock), context, &options)?;
    let moved = differences(lock, &new.files);
    Ok((new, moved))
}

/// The version that the recipe's suite has now of each Debian package in `gone`; without those that
/// it has no other version of.
pub fn newest(
    lock: &Lock,
    recipe: &Recipe,
    gone: &[Locked],
    context: &Context<'_>,
) -> Result<Vec<Moved>, LockError> {
    let (suite, expired) = release(recipe).ok_or(LockError::NoRelease)?;
    let mut newest = Vec::new();
    let platforms = [
        (FileKind::Deb, Some(lock.platform)),
        (FileKind::Sysroot, Some(lock.platform)),
        (FileKind::Builder, lock.builder()),
    ];
    for (kind, platform) in platforms {
        let Some(platform) = platform.filter(|_| gone.iter().any(|file| file.kind == kind)) else {
            continue;
        };
        let suites = Suites::load(context, suite, platform, &lock.suites, expired)?;
        let files = gone.iter().filter(|file| file.kind == kind);
        newest.extend(files.filter_map(|file| {
            let version = &suites.universe.newest(&file.name)?.package.version;
            (**version != *file.version).then(|| Moved {
                kind,
                name: file.name.clone(),
                from: Some(file.version.clone()),
                to: version.to_string(),
            })
        }));
    }
    Ok(newest)
}

fn cannot(file: &Locked, reason: String) -> LockError {
    LockError::CannotFollow {
        name: file.name.clone(),
        version: file.version.clone(),
        reason,
    }
}

struct Moving<'a> {
    lock: &'a Lock,
    suites: &'a Suites,
    /// Source packages whose binaries move.
    sources: BTreeSet<String>,
    /// Packages that were not locked and are needed now, and why.
    added: BTreeMap<String, String>,
}

impl Moving<'_> {
    /// Lets all binaries of a file's source package move. `file` itself has to find a newer version.
    fn move_source(&mut self, file: &Locked) -> Result<(), LockError> {
        if file.kind == FileKind::Deb {
            let Some(offer) = self.suites.universe.newest(&file.name) else {
                return Err(cannot(
                    file,
                    format!(
                        "{} has no package of that name any more",
                        self.suites.release()
                    ),
                ));
            };
            match compare(&offer.package.version, &file.version) {
                std::cmp::Ordering::Greater => {}
                std::cmp::Ordering::Equal => {
                    return Err(cannot(
                        file,
                        "the signed index still names it: the mirror is incomplete".into(),
                    ));
                }
                std::cmp::Ordering::Less => {
                    return Err(cannot(
                        file,
                        format!("the newest there is, {}, is older", offer.package.version),
                    ));
                }
            }
        }
        self.sources.insert(file.source.clone());
        Ok(())
    }

    fn moves(&self, file: &Locked) -> bool {
        self.sources.contains(&file.source)
    }

    fn debs(&self) -> impl Iterator<Item = &Locked> {
        self.lock
            .files
            .iter()
            .filter(|file| file.kind == FileKind::Deb)
    }

    /// The offers of everything that moves or is new.
    fn offers(&self) -> Result<Vec<&Offer>, LockError> {
        let mut offers = Vec::new();
        for file in self.debs().filter(|file| self.moves(file)) {
            let offer = self.suites.universe.newest(&file.name);
            offers.push(offer.ok_or_else(|| {
                cannot(
                    file,
                    format!(
                        "{} has no package of that name any more",
                        self.suites.release()
                    ),
                )
            })?);
        }
        offers.extend(
            self.added
                .keys()
                .filter_map(|name| self.suites.universe.newest(name)),
        );
        Ok(offers)
    }

    /// A new version may need a newer version of something that would stay: then that moves as well.
    fn settle_dependencies(&mut self) -> Result<(), LockError> {
        let architecture = self.lock.platform.debian();
        loop {
            let mut more = BTreeSet::new();
            for offer in self.offers()? {
                let package = &offer.package;
                let groups = relation::parse(&package.depends, architecture).unwrap_or_default();
                for alternative in groups.iter().flatten() {
                    let stays = self
                        .debs()
                        .find(|file| file.name == alternative.name && !self.moves(file));
                    if let Some(file) = stays.filter(|file| !alternative.accepts(&file.version)) {
                        let newest = self.suites.universe.newest(&file.name);
                        if newest.is_none_or(|newest| !alternative.accepts(&newest.package.version))
                        {
                            let cause = Unmet::Dependency {
                                package: package.name.to_string(),
                                version: package.version.to_string(),
                                needs: alternative.to_string(),
                                found: format!("{} is locked at {}", file.name, file.version),
                            };
                            return Err(LockError::Unmet {
                                suite: self.suites.release().to_owned(),
                                cause: Box::new(cause),
                            });
                        }
                        more.insert(file.source.clone());
                    }
                }
            }
            if more.is_empty() {
                return Ok(());
            }
            self.sources.extend(more);
        }
    }

    /// A new version may need a library that nothing locked has: then its package is added.
    fn settle_libraries(&mut self, context: &Context<'_>) -> Result<(), LockError> {
        let platform = self.lock.platform;
        let (architecture, machine) = (platform.debian(), platform.machine());
        let mut candidates = Candidates::default();
        loop {
            let new: Vec<Locked> = self
                .offers()?
                .into_iter()
                .map(|offer| self.suites.locked(offer))
                .collect();
            let changed: BTreeMap<String, Locked> = new
                .iter()
                .map(|file| (file.name.clone(), file.clone()))
                .collect();
            candidates.load(context, new)?;
            let stays: Vec<Locked> = self
                .debs()
                .filter(|file| !self.moves(file))
                .cloned()
                .collect();
            let gone = candidates.load_present(context, stays)?;
            if !gone.is_empty() {
                // More is gone than was known: it moves as well, and all is looked at again.
                for file in gone {
                    self.move_source(&file)?;
                }
                self.settle_dependencies()?;
                self.debs()
                    .filter(|file| self.moves(file))
                    .for_each(|file| candidates.forget(&file.name));
                continue;
            }
            let libraries = candidates.libraries(machine);
            let mut missing = Vec::new();
            for name in changed.keys() {
                let Some((_, Unpacked { elf, .. })) = candidates.get(name) else {
                    continue;
                };
                let mut providers = libraries.facts.clone();
                for (path, facts) in elf {
                    let file = path.rsplit('/').next().unwrap_or(path);
                    providers
                        .entry(facts.soname.clone().unwrap_or_else(|| file.to_owned()))
                        .or_insert_with(|| facts.clone());
                }
                let roots = elf
                    .iter()
                    .filter(|(_, facts)| facts.machine == machine)
                    .map(|(path, facts)| (path.as_str(), facts));
                missing.extend(
                    elf::needs(&providers, roots)
                        .missing
                        .into_iter()
                        .map(|need| (name.clone(), need)),
                );
            }
            let Some((owner, need)) = missing.into_iter().next() else {
                return Ok(());
            };
            let reason = format!("{owner} needs {}", need.soname);
            let before = self.added.len();
            if let Some(offer) = self.suites.universe.newest(&owner) {
                let groups =
                    relation::parse(&offer.package.depends, architecture).unwrap_or_default();
                let wanted = groups.iter().flatten().map(|alternative| alternative.name);
                let absent = wanted.filter(|name| name.starts_with("lib") && !candidates.has(name));
                let there: Vec<String> = absent
                    .filter(|name| self.suites.universe.newest(name).is_some())
                    .map(str::to_owned)
                    .collect();
                self.added
                    .extend(there.into_iter().map(|name| (name, reason.clone())));
            }
            if self.added.len() == before {
                return Err(LockError::MissingLibrary(Box::new(MissingLibrary {
                    owner,
                    file: need.file,
                    offered: self
                        .suites
                        .packages_with(context, &need.soname)
                        .unwrap_or_default(),
                    soname: need.soname,
                    symbols: need.version,
                })));
            }
        }
    }

    /// All but those of the machine that builds; `patches` tells what becomes of these.
    fn files(
        &self,
        mut patches: impl FnMut(&Locked) -> Result<Locked, LockError>,
    ) -> Result<Vec<Locked>, LockError> {
        let mut files = Vec::new();
        for file in &self.lock.files {
            files.push(match file.kind {
                kind if kind.is_of_python() => file.clone(),
                FileKind::Builder => continue,
                FileKind::DebianPatches => patches(file)?,
                FileKind::Deb if !self.moves(file) => file.clone(),
                FileKind::Deb => {
                    let offer = self.suites.universe.newest(&file.name);
                    let offer =
                        offer.ok_or_else(|| cannot(file, "it has no newer version".into()))?;
                    Locked {
                        reason: file.reason.clone(),
                        ..self.suites.locked(offer)
                    }
                }
                // A lock that has these is made anew as a whole.
                _ => file.clone(),
            });
        }
        for (name, reason) in &self.added {
            if let Some(offer) = self.suites.universe.newest(name) {
                files.push(Locked {
                    reason: reason.clone(),
                    ..self.suites.locked(offer)
                });
            }
        }
        Ok(files)
    }

    /// The interpreter's source package, in the version that its binaries move to or stay at.
    fn source_of_interpreter(&self, patches: &Locked) -> Result<(String, String), LockError> {
        let none = || cannot(patches, "no binary package of it is locked".into());
        let python = self.lock.python.as_deref().unwrap_or_default();
        let name = format!("python{python}");
        let binary = self.debs().find(|deb| deb.name == name).ok_or_else(none)?;
        let offer = self.suites.universe.newest(&binary.name);
        let package = &offer.ok_or_else(none)?.package;
        Ok((
            package.source.to_string(),
            package.source_version.to_string(),
        ))
    }
}

fn differences(lock: &Lock, files: &[Locked]) -> Vec<Moved> {
    let mut moved = Vec::new();
    for file in files {
        let before = lock
            .files
            .iter()
            .find(|before| (before.kind, &before.name) == (file.kind, &file.name));
        if before.is_none_or(|before| before.version != file.version) {
            moved.push(Moved {
                kind: file.kind,
                name: file.name.clone(),
                from: before.map(|before| before.version.clone()),
                to: file.version.clone(),
            });
        }
    }
    moved
}
