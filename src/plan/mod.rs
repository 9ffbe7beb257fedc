//! [`Lock`] → [`Plan`]: the graph of every [`Step`] a build needs. Begin at [`Plan::of`].
//!
//! An edge points from a step to what waits for it. Steps that say the same are one node, which is
//! how two recipes share work. Planning is pure: no file, no network, no clock; the same recipe and
//! lock give the same plan on every machine of one kind ([`Host`]). Nothing runs here: see [`crate::build`].

mod built;
mod host;
mod key;
mod sdist;
mod step;
pub mod why;

pub use built::{Besides, Used};

use std::collections::HashMap;

use petgraph::graph::{DiGraph, NodeIndex};
use recipe_store::{BlobId, Digest, ObjectId};

pub use host::{Host, Means};
pub use key::{Listener, VERSIONS, tell};
pub use step::{FixedPath, Keep, Layer, OwnPython, PatchText, Resolved, Source, SourceFile, Step};

use crate::lock::{FileKind, Lock, Locked};
use crate::recipe::{HostPolicy, Recipe};

/// A step that waits for others: its inputs are nodes of the plan.
pub type Planned = Step<NodeIndex>;

/// One node: a step, and what people call it.
#[derive(Debug, Clone)]
pub struct Node {
    /// What is done.
    pub step: Planned,
    /// To whom: `libc6`, `pyyaml`, the recipe's name.
    pub subject: String,
}

/// A DAG of steps. Acyclic from birth: a step can only name nodes that exist already.
#[derive(Debug)]
pub struct Plan {
    graph: DiGraph<Node, ()>,
    known: HashMap<Planned, NodeIndex>,
    closure: NodeIndex,
    guards: Vec<NodeIndex>,
}

impl Plan {
    /// Plans the closure that `recipe` asks for, from the facts of its lock.
    ///
    /// For a closure of another platform than the host's, the host's own packages in the lock make
    /// the byte code, and checks are part of the plan only where an emulator runs them.
    pub fn of(recipe: &Recipe, lock: &Lock, host: Host) -> Plan {
        Plan::with(recipe, lock, &Besides::default(), host)
    }

    /// The same for a recipe that builds from its own folder, or uses what others build.
    pub fn with(recipe: &Recipe, lock: &Lock, besides: &Besides, host: Host) -> Plan {
        let mut drawing = Drawing {
            graph: DiGraph::new(),
            known: HashMap::new(),
            used: HashMap::new(),
            host,
        };
        let closure = drawing.closure(recipe, lock, besides);
        let guards = drawing.guards(recipe, closure, host.means(lock.platform));
        Plan {
            graph: drawing.graph,
            known: drawing.known,
            closure,
            guards,
        }
    }

    /// The graph; an edge points from an input to the step that uses it.
    pub fn graph(&self) -> &DiGraph<Node, ()> {
        &self.graph
    }

    /// The node whose output is the closure.
    pub fn closure(&self) -> NodeIndex {
        self.closure
    }

    /// Proof and checks: they must succeed before the closure counts.
    pub fn guards(&self) -> &[NodeIndex] {
        &self.guards
    }

