//! Files whose place depends on Python's version. Begin at [`move_python_files`].

use std::collections::BTreeMap;

use recipe_store::Entry;

use super::RelocateError;
use super::surgery::Changes;

/// Modules that the distribution shares between versions, and pip's wheel, go where this version
/// looks: `lib/python3/dist-packages` → `lib/python3.X/site-packages`, `share/python-wheels` →
/// `lib/python3.X/ensurepip/_bundled`.
pub(super) fn move_python_files(entries: &[(String, Entry)], version: &str, changes: &mut Changes) -> Result<(), RelocateError> {
    let moves = [
        ("lib/python3/dist-packages/", format!("lib/python{version}/site-packages/")),
        ("share/python-wheels/", format!("lib/python{version}/ensurepip/_bundled/")),
    ];
    let present: BTreeMap<&str, &Entry> = entries.iter().map(|(path, entry)| (path.as_str(), entry)).collect();
    for (path, entry) in entries {
        let is_folder = matches!(entry, Entry::Directory(_));
        let found = moves.iter().find_map(|(from, to)| Some((path.strip_prefix(from)?, to)));
        let (Some((rest, to)), false) = (found, is_folder) else {
            continue;
        };
        let to = format!("{to}{rest}");
        let entry = changes.get(path).unwrap_or(entry).clone();
        if present.get(to.as_str()).is_some_and(|there| **there != entry) {
            return Err(RelocateError::Occupied { from: path.clone(), to });
        }
        changes.remove(path);
        changes.set(&to, entry);
    }
    Ok(())
}
