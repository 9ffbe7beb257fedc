//! An interpreter → the packaging part of a source package, whose patches are undone. Begin at
//! [`Asked::resolve`].
//!
//! That is the interpreter's own source package, unless the recipe names another one (`patches`): a
//! mirror may have the binary packages of a version and no longer its sources.

use super::candidates::fetch;
use super::error::{LockError, NoPackaging, NoSourcePackage};
use super::index::SourcePackage;
use super::suites::Suites;
use super::version::compare;
use super::{Context, FileKind, Locked, Suite};
use crate::net::NetError;
use crate::recipe::{Interpreter, InterpreterSource, PatchesFrom, Spanned};

/// Whose patches are wanted.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) interpreter: &'a Spanned<Interpreter>,
    /// The release of the interpreter.
    pub(super) suites: &'a Suites,
    /// Indexes that are known: older ones are refused.
    pub(super) known: &'a [Suite],
    pub(super) allow_expired: bool,
}

/// What was found.
pub(super) struct Patches {
    pub(super) file: Locked,
    /// The signed indexes that name it.
    pub(super) suites: Vec<Suite>,
}

impl<'a> Asked<'a> {
    /// The source package that the recipe names instead of the interpreter's own.
    pub(super) fn instead(&self) -> Option<&'a Spanned<PatchesFrom>> {
        self.interpreter.value.patches.as_ref()
    }

    fn is_installed(&self) -> bool {
        self.interpreter.value.from == InterpreterSource::Host
    }

    /// Finds them; `own` is the interpreter's source package and its version, and `kept` what was
    /// locked before and stays where it can.
    pub(super) fn resolve(
        &self,
        context: &Context<'_>,
        own: (&str, &str),
        kept: &[&Locked],
    ) -> Result<Patches, LockError> {
        if let Some(wanted) = self.instead() {
            return self.of(context, wanted, own.0, kept);
        }
        match self.own(context, own) {
            // What is installed may be older or newer than what its release has today.
            Err(LockError::NoSource { .. }) if self.is_installed() => {
                let wanted = Spanned {
                    value: PatchesFrom {
                        source: own.0.to_owned(),
                        suite: self.interpreter.value.suite.clone(),
                        allow_expired: self.allow_expired,
                    },
                    span: self.interpreter.span,
                    text: self.interpreter.text.clone(),
                };
                self.of(context, &wanted, own.0, kept)
            }
            found => found,
        }
    }

    /// Those of the interpreter's own version.
    ///
    /// Where no mirror has its packaging, the nearest older version of the same signed suites serves:
    /// it has the same patches but for a fix or two, those are undone only where they fit, and what
    /// must not be left in a file is looked for afterwards.
    fn own(
        &self,
        context: &Context<'_>,
        (name, version): (&str, &str),
    ) -> Result<Patches, LockError> {
        let mut sources = self.suites.sources(context, name)?;
        sources.retain(|(source, _)| compare(&source.version, version).is_le());
        newest_first(&mut sources);
        if sources.first().is_none_or(|(it, _)| it.version != version) {
            return Err(LockError::NoSource {
                name: name.to_owned(),
                version: version.to_owned(),
                suite: self.suites.release().to_owned(),
            });
        }
        let file = self.first_there(
            context,
            (name, self.suites.release()),
            sources,
            "interpreter".to_owned(),
        )?;
        Ok(Patches {
            file,
            suites: self.suites.suites.clone(),
        })
    }

    /// Those of the source package that the recipe names: the locked version while the suite has
    /// it, else the newest.
    fn of(
        &self,
        context: &Context<'_>,
        wanted: &Spanned<PatchesFrom>,
        own: &str,
        kept: &[&Locked],
    ) -> Result<Patches, LockError> {
        let PatchesFrom {
            source,
            suite,
            allow_expired,
        } = &wanted.value;
        let other;
        let suites = if *suite == self.suites.release() {
            self.suites
        } else {
            let expired = self.allow_expired || *allow_expired;
            let platform = self.suites.platform;
            other = Suites::load_sources(context, suite, platform, self.known, expired)?;
            &other
        };
        let mut sources = suites.sources(context, source)?;
        if sources.is_empty() {
            return Err(LockError::NoSourcePackage(Box::new(NoSourcePackage {
                name: source.clone(),
                suite: suite.clone(),
                builds: suites.source_of(source),
                text: miette::NamedSource::clone(&wanted.text),
                at: wanted.span,
            })));
        }
        newest_first(&mut sources);
        let locked = |file: &&&Locked| file.kind == FileKind::DebianPatches && file.name == *source;
        if let Some(kept) = kept.iter().find(locked) {
            sources.sort_by_key(|(source, _)| source.version != kept.version);
        }
        let reason = format!("interpreter, instead of {own}");
        Ok(Patches {
            file: self.first_there(context, (source, suite), sources, reason)?,
            suites: suites.suites.clone(),
        })
    }

    /// The first of these versions whose packaging some mirror has.
    fn first_there(
        &self,
        context: &Context<'_>,
        (name, suite): (&str, &str),
        sources: Vec<(SourcePackage, String)>,
        reason: String,
    ) -> Result<Locked, LockError> {
        let none = LockError::NoSource {
            name: name.to_owned(),
            version: sources
                .first()
                .map_or_else(String::new, |(it, _)| it.version.clone()),
            suite: suite.to_owned(),
        };
        let mut gone: Option<(String, NetError)> = None;
        for (source, archive) in sources {
            let mut files = source.files.into_iter();
            let Some(file) = files.find(|file| file.path.contains(".debian.tar.")) else {
                continue;
            };
            let file = Locked {
                kind: FileKind::DebianPatches,
                name: name.to_owned(),
                version: source.version,
                architecture: String::new(),
                source: name.to_owned(),
                archive,
                path: file.path,
                size: file.size,
                sha256: file.sha256,
                reason: reason.clone(),
                requires: Vec::new(),
            };
            // A build after this lock needs no network: it is fetched although nothing here reads it.
            match fetch(context, &file) {
                Ok(_) => {
                    if let Some((wanted, _)) = gone {
                        context.net.watch().note(&format!(
                            "no mirror has the packaging of {name} {wanted}: that of {} is taken",
                            file.version
                        ));
                    }
                    return Ok(file);
                }
                Err(error) if error.is_gone() => {
                    gone.get_or_insert((file.version, error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Some((version, cause)) = gone else {
            return Err(none);
        };
        let instead = self.instead();
        let (text, at) = match instead {
            Some(wanted) => (&wanted.text, wanted.span),
            None => (&self.interpreter.text, self.interpreter.span),
        };
        Err(LockError::NoPackaging(Box::new(NoPackaging {
            name: name.to_owned(),
            version,
            cause,
            instead: instead.is_some(),
            text: miette::NamedSource::clone(text),
            at,
        })))
    }
}

fn newest_first(sources: &mut [(SourcePackage, String)]) {
    sources.sort_by(|(a, _), (b, _)| compare(&b.version, &a.version));
}
