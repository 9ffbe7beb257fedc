//! Debian packages → the machine that a build sees. Begin at [`sysroot`].
//!
//! Packages are decoded as they are; [`machine`] lays them together and makes what their
//! scripts would have made. What other recipes built lies in `/usr/local`, where compilers, linkers,
//! pkg-config and cmake look by themselves; the prefix that it was built with is written there as it is
//! found there.

use recipe_store::{BlobId, Entry, ObjectId, Session, StoreError, TreeBuilder, TreeId};

use super::output::PREFIX;
use super::{StepError, leaves, tree, trees};
use crate::archive::{self, Limits, TreeSink};
use crate::lock::machine;

/// Decodes the package `deb` as it is.
pub(super) fn unpack(session: &Session, deb: &BlobId, package: &str) -> Result<TreeId, StepError> {
    let mut sink = TreeSink::new(session);
    let file = session.open_blob(deb)?;
    archive::unpack_deb(file, package, &Limits::default(), &mut sink)
        .map_err(|error| StepError::Layout(error.into()))?;
    Ok(sink.finish()?)
}

/// Installs packages in one tree.
pub(super) fn sysroot(session: &Session, packages: &[ObjectId]) -> Result<TreeId, StepError> {
    Ok(machine(session, trees(packages)?.into_iter())?)
}

/// Lays together what is used of other recipes, as it lies in `usr/local`.
pub(super) fn used(session: &Session, outputs: &[ObjectId]) -> Result<TreeId, StepError> {
    let mut builder = TreeBuilder::new();
    for output in outputs {
        let output = tree(output, "what is used")?;
        builder.merge("", at_home(session, &output)?)?;
    }
    Ok(builder.finish(session)?)
}

/// The output with its prefix where it lies now, as far as texts have it.
fn at_home(session: &Session, output: &TreeId) -> Result<TreeId, StepError> {
    let finder = memchr::memmem::Finder::new(PREFIX);
    let mut builder = TreeBuilder::from_tree(*output);
    for (path, entry) in leaves(session, output)? {
        let Entry::File { blob, executable } = entry else {
            continue;
        };
        let bytes = session.read_blob(&blob)?;
        if finder.find(&bytes).is_none() {
            continue;
        }
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        let text = text.replace(PREFIX, "/usr/local");
        let blob = session.put_blob(text.as_bytes(), executable)?;
        let entry = Entry::File { blob, executable };
        builder.replace(&path, entry).map_err(StoreError::from)?;
    }
    Ok(builder.finish(session)?)
}
