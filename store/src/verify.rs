//! Files of the store → what is wrong with them. Begin at [`Store::verify`].
//!
//! Every object is hashed from its bytes, in parallel, whatever anybody remembers of it. Nothing is
//! mended or removed here.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use rustix::fs::{FileType, FlockOperation};

use crate::compare::compare;
use crate::digest::{Digest, ObjectId, StepKey, TreeId};
use crate::error::{Result, StoreError};
use crate::examine::{Seen, check_object, wrong_inode};
use crate::finding::{Damage, Finding};
use crate::layout::{Folders, Key, Kind, Store};
use crate::list::list;
use crate::mark::Child;
use crate::roots::Root;
use crate::trace::Trace;
use crate::traces::trace_path;
use crate::tree::Entry;

/// What verification found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// How many blobs and directories were hashed.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many traces were read.
    pub traces: u64,
    /// How many checked-out trees were compared.
    pub trees: u64,
    /// What is wrong, sorted by path.
    pub findings: Vec<Finding>,
}

impl Store {
    /// Reads every byte of the store. Sessions may go on meanwhile; a collection waits.
    pub fn verify(&self) -> Result<VerifyReport> {
        let held = match self.folders.lock_collecting(FlockOperation::LockShared) {
            // Then nobody can collect either.
            Err(StoreError::Io { source, .. })
                if source.kind() == ErrorKind::ReadOnlyFilesystem =>
            {
                None
            }
            other => Some(other?),
        };
        // Against the order of publication: whatever is seen, what it names was there before.
        let mut check = Check {
            store: self,
            report: VerifyReport::default(),
            parents: HashMap::new(),
        };
        let roots = check.roots()?;
        let traces = check.traces()?;
        let dirs = check.objects(Kind::Dir)?;
        let blobs = check.objects(Kind::Plain)?;
        check.references(&roots, &traces, &dirs, &blobs)?;
        check.trees()?;
        check.tell_dependents(&roots, &traces);
        drop(held);
        check.report.findings.sort();
        Ok(check.report)
    }
}

/// Whoever names an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Parent {
    Dir(Digest),
    Step(StepKey),
    Root(usize),
}

struct Check<'a> {
    store: &'a Store,
    report: VerifyReport,
    parents: HashMap<Child, Vec<Parent>>,
}

