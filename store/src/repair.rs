//! What verification found → out of the way. Begin at [`Store::drop_damaged`].
//!
//! An object that is there is never written again, so a damaged one would stay damaged for ever.
//! Once it is gone, with the directories that contain it and the traces that lead to those, the steps that made
//! them run again and put all of it back; what nobody wants any more is not missed.

use std::io::ErrorKind::NotFound;

use rustix::fs::FlockOperation;

use crate::disk::Dir;
use crate::error::Result;
use crate::finding::{Damage, Finding};
use crate::gc::Exclusive;
use crate::layout::{Key, Kind, Store};
use crate::traces::trace_path;
use crate::verify::VerifyReport;

impl Store {
    /// Removes what is damaged: objects with the directories, traces and checked-out trees that contain them, traces and
    /// roots that cannot be read, changed checkouts. Modes are set right instead. Extra files outside of
    /// checkouts are left alone. Tells how many findings were dealt with. No session should be at work.
    pub fn drop_damaged(&self, report: &VerifyReport) -> Result<u64> {
        let collecting = self
            .folders
            .lock_collecting(FlockOperation::LockExclusive)?;
        let gate = Exclusive::take(&self.folders)?;
        let mut done = 0;
        for finding in &report.findings {
            done += u64::from(self.drop_one(finding)?);
        }
        self.folders.root.sync_all()?;
        drop(gate);
        drop(collecting);
        Ok(done)
    }

    fn drop_one(&self, finding: &Finding) -> Result<bool> {
        let folders = &self.folders;
        if let Ok(inside) = finding.path.strip_prefix(folders.trees.path()) {
            let checkout = inside.components().next().map(|part| part.as_str());
            checkout.map_or(Ok(()), |name| folders.trees.remove_all(name.as_bytes()))?;
            return Ok(checkout.is_some());
        }
        let below = |folder: &Dir| {
            finding
                .path
                .strip_prefix(folder.path())
                .ok()
                .map(|path| path.as_str().to_owned())
        };
        let named = [
            &folders.blobs,
            &folders.dirs,
            &folders.traces,
            &folders.roots,
        ]
        .into_iter()
        .find_map(|folder| Some((folder, below(folder)?)));
        let Some((folder, name)) = named else {
            return Ok(false);
        };
        match &finding.damage {
            Damage::Extra => return Ok(false),
            Damage::Mode { wanted, .. } => {
                return match folder.set_mode(&name, *wanted) {
                    // Its bytes were wrong too, so it was dropped a moment ago.
                    Err(error) if error.os().is_some_and(|os| os.kind() == NotFound) => Ok(true),
                    done => done.map(|()| true),
                };
            }
            Damage::Bytes { .. } | Damage::Missing | Damage::Kind => {}
        }
        for step in &finding.steps {
            folders.traces.unlink(trace_path(step).as_str())?;
        }
        for tree in &finding.trees {
            folders.trees.remove_all(tree.hex().as_bytes())?;
            let directory = Key {
                kind: Kind::Dir,
                digest: *tree,
            };
            folders.dirs.unlink(directory.path().as_str())?;
        }
        folder.remove_all(name.as_bytes())?;
        Ok(true)
    }
}
