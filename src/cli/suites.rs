//! Names of Debian releases → root folders to test in. Begin at [`Suites::of`].
//!
//! A root is made from the release's own packages and kept in the store, so that the next test needs no
//! network. Nothing but a memo names it: `recipe gc` takes it away.

use std::cell::OnceCell;
use std::sync::Arc;

use camino::Utf8PathBuf;
use recipe_store::{Digest, Session, Store, TreeId};

use super::app::{App, now};
use super::exit::Failed;
use super::render::Progress;
use super::running::own_platform;
use crate::conformance::Distribution;
use crate::lock::Context;
use crate::net::{Net, date};

/// What `all` stands for.
const ALL: [&str; 3] = ["bullseye", "bookworm", "trixie"];

/// How long a root is good without asking what is new, in seconds.
const FRESH: u64 = 7 * 24 * 3600;

/// Raised when the same packages make another root.
const VERSION: &str = "recipe-distribution 1";

/// Root folders, kept for as long as this lives.
pub(super) struct Suites {
    pub(super) distributions: Vec<Distribution>,
    _session: Option<Session>,
}

/// A root that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Made {
    tree: TreeId,
    /// Seconds since 1970.
    when: u64,
}

impl Suites {
    /// The roots of these releases. One that was named must be had; one that `all` stands for may be
    /// absent, and then says why.
    pub(super) fn of(names: &[String], app: &App) -> Result<Suites, Failed> {
        let mut suites = Suites {
            distributions: Vec::new(),
            _session: None,
        };
        if names.is_empty() {
            return Ok(suites);
        }
        let session = app.store()?.session()?;
        let maker = Maker {
            app,
            session: &session,
            progress: app.progress(),
            net: OnceCell::new(),
        };
        for name in names.iter().filter(|name| *name != "all") {
            suites.add(name, Ok(maker.root_of(name)?));
        }
        if names.iter().any(|name| name == "all") {
            for name in ALL {
                if !names.iter().any(|named| named == name) {
                    let root = maker.root_of(name);
                    suites.add(name, root.map_err(|failed| failed.message()));
                }
            }
        }
        drop(maker);
        suites._session = Some(session);
        Ok(suites)
    }

    fn add(&mut self, name: &str, root: Result<Utf8PathBuf, String>) {
        let name = name.to_owned();
        self.distributions.push(Distribution { name, root });
    }
}

/// What roots are made with.
struct Maker<'a> {
    app: &'a App,
    session: &'a Session,
    progress: Arc<Progress>,
    /// Once it was needed.
    net: OnceCell<Net>,
}

impl Maker<'_> {
    /// The root folder of a release: the one of this week, else a new one, else an older one.
    fn root_of(&self, suite: &str) -> Result<Utf8PathBuf, Failed> {
        let (key, store) = (key(suite), self.session.store());
        let known = Made::find(store, &key)?;
        let known = known.filter(|made| self.session.pin(&made.tree.into()).is_ok());
        let made = match known.filter(|made| made.when + FRESH > now()) {
            Some(made) => made,
            None => match (self.make(suite), known) {
                (Ok(made), _) => {
                    store.memo_put(&key, made.text().as_bytes())?;
                    made
                }
                (Err(failed), Some(old)) => {
                    let (made, why) = (date::show(old.when), failed.message());
                    self.app.tell(&format!(
                        "the root of {suite} is the one made on {made}: {why}"
                    ));
                    old
                }
                (Err(failed), None) => return Err(failed),
            },
        };
        Ok(self.session.checkout(&made.tree)?)
    }

    fn make(&self, suite: &str) -> Result<Made, Failed> {
        self.app
            .tell(&format!("Making a root of {suite} from its packages"));
        let context = Context::without_sandbox(self.net()?, self.session, now());
        let made = crate::lock::distribution(&context, suite, own_platform())?;
        Ok(Made {
            tree: made.tree,
            when: now(),
        })
    }

    fn net(&self) -> Result<&Net, Failed> {
        match self.net.get() {
            Some(net) => Ok(net),
            None => {
                let net = self.app.net(self.progress.clone())?;
                Ok(self.net.get_or_init(|| net))
            }
        }
    }
}

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        self.progress.finish();
    }
}

fn key(suite: &str) -> Digest {
    Digest::of(format!("{VERSION}\n{}\n{suite}\n", own_platform()).as_bytes())
}

impl Made {
    fn text(&self) -> String {
        format!("{}\n{}\n", self.tree, self.when)
    }

    fn find(store: &Store, key: &Digest) -> Result<Option<Made>, Failed> {
        let bytes = store.memo_get(key)?.unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        let mut lines = text.lines();
        let tree = lines.next().and_then(|line| line.parse().ok());
        let when = lines.next().and_then(|line| line.parse().ok());
        Ok(tree.zip(when).map(|(tree, when)| Made { tree, when }))
    }
}
