//! Paths → nested trees. Begin at [`TreeBuilder::insert`]; [`TreeBuilder::finish`] stores them bottom-up.
//!
//! Whole trees can be laid in at any path, several in one place: [`TreeBuilder::merge`]. Only
//! directories in which something meets are read and written again; all others keep their id. No file is
//! read at all.

use std::collections::BTreeMap;

use crate::digest::TreeId;
use crate::error::{Result, StoreError};
use crate::session::Session;
use crate::tree::{DEPTH_LIMIT, Entry, Tree, TreeError, check_entry, check_name, shown};

/// Collects entries by path and makes the directories that hold them.
#[derive(Debug)]
pub struct TreeBuilder {
    /// A directory stands before those in it.
    nodes: Vec<Node>,
}

/// A directory that is being made.
#[derive(Debug, Default)]
struct Node {
    path: String,
    /// Trees whose entries it holds.
    bases: Vec<TreeId>,
    /// Whether what trees further up have in its place is hidden.
    opaque: bool,
    edits: BTreeMap<Box<str>, Edit>,
}

/// What was asked for a name in a directory.
#[derive(Debug)]
enum Edit {
    /// A file or symlink; whether it may take the place of what a base has there.
    Put(Entry, bool),
    /// Nothing is to be there.
    Remove,
    /// The directory with this index.
    Node(usize),
}

/// What a name in a directory turned out to be.
enum Slot {
    Entry(Entry),
    /// Directories of several trees that meet.
    Meet(Vec<TreeId>),
    Node(usize),
}

impl Default for TreeBuilder {
    fn default() -> TreeBuilder {
        TreeBuilder {
            nodes: vec![Node::default()],
        }
    }
}

impl TreeBuilder {
    /// An empty directory.
    pub fn new() -> TreeBuilder {
        TreeBuilder::default()
    }

    /// A builder that starts with all that a tree has.
    pub fn from_tree(base: TreeId) -> TreeBuilder {
        TreeBuilder {
            nodes: vec![Node {
                bases: vec![base],
                ..Node::default()
            }],
        }
    }

    /// Adds an entry at `a/b/c`, with the directories above it. A directory is laid over what is
    /// there; a file or symlink may meet only its equal. A clash with a tree that was laid in shows
    /// in [`TreeBuilder::finish`].
    pub fn insert(&mut self, path: &str, entry: Entry) -> Result<(), TreeError> {
        check_entry(path, &entry)?;
        match entry {
            Entry::Directory(tree) => self.merge(path, tree),
            file => self.put(path, file, false),
        }
    }

    /// Puts an entry at `a/b/c`, whatever was there.
    pub fn replace(&mut self, path: &str, entry: Entry) -> Result<(), TreeError> {
        check_entry(path, &entry)?;
        match entry {
            Entry::Directory(tree) => {
                let (parent, name) = self.parent(path)?;
                self.nodes[parent].edits.remove(name);
                let node = self.child(parent, name, path)?;
                self.nodes[node].opaque = true;
                self.nodes[node].bases.push(tree);
                Ok(())
            }
            file => self.put(path, file, true),
        }
    }

    /// Makes sure there is a directory at `a/b/c`. The empty path is the root.
    pub fn directory(&mut self, path: &str) -> Result<(), TreeError> {
        self.node(path).map(drop)
    }

    /// Lays a tree over what is at `a/b/c`; the empty path is the root. Directories become one; a
    /// file or symlink that both have must be the same in both.
    pub fn merge(&mut self, path: &str, tree: TreeId) -> Result<(), TreeError> {
        let node = self.node(path)?;
        self.nodes[node].bases.push(tree);
        Ok(())
    }

    /// Takes out what is at `a/b/c`, with all below it. Nothing there is as good.
    pub fn remove(&mut self, path: &str) -> Result<(), TreeError> {
        let (parent, name) = self.parent(path)?;
        self.nodes[parent].edits.insert(name.into(), Edit::Remove);
        Ok(())
    }

