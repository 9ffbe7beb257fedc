//! Packages that are installed on this machine → Debian packages with the same files. Begin at [`Host`].
//!
//! dpkg keeps what it installed: the packages in `status`, the paths of each in `info/NAME.list`, the
//! md5 of each file in `info/NAME.md5sums`, and in `diversions` which files gave way to others
//! (dpkg(1), dpkg-divert(1), deb-md5sums(5)). A package is read back only if all of it is as it was
//! installed; configuration that somebody changed, which is not the package's any more, is left out, and so
//! is what some machines leave out when they install (`path-exclude`): manuals and translations. What
//! comes out is one file with nothing of the machine in it but those contents, so that its hash is
//! the same wherever the same version is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use md5::{Digest as _, Md5};
use miette::Diagnostic;
use recipe_store::{BlobId, Session, StoreError};
use sha2::Sha256;
use thiserror::Error;

use crate::net::hex;

mod deb;

use deb::Member;

/// The archive of what this machine has installed.
pub const ARCHIVE: &str = "host";
/// dpkg's folder.
const ADMIN: &str = "var/lib/dpkg";
/// Parts of `/usr/share` that nobody needs at run time, and that machines leave out.
const LEFT_OUT: [&str; 8] = [
    "bug", "doc", "doc-base", "info", "lintian", "linda", "locale", "man",
];

/// Why an installed package cannot be taken.
#[derive(Debug, Error, Diagnostic)]
pub enum HostError {
    /// There is no dpkg, or its records cannot be read.
    #[error("cannot read what is installed on this machine: {path}: {why}")]
    #[diagnostic(
        code(lock::host_records),
        help(
            "from=\"host\" takes the packages that dpkg has installed; on a machine without dpkg write from=\"debian\""
        )
    )]
    Records {
        /// The file.
        path: Utf8PathBuf,
        /// Why not.
        why: String,
    },
    /// A package is not there.
    #[error("{package} is not installed on this machine")]
    #[diagnostic(
        code(lock::host_absent),
        help("install it: apt-get install {package}; or lock again for what is installed")
    )]
    Absent {
        /// Its name.
        package: String,
    },
    /// A file is not what was installed.
    #[error("{path} is not as {package} installed it: {what}")]
    #[diagnostic(
        code(lock::host_changed),
        help(
            "the package is taken only as its distribution made it; this restores it: apt-get install --reinstall {package}"
        )
    )]
    Changed {
        /// The package.
        package: String,
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The machine has other content than was locked.
    #[error("{package} {found} on this machine is not what is locked: {wanted}")]
    #[diagnostic(
        code(lock::host_other),
        help(
            "the lock is for another machine or another day: `recipe lock --upgrade` takes what is installed here, `apt-get install` the version that is locked"
        )
    )]
    Other {
        /// The package.
        package: String,
        /// The version here.
        found: String,
        /// The version of the lock, or its hash where the versions are the same.
        wanted: String,
    },
    /// The store failed.
    #[error(transparent)]
    #[diagnostic(code(lock::store))]
    Store(#[from] StoreError),
}

/// What dpkg says of this machine.
pub struct Host {
    root: Utf8PathBuf,
    /// Paragraphs of packages that are wholly installed, by name.
    packages: BTreeMap<String, Paragraph>,
    /// Diverted path → where its file lies, and the package that made way for its own.
    diversions: BTreeMap<String, (String, String)>,
}

/// One package of `status`.
struct Paragraph {
    text: String,
    version: String,
    architecture: String,
    /// md5 of configuration files as they were installed, by path.
    configuration: BTreeMap<String, String>,
}

impl Host {
    /// Reads the records of the machine whose `/` is `root`; `architecture` is its Debian name.
    pub fn open(root: &Utf8Path, architecture: &str) -> Result<Host, HostError> {
        let admin = root.join(ADMIN);
        let status = read(&admin.join("status"))?;
        let mut packages = BTreeMap::new();
        for text in status.split("\n\n") {
            let field = |name: &str| field(text, name).unwrap_or_default();
            let has = [architecture, "all"].contains(&field("Architecture"));
            if !has || field("Status") != "install ok installed" {
                continue;
            }
            let paragraph = Paragraph {
                text: text.trim_end().to_owned(),
                version: field("Version").to_owned(),
                architecture: field("Architecture").to_owned(),
                configuration: configuration(text),
            };
            packages.insert(field("Package").to_owned(), paragraph);
        }
        let diversions = read(&admin.join("diversions")).unwrap_or_default();
        let lines: Vec<&str> = diversions.lines().collect();
        let diversions = lines.chunks_exact(3).map(|it| {
            let inside = |path: &str| path.trim_start_matches('/').to_owned();
            (inside(it[0]), (inside(it[1]), it[2].to_owned()))
        });
        Ok(Host {
            root: root.to_owned(),
            packages,
            diversions: diversions.collect(),
        })
    }

    /// What is installed as a `Packages` index; `known` are sizes and hashes of packages that were read.
    pub(super) fn index(&self, known: &BTreeMap<String, (u64, String)>) -> String {
        let mut index = String::new();
        for (name, package) in &self.packages {
            let nothing = (0, "0".repeat(64));
            let (size, sha256) = known.get(name).unwrap_or(&nothing);
            let path = self.path(name).unwrap_or_default();
            let hashes = format!("Filename: {path}\nSize: {size}\nSHA256: {sha256}\n\n");
            index += &format!("{}\n{hashes}", package.text);
        }
        index
    }

    /// What the file of a package is called.
    fn path(&self, name: &str) -> Option<String> {
        let package = self.packages.get(name)?;
        let version = package.version.replace(':', "%3a");
        Some(format!("{name}_{version}_{}.deb", package.architecture))
    }

