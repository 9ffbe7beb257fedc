//! A clear-signed `InRelease` → the text that trusted keys signed. Begin at [`Keyring::verify`].
//!
//! Only signed bytes come out. The frame is stricter than OpenPGP allows: one block, nothing before or
//! after it, no CR. A signature counts when its hash is SHA-2, it is neither from the future nor expired, and
//! its key is ours, bound to its primary key, neither expired nor revoked. Debian signs with several
//! keys; one good signature is enough, signatures of unknown keys say nothing, and a wrong
//! signature of a known key refuses the whole.

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, PublicParams, Tag, VerifyingKey};
use thiserror::Error;

/// Debian's archive keys; `keys/README.md` names them.
const DEBIAN: [&str; 9] = [
    include_str!("keys/debian-archive-bullseye-automatic.asc"),
    include_str!("keys/debian-archive-bullseye-security-automatic.asc"),
    include_str!("keys/debian-archive-bullseye-stable.asc"),
    include_str!("keys/debian-archive-bookworm-automatic.asc"),
    include_str!("keys/debian-archive-bookworm-security-automatic.asc"),
    include_str!("keys/debian-archive-bookworm-stable.asc"),
    include_str!("keys/debian-archive-trixie-automatic.asc"),
    include_str!("keys/debian-archive-trixie-security-automatic.asc"),
    include_str!("keys/debian-archive-trixie-stable.asc"),
];

const BEGIN_MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";

/// No archive signs with more keys than this; checking costs time.
const MOST_SIGNATURES: usize = 16;

/// A clock may be this wrong (seconds) before a signature counts as one from the future.
const CLOCK_SLACK: u64 = 3_600;

/// Why a signed file is not believed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SignatureError {
    /// Not exactly one clear-signed block.
    #[error("it is not one clear-signed text and nothing else: {0}")]
    Frame(String),
    /// The signature's own bytes make no sense.
    #[error("its signature cannot be read: {0}")]
    Unreadable(String),
    /// The text is not what a known key signed.
    #[error("the signature of key {key} does not fit the text: the file was altered")]
    Wrong {
        /// Fingerprint of the primary key.
        key: String,
    },
    /// No signature by a key we have.
    #[error(
        "no signature is by a key that is trusted (it is signed by {})",
        show(keys)
    )]
    Unknown {
        /// What the signatures say of their keys.
        keys: Vec<String>,
    },
    /// A known key signed, but the key or the signature is not acceptable.
    #[error("the signature of key {key} is not accepted: {reason}")]
    Refused {
        /// Fingerprint of the primary key.
        key: String,
        /// Why.
        reason: String,
    },
    /// A known key signed, in the future.
    #[error(
        "the signature of key {key} was made {seconds} s after the time of this machine's clock"
    )]
    Ahead {
        /// Fingerprint of the primary key.
        key: String,
        /// How far ahead.
        seconds: u64,
    },
    /// A file with keys holds none.
    #[error("not an OpenPGP public key: {0}")]
    Key(String),
}

fn show(keys: &[String]) -> String {
    if keys.is_empty() {
        "nobody".into()
    } else {
        keys.join(", ")
    }
}

/// A text whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Exactly what was signed, with plain line ends.
    pub text: String,
    /// Fingerprints of the primary keys with a good signature, upper-case hex, sorted.
    pub keys: Vec<String>,
}

/// The keys that are trusted.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

impl Keyring {
    /// Debian's archive keys, as they are compiled in.
    pub fn debian() -> Result<Keyring, SignatureError> {
        let mut keyring = Keyring::default();
        for text in DEBIAN {
            keyring.add(text.as_bytes())?;
        }
        Ok(keyring)
    }