    /// Stores all directories and gives the id of the root.
    pub fn finish(mut self, session: &Session) -> Result<TreeId> {
        let mut resolved = Vec::with_capacity(self.nodes.len());
        while resolved.len() < self.nodes.len() {
            let slots = self.resolve(resolved.len(), session)?;
            resolved.push(slots);
        }
        // Whoever is in a directory comes after it, so backwards every id is known when it is needed.
        let mut ids: Vec<Option<TreeId>> = vec![None; resolved.len()];
        for (index, slots) in resolved.into_iter().enumerate().rev() {
            ids[index] = Some(match slots {
                None => self.nodes[index].bases[0],
                Some(slots) => session.put_tree(&self.tree_of(index, slots, &ids)?)?,
            });
        }
        ids.first()
            .copied()
            .flatten()
            .ok_or(StoreError::from(TreeError::Depth {
                path: String::new(),
            }))
    }

    fn put(&mut self, path: &str, entry: Entry, over: bool) -> Result<(), TreeError> {
        let (parent, name) = self.parent(path)?;
        let edits = &mut self.nodes[parent].edits;
        match edits.get_mut(name) {
            Some(Edit::Put(there, _)) if !over && *there == entry => return Ok(()),
            Some(Edit::Put(..) | Edit::Node(_)) if !over => return Err(duplicate(path)),
            Some(Edit::Remove) | Some(_) => edits.insert(name.into(), Edit::Put(entry, true)),
            None => edits.insert(name.into(), Edit::Put(entry, over)),
        };
        Ok(())
    }

