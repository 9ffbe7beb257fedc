//! A store → what a collection keeps and what it takes. Begin at [`Work::survey`].
//!
//! Nothing is locked and nothing is changed here; `gc.rs` does the removing.

use std::collections::{HashMap, HashSet};

use rustix::fs::FileType;

use crate::digest::{Digest, StepKey, digest_of_hex};
use crate::disk::utf8;
use crate::error::{Result, StoreError};
use crate::kept;
use crate::layout::{Key, Kind, Store};
use crate::lease::{Kept, LEASE, RECORD, read_lease};
use crate::list::list;
use crate::mark::{Child, Marker, Reached};
use crate::roots::Root;

/// How to collect.
#[derive(Clone, Debug, Default)]
pub struct GcOptions {
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Keep what steps made, most recently used first, up to so many bytes of objects in all. Without it
    /// only what roots and sessions keep stays.
    pub cap: Option<u64>,
}

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many files.
    pub files: u64,
    /// Their lengths together.
    pub bytes: u64,
}

/// What was collected, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Blobs and directories that were removed.
    pub removed: Amount,
    /// Blobs and directories that stay.
    pub kept: Amount,
    /// Traces that were removed.
    pub traces: u64,
    /// Checked-out trees that were removed.
    pub trees: u64,
    /// Files that failed steps have left; removed, but where somebody is in them.
    pub left: Amount,
    /// For each root whose link is alive, what it keeps; what several keep counts for each.
    pub roots: Vec<(Root, Amount)>,
    /// Roots whose link is gone or points elsewhere; they were removed.
    pub gone: Vec<Root>,
    /// How many live sessions there were.
    pub sessions: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Everything that one collection knows.
pub(crate) struct Work<'a> {
    pub(crate) store: &'a Store,
    pub(crate) marker: Marker<'a>,
    pub(crate) reached: Reached,
    /// How far each session's lease was read.
    pub(crate) leases: HashMap<String, usize>,
    pub(crate) sizes: HashMap<Key, u64>,
    pub(crate) steps: Vec<StepKey>,
    pub(crate) dirs: Vec<Vec<Digest>>,
    pub(crate) blobs: Vec<Key>,
    pub(crate) trees: Vec<Digest>,
    pub(crate) report: GcReport,
}