    /// What is asked for, before anything is made: the hash of the whole graph. Two machines that plan the
    /// same have the same id; a changed file, option or kind of step changes it.
    pub fn id(&self) -> Digest {
        let mut ids: Vec<Digest> = Vec::with_capacity(self.graph.node_count());
        for node in self.graph.node_weights() {
            // Inputs come first in a plan. Each is named by what it is, in place of what it makes.
            let named = node.step.map(|input| {
                let digest = ids.get(input.index()).copied().ok_or(())?;
                Ok(ObjectId::Blob(BlobId { digest, size: 0 }))
            });
            let id = named.map(|step: Resolved| step.key().0);
            ids.push(id.unwrap_or_else(|()| Digest::of(&[])));
        }
        let ends = std::iter::once(self.closure).chain(self.guards.iter().copied());
        let lines = ends.map(|node| format!("{}\n", ids[node.index()]));
        Digest::of(format!("recipe plan 1\n{}", lines.collect::<String>()).as_bytes())
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

struct Drawing {
    graph: DiGraph<Node, ()>,
    known: HashMap<Planned, NodeIndex>,
    /// What recipes build that others use, by the place of the [`Used`] in memory.
    used: HashMap<usize, NodeIndex>,
    host: Host,
}

/// What planning knows of one locked file once its own steps are drawn.
struct Drawn {
    name: String,
    tree: NodeIndex,
    scan: NodeIndex,
    keep: Keep,
    python_files: bool,
}

impl Drawing {
    fn add(&mut self, subject: &str, step: Planned) -> NodeIndex {
        if let Some(node) = self.known.get(&step) {
            return *node;
        }
        let inputs = step.inputs();
        let node = self.graph.add_node(Node {
            step: step.clone(),
            subject: subject.to_owned(),
        });
        for input in inputs {
            self.graph.update_edge(input, node, ());
        }
        self.known.insert(step, node);
        node
    }

    fn fetch(&mut self, file: &Locked) -> NodeIndex {
        self.fetch_at(file, None)
    }

    /// The same for a file that the recipe itself names by its URL.
    fn fetch_at(&mut self, file: &Locked, url: Option<String>) -> NodeIndex {
        let source = Source {
            kind: match file.kind {
                // One file may be there for the build and for the closure: it is fetched once.
                FileKind::Sysroot => FileKind::Deb,
                kind => kind,
            },
            name: file.name.clone(),
            version: file.version.clone(),
            archive: file.archive.clone(),
            path: file.path.clone(),
            url,
            size: file.size,
            sha256: file.sha256.clone(),
        };
        self.add(&file.subject(), Step::Fetch(source))
    }

    fn closure(&mut self, recipe: &Recipe, lock: &Lock, besides: &Besides) -> NodeIndex {
        let patches = lock
            .files
            .iter()
            .find(|file| file.kind == FileKind::DebianPatches)
            .map(|file| {
                let packaging = self.fetch(file);
                self.add(&file.name, Step::Patches { packaging })
            });
        let fixed = self.fixed_path(recipe, lock);
        let mut drawn: Vec<Drawn> = lock
            .files
            .iter()
            .filter_map(|file| match file.kind {
                FileKind::Deb => Some(self.deb(recipe, lock, file, patches, fixed.clone())),
                FileKind::Wheel => Some(self.wheel(recipe, lock, file)),
                FileKind::Sdist => Some(self.sdist(recipe, lock, file)),
                FileKind::DebianPatches
                | FileKind::Builder
                | FileKind::Sysroot
                | FileKind::Source
                | FileKind::BuildWheel
                | FileKind::BuildSdist => None,
            })
            .collect();
        let own = self.built(recipe, lock, besides, fixed);
        let interpreter = own.last().filter(|_| is_pristine(recipe));
        let interpreter = interpreter.map(|it| it.tree);
        drawn.extend(own);
        let mut layers: Vec<Layer<NodeIndex>> = drawn.iter().map(Drawn::layer).collect();
        if recipe.closure.byte_code {
            layers.extend(self.byte_code(recipe, lock, &drawn, patches, interpreter));
        }
        let mut trim: Vec<_> = recipe.closure.trim.iter().map(|rule| rule.value).collect();
        trim.sort_unstable();
        trim.dedup();
        let entries = recipe
            .closure
            .entries
            .iter()
            .map(|entry| entry.value.clone())
            .collect();
        let tree = self.add(
            &recipe.name,
            Step::Compose {
                layers,
                trim,
                entries,
            },
        );
        let manifest = Step::Manifest {
            tree,
            scans: drawn.iter().map(|drawn| drawn.scan).collect(),
            name: recipe.name.clone(),
            version: recipe.version.clone(),
            date: lock.date,
            glibc: glibc(lock),
            host: host(recipe),
            fixed_path: recipe.closure.fixed_path.clone(),
        };
        self.add(&recipe.name, manifest)
    }

    /// Wheels bring libraries in folders of their own, which the closure's programs then have to name.
    fn fixed_path(&mut self, recipe: &Recipe, lock: &Lock) -> Option<FixedPath<NodeIndex>> {
        let path = recipe.closure.fixed_path.clone()?;
        let mut scans = Vec::new();
        for file in &lock.files {
            match file.kind {
                FileKind::Wheel => scans.push(self.wheel(recipe, lock, file).scan),
                FileKind::Sdist => scans.push(self.sdist(recipe, lock, file).scan),
                _ => {}
            }
        }
        Some(FixedPath { path, scans })
    }

    fn deb(
        &mut self,
        recipe: &Recipe,
        lock: &Lock,
        file: &Locked,
        patches: Option<NodeIndex>,
        fixed: Option<FixedPath<NodeIndex>>,
    ) -> Drawn {
        let named = recipe
            .system
            .packages
            .iter()
            .any(|package| package.value == file.name);
        let interpreter = is_interpreter(lock, file);
        let subject = file.subject();
        let deb = self.fetch(file);
        let mut exclude: Vec<String> = recipe
            .system
            .exclude
            .iter()
            .map(|pattern| pattern.value.clone())
            .collect();
        exclude.retain(|pattern| pattern.contains(['/', '*']));
        exclude.sort();
        exclude.dedup();
        let tree = self.add(
            &subject,
            Step::UnpackDeb {
                deb,
                package: file.name.clone(),
                named,
                exclude,
            },
        );
        let tree = self.add(
            &subject,
            Step::Relocate {
                tree,
                patches: patches.filter(|_| interpreter),
                python: lock.python.clone(),
                pristine: false,
                host: host(recipe),
                fixed,
            },
        );
        let scan = self.add(&subject, Step::Scan { tree });
        let keep = if named || interpreter || file.name == "libc6" {
            Keep::All
        } else if is_linkable(lock, file) {
            Keep::IfNeeded
        } else {
            Keep::LibrariesAsNeeded
        };
        Drawn {
            name: file.name.clone(),
            tree,
            scan,
            keep,
            python_files: interpreter,
        }
    }

    fn wheel(&mut self, recipe: &Recipe, lock: &Lock, file: &Locked) -> Drawn {
        let wheel = self.fetch(file);
        self.unpacked(recipe, lock, file, (wheel, &file.path))
    }

    /// A wheel, and its file name where that is known.
    fn unpacked(
        &mut self,
        recipe: &Recipe,
        lock: &Lock,
        file: &Locked,
        (wheel, file_name): (NodeIndex, &str),
    ) -> Drawn {
        let keep_pth = recipe
            .pip
            .keep_pth
            .iter()
            .any(|name| name.value == file.name);
        let tree = self.add(
            &file.name,
            Step::UnpackWheel {
                wheel,
                file_name: file_name.to_owned(),
                platform: lock.platform,
                python: lock.python.clone().unwrap_or_default(),
                glibc: glibc(lock),
                keep_pth,
            },
        );
        let tree = self.add(
            &file.name,
            Step::Relocate {
                tree,
                patches: None,
                python: None,
                pristine: false,
                host: host(recipe),
                fixed: recipe.closure.fixed_path.clone().map(|path| FixedPath {
                    path,
                    scans: Vec::new(),
                }),
            },
        );
        let scan = self.add(&file.name, Step::Scan { tree });
        Drawn {
            name: file.name.clone(),
            tree,
            scan,
            keep: Keep::All,
            python_files: true,
        }
    }

    /// One byte code layer for each tree with Python files; `own` is an interpreter that is none of the
    /// distribution's.
    fn byte_code(
        &mut self,
        recipe: &Recipe,
        lock: &Lock,
        drawn: &[Drawn],
        patches: Option<NodeIndex>,
        own: Option<NodeIndex>,
    ) -> Vec<Layer<NodeIndex>> {
        let Some(python) = lock.python.clone() else {
            return Vec::new();
        };
        let needed =
            |name: &str| is_interpreter_name(&python, name) || crate::lock::compiles(&python, name);
        let foreign = self.host.platform != Some(lock.platform);
        let mut layers = if foreign && self.host.platform == lock.builder() {
            self.compilers(recipe, lock, patches, |file| file.kind == FileKind::Builder)
        } else {
            self.compilers(recipe, lock, patches, |file| {
                file.kind == FileKind::Deb && needed(&file.name)
            })
        };
        layers.extend(own);
        let interpreter = self.add(
            "python",
            Step::Interpreter {
                layers,
                python: python.clone(),
            },
        );
        drawn
            .iter()
            .filter(|tree| tree.python_files)
            .map(|tree| Layer {
                name: format!("{} (byte code)", tree.name),
                tree: self.add(
                    &tree.name,
                    Step::Compile {
                        tree: tree.tree,
                        interpreter,
                        python: python.clone(),
                    },
                ),
                scan: None,
                keep: Keep::All,
            })
            .collect()
    }

    /// The packages that make byte code, relocated as the closure's are: for a wheel of Python alone
    /// the byte code is then the same step for every platform. Nobody gives these any privileges, so
    /// that it is also the same for every fixed path.
    fn compilers(
        &mut self,
        recipe: &Recipe,
        lock: &Lock,
        patches: Option<NodeIndex>,
        which: impl Fn(&Locked) -> bool,
    ) -> Vec<NodeIndex> {
        let files = lock.files.iter().filter(|file| which(file));
        files
            .map(|file| self.deb(recipe, lock, file, patches, None).tree)
            .collect()
    }

    fn guards(&mut self, recipe: &Recipe, closure: NodeIndex, means: Means) -> Vec<NodeIndex> {
        let mut guards = vec![self.add(&recipe.name, Step::Proof { closure, means })];
        let checks: Vec<_> = recipe
            .checks
            .iter()
            .map(|check| check.value.clone())
            .collect();
        if !checks.is_empty() && means != Means::Structure {
            let check = Step::Check {
                closure,
                means,
                checks,
            };
            guards.push(self.add(&recipe.name, check));
        }
        guards
    }
}

impl Drawn {
    fn layer(&self) -> Layer<NodeIndex> {
        Layer {
            name: self.name.clone(),
            tree: self.tree,
            scan: Some(self.scan),
            keep: self.keep,
        }
    }
}

fn is_interpreter(lock: &Lock, file: &Locked) -> bool {
    lock.python
        .as_deref()
        .is_some_and(|version| is_interpreter_name(version, &file.name))
}

/// Whether a package may be needed by what is built, and by nothing else that was known before.
fn is_linkable(lock: &Lock, file: &Locked) -> bool {
    file.reason == crate::lock::LINKABLE && lock.files.iter().any(|it| it.kind == FileKind::Sysroot)
}

/// Whether the interpreter is none of the distribution's.
fn is_pristine(recipe: &Recipe) -> bool {
    let interpreter = recipe.interpreter.as_ref();
    interpreter.is_some_and(|it| it.value.from.is_pristine())
}

/// What the closure takes of its host.
fn host(recipe: &Recipe) -> HostPolicy {
    recipe.closure.host.clone()
}

/// The glibc that is locked.
fn glibc(lock: &Lock) -> (u16, u16) {
    let libc = lock
        .files
        .iter()
        .find(|file| file.kind == FileKind::Deb && file.name == "libc6");
    libc.map_or((0, 0), |file| crate::lock::glibc(&file.version))
}

/// The binary packages that hold the interpreter and its standard library.
pub(crate) fn is_interpreter_name(version: &str, package: &str) -> bool {
    let base = format!("python{version}");
    package == base
        || ["python3-distutils", "python3-lib2to3"].contains(&package)
        || package
            .strip_prefix("lib")
            .unwrap_or(package)
            .strip_prefix(&base)
            .is_some_and(|rest| {
                ["-minimal", "-stdlib", "-venv", "-distutils", "-lib2to3"].contains(&rest)
            })
}

#[cfg(test)]
mod tests;
