//! The packages of all suites of a release, as one choice. Begin at [`Universe::choose`].
//!
//! Of each name the newest version over all suites counts, as apt does when all suites have one
//! priority. A dependency is met by what was chosen before, else by its first alternative that
//! exists, else by a package that provides it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::index::Package;
use super::relation::{self, Alternative};
use super::version::compare;

/// A package, and the suite that offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// The package.
    pub package: Package,
    /// Which of the loaded suites: an index into their list.
    pub suite: usize,
}

/// Packages that can be chosen.
#[derive(Debug, Default)]
pub(super) struct Universe {
    architecture: String,
    /// By name; the newest first.
    offers: HashMap<Box<str>, Vec<Offer>>,
    /// Virtual name → who provides it.
    providers: HashMap<Box<str>, Vec<Provider>>,
}

#[derive(Debug)]
struct Provider {
    name: Box<str>,
    version: Option<Box<str>>,
}

/// Why no set of packages can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// Nobody offers a name.
    #[error("there is no package {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A dependency that nothing meets.
    #[error("{package} {version} needs {needs}, and {found}")]
    Dependency {
        /// Who needs it.
        package: String,
        /// Its version.
        version: String,
        /// The dependency.
        needs: String,
        /// What there is instead.
        found: String,
    },
    /// Two chosen packages refuse each other.
    #[error("{package} {version} cannot be together with {other}")]
    Conflict {
        /// Who refuses.
        package: String,
        /// Its version.
        version: String,
        /// Whom.
        other: String,
    },
    /// One version of one package with two hashes.
    #[error("two different files are both called {name} {version}")]
    Ambiguous {
        /// The package.
        name: String,
        /// Its version.
        version: String,
    },
    /// A relation that cannot be read.
    #[error("{package}: the relation \"{field}\" cannot be read")]
    Malformed {
        /// The package.
        package: String,
        /// The field, shortened.
        field: String,
    },
}

/// Chosen packages by name.
pub(super) type Chosen<'u> = BTreeMap<String, &'u Offer>;

impl Universe {
    /// Nothing yet, for this architecture (`amd64`).
    pub(super) fn new(architecture: &str) -> Universe {
        Universe {
            architecture: architecture.to_owned(),
            ..Universe::default()
        }
    }

    /// Adds a package of a suite. Packages of other architectures are left out.
    pub(super) fn add(&mut self, package: Package, suite: usize) -> Result<(), Unmet> {
        if *package.architecture != *self.architecture && &*package.architecture != "all" {
            return Ok(());
        }
        let offers = self.offers.entry(package.name.clone()).or_default();
        if let Some(known) = offers
            .iter()
            .find(|known| known.package.version == package.version)
        {
            // Suites overlap: the same file may be offered by several.
            return if known.package.sha256 == package.sha256 {
                Ok(())
            } else {
                Err(Unmet::Ambiguous {
                    name: package.name.to_string(),
                    version: package.version.to_string(),
                })
            };
        }
        offers.push(Offer { package, suite });
        offers.sort_by(|a, b| compare(&b.package.version, &a.package.version));
        Ok(())
    }

    /// To be called after the last [`Universe::add`]: knows who provides what.
    pub(super) fn finish(&mut self) -> Result<(), Unmet> {
        let mut providers: HashMap<Box<str>, Vec<Provider>> = HashMap::new();
        for offer in self.offers.values().filter_map(|offers| offers.first()) {
            for group in relations(&offer.package, &offer.package.provides, &self.architecture)? {
                for provided in group {
                    let version = provided.version.map(|(_, version)| version.into());
                    let provider = Provider {
                        name: offer.package.name.clone(),
                        version,
                    };
                    providers
                        .entry(provided.name.into())
                        .or_default()
                        .push(provider);
                }
            }
        }
        for list in providers.values_mut() {
            list.sort_by(|a, b| a.name.cmp(&b.name));
        }
        self.providers = providers;
        Ok(())
    }

    /// The newest package of a name.
    pub(super) fn newest(&self, name: &str) -> Option<&Offer> {
        self.offers.get(name)?.first()
    }

    /// Names of the packages that every machine has, in order.
    pub(super) fn essential(&self) -> BTreeSet<&str> {
        let newest = self.offers.values().filter_map(|offers| offers.first());
        newest
            .filter(|offer| offer.package.essential)
            .map(|offer| &*offer.package.name)
            .collect()
    }

