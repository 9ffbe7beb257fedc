//! One file with all that a build needs: what a cache has, the recipes, perhaps this program. Begin at [`write()`] and [`Bundle::open`].
//!
//! ```text
//! recipe-bundle 1
//! maker <tool and version>
//! made <milliseconds since 1970>
//! names <the recipes, with a blank between them>
//! member <size> <BLAKE3> <name>     one line each, in the order in which they follow
//! sign <NAME:BASE64 of the key> <BASE64 of the signature>
//!                                   an empty line
//! <the members, one after the other>
//! ```
//!
//! The signature is over all bytes before the line `sign`, so over the hash of every member. Members below `cache/` have the
//! layout of a cache, so that a bundle is read like one; those below `recipes/` are files for people.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write};
use std::os::unix::fs::FileExt as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use camino::Utf8Path;
use recipe_store::Digest;

use super::key::{PublicKey, SecretKey};

const MAGIC: &str = "recipe-bundle 1";
/// What comes before the members may have, in bytes.
const MOST_HEAD: u64 = 64 << 20;
const MOST_MEMBERS: usize = 1_000_000;

/// A file in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// A relative path without `.` and `..`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3.
    pub digest: Digest,
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The tool and its version.
    pub maker: String,
    /// When, in milliseconds since 1970: a bundle with a lower number is an older one.
    pub made: u64,
    /// The recipes.
    pub names: Vec<String>,
    /// What is in it.
    pub members: Vec<Member>,
}

impl Head {
    fn encode(&self) -> String {
        let mut text = format!(
            "{MAGIC}\nmaker {}\nmade {}\nnames {}\n",
            self.maker,
            self.made,
            self.names.join(" ")
        );
        for member in &self.members {
            text.push_str(&format!(
                "member {} {} {}\n",
                member.size, member.digest, member.name
            ));
        }
        text
    }
}

/// A bundle that was opened. Its members are read from this one open file, whatever becomes of its name.
#[derive(Debug)]
pub struct Bundle {
    /// What it says of itself.
    pub head: Head,
    signer: PublicKey,
    signature: Vec<u8>,
    file: File,
    places: BTreeMap<String, (u64, Member)>,
}

/// Writes a bundle: what it says, then each member from `open`.
pub fn write(
    head: &Head,
    key: &SecretKey,
    out: &mut dyn Write,
    open: &mut dyn FnMut(&Member) -> io::Result<File>,
    tell: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let text = head.encode();
    let signature = BASE64_STANDARD.encode(key.sign(text.as_bytes()));
    out.write_all(text.as_bytes())?;
    out.write_all(format!("sign {} {signature}\n\n", key.public()).as_bytes())?;
    let mut chunk = vec![0; 1 << 20];
    for member in &head.members {
        let mut from = open(member)?.take(member.size);
        let (mut hash, mut size) = (blake3::Hasher::new(), 0);
        loop {
            let count = from.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            hash.update(&chunk[..count]);
            out.write_all(&chunk[..count])?;
            size += count as u64;
            tell(count as u64);
        }
        if size != member.size || hash.finalize().as_bytes() != member.digest.as_bytes() {
            return Err(io::Error::other(format!(
                "{} has changed while it was read",
                member.name
            )));
        }
    }
    out.flush()
}

/// The size and hash of a file.
pub fn measure(file: &mut File) -> io::Result<(u64, Digest)> {
    let mut hash = blake3::Hasher::new();
    let mut chunk = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            count => {
                hash.update(&chunk[..count]);
                size += count as u64;
            }
        }
    }
    Ok((size, Digest::from_bytes(*hash.finalize().as_bytes())))
}

impl Bundle {
    /// Reads what a bundle says of itself. What is wrong with it is told in words.
    pub fn open(path: &Utf8Path) -> io::Result<Result<Bundle, String>> {
        let mut file = File::open(path)?;
        let whole = file.metadata()?.len();
        let mut bytes = Vec::new();
        let end = loop {
            let from = bytes.len().saturating_sub(1);
            let count = (&mut file).take(64 << 10).read_to_end(&mut bytes)?;
            if let Some(at) = bytes[from..].windows(2).position(|pair| pair == b"\n\n") {
                break from + at + 2;
            }
            if !bytes.starts_with(&MAGIC.as_bytes()[..MAGIC.len().min(bytes.len())]) {
                return Ok(Err("it does not begin as a bundle does".to_owned()));
            }
            if count == 0 || bytes.len() as u64 > MOST_HEAD {
                return Ok(Err("its beginning is cut, or never ends".to_owned()));
            }
        };
        file.rewind()?;
        Ok(read(&bytes[..end], whole, file))
    }

