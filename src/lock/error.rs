//! Why there is no [`Lock`](super::Lock), told to the person who can do something about it.

use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

use super::index::IndexError;
use super::near::nearest;
use super::openpgp::SignatureError;
use super::release::Stale;
use super::sdists::SdistError;
use super::universe::Unmet;
use super::wheels::WheelsError;
use crate::git::GitError;
use crate::net::NetError;
use crate::recipe::Mistake;

/// Why there is no lock.
#[derive(Debug, Error, Diagnostic)]
pub enum LockError {
    /// A file did not come.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Net(#[from] NetError),
    /// A commit of a git repository could not be had.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Git(#[from] GitError),
    /// A package that is installed cannot be taken.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Host(#[from] super::host::HostError),
    /// The store failed.
    #[error(transparent)]
    #[diagnostic(code(lock::store))]
    Store(#[from] recipe_store::StoreError),
    /// No mirror has an index that can be believed.
    #[error("the index of {suite} ({archive}) is not believed\n{}", refusals.iter().map(|(url, why)| format!("  {url}: {why}")).collect::<Vec<_>>().join("\n"))]
    #[diagnostic(code(lock::index_refused), help("{}", help_for(refusals)))]
    Refused {
        /// The suite.
        suite: String,
        /// Its archive.
        archive: String,
        /// Each mirror that answered, and why its answer is not used.
        refusals: Vec<(String, Refusal)>,
    },
    /// No mirror has the suite.
    #[error("no mirror has a suite {suite} in the {archive} archive\n{cause}")]
    #[diagnostic(code(lock::no_suite), help("{}", suites_there(suite, archive)))]
    NoSuite {
        /// The suite.
        suite: String,
        /// Its archive.
        archive: String,
        /// What the mirrors said.
        cause: String,
    },
    /// An index and the files it names do not belong together, on every mirror and again.
    #[error(
        "the mirrors of {archive} are inconsistent: {path} is not what their index of {suite} says"
    )]
    #[diagnostic(
        code(lock::inconsistent),
        help(
            "a mirror is in the middle of an update; try again in a few minutes, or name another mirror"
        )
    )]
    Inconsistent {
        /// The suite.
        suite: String,
        /// Its archive.
        archive: String,
        /// The index file.
        path: String,
    },
    /// An index that is signed and still makes no sense.
    #[error("{path} of {suite} makes no sense: {cause}")]
    #[diagnostic(
        code(lock::bad_index),
        help(
            "the archive itself is at fault: tell who runs it, or name another with `--debian-mirror URL`"
        )
    )]
    Index {
        /// The suite.
        suite: String,
        /// The index file.
        path: String,
        /// What is wrong.
        cause: IndexError,
    },
    /// A file of extra archive keys that cannot be used.
    #[error("cannot use the archive keys in {path}: {reason}")]
    #[diagnostic(
        code(lock::keys),
        help(
            "name a file or folder of OpenPGP public keys: `archive-keys` in the configuration, or RECIPE_ARCHIVE_KEYS"
        )
    )]
    Keys {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The recipe asks for nothing that says which release to lock against.
    #[error("system packages are asked for, but no release to take them from")]
    #[diagnostic(
        code(lock::no_release),
        help("write `interpreter \"python\" \"3.13\" from=\"debian\" suite=\"trixie\"`")
    )]
    NoRelease,
    /// The machine that builds would compile with another patch level than the closure has.
    #[error(
        "the closure's Python is {wanted}, and the one for {platform}, which would make its byte code, is {found}"
    )]
    #[diagnostic(
        code(lock::other_python),
        help(
            "the archive has both architectures at one version most of the time: lock again later, or with `--upgrade`"
        )
    )]
    OtherPython {
        /// The closure's version.
        wanted: String,
        /// That of the machine that builds.
        found: String,
        /// Its platform.
        platform: crate::platform::Platform,
    },
    /// The suite has no such Python.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NoInterpreter(Box<NoInterpreter>),
    /// A package that does not exist.
    #[error(transparent)]
    #[diagnostic(transparent)]
    UnknownPackage(Box<UnknownPackage>),
    /// A package that has to stay.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Needed(Box<Needed>),
    /// A project whose start-up files are asked for, and which is not in the closure.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NoWheel(Box<NoWheel>),
    /// Packages that cannot be together.
    #[error("the packages of {suite} do not fit together: {cause}")]
    #[diagnostic(
        code(lock::unmet),
        help("drop one of the packages from the recipe, or take them from another suite")
    )]
    Unmet {
        /// Where.
        suite: String,
        /// What does not fit.
        cause: Box<Unmet>,
    },
    /// A library that no chosen package has.
    #[error(transparent)]
    #[diagnostic(transparent)]
    MissingLibrary(Box<MissingLibrary>),
    /// A package that does not unpack; the archive's name is the package's.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unpack(Box<crate::archive::ArchiveError>),
    /// A source package that the suite does not have.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NoSourcePackage(Box<NoSourcePackage>),
    /// The source package of the interpreter is not in the signed index.
    #[error("{suite} has no source package {name} {version}")]
    #[diagnostic(
        code(lock::no_source),
        help("the mirror may be in the middle of an update; try again in a few minutes")
    )]
    NoSource {
        /// The source package.
        name: String,
        /// Its version.
        version: String,
        /// Where.
        suite: String,
    },
    /// The index names the packaging of the interpreter, and no mirror has it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NoPackaging(Box<NoPackaging>),
    /// A locked file is gone and nothing takes its place.
    #[error("{name} {version} is gone from every mirror, and it cannot be followed: {reason}")]
    #[diagnostic(
        code(lock::cannot_follow),
        help(
            "run `recipe lock RECIPE --upgrade {name}`, or name a mirror or a cache that still has it"
        )
    )]
    CannotFollow {
        /// The package or project.
        name: String,
        /// The locked version.
        version: String,
        /// Why.
        reason: String,
    },
    /// Wheels are asked for and there is no place to run the resolver in.
    #[error("Python requirements cannot be resolved without a sandbox")]
    #[diagnostic(
        code(lock::no_sandbox),
        help("run it where /proc is mounted and programs can be started")
    )]
    NoSandbox,
    /// A part of the work ended without an answer.
    #[error("{what} stopped; this is a fault of recipe itself")]
    #[diagnostic(
        code(lock::stopped),
        help("please report it with the messages above; locking again may go through")
    )]
    Stopped {
        /// Which part.
        what: String,
    },
    /// An sdist that cannot be built.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sdist(Box<FailedSdist>),
    /// Sdists are asked for, for another processor than this machine's.
    #[error(transparent)]
    #[diagnostic(transparent)]
    ForeignSdist(Box<ForeignSdist>),
    /// Wheels.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Wheels(Box<dyn Diagnostic + Send + Sync>),
    /// The way to wheels: what is about no project, such as an index that does not answer.
    #[error(transparent)]
    #[diagnostic(transparent)]
    PackageIndex(Box<WheelsError>),
    /// The lock file is not KDL.
    #[error("the lock file cannot be read: {}", mistakes.first().map(ToString::to_string).unwrap_or_default())]
    #[diagnostic(
        code(lock::syntax),
        help("restore it from version control, or let `recipe lock RECIPE` write it anew")
    )]
    Syntax {
        /// The first mistakes.
        #[related]
        mistakes: Vec<Mistake>,
    },
    /// The lock file says what a lock cannot say.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(Box<FileError>),
}

