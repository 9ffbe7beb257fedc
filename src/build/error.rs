//! How a build fails.

use miette::Diagnostic;
use recipe_store::StoreError;
use thiserror::Error;

use super::collect::CollectError;
use super::places::Places;
use super::steps::bytecode::BytecodeError;
use super::steps::layout::LayoutError;
use super::steps::output::{PREFIX, Remains, SOURCES};
use super::steps::relocate::RelocateError;
use super::steps::wheel::WheelError;
use super::steps::{FailedRun, SourceError};
use crate::elf::ElfError;
use crate::git::GitError;
use crate::lock::sdists::SdistError;
use crate::lock::wheels::WheelsError;
use crate::net::NetError;
use crate::sandbox::SandboxError;

/// Why a build has no result.
#[derive(Debug, Error, Diagnostic)]
pub enum BuildError {
    /// Steps failed.
    #[error("{}", summary(failures, *skipped))]
    #[diagnostic(code(build::failed), help("{}", advice(failures, recipe)))]
    Failed {
        /// Every step that failed.
        #[related]
        failures: Vec<Failure>,
        /// How many steps were not tried because of them.
        skipped: usize,
        /// What to type for the recipe, as far as it is known: see [`BuildError::in_recipe`].
        recipe: String,
    },
    /// The store failed outside of a step. `cli` says what to do.
    #[error(transparent)]
    #[diagnostic(code(store::failed))]
    Store(#[from] StoreError),
    /// No threads could be started.
    #[error("threads to build with could not be started: {0}")]
    #[diagnostic(
        code(build::threads),
        help("raise the limit of processes (`ulimit -u`), or build with fewer `--jobs`")
    )]
    Threads(String),
}

fn advice(failures: &[Failure], recipe: &str) -> String {
    let mut advice = format!(
        "`recipe log {recipe}` shows what each step said; what did succeed is kept for the next build"
    );
    let left = |failure: &&Failure| failure.error.left_its_folders();
    if let Some(Failure { kind, subject, .. }) = failures.iter().find(left) {
        advice.push_str(&format!(
            "; `recipe shell \"{recipe}:{kind} {subject}\" --failed` is the step's sandbox as it was left"
        ));
    }
    advice
}

fn summary(failures: &[Failure], skipped: usize) -> String {
    let steps = |count: usize| {
        if count == 1 {
            "1 step".into()
        } else {
            format!("{count} steps")
        }
    };
    let failed = failures.iter().map(|failure| 1 + failure.also.len()).sum();
    let mut text = format!("{} failed", steps(failed));
    if skipped > 0 {
        text.push_str(&format!(
            ", and {} not tried because of that",
            steps(skipped)
        ));
    }
    text
}

fn remaining(remains: &[Remains]) -> String {
    let places = remains.iter().map(|it| {
        let Remains { path, offset, text } = it;
        format!("\n  {path}, byte {offset}: {text}")
    });
    format!(
        "what was built holds paths of its build:{}",
        places.collect::<String>()
    )
}

/// What can be done about the first place.
fn mend_remains(remains: &[Remains]) -> String {
    let in_sources = |it: &Remains| it.text.starts_with(SOURCES);
    if remains.first().is_some_and(in_sources) {
        return "debugging information has the folders of the sources: `env \"CFLAGS\" \"-O2\"` (and \
                CXXFLAGS) in `build` compiles without the `-g` that configure asks for by itself"
            .to_owned();
    }
    format!(
        "an output works in any folder: let the build find these from where its programs are, leave the \
         files out with an `output` of their own, or say that nothing needs them: `compiled-in \"{}\"`",
        compiled_in(remains)
    )
}

/// What could be said of the first place.
fn compiled_in(remains: &[Remains]) -> String {
    let first = remains.first().map_or("", |it| it.text.as_str());
    let below = first.strip_prefix(PREFIX).unwrap_or("");
    match below.trim_matches('/') {
        "" => "share/locale".to_owned(),
        below => below.to_owned(),
    }
}

fn others(also: &[String]) -> String {
    match also {
        [] => String::new(),
        [one] => format!(", and {one} in the same way"),
        [one, rest @ ..] => format!(", and {one} and {} more in the same way", rest.len()),
    }
}

/// A step that failed. What it shows of the recipe is in `places.rs`.
#[derive(Debug, Error)]
#[error("{kind} {subject}{}", others(also))]
pub struct Failure {
    /// The kind of step.
    pub kind: &'static str,
    /// To whom it was done.
    pub subject: String,
    /// To whom else, with the same end.
    pub also: Vec<String>,
    /// Where the recipe asks for it: see [`BuildError::in_recipe`].
    pub places: Vec<Places>,
    /// Why.
    #[source]
    pub error: StepError,
}

