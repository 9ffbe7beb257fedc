//! What others have built: caches, which are asked before a step is run. Begin at [`Caches`].
//!
//! A cache is a folder of files that any web server can serve; the book's page "The layout of a cache" has it. What a
//! build made stands in one signed text ([`traces`]), the objects in packs ([`pack`]) by an index ([`index`]). A whole
//! closure is four files, however many steps made it. Nothing is believed without a signature of a key that is trusted
//! ([`key`]), and every byte is hashed on its way into the store.
//!
//! `place.rs` is where a cache lies, `push.rs` and `pull.rs` are the two ways. A cache that fails is said once and
//! not asked again; the step is then built here.

pub mod bundle;
mod error;
mod index;
pub mod key;
mod pack;
mod place;
mod pull;
mod push;
mod s3;
pub mod serve;
mod traces;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use recipe_store::{Digest, ObjectId, Session, StepKey};

pub use error::CacheError;
pub use key::{PublicKey, SecretKey};
pub use place::{About, Place};
pub use pull::Pulled;
pub use push::{Pushed, Pushing, push};
pub use traces::{IndexFile, OneTrace, Signed, Traces};

use crate::build::{Shared, SharedStep};
use crate::net::Watch;
use index::{Index, PackFile};
use pull::{Pull, pull};

/// The folders of a cache.
const FOLDERS: [&str; 5] = ["pack", "index", "traces", "latest", "step"];

fn pack_name(pack: &PackFile) -> String {
    format!("pack/{}", pack.digest)
}

fn index_name(index: &IndexFile) -> String {
    format!("index/{}", index.digest)
}

fn traces_name(plan: &Digest) -> String {
    format!("traces/{plan}")
}

fn latest_name(title: &str) -> String {
    format!("latest/{}", Digest::of(title.as_bytes()))
}

fn step_name(key: &StepKey) -> String {
    format!("step/{key}")
}

/// Seconds since 1970.
fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A file beside the store that nobody else sees, for what is too large for memory.
fn temporary(session: &Session) -> Result<File, CacheError> {
    let folder = session.store().path().join("tmp");
    let flags =
        rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let made = rustix::fs::open(
        folder.as_std_path(),
        flags,
        rustix::fs::Mode::from_raw_mode(0o600),
    );
    let made = made.map(File::from).map_err(std::io::Error::from);
    made.map_err(|source| CacheError::File {
        verb: "make a file in",
        path: folder,
        source,
    })
}

/// Who is believed, and how far.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Keys that are trusted.
    pub keys: Vec<PublicKey>,
    /// So many of them have to say the same; 1 where nothing is said.
    pub agree: usize,
    /// The least isolation of steps that run programs; nothing where all are taken.
    pub isolation: Option<String>,
}

/// How far steps were kept apart from their machine, from least to most.
const LEVELS: [&str; 4] = ["none", "namespaces", "filtered", "landlocked"];

impl Policy {
    /// Whether a step that reached this level is taken. Those that run no foreign program have none.
    fn takes(&self, reached: &str) -> bool {
        let level = |word: &str| LEVELS.iter().position(|level| *level == word);
        match (&self.isolation, level(reached)) {
            (Some(least), Some(reached)) => level(least).is_some_and(|least| reached >= least),
            _ => true,
        }
    }
}

/// Whether this is one of the words of [`Policy::isolation`].
pub fn is_level(word: &str) -> bool {
    LEVELS.contains(&word)
}

/// One cache.
pub struct Cache {
    /// Where it lies.
    pub place: Place,
    /// Who is believed.
    pub policy: Policy,
    /// Set once it has failed: it is not asked again.
    off: OnceLock<()>,
    indexes: Mutex<HashMap<IndexFile, Option<std::sync::Arc<Index>>>>,
}

impl Cache {
    /// The cache at `place`.
    pub fn new(place: Place, policy: Policy) -> Cache {
        Cache {
            place,
            policy,
            off: OnceLock::new(),
            indexes: Mutex::default(),
        }
    }

    fn is_on(&self) -> bool {
        self.off.get().is_none()
    }
}

