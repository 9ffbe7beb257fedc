//! What the last build of a recipe did, step by step: kept in the store for `log` and `why`.
//!
//! The record is a memo, named by the path of the recipe's lock, and by the recipe's name for whoever
//! asks in another checkout: a line for each step with its key, and what a step that failed has said.
//! What other steps said is a memo of their own, named by their key. Steps of the plan that this build
//! did not reach keep the key they had before, marked `earlier`.

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{Digest, StepKey, Store, StoreError};

use crate::build::{End, Ended};

/// What became of the steps of one build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The lock that was built, by its path.
    pub(super) lock: Utf8PathBuf,
    /// When it ended, milliseconds since 1970.
    pub(super) ended: u64,
    /// How many steps were planned.
    pub(super) planned: usize,
    /// What became of them, in the order they ended.
    pub(super) lines: Vec<Line>,
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// `fetch`, `unpack`, …
    pub(super) kind: String,
    /// To whom.
    pub(super) subject: String,
    /// What became of it.
    pub(super) state: State,
    /// Its key.
    pub(super) key: StepKey,
    /// How long it took, in milliseconds.
    pub(super) took: u64,
    /// What it said, where it failed.
    pub(super) said: String,
    /// Why it failed, if it did.
    pub(super) why: String,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ran,
    Reused,
    Failed,
    /// Not part of the last build: an earlier one knew it.
    Earlier,
}

impl State {
    const ALL: [State; 4] = [State::Ran, State::Reused, State::Failed, State::Earlier];

    pub(super) fn word(self) -> &'static str {
        match self {
            State::Ran => "ran",
            State::Reused => "reused",
            State::Failed => "failed",
            State::Earlier => "earlier",
        }
    }
}

const VERSION: &str = "recipe-record 3";

impl Line {
    pub(super) fn of(ended: &Ended<'_>) -> Line {
        Line {
            kind: ended.node.step.kind().to_owned(),
            subject: ended.node.subject.clone(),
            state: match ended.end {
                End::Ran => State::Ran,
                End::Reused => State::Reused,
                End::Failed => State::Failed,
            },
            key: ended.key,
            took: ended.took.as_millis() as u64,
            said: ended.said.to_owned(),
            why: ended.why.to_owned(),
        }
    }

    fn is_of(&self, other: &Line) -> bool {
        (&self.kind, &self.subject) == (&other.kind, &other.subject)
    }
}