    /// Trusts more keys: an armoured or a binary key ring.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), SignatureError> {
        let bad = |error: pgp::errors::Error| SignatureError::Key(error.to_string());
        let keys: Vec<SignedPublicKey> = if bytes.starts_with(b"-----") {
            let (keys, _) = SignedPublicKey::from_armor_many(bytes).map_err(bad)?;
            keys.collect::<Result<_, _>>().map_err(bad)?
        } else {
            SignedPublicKey::from_bytes_many(bytes)
                .map_err(bad)?
                .collect::<Result<_, _>>()
                .map_err(bad)?
        };
        if keys.is_empty() {
            return Err(SignatureError::Key("the file is empty".into()));
        }
        self.keys.extend(keys);
        Ok(())
    }

    /// Fingerprints of the primary keys, upper-case hex.
    #[cfg(test)]
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys
            .iter()
            .map(|key| fingerprint(&key.primary_key))
            .collect()
    }

    /// The text that trusted keys signed. `now` is seconds since 1970.
    pub fn verify(&self, file: &[u8], now: u64) -> Result<Signed, SignatureError> {
        let text = check_frame(file)?;
        let (message, _) = CleartextSignedMessage::from_string(text)
            .map_err(|error| SignatureError::Unreadable(error.to_string()))?;
        if message.signatures().len() > MOST_SIGNATURES {
            return Err(SignatureError::Unreadable(format!(
                "more than {MOST_SIGNATURES} signatures"
            )));
        }
        let signed_text = message.signed_text();
        let (mut good, mut unknown, mut refused) = (Vec::new(), Vec::new(), None);
        for signature in message.signatures() {
            let Some(signer) = self.signer(signature) else {
                unknown.push(issuer(signature));
                continue;
            };
            let key = fingerprint(&signer.primary.primary_key);
            if let Err(reason) = acceptable(signature, now) {
                refused = Some(SignatureError::Refused { key, reason });
                continue;
            }
            let created = signature
                .created()
                .map_or(0, |time| u64::from(time.as_secs()));
            if created > now + CLOCK_SLACK {
                refused = Some(SignatureError::Ahead {
                    key,
                    seconds: created - now,
                });
                continue;
            }
            if signer.verify(signature, signed_text.as_bytes()).is_err() {
                return Err(SignatureError::Wrong { key });
            }
            match signer.usable(signature, now) {
                Ok(()) => good.push(key),
                Err(reason) => refused = Some(SignatureError::Refused { key, reason }),
            }
        }
        if good.is_empty() {
            return Err(refused.unwrap_or(SignatureError::Unknown { keys: unknown }));
        }
        good.sort();
        good.dedup();
        Ok(Signed {
            text: signed_text.replace("\r\n", "\n"),
            keys: good,
        })
    }

    /// The key that a signature names.
    fn signer(&self, signature: &Signature) -> Option<Signer<'_>> {
        self.keys.iter().find_map(|primary| {
            if names(signature, &primary.primary_key) {
                return Some(Signer { primary, sub: None });
            }
            let sub = primary
                .public_subkeys
                .iter()
                .find(|sub| names(signature, &sub.key))?;
            Some(Signer {
                primary,
                sub: Some(sub),
            })
        })
    }
}

/// A trusted key, and the subkey of it that signed.
struct Signer<'a> {
    primary: &'a SignedPublicKey,
    sub: Option<&'a SignedPublicSubKey>,
}

impl Signer<'_> {
    fn verify(&self, signature: &Signature, text: &[u8]) -> pgp::errors::Result<()> {
        match self.sub {
            Some(sub) => signature.verify(&sub.key, text),
            None => signature.verify(&self.primary.primary_key, text),
        }
    }

    /// Whether the key may sign archives at `now`, and may have made this signature.
    fn usable(&self, signature: &Signature, now: u64) -> Result<(), String> {
        self.primary_lives(now)?;
        let (created, params) = match self.sub {
            Some(sub) => {
                self.sub_lives(sub, now)?;
                (sub.key.created_at(), sub.key.public_params())
            }
            None => (
                self.primary.primary_key.created_at(),
                self.primary.primary_key.public_params(),
            ),
        };
        if signature.created().is_none_or(|made| made < created) {
            return Err("it is older than the key".into());
        }
        // A modulus of 2048 bits is 256 bytes on the wire, its length and the exponent come on top.
        if let PublicParams::RSA(rsa) = params
            && rsa.write_len() < 256
        {
            return Err("its RSA key is shorter than 2048 bits".into());
        }
        Ok(())
    }

    fn primary_lives(&self, now: u64) -> Result<(), String> {
        let key = &self.primary.primary_key;
        let details = &self.primary.details;
        if details
            .revocation_signatures
            .iter()
            .any(|revocation| revocation.verify_key(key).is_ok())
        {
            return Err("the key was revoked".into());
        }
        let own = details.users.iter().flat_map(|user| {
            user.signatures
                .iter()
                .filter(|signature| names(signature, key) && is_certification(signature))
                .filter(|signature| {
                    signature
                        .verify_certification(key, Tag::UserId, &user.id)
                        .is_ok()
                })
        });
        let direct = details
            .direct_signatures
            .iter()
            .filter(|signature| signature.verify_key(key).is_ok());
        // The newest statement of the key about itself is the one that counts.
        let newest = own
            .chain(direct)
            .max_by_key(|signature| signature.created());
        match newest {
            Some(statement) => lives(key, statement, now),
            None => Err("the key does not vouch for itself".into()),
        }
    }

    fn sub_lives(&self, sub: &SignedPublicSubKey, now: u64) -> Result<(), String> {
        let primary = &self.primary.primary_key;
        let valid = sub
            .signatures
            .iter()
            .filter(|binding| binding.verify_subkey_binding(primary, &sub.key).is_ok());
        let (revoked, bound): (Vec<_>, Vec<_>) =
            valid.partition(|binding| binding.typ() == Some(SignatureType::SubkeyRevocation));
        if !revoked.is_empty() {
            return Err("the subkey was revoked".into());
        }
        let Some(binding) = bound.into_iter().max_by_key(|binding| binding.created()) else {
            return Err("the subkey is not bound to its primary key".into());
        };
        let back = binding.embedded_signature();
        let answered =
            back.is_some_and(|back| back.verify_primary_key_binding(&sub.key, primary).is_ok());
        if !binding.key_flags().sign() || !answered {
            return Err("the subkey is not for signing".into());
        }
        lives(&sub.key, binding, now)
    }
}

