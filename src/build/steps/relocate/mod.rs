//! A tree in closure layout → the same tree, working from any folder. Begin at [`tree`].
//!
//! Only files that need it are read and written again; the others keep their blobs, and folders
//! without a change keep their trees. What is done to which file stands in three tables:
//! programs and libraries in `strings.rs`, Python's library in `python.rs`, and here the rest:
//! an entry stub into every program, DT_RUNPATH to DT_RPATH in whatever has one, and the places
//! that depend on Python's version. Nothing that is written depends on where a build runs.
//!
//! # Policies
//! What a closure takes of the host that it runs on, and in which order, where its recipe wants no
//! other ([`HostPolicy`]):
//!
//! | matter | first | then | last | how |
//! | --- | --- | --- | --- | --- |
//! | shared libraries | the closure | — | — | DT_RPATH of the program; ld.so has no default folders, no cache, no preload list; `LD_LIBRARY_PATH`, `LD_PRELOAD` and `LD_AUDIT` are hidden from it and given back to children |
//! | `ctypes.util.find_library` | the closure | — | — | asks no `ldconfig`, no compiler |
//! | CA certificates (`ssl`) | `SSL_CERT_FILE`, `SSL_CERT_DIR` | the host's bundle, at five usual places | the closure's | `ssl.py`; a bundle that does not load gives way to the next |
//! | OpenSSL configuration | `OPENSSL_CONF` | — | — | a host's `openssl.cnf` is of another version; engines and providers (MD4 and other legacy) only by `OPENSSL_ENGINES`, `OPENSSL_MODULES` |
//! | time zones (`zoneinfo`) | `PYTHONTZPATH` | the host's | the closure's | `zoneinfo/_tzpath.py` |
//! | time zones (`TZ`, `tzset`) | the host's | the closure's | — | libc asks for a private variable that the stub sets only where the host has no data; a host's `TZDIR` is not read |
//! | locale data | the host's | the closure's `C.UTF-8` | — | likewise, instead of `LOCPATH`; other locales exist where the host has them |
//! | terminfo | `TERMINFO`, `~/.terminfo` | the host's | the closure's | likewise, instead of `TERMINFO_DIRS` |
//! | users, groups, hosts, services (NSS) | files and DNS, inside our libc | — | — | the host's `/etc` files and `nscd` are read; its `libnss_*` (sss, ldap) are code and not loaded: such users are unknown unless an absolute link `lib/libnss_X.so.2` is added by hand |
//! | character sets (`iconv`) | built in | — | — | modules of the host are code; Python brings its own codecs |
//! | MIME types | the closure's | the host's on top | — | `mimetypes.py` |
//! | Python modules | `PYTHONPATH`, `PYTHONHOME` as the person set them | `~/.relpy` (`PYTHONUSERBASE`) | the closure's | `~/.local` belongs to the host's Python of the same version |
//! | pip | works in place, in a `venv`, with `--user` | | | no EXTERNALLY-MANAGED; `ensurepip` has its own wheel, whose certificates are those of `ssl` |
//! | `venv` | links, never copies | | | a copied interpreter would not find its libraries; `--copies` says so |
//! | compiler for extensions | the host's, as `gcc`, `g++`, `ar` | | | `sysconfig` |
//! | `readline`, `resolv.conf`, `localtime`, `gai.conf` | the host's | — | — | configuration, not code |

mod data;
mod fixed;
mod patches;
mod programs;
mod python;
mod strings;
mod sysconfig;
mod wheel;

use miette::Diagnostic;
use recipe_store::{BlobId, Entry, Session, StoreError, TreeBuilder, TreeId, walk};
use thiserror::Error;

use super::patch::{FilePatch, PatchError};
use crate::recipe::HostPolicy;
pub(crate) use fixed::FixedPlace;
pub(crate) use patches::library_patches;

