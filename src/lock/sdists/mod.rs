//! Projects that are built from their sdists → what their wheels will need, and what builds them. Begin
//! at [`Sdists::resolve`].
//!
//! uv resolves and never builds: of a project that is built it is told what the sandbox found out
//! (`dependency-metadata`), and as long as nothing is known of a version, that it needs nothing. So it
//! is asked again until it chose no version that is unknown. What a version needs is in its PKG-INFO
//! where that promises it, else its build backend is asked (`hooks.rs`), in the sysroot and without a
//! network, beside its build requirements. Those are a resolution of their own; what of them comes as
//! source only is built in the same way. All of it is in the lock.

pub(crate) mod environment;
mod error;
pub(crate) mod facts;
pub(crate) mod hooks;
pub(crate) mod missing;
pub(crate) mod source;

use std::collections::BTreeMap;
use std::str::FromStr as _;

use recipe_store::{BlobId, TreeId};

pub use error::SdistError;
pub use hooks::FailedHook;

use self::facts::Facts;
use self::hooks::{Question, Work, ask};
use self::source::BuildSystem;
use super::wheels::{self, Answered, Terms, WheelsError, fetch};
use super::{FileKind, Locked, Upgrade};
use crate::python::{ProjectName, Requirement, requirement};
use crate::sandbox::Sandbox;

/// How often uv is asked: each time it may choose a version that nothing is known of.
const ROUNDS: usize = 24;
/// How deep build requirements of build requirements are followed.
const DEPTH: usize = 6;

/// What is needed to look into sdists.
pub(super) struct Sdists<'a> {
    pub(super) sandbox: &'a Sandbox,
    /// Asks for wheels and files.
    pub(super) place: wheels::Context<'a>,
    /// The machine that builds see.
    pub(super) sysroot: TreeId,
    pub(super) python: &'a str,
    /// SOURCE_DATE_EPOCH.
    pub(super) date: u64,
    /// The files locked before, and which of them may move.
    pub(super) previous: &'a [Locked],
    pub(super) upgrade: &'a Upgrade,
    /// Requirements that hold for what builds require, where they require it.
    constraints: &'a [String],
    prepared: BTreeMap<String, Prepared>,
}

/// Why there is no answer.
pub(super) enum Stop {
    Wheels(WheelsError),
    /// An sdist, by name and version.
    Sdist(String, Box<SdistError>),
}

impl From<WheelsError> for Stop {
    fn from(error: WheelsError) -> Stop {
        Stop::Wheels(error)
    }
}

/// An sdist that was looked into.
struct Prepared {
    facts: Facts,
    source: TreeId,
    system: BuildSystem,
    environment: TreeId,
    /// Its build requirements, as a lock has them.
    needs: Vec<Locked>,
    wheel: Option<(String, BlobId)>,
}

/// What is asked of one resolution.
struct Asked<'q> {
    requirements: &'q [Requirement],
    no_binary: Vec<ProjectName>,
    overrides: &'q [String],
    constraints: &'q [String],
    kept: Vec<(&'q str, &'q str)>,
    /// Whether a project without wheels is built without being named.
    open: bool,
}

/// The files of a lock that come from a package index.
pub(super) struct Resolved {
    pub(super) wheels: Vec<Locked>,
    /// Sdists, and what builds them.
    pub(super) sdists: Vec<Locked>,
}

impl<'a> Sdists<'a> {
    pub(super) fn new(
        sandbox: &'a Sandbox,
        place: wheels::Context<'a>,
        sysroot: TreeId,
        (python, date): (&'a str, u64),
        (previous, upgrade): (&'a [Locked], &'a Upgrade),
        constraints: &'a [String],
    ) -> Sdists<'a> {
        Sdists {
            sandbox,
            place,
            sysroot,
            python,
            date,
            previous,
            upgrade,
            constraints,
            prepared: BTreeMap::new(),
        }
    }

    /// Resolves `requirements`, those in `no_binary` from their sdists.
    pub(super) fn resolve(
        &mut self,
        requirements: &[Requirement],
        no_binary: Vec<ProjectName>,
        overrides: &[String],
    ) -> Result<Resolved, Stop> {
        let kept = self.kept(|file| matches!(file.kind, FileKind::Wheel | FileKind::Sdist));
        let asked = Asked {
            requirements,
            no_binary,
            overrides,
            constraints: &[],
            kept,
            open: false,
        };
        let answered = self.settle(asked, &[])?;
        let mut files: Vec<Locked> = Vec::new();
        for sdist in answered.sdists {
            self.collect(&sdist, &mut files);
            let requires = self.requires(&sdist);
            files.push(Locked { requires, ..sdist });
        }
        Ok(Resolved {
            wheels: answered.wheels,
            sdists: files,
        })
    }

