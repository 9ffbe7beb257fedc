//! A path → [`Store`]: the folders of a store, opened and checked. Begin at [`Store::open`].
//!
//! `FORMAT.md` describes what is made here. Opening is a dozen system calls, since a build in
//! which nothing changed has to be over in milliseconds.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::fstat;
use rustix::process::geteuid;

use crate::digest::{Digest, Hex, ObjectId};
use crate::disk::{Dir, ShardPath};
use crate::error::{Result, StoreError};

/// The format this code writes, as the version file has it.
pub const FORMAT: &str = "recipe-store 1";

const FOLDERS: [&str; 8] = [
    "blobs", "dirs", "traces", "memo", "roots", "trees", "kept", "tmp",
];

/// A store on disk. Cheap to clone; all clones share the open folders. Reads need no session and
/// see only what is published.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) folders: Arc<Folders>,
}

/// The open folders.
#[derive(Debug)]
pub(crate) struct Folders {
    pub(crate) root: Dir,
    pub(crate) blobs: Dir,
    pub(crate) dirs: Dir,
    pub(crate) traces: Dir,
    pub(crate) memo: Dir,
    pub(crate) roots: Dir,
    pub(crate) trees: Dir,
    pub(crate) kept: Dir,
    pub(crate) tmp: Dir,
}

/// Which file of an object: an inode has one mode, so a blob may have two of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    /// A blob, mode 0444.
    Plain,
    /// A blob, mode 0555.
    Exec,
    /// A Directory message.
    Dir,
}

/// The file of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) digest: Digest,
}

impl Kind {
    pub(crate) fn of(executable: bool) -> Kind {
        if executable { Kind::Exec } else { Kind::Plain }
    }

    pub(crate) fn mode(self) -> u32 {
        match self {
            Kind::Plain | Kind::Dir => 0o444,
            Kind::Exec => 0o555,
        }
    }
}

impl Key {
    pub(crate) fn path(&self) -> ShardPath {
        ShardPath::new(
            &self.digest.hex(),
            if self.kind == Kind::Exec { ".x" } else { "" },
        )
    }
}

impl Store {
    /// Opens the store at `path`, making it (mode 0700) where there is nothing or an empty folder.
    ///
    /// Refuses another user's store, one that others can write to, one of a later format, and a
    /// folder that has files but no store in it.
    pub fn open(path: &Utf8Path) -> Result<Store> {
        let path = &absolute(path)?;
        let root = match Dir::open(path) {
            Ok(root) => root,
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                make_parents(path)?;
                Dir::open(path)?
            }
            Err(other) => return Err(owner_error(path).unwrap_or(other)),
        };
        check_owner(&root)?;
        match root.read("version")? {
            Some(version) => check_version(&root, &version)?,
            None => found(&root)?,
        }
        Ok(Store {
            folders: Arc::new(open_or_make(root)?),
        })
    }

    /// Where the store lies, as it was opened.
    pub fn path(&self) -> &Utf8Path {
        self.folders.root.path()
    }

    /// Where the checked-out tree of that digest is or would be.
    pub(crate) fn tree_path(&self, hex: &Hex) -> Utf8PathBuf {
        self.folders.trees.path().join(&**hex)
    }
}

impl Folders {
    fn open(root: Dir) -> Result<Folders> {
        Ok(Folders {
            blobs: root.sub("blobs")?,
            dirs: root.sub("dirs")?,
            traces: root.sub("traces")?,
            memo: root.sub("memo")?,
            roots: root.sub("roots")?,
            trees: root.sub("trees")?,
            kept: root.sub("kept")?,
            tmp: root.sub("tmp")?,
            root,
        })
    }

    /// The folder that holds files of this kind.
    pub(crate) fn of(&self, kind: Kind) -> &Dir {
        match kind {
            Kind::Plain | Kind::Exec => &self.blobs,
            Kind::Dir => &self.dirs,
        }
    }