    /// The directory that a path's last name is in, made if need be.
    fn parent<'p>(&mut self, path: &'p str) -> Result<(usize, &'p str), TreeError> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        check_name(name).map_err(|e| e.at_path(path))?;
        if path.contains('/') && above.is_empty() {
            return Err(TreeError::Name {
                name: shown(path),
                why: "it begins with a slash",
            });
        }
        Ok((self.node(above)?, name))
    }

    fn node(&mut self, path: &str) -> Result<usize, TreeError> {
        if path.split('/').count() >= DEPTH_LIMIT {
            return Err(TreeError::Depth { path: shown(path) });
        }
        let (mut node, mut from) = (0, 0);
        while from < path.len() || path.ends_with('/') {
            let to = path[from..]
                .find('/')
                .map_or(path.len(), |slash| from + slash);
            check_name(&path[from..to]).map_err(|e| e.at_path(path))?;
            node = self.child(node, &path[from..to], &path[..to])?;
            from = to + 1;
        }
        Ok(node)
    }

    fn child(&mut self, parent: usize, name: &str, path: &str) -> Result<usize, TreeError> {
        let opaque = match self.nodes[parent].edits.get(name) {
            Some(Edit::Node(node)) => return Ok(*node),
            Some(Edit::Put(..)) => return Err(duplicate(path)),
            Some(Edit::Remove) => true,
            None => false,
        };
        let node = self.add(Node {
            path: path.to_owned(),
            opaque,
            ..Node::default()
        });
        self.nodes[parent]
            .edits
            .insert(name.into(), Edit::Node(node));
        Ok(node)
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// What is in a directory, once all that is laid over each other there is known. `None` when
    /// it is just the one tree that was laid in.
    fn resolve(
        &mut self,
        index: usize,
        session: &Session,
    ) -> Result<Option<BTreeMap<Box<str>, Slot>>> {
        let node = &mut self.nodes[index];
        node.bases.sort_unstable();
        node.bases.dedup();
        if node.bases.len() == 1 && node.edits.is_empty() {
            return Ok(None);
        }
        let (bases, edits) = (node.bases.clone(), std::mem::take(&mut node.edits));
        let mut slots = BTreeMap::new();
        for base in bases {
            for (name, entry) in read(session, &base)?.into_entries() {
                self.meet(index, &mut slots, name, entry)?;
            }
        }
        for (name, edit) in edits {
            self.apply(index, &mut slots, name, edit)?;
        }
        for (name, slot) in &mut slots {
            if let Slot::Meet(bases) = slot {
                let path = self.path(index, name);
                if path.split('/').count() >= DEPTH_LIMIT {
                    return Err(TreeError::Depth { path: shown(&path) }.into());
                }
                let bases = std::mem::take(bases);
                *slot = Slot::Node(self.add(Node {
                    path,
                    bases,
                    ..Node::default()
                }));
            }
        }
        Ok(Some(slots))
    }

    fn meet(
        &self,
        index: usize,
        slots: &mut BTreeMap<Box<str>, Slot>,
        name: Box<str>,
        entry: Entry,
    ) -> Result<()> {
        let slot = match (slots.remove(&name), entry) {
            (None, entry) => Slot::Entry(entry),
            (Some(Slot::Entry(there)), entry) if there == entry => Slot::Entry(there),
            (Some(Slot::Entry(Entry::Directory(one))), Entry::Directory(two)) => {
                Slot::Meet(vec![one, two])
            }
            (Some(Slot::Meet(mut all)), Entry::Directory(one)) => {
                all.push(one);
                Slot::Meet(all)
            }
            _ => return Err(duplicate(&self.path(index, &name)).into()),
        };
        slots.insert(name, slot);
        Ok(())
    }

    fn apply(
        &mut self,
        index: usize,
        slots: &mut BTreeMap<Box<str>, Slot>,
        name: Box<str>,
        edit: Edit,
    ) -> Result<()> {
        let there = slots.remove(&name);
        let slot = match edit {
            Edit::Remove => return Ok(()),
            Edit::Put(entry, true) => Slot::Entry(entry),
            Edit::Put(entry, false) => match there {
                None => Slot::Entry(entry),
                Some(Slot::Entry(there)) if there == entry => Slot::Entry(entry),
                Some(_) => return Err(duplicate(&self.path(index, &name)).into()),
            },
            Edit::Node(node) => {
                match there {
                    _ if self.nodes[node].opaque => {}
                    None => {}
                    Some(Slot::Entry(Entry::Directory(base))) => self.nodes[node].bases.push(base),
                    Some(Slot::Meet(bases)) => self.nodes[node].bases.extend(bases),
                    Some(_) => return Err(duplicate(&self.path(index, &name)).into()),
                }
                Slot::Node(node)
            }
        };
        slots.insert(name, slot);
        Ok(())
    }

    fn tree_of(
        &self,
        index: usize,
        slots: BTreeMap<Box<str>, Slot>,
        ids: &[Option<TreeId>],
    ) -> Result<Tree> {
        let mut tree = Tree::new();
        for (name, slot) in slots {
            let entry = match slot {
                Slot::Entry(entry) => Some(entry),
                Slot::Node(node) => ids[node].map(Entry::Directory),
                Slot::Meet(_) => None,
            };
            let entry = entry.ok_or_else(|| duplicate(&self.path(index, &name)))?;
            tree.insert(&name, entry)
                .map_err(|e| e.at_path(&self.path(index, &name)))?;
        }
        Ok(tree)
    }

    fn path(&self, index: usize, name: &str) -> String {
        match self.nodes[index].path.as_str() {
            "" => name.to_owned(),
            above => format!("{above}/{name}"),
        }
    }
}

/// The empty tree is known to everybody, stored or not.
fn read(session: &Session, id: &TreeId) -> Result<Tree> {
    if id.size == 0 && *id == TreeId::of(b"") {
        Ok(Tree::new())
    } else {
        session.read_tree(id)
    }
}

fn duplicate(path: &str) -> TreeError {
    TreeError::Duplicate { name: shown(path) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "builder_tests.rs"]
mod tests;
