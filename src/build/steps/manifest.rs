//! A composed tree → the same with its manifest, by which any copy of it can be verified.
//!
//! The manifest is text, written for people and programs, grouped by folder because names within
//! one folder are short:
//!
//! ```text
//! recipe-manifest 1
//! name scylla-python
//! version 3.13
//! date 1789200000
//! machine x86_64
//! level baseline
//! kernel 3.2.0
//! glibc 2.41
//! host certificates closure-only
//! folder lib/python3.13/json
//! file <BLAKE3, base64url> <bytes> __init__.py
//! program <BLAKE3, base64url> <bytes> tool
//! link ../there name
//! ```
//!
//! It lies at one reserved path and does not list itself. Names are escaped so that a
//! line splits at its blanks.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{Digest, Entry, ObjectId, Session, TreeBuilder, TreeId};

use super::{StepError, leaves, scan};
use crate::elf::Isa;
use crate::recipe::HostPolicy;

/// Where the manifest lies in a closure. An input that ships this path is refused.
pub const PATH: &str = ".recipe-manifest";

/// What the manifest says besides the files.
pub(super) struct About<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) date: u64,
    pub(super) glibc: (u16, u16),
    pub(super) host: &'a HostPolicy,
    pub(super) fixed_path: Option<&'a Utf8Path>,
}

/// What a closure asks of the host that runs it: computed from its ELF files, but for glibc's version,
/// which they need not tell: that of Debian 11 is 2.31, and its `libc.so.6` has no symbol newer than 2.30.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contract {
    /// Processor architecture, such as `x86_64`; empty when there is no ELF file.
    pub machine: String,
    /// x86-64 micro-architecture level: 1 is the baseline.
    pub level: u32,
    /// The oldest Linux kernel, such as `3.2.0`.
    pub kernel: String,
    /// Version of the glibc inside; nobody asks the host for one.
    pub glibc: String,
}

pub(super) fn add(
    session: &Session,
    tree: &TreeId,
    scans: &[ObjectId],
    about: &About<'_>,
) -> Result<TreeId, StepError> {
    let files = leaves(session, tree)?;
    if files.iter().any(|(path, _)| path == PATH) {
        return Err(StepError::Unexpected {
            what: format!("the reserved path {PATH}"),
            found: "an input ships a file of that name".into(),
        });
    }
    let contract = contract(session, scans, &files, about.glibc)?;
    let text = write(about, &contract, &files);
    let blob = session.put_blob(text.as_bytes(), false)?;
    let mut builder = TreeBuilder::new();
    builder.insert(
        PATH,
        Entry::File {
            blob,
            executable: false,
        },
    )?;
    for (path, entry) in files {
        builder.insert(&path, entry)?;
    }
    Ok(builder.finish(session)?)
}

fn contract(
    session: &Session,
    scans: &[ObjectId],
    files: &[(String, Entry)],
    glibc: (u16, u16),
) -> Result<Contract, StepError> {
    let mut contract = Contract {
        level: 1,
        ..Contract::default()
    };
    let mut kernel = (0, 0, 0);
    for id in scans {
        // Leaves come sorted, so a file that was trimmed away is quickly found missing.
        let kept = |path: &str| {
            files
                .binary_search_by(|(known, _)| known.as_str().cmp(path))
                .is_ok()
        };
        for (_, facts) in scan::read(session, id)?
            .iter()
            .filter(|(path, _)| kept(path))
        {
            contract.machine = facts.machine.to_string();
            contract.level = contract.level.max(level(facts.isa));
            kernel = kernel.max(facts.minimum_kernel.unwrap_or_default());
        }
    }
    if !contract.machine.is_empty() {
        contract.kernel = format!("{}.{}.{}", kernel.0, kernel.1, kernel.2);
        contract.glibc = format!("{}.{}", glibc.0, glibc.1);
    }
    Ok(contract)
}

fn level(isa: Option<Isa>) -> u32 {
    match isa {
        None | Some(Isa::Baseline) => 1,
        Some(Isa::V2) => 2,
        Some(Isa::V3) => 3,
        Some(Isa::V4) => 4,
    }
}

fn write(about: &About<'_>, contract: &Contract, files: &[(String, Entry)]) -> String {
    let mut text = format!(
        "recipe-manifest 1\nname {}\nversion {}\ndate {}\nmachine {}\nlevel {}\nkernel {}\nglibc {}\n",
        about.name,
        about.version,
        about.date,
        contract.machine,
        contract.level,
        contract.kernel,
        contract.glibc
    );
    if let Some(path) = about.fixed_path {
        line(&mut text, format_args!("fixed-path {path}"));
    }
    for (matter, order) in about.host.unusual() {
        line(&mut text, format_args!("host {matter} {order}"));
    }
    let mut folder = None;
    for (path, entry) in files {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if folder != Some(parent) {
            folder = Some(parent);
            line(&mut text, format_args!("folder {}", escape(parent)));
        }
        let name = escape(name);
        match entry {
            Entry::File { blob, executable } => {
                let kind = if *executable { "program" } else { "file" };
                let hash = URL_SAFE_NO_PAD.encode(blob.digest.as_bytes());
                line(
                    &mut text,
                    format_args!("{kind} {hash} {} {name}", blob.size),
                );
            }
            Entry::Symlink { target } => {
                line(&mut text, format_args!("link {} {name}", escape(target)));
            }
            Entry::Directory(_) => {}
        }
    }
    text
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{content}");
}