impl Check<'_> {
    fn folders(&self) -> &Folders {
        &self.store.folders
    }

    fn found(&mut self, path: Utf8PathBuf, damage: Damage) {
        self.report.findings.push(Finding::of(path, damage));
    }

    fn roots(&mut self) -> Result<Vec<Root>> {
        let mut roots = Vec::new();
        for entry in self.folders().roots.names()? {
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            if name.starts_with('.') {
                continue;
            }
            let path = self.folders().roots.path().join(&name);
            let Some(bytes) = self.folders().roots.read(&name)? else {
                continue;
            };
            match Root::decode(&bytes) {
                Ok(root) if self.store.points(&root)? => roots.push(root),
                Ok(_) => {}
                Err(why) => self.found(path, Damage::Bytes { why }),
            }
        }
        Ok(roots)
    }

    fn traces(&mut self) -> Result<Vec<Trace>> {
        let folder = &self.store.folders.traces;
        let listing = list(folder, false)?;
        for stray in listing.strays {
            self.found(folder.path().join(stray), Damage::Extra);
        }
        let mut traces = Vec::new();
        for file in listing.files {
            let key = StepKey(file.digest);
            let path = folder.path().join(trace_path(&key).as_str());
            match self.store.read_trace(&key) {
                Ok(Some(trace)) => {
                    self.report.traces += 1;
                    self.report
                        .findings
                        .extend(wrong_inode(&path, &file, 0o444));
                    traces.push(trace);
                }
                Ok(None) => {}
                Err(StoreError::Corrupt { why, .. }) => self.found(path, Damage::Bytes { why }),
                Err(other) => return Err(other),
            }
        }
        Ok(traces)
    }

    /// Hashes all objects of a kind. Gives those whose bytes are right.
    fn objects(&mut self, kind: Kind) -> Result<Vec<Seen>> {
        let folder = self.store.folders.of(kind);
        let listing = self.folders().list(kind)?;
        for stray in listing.strays {
            self.found(folder.path().join(stray), Damage::Extra);
        }
        let checked: Result<Vec<_>> = listing
            .files
            .par_iter()
            .map_init(Vec::new, |buffer, file| {
                check_object(folder, kind, file, buffer)
            })
            .collect();
        let mut all = Vec::new();
        for (seen, findings) in checked? {
            self.report.findings.extend(findings);
            self.report.objects += 1;
            if let Some(seen) = seen {
                self.report.bytes += seen.size;
                all.push(seen);
            }
        }
        Ok(all)
    }

    /// Looks whether everything that is named is there.
    fn references(
        &mut self,
        roots: &[Root],
        traces: &[Trace],
        dirs: &[Seen],
        blobs: &[Seen],
    ) -> Result<()> {
        let sizes: HashMap<Child, u64> = dirs
            .iter()
            .chain(blobs)
            .map(|seen| (seen.child(), seen.size))
            .collect();
        let mut named: Vec<(ObjectId, Parent)> = Vec::new();
        for (index, root) in roots.iter().enumerate() {
            named.push((root.tree.into(), Parent::Root(index)));
        }
        for trace in traces {
            named.extend(
                trace
                    .outputs
                    .values()
                    .map(|id| (*id, Parent::Step(trace.key))),
            );
        }
        for (digest, tree) in dirs
            .iter()
            .filter_map(|seen| Some((seen.key.digest, seen.tree.as_ref()?)))
        {
            for (_, entry) in tree.iter() {
                named.extend(object_of(entry).map(|id| (id, Parent::Dir(digest))));
            }
        }
        let damaged: HashSet<Utf8PathBuf> = self
            .report
            .findings
            .iter()
            .map(|finding| finding.path.clone())
            .collect();
        let mut missing = HashSet::new();
        for (id, parent) in named {
            self.parents.entry(id.into()).or_default().push(parent);
            if sizes.get(&id.into()) != Some(&size_of(&id)) && missing.insert(id) {
                self.missing(&id, &damaged)?;
            }
        }
        Ok(())
    }

    fn missing(&mut self, id: &ObjectId, damaged: &HashSet<Utf8PathBuf>) -> Result<()> {
        let kind = if matches!(id, ObjectId::Tree(_)) {
            Kind::Dir
        } else {
            Kind::Plain
        };
        let key = Key {
            kind,
            digest: id.digest(),
        };
        let path = self.folders().of(kind).path().join(key.path().as_str());
        let executable = Utf8PathBuf::from(format!("{path}.x"));
        // Damaged ones are told of already, and one that came meanwhile is no loss.
        if !damaged.contains(&path)
            && !damaged.contains(&executable)
            && !self.store.has_whole(id)?
        {
            self.found(path, Damage::Missing);
        }
        Ok(())
    }

    fn trees(&mut self) -> Result<()> {
        let trees = &self.store.folders.trees;
        for entry in trees.names()? {
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            let digest = name
                .parse::<Digest>()
                .ok()
                .filter(|_| entry.kind == FileType::Directory);
            let Some(digest) = digest else {
                self.found(trees.path().join(name), Damage::Extra);
                continue;
            };
            // The tree itself, if it is missing or damaged, was told of when the roots were followed.
            let dirs = &self.store.folders.dirs;
            let encoded = dirs.read(
                Key {
                    kind: Kind::Dir,
                    digest,
                }
                .path()
                .as_str(),
            )?;
            let Some(encoded) = encoded.filter(|bytes| Digest::of(bytes) == digest) else {
                self.found(trees.path().join(name), Damage::Extra);
                continue;
            };
            self.report.trees += 1;
            let id = TreeId {
                digest,
                size: encoded.len() as u64,
            };
            match compare(self.store, &id, &trees.sub(&name)?, false) {
                Ok(findings) => self.report.findings.extend(findings),
                // What the checkout is compared with is damaged, and told of already.
                Err(StoreError::Missing { .. } | StoreError::Corrupt { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Follows who names whom, upwards from everything that is wrong.
    fn tell_dependents(&mut self, roots: &[Root], traces: &[Trace]) {
        let folders = self.store.folders.clone();
        let step_paths: HashMap<Utf8PathBuf, StepKey> = traces
            .iter()
            .map(|trace| {
                (
                    folders.traces.path().join(trace_path(&trace.key).as_str()),
                    trace.key,
                )
            })
            .collect();
        let mut findings = std::mem::take(&mut self.report.findings);
        for finding in &mut findings {
            finding.steps.extend(step_paths.get(&finding.path));
            let Some(child) = child_at(&folders, &finding.path) else {
                continue;
            };
            if child.is_dir {
                finding.trees.insert(child.digest);
            }
            let mut waiting = vec![child];
            while let Some(child) = waiting.pop() {
                for parent in self.parents.get(&child).into_iter().flatten() {
                    match parent {
                        Parent::Dir(digest) if finding.trees.insert(*digest) => {
                            waiting.push(Child {
                                is_dir: true,
                                digest: *digest,
                            });
                        }
                        Parent::Dir(_) => {}
                        Parent::Step(key) => finding.steps.extend([*key]),
                        Parent::Root(index) => finding.roots.extend([roots[*index].link.clone()]),
                    }
                }
            }
        }
        self.report.findings = findings;
    }
}

impl Store {
    /// Whether an object is there with the length its id says.
    fn has_whole(&self, id: &ObjectId) -> Result<bool> {
        let read = match id {
            ObjectId::Blob(id) => self.open_blob(id).map(drop),
            ObjectId::Tree(id) => self.read_tree(id).map(drop),
        };
        match read {
            Ok(()) => Ok(true),
            Err(StoreError::Missing { .. } | StoreError::Corrupt { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }
}

fn size_of(id: &ObjectId) -> u64 {
    match id {
        ObjectId::Blob(id) => id.size,
        ObjectId::Tree(id) => id.size,
    }
}

fn object_of(entry: &Entry) -> Option<ObjectId> {
    match entry {
        Entry::File { blob, .. } => Some((*blob).into()),
        Entry::Directory(tree) => Some((*tree).into()),
        Entry::Symlink { .. } => None,
    }
}

/// The object that a path in the store belongs to.
fn child_at(folders: &Folders, path: &Utf8Path) -> Option<Child> {
    let hex = path.file_name()?;
    let digest = hex.strip_suffix(".x").unwrap_or(hex).parse().ok()?;
    let is_dir = path.starts_with(folders.dirs.path());
    (is_dir || path.starts_with(folders.blobs.path())).then_some(Child { is_dir, digest })
}
