//! What the steps of one build made, signed ⇄ text. Begin at [`Traces`] and [`Signed::open`].
//!
//! ```text
//! recipe-traces 1
//! plan <hex>                            what was asked: see [`crate::plan::Plan::id`]
//! recipe <title>
//! maker <tool and version>
//! made <milliseconds since 1970>
//! index <hex> <size> <raw size>         the file that tells where their objects lie
//! closure <tree id>
//! step <step key> <isolation> <object id>    one line each, sorted by key
//! sign <NAME:BASE64 of the key> <BASE64 of the signature>   one line each
//! ```
//!
//! A signature is over all bytes before the first line `sign`. The text has one form only.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use recipe_store::{Digest, ObjectId, StepKey, TreeId};

use super::key::{PublicKey, SIGNATURE_BYTES, SecretKey};

const MAGIC: &str = "recipe-traces 1";
/// No plan of ours is near this.
const MOST_STEPS: usize = 200_000;
const MOST_SIGNATURES: usize = 64;
/// A file of traces is never longer, in bytes.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// The file of an index: its name is its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IndexFile {
    /// BLAKE3 of the file.
    pub digest: Digest,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes once it is decompressed.
    pub raw: u64,
}

/// What one step made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTrace {
    /// The isolation that was reached, in the word of the local trace.
    pub isolation: String,
    /// What it made.
    pub output: ObjectId,
}

/// What the steps of one build made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// What was asked.
    pub plan: Digest,
    /// The recipe and its variant.
    pub title: String,
    /// The tool and its version.
    pub maker: String,
    /// When, in milliseconds since 1970. For people; nothing is ordered by it.
    pub made: u64,
    /// Where the objects lie.
    pub index: IndexFile,
    /// What came out in the end.
    pub closure: TreeId,
    /// Each step.
    pub steps: BTreeMap<StepKey, OneTrace>,
}

/// Traces and who has signed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What is vouched for.
    pub traces: Traces,
    /// Who says that he signed, and the signature: not verified yet.
    pub signatures: Vec<(PublicKey, [u8; SIGNATURE_BYTES])>,
}

impl Traces {
    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        let Traces {
            plan,
            title,
            maker,
            made,
            index,
            closure,
            steps,
        } = self;
        let mut text = format!(
            "{MAGIC}\nplan {plan}\nrecipe {title}\nmaker {maker}\nmade {made}\nindex {index}\nclosure {}\n",
            ObjectId::Tree(*closure)
        );
        for (key, trace) in steps {
            text.push_str(&format!(
                "step {key} {} {}\n",
                trace.isolation, trace.output
            ));
        }
        text.into_bytes()
    }

    /// The same with a signature.
    pub fn sign(self, key: &SecretKey) -> Signed {
        let signature = key.sign(&self.encode());
        Signed {
            traces: self,
            signatures: vec![(key.public(), signature)],
        }
    }
}

impl Signed {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.traces.encode();
        for (key, signature) in &self.signatures {
            let signature = BASE64_STANDARD.encode(signature);
            bytes.extend_from_slice(format!("sign {key} {signature}\n").as_bytes());
        }
        bytes
    }

    /// Reads what [`Signed::encode`] writes and refuses everything else, saying why.
    pub fn decode(bytes: &[u8]) -> Result<Signed, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
        let mut lines = text
            .split_inclusive('\n')
            .map(|line| line.trim_end_matches('\n'));
        let mut line = || lines.next().ok_or("it ends too early");
        if line()? != MAGIC {
            return Err(format!("it does not begin with `{MAGIC}`"));
        }
        let mut field = |name: &'static str| -> Result<&str, String> {
            let found = line()?
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(' '));
            found.ok_or_else(|| format!("there is no line `{name}` where it should be"))
        };
        let plan = field("plan")?
            .parse()
            .map_err(|_| "its plan is no digest")?;
        let (title, maker) = (field("recipe")?.to_owned(), field("maker")?.to_owned());
        let made = field("made")?
            .parse()
            .map_err(|_| "its time is no number")?;
        let index = IndexFile::of(field("index")?).ok_or("its index is none")?;
        let ObjectId::Tree(closure) = field("closure")?
            .parse()
            .map_err(|_| "its closure is no tree")?
        else {
            return Err("its closure is no tree".to_owned());
        };
        let (mut steps, mut signatures) = (BTreeMap::new(), Vec::new());
        for line in lines {
            if let Some(step) = line.strip_prefix("step ") {
                let (key, trace) = one_trace(step).ok_or("a line `step` is none")?;
                steps.insert(key, trace);
            } else if let Some(signed) = line.strip_prefix("sign ") {
                signatures.push(signature(signed).ok_or("a line `sign` is none")?);
            } else {
                return Err("a line is neither `step` nor `sign`".to_owned());
            }
            if steps.len() > MOST_STEPS || signatures.len() > MOST_SIGNATURES {
                return Err("it has too many lines".to_owned());
            }
        }
        let traces = Traces {
            plan,
            title,
            maker,
            made,
            index,
            closure,
            steps,
        };
        let signed = Signed { traces, signatures };
        // One form only: order, doubles and numbers are all decided by writing it again.
        if signed.encode() == bytes {
            Ok(signed)
        } else {
            Err("it is not in the one canonical form".to_owned())
        }
    }

    /// The same with further signatures; of each key one stays.
    pub(super) fn with(mut self, others: Vec<(PublicKey, [u8; SIGNATURE_BYTES])>) -> Signed {
        let own: Vec<PublicKey> = self.signatures.iter().map(|(key, _)| key.clone()).collect();
        let others = others.into_iter().filter(|(key, _)| !own.contains(key));
        self.signatures.extend(others);
        self
    }

    /// Those of `trusted` that have really signed these traces.
    pub fn signers<'k>(&self, trusted: &'k [PublicKey]) -> Vec<&'k PublicKey> {
        let text = self.traces.encode();
        let signed = |key: &&PublicKey| {
            let mut signatures = self.signatures.iter();
            signatures.any(|(by, signature)| {
                by.bytes() == key.bytes() && key.has_signed(&text, signature)
            })
        };
        trusted.iter().filter(signed).collect()
    }
}

