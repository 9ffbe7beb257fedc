//! Machines that share what they build: one that has built, others that take.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::{Scratch, sources};

/// What is shared in these tests.
pub const RECIPE: &str = "python";

/// A machine that has built the recipe and has a key; none where its sources cannot be had.
pub fn builder() -> Option<Scratch> {
    let sources = sources()?;
    let scratch = Scratch::new().warm(sources);
    scratch.run(["build", RECIPE, "--locked"]).ok();
    scratch.run(["key", "new", "builder"]).ok();
    Some(scratch)
}

/// Its public key.
pub fn key_of(scratch: &Scratch) -> String {
    let shown = scratch.run(["key", "show", "--json"]).ok().out;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    shown["own"].as_str().expect("a key").to_owned()
}

/// A machine that trusts the other, and could fetch nothing by itself.
pub fn taker(builder: &Scratch) -> Scratch {
    let scratch = lonely();
    scratch.run(["key", "trust", &key_of(builder)]).ok();
    scratch
}

/// A machine that could fetch nothing by itself, and trusts nobody.
pub fn lonely() -> Scratch {
    let nowhere = "http://127.0.0.1:9/";
    Scratch::new()
        .set("RECIPE_DEBIAN_MIRROR", nowhere)
        .set("RECIPE_DEBIAN_SECURITY_MIRROR", nowhere)
        .set("RECIPE_PYTHON_INDEX", nowhere)
}

/// The name of the closure in the store.
pub fn closure_of(scratch: &Scratch) -> String {
    let link = fs::read_link(scratch.work().join("result").join(RECIPE)).expect("a link");
    link.file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned()
}

/// A folder that it has pushed into.
pub fn pushed(builder: &Scratch) -> Utf8PathBuf {
    let cache = builder.path().join("cache");
    builder.run(["push", RECIPE, "--to", cache.as_str()]).ok();
    cache
}

/// The file in a folder that has one.
pub fn only_file(folder: &Utf8Path) -> Utf8PathBuf {
    let mut entries = folder.read_dir_utf8().expect("a folder");
    let entry = entries.next().expect("a file").expect("an entry");
    assert!(entries.next().is_none(), "one file in {folder}");
    entry.into_path()
}