/// What somebody who is believed says that a step made.
#[derive(Debug, Clone)]
struct Claim {
    output: ObjectId,
    isolation: String,
    maker: String,
    /// Names of the keys that say so.
    keys: Vec<String>,
    /// The cache, by its number, and the index that knows where it lies.
    at: Vec<(usize, IndexFile)>,
}

/// The caches of a build, in the order in which they are asked.
pub struct Caches<'a> {
    caches: Vec<Cache>,
    session: &'a Session,
    watch: &'a dyn Watch,
    /// Whether a step that no cache has is an error.
    required: bool,
    claims: Mutex<BTreeMap<StepKey, Vec<Claim>>>,
    /// Objects that a cache could not give, with its number.
    lost: Mutex<Vec<(usize, ObjectId)>>,
    came: Mutex<Pulled>,
    /// Steps that were asked for by their key alone.
    asked: Mutex<Vec<StepKey>>,
    /// What is built; nobody was asked for it yet if this is not set.
    about: Option<Asked>,
    begun: OnceLock<()>,
}

/// What caches are asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// [`crate::plan::Plan::id`].
    pub plan: Digest,
    /// The recipe and its variant.
    pub title: String,
}

impl<'a> Caches<'a> {
    /// These caches. `required` makes it an error if they lack anything.
    pub fn new(
        caches: Vec<Cache>,
        session: &'a Session,
        watch: &'a dyn Watch,
        about: Option<Asked>,
        required: bool,
    ) -> Caches<'a> {
        Caches {
            about,
            begun: OnceLock::new(),
            caches,
            session,
            watch,
            required,
            claims: Mutex::default(),
            lost: Mutex::default(),
            came: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// Asks what is known of this plan; where no cache knows it, of the last build of the recipe. Once.
    pub fn ask(&self) {
        self.begun.get_or_init(|| self.ask_all());
    }

    fn ask_all(&self) {
        let Some(Asked { plan, title }) = &self.about else {
            return;
        };
        for (number, cache) in self.caches.iter().enumerate() {
            let known = self.learn(number, cache, &traces_name(plan));
            if !known && cache.is_on() {
                self.learn(number, cache, &latest_name(title));
            }
        }
    }

    /// What came so far.
    pub fn came(&self) -> Pulled {
        *self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.caches.is_empty()
    }

    /// Which cache has said what the step made, and is believed.
    pub fn place_of(&self, key: &StepKey) -> Option<&str> {
        let claim = self.believed(key)?;
        let (number, _) = claim.at.first()?;
        Some(self.caches.get(*number)?.place.name())
    }

    /// How many bytes would come for an object that is not here.
    pub fn would_bring(&self, id: &ObjectId) -> Result<u64, recipe_store::StoreError> {
        for (number, file) in self.sources(&[*id]) {
            let cache = self.caches.get(number).filter(|cache| cache.is_on());
            let index = cache.and_then(|cache| Some((cache, self.index(cache, &file)?)));
            let Some((cache, index)) = index else {
                continue;
            };
            let from = Pull {
                place: &cache.place,
                index: &index,
                session: self.session,
                tell: &|_, _| {},
            };
            match pull::would_pull(&[*id], &from) {
                Ok(bytes) => return Ok(bytes),
                Err(CacheError::Store(error)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(0)
    }

    /// Reads signed traces; whether there were any that count.
    fn learn(&self, number: usize, cache: &Cache, name: &str) -> bool {
        if !cache.is_on() {
            return false;
        }
        let bytes = match cache.place.get(name, traces::MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(CacheError::Gone { .. }) => return false,
            Err(error) => {
                self.fails(cache, &error);
                return false;
            }
        };
        let signed = match Signed::decode(&bytes) {
            Ok(signed) => signed,
            Err(why) => {
                self.watch
                    .note(&cache.place.damaged(name, &why).to_string());
                return false;
            }
        };
        let signers = signed.signers(&cache.policy.keys);
        if signers.is_empty() {
            self.watch.note(&unknown(cache, &signed));
            return false;
        }
        let keys: Vec<String> = signers.iter().map(|key| key.name().to_owned()).collect();
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, trace) in signed.traces.steps {
            if !cache.policy.takes(&trace.isolation) {
                continue;
            }
            let at = (number, signed.traces.index);
            let all = claims.entry(key).or_default();
            match all.iter_mut().find(|claim| claim.output == trace.output) {
                Some(claim) => {
                    claim.at.push(at);
                    let new = keys.iter().filter(|key| !claim.keys.contains(key));
                    let new: Vec<String> = new.cloned().collect();
                    claim.keys.extend(new);
                }
                None => {
                    let claim = Claim {
                        output: trace.output,
                        isolation: trace.isolation,
                        maker: signed.traces.maker.clone(),
                        keys: keys.clone(),
                        at: vec![at],
                    };
                    if let Some(first) = all.first() {
                        self.watch.note(&format!(
                            "two results are known for the step {key}: {} says {}, {} says {}; the first counts",
                            first.keys.join(" and "),
                            first.output,
                            claim.keys.join(" and "),
                            claim.output
                        ));
                    }
                    all.push(claim);
                }
            }
        }
        true
    }

    fn believed(&self, key: &StepKey) -> Option<Claim> {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = |claim: &&Claim| {
            let cache = claim
                .at
                .first()
                .and_then(|(number, _)| self.caches.get(*number));
            cache.is_some_and(|cache| claim.keys.len() >= cache.policy.agree.max(1))
        };
        claims.get(key)?.iter().find(enough).cloned()
    }

    /// Says that a cache fails, and asks it no more.
    fn fails(&self, cache: &Cache, error: &CacheError) {
        if cache.off.set(()).is_ok() {
            self.watch.note(&format!(
                "{error}; it is not asked any more, and what it has is built here"
            ));
        }
    }

    fn index(&self, cache: &Cache, file: &IndexFile) -> Option<std::sync::Arc<Index>> {
        let mut indexes = cache.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = indexes.get(file) {
            return index.clone();
        }
        let index = match push::read_index(&cache.place, file) {
            Ok(index) => Some(std::sync::Arc::new(index)),
            Err(error @ (CacheError::Gone { .. } | CacheError::Damaged { .. })) => {
                self.watch.note(&error.to_string());
                None
            }
            Err(error) => {
                self.fails(cache, &error);
                None
            }
        };
        indexes.insert(*file, index.clone());
        index
    }

    /// Where objects may lie: caches and indexes, in order.
    fn sources(&self, wanted: &[ObjectId]) -> Vec<(usize, IndexFile)> {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sources: Vec<(usize, IndexFile)> = Vec::new();
        for claim in claims
            .values()
            .flatten()
            .filter(|claim| wanted.contains(&claim.output))
        {
            for at in &claim.at {
                if !sources.contains(at) {
                    sources.push(*at);
                }
            }
        }
        sources.sort_by_key(|(number, _)| *number);
        sources
    }
}

/// What a bundle's cache came to.
pub struct Taken {
    /// The builds whose objects are in the session now.
    pub builds: Vec<Traces>,
    /// What came.
    pub pulled: Pulled,
}

/// Takes everything that a bundle has into the session, if it is signed by one of `keys`.
pub fn take(
    bundle: &std::sync::Arc<bundle::Bundle>,
    place: &Place,
    keys: &[PublicKey],
    session: &Session,
    tell: &(dyn Fn(u64, u64) + Sync),
) -> Result<Taken, CacheError> {
    let mut taken = Taken {
        builds: Vec::new(),
        pulled: Pulled::default(),
    };
    let prefix = place::member("traces/");
    let members = bundle.head.members.iter();
    for name in members.filter_map(|member| member.name.strip_prefix(&prefix)) {
        let name = format!("traces/{name}");
        let signed = Signed::decode(&place.get(&name, traces::MOST_BYTES)?);
        let signed = signed.map_err(|why| place.damaged(&name, &why))?;
        if signed.signers(keys).is_empty() {
            return Err(place.damaged(&name, "it is not signed by a key that is trusted"));
        }
        let index = push::read_index(place, &signed.traces.index)?;
        let pulled = pull(
            &index.contents.roots,
            &Pull {
                place,
                index: &index,
                session,
                tell,
            },
        )?;
        taken.pulled.blobs += pulled.blobs;
        taken.pulled.bytes += pulled.bytes;
        taken.pulled.parts += pulled.parts;
        taken.builds.push(signed.traces);
    }
    Ok(taken)
}

/// The packs that the indexes of a bundle name: what a bundle that comes after it need not have.
pub fn packs_of(
    bundle: &std::sync::Arc<bundle::Bundle>,
    place: &Place,
) -> Result<Vec<(String, u64)>, CacheError> {
    let prefix = place::member("traces/");
    let members = bundle.head.members.iter();
    let mut packs = Vec::new();
    for name in members.filter_map(|member| member.name.strip_prefix(&prefix)) {
        let name = format!("traces/{name}");
        let signed = Signed::decode(&place.get(&name, traces::MOST_BYTES)?);
        let signed = signed.map_err(|why| place.damaged(&name, &why))?;
        let index = push::read_index(place, &signed.traces.index)?;
        packs.extend(index.packs.iter().map(|pack| (pack_name(pack), pack.size)));
    }
    packs.sort();
    packs.dedup();
    Ok(packs)
}

/// Why traces do not count.
fn unknown(cache: &Cache, signed: &Signed) -> String {
    let place = cache.place.name();
    match signed.signatures.first() {
        None => format!(
            "{place}: what it has of {} is not signed, and is not used",
            signed.traces.title
        ),
        Some((key, _))
            if cache
                .policy
                .keys
                .iter()
                .any(|known| known.bytes() == key.bytes()) =>
        {
            format!(
                "{place}: the signature of {} on {} is wrong, and it is not used",
                key.name(),
                signed.traces.title
            )
        }
        Some((key, _)) => format!(
            "{place}: {} is signed by {key}, which is not trusted, and is not used; `recipe key trust {key}` trusts it",
            signed.traces.title
        ),
    }
}

impl Shared for Caches<'_> {
    fn made(&self, key: &StepKey, dear: bool) -> Option<SharedStep> {
        if self.caches.is_empty() {
            return None;
        }
        self.ask();
        if let Some(claim) = self.believed(key) {
            return Some(claim.into());
        }
        if !dear {
            return None;
        }
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.contains(key) {
                return None;
            }
            asked.push(*key);
        }
        for (number, cache) in self.caches.iter().enumerate() {
            if self.learn(number, cache, &step_name(key))
                && let Some(claim) = self.believed(key)
            {
                return Some(claim.into());
            }
        }
        None
    }

    fn bring(&self, wanted: &[ObjectId]) -> Result<(), recipe_store::StoreError> {
        let lost = |number: usize, id: &ObjectId| {
            let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
            lost.contains(&(number, *id))
        };
        for (number, file) in self.sources(wanted) {
            let Some(cache) = self.caches.get(number).filter(|cache| cache.is_on()) else {
                continue;
            };
            let mut left = Vec::new();
            for id in wanted {
                if !lost(number, id) && !self.session.has(id)? {
                    left.push(*id);
                }
            }
            if left.is_empty() {
                continue;
            }
            let Some(index) = self.index(cache, &file) else {
                continue;
            };
            left.retain(|id| index.contents.roots.contains(id));
            let tell = |done, whole| self.watch.moved(cache.place.name(), done, whole);
            let pulled = pull(
                &left,
                &Pull {
                    place: &cache.place,
                    index: &index,
                    session: self.session,
                    tell: &tell,
                },
            );
            match pulled {
                Ok(pulled) => {
                    let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
                    came.blobs += pulled.blobs;
                    came.bytes += pulled.bytes;
                    came.parts += pulled.parts;
                }
                Err(CacheError::Store(error)) => return Err(error),
                Err(error @ (CacheError::Gone { .. } | CacheError::Damaged { .. })) => {
                    self.watch
                        .note(&format!("{error}; what it has lost is built here"));
                    let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
                    lost.extend(left.into_iter().map(|id| (number, id)));
                }
                Err(error) => self.fails(cache, &error),
            }
        }
        Ok(())
    }

    fn required(&self) -> bool {
        self.required
    }
}

impl From<Claim> for SharedStep {
    fn from(claim: Claim) -> SharedStep {
        SharedStep {
            output: claim.output,
            maker: format!("{} ({})", claim.maker, claim.keys.join(", ")),
            isolation: claim.isolation,
        }
    }
}
