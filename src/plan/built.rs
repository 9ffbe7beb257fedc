//! What a recipe builds from sources → the steps that make it, and its layers of the closure. Begin at
//! [`Drawing::built`].

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;
use recipe_store::ObjectId;

use super::{Drawing, Drawn, Keep, PatchText, SourceFile, Step, host};
use crate::lock::{FileKind, Lock, Locked};
use crate::recipe::{Built, Recipe, Source, SourceOrigin};

/// What belongs to the output `dev`, unless the recipe has outputs of its own: what only those need
/// who build on top.
const DEV: [&str; 10] = [
    "include/**",
    "**/*.a",
    "**/*.la",
    "lib/pkgconfig/**",
    "lib/*/pkgconfig/**",
    "lib64/pkgconfig/**",
    "share/pkgconfig/**",
    "lib/cmake/**",
    "lib/*/cmake/**",
    "share/aclocal/**",
];
/// What belongs to `doc`.
const DOC: [&str; 5] = [
    "share/man/**",
    "share/info/**",
    "share/doc/**",
    "share/gtk-doc/**",
    "man/**",
];

/// What a recipe builds with, besides its own lock.
#[derive(Debug, Clone, Default)]
pub struct Besides {
    /// Sources that lie in its own folder, by name: what was found there.
    pub local: BTreeMap<String, ObjectId>,
    /// Recipes whose builds it uses.
    pub uses: Vec<Used>,
}

/// A recipe whose build another one uses.
#[derive(Debug, Clone)]
pub struct Used {
    /// The recipe.
    pub recipe: Recipe,
    /// Its own lock.
    pub lock: Lock,
    /// What it builds with.
    pub besides: Besides,
}

impl Drawing {
    /// The layers of what is built: of what the recipe uses, then its own. A recipe that builds uses
    /// tools as well as libraries: of those it uses there is only what something needs.
    pub(super) fn built(&mut self, recipe: &Recipe, lock: &Lock, besides: &Besides) -> Vec<Drawn> {
        let keep = match recipe.built {
            Some(_) => Keep::IfNeeded,
            None => Keep::All,
        };
        let mut drawn = Vec::new();
        let mut known: BTreeSet<String> = debs(lock).map(|file| file.name.clone()).collect();
        let mut waiting: Vec<&Used> = besides.uses.iter().rev().collect();
        let mut seen = BTreeSet::new();
        while let Some(used) = waiting.pop() {
            if !seen.insert(used.recipe.title()) {
                continue;
            }
            waiting.extend(used.besides.uses.iter().rev());
            drawn.extend(self.layer(recipe, &used.recipe, &used.lock, &used.besides, keep));
            for file in debs(&used.lock) {
                if super::is_linkable(&used.lock, file) && known.insert(file.name.clone()) {
                    drawn.push(self.deb(recipe, &used.lock, file, None, None));
                }
            }
        }
        drawn.extend(self.layer(recipe, recipe, lock, besides, Keep::All));
        drawn
    }

    /// The layer of what `of` builds, in the closure of `recipe`.
    fn layer(
        &mut self,
        recipe: &Recipe,
        of: &Recipe,
        lock: &Lock,
        besides: &Besides,
        keep: Keep,
    ) -> Option<Drawn> {
        let built = of.built.as_ref()?;
        let tree = self.build(of, built, lock, besides);
        let tree = self.add(
            &of.name,
            Step::Select {
                tree,
                only: Vec::new(),
                without: elsewhere(built),
            },
        );
        let tree = self.add(
            &of.name,
            Step::LayOut {
                tree,
                subject: of.name.clone(),
                compiled_in: built.build.value.compiled_in.clone(),
            },
        );
        let tree = self.add(
            &of.name,
            Step::Relocate {
                tree,
                patches: None,
                python: None,
                host: host(recipe),
                fixed: None,
            },
        );
        let scan = self.add(&of.name, Step::Scan { tree });
        Some(Drawn {
            name: of.name.clone(),
            tree,
            scan,
            keep,
            python_files: false,
        })
    }

    /// All that the build of a recipe makes.
    fn build(
        &mut self,
        recipe: &Recipe,
        built: &Built,
        lock: &Lock,
        besides: &Besides,
    ) -> NodeIndex {
        let uses = besides.uses.iter().filter_map(|used| {
            let built = used.recipe.built.as_ref()?;
            Some(self.build(&used.recipe, built, &used.lock, &used.besides))
        });
        let uses = uses.collect();
        let sysroot = self.sysroot(lock, uses);
        let sources = built.sources.iter().map(|source| {
            let name = source.value.name.clone();
            (name, self.source(&source.value, built, lock, besides))
        });
        let sources = sources.collect();
        let spec = &built.build.value;
        self.add(
            &recipe.name,
            Step::Build {
                sysroot,
                sources,
                env: spec.env.clone().into_iter().collect(),
                runs: spec.runs.clone(),
                date: lock.date,
            },
        )
    }

    /// The machine that builds see.
    fn sysroot(&mut self, lock: &Lock, uses: Vec<NodeIndex>) -> NodeIndex {
        let files = lock.files.iter();
        let packages = files.filter(|file| file.kind == FileKind::Sysroot);
        let packages = packages.map(|file| {
            let deb = self.fetch(file);
            self.add(
                &file.name,
                Step::UnpackPackage {
                    deb,
                    package: file.name.clone(),
                },
            )
        });
        let packages = packages.collect();
        self.add("sysroot", Step::Sysroot { packages, uses })
    }

    fn source(
        &mut self,
        source: &Source,
        built: &Built,
        lock: &Lock,
        besides: &Besides,
    ) -> NodeIndex {
        let locked = lock
            .files
            .iter()
            .filter(|file| file.kind == FileKind::Source && file.name == source.name);
        let files = locked.map(|file| {
            let url = match &source.from {
                SourceOrigin::Url { url, .. } => Some(url.clone()),
                _ => None,
            };
            SourceFile {
                name: file
                    .path
                    .rsplit('/')
                    .next()
                    .unwrap_or(&file.path)
                    .to_owned(),
                file: self.fetch_at(file, url),
            }
        });
        let mut files: Vec<SourceFile<NodeIndex>> = files.collect();
        if let (SourceOrigin::Path(path), Some(object)) =
            (&source.from, besides.local.get(&source.name))
        {
            files.push(SourceFile {
                name: path.file_name().unwrap_or(&source.name).to_owned(),
                file: self.add(&source.name, Step::Local { object: *object }),
            });
        }
        let patches = built.build.value.patches.iter();
        let patches = patches.filter(|patch| patch.source == source.name);
        let patches = patches.map(|patch| PatchText {
            name: patch.file.to_string(),
            text: patch.text.clone(),
        });
        let patches = patches.collect();
        self.add(
            &source.name,
            Step::UnpackSource {
                files,
                patched: matches!(source.from, SourceOrigin::Debian { patched: true, .. }),
                patches,
            },
        )
    }
}

/// Patterns of what belongs to other outputs than `out`.
fn elsewhere(built: &Built) -> Vec<String> {
    let outputs = &built.build.value.outputs;
    if outputs.is_empty() {
        let usual = DEV.iter().chain(&DOC);
        return usual.map(|pattern| (*pattern).to_owned()).collect();
    }
    outputs.values().flatten().cloned().collect()
}

fn debs(lock: &Lock) -> impl Iterator<Item = &Locked> {
    let files = lock.files.iter();
    files.filter(|file| file.kind == FileKind::Deb)
}
