//! A release's name → its signed indexes, verified, as one [`Universe`]. Begin at [`Suites::load`].
//!
//! `trixie` means three suites: the release, its updates, and its security archive, each with an
//! `InRelease` of its own. The chain is signature → `InRelease` → sha256 of each index → sha256 of
//! each file. All mirrors pass the same checks, and nothing is kept that has not passed them.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use recipe_store::{BlobId, Session};
use reqwest::Url;
use sha2::{Digest as _, Sha256};

use super::error::{LockError, Refusal};
use super::host::{self, Host};
use super::index::{self, IndexError, SourcePackage};
use super::openpgp::Keyring;
use super::release::Release;
use super::universe::Universe;
use super::{Context, Suite};
use crate::net::{NetError, Wanted, hex, shown};
use crate::platform::Platform;

/// The largest `InRelease` that is read (bytes); real ones have up to 200 kB.
const MOST_IN_RELEASE: u64 = 8 << 20;
/// The largest index, packed or not (bytes).
const MOST_INDEX: u64 = 1 << 30;
/// Memory that an xz decoder may take, in KiB.
const XZ_MEMORY: u32 = 256 << 10;
/// How often an inconsistent mirror is asked again, and after how long.
const PATIENCE: (u32, Duration) = (3, Duration::from_secs(2));
/// Releases that consist of one suite.
const ALONE: [&str; 4] = ["sid", "unstable", "experimental", "rc-buggy"];

/// The verified indexes of a release.
pub(super) struct Suites {
    pub(super) platform: Platform,
    /// What goes into the lock, one for each suite.
    pub suites: Vec<Suite>,
    /// All packages.
    pub universe: Universe,
    releases: Vec<Release>,
}

/// One suite whose `InRelease` was believed.
struct Believed {
    suite: Suite,
    release: Release,
}

/// A suite, and the blobs of its package indexes by path.
type Indexed = (Believed, Vec<(String, BlobId)>);

impl Suites {
    /// Loads the suites of `release`. Indexes older than those in `known` are refused.
    pub(super) fn load(
        context: &Context<'_>,
        release: &str,
        platform: Platform,
        known: &[Suite],
        allow_expired: bool,
    ) -> Result<Suites, LockError> {
        Suites::load_with(context, release, platform, known, allow_expired, true)
    }

    /// The same without any binary package, where only [`Suites::sources`] is asked.
    pub(super) fn load_sources(
        context: &Context<'_>,
        release: &str,
        platform: Platform,
        known: &[Suite],
        allow_expired: bool,
    ) -> Result<Suites, LockError> {
        Suites::load_with(context, release, platform, known, allow_expired, false)
    }

