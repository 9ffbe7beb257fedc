//! [`Recipe`] → what a lock depends on, and its digest. Begin at [`Recipe::lock_facts`].
//!
//! A lock is out of date when these facts differ from those it was made for. They are sorted and
//! canonical: the order of a recipe, its spelling of a project's name, its checks, its trimming
//! and its description change no lock.

use recipe_store::Digest;

use super::{Recipe, Source, SourceOrigin, Spanned, Sysroot};
use crate::platform::Platform;

/// Raised when the form of a fact changes: every lock is then out of date once.
const VERSION: &str = "recipe lock request 1";

impl Recipe {
    /// What a lock must answer, one line for each fact, sorted: `pip psutil>=5.9`. A lock keeps
    /// these lines, so that "out of date" can say what was added and what is gone.
    #[must_use]
    pub fn lock_facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        // Said only where it is another than it always was, so that older locks stay up to date.
        if self.platform != Platform::default() {
            facts.push(format!("platform {}", self.platform));
        }
        if let Some(interpreter) = &self.interpreter {
            let it = &interpreter.value;
            let from = it.from.name();
            facts.push(format!(
                "interpreter {} {} from {from} {}",
                it.language, it.version, it.suite
            ));
            if let Some(patches) = &it.patches {
                let it = &patches.value;
                facts.push(format!("patches {} from {from} {}", it.source, it.suite));
            }
        }
        for requirement in self.requirements() {
            let mut fact = format!("pip {}", requirement.text);
            for hash in &requirement.hashes {
                fact += &format!(" --hash={hash}");
            }
            facts.push(fact);
        }
        for package in &self.system.packages {
            facts.push(format!("system package {}", package.value));
        }
        for exclusion in &self.system.exclude {
            facts.push(format!("system exclude {}", exclusion.value));
        }
        for project in &self.pip.no_binary {
            facts.push(format!("pip no-binary {}", project.value));
        }
        for it in &self.pip.overrides {
            facts.push(format!("pip override {}", it.value.text));
        }
        for it in &self.pip.build_constraints {
            facts.push(format!("pip build-constraint {}", it.value.text));
        }
        if let Some(built) = &self.built {
            facts.extend(sysroot_facts(&built.sysroot.value));
            facts.extend(built.sources.iter().filter_map(source_fact));
        } else if let Some(sdists) = &self.sdists {
            facts.extend(sysroot_facts(&sdists.sysroot.value));
        }
        if let Some(archive) = &self.archive {
            facts.extend(source_fact(archive));
        }
        facts.sort();
        facts
    }

    /// The digest of [`Recipe::lock_facts`]: a lock holds it, and is out of date when it differs.
    #[must_use]
    pub fn lock_digest(&self) -> Digest {
        let mut bytes = VERSION.as_bytes().to_vec();
        for fact in self.lock_facts() {
            // No fact holds a line end: the grammar refuses control characters in every value.
            bytes.push(b'\n');
            bytes.extend_from_slice(fact.as_bytes());
        }
        Digest::of(&bytes)
    }
}

/// What a build asks of the distribution.
fn sysroot_facts(sysroot: &Sysroot) -> Vec<String> {
    let mut facts = vec![format!("sysroot debian {}", sysroot.suite)];
    let packages = sysroot.packages.iter();
    facts.extend(packages.map(|package| format!("sysroot package {package}")));
    facts
}

/// What a source asks of a lock. A path is no such thing: what lies there is read by every build.
fn source_fact(source: &Spanned<Source>) -> Option<String> {
    let Source { name, from } = &source.value;
    match from {
        SourceOrigin::Debian { package, patched } => {
            let patches = if *patched { "" } else { " without patches" };
            Some(format!("source {name} debian {package}{patches}"))
        }
        SourceOrigin::Url { url: _, sha256 } => Some(format!("source {name} sha256 {sha256}")),
        SourceOrigin::Git { url: _, commit } => Some(format!("source {name} commit {commit}")),
        SourceOrigin::Path(_) => None,
    }
}
