//! A small signed archive made in memory: packages, indexes, `InRelease`, and a key of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};

/// When everything is signed: a minute after the date of the suites.
const SIGNED: u32 = 1_789_199_800;

/// A package that does not exist outside of a test.
#[derive(Debug, Clone)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) source: String,
    pub(super) depends: String,
    pub(super) essential: bool,
    /// Debian's name of its processor.
    pub(super) architecture: &'static str,
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) links: Vec<(String, String)>,
}

impl Package {
    /// `name version`, from a source package of the same name, with one data file.
    pub(super) fn new(name: &str, version: &str) -> Package {
        let file = (
            format!("usr/share/{name}/data"),
            format!("{name} {version}").into_bytes(),
        );
        Package {
            name: name.into(),
            version: version.into(),
            source: name.into(),
            depends: String::new(),
            essential: false,
            architecture: "amd64",
            files: vec![file],
            links: Vec::new(),
        }
    }

    pub(super) fn source(mut self, source: &str) -> Package {
        self.source = source.into();
        self
    }

    pub(super) fn depends(mut self, depends: &str) -> Package {
        self.depends = depends.into();
        self
    }

    /// Adds `usr/lib/x86_64-linux-gnu/SONAME`, which needs these libraries.
    pub(super) fn library(mut self, soname: &str, needed: &[&str]) -> Package {
        self.files.push((
            format!("usr/lib/x86_64-linux-gnu/{soname}"),
            elf(Some(soname), needed),
        ));
        self
    }

    /// Adds a module, which needs these libraries, at a path.
    pub(super) fn module(mut self, path: &str, needed: &[&str]) -> Package {
        self.files.push((path.into(), elf(None, needed)));
        self
    }

    /// Every machine has it.
    pub(super) fn essential(mut self) -> Package {
        self.essential = true;
        self
    }

    pub(super) fn file(mut self, path: &str, text: &str) -> Package {
        self.files.push((path.into(), text.into()));
        self
    }

    pub(super) fn link(mut self, path: &str, target: &str) -> Package {
        self.links.push((path.into(), target.into()));
        self
    }

    /// The same package for arm64.
    pub(super) fn arm64(mut self) -> Package {
        self.architecture = "arm64";
        for (path, bytes) in &mut self.files {
            *path = path.replace("x86_64-linux-gnu", "aarch64-linux-gnu");
            if bytes.starts_with(b"\x7fELF") {
                bytes[18] = 183;
            }
        }
        self
    }

    fn path(&self) -> String {
        format!(
            "pool/main/{}/{}_{}_{}.deb",
            self.source,
            self.name,
            self.version.replace(':', "%3a"),
            self.architecture
        )
    }

    /// The file of the package: `ar` of three members.
    fn deb(&self) -> Vec<u8> {
        let mut out = b"!<arch>\n".to_vec();
        let members = [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar", tar(&[], &[])),
            ("data.tar", tar(&self.files, &self.links)),
        ];
        for (name, content) in members {
            let _ = writeln!(
                out,
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
                0,
                0,
                0,
                100_644,
                content.len()
            );
            out.extend_from_slice(&content);
            if content.len() % 2 == 1 {
                out.push(b'\n');
            }
        }
        out
    }
}

fn tar(files: &[(String, Vec<u8>)], links: &[(String, String)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, path, &content[..])
            .unwrap();
    }
    for (path, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        builder.append_link(&mut header, path, target).unwrap();
    }
    builder.into_inner().unwrap()
}

