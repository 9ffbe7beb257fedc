//! One file or folder for each kind of [`Step`]. Begin at [`run`].

mod attend;
mod build;
pub mod bytecode;
mod check;
mod compose;
mod fetch;
mod interpreter;
pub(super) mod layout;
mod libraries;
pub(crate) mod manifest;
pub mod output;
mod patch;
mod proof;
pub(super) mod relocate;
mod scan;
mod sdist;
mod source;
mod sysroot;
mod trim;
pub(super) mod wheel;

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use recipe_store::{BlobId, Entry, ObjectId, Scratch, Session, StepKey, TreeId};

pub(crate) use crate::lock::sdists::hooks::LOG_FILE;
pub use attend::{Attended, Left, attended};
pub use build::FailedRun;
pub use fetch::PythonIndexes;
#[cfg(test)]
pub(crate) use patch::PatchError;
pub use source::SourceError;

use super::{Ear as _, Event, Scribe, StepError, Workshop};
use crate::elf;
use crate::plan::{FixedPath, Means, Resolved, Step};
use crate::platform::Platform;
use crate::python::Target;
use crate::sandbox::Emulator;

/// What one step has to work with.
pub struct Bench<'a> {
    /// Store, network, sandbox.
    pub shop: &'a Workshop<'a>,
    /// Who hears how it goes, and keeps it.
    pub scribe: &'a Scribe<'a>,
    /// What the step is found by.
    pub key: &'a StepKey,
}

impl Bench<'_> {
    /// What starts the programs of a closure, where the machine itself cannot.
    fn emulator(&self, means: Means) -> Option<&Emulator> {
        self.shop.emulator.filter(|_| means == Means::Emulated)
    }

    /// From now on one more build runs.
    fn building(&self) -> Building<'_> {
        self.shop.building.fetch_add(1, Ordering::Relaxed);
        Building(self.shop)
    }

    /// What a failed step has left stays for whoever wants to look into it.
    fn leave(&self, scratch: Scratch) -> Result<(), StepError> {
        Ok(scratch.keep(self.key)?)
    }

    /// What a program just printed, for whoever wants to see it now.
    fn hear(&self, text: &[u8]) {
        if self.shop.loud {
            let text = String::from_utf8_lossy(text);
            self.scribe.hear(Event::Printed(&text));
        }
    }

    fn session(&self) -> &Session {
        self.shop.session
    }

    fn note(&self, text: &str) {
        self.scribe.hear(Event::Note(text));
    }

    /// What a program printed: nobody has to see it now, and `recipe log` has it.
    fn keep(&self, text: &[u8]) {
        self.scribe.keep(&String::from_utf8_lossy(text));
    }
}

/// A build of sources, while it runs.
struct Building<'a>(&'a Workshop<'a>);