    /// Asks until nothing that was chosen is unknown.
    fn settle(&mut self, mut asked: Asked<'_>, chain: &[String]) -> Result<Answered, Stop> {
        let mut known: Vec<Facts> = Vec::new();
        for _ in 0..ROUNDS {
            let terms = Terms {
                no_binary: &asked.no_binary,
                known: &known,
                overrides: asked.overrides,
                constraints: asked.constraints,
                kept: &asked.kept,
            };
            let answered = wheels::resolve_on(asked.requirements, &terms, &self.place);
            let answered = match answered {
                Err(error) if asked.open => {
                    let sources = &mut asked.no_binary;
                    let project = without_wheels(&error).filter(|it| !sources.contains(it));
                    let Some(project) = project else {
                        return Err(error.into());
                    };
                    sources.push(project);
                    continue;
                }
                answered => answered?,
            };
            let mut news = false;
            for sdist in &answered.sdists {
                let is_known = |facts: &Facts| {
                    facts.name.as_str() == sdist.name && facts.version.to_string() == sdist.version
                };
                if !known.iter().any(is_known) {
                    known.push(self.prepare(sdist, chain)?);
                    news = true;
                }
            }
            if !news {
                return Ok(answered);
            }
        }
        let reason = format!("it chose another version of a source {ROUNDS} times");
        Err(WheelsError::Tool { reason }.into())
    }

    /// Looks into one sdist.
    fn prepare(&mut self, sdist: &Locked, chain: &[String]) -> Result<Facts, Stop> {
        if let Some(prepared) = self.prepared.get(&sdist.sha256) {
            return Ok(prepared.facts.clone());
        }
        let id = sdist.id();
        let last = id.clone();
        let failed = |cause: SdistError| Stop::Sdist(id.clone(), Box::new(cause));
        let mut chain = chain.to_vec();
        if chain.contains(&last) {
            return Err(failed(SdistError::Cycle { chain, last }));
        }
        chain.push(last);
        if chain.len() > DEPTH {
            let limit = DEPTH;
            return Err(failed(SdistError::Depth { limit, chain }));
        }
        let session = self.place.session;
        let blob = self.blob(sdist)?;
        let source = source::unpack(session, &blob, &sdist.path).map_err(failed)?;
        let system = BuildSystem::read(session, &source).map_err(failed)?;
        let mut asked: Vec<String> = spelled(&system.requires);
        let mut needs = self.needs(&asked, sdist, &chain)?;
        let mut environment = self.environment(&needs)?;
        let name = format!("{}-{}", sdist.name, sdist.version);
        let question = |environment: &TreeId, question: Question, it: &Self| {
            let work = Work {
                session,
                sandbox: it.sandbox,
                sysroot: &it.sysroot,
                environment,
                source: &source,
                system: &system,
                name: &name,
                date: it.date,
                jobs: 2,
                step: None,
                ear: &|_| {},
                elsewhere: None,
            };
            ask(&work, question)
        };
        let heard = question(&environment, Question::Requires, self).map_err(failed)?;
        let more = spelled(&heard.requires);
        let more: Vec<String> = more.into_iter().filter(|it| !asked.contains(it)).collect();
        if !more.is_empty() {
            asked.extend(more);
            needs = self.needs(&asked, sdist, &chain)?;
            environment = self.environment(&needs)?;
        }
        let facts = match source::static_facts(session, &source).map_err(failed)? {
            Some(facts) => facts,
            None => {
                let heard = question(&environment, Question::Metadata, self).map_err(failed)?;
                Facts::parse(heard.metadata.as_bytes()).map_err(|error| failed(error.into()))?
            }
        };
        let found = format!("{} {}", facts.name, facts.version);
        if found != sdist.id() {
            return Err(failed(SdistError::Another {
                file: sdist.path.clone(),
                wanted: sdist.id(),
                found_in: "its metadata",
                found,
            }));
        }
        let prepared = Prepared {
            facts: facts.clone(),
            source,
            system,
            environment,
            needs,
            wheel: None,
        };
        self.prepared.insert(sdist.sha256.clone(), prepared);
        Ok(facts)
    }

