//! Links outside the store → what is kept for them. Begin at [`Session::add_root`].
//!
//! A root is a symlink somewhere that points to a checked-out tree, and a file under `roots/` that
//! tells where the link is, so that collection can look whether it still points there. A link that
//! is gone or points elsewhere keeps nothing. A root may name steps too: their traces and outputs are
//! kept as well, which is what lets the next build start from where this one ended.
//!
//! The text has one form only: `recipe-root 1 <BLAKE3 of the rest>`, `tree <id>`, a line `step <key>` for
//! each step in order, and `link <path>`.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;

use crate::digest::{Digest, StepKey, TreeId};
use crate::disk::{Dir, utf8};
use crate::error::{Result, StoreError};
use crate::layout::{Store, aside};
use crate::session::{Session, staged_name};
use crate::trace::{field, line};

/// What a link outside the store keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The symlink: an absolute path.
    pub link: Utf8PathBuf,
    /// The tree it pointed to when it was made.
    pub tree: TreeId,
    /// Steps whose traces and outputs are kept with it.
    pub steps: BTreeSet<StepKey>,
}

const MAGIC: &str = "recipe-root 1 ";

impl Root {
    /// The file's bytes.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut body = format!("tree {}\n", self.tree);
        for step in &self.steps {
            body += &format!("step {step}\n");
        }
        body += &format!(
            "link {}\n",
            line("the path of a root's link", self.link.as_str())?
        );
        Ok(format!("{MAGIC}{}\n{body}", Digest::of(body.as_bytes())).into_bytes())
    }

    /// Reads what [`Root::encode`] writes and refuses everything else, saying why.
    pub fn decode(bytes: &[u8]) -> Result<Root, String> {
        let mut rest = bytes;
        field(&mut rest, MAGIC)?;
        let tree = field(&mut rest, "tree ")?
            .parse()
            .map_err(|_| "its tree is none")?;
        let mut steps = BTreeSet::new();
        while rest.starts_with(b"step ") {
            steps.insert(
                field(&mut rest, "step ")?
                    .parse()
                    .map_err(|_| "a step that is none")?,
            );
        }
        let link = field(&mut rest, "link ")?.into();
        let root = Root { link, tree, steps };
        match root.encode() {
            Ok(again) if again == bytes => Ok(root),
            _ => Err("it is not in the one canonical form".into()),
        }
    }

    /// The name of its file: one for each link.
    fn file_name(&self) -> String {
        Digest::of(self.link.as_str().as_bytes()).to_string()
    }
}

impl Session {
    /// Makes `link` a symlink to the checked-out tree, in the place of a symlink that is there, and keeps the
    /// tree and what the steps in `relied` made for as long as it points there. Commits what is staged, and
    /// makes the folder of the link if need be.
    pub fn add_root(&self, link: &Utf8Path, tree: &TreeId, relied: &[StepKey]) -> Result<()> {
        let target = self.checkout(tree)?;
        self.commit()?;
        let (folder, name) = link_place(link)?;
        let steps = relied.iter().copied().collect();
        let root = Root {
            link: folder.path().join(&name),
            tree: *tree,
            steps,
        };
        let (file, bytes) = (root.file_name(), root.encode()?);
        let roots = &self.folders().roots;
        let inside = self.enter()?;
        if roots.read(&file)?.as_deref() != Some(&bytes) {
            self.write_root(roots, &file, &bytes)?;
        }
        point(&folder, &name, target.as_str())?;
        drop(inside);
        Ok(())
    }

    fn write_root(&self, roots: &Dir, file: &str, bytes: &[u8]) -> Result<()> {
        use std::io::Write;

        let (number, mut staged) = self.stage(0o600)?;
        let name = staged_name(number);
        let written = staged.write_all(bytes).and_then(|()| staged.sync_all());
        written.map_err(|e| self.staging.error("write", &name, e))?;
        self.staging.replace(&name, roots, file)?;
        roots.sync()
    }
}