    /// The package `name` as it is installed, as a Debian package.
    pub fn package(&self, name: &str) -> Result<Vec<u8>, HostError> {
        let package = self.packages.get(name).ok_or_else(|| HostError::Absent {
            package: name.to_owned(),
        })?;
        let record = |ending: &str| {
            let info = self.root.join(ADMIN).join("info");
            let both = info.join(format!("{name}:{}.{ending}", package.architecture));
            match both.exists() {
                true => read(&both),
                false => read(&info.join(format!("{name}.{ending}"))),
            }
        };
        let list = record("list")?;
        let sums = record("md5sums").unwrap_or_default();
        let sums: BTreeMap<&str, &str> = sums
            .lines()
            .filter_map(|line| line.split_once("  ").map(|(sum, path)| (path, sum)))
            .collect();
        let mut members = Vec::new();
        let paths: BTreeSet<&str> = list.lines().map(|it| it.trim_start_matches('/')).collect();
        for path in &paths {
            let path = *path;
            if path.is_empty() || path == "." || is_left_out(path) {
                continue;
            }
            let changed = |what: &str| HostError::Changed {
                package: name.to_owned(),
                path: format!("/{path}"),
                what: what.to_owned(),
            };
            if let Some((_, by)) = self.diversions.get(path)
                && by != name
            {
                return Err(changed(&format!("{by} has put a file of its own there")));
            }
            let at = self.root.join(path);
            let about = match fs::symlink_metadata(&at) {
                Ok(about) => about,
                Err(_) if package.configuration.contains_key(path) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(changed("it is gone"));
                }
                Err(error) => return Err(changed(&error.to_string())),
            };
            // Since all of `/bin` lies in `/usr`, what was a folder for the package is a link.
            if about.is_dir() || is_folder(&paths, path) {
                continue;
            }
            if about.is_symlink() {
                let target = fs::read_link(&at).map_err(|error| changed(&error.to_string()))?;
                let target = target
                    .to_str()
                    .ok_or_else(|| changed("its target is not UTF-8"))?;
                // A link in the place of a file would be somebody's own.
                if sums.contains_key(path) {
                    return Err(changed("a link stands in its place"));
                }
                members.push(Member::link(path, target));
                continue;
            }
            if !about.is_file() {
                return Err(changed("it is neither a file nor a link"));
            }
            let bytes = fs::read(&at).map_err(|error| changed(&error.to_string()))?;
            let sum = hex(&Md5::digest(&bytes));
            if let Some(known) = package.configuration.get(path) {
                if *known == sum {
                    members.push(Member::file(path, bytes, false));
                }
                continue;
            }
            match sums.get(path) {
                Some(known) if **known == *sum => {
                    let executable = about.permissions().mode() & 0o111 != 0;
                    members.push(Member::file(path, bytes, executable));
                }
                Some(_) => return Err(changed("its content is another")),
                None => return Err(changed("dpkg has no record of its content")),
            }
        }
        Ok(deb::write(&members))
    }
}

/// The installed package of a lock, if it is what was locked.
pub fn fetch(
    root: &Utf8Path,
    session: &Session,
    wanted: &HostFile<'_>,
) -> Result<BlobId, HostError> {
    let host = Host::open(root, wanted.architecture())?;
    let found = host.packages.get(wanted.name).map(|it| it.version.clone());
    let found = found.ok_or_else(|| HostError::Absent {
        package: wanted.name.to_owned(),
    })?;
    let other = |wanted_as: String| HostError::Other {
        package: wanted.name.to_owned(),
        found: found.clone(),
        wanted: wanted_as,
    };
    if found != wanted.version {
        return Err(other(format!("version {}", wanted.version)));
    }
    let bytes = host.package(wanted.name)?;
    if hex(&Sha256::digest(&bytes)) != wanted.sha256 {
        return Err(other("the same version with other content".to_owned()));
    }
    Ok(session.put_blob(&bytes, false)?)
}

/// An installed package as a lock has it.
pub struct HostFile<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// What its file is called, which ends with its architecture.
    pub path: &'a str,
    /// sha256, hex.
    pub sha256: &'a str,
}

impl HostFile<'_> {
    fn architecture(&self) -> &str {
        let name = self.path.strip_suffix(".deb").unwrap_or(self.path);
        name.rsplit('_').next().unwrap_or(name)
    }
}

fn read(path: &Utf8Path) -> Result<String, HostError> {
    fs::read_to_string(path).map_err(|error| HostError::Records {
        path: path.to_owned(),
        why: error.to_string(),
    })
}

/// The first line of a field.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines();
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// The `Conffiles` of a paragraph: lines of ` /path md5`, with a word behind for what is obsolete.
fn configuration(text: &str) -> BTreeMap<String, String> {
    let lines = text
        .lines()
        .skip_while(|line| *line != "Conffiles:")
        .skip(1);
    let lines = lines.take_while(|line| line.starts_with(' '));
    lines
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let path = words.next()?.trim_start_matches('/');
            Some((path.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

/// Whether the package has something below this path, or it is one at the top.
fn is_folder(paths: &BTreeSet<&str>, path: &str) -> bool {
    let below = format!("{path}/");
    let next = paths.range(below.as_str()..).next();
    !path.contains('/') || next.is_some_and(|next| next.starts_with(&below))
}

/// What a package has that is not taken; its licence is.
fn is_left_out(path: &str) -> bool {
    let Some(inside) = path.strip_prefix("usr/share/") else {
        return false;
    };
    let first = inside.split('/').next().unwrap_or(inside);
    LEFT_OUT.contains(&first) && !(first == "doc" && path.ends_with("/copyright"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
