//! An sdist → its wheel, built in a sysroot as it was asked while locking. Begin at [`build`].
//!
//! Its build backend is asked once more what it needs, and all of that has to be in the lock; the wheel
//! has to be of the project, the version and with the requirements that were locked.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use recipe_store::{BlobId, Entry, ObjectId, Session, Tree, TreeId};

use super::attend::Left;
use super::{Bench, Made, StepError};
use crate::archive::{ArchiveError, Limits, OnlyFiles, unpack_zip};
use crate::lock::sdists::environment::environment;
use crate::lock::sdists::facts::Facts;
use crate::lock::sdists::hooks::{self, Heard, Question};
use crate::lock::sdists::source::{self, BuildSystem};
use crate::lock::sdists::{FailedHook, SdistError};
use crate::python::{Environment, Requirement, Version, WheelName};
use crate::sandbox::{Sandbox, Spec};

/// What is built, and with what.
pub(super) struct Work<'a> {
    /// The machine.
    pub sysroot: &'a TreeId,
    /// The file.
    pub sdist: &'a BlobId,
    /// Its name.
    pub file_name: &'a str,
    /// The project.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// What its wheel has to say that it needs.
    pub requires: &'a [String],
    /// What builds it.
    pub wheels: &'a [(String, ObjectId)],
    /// Version of the interpreter.
    pub python: &'a str,
    /// SOURCE_DATE_EPOCH, seconds since 1970.
    pub date: u64,
}

/// Builds it.
pub(super) fn build(bench: &Bench<'_>, work: &Work<'_>) -> Result<Made, StepError> {
    let session = bench.session();
    let Ready {
        source,
        system,
        wheels,
        environment,
    } = ready(session, work)?;
    let ear = |text: &[u8]| bench.hear(text);
    let building = bench.building();
    let asked = hooks::Work {
        session,
        sandbox: bench.shop.sandbox,
        sysroot: work.sysroot,
        environment: &environment,
        source: &source,
        system: &system,
        name: &format!("{}-{}", work.name, work.version),
        date: work.date,
        jobs: building.jobs(),
        step: Some(bench.key),
        ear: &ear,
        elsewhere: bench.shop.elsewhere,
    };
    let there = versions(&wheels)?;
    // What the backend itself is imported from comes first: without it there is nobody to ask.
    check_needs(
        work,
        &system.requires,
        &there,
        &format!("{}.0", work.python),
    )?;
    let heard = ask(bench, &asked, Question::Requires)?;
    check_needs(work, &heard.requires, &there, &heard.python)?;
    let heard = ask(bench, &asked, Question::Wheel)?;
    let Some((file_name, blob)) = heard.wheel.clone() else {
        return Err(StepError::Unexpected {
            what: "what a build backend made".to_owned(),
            found: "no wheel".to_owned(),
        });
    };
    check_wheel(session, work, &file_name, &blob)?;
    let mut tree = Tree::new();
    let executable = false;
    tree.insert(&file_name, Entry::File { blob, executable })?;
    Ok(Made {
        output: session.put_tree(&tree)?.into(),
        isolation: heard.level.word(),
    })
}

/// What a build backend is given.
struct Ready {
    source: TreeId,
    system: BuildSystem,
    wheels: Vec<(String, BlobId)>,
    environment: TreeId,
}

fn ready(session: &Session, work: &Work<'_>) -> Result<Ready, StepError> {
    let source = source::unpack(session, work.sdist, work.file_name)?;
    let system = BuildSystem::read(session, &source)?;
    let wheels = work
        .wheels
        .iter()
        .map(|(name, wheel)| wheel_of(session, name, wheel))
        .collect::<Result<Vec<_>, _>>()?;
    let named = wheels.iter().map(|(name, blob)| (name.as_str(), *blob));
    let environment = environment(session, work.python, named)?;
    Ok(Ready {
        source,
        system,
        wheels,
        environment,
    })
}

