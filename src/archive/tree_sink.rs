//! Entries of an archive → a tree in a store session. Begin at [`TreeSink::new`].

use std::collections::HashMap;
use std::io::Read;

use recipe_store::{Entry, Session, StoreError, TreeBuilder, TreeId};

use super::Sink;
use super::content::put_content;
use super::error::{ArchiveError, escape};

type Map<'a> = Box<dyn FnMut(&str) -> Option<String> + 'a>;

/// Puts every entry into a store session: no intermediate file is written. The tree exists once
/// [`TreeSink::finish`] gives its id; a sink that is dropped before leaves blobs that nothing names.
pub struct TreeSink<'a> {
    session: &'a Session,
    tree: TreeBuilder,
    map: Option<Map<'a>>,
    /// What hard links may name, by the archive's own paths. `None`: left out.
    files: HashMap<Box<str>, Option<Entry>>,
}

impl<'a> TreeSink<'a> {
    /// An empty tree.
    pub fn new(session: &'a Session) -> Self {
        TreeSink {
            session,
            tree: TreeBuilder::new(),
            map: None,
            files: HashMap::new(),
        }
    }

    /// Keeps only the entries whose path `keep` accepts. Directories are asked about as well, but what
    /// lies in one that was refused is judged by its own path.
    pub fn filter(self, mut keep: impl FnMut(&str) -> bool + 'a) -> Self {
        self.map(move |path| keep(path).then(|| path.to_owned()))
    }

    /// Puts every entry where `map` says: `None` leaves it out, an empty path is the root. Two entries in
    /// one place must be equal. Symlink targets stay as they are: whoever moves a link away from what
    /// it names must know why.
    pub fn map(mut self, map: impl FnMut(&str) -> Option<String> + 'a) -> Self {
        self.map = Some(Box::new(map));
        self
    }

    /// Stores all directories.
    ///
    /// # Errors
    /// Those of the store.
    pub fn finish(self) -> Result<TreeId, StoreError> {
        self.tree.finish(self.session)
    }

    fn place(&mut self, path: &str) -> Option<String> {
        match &mut self.map {
            Some(map) => map(path),
            None => Some(path.to_owned()),
        }
    }

    fn insert(&mut self, place: &str, entry: Entry) -> Result<(), ArchiveError> {
        self.tree.insert(place, entry).map_err(ArchiveError::sink)
    }
}

impl Sink for TreeSink<'_> {
    fn directory(&mut self, path: &str) -> Result<(), ArchiveError> {
        match self.place(path) {
            Some(place) => self.tree.directory(&place).map_err(ArchiveError::sink),
            None => Ok(()),
        }
    }

    fn file(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        let Some(place) = self.place(path) else {
            self.files.insert(path.into(), None);
            return Ok(());
        };
        let blob = put_content(self.session, executable, size, content)?;
        let entry = Entry::File { blob, executable };
        self.files.insert(path.into(), Some(entry.clone()));
        self.insert(&place, entry)
    }

    fn symlink(&mut self, path: &str, target: &str) -> Result<(), ArchiveError> {
        match self.place(path) {
            Some(place) => {
                let target = target.to_owned();
                self.insert(&place, Entry::Symlink { target })
            }
            None => Ok(()),
        }
    }

    fn hard_link(&mut self, path: &str, to: &str) -> Result<(), ArchiveError> {
        let entry = self.files.get(to).cloned().flatten();
        self.files.insert(path.into(), entry.clone());
        let Some(place) = self.place(path) else {
            return Ok(());
        };
        match entry {
            Some(entry) => self.insert(&place, entry),
            None => Err(ArchiveError::sink(format!(
                "it is a hard link to \"{}\", which is left out: keep both or neither",
                escape(to.as_bytes())
            ))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use camino::Utf8Path;
    use recipe_store::{Store, walk};

    use super::*;
    use crate::archive::tests::fixture::{Tar, header};
    use crate::archive::{Compression, Limits, unpack_tar};

    fn archive() -> Vec<u8> {
        let mut program = header(b'0', b"pkg/run", 3);
        program[100..108].copy_from_slice(b"0004755\0");
        Tar::new()
            .directory("pkg/empty")
            .file("pkg/large", &vec![7; 3 << 20])
            .raw(program, b"run")
            .hard_link("pkg/again", "pkg/run")
            .symlink("pkg/link", "large")
            .end()
    }

    fn tree_of(
        change: impl FnOnce(TreeSink<'_>) -> TreeSink<'_>,
    ) -> Result<(TreeId, Vec<String>), ArchiveError> {
        let home = tempfile::tempdir().unwrap();
        let home = Utf8Path::from_path(home.path()).unwrap().join("store");
        let session = Store::open(&home).unwrap().session().unwrap();
        let mut sink = change(TreeSink::new(&session));
        let bytes = archive();
        let limits = Limits::default();
        unpack_tar(&bytes[..], Compression::None, "a.tar", &limits, &mut sink)?;
        let tree = sink.finish().unwrap();
        let mut lines = Vec::new();
        walk::<StoreError>(&session, &tree, &mut |path, entry| {
            lines.push(match entry {
                Entry::Directory(_) => format!("{path}/"),
                Entry::Symlink { target } => format!("{path} -> {target}"),
                Entry::File { blob, executable } => format!("{path} {} {executable}", blob.size),
            });
            Ok(())
        })
        .unwrap();
        Ok((tree, lines))
    }

    #[test]
    fn an_archive_becomes_a_tree() {
        let (tree, lines) = tree_of(|sink| sink).unwrap();
        assert_eq!(
            lines,
            [
                "pkg/",
                "pkg/again 3 true",
                "pkg/empty/",
                "pkg/large 3145728 false",
                "pkg/link -> large",
                "pkg/run 3 true"
            ]
        );
        assert_eq!(tree_of(|sink| sink).unwrap().0, tree, "twice the same");
    }

    #[test]
    fn entries_can_be_moved_and_left_out() {
        let (_, lines) = tree_of(|sink| {
            sink.map(|path| match path.strip_prefix("pkg/") {
                Some("large" | "empty") | None => None,
                Some(inside) => Some(inside.to_owned()),
            })
        })
        .unwrap();
        assert_eq!(lines, ["again 3 true", "link -> large", "run 3 true"]);
        let half = tree_of(|sink| sink.filter(|path| path != "pkg/run"));
        let error = half.expect_err("a hard link without its file");
        assert!(error.to_string().contains("entry 4 \"pkg/again\""));
    }
}
