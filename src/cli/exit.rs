//! How a command ends: one exit code for each kind of failure, as `--help` and the book list them.

use miette::{Diagnostic, Report};
use recipe_store::StoreError;

use super::advice::StoreFailed;
use crate::build::steps::SourceError;
use crate::build::{BuildError, Failure, StepError};
use crate::cache::CacheError;
use crate::closure::ClosureError;
use crate::conformance::ConformanceError;
use crate::git::GitError;
use crate::lock::LockError;
use crate::lock::host::HostError;
use crate::lock::wheels::WheelsError;
use crate::net::NetError;
use crate::package::PackageError;
use crate::recipe::RecipeError;

pub(super) const DONE: u8 = 0;
pub(super) const STEP: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const RECIPE: u8 = 3;
pub(super) const UNREACHABLE: u8 = 4;
pub(super) const INTEGRITY: u8 = 5;
pub(super) const STORE: u8 = 6;

/// Every code: as `--help` tells it, and as the book does.
pub(super) const CODES: [(u8, &str, &str); 9] = [
    (DONE, "done", "done"),
    (
        STEP,
        "a step or check failed",
        "a step or a check failed, or `doctor` found something that stands in the way",
    ),
    (
        USAGE,
        "usage",
        "the command line, the environment or the configuration is wrong",
    ),
    (
        RECIPE,
        "recipe or lock",
        "the recipe or its lock is wrong, or the lock is out of date where it may not be written: with `--locked`, \
         or by a command that only looks, such as `plan`",
    ),
    (
        UNREACHABLE,
        "unreachable or offline",
        "something is unreachable, or `--offline` was given",
    ),
    (
        INTEGRITY,
        "wrong bytes or signature",
        "wrong bytes: a hash or a signature does not agree",
    ),
    (STORE, "store or disk", "the store or the disk"),
    (
        INTERRUPTED,
        "interrupted",
        "interrupted by Ctrl-C (SIGINT); nothing is left half done",
    ),
    (
        TERMINATED,
        "terminated",
        "ended by SIGTERM; nothing is left half done",
    ),
];

pub(super) const INTERRUPTED: u8 = 130;
pub(super) const TERMINATED: u8 = 143;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// Flags, environment or configuration.
    Usage(Report),
    /// The recipe is not usable.
    Recipe(Box<RecipeError>),
    /// The lock is not usable, or could not be made.
    Lock(Box<LockError>),
    /// Steps failed.
    Build(Box<BuildError>),
    /// A closure or archive could not be read or written.
    Closure(Box<ClosureError>),
    /// A cache, a key or a bundle.
    Cache(Box<CacheError>),
    /// An archive could not be written.
    Package(Box<PackageError>),
    /// The store.
    Store(Box<StoreFailed>),
    /// A file of the user could not be read or written.
    File(Report),
    /// What was checked is damaged; the report was printed already.
    Damaged(Report),
    /// What was built again differs; where was printed already.
    Differs(Report),
    /// What was tested does not hold; the table was printed already.
    Check(Report),
    /// A tree could not be tested.
    Conformance(Box<ConformanceError>),
    /// What the lock or recipe asks for does not hold.
    Stale(Report),
    /// This machine cannot do what builds need.
    Unfit(Report),
}

impl Failed {
    /// What went wrong, without its place and advice.
    pub(super) fn message(&self) -> String {
        self.diagnostic().to_string()
    }

    /// The error as miette sees it.
    pub(super) fn diagnostic(&self) -> &(dyn Diagnostic + Send + Sync) {
        match self {
            Failed::Usage(report)
            | Failed::File(report)
            | Failed::Damaged(report)
            | Failed::Stale(report)
            | Failed::Differs(report)
            | Failed::Check(report)
            | Failed::Unfit(report) => report.as_ref(),
            Failed::Recipe(error) => error.as_ref(),
            Failed::Lock(error) => error.as_ref(),
            Failed::Build(error) => error.as_ref(),
            Failed::Closure(error) => error.as_ref(),
            Failed::Cache(error) => error.as_ref(),
            Failed::Package(error) => error.as_ref(),
            Failed::Conformance(error) => error.as_ref(),
            Failed::Store(error) => error.as_ref(),
        }
    }

