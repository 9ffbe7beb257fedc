//! A recipe → what it builds with besides its own lock: what lies in its folder, and the recipes whose
//! builds it uses, each with its own lock. Begin at [`App::besides`].

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{Digest, ObjectId, Session};

use super::app::{App, unreadable};
use super::exit::Failed;
use super::found::Forms;
use crate::build::collect::{Rules, collect};
use crate::plan::{Besides, Used};
use crate::recipe::{Recipe, SourceOrigin};

/// The largest archive in a recipe's folder (bytes).
const MOST: u64 = 8 << 30;

/// What was gathered, and what it was gathered from.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) besides: Besides,
    /// Locks of other recipes that were read.
    pub(super) locks: Vec<(Utf8PathBuf, Digest)>,
    /// Whether something was read whose bytes no memo has.
    pub(super) local: bool,
}

impl App {
    /// Gathers it; locks that are missing are made, unless `locked`.
    pub(super) fn besides(
        &self,
        recipe: &Recipe,
        session: &Session,
        locked: bool,
    ) -> Result<Gathered, Failed> {
        let mut gathered = Gathered::default();
        let sources = recipe.built.iter().flat_map(|built| &built.sources);
        for source in sources.chain(&recipe.archive) {
            if let SourceOrigin::Path(path) = &source.value.from {
                let object = local(session, path)?;
                let name = source.value.name.clone();
                gathered.besides.local.insert(name, object);
                gathered.local = true;
            }
        }
        for path in &recipe.uses {
            let forms = Forms::of(recipe.platform);
            let mut found = self.find(path.value.as_str(), &forms)?;
            let used = found.recipe()?;
            let lock = self.lock_for(&used, &found, session, locked)?;
            let below = self.besides(&used, session, locked)?;
            let digest = Digest::of(&found.lock_now()?);
            gathered.locks.push((found.lock_path, digest));
            gathered.locks.extend(below.locks);
            gathered.local |= below.local;
            gathered.besides.uses.push(Used {
                recipe: used,
                lock,
                besides: below.besides,
            });
        }
        Ok(gathered)
    }
}

/// What lies in the recipe's folder, kept in the store.
fn local(session: &Session, path: &Utf8Path) -> Result<ObjectId, Failed> {
    let about = fs::symlink_metadata(path).map_err(|error| unreadable(path, &error))?;
    if about.is_file() {
        let mut file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
        return Ok(session.put_reader(&mut file, false, MOST)?.into());
    }
    let rules = Rules {
        place: None,
        skip: &[".git"],
        ..Rules::default()
    };
    let tree = collect(session, path, &rules).map_err(|error| {
        Failed::File(super::advice::report(
            format!("the source at {path} cannot be taken: {error}"),
            "a source has files, folders and links between them: move the rest elsewhere".into(),
        ))
    })?;
    Ok(tree.into())
}
