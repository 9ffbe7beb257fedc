//! A step that runs programs → its sandbox, for a person. Begin at [`attended`].
//!
//! It is the sandbox that the step itself gets: what is seen there is what the build sees.

use std::ffi::OsString;

use camino::Utf8Path;
use recipe_store::{Session, TreeId};

use super::{Programs, StepError, blob, build, sdist, tree};
use crate::plan::{Resolved, Step};
use crate::sandbox::{Sandbox, Spec};

/// Shells, the best first, with what they start with.
const SHELLS: [&[&str]; 2] = [&["bash", "--noprofile", "--norc"], &["sh"]];

/// What a person gets.
pub struct Attended {
    /// What the step runs, as one would type it.
    pub runs: Vec<String>,
    /// The sandbox; what is started in it is for [`Attended::starting`] to say.
    pub spec: Spec,
    /// The shell that is there.
    shell: Option<&'static [&'static str]>,
}

/// Where a person looks.
#[derive(Debug, Clone, Copy)]
pub enum Left<'a> {
    /// An empty folder: everything is made there as before the first program of the step.
    Fresh(&'a Utf8Path),
    /// The folder that a failed try has left.
    There(&'a Utf8Path),
}

/// The sandbox of `step`; none for a step that runs no programs of others.
///
/// # Errors
/// Where what it needs cannot be laid out.
pub fn attended(
    session: &Session,
    sandbox: &Sandbox,
    step: &Resolved,
    place: Left<'_>,
    jobs: usize,
) -> Result<Option<Attended>, StepError> {
    let (sysroot, (spec, runs)) = match step {
        Step::Build {
            sysroot,
            used,
            sources,
            env,
            runs,
            date,
        } => {
            let sysroot = tree(sysroot, "a sysroot")?;
            let work = build::Work {
                sysroot,
                used: build::used_tree(used)?,
                sources,
                env,
                runs,
                date: *date,
            };
            (sysroot, build::attended(session, &work, place, jobs)?)
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
            let sysroot = tree(sysroot, "a sysroot")?;
            let work = sdist::Work {
                sysroot: &sysroot,
                sdist: &blob(sdist, "an sdist")?,
                file_name,
                name,
                version,
                requires,
                wheels,
                python,
                date: *date,
            };
            let found = sdist::attended(session, sandbox, &work, place, jobs)?;
            (sysroot, found)
        }
        _ => return Ok(None),
    };
    let mut spec = spec;
    // A person takes as long as it takes.
    spec.limits.wall = None;
    Ok(Some(Attended {
        runs,
        spec,
        shell: shell(session, &sysroot)?,
    }))
}

fn shell(
    session: &Session,
    sysroot: &TreeId,
) -> Result<Option<&'static [&'static str]>, StepError> {
    let programs = Programs::default();
    for shell in SHELLS {
        if build::program_path(session, &programs, sysroot, None, shell[0])?.is_some() {
            return Ok(Some(shell));
        }
    }
    Ok(None)
}

impl Attended {
    /// The sandbox with `command` in it, a shell without one; none where there is no shell.
    pub fn starting(mut self, command: &[OsString], prompt: &str) -> Option<Spec> {
        let words: Vec<OsString> = match (command, self.shell) {
            ([], None) => return None,
            ([], Some(shell)) => {
                self.spec = self.spec.env("PS1", prompt);
                shell.iter().map(Into::into).collect()
            }
            (command, _) => command.to_vec(),
        };
        self.spec.program = build::ENV.into();
        self.spec.args = words;
        Some(self.spec)
    }
}