    /// What kind of failure it is, for those that have no code of their own.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Failed::Usage(_) => "usage",
            Failed::File(_) => "file",
            Failed::Damaged(_) => "damaged",
            Failed::Check(_) => "check",
            Failed::Differs(_) => "differs",
            Failed::Stale(_) => "stale",
            Failed::Unfit(_) => "unfit",
            Failed::Recipe(_) => "recipe",
            Failed::Lock(_) => "lock",
            Failed::Build(_) => "build",
            Failed::Closure(_) => "closure",
            Failed::Cache(_) => "cache",
            Failed::Package(_) => "package",
            Failed::Store(_) => "store",
            Failed::Conformance(_) => "conformance",
        }
    }

    pub(super) fn code(&self) -> u8 {
        match self {
            Failed::Usage(_) => USAGE,
            Failed::Recipe(_) | Failed::Stale(_) => RECIPE,
            Failed::Lock(error) => lock_code(error),
            Failed::Build(error) => build_code(error),
            Failed::Closure(error) => match **error {
                ClosureError::NoManifest { .. } => USAGE,
                ClosureError::Store(_) | ClosureError::Read { .. } => STORE,
                _ => INTEGRITY,
            },
            Failed::Cache(error) => cache_code(error),
            Failed::Package(error) => match **error {
                PackageError::Option { .. } => USAGE,
                PackageError::Damaged { .. } => INTEGRITY,
                _ => STORE,
            },
            Failed::Store(error) if error.0.is_corrupt() => INTEGRITY,
            Failed::Store(error) if matches!(error.0, StoreError::NotALink { .. }) => USAGE,
            Failed::Store(_) | Failed::File(_) => STORE,
            Failed::Damaged(_) | Failed::Differs(_) => INTEGRITY,
            Failed::Unfit(_) => STEP,
            Failed::Check(_) => STEP,
            Failed::Conformance(error) => match **error {
                ConformanceError::NoProgram { .. }
                | ConformanceError::UnknownCheck { .. }
                | ConformanceError::Folder { .. } => USAGE,
                ConformanceError::Temporary { .. } => STORE,
                ConformanceError::Sandbox(_) => STEP,
            },
        }
    }
}

fn cache_code(error: &CacheError) -> u8 {
    match error {
        CacheError::Gone { .. } | CacheError::Unreachable { .. } | CacheError::Forbidden { .. } => {
            UNREACHABLE
        }
        CacheError::Damaged { .. } => INTEGRITY,
        CacheError::Setting { .. } | CacheError::KeyName { .. } | CacheError::KeyFile { .. } => {
            USAGE
        }
        CacheError::Store(error) if error.is_corrupt() => INTEGRITY,
        CacheError::Store(_) | CacheError::File { .. } => STORE,
    }
}

fn build_code(error: &BuildError) -> u8 {
    match error {
        BuildError::Failed { failures, .. } => failures
            .first()
            .map_or(STEP, |failure| step_code(&failure.error)),
        BuildError::Store(_) => STORE,
        BuildError::Threads(_) => STEP,
    }
}

fn step_code(error: &StepError) -> u8 {
    match (error.store(), error.net(), error) {
        (Some(_), _, _) => STORE,
        (None, Some(error), _) => net_code(error),
        (None, None, StepError::Wheels(_) | StepError::NotShared) => UNREACHABLE,
        (None, None, StepError::Host(error)) => host_code(error),
        (None, None, StepError::Git(error)) => git_code(error),
        (None, None, StepError::Source(SourceError::Commit { .. })) => INTEGRITY,
        (None, None, _) => STEP,
    }
}

fn lock_code(error: &LockError) -> u8 {
    match error {
        LockError::Net(error) => net_code(error),
        LockError::NoPackaging(error) => net_code(&error.cause),
        LockError::Store(_) => STORE,
        LockError::Host(error) => host_code(error),
        LockError::Git(error) => git_code(error),
        LockError::PackageIndex(error) => index_code(error),
        error if error.is_integrity() => INTEGRITY,
        _ => RECIPE,
    }
}

fn index_code(error: &WheelsError) -> u8 {
    match error {
        WheelsError::Net(error) => net_code(error),
        WheelsError::Offline | WheelsError::Unreachable { .. } => UNREACHABLE,
        WheelsError::Store(_) => STORE,
        _ => RECIPE,
    }
}