/// The smallest ELF library for x86-64 that says what it is and needs.
pub(super) fn elf(soname: Option<&str>, needed: &[&str]) -> Vec<u8> {
    let mut strings = vec![0u8];
    let mut entries: Vec<(u64, u64)> = Vec::new();
    let named = needed
        .iter()
        .map(|name| (1, *name))
        .chain(soname.map(|name| (14, name)));
    for (tag, name) in named {
        entries.push((tag, strings.len() as u64));
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
    }
    let dynamic = 64 + 2 * 56;
    let count = entries.len() as u64 + 3;
    let text = dynamic + 16 * count;
    entries.extend([(5, text), (10, strings.len() as u64), (0, 0)]);
    let size = text + strings.len() as u64;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |value: u16| value.to_le_bytes().to_vec();
    let word = |value: u32| value.to_le_bytes().to_vec();
    let long = |value: u64| value.to_le_bytes().to_vec();
    out.extend(
        [
            half(3),
            half(62),
            word(1),
            long(0),
            long(64),
            long(0),
            word(0),
            half(64),
            half(56),
            half(2),
            half(64),
            half(0),
            half(0),
        ]
        .concat(),
    );
    for (kind, offset, length) in [(1u32, 0u64, size), (2, dynamic, 16 * count)] {
        out.extend(
            [
                word(kind),
                word(4),
                long(offset),
                long(offset),
                long(offset),
                long(length),
                long(length),
                long(8),
            ]
            .concat(),
        );
    }
    for (tag, value) in entries {
        out.extend([long(tag), long(value)].concat());
    }
    out.extend_from_slice(&strings);
    out
}

/// An archive with its key.
pub(super) struct Archive {
    pub(super) key: Key,
    /// Packages of each suite.
    pub(super) suites: BTreeMap<String, Vec<Package>>,
    /// `Date` of every suite, as it is written.
    pub(super) date: String,
    /// Further fields of every `InRelease`.
    pub(super) fields: String,
}

impl Archive {
    /// The three suites of trixie, with these packages in the first.
    pub(super) fn new(packages: Vec<Package>) -> Archive {
        let names = ["trixie", "trixie-updates", "trixie-security"];
        let mut suites: BTreeMap<String, Vec<Package>> = names
            .iter()
            .map(|name| ((*name).to_owned(), Vec::new()))
            .collect();
        suites.insert("trixie".into(), packages);
        Archive {
            key: Key::new(SIGNED - 1_000),
            suites,
            date: "Sat, 12 Sep 2026 07:55:41 UTC".into(),
            fields: "Acquire-By-Hash: yes\n".into(),
        }
    }

    /// The public key, armoured.
    pub(super) fn public_key(&self) -> Vec<u8> {
        armour("PUBLIC KEY BLOCK", &self.key.public()).into_bytes()
    }

    /// Puts a version in the place of the one that a suite has.
    pub(super) fn replace(&mut self, suite: &str, package: Package) {
        let packages = self.suites.get_mut(suite).unwrap();
        packages.retain(|known| {
            (&known.name, known.architecture) != (&package.name, package.architecture)
        });
        packages.push(package);
    }

    /// Every file of the archive by its path.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for (suite, packages) in &self.suites {
            let (mut binaries, mut sources) = (
                BTreeMap::from([("amd64", String::new()), ("arm64", String::new())]),
                String::new(),
            );
            let mut known = std::collections::BTreeSet::new();
            for package in packages {
                let deb = package.deb();
                let _ = write!(
                    binaries.entry(package.architecture).or_default(),
                    "Package: {}\nSource: {}\nVersion: {}\nArchitecture: {}\nDepends: {}\n{}Description: x\n y\nFilename: {}\nSize: {}\nSHA256: {}\n\n",
                    package.name,
                    package.source,
                    package.version,
                    package.architecture,
                    package.depends,
                    if package.essential {
                        "Essential: yes\n"
                    } else {
                        ""
                    },
                    package.path(),
                    deb.len(),
                    sha256(&deb)
                );
                files.insert(package.path(), deb);
                if known.insert((&package.source, &package.version)) {
                    let (name, version) = (&package.source, &package.version);
                    let patches = format!("patches of {name} {version}").into_bytes();
                    let _ = write!(
                        sources,
                        "Package: {name}\nVersion: {version}\nDirectory: pool/main/{name}\nChecksums-Sha256:\n {} {} {name}_{version}.debian.tar.xz\n\n",
                        sha256(&patches),
                        patches.len()
                    );
                    files.insert(
                        format!("pool/main/{name}/{name}_{version}.debian.tar.xz"),
                        patches,
                    );
                }
            }
            let contents: String = packages
                .iter()
                .flat_map(|package| {
                    package
                        .files
                        .iter()
                        .map(|(path, _)| format!("{path} libs/{}\n", package.name))
                })
                .collect();
            let mut indexes = vec![
                ("main/source/Sources".to_owned(), sources),
                ("main/Contents-amd64".to_owned(), contents),
            ];
            let named =
                |(architecture, text)| (format!("main/binary-{architecture}/Packages"), text);
            indexes.extend(binaries.into_iter().map(named));
            let mut release = format!(
                "Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: {}\nArchitectures: amd64\nComponents: main\n{}SHA256:\n",
                self.date, self.fields
            );
            for (path, text) in indexes {
                let packed = gzip(text.as_bytes());
                for (path, bytes) in [
                    (path.clone(), text.clone().into_bytes()),
                    (format!("{path}.gz"), packed),
                ] {
                    let hash = sha256(&bytes);
                    let _ = writeln!(release, " {hash} {} {path}", bytes.len());
                    let folder = path.rsplit_once('/').unwrap().0;
                    files.insert(
                        format!("dists/{suite}/{folder}/by-hash/SHA256/{hash}"),
                        bytes.clone(),
                    );
                    files.insert(format!("dists/{suite}/{path}"), bytes);
                }
            }
            files.insert(format!("dists/{suite}/InRelease"), self.sign(&release));
        }
        files
    }

    /// A clear-signed text.
    pub(super) fn sign(&self, text: &str) -> Vec<u8> {
        let text = text.trim_end();
        let signature = self
            .key
            .sign(0x01, SIGNED, text.replace('\n', "\r\n").as_bytes());
        let escaped = text.replace("\n-", "\n- -");
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{escaped}\n{}",
            armour("SIGNATURE", &signature)
        )
        .into_bytes()
    }
}

