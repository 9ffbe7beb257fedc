//! Why requirements did not become wheels.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use recipe_store::StoreError;
use thiserror::Error;

use crate::archive::ArchiveError;
use crate::net::NetError;
use crate::python::{ProjectName, PythonError, Target};
use crate::recipe::Origin;
use crate::sandbox::SandboxError;

/// Why requirements did not become wheels. Whoever has the recipe's text shows the line: see
/// [`WheelsError::project`].
#[derive(Debug, Error, Diagnostic)]
pub enum WheelsError {
    /// Nothing satisfies everything that is asked.
    #[error("the requirements cannot be satisfied together\n{reason}")]
    #[diagnostic(
        code(lock::unsatisfiable),
        help("loosen or drop one of the requirements that are named")
    )]
    Unsatisfiable {
        /// The resolver's explanation, a paragraph.
        reason: String,
        /// The first of the required projects that it names.
        project: Option<ProjectName>,
    },
    /// A project that no index has.
    #[error("no project {project} in the package index")]
    #[diagnostic(
        code(lock::unknown_project),
        help(
            "look at the spelling; a private project needs the index that has it: `--python-index URL`, or RECIPE_PYTHON_INDEX=URL"
        )
    )]
    Unknown {
        /// Its name.
        project: ProjectName,
    },
    /// Wheels, but none for this target.
    #[error("no wheel of {project} {version} runs on {target}")]
    #[diagnostic(code(lock::no_wheel), help("{}", wheels_for(offered)))]
    NoWheel {
        /// The project.
        project: String,
        /// The version that was chosen, or what was looked at.
        version: String,
        /// Where it has to run.
        target: Box<Target>,
        /// What the wheels there are run on: Pythons, where the platform fits, else tags.
        offered: Vec<String>,
    },
    /// No wheel at all.
    #[error("{project} {version} comes as source only, there is no wheel of it")]
    #[diagnostic(
        code(lock::only_source),
        help(
            "let it be built: `pip {{ no-binary \"{project}\" }}`; or ask for a version that has wheels"
        )
    )]
    OnlySource {
        /// The project.
        project: String,
        /// The version, or what was looked at.
        version: String,
    },
    /// No sdist, where one is to be built.
    #[error("{project} {version} has no sdist, and it is to be built")]
    #[diagnostic(
        code(lock::no_sdist),
        help("take it out of `no-binary`, or ask for a version that has one")
    )]
    NoSdist {
        /// The project.
        project: String,
        /// The version.
        version: String,
    },
    /// Wheels that run, but none with a hash that the requirements file allows.
    #[error("no file of {project} {version} has a hash that was asked for")]
    #[diagnostic(
        code(lock::hashes),
        help("the requirements file names hashes of other files: make its hashes again")
    )]
    Hashes {
        /// The project.
        project: String,
        /// The version.
        version: String,
    },
    /// Resolving needs an index.
    #[error("requirements cannot be resolved offline")]
    #[diagnostic(
        code(lock::offline),
        help("run it once without --offline; a build with the lock then needs no index")
    )]
    Offline,
    /// No index answered.
    #[error("no package index answered\n{reason}")]
    #[diagnostic(
        code(lock::index_unreachable),
        help("look at the network, proxy and index settings, then run it again")
    )]
    Unreachable {
        /// What the resolver said of the last one.
        reason: String,
    },
    /// Nothing says which index to use.
    #[error("no package index is known")]
    #[diagnostic(
        code(lock::no_index),
        help("set one where pip or uv reads it, such as PIP_INDEX_URL")
    )]
    NoIndex,
    /// The resolver has no build for this machine.
    #[error("the resolver uv is not pinned for {architecture}")]
    #[diagnostic(code(lock::no_resolver), help("lock on an x86_64 or aarch64 machine"))]
    NoTool {
        /// The machine's.
        architecture: String,
    },
    /// The resolver broke, which is not the requirements' fault.
    #[error("the resolver uv failed: {reason}")]
    #[diagnostic(
        code(lock::resolver),
        help(
            "run the command again; if it stays, `recipe doctor` tells whether this machine is the cause"
        )
    )]
    Tool {
        /// What it said, or how it ended.
        reason: String,
    },
    /// No index has a file with the locked name and hash.
    #[error("{file} cannot be fetched: {cause}")]
    #[diagnostic(
        code(lock::not_in_index),
        help(
            "a cache or another index may have it; `recipe lock RECIPE --upgrade {project}` takes what there is now"
        )
    )]
    Gone {
        /// The file.
        file: String,
        /// Its project.
        project: String,
        /// What the last index said.
        cause: PythonError,
    },
    /// Data that cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Python(#[from] PythonError),
    /// A download failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Net(#[from] NetError),
    /// The sandbox failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sandbox(#[from] SandboxError),
    /// An archive cannot be unpacked.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(#[from] ArchiveError),
    /// The store failed.
    #[error(transparent)]
    #[diagnostic(code(store::failed))]
    Store(#[from] StoreError),
}

fn wheels_for(offered: &[String]) -> String {
    match offered {
        [] => "ask for another version: there is no wheel of this one for any machine".to_owned(),
        offered => format!("there are wheels for {}", offered.join(", ")),
    }
}

impl WheelsError {
    /// The project whose requirement should be shown, where the error is about one.
    pub fn project(&self) -> Option<ProjectName> {
        match self {
            WheelsError::Unsatisfiable { project, .. } => project.clone(),
            WheelsError::Unknown { project } => Some(project.clone()),
            WheelsError::NoWheel { project, .. }
            | WheelsError::OnlySource { project, .. }
            | WheelsError::NoSdist { project, .. }
            | WheelsError::Hashes { project, .. } => project.parse().ok(),
            _ => None,
        }
    }
}

/// A [`WheelsError`] with the line of the recipe that asked.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct Shown {
    /// What is wrong.
    pub error: WheelsError,
    /// The recipe.
    pub text: NamedSource<Arc<str>>,
    /// Where it asks.
    pub at: SourceSpan,
}

impl WheelsError {
    /// Adds the line that asked, where the error is about one of the projects in `asked`.
    pub fn shown(self, asked: &[(ProjectName, &Origin)]) -> Box<dyn Diagnostic + Send + Sync> {
        let project = self.project();
        let at = asked
            .iter()
            .find(|(name, _)| Some(name) == project.as_ref())
            .map(|(_, at)| at);
        match at {
            Some(at) => Box::new(Shown {
                error: self,
                text: at.text.clone(),
                at: at.span,
            }),
            None => Box::new(self),
        }
    }
}

impl Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.code()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some("asked for here".to_owned()), self.at);
        Some(Box::new(std::iter::once(label)))
    }
}