    fn load_with(
        context: &Context<'_>,
        release: &str,
        platform: Platform,
        known: &[Suite],
        allow_expired: bool,
        packages: bool,
    ) -> Result<Suites, LockError> {
        let keyring = keyring(context)?;
        let loader = Loader {
            context,
            keyring: &keyring,
            platform,
            known,
            allow_expired,
            packages,
        };
        let names = names(release);
        // Each suite is an answer of a mirror and a download: they wait side by side.
        let loaded: Vec<Result<Indexed, LockError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = names
                .iter()
                .map(|(name, archive)| (name, scope.spawn(|| loader.suite(name, archive))))
                .collect();
            let stopped = |name: &String| LockError::Stopped {
                what: format!("the thread that loads {name}"),
            };
            threads
                .into_iter()
                .map(|(name, thread)| thread.join().unwrap_or_else(|_| Err(stopped(name))))
                .collect()
        });
        let mut universe = Universe::new(platform.debian());
        let (mut suites, mut releases) = (Vec::new(), Vec::new());
        for result in loaded {
            let (Believed { suite, release }, indexes) = result?;
            for (path, blob) in indexes {
                read_packages(
                    context.session,
                    &suite,
                    &release,
                    suites.len(),
                    &path,
                    &blob,
                    &mut universe,
                )?;
            }
            suites.push(suite);
            releases.push(release);
        }
        let named = |cause| LockError::Unmet {
            suite: release.to_owned(),
            cause: Box::new(cause),
        };
        if packages {
            universe.finish().map_err(named)?;
        }
        Ok(Suites {
            platform,
            suites,
            universe,
            releases,
        })
    }

    /// The packages that this machine has installed, as far as those in `names` and what they depend
    /// on go: as if it were a release of its own.
    pub(super) fn installed(
        context: &Context<'_>,
        platform: Platform,
        names: &[String],
    ) -> Result<Suites, LockError> {
        let root = context.net.settings().host_root.as_deref();
        let host = Host::open(root.unwrap_or("/".into()), platform.debian())?;
        let universe = |known: &BTreeMap<String, (u64, String)>| -> Result<Universe, LockError> {
            let unmet = |cause| LockError::Unmet {
                suite: host::ARCHIVE.to_owned(),
                cause: Box::new(cause),
            };
            let mut universe = Universe::new(platform.debian());
            let mut failed = None;
            index::packages(host.index(known).as_bytes(), &mut |package| {
                failed = universe.add(package, 0).err().or(failed.take());
            })
            .map_err(|cause| LockError::Index {
                suite: host::ARCHIVE.to_owned(),
                path: "var/lib/dpkg/status".to_owned(),
                cause,
            })?;
            if let Some(cause) = failed {
                return Err(unmet(cause));
            }
            universe.finish().map_err(unmet)?;
            Ok(universe)
        };
        let all = universe(&BTreeMap::new())?;
        let there: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| all.newest(name).is_some())
            .collect();
        let chosen = all
            .choose(&there, &BTreeMap::new())
            .map_err(|cause| LockError::Unmet {
                suite: host::ARCHIVE.to_owned(),
                cause: Box::new(cause),
            })?;
        let mut known = BTreeMap::new();
        for name in chosen.keys() {
            let bytes = host.package(name)?;
            let sha256 = hex(&Sha256::digest(&bytes));
            known.insert(name.clone(), (bytes.len() as u64, sha256));
        }
        Ok(Suites {
            platform,
            universe: universe(&known)?,
            suites: vec![Suite {
                name: host::ARCHIVE.to_owned(),
                archive: host::ARCHIVE.to_owned(),
                date: 0,
                sha256: String::new(),
                keys: Vec::new(),
            }],
            releases: Vec::new(),
        })
    }

    /// The release they are of.
    pub(super) fn release(&self) -> &str {
        self.suites
            .first()
            .map(|suite| suite.name.as_str())
            .unwrap_or_default()
    }

    /// The newest index date, seconds since 1970.
    pub(super) fn date(&self) -> u64 {
        self.suites
            .iter()
            .map(|suite| suite.date)
            .max()
            .unwrap_or_default()
    }

    /// The source packages of this name, and the archives that have them.
    pub(super) fn sources(
        &self,
        context: &Context<'_>,
        name: &str,
    ) -> Result<Vec<(SourcePackage, String)>, LockError> {
        let mut sources = Vec::new();
        for (suite, release) in self.suites.iter().zip(&self.releases) {
            let Some((path, blob)) = fetch_index(context, suite, release, "main/source/Sources")?
            else {
                continue;
            };
            let found = read_index(context.session, suite, release, &path, &blob, |text| {
                index::sources(text, name)
            })?;
            sources.extend(found.into_iter().map(|it| (it, suite.archive.clone())));
        }
        Ok(sources)
    }

    /// The source package that the binary package of this name is built from.
    pub(super) fn source_of(&self, package: &str) -> Option<String> {
        let offer = self.universe.newest(package)?;
        Some(offer.package.source.to_string())
    }

    /// Packages that hold a file called `name`, by the `Contents` indexes; at most ten.
    pub(super) fn packages_with(
        &self,
        context: &Context<'_>,
        name: &str,
    ) -> Result<Vec<String>, LockError> {
        let mut found = std::collections::BTreeSet::new();
        for (suite, release) in self.suites.iter().zip(&self.releases) {
            let path = format!("main/Contents-{}", self.platform.debian());
            let Some((path, blob)) = fetch_index(context, suite, release, &path)? else {
                continue;
            };
            let names = read_index(context.session, suite, release, &path, &blob, |text| {
                Ok(super::contents::holders(text, name)?)
            })?;
            found.extend(names);
        }
        Ok(found.into_iter().take(10).collect())
    }
}