    /// Resolves build requirements.
    fn needs(
        &mut self,
        asked: &[String],
        sdist: &Locked,
        chain: &[String],
    ) -> Result<Vec<Locked>, Stop> {
        let failed =
            |error: crate::python::PythonError| Stop::Sdist(sdist.id(), Box::new(error.into()));
        let requirements = asked.iter().map(|text| Requirement::from_str(text));
        let requirements: Vec<Requirement> =
            requirements.collect::<Result<_, _>>().map_err(failed)?;
        if requirements.is_empty() {
            return Ok(Vec::new());
        }
        let previous = self.previous;
        let of_this = |file: &Locked| {
            let mut builds = file.builds();
            builds.any(|id| id.split(' ').next() == Some(sdist.name.as_str()))
        };
        let kept = kept(previous, self.upgrade, |file| {
            file.kind.is_for_builds() && of_this(file)
        });
        let asked = Asked {
            requirements: &requirements,
            no_binary: Vec::new(),
            overrides: &[],
            constraints: self.constraints,
            kept,
            open: true,
        };
        let answered = self.settle(asked, chain).map_err(|stop| match stop {
            // Whoever reads it knows the recipe, not what its projects are built with.
            Stop::Wheels(error) => {
                Stop::Sdist(sdist.id(), Box::new(SdistError::Needs(Box::new(error))))
            }
            stop => stop,
        })?;
        let wheels = answered.wheels.into_iter().map(|wheel| Locked {
            kind: FileKind::BuildWheel,
            reason: sdist.id(),
            ..wheel
        });
        let sdists = answered.sdists.into_iter().map(|source| Locked {
            kind: FileKind::BuildSdist,
            requires: self.requires(&source),
            reason: sdist.id(),
            ..source
        });
        Ok(wheels.chain(sdists).collect())
    }

    /// Installs build requirements; what of them comes as source is built.
    fn environment(&mut self, needs: &[Locked]) -> Result<TreeId, Stop> {
        let mut wheels: Vec<(String, BlobId)> = Vec::new();
        for file in needs {
            wheels.push(match file.kind {
                FileKind::BuildSdist => self.wheel(file)?,
                _ => (file.path.clone(), self.blob(file)?),
            });
        }
        let wheels = wheels.iter().map(|(name, blob)| (name.as_str(), *blob));
        environment::environment(self.place.session, self.python, wheels)
            .map_err(|cause| Stop::Sdist("build requirements".to_owned(), Box::new(cause)))
    }

    /// The wheel of an sdist that others need to be built.
    fn wheel(&mut self, sdist: &Locked) -> Result<(String, BlobId), Stop> {
        let Some(prepared) = self.prepared.get_mut(&sdist.sha256) else {
            let what = SdistError::Shape {
                file: sdist.path.clone(),
            };
            return Err(Stop::Sdist(sdist.id(), Box::new(what)));
        };
        if let Some(wheel) = &prepared.wheel {
            return Ok(wheel.clone());
        }
        let work = Work {
            session: self.place.session,
            sandbox: self.sandbox,
            sysroot: &self.sysroot,
            environment: &prepared.environment,
            source: &prepared.source,
            system: &prepared.system,
            name: &format!("{}-{}", sdist.name, sdist.version),
            date: self.date,
            jobs: 2,
            step: None,
            ear: &|_| {},
            elsewhere: None,
        };
        let heard = ask(&work, Question::Wheel);
        let heard = heard.map_err(|cause| Stop::Sdist(sdist.id(), Box::new(cause)))?;
        let wheel = heard.wheel.ok_or_else(|| {
            let file = sdist.path.clone();
            Stop::Sdist(sdist.id(), Box::new(SdistError::Shape { file }))
        })?;
        prepared.wheel = Some(wheel.clone());
        Ok(wheel)
    }

    fn blob(&self, file: &Locked) -> Result<BlobId, WheelsError> {
        let wanted = fetch::File {
            name: &file.path,
            size: file.size,
            sha256: &file.sha256,
        };
        let place = &self.place;
        fetch::fetch(&wanted, place.net, place.session, place.indexes)
    }

    fn requires(&self, sdist: &Locked) -> Vec<String> {
        let prepared = self.prepared.get(&sdist.sha256);
        prepared.map_or_else(Vec::new, |it| it.facts.requires.clone())
    }

    /// Puts what builds an sdist to the other files: what builds several of them is there once.
    fn collect(&self, sdist: &Locked, files: &mut Vec<Locked>) {
        let Some(prepared) = self.prepared.get(&sdist.sha256) else {
            return;
        };
        for need in &prepared.needs {
            let same = |file: &&mut Locked| {
                (file.kind, &file.sha256, &file.path) == (need.kind, &need.sha256, &need.path)
            };
            match files.iter_mut().find(same) {
                Some(known) => {
                    let mut ids: Vec<&str> = known.builds().chain(need.builds()).collect();
                    ids.sort_unstable();
                    ids.dedup();
                    known.reason = ids.join(", ");
                }
                None => {
                    files.push(need.clone());
                    if need.kind == FileKind::BuildSdist {
                        self.collect(need, files);
                    }
                }
            }
        }
    }