    /// The key of `trusted` that has signed it.
    pub fn signed_by<'k>(&self, trusted: &'k [PublicKey]) -> Result<&'k PublicKey, String> {
        let known = trusted
            .iter()
            .find(|key| key.bytes() == self.signer.bytes());
        let key = known.ok_or_else(|| {
            format!(
                "it is signed by {}, which is not trusted; if it should be: `recipe key trust {}`",
                self.signer, self.signer
            )
        })?;
        if key.has_signed(self.head.encode().as_bytes(), &self.signature) {
            Ok(key)
        } else {
            Err(format!(
                "the signature of {} on it is wrong: somebody has changed it",
                key.name()
            ))
        }
    }

    /// A member that is held in memory, checked.
    pub fn get(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((offset, member)) = self.places.get(name) else {
            return Ok(None);
        };
        if member.size > limit {
            return Err(io::Error::other(format!("it has more than {limit} bytes")));
        }
        let mut bytes = vec![0; usize::try_from(member.size).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, *offset)?;
        if Digest::of(&bytes) != member.digest {
            return Err(io::Error::other(format!(
                "{name} in it has other bytes than it says"
            )));
        }
        Ok(Some(bytes))
    }

    /// Part of a member; whoever asks checks it.
    pub fn part(&self, name: &str, from: u64, count: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((offset, member)) = self.places.get(name) else {
            return Ok(None);
        };
        if from.checked_add(count).is_none_or(|end| end > member.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, offset + from)?;
        Ok(Some(bytes))
    }

    /// The size of a member.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.places.get(name).map(|(_, member)| member.size)
    }

    /// Hashes every member; the names of those that are not as they should be.
    pub fn verify(&self, tell: &mut dyn FnMut(u64)) -> io::Result<Vec<String>> {
        let mut wrong = Vec::new();
        let mut chunk = vec![0; 1 << 20];
        for (name, (offset, member)) in &self.places {
            let (mut hash, mut at) = (blake3::Hasher::new(), 0);
            while at < member.size {
                let count = usize::try_from(member.size - at)
                    .unwrap_or(usize::MAX)
                    .min(chunk.len());
                self.file.read_exact_at(&mut chunk[..count], offset + at)?;
                hash.update(&chunk[..count]);
                at += count as u64;
                tell(count as u64);
            }
            if hash.finalize().as_bytes() != member.digest.as_bytes() {
                wrong.push(name.clone());
            }
        }
        Ok(wrong)
    }
}

fn read(bytes: &[u8], whole: u64, file: File) -> Result<Bundle, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    let mut lines = text.split_terminator('\n');
    let mut field = |name: &str| -> Result<&str, String> {
        let line = lines.next().ok_or("it ends too early")?;
        let value = line
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(' '));
        value.ok_or_else(|| format!("there is no line `{name}` where it should be"))
    };
    if field("recipe-bundle")? != "1" {
        return Err("it is of a later version: take a newer recipe".to_owned());
    }
    let maker = field("maker")?.to_owned();
    let made = field("made")?
        .parse()
        .map_err(|_| "its time is no number")?;
    let names = field("names")?.split(' ').map(str::to_owned).collect();
    let mut members = Vec::new();
    let mut places = BTreeMap::new();
    let mut offset = bytes.len() as u64;
    let (mut signed, mut rest) = (None, 0);
    for line in lines {
        if let Some(member) = line.strip_prefix("member ").filter(|_| signed.is_none()) {
            let member = one(member).ok_or("a line `member` is none")?;
            let next = offset
                .checked_add(member.size)
                .ok_or("its members have no end")?;
            if places
                .insert(member.name.clone(), (offset, member.clone()))
                .is_some()
            {
                return Err(format!("{} is in it twice", member.name));
            }
            offset = next;
            members.push(member);
        } else if let Some(words) = line.strip_prefix("sign ").filter(|_| signed.is_none()) {
            signed = Some(words);
        } else {
            rest += usize::from(!line.is_empty());
        }
        if members.len() > MOST_MEMBERS || rest > 0 {
            return Err("a line is none of a bundle".to_owned());
        }
    }
    if offset != whole {
        return Err(format!(
            "it has {whole} bytes where {offset} are wanted: it was cut, or something was added"
        ));
    }
    let (signer, signature) = signed
        .and_then(|words| words.split_once(' '))
        .ok_or("it is not signed")?;
    let bundle = Bundle {
        head: Head {
            maker,
            made,
            names,
            members,
        },
        signer: signer.parse()?,
        signature: BASE64_STANDARD
            .decode(signature)
            .map_err(|_| "its signature is no base64")?,
        file,
        places,
    };
    let again = format!(
        "{}sign {} {}\n\n",
        bundle.head.encode(),
        bundle.signer,
        BASE64_STANDARD.encode(&bundle.signature)
    );
    if again.as_bytes() == bytes {
        Ok(bundle)
    } else {
        Err("it is not in the one canonical form".to_owned())
    }
}