/// A key of Ed25519 with one user id, and packets of it as RFC 9580 describes them.
pub(super) struct Key {
    pair: Ed25519KeyPair,
    body: Vec<u8>,
    created: u32,
}

impl Key {
    fn new(created: u32) -> Key {
        let seed = ring::rand::generate::<[u8; 32]>(&ring::rand::SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed.expose()).unwrap();
        let mut body = [&[4], &created.to_be_bytes()[..], &[22, 9]].concat();
        body.extend([0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01]);
        body.extend([1, 7, 0x40]);
        body.extend(pair.public_key().as_ref());
        Key {
            pair,
            body,
            created,
        }
    }

    fn hashed(&self) -> Vec<u8> {
        let length = u16::try_from(self.body.len()).unwrap();
        [&[0x99], &length.to_be_bytes()[..], &self.body].concat()
    }

    /// The key, its user id, and its signature over both.
    fn public(&self) -> Vec<u8> {
        let user = b"Test <t@test>";
        let length = u32::try_from(user.len()).unwrap().to_be_bytes();
        let about = [&self.hashed()[..], &[0xb4], &length, user].concat();
        [
            packet(6, &self.body),
            packet(13, user),
            self.sign(0x13, self.created, &about),
        ]
        .concat()
    }

    /// The packet of a signature of `kind` over `about`.
    fn sign(&self, kind: u8, at: u32, about: &[u8]) -> Vec<u8> {
        let fingerprint =
            ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &self.hashed());
        let mut parts = [&[5, 2], &at.to_be_bytes()[..], &[2, 27, 3, 22, 33, 4]].concat();
        parts.extend(fingerprint.as_ref());
        let length = u16::try_from(parts.len()).unwrap().to_be_bytes();
        let hashed = [&[4, kind, 22, 10], &length[..], &parts].concat();
        let length = u32::try_from(hashed.len()).unwrap().to_be_bytes();
        let digest = sha2::Sha512::digest([about, &hashed, &[4, 0xff], &length].concat());
        let value = self.pair.sign(&digest);
        let mut body = [&hashed[..], &[0, 0], &digest[..2]].concat();
        for half in value.as_ref().chunks(32) {
            let zeros = half.iter().take_while(|byte| **byte == 0).count();
            let number = &half[zeros..];
            let bits = number.len() * 8 - number[0].leading_zeros() as usize;
            body.extend(u16::try_from(bits).unwrap().to_be_bytes());
            body.extend(number);
        }
        packet(2, &body)
    }
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[0xc0 | kind, u8::try_from(body.len()).unwrap()], body].concat()
}

fn armour(what: &str, bytes: &[u8]) -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("-----BEGIN PGP {what}-----\n\n{data}\n-----END PGP {what}-----\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    crate::net::hex(&Sha256::digest(bytes))
}