impl<'a> Work<'a> {
    /// Finds what is to go. Nothing is locked: what changes meanwhile is seen before each batch.
    pub(crate) fn survey(store: &'a Store, options: &GcOptions) -> Result<Work<'a>> {
        let mut work = Work {
            store,
            marker: Marker::new(store),
            reached: Reached::default(),
            leases: HashMap::new(),
            sizes: HashMap::new(),
            steps: Vec::new(),
            dirs: Vec::new(),
            blobs: Vec::new(),
            trees: Vec::new(),
            report: GcReport::default(),
        };
        // Traces first: what is published after its folder was listed is not up for removal.
        let traces = list(&store.folders.traces, false)?.files;
        let mut traces: Vec<_> = traces
            .iter()
            .map(|file| (file.stat.st_mtime, StepKey(file.digest)))
            .collect();
        traces.sort_unstable_by_key(|trace| std::cmp::Reverse(*trace));
        for kind in [Kind::Dir, Kind::Plain] {
            for file in store.folders.list(kind)?.files {
                let kind = if kind == Kind::Dir {
                    kind
                } else {
                    Kind::of(file.executable)
                };
                let size = u64::try_from(file.stat.st_size).unwrap_or(0);
                work.sizes.insert(
                    Key {
                        kind,
                        digest: file.digest,
                    },
                    size,
                );
            }
        }
        work.reach_roots()?;
        work.reach_leases()?;
        work.report.sessions = work.leases.len() as u64;
        work.reach_recent(&traces, options.cap)?;
        work.choose(&traces)?;
        work.report.left = kept::survey(&store.folders)?;
        Ok(work)
    }

    /// What each root keeps, for itself and all together.
    fn reach_roots(&mut self) -> Result<()> {
        for (root, alive) in self.store.roots()? {
            if !alive {
                self.report.gone.push(root);
                continue;
            }
            let own = self.reach_root(&root)?;
            self.reached.extend(&own);
            let amount = self.amount(&own);
            self.report.roots.push((root, amount));
        }
        Ok(())
    }

    pub(crate) fn reach_root(&mut self, root: &Root) -> Result<Reached> {
        let mut own = Reached::default();
        self.marker.mark(
            &mut own,
            Child {
                is_dir: true,
                digest: root.tree.digest,
            },
        )?;
        for step in &root.steps {
            self.marker.mark_step(&mut own, step)?;
        }
        Ok(own)
    }

    fn amount(&self, reached: &Reached) -> Amount {
        let mut amount = Amount::default();
        let children = reached.dirs.iter().map(|digest| Child {
            is_dir: true,
            digest: *digest,
        });
        for child in children.chain(reached.blobs.iter().map(|digest| Child {
            is_dir: false,
            digest: *digest,
        })) {
            for size in files_of(child).iter().filter_map(|key| self.sizes.get(key)) {
                amount.add(*size);
            }
        }
        amount
    }

    /// Reads what sessions have come to rely on since the last time. Sessions that ended since the
    /// collection began count as well: their leases stay until it is over.
    pub(crate) fn reach_leases(&mut self) -> Result<()> {
        let tmp = &self.store.folders.tmp;
        for entry in tmp.names()? {
            let Some(name) = utf8(&entry.name).filter(|_| entry.kind == FileType::Directory) else {
                continue;
            };
            let Some(bytes) = tmp.read(&format!("{name}/{LEASE}"))? else {
                continue;
            };
            let from = self
                .leases
                .insert(name.to_owned(), bytes.len() / RECORD * RECORD)
                .unwrap_or(0);
            for kept in read_lease(bytes.get(from..).unwrap_or_default()) {
                self.keep(kept)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, kept: Kept) -> Result<()> {
        let child = match kept {
            Kept::Step(key) => return self.marker.mark_step(&mut self.reached, &key).map(drop),
            Kept::Object(key) => Child {
                is_dir: key.kind == Kind::Dir,
                digest: key.digest,
            },
        };
        // A lease is written before the move into place, so what it names may not be there yet.
        if child.is_dir
            && !self.store.folders.has(&Key {
                kind: Kind::Dir,
                digest: child.digest,
            })?
        {
            return Ok(());
        }
        self.marker.mark(&mut self.reached, child).map(drop)
    }

    /// With a cap, keeps what other steps made, the last used first.
    fn reach_recent(&mut self, traces: &[(i64, StepKey)], cap: Option<u64>) -> Result<()> {
        let Some(cap) = cap else { return Ok(()) };
        let mut total = self.amount(&self.reached).bytes;
        for (_, key) in traces {
            let new = match self.marker.mark_step(&mut self.reached, key) {
                Ok(new) => new,
                // It keeps what could be read of it, until somebody repairs the store.
                Err(StoreError::Corrupt { .. }) => continue,
                Err(other) => return Err(other),
            };
            let files = new.iter().flat_map(|child| files_of(*child));
            let more: u64 = files.filter_map(|key| self.sizes.get(&key)).sum();
            if total + more > cap {
                self.reached.steps.remove(key);
                new.into_iter().for_each(|child| self.reached.remove(child));
                break;
            }
            total += more;
        }
        Ok(())
    }

    /// Sorts what is there into what stays and what goes.
    fn choose(&mut self, traces: &[(i64, StepKey)]) -> Result<()> {
        for (_, key) in traces {
            if !self.stays(key)? {
                self.steps.push(*key);
            }
        }
        let mut dead = HashSet::new();
        for (key, size) in &self.sizes {
            let child = Child {
                is_dir: key.kind == Kind::Dir,
                digest: key.digest,
            };
            if self.reached.has(child) {
                self.report.kept.add(*size);
                continue;
            }
            self.report.removed.add(*size);
            if child.is_dir {
                dead.insert(key.digest);
            } else {
                self.blobs.push(*key);
            }
        }
        self.dirs = self.generations(dead);
        for entry in self.store.folders.trees.names()? {
            let digest = digest_of_hex(&entry.name);
            self.trees
                .extend(digest.filter(|digest| !self.reached.dirs.contains(digest)));
        }
        self.report.traces = self.steps.len() as u64;
        self.report.trees = self.trees.len() as u64;
        Ok(())
    }

    /// A trace stays if all it speaks of does.
    pub(crate) fn stays(&mut self, key: &StepKey) -> Result<bool> {
        if self.reached.steps.contains(key) {
            return Ok(true);
        }
        let trace = self.store.find(key)?;
        Ok(trace.is_some_and(|trace| {
            trace
                .outputs
                .values()
                .all(|id| self.reached.has((*id).into()))
        }))
    }

    /// Orders directories so that each comes in a later generation than all that name it.
    fn generations(&mut self, dead: HashSet<Digest>) -> Vec<Vec<Digest>> {
        let mut named: HashMap<Digest, u64> = dead.iter().map(|digest| (*digest, 0)).collect();
        let mut below: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for digest in &dead {
            // A damaged one names nothing that anybody could know.
            let Ok(children) = self.marker.children(*digest) else {
                continue;
            };
            let children: Vec<_> = children
                .iter()
                .filter(|child| child.is_dir)
                .map(|child| child.digest)
                .collect();
            for child in &children {
                if let Some(count) = named.get_mut(child) {
                    *count += 1;
                }
            }
            below.insert(*digest, children);
        }
        let mut generation: Vec<Digest> = dead
            .into_iter()
            .filter(|digest| named.get(digest) == Some(&0))
            .collect();
        let mut generations = Vec::new();
        while !generation.is_empty() {
            let mut next = Vec::new();
            for child in generation
                .iter()
                .filter_map(|digest| below.get(digest))
                .flatten()
            {
                if let Some(count) = named.get_mut(child) {
                    *count -= 1;
                    if *count == 0 {
                        next.push(*child);
                    }
                }
            }
            generations.push(std::mem::replace(&mut generation, next));
        }
        generations
    }
}

/// The files that an object may have.
fn files_of(child: Child) -> Vec<Key> {
    let kinds: &[Kind] = if child.is_dir {
        &[Kind::Dir]
    } else {
        &[Kind::Plain, Kind::Exec]
    };
    kinds
        .iter()
        .map(|kind| Key {
            kind: *kind,
            digest: child.digest,
        })
        .collect()
}
