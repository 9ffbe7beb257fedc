//! How long steps took: what comes first in the next build, and what `recipe plan` tells.

use recipe_store::{Digest, Session, Store};

use super::exit::Failed;
use crate::build::Durations;

/// How long the steps of this recipe took, last time.
pub(super) fn durations(session: &Session, name: &str) -> Result<Durations, Failed> {
    let text = session
        .store()
        .memo_get(&durations_key(name))?
        .unwrap_or_default();
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let time = words.next()?.parse().ok()?;
            Some(((words.next()?.to_owned(), words.next()?.to_owned()), time))
        })
        .collect())
}

/// Keeps them for the next time, with those of steps that were not run.
pub(super) fn keep_durations(store: &Store, name: &str, new: &Durations) -> Result<(), Failed> {
    let session = store.session()?;
    let mut all = durations(&session, name)?;
    all.extend(new.iter().map(|(step, time)| (step.clone(), *time)));
    let mut lines: Vec<String> = all
        .iter()
        .map(|((kind, subject), time)| format!("{time} {kind} {subject}\n"))
        .collect();
    lines.sort();
    Ok(store.memo_put(&durations_key(name), lines.concat().as_bytes())?)
}

fn durations_key(name: &str) -> Digest {
    Digest::of(format!("durations of {name}").as_bytes())
}