/// What relocating needs to know beside the tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RelocateFacts<'a> {
    /// `3.13`: the closure's Python, if it has one.
    pub python: Option<&'a str>,
    /// Whether the interpreter's files are as their authors made them: then they know the folder that
    /// it was built for, and have none of a distribution's patches.
    pub pristine: bool,
    /// What [`library_patches`] made of that Python's source package. Needed by trees that hold
    /// files of its library, and not read for others.
    pub patches: Option<&'a BlobId>,
    /// What the closure takes of its host.
    pub host: &'a HostPolicy,
    /// Where its programs may be given more privileges than their callers have.
    pub fixed: Option<&'a FixedPlace>,
}

/// Whose text was not to be left in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// A folder of the machine the closure runs on.
    Host,
    /// A folder of the machine the distribution built the package on.
    Build,
    /// What the distribution adds to upstream's file.
    Distribution,
}

/// Why a tree could not be relocated.
#[derive(Debug, Error, Diagnostic)]
pub enum RelocateError {
    /// A text that an edit replaces is not there.
    #[error("{file}: expected to find \"{text}\", to replace it")]
    #[diagnostic(
        code(build::relocate_absent),
        help(
            "this version of the package is built differently from those we know: lock another version, or report it"
        )
    )]
    Absent {
        /// The file, as a closure path or below Python's library.
        file: String,
        /// The text.
        text: String,
    },
    /// A text is left that must not be.
    #[error("{file}: \"{text}\" is left after all edits")]
    #[diagnostic(code(build::relocate_left), help("{}", layer.help()))]
    Left {
        /// The file, as a closure path or below Python's library.
        file: String,
        /// The text.
        text: String,
        /// Whose it is.
        layer: Layer,
    },
    /// A patch of the distribution cannot be undone.
    #[error("{file}: a patch of the distribution cannot be undone")]
    #[diagnostic(code(build::relocate_patch))]
    Patch {
        /// The file below Python's library.
        file: String,
        /// Why.
        #[source]
        #[diagnostic_source]
        source: PatchError,
    },
    /// The source package is not what it should be.
    #[error("the packaging part of Python's source package cannot be used: {what}")]
    #[diagnostic(
        code(build::relocate_packaging),
        help("lock again; if the error stays, the suite's packaging has a new form: report it")
    )]
    Packaging {
        /// What is wrong.
        what: String,
    },
    /// An archive is not sound.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(#[from] crate::archive::ArchiveError),
    /// A file of Python's library is not UTF-8.
    #[error("{file} is not UTF-8, as a file of Python's library is")]
    #[diagnostic(
        code(build::relocate_text),
        help("the package is damaged or not what its name says: lock another version")
    )]
    NotText {
        /// The file.
        file: String,
    },
    /// A program or library cannot be edited.
    #[error("{file} cannot be made relocatable")]
    #[diagnostic(code(build::relocate_elf))]
    Elf {
        /// The file.
        file: String,
        /// Why.
        #[source]
        #[diagnostic_source]
        source: crate::elf::ElfError,
    },
    /// pip's wheel is not a zip archive as wheels are.
    #[error("{file} is not a sound wheel")]
    #[diagnostic(
        code(build::relocate_wheel),
        help("the package is damaged or not what its name says: lock another version")
    )]
    Wheel {
        /// The file.
        file: String,
    },
    /// The store failed.
    #[error("cannot read or keep a file while relocating")]
    #[diagnostic(code(build::relocate_store))]
    Store(#[from] StoreError),
}

impl Layer {
    fn help(self) -> &'static str {
        match self {
            Layer::Host => {
                "the closure would look into the host: this version of the package is not known yet; lock another version, or report it"
            }
            Layer::Build => "the distribution's build folder has a form we do not know: report it",
            Layer::Distribution => {
                "the lock needs the packaging part (`.debian.tar.xz`) of Python's source package in the same version, whose patches are undone: lock again; another one that the recipe names (`patches`) must have the same patches"
            }
        }
    }
}

/// A regular file of the tree.
struct File {
    path: String,
    blob: BlobId,
    executable: bool,
}

