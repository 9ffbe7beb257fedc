//! A name → the plan of its recipe, with all that it was made from. Begin at [`App::planned`].

use recipe_store::Session;

use super::app::App;
use super::besides::Gathered;
use super::exit::Failed;
use super::found::{Forms, Found};
use crate::lock::Lock;
use crate::plan::Plan;
use crate::recipe::Recipe;

/// A plan, and what it is the plan of.
pub(super) struct Planned {
    pub(super) found: Found,
    pub(super) recipe: Recipe,
    pub(super) lock: Lock,
    pub(super) gathered: Gathered,
    pub(super) plan: Plan,
    pub(super) session: Session,
}

impl App {
    /// Reads a recipe and its lock, and plans its build. No store is made for a recipe that cannot be read. A lock that
    /// is missing is made, unless `locked`.
    pub(super) fn planned(
        &self,
        name: &str,
        forms: &Forms,
        locked: bool,
    ) -> Result<Planned, Failed> {
        let mut found = self.find(name, forms)?;
        let recipe = found.recipe()?;
        let session = self.store()?.session()?;
        let lock = self.lock_for(&recipe, &found, &session, locked)?;
        let gathered = self.besides(&recipe, &session, locked)?;
        let host = self.running(lock.platform).host;
        let plan = Plan::with(&recipe, &lock, &gathered.besides, host);
        Ok(Planned {
            found,
            recipe,
            lock,
            gathered,
            plan,
            session,
        })
    }
}