/// The sandbox of a build backend for a person: fresh, or as it was left.
pub(super) fn attended(
    session: &Session,
    sandbox: &Sandbox,
    work: &Work<'_>,
    place: Left<'_>,
    jobs: usize,
) -> Result<(Spec, Vec<String>), StepError> {
    let ready = ready(session, work)?;
    let asked = hooks::Work {
        session,
        sandbox,
        sysroot: work.sysroot,
        environment: &ready.environment,
        source: &ready.source,
        system: &ready.system,
        name: &format!("{}-{}", work.name, work.version),
        date: work.date,
        jobs,
        step: None,
        ear: &|_| {},
        elsewhere: None,
    };
    let spec = match place {
        Left::Fresh(folder) => hooks::attended(&asked, folder, true)?,
        Left::There(folder) => hooks::attended(&asked, folder, false)?,
    };
    Ok((spec, vec![hooks::by_hand(&ready.system)]))
}

fn ask(bench: &Bench<'_>, work: &hooks::Work<'_>, question: Question) -> Result<Heard, StepError> {
    match hooks::ask(work, question) {
        Ok(heard) => {
            bench.keep(&heard.log);
            Ok(heard)
        }
        Err(SdistError::Hook(failed)) => {
            let FailedHook { log, .. } = &*failed;
            bench.keep(log);
            Err(SdistError::Hook(failed).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// A wheel and its file name: one that was fetched, or one that was built and lies in a folder.
pub(super) fn wheel_of(
    session: &Session,
    file_name: &str,
    wheel: &ObjectId,
) -> Result<(String, BlobId), StepError> {
    let folder = match wheel {
        ObjectId::Blob(blob) => return Ok((file_name.to_owned(), *blob)),
        ObjectId::Tree(folder) => session.read_tree(folder)?,
    };
    match folder.iter().next() {
        Some((name, Entry::File { blob, .. })) => Ok((name.to_owned(), *blob)),
        _ => Err(StepError::Unexpected {
            what: "a wheel that was built".to_owned(),
            found: "a folder without one".to_owned(),
        }),
    }
}

/// The versions that there are, by project.
fn versions(wheels: &[(String, BlobId)]) -> Result<BTreeMap<String, Version>, StepError> {
    let mut versions = BTreeMap::new();
    for (name, _) in wheels {
        let wheel: WheelName = name.parse().map_err(SdistError::from)?;
        versions.insert(wheel.name.to_string(), wheel.version);
    }
    Ok(versions)
}

fn check_needs(
    work: &Work<'_>,
    asked: &[String],
    there: &BTreeMap<String, Version>,
    python: &str,
) -> Result<(), StepError> {
    let environment = Environment::new(python);
    for text in asked {
        let requirement = Requirement::from_str(text).map_err(SdistError::from)?;
        if !requirement.applies(&environment) {
            continue;
        }
        let name = requirement.name.as_str();
        let found = match there.get(name) {
            Some(version) if requirement.allows(version) => continue,
            Some(version) => format!("{name} {version}"),
            None => format!("no {name}"),
        };
        return Err(StepError::Sdist(SdistError::Requirement {
            subject: format!("{} {}", work.name, work.version),
            requirement: text.clone(),
            found,
        }));
    }
    Ok(())
}

/// Holds what the wheel says of itself against what was locked.
fn check_wheel(
    session: &Session,
    work: &Work<'_>,
    file_name: &str,
    blob: &BlobId,
) -> Result<(), StepError> {
    let mut metadata = Vec::new();
    let mut only = OnlyFiles(|path: &str, size: u64, content: &mut dyn std::io::Read| {
        let inside = path.split_once('/');
        let wanted = inside.is_some_and(|(top, file)| {
            top.ends_with(".dist-info") && file == "METADATA" && size < 16 << 20
        });
        if wanted {
            content
                .read_to_end(&mut metadata)
                .map_err(ArchiveError::sink)?;
        }
        Ok(())
    });
    let file = session.open_blob(blob)?;
    unpack_zip(&file, file_name, &Limits::default(), &mut only).map_err(SdistError::from)?;
    let facts = Facts::parse(&metadata).map_err(SdistError::from)?;
    let wanted = format!("{} {}", work.name, work.version);
    let found = format!("{} {}", facts.name, facts.version);
    if found != wanted {
        return Err(StepError::Sdist(SdistError::Another {
            file: work.file_name.to_owned(),
            wanted,
            found_in: "the wheel that was built of it",
            found,
        }));
    }
    if facts.requires != work.requires {
        let list = |words: &[String]| match words {
            [] => "nothing".to_owned(),
            words => words.join(", "),
        };
        return Err(StepError::Sdist(SdistError::Metadata {
            subject: wanted,
            locked: list(work.requires),
            found: list(&facts.requires),
        }));
    }
    Ok(())
}