impl LockError {
    /// Whether something that was signed or hashed is not what it should be, as opposed to absent.
    pub fn is_integrity(&self) -> bool {
        match self {
            LockError::Net(error) => error.is_corrupt(),
            LockError::Refused { refusals, .. } => refusals.iter().any(|(_, refusal)| {
                matches!(refusal, Refusal::Signature(_) | Refusal::OtherSuite { .. })
            }),
            LockError::Inconsistent { .. } | LockError::Index { .. } | LockError::Unpack(_) => true,
            _ => false,
        }
    }
}

/// What to write instead of a suite that no mirror has, or where it may be.
fn suites_there(suite: &str, archive: &str) -> String {
    let release = suite.trim_end_matches("-updates");
    let release = release.trim_end_matches("-security");
    let there = RELEASES.join(", ");
    // Names of releases are short, and rarely begin alike: `trixy` is none.
    let begins = |it: &&str| release.get(..4).is_some_and(|begin| it.starts_with(begin));
    let near = nearest(release, RELEASES.into_iter()).into_iter().next();
    let near = near.or_else(|| RELEASES.into_iter().find(begins).map(str::to_owned));
    match near {
        Some(near) if near != release => {
            format!("did you mean `{near}`? The releases that mirrors have are {there}")
        }
        _ => format!(
            "the releases that mirrors have are {there}; old ones move to an archive of their own: \
             name a mirror of it with `--{archive}-mirror URL`, or lock against a newer suite"
        ),
    }
}