    fn kept(&self, which: impl Fn(&Locked) -> bool) -> Vec<(&'a str, &'a str)> {
        kept(self.previous, self.upgrade, which)
    }
}

/// Names and versions of the files locked before that stay where they can.
fn kept<'a>(
    previous: &'a [Locked],
    upgrade: &Upgrade,
    which: impl Fn(&Locked) -> bool,
) -> Vec<(&'a str, &'a str)> {
    let files = previous
        .iter()
        .filter(|file| which(file) && !upgrade.covers(file));
    files
        .map(|file| (file.name.as_str(), file.version.as_str()))
        .collect()
}

fn spelled(requirements: &[String]) -> Vec<String> {
    let mut spelled: Vec<String> = requirements
        .iter()
        .map(|text| requirement::canonical(text))
        .collect();
    spelled.sort();
    spelled.dedup();
    spelled
}

/// A project that uv has no usable wheel of.
fn without_wheels(error: &WheelsError) -> Option<ProjectName> {
    match error {
        WheelsError::OnlySource { project, .. } | WheelsError::NoWheel { project, .. } => {
            project.parse().ok()
        }
        WheelsError::Unsatisfiable { reason, .. } => {
            let (before, _) = reason
                .split_once(" have no usable wheels")
                .or_else(|| reason.split_once(" has no usable wheels"))
                .or_else(|| reason.split_once(" have no wheels"))
                .or_else(|| reason.split_once(" has no wheels"))?;
            let word = before.rsplit([' ', '\n']).next()?;
            let end = word.find(['=', '<', '>', '!', '~']).unwrap_or(word.len());
            word[..end].parse().ok()
        }
        _ => None,
    }
}

/// One of each failure, for the table of all messages.
#[cfg(test)]
pub(crate) fn examples() -> Vec<SdistError> {
    let hook = |offered: Vec<(String, Vec<String>)>| {
        let log = b"x.c:1:10: fatal error: lber.h: No such file or directory".to_vec();
        SdistError::Hook(Box::new(FailedHook {
            what: "its wheel",
            how: "exit code 1".to_owned(),
            said: missing::told(&log),
            log,
            offered,
        }))
    };
    let id = |name: &str| format!("{name} 1.0");
    vec![
        hook(Vec::new()),
        hook(vec![("lber.h".to_owned(), vec!["libldap-dev".to_owned()])]),
        SdistError::Needs(Box::new(WheelsError::NoIndex)),
        SdistError::Shape {
            file: "a-1.0.tar.gz".to_owned(),
        },
        SdistError::Project {
            reason: "`backend-path` leads out of the source".to_owned(),
        },
        SdistError::Another {
            file: "a-1.0.tar.gz".to_owned(),
            wanted: id("a"),
            found_in: "its metadata",
            found: id("b"),
        },
        SdistError::Metadata {
            subject: id("a"),
            locked: "nothing".to_owned(),
            found: "b>=2".to_owned(),
        },
        SdistError::Requirement {
            subject: id("a"),
            requirement: "cython>=3".to_owned(),
            found: "no cython".to_owned(),
        },
        SdistError::Cycle {
            chain: vec![id("a"), id("b")],
            last: id("a"),
        },
        SdistError::Depth {
            limit: DEPTH,
            chain: vec![id("a"), id("b")],
        },
        SdistError::Folder {
            path: "/home/me/store/tmp/x".into(),
            error: std::io::Error::from(std::io::ErrorKind::StorageFull),
        },
        SdistError::Store(recipe_store::StoreError::Missing {
            id: BlobId::of(b"x").into(),
        }),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_project_without_wheels_is_read_from_what_the_resolver_says() {
        let said = |reason: &str| {
            let reason = reason.to_owned();
            let error = WheelsError::Unsatisfiable {
                reason,
                project: None,
            };
            without_wheels(&error).map(|it| it.to_string())
        };
        let of = |name: &str| Some(name.to_owned());
        assert_eq!(
            said(
                "Because all versions of my-client have no usable wheels and you require my-client, we"
            ),
            of("my-client")
        );
        assert_eq!(
            said("Because a depends on b>=2 and b==2.0 has no usable wheels, we"),
            of("b")
        );
        assert_eq!(
            said("Because only a<=1 is available and you require a>=3"),
            None
        );
    }
}
