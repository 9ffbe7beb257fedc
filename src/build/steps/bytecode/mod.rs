//! A tree with Python sources → a tree with their byte code and nothing else. Begin at
//! [`compile_tree`].
//!
//! A closure is read-only where it runs, so byte code that is not in it is made again at every
//! start (740 ms instead of 200 ms for the modules of scylla-python). What Python itself writes
//! depends on time and path; here it does not: headers are hash-based and unchecked (PEP 552),
//! the file name inside is relative to the closure (the importer puts the real one in its place,
//! so tracebacks are right), and the compiling process imports nothing (`worker.rs`). The bytes
//! depend on the source, its path in the closure and the interpreter, not on order, grouping,
//! hash seed, or the machine: one step per input tree, in any number of processes.

mod error;
mod worker;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use recipe_store::{BlobId, Entry, Session, StoreError, TreeBuilder, TreeId};

pub use error::BytecodeError;
pub use worker::Compilers;

use worker::{Answer, Source};

/// Bytes of source that go to a worker at once: enough to hide the way there and back, small
/// enough to share the standard library among all cores.
const CHUNK: u64 = 512 << 10;

/// The byte code of one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// `lib/python3.13/**/__pycache__/NAME.cpython-313.pyc` and nothing else.
    pub tree: TreeId,
    /// How many sources were compiled.
    pub files: usize,
    /// Sources that do not compile, sorted by path: templates, data of tests.
    pub skipped: Vec<Skipped>,
}

/// A source that does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path in the closure.
    pub path: String,
    /// What Python says.
    pub reason: String,
}

/// Compiles every `.py` file below `lib/pythonX.Y/` of `tree` with one of `compilers`.
///
/// # Errors
/// When the interpreter cannot be started, is of another version, or dies; never because of a
/// source that does not compile.
pub fn compile_tree(
    session: &Session,
    tree: &TreeId,
    compilers: &Compilers,
) -> Result<Compiled, BytecodeError> {
    let sources = sources(session, tree, compilers.python())?;
    let chunks = chunks(&sources);
    let answers: Vec<Vec<(String, Made)>> = chunks
        .into_par_iter()
        .map(|chunk| compile_chunk(session, chunk, compilers))
        .collect::<Result<_, BytecodeError>>()?;
    let mut builder = TreeBuilder::new();
    let mut compiled = Compiled {
        tree: *tree,
        files: 0,
        skipped: Vec::new(),
    };
    for (path, made) in answers.into_iter().flatten() {
        match made {
            Made::ByteCode(blob) => {
                let at = byte_code_path(&path, &compilers.cache_tag());
                builder.insert(
                    at.as_str(),
                    Entry::File {
                        blob,
                        executable: false,
                    },
                )?;
                compiled.files += 1;
            }
            Made::Skipped(reason) => compiled.skipped.push(Skipped { path, reason }),
        }
    }
    compiled.tree = builder.finish(session)?;
    compiled.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(compiled)
}

/// What became of one source.
enum Made {
    ByteCode(BlobId),
    Skipped(String),
}

/// Whether a path of the closure is a source that is worth compiling.
fn is_source(path: &str, python: &str) -> bool {
    let library = path
        .strip_prefix("lib/python")
        .and_then(|rest| rest.strip_prefix(python));
    let Some(inside) = library.and_then(|rest| rest.strip_prefix('/')) else {
        return false;
    };
    // Python 2 on purpose; it would only fill the list of what was skipped.
    let old = inside.starts_with("lib2to3/tests/");
    inside.ends_with(".py") && !old && !inside.split('/').any(|part| part == "__pycache__")
}

/// `a/b.py` → `a/__pycache__/b.cpython-313.pyc`
fn byte_code_path(source: &str, cache_tag: &str) -> Utf8PathBuf {
    let source = Utf8Path::new(source);
    let folder = source.parent().unwrap_or(Utf8Path::new(""));
    let stem = source.file_stem().unwrap_or_default();
    folder
        .join("__pycache__")
        .join(format!("{stem}.{cache_tag}.pyc"))
}

fn sources(
    session: &Session,
    tree: &TreeId,
    python: &str,
) -> Result<Vec<(String, BlobId)>, BytecodeError> {
    let mut found = Vec::new();
    recipe_store::walk(session, tree, &mut |path, entry| {
        if let Entry::File { blob, .. } = entry
            && is_source(path, python)
        {
            found.push((path.to_owned(), *blob));
        }
        Ok::<(), StoreError>(())
    })?;
    Ok(found)
}

fn chunks(sources: &[(String, BlobId)]) -> Vec<&[(String, BlobId)]> {
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, (_, blob)) in sources.iter().enumerate() {
        if bytes >= CHUNK {
            chunks.push(&sources[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += blob.size;
    }
    if start < sources.len() {
        chunks.push(&sources[start..]);
    }
    chunks
}

fn compile_chunk(
    session: &Session,
    chunk: &[(String, BlobId)],
    compilers: &Compilers,
) -> Result<Vec<(String, Made)>, BytecodeError> {
    let read = |(path, blob): &(String, BlobId)| {
        Ok(Source {
            path: path.clone(),
            bytes: session.read_blob(blob)?,
        })
    };
    let sources: Vec<Source> = chunk
        .iter()
        .map(read)
        .collect::<Result<_, BytecodeError>>()?;
    let answers = compilers.compile(&sources)?;
    let keep = |(source, answer): (Source, Answer)| {
        let made = match answer {
            Answer::ByteCode(bytes) => Made::ByteCode(session.put_blob(&bytes, false)?),
            Answer::Skipped(reason) => Made::Skipped(reason),
        };
        Ok((source.path, made))
    };
    sources.into_iter().zip(answers).map(keep).collect()
}