impl Store {
    /// All roots that are registered, and for each whether its link still points to its tree.
    pub fn roots(&self) -> Result<Vec<(Root, bool)>> {
        let mut all = Vec::new();
        for entry in self.folders.roots.names()? {
            let Some(name) = utf8(&entry.name) else {
                continue;
            };
            if let Some(root) = self.root(name)? {
                let alive = self.points(&root)?;
                all.push((root, alive));
            }
        }
        all.sort_by(|(a, _), (b, _)| a.link.cmp(&b.link));
        Ok(all)
    }

    /// Removes a root's file, unless its link points to its tree after all. Tells whether it did.
    pub(crate) fn forget(&self, root: &Root) -> Result<bool> {
        let name = root.file_name();
        match self.root(&name)? {
            Some(root) if !self.points(&root)? => self.folders.roots.unlink(&name).map(|()| true),
            _ => Ok(false),
        }
    }

    fn root(&self, name: &str) -> Result<Option<Root>> {
        let roots = &self.folders.roots;
        let Some(bytes) = roots.read(name)? else {
            return Ok(None);
        };
        let damaged = |why| StoreError::corrupt(roots.path().join(name), why);
        let root = Root::decode(&bytes).map_err(damaged)?;
        if root.file_name() != name {
            return Err(damaged("it is the root of another link".into()));
        }
        Ok(Some(root))
    }

    /// Whether the link points to the tree. A link that cannot be read keeps its tree: an error is
    /// not an absence.
    pub(crate) fn points(&self, root: &Root) -> Result<bool> {
        let hex = root.tree.digest.hex();
        match rustix::fs::readlink(root.link.as_str(), Vec::new()) {
            Ok(target) if target.as_bytes() == self.tree_path(&hex).as_str().as_bytes() => Ok(true),
            // The store may be reached by another path now: then it is the directory that counts.
            Ok(_) => Ok(same_file(&root.link, &self.tree_path(&hex))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::INVAL) => Ok(false),
            Err(Errno::ACCESS | Errno::LOOP | Errno::IO) => Ok(true),
            Err(e) => Err(StoreError::io("read the link", &root.link, e)),
        }
    }
}

fn same_file(link: &Utf8Path, tree: &Utf8Path) -> bool {
    let id =
        |path: &Utf8Path| rustix::fs::stat(path.as_str()).map(|stat| (stat.st_dev, stat.st_ino));
    matches!((id(link), id(tree)), (Ok(a), Ok(b)) if a == b)
}

/// The folder of a link, by its one real path, and the link's name in it.
fn link_place(link: &Utf8Path) -> Result<(Dir, String)> {
    let refused = || StoreError::Refused {
        what: "a root",
        why: format!("{link} does not end in a name"),
    };
    let name = link.file_name().ok_or_else(refused)?.to_owned();
    let folder = match link.parent() {
        Some(parent) if parent.as_str().is_empty() => Utf8Path::new("."),
        Some(parent) => parent,
        None => return Err(refused()),
    };
    std::fs::create_dir_all(folder).map_err(|e| StoreError::io("make the directory", folder, e))?;
    let real = folder
        .canonicalize_utf8()
        .map_err(|e| StoreError::io("find", folder, e))?;
    Ok((Dir::open(&real)?, name))
}

/// Replaces a symlink in one step; what is not a symlink stays.
fn point(folder: &Dir, name: &str, target: &str) -> Result<()> {
    match folder.read_link(name) {
        Ok(there) if there == target.as_bytes() => return Ok(()),
        Ok(_) | Err(Errno::NOENT) => {}
        Err(Errno::INVAL) => {
            return Err(StoreError::NotALink {
                path: folder.path().join(name),
            });
        }
        Err(e) => return Err(folder.error("read the link", name, e)),
    }
    let new = aside();
    folder.symlink(target, &new)?;
    folder
        .replace(&new, folder, name)
        .inspect_err(|_| drop(folder.unlink(&new)))
}