/// The releases of Debian that its mirrors have and that a recipe can name.
const RELEASES: [&str; 5] = ["bullseye", "bookworm", "trixie", "forky", "sid"];

/// An sdist that cannot be built.
#[derive(Debug, Error, Diagnostic)]
#[error("{subject} cannot be built: {cause}")]
#[diagnostic(code(lock::sdist), help("{}", self.advice()))]
pub struct FailedSdist {
    /// Name and version.
    pub subject: String,
    /// Why.
    pub cause: SdistError,
    /// The suite, where the recipe has no sysroot of its own.
    pub suite: Option<String>,
    /// The recipe.
    #[source_code]
    pub text: NamedSource<Arc<str>>,
    /// Where it asks.
    #[label("asked for here")]
    pub at: SourceSpan,
}

impl FailedSdist {
    fn advice(&self) -> String {
        let help = self.cause.help().map(|help| help.to_string());
        let mut advice: Vec<String> = help.into_iter().collect();
        if let (Some(suite), SdistError::Hook(_)) = (&self.suite, &self.cause) {
            advice.push(format!(
                "the recipe has no compiler for it: `sysroot \"debian\" suite=\"{suite}\" {{ package \"gcc\" \"libc6-dev\" }}`"
            ));
        }
        advice.join("; ")
    }
}

/// Who has the files that a build missed.
pub(crate) fn offer_files(offered: &[(String, Vec<String>)]) -> Vec<String> {
    let known = offered.iter().filter(|(_, packages)| !packages.is_empty());
    known
        .map(|(file, packages)| {
            let packages: Vec<String> = packages.iter().map(|it| format!("\"{it}\"")).collect();
            format!(
                "{file} is in the Debian package {}: name it in the recipe's `sysroot {{ package … }}`",
                packages.join(" or ")
            )
        })
        .collect()
}

/// Sdists for another processor.
#[derive(Debug, Error, Diagnostic)]
#[error("projects are built from their sdists on {platform} only, and this is another machine")]
#[diagnostic(
    code(lock::foreign_sdist),
    help("lock and build it on such a machine, or let this variant use wheels")
)]
pub struct ForeignSdist {
    /// What the closure is for.
    pub platform: crate::platform::Platform,
    /// The recipe.
    #[source_code]
    pub text: NamedSource<Arc<str>>,
    /// Where it asks.
    #[label("to be built")]
    pub at: SourceSpan,
}

/// A package that has to stay.
#[derive(Debug, Error, Diagnostic)]
#[error("{name} cannot be excluded: nothing in the closure runs without it")]
#[diagnostic(
    code(lock::needed),
    help(
        "remove it from `exclude`; parts of it can stay out by their paths: `exclude \"lib/gconv/*\"`"
    )
)]
pub struct Needed {
    /// What was to stay out.
    pub name: String,
    /// The recipe.
    #[source_code]
    pub text: NamedSource<Arc<str>>,
    /// Where it says so.
    #[label("excluded here")]
    pub at: SourceSpan,
}

