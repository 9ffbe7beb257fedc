//! Relocated trees → the few files of an interpreter that compiling byte code needs.
//!
//! Small on purpose: a change of any other file of the standard library does not compile
//! everything again. Checked out once, and seen read-only by every compiling process.

use recipe_store::{Session, TreeBuilder, TreeId};

use super::{StepError, leaves};
use crate::platform::Platform;

/// The folder it lies in: Python does not find its own files when they lie at `/`.
pub(super) const FOLDER: &str = "python";

/// What of a tree an interpreter is made of.
pub(super) fn interpreter(
    session: &Session,
    layers: &[TreeId],
    python: &str,
) -> Result<TreeId, StepError> {
    let mut builder = TreeBuilder::new();
    for layer in layers {
        for (path, entry) in leaves(session, layer)? {
            if needed(&path, python) {
                builder.insert(&format!("{FOLDER}/{path}"), entry)?;
            }
        }
    }
    Ok(builder.finish(session)?)
}

/// With `-I -S` the interpreter starts from its frozen modules and these: its codecs, its own
/// program, and the libraries that Debian links it with. Before 3.11 fewer modules are frozen.
fn needed(path: &str, python: &str) -> bool {
    const LIBRARIES: [&str; 7] = [
        "lib/libc.so.6",
        "lib/libm.so.6",
        "lib/libdl.so.2",
        "lib/libpthread.so.0",
        "lib/libutil.so.1",
        "lib/libz.so.1",
        "lib/libexpat.so.1",
    ];
    const UNFROZEN: [&str; 3] = ["abc.py", "codecs.py", "io.py"];
    let encodings = format!("lib/python{python}/encodings/");
    // Built in where a distribution builds it; of an interpreter of our own a file.
    let names = format!("lib/python{python}/lib-dynload/unicodedata.");
    let loader = |platform: Platform| path == format!("lib/{}", platform.loader());
    path == format!("bin/python{python}")
        || path == format!("lib/python{python}/os.py")
        || (matches!(python, "3.9" | "3.10")
            && UNFROZEN
                .iter()
                .any(|name| path == format!("lib/python{python}/{name}")))
        || path == format!("lib/libpython{python}.so.1.0")
        || path.starts_with(&encodings)
        || path.starts_with(&names)
        || LIBRARIES.contains(&path)
        || Platform::ALL.into_iter().any(loader)
}