/// Blanks, line ends, control characters and `%` as `%XX`, so that a line splits at its blanks.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for char in name.chars() {
        if char == '%' || char == ' ' || char.is_control() {
            let mut bytes = [0; 4];
            for byte in char.encode_utf8(&mut bytes).bytes() {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        } else {
            escaped.push(char);
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(more.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &more[2..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A manifest that was read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Name of the closure.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SOURCE_DATE_EPOCH, seconds since 1970.
    pub date: u64,
    /// What it asks of the host.
    pub contract: Contract,
    /// Where its programs may be given more privileges than their callers have.
    pub fixed_path: Option<Utf8PathBuf>,
    /// What it takes of its host otherwise than usual: matter and order, as a recipe names them.
    pub host: Vec<(String, String)>,
    /// Every file and link, by path, sorted as they are listed.
    pub entries: Vec<(String, Listed)>,
}

/// What the manifest says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A regular file.
    File {
        /// BLAKE3 of its bytes.
        digest: Digest,
        /// How many bytes.
        size: u64,
        /// Whether it can be executed.
        executable: bool,
    },
    /// A symbolic link to this.
    Link(String),
}

impl Manifest {
    /// Reads the text of a manifest. On failure: the number of the line that is not understood.
    pub fn parse(text: &str) -> Result<Manifest, usize> {
        let mut manifest = Manifest::default();
        let mut folder = String::new();
        let mut lines = text.lines().enumerate();
        if lines.next() != Some((0, "recipe-manifest 1")) {
            return Err(1);
        }
        for (index, line) in lines {
            manifest.line(line, &mut folder).ok_or(index + 1)?;
        }
        Ok(manifest)
    }

    fn line(&mut self, line: &str, folder: &mut String) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "name" => self.name = rest.to_owned(),
            "version" => self.version = rest.to_owned(),
            "date" => self.date = rest.parse().ok()?,
            "machine" => self.contract.machine = rest.to_owned(),
            "level" => self.contract.level = rest.parse().ok()?,
            "kernel" => self.contract.kernel = rest.to_owned(),
            "glibc" => self.contract.glibc = rest.to_owned(),
            "fixed-path" => self.fixed_path = Some(rest.into()),
            "host" => {
                let (matter, order) = rest.split_once(' ')?;
                self.host.push((matter.to_owned(), order.to_owned()));
            }
            "folder" => *folder = unescape(rest)?,
            "file" | "program" => {
                let mut words = rest.splitn(3, ' ');
                let hash = URL_SAFE_NO_PAD.decode(words.next()?).ok()?;
                let digest = Digest::from_bytes(hash.try_into().ok()?);
                let size = words.next()?.parse().ok()?;
                let path = below(folder, &unescape(words.next()?)?);
                let executable = word == "program";
                self.entries.push((
                    path,
                    Listed::File {
                        digest,
                        size,
                        executable,
                    },
                ));
            }
            "link" => {
                let (target, name) = rest.split_once(' ')?;
                let path = below(folder, &unescape(name)?);
                self.entries.push((path, Listed::Link(unescape(target)?)));
            }
            _ => return None,
        }
        Some(())
    }
}

fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recipe::{Matter, Order};

    proptest! {
        #[test]
        fn a_name_comes_back_from_its_escaped_form(name in "\\PC{0,40}|[ %\n\t]{1,5}") {
            let escaped = escape(&name);
            prop_assert!(!escaped.contains([' ', '\n']));
            prop_assert_eq!(unescape(&escaped), Some(name));
        }
    }

    #[test]
    fn a_manifest_reads_back_as_it_was_written() {
        let mut host = HostPolicy::default();
        host.set(Matter::Certificates, Order::ClosureOnly);
        let about = About {
            name: "a",
            version: "1",
            date: 7,
            glibc: (2, 41),
            host: &host,
            fixed_path: Some(Utf8Path::new("/opt/hello")),
        };
        let contract = Contract {
            machine: "x86_64".into(),
            level: 1,
            kernel: "3.2.0".into(),
            glibc: "2.41".into(),
        };
        let blob = recipe_store::BlobId {
            digest: Digest::of(b"x"),
            size: 1,
        };
        let files = vec![
            (
                "bin/a b".to_owned(),
                Entry::File {
                    blob,
                    executable: true,
                },
            ),
            (
                "bin/c".to_owned(),
                Entry::Symlink {
                    target: "a b".into(),
                },
            ),
            (
                "top".to_owned(),
                Entry::File {
                    blob,
                    executable: false,
                },
            ),
        ];
        let read = Manifest::parse(&write(&about, &contract, &files)).expect("parses");
        assert_eq!(read.contract, contract);
        let said = ("certificates".to_owned(), "closure-only".to_owned());
        assert_eq!(
            read.fixed_path.as_deref(),
            Some(Utf8Path::new("/opt/hello"))
        );
        assert_eq!(read.host, [said]);
        assert_eq!(read.entries.len(), 3);
        assert_eq!(
            read.entries[1],
            ("bin/c".to_owned(), Listed::Link("a b".into()))
        );
    }
}