/// The suites of a release, and their archives.
fn names(release: &str) -> Vec<(String, &'static str)> {
    let mut names = vec![(release.to_owned(), "debian")];
    if !ALONE.contains(&release) {
        names.push((format!("{release}-updates"), "debian"));
        names.push((format!("{release}-security"), "debian-security"));
    }
    names
}

fn keyring(context: &Context<'_>) -> Result<Keyring, LockError> {
    let bad = |path: &camino::Utf8Path, reason: String| LockError::Keys {
        path: path.to_string(),
        reason,
    };
    let mut keyring =
        Keyring::debian().map_err(|error| bad("(built in)".into(), error.to_string()))?;
    if let Some(path) = &context.net.settings().archive_keys {
        let bytes = std::fs::read(path).map_err(|error| bad(path, error.to_string()))?;
        keyring
            .add(&bytes)
            .map_err(|error| bad(path, error.to_string()))?;
    }
    Ok(keyring)
}

struct Loader<'a> {
    context: &'a Context<'a>,
    keyring: &'a Keyring,
    platform: Platform,
    known: &'a [Suite],
    allow_expired: bool,
    /// Whether the indexes of binary packages are wanted.
    packages: bool,
}

impl Loader<'_> {
    /// One suite and the blobs of its package indexes.
    fn suite(&self, name: &str, archive: &str) -> Result<Indexed, LockError> {
        let (tries, wait) = PATIENCE;
        for round in 1..=tries {
            let believed = self.in_release(name, archive)?;
            match self.indexes(&believed) {
                // The index names files that the mirror has in another state: it is being updated.
                Err(LockError::Inconsistent { .. }) if round < tries => {
                    self.context.net.watch().note(&format!(
                        "a mirror of {archive} is in the middle of an update"
                    ));
                    std::thread::sleep(wait.min(self.context.net.settings().timing.longest_wait));
                }
                Err(error) => return Err(error),
                Ok(indexes) => return Ok((believed, indexes)),
            }
        }
        let path = format!("dists/{name}/InRelease");
        Err(LockError::Inconsistent {
            suite: name.to_owned(),
            archive: archive.to_owned(),
            path,
        })
    }

    fn indexes(&self, believed: &Believed) -> Result<Vec<(String, BlobId)>, LockError> {
        let (suite, release) = (&believed.suite, &believed.release);
        let mut paths = Vec::new();
        if self.packages {
            paths.push(format!("main/binary-{}/Packages", self.platform.debian()));
        }
        if self.packages && release.separate_all {
            paths.push("main/binary-all/Packages".into());
        }
        let mut indexes = Vec::new();
        for path in paths {
            match fetch_index(self.context, suite, release, &path)? {
                Some(found) => indexes.push(found),
                None => {
                    let cause = IndexError::Malformed {
                        line: 0,
                        reason: "the release does not list it".into(),
                    };
                    return Err(LockError::Index {
                        suite: suite.name.clone(),
                        path,
                        cause,
                    });
                }
            }
        }
        Ok(indexes)
    }

    /// The first `InRelease` that can be believed, mirror by mirror.
    fn in_release(&self, name: &str, archive: &str) -> Result<Believed, LockError> {
        let path = format!("dists/{name}/InRelease");
        let wanted = Wanted::unknown(archive, &path, MOST_IN_RELEASE);
        let net = self.context.net;
        let mut urls = net.urls_of(&wanted)?;
        let mut refusals: Vec<(String, Refusal)> = Vec::new();
        loop {
            if urls.is_empty() {
                return Err(LockError::Refused {
                    suite: name.to_owned(),
                    archive: archive.to_owned(),
                    refusals,
                });
            }
            let (bytes, url) = match net.bytes_and_url(&urls, &wanted) {
                Ok(answer) => answer,
                // Those that answered and were refused say more than those that did not.
                Err(_) if !refusals.is_empty() => {
                    urls.clear();
                    continue;
                }
                Err(NetError::Gone { tries, .. }) => {
                    return Err(LockError::NoSuite {
                        suite: name.to_owned(),
                        archive: archive.to_owned(),
                        cause: tries.to_string(),
                    });
                }
                Err(error) => return Err(error.into()),
            };
            match self.believe(name, archive, &bytes) {
                Ok(believed) => return Ok(believed),
                Err(refusal) => refusals.push((shown(&url), refusal)),
            }
            urls.retain(|other: &Url| *other != url);
        }
    }

    fn believe(&self, name: &str, archive: &str, bytes: &[u8]) -> Result<Believed, Refusal> {
        let now = self.context.now;
        let signed = self.keyring.verify(bytes, now)?;
        let release = Release::read(&signed.text)?;
        if release.codename != name && release.suite != name {
            let found = if release.codename.is_empty() {
                release.suite
            } else {
                release.codename
            };
            return Err(Refusal::OtherSuite { found });
        }
        let known = self
            .known
            .iter()
            .find(|suite| suite.name == name && suite.archive == archive);
        release.check(now, known.map(|suite| suite.date), self.allow_expired)?;
        let suite = Suite {
            name: name.to_owned(),
            archive: archive.to_owned(),
            date: release.date,
            sha256: hex(&Sha256::digest(bytes)),
            keys: signed.keys,
        };
        Ok(Believed { suite, release })
    }
}