    /// Names that exist, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.offers.keys().map(|name| &**name)
    }

    /// Who provides a name that no package has.
    pub(super) fn providers(&self, name: &str) -> Vec<&str> {
        let list = self
            .providers
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        list.iter().map(|provider| &*provider.name).collect()
    }

    /// The roots and all they depend on. `prefer` names versions that are kept where they still exist and fit.
    pub(super) fn choose<'u>(
        &'u self,
        roots: &[&str],
        prefer: &BTreeMap<String, String>,
    ) -> Result<Chosen<'u>, Unmet> {
        let mut chosen = Chosen::new();
        let mut queue = VecDeque::new();
        for root in roots {
            let offer = self.pick(root, prefer).ok_or_else(|| Unmet::Unknown {
                name: (*root).to_owned(),
            })?;
            if chosen.insert((*root).to_owned(), offer).is_none() {
                queue.push_back(offer);
            }
        }
        while let Some(offer) = queue.pop_front() {
            let package = &offer.package;
            for group in relations(package, &package.depends, &self.architecture)? {
                if group
                    .iter()
                    .any(|alternative| is_met(alternative, &chosen, &self.providers))
                {
                    continue;
                }
                let found = group
                    .iter()
                    .find_map(|alternative| self.meet(alternative, prefer));
                let found = found.ok_or_else(|| self.unmet(package, &group))?;
                let name = found.package.name.to_string();
                if let Some(known) = chosen.insert(name, found) {
                    // It was chosen before in a version that does not fit here, and versions are fixed once chosen.
                    let version = known.package.version.clone();
                    return Err(Unmet::Dependency {
                        package: package.name.to_string(),
                        version: package.version.to_string(),
                        needs: shown(&group),
                        found: format!(
                            "{} {version} was chosen for another package",
                            known.package.name
                        ),
                    });
                }
                queue.push_back(found);
            }
        }
        self.check_conflicts(&chosen)?;
        Ok(chosen)
    }

    /// The direct dependencies of a chosen package, among the chosen.
    pub(super) fn direct<'c>(
        &self,
        package: &Package,
        chosen: &'c Chosen<'_>,
    ) -> Result<Vec<&'c str>, Unmet> {
        let mut names = Vec::new();
        for group in relations(package, &package.depends, &self.architecture)? {
            for alternative in group {
                let provided = self
                    .providers
                    .get(alternative.name)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let all = std::iter::once(alternative.name)
                    .chain(provided.iter().map(|provider| &*provider.name));
                names.extend(
                    all.filter_map(|name| chosen.get_key_value(name))
                        .map(|(name, _)| name.as_str()),
                );
            }
        }
        Ok(names)
    }

    fn pick(&self, name: &str, prefer: &BTreeMap<String, String>) -> Option<&Offer> {
        let offers = self.offers.get(name)?;
        let kept = prefer.get(name).and_then(|version| {
            offers
                .iter()
                .find(|offer| *offer.package.version == **version)
        });
        kept.or_else(|| offers.first())
    }

    fn meet(
        &self,
        alternative: &Alternative<'_>,
        prefer: &BTreeMap<String, String>,
    ) -> Option<&Offer> {
        let real = self
            .pick(alternative.name, prefer)
            .filter(|offer| alternative.accepts(&offer.package.version));
        // A kept version may be too old for what was asked; the newest may do.
        let real = real.or_else(|| {
            self.newest(alternative.name)
                .filter(|offer| alternative.accepts(&offer.package.version))
        });
        let provided = || {
            let list = self.providers.get(alternative.name)?;
            list.iter()
                .find(|provider| provider.meets(alternative))
                .and_then(|provider| self.pick(&provider.name, prefer))
        };
        real.or_else(provided)
    }

    fn unmet(&self, package: &Package, group: &[Alternative<'_>]) -> Unmet {
        let there: Vec<String> = group
            .iter()
            .filter_map(|alternative| self.newest(alternative.name))
            .map(|offer| format!("{} is at {}", offer.package.name, offer.package.version))
            .collect();
        let found = if there.is_empty() {
            "nothing of that name exists".to_owned()
        } else {
            there.join(", ")
        };
        let (name, version) = (package.name.to_string(), package.version.to_string());
        Unmet::Dependency {
            package: name,
            version,
            needs: shown(group),
            found,
        }
    }

    fn check_conflicts(&self, chosen: &Chosen<'_>) -> Result<(), Unmet> {
        for (name, offer) in chosen {
            let package = &offer.package;
            for alternative in relations(package, &package.conflicts, &self.architecture)?
                .into_iter()
                .flatten()
            {
                // A package never conflicts with itself, also not through what it provides.
                let real = chosen
                    .get(alternative.name)
                    .filter(|other| other.package.name != package.name)
                    .filter(|other| alternative.accepts(&other.package.version));
                let list = self
                    .providers
                    .get(alternative.name)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let provided = list
                    .iter()
                    .filter(|provider| {
                        *provider.name != **name && chosen.contains_key(&*provider.name)
                    })
                    .find(|provider| provider.meets(&alternative));
                let other = real
                    .map(|other| &*other.package.name)
                    .or(provided.map(|provider| &*provider.name));
                if let Some(other) = other {
                    let version = package.version.to_string();
                    return Err(Unmet::Conflict {
                        package: name.clone(),
                        version,
                        other: other.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

impl Provider {
    /// A name that is provided without a version meets only a dependency without one.
    fn meets(&self, alternative: &Alternative<'_>) -> bool {
        match (&alternative.version, &self.version) {
            (None, _) => true,
            (Some(_), Some(version)) => alternative.accepts(version),
            (Some(_), None) => false,
        }
    }
}

fn is_met(
    alternative: &Alternative<'_>,
    chosen: &Chosen<'_>,
    providers: &HashMap<Box<str>, Vec<Provider>>,
) -> bool {
    let real = chosen
        .get(alternative.name)
        .is_some_and(|known| alternative.accepts(&known.package.version));
    let list = || {
        providers
            .get(alternative.name)
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    real || list()
        .iter()
        .any(|provider| chosen.contains_key(&*provider.name) && provider.meets(alternative))
}

fn relations<'p>(
    package: &'p Package,
    field: &'p str,
    architecture: &str,
) -> Result<Vec<Vec<Alternative<'p>>>, Unmet> {
    relation::parse(field, architecture).ok_or_else(|| Unmet::Malformed {
        package: package.name.to_string(),
        field: field
            .chars()
            .take(80)
            .collect::<String>()
            .escape_debug()
            .to_string(),
    })
}

fn shown(group: &[Alternative<'_>]) -> String {
    group
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" | ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
