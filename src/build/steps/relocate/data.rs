//! Folders whose place depends on Python's version. Begin at [`Moves`].

use recipe_store::{Entry, Session, StoreError, TreeBuilder, TreeId};

/// Modules that the distribution shares between versions, and pip's wheel, go where this version
/// looks: `lib/python3/dist-packages` → `lib/python3.X/site-packages`, `share/python-wheels` →
/// `lib/python3.X/ensurepip/_bundled`.
pub(super) struct Moves(Vec<Move>);

struct Move {
    from: &'static str,
    to: String,
    /// What goes with the folder: it held nothing else.
    gone: &'static str,
}

impl Moves {
    /// Those for a closure with this Python, if it has one.
    pub(super) fn of(python: Option<&str>) -> Moves {
        let Some(version) = python else {
            return Moves(Vec::new());
        };
        let library = format!("lib/python{version}");
        let mut moves = vec![Move {
            from: "lib/python3/dist-packages",
            to: format!("{library}/site-packages"),
            gone: "lib/python3",
        }];
        // Before 3.10 pip itself looks for its dependencies there.
        let minor = version.strip_prefix("3.").and_then(|it| it.parse().ok());
        if minor.is_none_or(|minor: u32| minor >= 10) {
            moves.push(Move {
                from: "share/python-wheels",
                to: format!("{library}/ensurepip/_bundled"),
                gone: "share/python-wheels",
            });
        }
        Moves(moves)
    }

    /// Where what is at `path` goes.
    pub(super) fn place(&self, path: &str) -> String {
        let place = |step: &Move| Some(format!("{}{}", step.to, path.strip_prefix(step.from)?));
        self.0
            .iter()
            .find_map(place)
            .unwrap_or_else(|| path.to_owned())
    }

    /// Moves the folders themselves: no file is read.
    pub(super) fn apply(
        &self,
        tree: &TreeId,
        session: &Session,
        builder: &mut TreeBuilder,
    ) -> Result<bool, StoreError> {
        let mut any = false;
        for step in &self.0 {
            if let Some(folder) = find(session, tree, step.from)? {
                builder.remove(step.gone)?;
                builder.merge(&step.to, folder)?;
                any = true;
            }
        }
        Ok(any)
    }
}

fn find(session: &Session, root: &TreeId, path: &str) -> Result<Option<TreeId>, StoreError> {
    let mut id = *root;
    for name in path.split('/') {
        match session.read_tree(&id)?.get(name) {
            Some(Entry::Directory(below)) => id = *below,
            _ => return Ok(None),
        }
    }
    Ok(Some(id))
}