impl IndexFile {
    /// Reads what is shown of it: `HEX SIZE RAW`.
    pub(super) fn of(text: &str) -> Option<IndexFile> {
        let mut words = text.split(' ');
        let index = IndexFile {
            digest: words.next()?.parse().ok()?,
            size: words.next()?.parse().ok()?,
            raw: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(index)
    }
}

impl fmt::Display for IndexFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.digest, self.size, self.raw)
    }
}

fn one_trace(text: &str) -> Option<(StepKey, OneTrace)> {
    let mut words = text.split(' ');
    let key = words.next()?.parse().ok()?;
    let isolation = words.next()?.to_owned();
    let output = words.next()?.parse().ok()?;
    words
        .next()
        .is_none()
        .then_some((key, OneTrace { isolation, output }))
}

fn signature(text: &str) -> Option<(PublicKey, [u8; SIGNATURE_BYTES])> {
    let (key, signature) = text.split_once(' ')?;
    let signature = BASE64_STANDARD.decode(signature).ok()?;
    Some((key.parse().ok()?, signature.try_into().ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn traces() -> Traces {
        let output = ObjectId::Tree(TreeId::of(b"tree"));
        let step = |what: &[u8]| {
            let trace = OneTrace {
                isolation: "landlocked".into(),
                output,
            };
            (StepKey::of(what), trace)
        };
        Traces {
            plan: Digest::of(b"plan"),
            title: "python@3.11".into(),
            maker: "recipe 0.1.0".into(),
            made: 1_700_000_000_000,
            index: IndexFile {
                digest: Digest::of(b"index"),
                size: 5,
                raw: 9,
            },
            closure: TreeId::of(b"tree"),
            steps: [step(b"a"), step(b"b"), step(b"c")].into(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let key = SecretKey::new("me").unwrap();
        let signed = traces().sign(&key);
        let bytes = signed.encode();
        assert_eq!(Signed::decode(&bytes).unwrap(), signed);
        for cut in 0..bytes.len() {
            if let Ok(read) = Signed::decode(&bytes[..cut]) {
                // Cut between lines it is a shorter text, which nobody has signed.
                assert!(read.signers(&[key.public()]).is_empty(), "cut at {cut}");
            }
        }
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            if let Ok(read) = Signed::decode(&wrong) {
                assert!(
                    read == signed
                        || read.signers(&[key.public()]).is_empty()
                        || read.traces == signed.traces,
                    "byte {at}"
                );
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        for (from, to) in [
            ("recipe-traces 1", "recipe-traces 2"),
            ("made 1", "made 01"),
            ("step", "stop"),
            ("tree:", "blob:"),
            ("sign me", "sign me me"),
        ] {
            let wrong = text.replacen(from, to, 1);
            let good = Signed::decode(wrong.as_bytes())
                .is_ok_and(|read| !read.signers(&[key.public()]).is_empty());
            assert!(!good, "{from} -> {to}");
        }
    }

    #[test]
    fn only_keys_that_are_trusted_and_have_signed_count() {
        let (me, you, nobody) = (
            SecretKey::new("me").unwrap(),
            SecretKey::new("you").unwrap(),
            SecretKey::new("nobody").unwrap(),
        );
        let mut signed = traces().sign(&me);
        let also = traces().sign(&you).signatures;
        signed.signatures.extend(also);
        let trusted = [me.public(), nobody.public()];
        assert_eq!(signed.signers(&trusted), [&me.public()]);
        // Somebody else's signature under a name that is trusted.
        signed.signatures[0].1 = signed.signatures[1].1;
        assert!(signed.signers(&trusted).is_empty());
    }
}
