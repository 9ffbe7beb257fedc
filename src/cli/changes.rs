//! Two locks → what changed, a line for each file: `libc6 2.41-11 -> 2.41-12`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::lock::{FileKind, Lock, Locked};

/// One file that one lock has and the other has not, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LockChange {
    pub(super) kind: String,
    pub(super) name: String,
    /// Its version before; none where it is new.
    pub(super) before: Option<String>,
    /// Its version now; none where it is gone. The same as before where only the bytes differ.
    pub(super) now: Option<String>,
}

/// What changed, sorted by kind and name.
pub(super) fn changes(before: &Lock, now: &Lock) -> Vec<LockChange> {
    let (old, new) = (by_name(before), by_name(now));
    let mut changes: Vec<LockChange> = old
        .iter()
        .filter_map(|(key, old)| match new.get(key) {
            Some(new) if new.version == old.version && new.sha256 == old.sha256 => None,
            new => Some(change(Some(old), new.copied())),
        })
        .collect();
    let added = new.iter().filter(|(key, _)| !old.contains_key(*key));
    changes.extend(added.map(|(_, new)| change(None, Some(new))));
    changes.sort_by(|one, other| (&one.kind, &one.name).cmp(&(&other.kind, &other.name)));
    changes
}

fn by_name(lock: &Lock) -> BTreeMap<(FileKind, &str), &Locked> {
    let files = lock.files.iter();
    files
        .map(|file| ((file.kind, file.name.as_str()), file))
        .collect()
}

fn change(before: Option<&Locked>, now: Option<&Locked>) -> LockChange {
    let of = |pick: fn(&Locked) -> String| before.or(now).map(pick).unwrap_or_default();
    LockChange {
        kind: of(|file| file.kind.to_string()),
        name: of(|file| file.name.clone()),
        before: before.map(|file| file.version.clone()),
        now: now.map(|file| file.version.clone()),
    }
}

impl LockChange {
    /// A line for people.
    pub(super) fn line(&self) -> String {
        let name = &self.name;
        match (&self.before, &self.now) {
            (None, Some(now)) => format!("  + {name} {now}\n"),
            (Some(before), None) => format!("  - {name} {before}\n"),
            (Some(before), Some(now)) if before == now => {
                format!("  ~ {name} {now}: other bytes\n")
            }
            (before, now) => format!(
                "  ~ {name} {} -> {}\n",
                before.as_deref().unwrap_or_default(),
                now.as_deref().unwrap_or_default()
            ),
        }
    }
}