/// The blob of an index, in its smallest form; `None` when the release does not list it.
fn fetch_index(
    context: &Context<'_>,
    suite: &Suite,
    release: &Release,
    path: &str,
) -> Result<Option<(String, BlobId)>, LockError> {
    let forms = [".xz", ".gz", ""];
    let listed = forms
        .iter()
        .map(|form| format!("{path}{form}"))
        .find_map(|path| {
            let (size, sha256) = release.files.get(&path)?;
            Some((path, *size, sha256.clone()))
        });
    let Some((path, size, sha256)) = listed else {
        return Ok(None);
    };
    let plain = format!("dists/{}/{path}", suite.name);
    let mut places = vec![plain];
    if release.by_hash {
        let folder = path
            .rsplit_once('/')
            .map(|(folder, _)| folder)
            .unwrap_or_default();
        places.insert(
            0,
            format!("dists/{}/{folder}/by-hash/SHA256/{sha256}", suite.name),
        );
    }
    for place in places {
        let mut wanted = Wanted::exact(&suite.archive, &place, size, &sha256);
        wanted.limit = MOST_INDEX.min(size);
        match context.net.fetch(&wanted, context.session) {
            Ok(blob) => {
                context.fetched(&sha256, &blob);
                return Ok(Some((path, blob)));
            }
            // Gone or another file: the mirror is between two states, or keeps no files by hash.
            Err(NetError::Gone { .. } | NetError::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(LockError::Inconsistent {
        suite: suite.name.clone(),
        archive: suite.archive.clone(),
        path,
    })
}

fn read_packages(
    session: &Session,
    suite: &Suite,
    release: &Release,
    number: usize,
    path: &str,
    blob: &BlobId,
    universe: &mut Universe,
) -> Result<(), LockError> {
    let mut failed = None;
    read_index(session, suite, release, path, blob, |text| {
        index::packages(text, &mut |package| {
            if failed.is_none() {
                failed = universe.add(package, number).err();
            }
        })
    })?;
    match failed {
        Some(cause) => Err(LockError::Unmet {
            suite: suite.name.clone(),
            cause: Box::new(cause),
        }),
        None => Ok(()),
    }
}

/// Unpacks an index, held to the size that the release says, and reads it.
fn read_index<T>(
    session: &Session,
    suite: &Suite,
    release: &Release,
    path: &str,
    blob: &BlobId,
    read: impl FnOnce(&mut dyn Read) -> Result<T, IndexError>,
) -> Result<T, LockError> {
    let file = session.open_blob(blob)?;
    let packed = std::io::BufReader::with_capacity(1 << 17, file);
    let (plain, text): (&str, Box<dyn Read>) = match path.rsplit_once('.') {
        Some((plain, "xz")) => (
            plain,
            Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY)),
        ),
        Some((plain, "gz")) => (
            plain,
            Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        ),
        _ => (path, Box::new(packed)),
    };
    let most = release
        .files
        .get(plain)
        .map_or(MOST_INDEX, |(size, _)| *size);
    let mut text = Bounded {
        inner: text,
        left: most,
    };
    read(&mut text).map_err(|cause| LockError::Index {
        suite: suite.name.clone(),
        path: path.to_owned(),
        cause,
    })
}

/// Fails where more comes than was said.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(std::io::Error::other(
                    "it is larger unpacked than its release says",
                ));
            }
        }
        Ok(count)
    }
}
