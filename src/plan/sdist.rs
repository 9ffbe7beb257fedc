//! An sdist and what builds it → the steps that make a wheel of it. Begin at [`Drawing::sdist`].

use petgraph::graph::NodeIndex;

use super::{Drawing, Drawn, Step};
use crate::lock::{FileKind, Lock, Locked};
use crate::recipe::Recipe;

/// How deep build requirements that are built themselves are followed; locking goes less deep, and a
/// lock that was written by hand ends.
const DEPTH: usize = 16;

impl Drawing {
    /// The layer of a project that is built.
    pub(super) fn sdist(&mut self, recipe: &Recipe, lock: &Lock, file: &Locked) -> Drawn {
        let wheel = self.build_sdist(lock, file, DEPTH);
        self.unpacked(recipe, lock, file, (wheel, ""))
    }

    /// The wheel of an sdist.
    fn build_sdist(&mut self, lock: &Lock, file: &Locked, depth: usize) -> NodeIndex {
        let sysroot = self.sysroot(lock);
        let sdist = self.fetch(file);
        let id = file.id();
        let needs = lock
            .files
            .iter()
            .filter(|need| need.builds().any(|it| it == id));
        let mut wheels = Vec::new();
        for need in needs {
            match need.kind {
                FileKind::BuildSdist if depth == 0 => {}
                FileKind::BuildSdist => {
                    let built = self.build_sdist(lock, need, depth - 1);
                    wheels.push((String::new(), built));
                }
                _ => wheels.push((need.path.clone(), self.fetch(need))),
            }
        }
        self.add(
            &file.subject(),
            Step::BuildSdist {
                sysroot,
                sdist,
                file_name: file.path.clone(),
                name: file.name.clone(),
                version: file.version.clone(),
                requires: file.requires.clone(),
                wheels,
                python: lock.python.clone().unwrap_or_default(),
                date: lock.date,
            },
        )
    }
}