/// Exactly one clear-signed block, from the first byte to the last.
fn check_frame(file: &[u8]) -> Result<&str, SignatureError> {
    let frame = |reason: &str| SignatureError::Frame(reason.into());
    let text = std::str::from_utf8(file).map_err(|_| frame("it is not UTF-8 text"))?;
    if text.bytes().any(|byte| matches!(byte, b'\r' | 0)) {
        return Err(frame("it holds carriage returns or zero bytes"));
    }
    let mut lines = text.lines();
    if lines.next() != Some(BEGIN_MESSAGE) {
        return Err(frame("it does not begin with a signed message"));
    }
    let mut stage = 0;
    for line in lines {
        match (stage, line.trim_end()) {
            // Inside the text a line that begins with dashes is escaped; a bare one is a frame.
            (0, BEGIN_SIGNATURE) => stage = 1,
            (1, END_SIGNATURE) => stage = 2,
            (0, line) if line.starts_with("--") => {
                return Err(frame("it has a second frame inside its text"));
            }
            (1, line) if line.starts_with("--") => {
                return Err(frame("it has a second frame inside its signature"));
            }
            (2, "") => {}
            (2, _) => return Err(frame("there is text after the signature")),
            _ => {}
        }
    }
    if stage == 2 {
        Ok(text)
    } else {
        Err(frame("its signature does not end"))
    }
}

/// Whether a signature may count at all, whoever made it.
fn acceptable(signature: &Signature, now: u64) -> Result<(), String> {
    if !matches!(
        signature.typ(),
        Some(SignatureType::Text | SignatureType::Binary)
    ) {
        return Err("it is no signature of a document".into());
    }
    match signature.hash_alg() {
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) => {}
        Some(weak) => return Err(format!("its hash {weak} is not accepted")),
        None => return Err("its version is not known".into()),
    }
    let Some(created) = signature.created().map(|time| u64::from(time.as_secs())) else {
        return Err("it does not say when it was made".into());
    };
    let lasts = signature
        .signature_expiration_time()
        .map_or(0, |time| u64::from(time.as_secs()));
    if lasts > 0 && created + lasts <= now {
        return Err("it has expired".into());
    }
    Ok(())
}

/// Whether a key that `statement` speaks of has not expired.
fn lives(key: &impl KeyDetails, statement: &Signature, now: u64) -> Result<(), String> {
    let lasts = statement
        .key_expiration_time()
        .map_or(0, |time| u64::from(time.as_secs()));
    let ends = u64::from(key.created_at().as_secs()) + lasts;
    if lasts > 0 && ends <= now {
        return Err(format!(
            "the key expired on {}",
            crate::net::date::show(ends)
        ));
    }
    Ok(())
}

fn is_certification(signature: &Signature) -> bool {
    matches!(
        signature.typ(),
        Some(
            SignatureType::CertGeneric
                | SignatureType::CertPersona
                | SignatureType::CertCasual
                | SignatureType::CertPositive
        )
    )
}

/// Whether a signature says that this key made it. One that names nobody is by nobody.
fn names(signature: &Signature, key: &impl VerifyingKey) -> bool {
    let (fingerprints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
    if fingerprints.is_empty() {
        return ids.iter().any(|id| **id == key.legacy_key_id());
    }
    fingerprints
        .iter()
        .any(|fingerprint| **fingerprint == key.fingerprint())
}

fn issuer(signature: &Signature) -> String {
    let fingerprint = signature
        .issuer_fingerprint()
        .first()
        .map(|fingerprint| format!("{fingerprint:X}"));
    let id = || {
        signature
            .issuer_key_id()
            .first()
            .map(|id| id.to_string().to_uppercase())
    };
    fingerprint
        .or_else(id)
        .unwrap_or_else(|| "an unnamed key".into())
}

fn fingerprint(key: &impl KeyDetails) -> String {
    format!("{:X}", key.fingerprint())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