/// The index names the packaging of the interpreter, and no mirror has it.
#[derive(Debug, Error, Diagnostic)]
#[error("the patches of {name} {version} cannot be undone: {cause}")]
#[diagnostic(code(lock::no_packaging), help("{}", other_packaging(*instead)))]
pub struct NoPackaging {
    /// The source package.
    pub name: String,
    /// The version that was wanted.
    pub version: String,
    /// What the mirrors said.
    pub cause: NetError,
    /// Whether the recipe names it instead of the interpreter's own.
    pub instead: bool,
    /// The recipe.
    #[source_code]
    pub text: NamedSource<Arc<str>>,
    /// Where it asks.
    #[label("asked for here")]
    pub at: SourceSpan,
}

fn other_packaging(instead: bool) -> &'static str {
    if instead {
        "let `patches` name another source package or suite, or name a mirror that still has this one \
         with --debian-mirror"
    } else {
        "a mirror in the middle of an update has it in a few minutes, and one that keeps old versions \
         can be named with --debian-mirror; else let the nearly equal patches of another Python be \
         undone: `interpreter ... { patches \"python3.13\" suite=\"trixie\"; }`"
    }
}

/// A project that no locked wheel is of.
#[derive(Debug, Error, Diagnostic)]
#[error("{}", if *for_builds { format!("no build requires the project {name}") } else { format!("the project {name} is not in the closure") })]
#[diagnostic(code(lock::no_wheel), help("{}", wheels_there(near, *for_builds)))]
pub struct NoWheel {
    /// What was asked for.
    pub name: String,
    /// Whether it was asked for builds only.
    pub for_builds: bool,
    /// Names that look like it.
    pub near: Vec<String>,
    /// The recipe.
    #[source_code]
    pub text: NamedSource<Arc<str>>,
    /// Where it asks.
    #[label("asked for here")]
    pub at: SourceSpan,
}

fn wheels_there(near: &[String], for_builds: bool) -> String {
    match near {
        [] if for_builds => {
            "name a project that the build of a `no-binary` project requires, or remove it"
                .to_owned()
        }
        [] => "name a project that `pip` requires, or remove it".to_owned(),
        [one, ..] => format!("did you mean `{one}`?"),
    }
}

/// The suite has no such Python.
#[derive(Debug, Error, Diagnostic)]
#[error("{suite} has no Python {version}")]
#[diagnostic(code(lock::no_interpreter), help("{}", if offered.is_empty() { "it has none at all".to_owned() } else { format!("it has Python {}", offered.join(", ")) }))]
pub struct NoInterpreter {
    /// What was asked for.
    pub version: String,
    /// Where.
    pub suite: String,
    /// What there is.
    pub offered: Vec<String>,
    /// The recipe.
    #[source_code]
    pub text: NamedSource<Arc<str>>,
    /// Where it asks.
    #[label("asked for here")]
    pub at: SourceSpan,
}

/// A package that does not exist.
#[derive(Debug, Error, Diagnostic)]
#[error("there is no package {name} in {suite}")]
#[diagnostic(code(lock::unknown_package), help("{}", suggest(near, providers)))]
pub struct UnknownPackage {
    /// What was asked for.
    pub name: String,
    /// Where.
    pub suite: String,
    /// Names that look like it.
    pub near: Vec<String>,
    /// Packages that provide a name of this kind.
    pub providers: Vec<String>,
    /// The recipe.
    #[source_code]
    pub text: NamedSource<Arc<str>>,
    /// Where it asks.
    #[label("asked for here")]
    pub at: SourceSpan,
}