/// Why a step failed.
#[derive(Debug, Error, Diagnostic)]
pub enum StepError {
    /// A source could not be brought.
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
    Host(#[from] crate::lock::host::HostError),
    /// An ELF file was refused.
    #[error("{path}: {error}")]
    #[diagnostic(
        code(build::elf),
        help(
            "the file comes from a package or wheel as it is; leave it out with `system {{ exclude \"{path}\" }}`, or report this if the file runs elsewhere"
        )
    )]
    Elf {
        /// Path inside the closure.
        path: String,
        /// Why.
        error: ElfError,
    },
    /// A Debian package could not be laid out.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Layout(#[from] LayoutError),
    /// A wheel could not be unpacked.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Wheel(#[from] WheelError),
    /// A wheel could not be brought.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Wheels(#[from] WheelsError),
    /// A file could not be made relocatable.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Relocate(#[from] RelocateError),
    /// Byte code could not be compiled.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Bytecode(#[from] BytecodeError),
    /// What a build left cannot be kept.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Collect(#[from] CollectError),
    /// A program could not be run.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store failed. `cli` says what to do.
    #[error(transparent)]
    #[diagnostic(code(store::failed))]
    Store(#[from] StoreError),
    /// A tree could not be put together.
    #[error("a tree could not be put together")]
    #[diagnostic(
        code(build::tree),
        help(
            "a package or wheel has a file whose name no store can hold; leave it out with `system {{ exclude \"...\" }}`"
        )
    )]
    Tree(#[from] recipe_store::TreeError),
    /// Two layers have different files at one path.
    #[error("{path} comes from {first} and from {second}, with different bytes")]
    #[diagnostic(
        code(build::conflict),
        help("leave one of them out: `system {{ exclude \"{path}\" }}`, or drop one of the two")
    )]
    Conflict {
        /// Path inside the closure.
        path: String,
        /// The layer that came first.
        first: String,
        /// The layer that came second.
        second: String,
    },
    /// Libraries that nothing in the closure provides.
    #[error("{}", missing_libraries(missing))]
    #[diagnostic(
        code(build::missing_libraries),
        help(
            "name the Debian package that has it in the recipe: `system {{ package \"...\" }}`, then `recipe lock`"
        )
    )]
    MissingLibraries {
        /// Each file that wants something.
        missing: Vec<MissingLibrary>,
    },
    /// An sdist could not be built.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sdist(#[from] SdistError),
    /// A source could not be put together.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Source(#[from] SourceError),
    /// A program of a build failed.
    #[error("`{}` failed: {}\n{}", .0.words, .0.how, .0.said)]
    #[diagnostic(
        code(build::run),
        help("{}", .0.advice())
    )]
    Build(Box<FailedRun>),
    /// A program that the sysroot does not have.
    #[error("the sysroot has no program `{program}`")]
    #[diagnostic(
        code(build::no_program),
        help("name the Debian package that has it: `sysroot \"debian\" … {{ package \"...\" }}`")
    )]
    NoProgram {
        /// What was to run.
        program: String,
    },
    /// A folder for a build could not be made.
    #[error("the folder {path} of a build could not be made: {error}")]
    #[diagnostic(
        code(build::folder),
        help("the store lies on this disk: `recipe store verify` tells if it can be written")
    )]
    Folder {
        /// The folder.
        path: camino::Utf8PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A path of the build is left in its output.
    #[error("{}", remaining(remains))]
    #[diagnostic(code(build::prefix_remains), help("{}", mend_remains(remains)))]
    Prefix {
        /// Each place.
        remains: Vec<Remains>,
    },
    /// What is to be an interpreter is none.
    #[error("what is to be the interpreter has no {path}")]
    #[diagnostic(
        code(build::no_interpreter),
        help(
            "it has to lie as `make install` puts it: bin/, lib/python3.X/; the recipe's `interpreter` says which version it is"
        )
    )]
    NoInterpreter {
        /// The program, as a closure path.
        path: String,
    },
    /// An entry that would start nothing.
    #[error("the closure has no {runs}, which the entry `{name}` is to run")]
    #[diagnostic(code(build::no_entry), help("{}", no_entry_help(near)))]
    NoEntry {
        /// The entry's name.
        name: String,
        /// The path it names.
        runs: String,
        /// Paths that look like it.
        near: Vec<String>,
    },
    /// An entry whose name another file has.
    #[error("the entry `{name}` cannot be made: bin/{name} is a file of {by}")]
    #[diagnostic(
        code(build::entry_taken),
        help(
            "give the entry another name, or leave the file out with `system {{ exclude \"bin/{name}\" }}`"
        )
    )]
    EntryTaken {
        /// The entry's name.
        name: String,
        /// The layer that has the file.
        by: String,
    },
    /// An input is not what the step works on.
    #[error("{what} is not as expected: {found}")]
    #[diagnostic(
        code(build::unexpected),
        help(
            "`recipe lock` writes the lock anew from the recipe; if this stays, please report it"
        )
    )]
    Unexpected {
        /// Which input.
        what: String,
        /// What it was.
        found: String,
    },
    /// Checks of the recipe failed.
    #[error("{}", failed_checks(failed, *passed))]
    #[diagnostic(
        code(build::check),
        help(
            "checks stand in the recipe's `check` node; they run in the finished closure without \
             network and without any file of the host"
        )
    )]
    Checks {
        /// Each that failed.
        failed: Vec<FailedCheck>,
        /// How many others passed.
        passed: usize,
    },
    /// The closure did not do what it has to.
    #[error("{what}")]
    #[diagnostic(code(build::proof), help("{help}"))]
    Guard {
        /// What failed, with the program's last words.
        what: String,
        /// What to do next.
        help: String,
    },
    /// Somebody wanted no step to run here, and no cache knows this one.
    #[error("no cache has what this step makes, and nothing is made here")]
    #[diagnostic(
        code(build::not_shared),
        help("build it where it may be made and `recipe push` it, or leave out --require-cache")
    )]
    NotShared,
    /// A bug of ours.
    #[error("this step stopped by a bug in recipe")]
    #[diagnostic(
        code(build::bug),
        help("please report it with the message printed above")
    )]
    Panicked,
}