/// Relocates everything in `tree`, which is in closure layout: one package's or a whole closure's.
pub(crate) fn tree(
    session: &Session,
    tree: &TreeId,
    facts: &RelocateFacts<'_>,
) -> Result<TreeId, RelocateError> {
    let mut files = Vec::new();
    walk(session, tree, &mut |path: &str,
                              entry: &Entry|
     -> Result<(), RelocateError> {
        if let &Entry::File { blob, executable } = entry {
            files.push(File {
                path: path.to_owned(),
                blob,
                executable,
            });
        }
        Ok(())
    })?;
    let prefix = match facts.pristine {
        true => prefix(session, &files)?,
        false => None,
    };
    let moves = data::Moves::of(facts.python);
    let mut builder = TreeBuilder::from_tree(*tree);
    let mut changed = moves.apply(tree, session, &mut builder)?;
    let mut patches = None;
    for file in &files {
        if let Some(bytes) = relocated(session, file, facts, prefix.as_deref(), &mut patches)? {
            let blob = session.put_blob(&bytes, file.executable)?;
            let entry = Entry::File {
                blob,
                executable: file.executable,
            };
            builder
                .replace(&moves.place(&file.path), entry)
                .map_err(StoreError::from)?;
            changed = true;
        }
    }
    Ok(if changed {
        builder.finish(session)?
    } else {
        *tree
    })
}

/// The new content of `file`, if it has to change.
fn relocated(
    session: &Session,
    file: &File,
    facts: &RelocateFacts<'_>,
    prefix: Option<&str>,
    patches: &mut Option<Vec<FilePatch>>,
) -> Result<Option<Vec<u8>>, RelocateError> {
    if let Some((version, inside)) = library_file(&file.path)
        && python::concerns(inside)
    {
        let text = String::from_utf8(session.read_blob(&file.blob)?);
        let text = text.map_err(|_| RelocateError::NotText {
            file: file.path.clone(),
        })?;
        if facts.pristine && sysconfig::concerns(inside) {
            return Ok(Some(sysconfig::rewrite_own(inside, &text)?.into_bytes()));
        }
        let patches = match patches {
            Some(patches) => patches,
            None => patches.insert(patches::load(session, facts.patches)?),
        };
        let text = python::rewrite(inside, text, patches, version, facts.host)?;
        return Ok(Some(text.into_bytes()));
    }
    if wheel::concerns(&file.path) {
        return wheel::rewrite(&file.path, &session.read_blob(&file.blob)?);
    }
    if !programs::may_be_elf(&file.path, file.executable) && !strings::concerns(&file.path, prefix)
    {
        return Ok(None);
    }
    let bytes = session.read_blob(&file.blob)?;
    programs::relocate(&file.path, bytes, prefix, facts.host, facts.fixed)
}

/// The folder that an interpreter was built for, by what it says of itself.
fn prefix(session: &Session, files: &[File]) -> Result<Option<String>, RelocateError> {
    let mut tables = files.iter().filter(|file| {
        library_file(&file.path).is_some_and(|(_, inside)| sysconfig::concerns(inside))
    });
    let Some(table) = tables.next() else {
        return Ok(None);
    };
    let text = session.read_blob(&table.blob)?;
    let text = String::from_utf8_lossy(&text);
    match sysconfig::value(&text, "prefix") {
        Some(prefix) => Ok(Some(prefix.to_owned())),
        None => Err(RelocateError::Absent {
            file: table.path.clone(),
            text: "'prefix': '/…'".to_owned(),
        }),
    }
}

/// Whether the folder that an interpreter was built for is taken out of the file at `path`.
pub(super) fn moves_prefix(path: &str) -> bool {
    strings::concerns(path, Some(""))
        || library_file(path).is_some_and(|(_, inside)| sysconfig::concerns(inside))
}

/// `lib/python3.13/ssl.py` → `3.13`, `ssl.py`.
fn library_file(path: &str) -> Option<(&str, &str)> {
    let (folder, inside) = path.strip_prefix("lib/python")?.split_once('/')?;
    let minor = folder.strip_prefix("3.")?;
    let is_version = !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit());
    is_version.then_some((folder, inside))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
