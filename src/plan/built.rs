//! What a recipe builds from sources → the steps that make it, and its layers of the closure. Begin at
//! [`Drawing::built`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use recipe_store::ObjectId;

use super::{
    Drawing, Drawn, FixedPath, Keep, OwnPython, PatchText, SourceFile, Step, host, is_pristine,
};
use crate::lock::{FileKind, Lock, Locked};
use crate::recipe::{Built, Patch, Recipe, Source, SourceOrigin};

/// What belongs to the output `dev`, unless the recipe has outputs of its own: what only those need
/// who build on top.
const DEV: [&str; 10] = [
    HEADERS,
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
const HEADERS: &str = "include/**";
/// What belongs to `doc`. Of `share/doc` a closure takes the licences alone.
const DOC: [&str; 4] = [
    "share/man/**",
    "share/info/**",
    "share/gtk-doc/**",
    "man/**",
];

/// What a recipe builds with, besides its own lock.
#[derive(Debug, Clone, Default)]
pub struct Besides {
    /// Sources that lie in its own folder, by name: what was found there.
    pub local: BTreeMap<String, ObjectId>,
    /// Recipes whose builds it uses.
    pub uses: Vec<Arc<Used>>,
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
    /// Where the interpreter is none of the distribution's, it comes last.
    pub(super) fn built(
        &mut self,
        recipe: &Recipe,
        lock: &Lock,
        besides: &Besides,
        fixed: Option<FixedPath<NodeIndex>>,
    ) -> Vec<Drawn> {
        let keep = match recipe.built {
            Some(_) => Keep::IfNeeded,
            None => Keep::All,
        };
        let mut drawn = Vec::new();
        let mut known: BTreeSet<String> = debs(lock).map(|file| file.name.clone()).collect();
        let mut waiting: Vec<&Arc<Used>> = besides.uses.iter().rev().collect();
        let mut seen = BTreeSet::new();
        while let Some(used) = waiting.pop() {
            if !seen.insert(used.recipe.title()) {
                continue;
            }
            waiting.extend(used.besides.uses.iter().rev());
            if let (Some(tree), Some(built)) = (self.used(used), &used.recipe.built) {
                let made = self.taken(recipe, &used.recipe, built, tree);
                drawn.push(self.own(recipe, (&used.recipe, &used.lock), made, keep, None));
            }
            for file in debs(&used.lock) {
                if super::is_linkable(&used.lock, file) && known.insert(file.name.clone()) {
                    drawn.push(self.deb(recipe, &used.lock, file, None, None));
                }
            }
        }
        let mut made = self.made(recipe, recipe, lock, besides);
        if let Some(archive) = &recipe.archive {
            let tree = self.source(recipe, &archive.value, &[], lock, besides);
            made = Some((tree, Vec::new()));
        }
        drawn.extend(made.map(|made| self.own(recipe, (recipe, lock), made, Keep::All, fixed)));
        drawn
    }

    /// What `of` builds of which the closure of `recipe` takes something, and what may stay in it.
    fn made(
        &mut self,
        recipe: &Recipe,
        of: &Recipe,
        lock: &Lock,
        besides: &Besides,
    ) -> Option<(NodeIndex, Vec<String>)> {
        let built = of.built.as_ref()?;
        let tree = self.build(of, built, lock, besides);
        Some(self.taken(recipe, of, built, tree))
    }

    /// What of `tree`, which `of` builds, the closure of `recipe` takes.
    fn taken(
        &mut self,
        recipe: &Recipe,
        of: &Recipe,
        built: &Built,
        tree: NodeIndex,
    ) -> (NodeIndex, Vec<String>) {
        let tree = self.add(
            &of.name,
            Step::Select {
                tree,
                only: Vec::new(),
                without: elsewhere(recipe, of, built),
            },
        );
        (tree, built.build.value.compiled_in.clone())
    }

    /// What `of` made and no package has: laid out and relocated, for the closure of `recipe`.
    fn own(
        &mut self,
        recipe: &Recipe,
        (of, lock): (&Recipe, &Lock),
        (tree, compiled_in): (NodeIndex, Vec<String>),
        keep: Keep,
        fixed: Option<FixedPath<NodeIndex>>,
    ) -> Drawn {
        let pristine = is_pristine(of);
        let version = lock.python.clone().filter(|_| pristine);
        let python = version.clone().map(|version| OwnPython {
            version,
            platform: lock.platform,
        });
        let tree = self.add(
            &of.name,
            Step::LayOut {
                tree,
                subject: of.name.clone(),
                compiled_in,
                python,
            },
        );
        let tree = self.add(
            &of.name,
            Step::Relocate {
                tree,
                patches: None,
                python: version,
                pristine,
                host: host(recipe),
                fixed,
            },
        );
        let scan = self.add(&of.name, Step::Scan { tree });
        Drawn {
            name: of.name.clone(),
            tree,
            scan,
            keep,
            python_files: pristine,
        }
    }

    /// All that the build of a recipe makes.
    fn build(
        &mut self,
        recipe: &Recipe,
        built: &Built,
        lock: &Lock,
        besides: &Besides,
    ) -> NodeIndex {
        let uses = besides.uses.iter().filter_map(|used| self.used(used));
        let outputs: Vec<NodeIndex> = uses.collect();
        let used = match outputs[..] {
            [] => None,
            _ => Some(self.add(&recipe.name, Step::Used { outputs })),
        };
        let sysroot = self.sysroot(lock);
        let sources = built.sources.iter().map(|source| {
            let name = source.value.name.clone();
            let patches = &built.build.value.patches;
            (
                name,
                self.source(recipe, &source.value, patches, lock, besides),
            )
        });
        let sources = sources.collect();
        let spec = &built.build.value;
        self.add(
            &recipe.name,
            Step::Build {
                sysroot,
                used,
                sources,
                env: spec.env.clone().into_iter().collect(),
                runs: spec.runs.clone(),
                date: lock.date,
            },
        )
    }

    /// The same of a recipe that others use: drawn once, however many do.
    fn used(&mut self, used: &Arc<Used>) -> Option<NodeIndex> {
        let built = used.recipe.built.as_ref()?;
        let key = Arc::as_ptr(used) as usize;
        if let Some(node) = self.used.get(&key) {
            return Some(*node);
        }
        let node = self.build(&used.recipe, built, &used.lock, &used.besides);
        self.used.insert(key, node);
        Some(node)
    }

    /// The machine that builds see.
    pub(super) fn sysroot(&mut self, lock: &Lock) -> NodeIndex {
        let files = lock.files.iter();
        let packages = files.filter(|file| file.kind == FileKind::Sysroot);
        let packages = packages.map(|file| {
            let deb = self.fetch(file);
            // The closure may have the same package.
            self.add(
                &format!("{} sysroot", file.name),
                Step::UnpackPackage {
                    deb,
                    package: file.name.clone(),
                },
            )
        });
        let packages = packages.collect();
        self.add("sysroot", Step::Sysroot { packages })
    }

    /// A source of the recipe `of`.
    fn source(
        &mut self,
        of: &Recipe,
        source: &Source,
        patches: &[Patch],
        lock: &Lock,
        besides: &Besides,
    ) -> NodeIndex {
        // Every recipe may call one of its own the same, such as `src`.
        let subject = format!("{} {}", of.name, source.name);
        let locked = lock
            .files
            .iter()
            .filter(|file| file.kind == FileKind::Source && file.name == source.name);
        let files = locked.map(|file| {
            let url = match &source.from {
                SourceOrigin::Url { url, .. } => Some(url.clone()),
                SourceOrigin::Git { url, commit } => Some(format!("{url}#{commit}")),
                _ => None,
            };
            SourceFile {
                name: file.file_name().to_owned(),
                file: self.fetch_at(file, url),
            }
        });
        let mut files: Vec<SourceFile<NodeIndex>> = files.collect();
        if let (SourceOrigin::Path(path), Some(object)) =
            (&source.from, besides.local.get(&source.name))
        {
            files.push(SourceFile {
                name: path.file_name().unwrap_or(&source.name).to_owned(),
                file: self.add(&subject, Step::Local { object: *object }),
            });
        }
        let patches = patches.iter();
        let patches = patches.filter(|patch| patch.source == source.name);
        let patches = patches.map(|patch| PatchText {
            name: patch.file.to_string(),
            text: patch.text.clone(),
        });
        let patches = patches.collect();
        self.add(
            &subject,
            Step::UnpackSource {
                files,
                patched: matches!(source.from, SourceOrigin::Debian { patched: true, .. }),
                patches,
            },
        )
    }
}

/// Patterns of what belongs to other outputs than `out`, and of what the recipe excludes. An
/// interpreter's headers belong to it: packages are built on top of it.
fn elsewhere(recipe: &Recipe, of: &Recipe, built: &Built) -> Vec<String> {
    let outputs = &built.build.value.outputs;
    let mut patterns: Vec<String> = if outputs.is_empty() {
        let usual = DEV.iter().chain(&DOC);
        let usual = usual.filter(|it| !(is_pristine(of) && **it == HEADERS));
        usual.map(|pattern| (*pattern).to_owned()).collect()
    } else {
        outputs.values().flatten().cloned().collect()
    };
    let excluded = recipe.system.exclude.iter().map(|it| &it.value);
    patterns.extend(excluded.filter(|it| it.contains(['/', '*'])).cloned());
    patterns
}

fn debs(lock: &Lock) -> impl Iterator<Item = &Locked> {
    let files = lock.files.iter();
    files.filter(|file| file.kind == FileKind::Deb)
}
