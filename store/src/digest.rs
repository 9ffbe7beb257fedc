//! Bytes → [`Digest`] (BLAKE3), and the ids made of one. Begin at [`ObjectId`] and [`StepKey`].
//!
//! What was asked ([`StepKey`]) and what came out ([`ObjectId`]) are different types, so the compiler
//! refuses to mix them. Text forms: a digest is 64 lower-case hex digits; an id is
//! `blob:<hex>:<size>` or `tree:<hex>:<size>`, the size in decimal without leading zeros.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The BLAKE3 hash of some bytes. Shown and parsed as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// What a step *is*: the hash of everything that can change what it makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey(pub Digest);

/// The id of a blob: the hash of its bytes, and how many they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId {
    /// BLAKE3 of the blob's bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
}

/// The id of a tree: the hash of its encoded Directory message, and how many bytes that has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId {
    /// BLAKE3 of the encoded message.
    pub digest: Digest,
    /// Number of bytes of the encoded message (not of the files in the tree).
    pub size: u64,
}

/// What a step *made*: a blob or a tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectId {
    /// Plain bytes.
    Blob(BlobId),
    /// A directory with all that is below it.
    Tree(TreeId),
}

/// A text that is not a digest, step key or object id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not {wanted}")]
pub struct IdError {
    /// What was read.
    pub text: String,
    /// What it should have been.
    pub wanted: &'static str,
}

impl Digest {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// A digest whose 32 bytes are already known.
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 lower-case hex digits, without an allocation.
    pub fn hex(&self) -> Hex {
        let mut out = [0; 64];
        for (pair, byte) in out.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Hex(out)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The hex digits of a [`Digest`]; dereferences to `str`.
#[derive(Clone, Copy)]
pub struct Hex([u8; 64]);

impl std::ops::Deref for Hex {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl FromStr for Digest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Digest, IdError> {
        digest_of_hex(text.as_bytes()).ok_or_else(|| refused(text, "64 lower-case hex digits"))
    }
}

/// Reads exactly 64 lower-case hex digits.
pub(crate) fn digest_of_hex(text: &[u8]) -> Option<Digest> {
    if text.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    let mut all = 0;
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| NIBBLES[usize::from(digit)]);
        *byte = high << 4 | low & 15;
        all |= high | low;
    }
    // Only what is no digit has a bit above the fourth.
    (all < 16).then_some(Digest(out))
}

/// The value of each digit; 255 for what is none.
const NIBBLES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Reads a decimal number that has one spelling only: no sign, no leading zero.
pub(crate) fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn refused(text: &str, wanted: &'static str) -> IdError {
    // Foreign text ends up in messages: keep it short.
    IdError {
        text: text.chars().take(200).collect(),
        wanted,
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex()[..12])
    }
}

impl StepKey {
    /// The key whose pre-image is `bytes`.
    pub fn of(preimage: &[u8]) -> StepKey {
        StepKey(Digest::of(preimage))
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step:{:?}", self.0)
    }
}

impl FromStr for StepKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<StepKey, IdError> {
        text.parse().map(StepKey)
    }
}

impl BlobId {
    /// The id of these bytes.
    pub fn of(bytes: &[u8]) -> BlobId {
        BlobId {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
        }
    }
}

impl TreeId {
    /// The id of an encoded Directory message.
    pub fn of(encoded: &[u8]) -> TreeId {
        TreeId {
            digest: Digest::of(encoded),
            size: encoded.len() as u64,
        }
    }
}

impl ObjectId {
    /// The hash, whatever the kind.
    pub fn digest(&self) -> Digest {
        match self {
            ObjectId::Blob(id) => id.digest,
            ObjectId::Tree(id) => id.digest,
        }
    }
}

impl From<BlobId> for ObjectId {
    fn from(id: BlobId) -> ObjectId {
        ObjectId::Blob(id)
    }
}

impl From<TreeId> for ObjectId {
    fn from(id: TreeId) -> ObjectId {
        ObjectId::Tree(id)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blob:{}:{}", self.digest, self.size)
    }
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tree:{}:{}", self.digest, self.size)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectId::Blob(id) => id.fmt(f),
            ObjectId::Tree(id) => id.fmt(f),
        }
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blob:{:?}:{}", self.digest, self.size)
    }
}

impl fmt::Debug for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tree:{:?}:{}", self.digest, self.size)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectId::Blob(id) => id.fmt(f),
            ObjectId::Tree(id) => id.fmt(f),
        }
    }
}

impl FromStr for ObjectId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<ObjectId, IdError> {
        parse_id(text).ok_or_else(|| refused(text, "an object id like tree:<hex>:<size>"))
    }
}

fn parse_id(text: &str) -> Option<ObjectId> {
    let (kind, rest) = text.split_once(':')?;
    let (hex, size) = rest.split_once(':')?;
    let (digest, size) = (digest_of_hex(hex.as_bytes())?, number(size)?);
    match kind {
        "blob" => Some(ObjectId::Blob(BlobId { digest, size })),
        "tree" => Some(ObjectId::Tree(TreeId { digest, size })),
        _ => None,
    }
}

impl FromStr for BlobId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<BlobId, IdError> {
        match parse_id(text) {
            Some(ObjectId::Blob(id)) => Ok(id),
            _ => Err(refused(text, "a blob's id like blob:<hex>:<size>")),
        }
    }
}

impl FromStr for TreeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<TreeId, IdError> {
        match parse_id(text) {
            Some(ObjectId::Tree(id)) => Ok(id),
            _ => Err(refused(text, "a tree's id like tree:<hex>:<size>")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let blob = ObjectId::Blob(BlobId::of(b"hello"));
        let tree = ObjectId::Tree(TreeId::of(b""));
        for id in [blob, tree] {
            assert_eq!(id.to_string().parse::<ObjectId>(), Ok(id));
        }
        assert_eq!(
            tree.to_string(),
            "tree:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262:0"
        );
        assert_eq!(
            blob.to_string(),
            "blob:ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f:5"
        );
    }

    #[test]
    fn other_spellings_of_an_id_are_refused() {
        let good = BlobId::of(b"hello").to_string();
        for bad in [
            good.to_uppercase(),
            good.replace(":5", ":05"),
            good.replace(":5", ":+5"),
            good.replace(":5", ":"),
            good.replace(":5", ":99999999999999999999"),
            good.replace("blob:", "blob: "),
            good.replace("blob", "file"),
            format!("{good} "),
            good.replace("ea8f", "ea8g"),
        ] {
            assert!(bad.parse::<ObjectId>().is_err(), "{bad}");
        }
        assert!(good.parse::<TreeId>().is_err());
    }
}