    pub(crate) fn has(&self, key: &Key) -> Result<bool> {
        self.of(key.kind).has(key.path().as_str())
    }
}

/// Links to checked-out trees have to work from everywhere.
fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf> {
    camino::absolute_utf8(path).map_err(|e| StoreError::io("find", path, e))
}

/// A folder that somebody deleted is made again: what it held is then missing, and can be made anew.
fn open_or_make(root: Dir) -> Result<Folders> {
    for folder in FOLDERS {
        if let Err(rustix::io::Errno::NOENT) = root.try_sub(folder) {
            root.make(folder, 0o700)?;
        }
    }
    Folders::open(root)
}

fn make_parents(path: &Utf8Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    let failed = |e| StoreError::io("make the directory", path, e);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(e)),
        _ => Ok(()),
    }
}

/// A store that cannot even be opened is most often somebody else's.
fn owner_error(path: &Utf8Path) -> Option<StoreError> {
    let owner = rustix::fs::stat(path.as_str()).ok()?.st_uid;
    let user = geteuid().as_raw();
    (owner != user).then(|| StoreError::Owner {
        path: path.to_owned(),
        owner,
        user,
    })
}

fn check_owner(root: &Dir) -> Result<()> {
    let stat = fstat(root).map_err(|e| StoreError::io("look at", root.path(), e))?;
    let user = geteuid().as_raw();
    if stat.st_uid != user {
        return Err(StoreError::Owner {
            path: root.path().to_owned(),
            owner: stat.st_uid,
            user,
        });
    }
    let mode = stat.st_mode & 0o7777;
    // A folder that the caller made for us is closed to others when the store is founded in it.
    if mode & 0o022 != 0 && root.has("version")? {
        return Err(StoreError::Exposed {
            path: root.path().to_owned(),
            mode,
        });
    }
    Ok(())
}

fn check_version(root: &Dir, version: &[u8]) -> Result<()> {
    if version.strip_suffix(b"\n") == Some(FORMAT.as_bytes()) {
        return Ok(());
    }
    let found = String::from_utf8_lossy(version)
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(80)
        .collect();
    Err(StoreError::Version {
        path: root.path().to_owned(),
        found,
        known: FORMAT,
    })
}

/// Makes a store in a folder that has no version file. Several processes may do so at once, and one
/// may have died halfway: folders that are there will do, and the version file comes last.
fn found(root: &Dir) -> Result<()> {
    let foreign = |name: &[u8]| {
        !FOLDERS.iter().any(|folder| folder.as_bytes() == name) && !name.starts_with(b"version")
    };
    if root.names()?.iter().any(|entry| foreign(&entry.name)) {
        return Err(StoreError::NotAStore {
            path: root.path().to_owned(),
        });
    }
    root.set_mode(".", 0o700)?;
    for folder in FOLDERS {
        root.make(folder, 0o700)?;
        root.set_mode(folder, 0o700)?;
    }
    let aside = format!("version.{}.{}", std::process::id(), unique());
    let file = root.write(&aside, 0o644, format!("{FORMAT}\n").as_bytes())?;
    file.sync_all().map_err(|e| root.error("sync", &aside, e))?;
    root.sync()?;
    root.replace(&aside, root, "version")?;
    root.sync()
}

/// A name for a file that is about to be moved over another one in its folder.
pub(crate) fn aside() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    format!(".{}-{now:x}-{}", std::process::id(), unique())
}

/// A number that no other call in this process gets.
pub(crate) fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};

    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The files that may hold an object: either variant of a blob will do.
pub(crate) fn keys_of(id: &ObjectId) -> impl Iterator<Item = Key> {
    let digest = id.digest();
    let (first, second) = match id {
        ObjectId::Blob(_) => (Kind::Plain, Some(Kind::Exec)),
        ObjectId::Tree(_) => (Kind::Dir, None),
    };
    [Some(first), second]
        .into_iter()
        .flatten()
        .map(move |kind| Key { kind, digest })
}