impl Building<'_> {
    /// How many jobs it may run at once now: its part of all, which is no fact of what it makes.
    fn jobs(&self) -> usize {
        let running = self.0.building.load(Ordering::Relaxed).max(1);
        self.0.jobs.max(1).div_ceil(running)
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.0.building.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a step made, and how isolated it was.
pub struct Made {
    /// The output.
    pub output: ObjectId,
    /// The isolation that was reached: `in-process`, a [`crate::sandbox::Level`]'s word, `emulated`
    /// (namespaces, by an emulator), `structure` (nothing was run).
    pub isolation: &'static str,
}

/// Interpreters that compile, one group for each interpreter tree of a build.
#[derive(Default)]
pub struct Compilers(Mutex<HashMap<TreeId, Arc<bytecode::Compilers>>>);

impl Compilers {
    fn of(
        &self,
        interpreter: &TreeId,
        python: &str,
        shop: &Workshop<'_>,
    ) -> Result<Arc<bytecode::Compilers>, StepError> {
        once(&self.0, interpreter, || {
            let root = shop.session.checkout_private(interpreter)?;
            let program = format!("/{}/bin/python{python}", interpreter::FOLDER);
            let compilers = bytecode::Compilers::new(shop.sandbox.clone(), &root, program, python);
            Ok(Arc::new(match shop.elsewhere {
                Some(elsewhere) => compilers.on(elsewhere),
                None => compilers,
            }))
        })
    }
}

/// Where sysroots have the programs that builds start, by sysroot and name.
#[derive(Default)]
pub struct Programs(Mutex<HashMap<(TreeId, String), Option<String>>>);

impl Programs {
    /// What is known of a program of that name, else what `look` finds.
    fn of(
        &self,
        sysroot: &TreeId,
        name: &str,
        look: impl FnOnce() -> Result<Option<String>, StepError>,
    ) -> Result<Option<String>, StepError> {
        let key = (*sysroot, name.to_owned());
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = known().get(&key) {
            return Ok(path.clone());
        }
        // Two may look at once: both find the same.
        let path = look()?;
        known().insert(key, path.clone());
        Ok(path)
    }
}

/// What `known` has for `key`; whoever asks first makes it, and others wait.
///
/// It is made on a thread outside of the pool: a thread of rayon that waits for its own work takes up another step
/// meanwhile, and if that asked here, it would wait for the lock that its own thread holds, for ever.
fn once<K, V, E>(
    known: &Mutex<HashMap<K, V>>,
    key: &K,
    make: impl FnOnce() -> Result<V, E> + Send,
) -> Result<V, E>
where
    K: Copy + Eq + Hash,
    V: Clone + Send,
    E: Send,
{
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(value) = known.get(key) {
        return Ok(value.clone());
    }
    let made = thread::scope(|scope| scope.spawn(make).join());
    let value = made.unwrap_or_else(|panic| resume_unwind(panic))?;
    known.insert(*key, value.clone());
    Ok(value)
}

/// Makes what `step` says, from inputs that exist.
pub fn run(step: &Resolved, bench: &Bench<'_>) -> Result<Made, StepError> {
    let session = bench.session();
    let output = match step {
        Step::Fetch(source) => ObjectId::Blob(fetch::fetch(source, bench)?),
        Step::Local { object } => *object,
        Step::UnpackDeb {
            deb,
            package,
            named,
            exclude,
        } => {
            let layout = layout::Layout {
                package,
                named: *named,
                exclude,
            };
            ObjectId::Tree(layout::unpack_deb(
                session,
                &blob(deb, "a Debian package")?,
                &layout,
            )?)
        }
        Step::UnpackWheel {
            wheel,
            file_name,
            platform,
            python,
            glibc,
            keep_pth,
        } => {
            let (file_name, wheel) = &sdist::wheel_of(session, file_name, wheel)?;
            let target = target(python, *glibc, *platform)?;
            let launcher = launcher(*platform)?;
            let options = wheel::WheelOptions {
                file_name,
                target: &target,
                launcher: &launcher,
                keep_pth: *keep_pth,
            };
            let unpacked = wheel::unpack_wheel(session, wheel, &options)?;
            unpacked
                .notes
                .iter()
                .for_each(|note| bench.note(&format!("{file_name}: {note}")));
            ObjectId::Tree(unpacked.tree)
        }
        Step::Patches { packaging } => {
            let packaging = blob(packaging, "a package's packaging")?;
            ObjectId::Blob(relocate::library_patches(session, &packaging)?)
        }
        Step::Relocate {
            tree: input,
            patches,
            python,
            pristine,
            host,
            fixed,
        } => {
            let fixed = fixed
                .as_ref()
                .map(|it| fixed_place(session, it))
                .transpose()?;
            let patches = patches
                .as_ref()
                .map(|id| blob(id, "a package's patches"))
                .transpose()?;
            let facts = relocate::RelocateFacts {
                python: python.as_deref(),
                pristine: *pristine,
                patches: patches.as_ref(),
                host,
                fixed: fixed.as_ref(),
            };
            ObjectId::Tree(relocate::tree(
                session,
                &tree(input, "what is relocated")?,
                &facts,
            )?)
        }
        Step::Scan { tree: input } => {
            ObjectId::Blob(scan::scan(session, &tree(input, "what is scanned")?)?)
        }
        Step::Interpreter { layers, python } => {
            ObjectId::Tree(interpreter::interpreter(session, &trees(layers)?, python)?)
        }
        Step::Compile {
            tree: input,
            interpreter,
            python,
        } => {
            let interpreter = tree(interpreter, "an interpreter")?;
            let compilers = bench.shop.compilers.of(&interpreter, python, bench.shop)?;
            let input = tree(input, "what is compiled")?;
            let compiled = bytecode::compile_tree(session, &input, &compilers)
                .inspect_err(|error| bench.keep(error.said().as_bytes()))?;
            for skipped in &compiled.skipped {
                bench.note(&format!(
                    "{}: no byte code: {}",
                    skipped.path, skipped.reason
                ));
            }
            return Ok(Made {
                output: ObjectId::Tree(compiled.tree),
                isolation: "namespaces",
            });
        }
        Step::Compose {
            layers,
            trim,
            entries,
        } => ObjectId::Tree(compose::compose(session, layers, trim, entries)?),
        Step::Manifest {
            tree: input,
            scans,
            name,
            version,
            date,
            glibc,
            host,
            fixed_path,
        } => {
            let about = manifest::About {
                name,
                version,
                date: *date,
                glibc: *glibc,
                host,
                fixed_path: fixed_path.as_deref(),
            };
            ObjectId::Tree(manifest::add(
                session,
                &tree(input, "a closure")?,
                scans,
                &about,
            )?)
        }
        Step::UnpackPackage { deb, package } => {
            let deb = blob(deb, "a Debian package")?;
            ObjectId::Tree(sysroot::unpack(session, &deb, package)?)
        }
        Step::UnpackSource {
            files,
            patched,
            patches,
        } => ObjectId::Tree(source::unpack(session, files, *patched, patches)?),
        Step::Sysroot { packages } => ObjectId::Tree(sysroot::sysroot(session, packages)?),
        Step::Used { outputs } => ObjectId::Tree(sysroot::used(session, outputs)?),
        Step::Build {
            sysroot,
            used,
            sources,
            env,
            runs,
            date,
        } => {
            let work = build::Work {
                sysroot: tree(sysroot, "a sysroot")?,
                used: build::used_tree(used)?,
                sources,
                env,
                runs,
                date: *date,
            };
            return build::build(bench, &work);
        }
        Step::BuildSdist {
            sysroot,
            sdist,
            file_name,
            name,
            version,
            requires,
            wheels,
            python,
            date,
        } => {
            let work = sdist::Work {
                sysroot: &tree(sysroot, "a sysroot")?,
                sdist: &blob(sdist, "an sdist")?,
                file_name,
                name,
                version,
                requires,
                wheels,
                python,
                date: *date,
            };
            return sdist::build(bench, &work);
        }
        Step::Select {
            tree: input,
            only,
            without,
        } => ObjectId::Tree(output::select(
            session,
            &tree(input, "what was built")?,
            only,
            without,
        )?),
        Step::LayOut {
            tree: input,
            subject,
            compiled_in,
            python,
        } => {
            let launcher = python
                .as_ref()
                .map(|it| launcher(it.platform))
                .transpose()?;
            let python = python.as_ref().zip(launcher.as_deref());
            let kept = output::Kept {
                subject,
                compiled_in,
                python: python.map(|(it, launcher)| (it.version.as_str(), launcher)),
            };
            ObjectId::Tree(output::lay_out(session, &tree(input, "an output")?, &kept)?)
        }
        Step::Proof { closure, means } => {
            return proof::prove(bench, &tree(closure, "a closure")?, *means);
        }
        Step::Check {
            closure,
            means,
            checks,
        } => return check::check(bench, &tree(closure, "a closure")?, *means, checks),
    };
    Ok(Made {
        output,
        isolation: "in-process",
    })
}

/// What a scan step has found: the ELF files of a tree, by path.
pub fn read_scan(
    session: &Session,
    id: &ObjectId,
) -> Result<std::collections::BTreeMap<String, elf::Facts>, StepError> {
    scan::read(session, id)
}

fn fixed_place(
    session: &Session,
    fixed: &FixedPath<ObjectId>,
) -> Result<relocate::FixedPlace, StepError> {
    let scans = fixed.scans.iter().map(|id| scan::read(session, id));
    let layers = scans.collect::<Result<Vec<_>, _>>()?;
    Ok(relocate::FixedPlace::of(&fixed.path, &layers))
}

fn target(python: &str, glibc: (u16, u16), platform: Platform) -> Result<Target, StepError> {
    Target::new(python, glibc, platform).map_err(|error| StepError::Unexpected {
        what: "the interpreter that wheels are unpacked for".into(),
        found: error.to_string(),
    })
}

/// What starts a script of a wheel: found by its own name, with no shell.
fn launcher(platform: Platform) -> Result<Vec<u8>, StepError> {
    let words = elf::Launcher {
        program: "python3".into(),
        scripts: Some("../libexec/scripts".into()),
    };
    elf::launcher(platform.machine(), &words).map_err(|error| StepError::Elf {
        path: "the launcher of scripts".into(),
        error,
    })
}

fn blob(id: &ObjectId, what: &str) -> Result<BlobId, StepError> {
    match id {
        ObjectId::Blob(blob) => Ok(*blob),
        ObjectId::Tree(_) => Err(StepError::Unexpected {
            what: what.to_owned(),
            found: id.to_string(),
        }),
    }
}

fn tree(id: &ObjectId, what: &str) -> Result<TreeId, StepError> {
    match id {
        ObjectId::Tree(tree) => Ok(*tree),
        ObjectId::Blob(_) => Err(StepError::Unexpected {
            what: what.to_owned(),
            found: id.to_string(),
        }),
    }
}

fn trees(ids: &[ObjectId]) -> Result<Vec<TreeId>, StepError> {
    ids.iter().map(|id| tree(id, "a layer")).collect()
}

/// Every file and link below `root`, sorted by path; directories are implied.
pub(crate) fn leaves(session: &Session, root: &TreeId) -> Result<Vec<(String, Entry)>, StepError> {
    let mut found = Vec::new();
    recipe_store::walk(session, root, &mut |path, entry| {
        if !matches!(entry, Entry::Directory(_)) {
            found.push((path.to_owned(), entry.clone()));
        }
        Ok::<(), StepError>(())
    })?;
    // A folder's files come after the folder's name, which is not the order of whole paths.
    found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use rayon::prelude::*;

    use super::*;

    #[test]
    fn what_is_made_once_in_parallel_holds_up_no_step_that_waits_for_it() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build();
        let pool = pool.unwrap();
        for round in 0..50 {
            let known = Mutex::new(HashMap::new());
            let made = AtomicUsize::new(0);
            let make = || {
                made.fetch_add(1, Ordering::Relaxed);
                let parts = (0..64).into_par_iter();
                Ok::<usize, ()>(parts.map(|part| (0..2_000).fold(part, usize::max)).sum())
            };
            pool.scope(|scope| {
                for _ in 0..32 {
                    scope.spawn(|_| assert!(once(&known, &round, make).is_ok()));
                }
            });
            assert_eq!(made.into_inner(), 1);
        }
    }
}