impl Record {
    /// The record of the recipe `title` whose lock lies at `lock`; where it was built only in another
    /// checkout, the one from there.
    pub(super) fn find(
        store: &Store,
        lock: &Utf8Path,
        title: &str,
    ) -> Result<Option<Record>, StoreError> {
        for name in names(lock, title) {
            let bytes = store.memo_get(&name)?;
            let record = bytes.and_then(|bytes| Record::decode(&String::from_utf8(bytes).ok()?));
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }

    /// Whether it is of a build in another checkout than the one whose lock lies at `lock`.
    pub(super) fn is_from_elsewhere(&self, lock: &Utf8Path) -> bool {
        self.lock != absolute(lock)
    }

    /// Keeps it in the place of the one before, whose successes it takes over for steps that it
    /// does not know as done.
    pub(super) fn keep(
        mut self,
        store: &Store,
        lock: &Utf8Path,
        title: &str,
    ) -> Result<(), StoreError> {
        let before = Record::find(store, lock, title)?.unwrap_or_default();
        self.lock = absolute(lock);
        for old in before.lines {
            let known = |line: &Line| line.is_of(&old) && line.state != State::Failed;
            // A build that ended well is all there is; what left the recipe is forgotten then.
            let whole = self.lines.len() == self.planned && !self.has_failed();
            if old.state != State::Failed && !whole && !self.lines.iter().any(known) {
                self.lines.push(Line {
                    state: State::Earlier,
                    ..old
                });
            }
        }
        let text = self.encode();
        for name in names(lock, title) {
            store.memo_put(&name, text.as_bytes())?;
        }
        Ok(())
    }

    /// The key that the step had when it was last done well.
    pub(super) fn key_of(&self, kind: &str, subject: &str) -> Option<StepKey> {
        let done = |line: &&Line| {
            (line.kind.as_str(), line.subject.as_str()) == (kind, subject)
                && line.state != State::Failed
        };
        self.lines.iter().find(done).map(|line| line.key)
    }

    fn has_failed(&self) -> bool {
        self.lines.iter().any(|line| line.state == State::Failed)
    }

    fn encode(&self) -> String {
        let mut text = format!(
            "{VERSION}\n{}\n{} {}\n",
            self.lock, self.ended, self.planned
        );
        for line in &self.lines {
            let Line {
                kind,
                subject,
                state,
                key,
                took,
                said,
                why,
            } = line;
            let (word, length, rest) = (state.word(), said.len(), why.len());
            let head = format!("{word} {took} {key} {length} {rest} {kind} {subject}\n");
            text.extend([head.as_str(), said, why]);
        }
        text
    }

    fn decode(text: &str) -> Option<Record> {
        let (version, rest) = text.split_once('\n')?;
        let (lock, rest) = rest.split_once('\n')?;
        let (head, mut rest) = rest.split_once('\n')?;
        let (ended, planned) = head.split_once(' ')?;
        let mut record = Record {
            lock: lock.into(),
            ended: ended.parse().ok()?,
            planned: planned.parse().ok()?,
            lines: Vec::new(),
        };
        while let Some((line, after)) = rest.split_once('\n') {
            let mut words = line.splitn(7, ' ');
            let word = words.next()?;
            let (took, key) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let length: usize = words.next()?.parse().ok()?;
            let end = length.checked_add(words.next()?.parse().ok()?)?;
            record.lines.push(Line {
                kind: words.next()?.to_owned(),
                subject: words.next()?.to_owned(),
                state: *State::ALL.iter().find(|state| state.word() == word)?,
                key,
                took,
                said: after.get(..length)?.to_owned(),
                why: after.get(length..end)?.to_owned(),
            });
            rest = after.get(end..)?;
        }
        (version == VERSION && rest.is_empty()).then_some(record)
    }
}

/// What it is called, the nearest first.
fn names(lock: &Utf8Path, title: &str) -> [Digest; 2] {
    let path = absolute(lock);
    [
        format!("last build with {path}"),
        format!("last build of {title}"),
    ]
    .map(|name| Digest::of(name.as_bytes()))
}

fn absolute(lock: &Utf8Path) -> Utf8PathBuf {
    let path = super::config::here().join(lock);
    path.canonicalize_utf8().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line() -> impl Strategy<Value = Line> {
        (
            "[a-z]{1,8}",
            "[a-z +.]{1,12}",
            0..4_usize,
            0..u64::MAX,
            ".{0,20}\n{0,2}",
            ".{0,20}\n{0,2}",
        )
            .prop_map(|(kind, subject, state, took, said, why)| Line {
                kind,
                subject,
                state: State::ALL[state],
                key: StepKey::of(said.as_bytes()),
                took,
                said,
                why,
            })
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            ended in 0..u64::MAX,
            planned in 0..1000_usize,
            lock in "[ -~]{0,20}",
            lines in proptest::collection::vec(line(), 0..6),
        ) {
            let record = Record { lock: lock.into(), ended, planned, lines };
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }

        #[test]
        fn what_is_no_record_is_none(text in ".{0,80}") {
            prop_assert_eq!(Record::decode(&text), None);
            let text = format!("{VERSION}\n1 2\nran 1 2 3 {text}");
            prop_assert_eq!(Record::decode(&text), None);
        }
    }

    #[test]
    fn a_build_that_failed_keeps_the_keys_of_what_it_did_not_reach() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Utf8Path::from_path(folder.path()).expect("UTF-8");
        let store = Store::open(&path.join("store")).expect("a store");
        let (one, two) = (StepKey::of(b"1"), StepKey::of(b"2"));
        let line = |subject: &str, state, key| Line {
            kind: "unpack".into(),
            subject: subject.into(),
            state,
            key,
            took: 1,
            said: String::new(),
            why: String::new(),
        };
        let record = |planned, lines| Record {
            lock: Utf8PathBuf::new(),
            ended: 1,
            planned,
            lines,
        };
        let keep = |record: Record| record.keep(&store, path, "x").expect("kept");
        keep(record(
            2,
            vec![line("a", State::Ran, one), line("b", State::Ran, one)],
        ));
        keep(record(2, vec![line("a", State::Failed, two)]));
        let found = Record::find(&store, path, "x")
            .expect("read")
            .expect("there");
        assert_eq!(found.key_of("unpack", "a"), Some(one));
        assert_eq!(found.key_of("unpack", "b"), Some(one));
        assert_eq!(found.lines.len(), 3);
        keep(record(1, vec![line("a", State::Ran, two)]));
        let found = Record::find(&store, path, "x")
            .expect("read")
            .expect("there");
        assert_eq!(found.key_of("unpack", "a"), Some(two));
        assert_eq!(found.key_of("unpack", "b"), None);
    }
}