fn one(text: &str) -> Option<Member> {
    let mut words = text.splitn(3, ' ');
    let size = words.next()?.parse().ok()?;
    let digest = words.next()?.parse().ok()?;
    let name = words.next()?.to_owned();
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    let good = name.split('/').all(plain) && !name.chars().any(char::is_control);
    good.then_some(Member { name, size, digest })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bundle(folder: &Utf8Path, key: &SecretKey) -> camino::Utf8PathBuf {
        let mut members = Vec::new();
        for (name, text) in [
            ("cache/pack/ab", "pack"),
            ("recipes/a b.kdl", "recipe"),
            ("empty", ""),
        ] {
            std::fs::write(folder.join(name.replace('/', "_")), text).unwrap();
            members.push(Member {
                name: name.to_owned(),
                size: text.len() as u64,
                digest: Digest::of(text.as_bytes()),
            });
        }
        let head = Head {
            maker: "recipe 0.1.0".into(),
            made: 7,
            names: vec!["one".into(), "two@3.11".into()],
            members,
        };
        let path = folder.join("bundle");
        let mut out = File::create(&path).unwrap();
        let mut open = |member: &Member| File::open(folder.join(member.name.replace('/', "_")));
        write(&head, key, &mut out, &mut open, &mut |_| {}).unwrap();
        path
    }

    #[test]
    fn every_changed_and_every_cut_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let key = SecretKey::new("me").unwrap();
        let trusted = [key.public()];
        let path = bundle(folder, &key);
        let good = Bundle::open(&path).unwrap().unwrap();
        assert_eq!(good.signed_by(&trusted).unwrap(), &trusted[0]);
        assert_eq!(
            good.get("recipes/a b.kdl", 100).unwrap().unwrap(),
            b"recipe"
        );
        assert_eq!(good.part("cache/pack/ab", 1, 2).unwrap().unwrap(), b"ac");
        assert!(good.part("cache/pack/ab", 3, 2).is_err());
        assert!(good.verify(&mut |_| {}).unwrap().is_empty());
        assert!(
            good.signed_by(&[SecretKey::new("me").unwrap().public()])
                .is_err()
        );
        let bytes = std::fs::read(&path).unwrap();
        let other = folder.join("other");
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            std::fs::write(&other, &wrong).unwrap();
            if let Ok(bundle) = Bundle::open(&other).unwrap() {
                // The name of a key is for people.
                let renamed =
                    bundle.signer.bytes() == key.public().bytes() && bundle.signer != key.public();
                let found = bundle.signed_by(&trusted).is_err()
                    || !bundle.verify(&mut |_| {}).unwrap().is_empty();
                assert!(found || renamed, "byte {at}");
            }
            std::fs::write(&other, &bytes[..at]).unwrap();
            assert!(Bundle::open(&other).unwrap().is_err(), "cut at {at}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let digest = Digest::of(b"");
        for name in ["../x", "/x", "a//b", "a/./b", "a/..", "", "a\tb"] {
            assert_eq!(one(&format!("0 {digest} {name}")), None, "{name}");
        }
        assert!(one(&format!("0 {digest} a b/c")).is_some());
    }
}