fn git_code(error: &GitError) -> u8 {
    match error {
        GitError::Net(error) => net_code(error),
        GitError::Refused { .. } | GitError::Protocol { .. } => UNREACHABLE,
        GitError::Objects { .. } => INTEGRITY,
        GitError::Place { .. } => RECIPE,
        GitError::Store(_) | GitError::Write { .. } => STORE,
    }
}

fn host_code(error: &HostError) -> u8 {
    match error {
        HostError::Changed { .. } | HostError::Other { .. } => INTEGRITY,
        HostError::Records { .. } | HostError::Absent { .. } => RECIPE,
        HostError::Store(_) => STORE,
    }
}

fn net_code(error: &NetError) -> u8 {
    match error {
        NetError::Corrupt { .. } => INTEGRITY,
        NetError::Store { .. } => STORE,
        NetError::Setting { .. } | NetError::Client { .. } => USAGE,
        _ => UNREACHABLE,
    }
}

/// The package whose locked file is gone from every mirror, where that is why.
pub(super) fn gone(failed: &Failed) -> Option<&str> {
    let Failed::Build(error) = failed else {
        return None;
    };
    let BuildError::Failed { failures, .. } = error.as_ref() else {
        return None;
    };
    let gone = |failure: &&Failure| failure.error.net().is_some_and(NetError::is_gone);
    failures
        .iter()
        .find(gone)
        .and_then(|failure| failure.subject.split([' ', ':']).next())
}

/// Whether locking failed for a file that a mirror's own index names and nobody has.
pub(super) fn is_torn(failed: &Failed) -> bool {
    matches!(failed, Failed::Lock(error) if matches!(error.as_ref(), LockError::Net(error) if error.is_gone()))
}

/// What the store said, wherever in a failure that stands: it gets the same advice everywhere.
pub(super) fn store_error(failed: &Failed) -> Option<&StoreError> {
    match failed {
        Failed::Build(error) => match error.as_ref() {
            BuildError::Failed { failures, .. } => {
                failures.iter().find_map(|failure| failure.error.store())
            }
            BuildError::Store(error) => Some(error),
            BuildError::Threads(_) => None,
        },
        Failed::Lock(error) => match error.as_ref() {
            LockError::Store(error)
            | LockError::Host(HostError::Store(error))
            | LockError::Git(GitError::Store(error))
            | LockError::Net(NetError::Store { cause: error, .. }) => Some(error),
            _ => None,
        },
        Failed::Cache(error) => match error.as_ref() {
            CacheError::Store(error) => Some(error),
            _ => None,
        },
        Failed::Closure(error) => match error.as_ref() {
            ClosureError::Store(error) => Some(error),
            _ => None,
        },
        Failed::Package(error) => match error.as_ref() {
            PackageError::Store(error) => Some(error),
            _ => None,
        },
        _ => None,
    }
}

impl From<RecipeError> for Failed {
    fn from(error: RecipeError) -> Self {
        Failed::Recipe(Box::new(error))
    }
}

impl From<LockError> for Failed {
    fn from(error: LockError) -> Self {
        Failed::Lock(Box::new(error))
    }
}

impl From<BuildError> for Failed {
    fn from(error: BuildError) -> Self {
        Failed::Build(Box::new(error))
    }
}

impl From<ClosureError> for Failed {
    fn from(error: ClosureError) -> Self {
        Failed::Closure(Box::new(error))
    }
}

impl From<ConformanceError> for Failed {
    fn from(error: ConformanceError) -> Self {
        Failed::Conformance(Box::new(error))
    }
}

impl From<CacheError> for Failed {
    fn from(error: CacheError) -> Self {
        Failed::Cache(Box::new(error))
    }
}

impl From<PackageError> for Failed {
    fn from(error: PackageError) -> Self {
        Failed::Package(Box::new(error))
    }
}

impl From<recipe_store::StoreError> for Failed {
    fn from(error: recipe_store::StoreError) -> Self {
        Failed::Store(Box::new(StoreFailed(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_does_not_answer_a_lock_is_unreachable() {
        let reason = "nothing answered".to_owned();
        for error in [WheelsError::Unreachable { reason }, WheelsError::Offline] {
            assert_eq!(
                lock_code(&LockError::PackageIndex(Box::new(error))),
                UNREACHABLE
            );
        }
    }
}
