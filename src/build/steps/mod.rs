//! One file for each kind of [`Step`](crate::plan::Step). Begin at [`run`].

mod bytecode;
mod check;
mod compose;
mod fetch;
mod interpreter;
pub mod layout;
mod libraries;
pub mod manifest;
mod proof;
pub mod relocate;
mod scan;
pub mod trim;
mod wheel;

use recipe_store::{BlobId, Entry, ObjectId, Session, TreeId};

use super::{Ear, Event, StepError, Workshop};
use crate::plan::{Resolved, Step};

/// What one step has to work with.
pub struct Bench<'a> {
    /// Store, network, sandbox.
    pub shop: &'a Workshop<'a>,
    /// Who hears how it goes.
    pub ear: &'a dyn Ear,
}

impl Bench<'_> {
    fn session(&self) -> &Session {
        self.shop.session
    }

    fn note(&self, text: &str) {
        self.ear.hear(Event::Note(text));
    }
}

/// What a step made, and how isolated it was.
pub struct Made {
    /// The output.
    pub output: ObjectId,
    /// The isolation that was reached: `in-process`, `namespaces`, `none`.
    pub isolation: &'static str,
}

/// Makes what `step` says, from inputs that exist.
pub fn run(step: &Resolved, bench: &Bench<'_>) -> Result<Made, StepError> {
    let session = bench.session();
    let output = match step {
        Step::Fetch(source) => ObjectId::Blob(fetch::fetch(source, bench)?),
        Step::UnpackDeb { deb, package, named, exclude } => ObjectId::Tree(layout::unpack_deb(
            session,
            &blob(deb, "a Debian package")?,
            package,
            *named,
            exclude,
        )?),
        Step::UnpackWheel { wheel, file_name, python, keep_pth } => {
            let wheel = blob(wheel, "a wheel")?;
            let unpacked = wheel::unpack_wheel(session, &wheel, file_name, python, *keep_pth)?;
            unpacked.notes.iter().for_each(|note| bench.note(note));
            ObjectId::Tree(unpacked.tree)
        }
        Step::Relocate { tree: input, patches, python } => {
            let facts = relocate::Facts {
                python: python.as_deref(),
                patches: patches.as_ref().map(|id| blob(id, "a package's patches")).transpose()?,
            };
            ObjectId::Tree(relocate::tree(session, &tree(input, "what is relocated")?, &facts)?)
        }
        Step::Scan { tree: input } => {
            ObjectId::Blob(scan::scan(session, &tree(input, "what is scanned")?)?)
        }
        Step::Interpreter { layers, python } => {
            ObjectId::Tree(interpreter::interpreter(session, &trees(layers)?, python)?)
        }
        Step::Compile { tree: input, interpreter, python } => {
            let interpreter = session.checkout(&tree(interpreter, "an interpreter")?)?;
            let input = tree(input, "what is compiled")?;
            let compiled =
                bytecode::compile_tree(session, &input, &interpreter, python, bench.shop.sandbox)?;
            return Ok(Made { output: ObjectId::Tree(compiled), isolation: "namespaces" });
        }
        Step::Compose { layers, trim, entries } => {
            ObjectId::Tree(compose::compose(session, layers, trim, entries)?)
        }
        Step::Manifest { tree: input, scans, name, version, date } => {
            let about = manifest::About { name, version, date: *date };
            ObjectId::Tree(manifest::add(session, &tree(input, "a closure")?, scans, &about)?)
        }
        Step::Proof { closure } => return proof::prove(bench, &tree(closure, "a closure")?),
        Step::Check { closure, checks } => {
            return check::check(bench, &tree(closure, "a closure")?, checks);
        }
    };
    Ok(Made { output, isolation: "in-process" })
}

fn blob(id: &ObjectId, what: &str) -> Result<BlobId, StepError> {
    match id {
        ObjectId::Blob(blob) => Ok(*blob),
        ObjectId::Tree(_) => {
            Err(StepError::Unexpected { what: what.to_owned(), found: id.to_string() })
        }
    }
}

fn tree(id: &ObjectId, what: &str) -> Result<TreeId, StepError> {
    match id {
        ObjectId::Tree(tree) => Ok(*tree),
        ObjectId::Blob(_) => {
            Err(StepError::Unexpected { what: what.to_owned(), found: id.to_string() })
        }
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
