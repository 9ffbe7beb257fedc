//! A tree and a few changed paths → the new tree. Begin at [`Changes::apply`].
//!
//! Only the folders on the way to a change are encoded again; all else keeps its id.

use std::collections::BTreeMap;

use recipe_store::{Entry, Session, StoreError, Tree, TreeId};

/// What changes in a tree: path → the new entry, or `None` where the old one goes.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<String, Option<Entry>>);

impl Changes {
    /// `path` becomes `entry`.
    pub(super) fn set(&mut self, path: &str, entry: Entry) {
        self.0.insert(path.to_owned(), Some(entry));
    }

    /// `path` goes; a folder that is empty then goes too.
    pub(super) fn remove(&mut self, path: &str) {
        self.0.insert(path.to_owned(), None);
    }

    /// The entry that `path` is to become, if that was said.
    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        self.0.get(path)?.as_ref()
    }

    /// The tree after all changes.
    pub(super) fn apply(self, session: &Session, tree: &TreeId) -> Result<TreeId, StoreError> {
        if self.0.is_empty() {
            return Ok(*tree);
        }
        let changes: Vec<(&str, Option<Entry>)> = self.0.iter().map(|(path, entry)| (path.as_str(), entry.clone())).collect();
        let changed = amend(session, session.read_tree(tree)?, &changes)?;
        session.put_tree(&changed)
    }
}

/// `changes` are sorted by path, so those of one folder stand together.
fn amend(session: &Session, mut tree: Tree, changes: &[(&str, Option<Entry>)]) -> Result<Tree, StoreError> {
    let mut folders: BTreeMap<&str, Vec<(&str, Option<Entry>)>> = BTreeMap::new();
    for (path, entry) in changes {
        match (path.split_once('/'), entry) {
            (Some((folder, rest)), entry) => folders.entry(folder).or_default().push((rest, entry.clone())),
            (None, Some(entry)) => drop(tree.replace(path, entry.clone())?),
            (None, None) => drop(tree.remove(path)),
        }
    }
    for (name, changes) in folders {
        let below = match tree.get(name) {
            Some(Entry::Directory(id)) => session.read_tree(id)?,
            _ => Tree::new(),
        };
        let below = amend(session, below, &changes)?;
        if below.is_empty() {
            tree.remove(name);
        } else {
            tree.replace(name, Entry::Directory(session.put_tree(&below)?))?;
        }
    }
    Ok(tree)
}
