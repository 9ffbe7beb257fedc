//! Ed25519 keys: who vouches for what a cache holds, and who is believed. Begin at [`SecretKey`] and [`PublicKey`].
//!
//! A public key is one word, `NAME:BASE64`, that people send each other. The secret one is the same with the
//! 32 bytes of the seed (RFC 8032), in a file that is its owner's alone. A name is for people: what counts
//! is the bytes.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// Bytes of a public key, and of a seed.
pub const KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
const MAGIC: &str = "recipe-secret-key 1 ";

/// A key that can be given to everybody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    name: String,
    bytes: [u8; KEY_BYTES],
}

/// A key that signs.
pub struct SecretKey {
    name: String,
    seed: [u8; KEY_BYTES],
    pair: Ed25519KeyPair,
}

impl PublicKey {
    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes, which are what counts.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    /// Whether `signature` is this key's, over exactly these bytes.
    pub fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.bytes)
            .verify(text, signature)
            .is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64_STANDARD.encode(self.bytes))
    }
}

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<PublicKey, String> {
        let (name, bytes) = parts(text)?;
        Ok(PublicKey { name, bytes })
    }
}

/// A secret is not for logs.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.name)
    }
}

impl SecretKey {
    /// A new key from the system's randomness; else why there is none.
    pub fn new(name: &str) -> Result<SecretKey, String> {
        check_name(name)?;
        let mut seed = [0; KEY_BYTES];
        let filled = SystemRandom::new().fill(&mut seed);
        filled.map_err(|_| "the system gives no random bytes")?;
        SecretKey::of(name.to_owned(), seed)
    }

    fn of(name: String, seed: [u8; KEY_BYTES]) -> Result<SecretKey, String> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed);
        let pair = pair.map_err(|_| "its bytes are no seed".to_owned())?;
        Ok(SecretKey { name, seed, pair })
    }

    /// The text of its file.
    pub fn encode(&self) -> String {
        format!(
            "{MAGIC}{}:{}\n",
            self.name,
            BASE64_STANDARD.encode(self.seed)
        )
    }

    /// Reads what [`SecretKey::encode`] writes. What is wrong is told without the bytes.
    pub fn decode(text: &str) -> Result<SecretKey, String> {
        let word = text
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.strip_suffix('\n'))
            .ok_or_else(|| format!("it is not a line `{}NAME:BASE64`", MAGIC))?;
        let (name, seed) = parts(word)?;
        SecretKey::of(name, seed)
    }

    /// What others verify with.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; KEY_BYTES];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey {
            name: self.name.clone(),
            bytes,
        }
    }

    /// The signature over these bytes.
    pub fn sign(&self, text: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes.copy_from_slice(self.pair.sign(text).as_ref());
        bytes
    }
}

/// `NAME:BASE64`.
fn parts(text: &str) -> Result<(String, [u8; KEY_BYTES]), String> {
    let (name, bytes) = text
        .split_once(':')
        .ok_or("it is not of the form NAME:BASE64")?;
    check_name(name)?;
    let decoded = BASE64_STANDARD.decode(bytes).ok();
    let bytes = decoded.and_then(|bytes| bytes.try_into().ok());
    Ok((
        name.to_owned(),
        bytes.ok_or_else(|| format!("after the `:` are not {KEY_BYTES} bytes in base64"))?,
    ))
}

/// A name is part of a line, and of a file's name.
pub fn check_name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= 64 && name.chars().all(good) {
        return Ok(());
    }
    Err("a key's name has up to 64 letters, digits and . - _ @, and begins with a letter or a digit".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_for_one_key_and_one_text() {
        let (one, two) = (
            SecretKey::new("one").unwrap(),
            SecretKey::new("two").unwrap(),
        );
        let signature = one.sign(b"text");
        assert!(one.public().has_signed(b"text", &signature));
        assert!(!one.public().has_signed(b"Text", &signature));
        assert!(!two.public().has_signed(b"text", &signature));
        for at in 0..signature.len() {
            let mut wrong = signature;
            wrong[at] ^= 1;
            assert!(!one.public().has_signed(b"text", &wrong), "byte {at}");
        }
        assert!(!one.public().has_signed(b"text", &[]));
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_not_otherwise() {
        let key = SecretKey::new("a.team@site-1").unwrap();
        assert_eq!(
            SecretKey::decode(&key.encode()).unwrap().public(),
            key.public()
        );
        let public = key.public().to_string();
        assert_eq!(public.parse(), Ok(key.public()));
        for wrong in [
            "",
            "a",
            "a:",
            ":AAAA",
            "a b:AAAA",
            "../x:AAAA",
            &public[..public.len() - 1],
        ] {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
            assert!(SecretKey::decode(wrong).is_err(), "{wrong}");
        }
        // RFC 8032, section 7.1, the second test.
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let bytes = |hex: &str| -> Vec<u8> {
            let pairs = hex.as_bytes().chunks(2);
            pairs
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect()
        };
        let key = SecretKey::of("rfc".into(), bytes(seed).try_into().unwrap()).unwrap();
        assert_eq!(
            key.public().bytes().to_vec(),
            bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
        );
        assert_eq!(
            key.sign(&[0x72]).to_vec(),
            bytes(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            )
        );
    }
}
