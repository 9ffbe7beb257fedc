//! What a recipe builds from sources → the steps that make it, and its layer of the closure. Begin at
//! [`Drawing::built`].

use petgraph::graph::NodeIndex;

use super::{Drawing, Drawn, Keep, PatchText, SourceFile, Step, host};
use crate::lock::{FileKind, Lock};
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

impl Drawing {
    /// The layer of what is built.
    pub(super) fn built(&mut self, recipe: &Recipe, lock: &Lock) -> Option<Drawn> {
        let built = recipe.built.as_ref()?;
        let tree = self.build(recipe, built, lock);
        let tree = self.add(
            &recipe.name,
            Step::Select {
                tree,
                only: Vec::new(),
                without: elsewhere(built),
            },
        );
        let tree = self.add(
            &recipe.name,
            Step::LayOut {
                tree,
                subject: recipe.name.clone(),
                compiled_in: built.build.value.compiled_in.clone(),
            },
        );
        let tree = self.add(
            &recipe.name,
            Step::Relocate {
                tree,
                patches: None,
                python: None,
                host: host(recipe),
                fixed: None,
            },
        );
        let scan = self.add(&recipe.name, Step::Scan { tree });
        Some(Drawn {
            name: recipe.name.clone(),
            tree,
            scan,
            keep: Keep::All,
            python_files: false,
        })
    }

    /// All that the build makes.
    fn build(&mut self, recipe: &Recipe, built: &Built, lock: &Lock) -> NodeIndex {
        let sysroot = self.sysroot(lock);
        let sources = built.sources.iter().map(|source| {
            let name = source.value.name.clone();
            (name, self.source(&source.value, built, lock))
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
    pub(super) fn sysroot(&mut self, lock: &Lock) -> NodeIndex {
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
        self.add(
            "sysroot",
            Step::Sysroot {
                packages,
                uses: Vec::new(),
            },
        )
    }

    fn source(&mut self, source: &Source, built: &Built, lock: &Lock) -> NodeIndex {
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
        let files = files.collect();
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