/// A file that needs a library which nothing in the closure provides.
#[derive(Debug)]
pub struct MissingLibrary {
    /// Path inside the closure.
    pub path: String,
    /// The package or wheel that it comes from.
    pub of: String,
    /// The library's soname.
    pub soname: String,
}

fn no_entry_help(near: &[String]) -> String {
    let meant = match near {
        [] => String::new(),
        near => format!("did you mean {}? ", near.join(" or ")),
    };
    meant
        + "an entry runs a file of the closure, named by its path inside, such as \
           `entry \"hello\" runs=\"bin/python3\"`"
}

/// A check that failed.
#[derive(Debug)]
pub struct FailedCheck {
    /// Which it is of the recipe's checks, counted from 0.
    pub index: usize,
    /// The check, as the recipe says it.
    pub check: String,
    /// The program's last words.
    pub said: String,
}

/// Files that a build missed, and the packages that have them.
pub type Offered = Vec<(String, Vec<String>)>;

impl StepError {
    /// Files that a program looked for and did not find, and where the packages that have them are told.
    pub fn missed(&mut self) -> Option<(Vec<String>, &mut Offered)> {
        match self {
            StepError::Build(failed) => Some((failed.missing.clone(), &mut failed.offered)),
            StepError::Sdist(SdistError::Hook(failed)) => {
                Some((failed.missing(), &mut failed.offered))
            }
            _ => None,
        }
    }

    /// Whether it ended a build whose folders are kept.
    fn left_its_folders(&self) -> bool {
        matches!(
            self,
            StepError::Build(_)
                | StepError::Collect(_)
                | StepError::NoProgram { .. }
                | StepError::Sdist(SdistError::Hook(_))
        )
    }

    /// What the network said, where that is why.
    pub fn net(&self) -> Option<&NetError> {
        match self {
            StepError::Net(error)
            | StepError::Git(GitError::Net(error))
            | StepError::Wheels(WheelsError::Net(error)) => Some(error),
            _ => None,
        }
    }

    /// What several steps can fail for together: no network, an archive that has no mirror, a full
    /// disk. Everything else is told for itself.
    pub fn cause(&self) -> String {
        match (self.store(), self.net()) {
            (Some(error), _) if error.is_full() => "full".into(),
            (_, Some(NetError::Offline { .. })) => "offline".into(),
            (_, Some(NetError::NoMirror { archive })) => {
                format!("no mirror of {}", archive.trim_end_matches("-security"))
            }
            (_, Some(NetError::Unreachable { .. })) => "unreachable".into(),
            _ => self.to_string(),
        }
    }

    /// What the store said, where that is why.
    pub fn store(&self) -> Option<&StoreError> {
        match self {
            StepError::Store(error)
            | StepError::Net(NetError::Store { cause: error, .. })
            | StepError::Git(GitError::Store(error))
            | StepError::Wheels(
                WheelsError::Store(error) | WheelsError::Net(NetError::Store { cause: error, .. }),
            )
            | StepError::Layout(LayoutError::Store { source: error, .. })
            | StepError::Wheel(WheelError::Store(error))
            | StepError::Relocate(RelocateError::Store(error))
            | StepError::Collect(CollectError::Store(error))
            | StepError::Sdist(SdistError::Store(error))
            | StepError::Bytecode(BytecodeError::Store(error)) => Some(error),
            _ => None,
        }
    }
}

fn failed_checks(failed: &[FailedCheck], passed: usize) -> String {
    let mut text = match failed {
        [_] => "a check failed".to_owned(),
        all => format!("{} checks failed", all.len()),
    };
    if passed > 0 {
        text.push_str(&format!(", {passed} passed"));
    }
    for FailedCheck { check, said, .. } in failed {
        let said = said.trim_end().replace('\n', "\n    ");
        text.push_str(&format!("\n  {check}\n    {said}"));
    }
    text
}

fn missing_libraries(missing: &[MissingLibrary]) -> String {
    let line = |it: &MissingLibrary| format!("{} (of {}) needs {}", it.path, it.of, it.soname);
    let lines: Vec<String> = missing.iter().map(line).collect();
    format!(
        "no file of the closure provides what others need:\n  {}",
        lines.join("\n  ")
    )
}