/// A source package that the suite does not have.
#[derive(Debug, Error, Diagnostic)]
#[error("{suite} has no source package {name}")]
#[diagnostic(code(lock::no_source_package), help("{}", offer_source(name, builds)))]
pub struct NoSourcePackage {
    /// What was asked for.
    pub name: String,
    /// Where.
    pub suite: String,
    /// The source package of the binary package of that name, if there is one.
    pub builds: Option<String>,
    /// The recipe.
    #[source_code]
    pub text: NamedSource<Arc<str>>,
    /// Where it asks.
    #[label("asked for here")]
    pub at: SourceSpan,
}

fn offer_source(name: &str, builds: &Option<String>) -> String {
    match builds {
        Some(source) => {
            format!("{name} is a binary package; its source package is \"{source}\"")
        }
        None => "a source package is often called otherwise than what is built from it; \
                 `apt-cache showsrc NAME` tells"
            .to_owned(),
    }
}

/// A library that no chosen package has.
#[derive(Debug, Error, Diagnostic)]
#[error(
    "{owner}: {file} needs {}, and no package in the closure has it",
    library(soname, symbols)
)]
#[diagnostic(code(lock::missing_library), help("{}", offer_library(offered)))]
pub struct MissingLibrary {
    /// The package or wheel whose file it is.
    pub owner: String,
    /// The file.
    pub file: String,
    /// The library.
    pub soname: String,
    /// The symbol version that the library lacks, when it is there.
    pub symbols: Option<String>,
    /// Packages that have the library.
    pub offered: Vec<String>,
}

/// A lock file that says what a lock cannot say.
#[derive(Debug, Error, Diagnostic)]
#[error("the lock file cannot be used: {what}")]
#[diagnostic(code(lock::file), help("{help}"))]
pub struct FileError {
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub help: String,
    /// The file.
    #[source_code]
    pub text: NamedSource<Arc<str>>,
    /// Where.
    #[label("here")]
    pub at: SourceSpan,
}

/// Why the answer of one mirror is not used.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Its signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Its dates, or its text.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// It is the index of another suite.
    #[error("it is the index of {found}")]
    OtherSuite {
        /// What it says it is.
        found: String,
    },
}

fn help_for(refusals: &[(String, Refusal)]) -> &'static str {
    let has = |test: fn(&Refusal) -> bool| refusals.iter().any(|(_, refusal)| test(refusal));
    if has(|refusal| {
        matches!(
            refusal,
            Refusal::Stale(Stale::Ahead { .. }) | Refusal::Signature(SignatureError::Ahead { .. })
        )
    }) {
        "set this machine's clock right, or name another mirror"
    } else if has(|refusal| {
        matches!(
            refusal,
            Refusal::Stale(Stale::Expired { .. } | Stale::Older { .. })
        )
    }) {
        "the mirror stands still: name another one (this machine's clock may also be wrong). For a suite that is meant to stand still, write `expired=\"allow\"` in the recipe's `interpreter` node"
    } else if has(|refusal| matches!(refusal, Refusal::Signature(SignatureError::Unknown { .. }))) {
        "is this a mirror of Debian? For an archive of your own, RECIPE_ARCHIVE_KEYS names its public keys"
    } else {
        "name another mirror; something on the way may change what it sends"
    }
}

fn suggest(near: &[String], providers: &[String]) -> String {
    match (near, providers) {
        ([], []) => {
            "exact names of binary packages are asked for, as `apt-cache search` shows them".into()
        }
        (_, [_, ..]) => format!(
            "it is a name that other packages provide: {}",
            providers.join(", ")
        ),
        (near, _) => format!("did you mean {}?", near.join(", ")),
    }
}

fn library(soname: &str, symbols: &Option<String>) -> String {
    match symbols {
        Some(version) => format!("{soname} with {version}"),
        None => soname.to_owned(),
    }
}

fn offer_library(offered: &[String]) -> String {
    if offered.is_empty() {
        return "no package of the release is known to have it".into();
    }
    format!(
        "packages that have it: {}; add one of them to `system {{ package ... }}`",
        offered.join(", ")
    )
}
