//! A clear-signed `InRelease` → the text that trusted keys signed. Begin at [`Keyring::verify`].
//!
//! Only signed bytes come out. The frame is stricter than OpenPGP allows: one block, nothing before or
//! after it, no CR. A signature counts when its hash is SHA-2, it is neither from the future nor expired, and
//! its key is ours, bound to its primary key, neither expired nor revoked. Debian signs with several
//! keys; one good signature is enough, signatures of unknown keys say nothing, and a wrong
//! signature of a known key refuses the whole.

mod armor;
mod key;
mod packet;
mod signature;

use key::{Certificate, PublicKey};
use signature::{Hash, Signature, kind};
use thiserror::Error;

/// Debian's archive keys; `../keys/README.md` names them.
const DEBIAN: [&str; 9] = [
    include_str!("../keys/debian-archive-bullseye-automatic.asc"),
    include_str!("../keys/debian-archive-bullseye-security-automatic.asc"),
    include_str!("../keys/debian-archive-bullseye-stable.asc"),
    include_str!("../keys/debian-archive-bookworm-automatic.asc"),
    include_str!("../keys/debian-archive-bookworm-security-automatic.asc"),
    include_str!("../keys/debian-archive-bookworm-stable.asc"),
    include_str!("../keys/debian-archive-trixie-automatic.asc"),
    include_str!("../keys/debian-archive-trixie-security-automatic.asc"),
    include_str!("../keys/debian-archive-trixie-stable.asc"),
];

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
    keys: Vec<Certificate>,
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
        let keys = armor::key_packets(bytes)
            .and_then(|packets| Certificate::read_all(&packets))
            .map_err(SignatureError::Key)?;
        if keys.is_empty() {
            return Err(SignatureError::Key("it holds none of version 4".into()));
        }
        self.keys.extend(keys);
        Ok(())
    }

    /// Fingerprints of the primary keys, upper-case hex.
    #[cfg(test)]
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys
            .iter()
            .map(|key| fingerprint(&key.primary))
            .collect()
    }

    /// The text that trusted keys signed. `now` is seconds since 1970.
    pub fn verify(&self, file: &[u8], now: u64) -> Result<Signed, SignatureError> {
        let unreadable = SignatureError::Unreadable;
        let message = armor::clear_signed(file)?;
        let packets = packet::packets(&message.signatures).map_err(unreadable)?;
        if packets.len() > MOST_SIGNATURES {
            return Err(unreadable(format!(
                "more than {MOST_SIGNATURES} signatures"
            )));
        }
        let signed_text = message.text.replace('\n', "\r\n");
        let (mut good, mut unknown, mut refused) = (Vec::new(), Vec::new(), None);
        for packet in packets {
            if packet.kind != packet::SIGNATURE {
                return Err(unreadable("it is not a signature".into()));
            }
            let Some(signature) = Signature::read(packet.body).map_err(unreadable)? else {
                unknown.push("a signature that is not of version 4".into());
                continue;
            };
            let Some(signer) = self.signer(&signature) else {
                unknown.push(issuer(&signature));
                continue;
            };
            let key = fingerprint(&signer.primary.primary);
            let created = match signer.acceptable(&signature, now) {
                Ok(created) => created,
                Err(reason) => {
                    refused = Some(SignatureError::Refused { key, reason });
                    continue;
                }
            };
            if created > now + CLOCK_SLACK {
                refused = Some(SignatureError::Ahead {
                    key,
                    seconds: created - now,
                });
                continue;
            }
            if !signer.key().made(&signature, &[signed_text.as_bytes()]) {
                return Err(SignatureError::Wrong { key });
            }
            match signer.usable(created, now) {
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
            text: message.text,
            keys: good,
        })
    }

    /// The key that a signature names.
    fn signer(&self, signature: &Signature) -> Option<Signer<'_>> {
        self.keys.iter().find_map(|primary| {
            if names(signature, &primary.primary) {
                return Some(Signer { primary, sub: None });
            }
            let sub = primary
                .subkeys
                .iter()
                .find(|(key, _)| names(signature, key))?;
            Some(Signer {
                primary,
                sub: Some(sub),
            })
        })
    }
}

/// A trusted key, and the subkey of it that signed.
struct Signer<'a> {
    primary: &'a Certificate,
    sub: Option<&'a (PublicKey, Vec<Signature>)>,
}

impl Signer<'_> {
    fn key(&self) -> &PublicKey {
        self.sub.map_or(&self.primary.primary, |(key, _)| key)
    }

    /// Whether a signature may count at all, before it is verified; when it was made.
    fn acceptable(&self, signature: &Signature, now: u64) -> Result<u64, String> {
        if signature.kind != kind::TEXT {
            return Err("it is no signature of a text".into());
        }
        if let weak @ Hash::Other(_) = signature.hash {
            return Err(format!("its hash {} is not accepted", weak.name()));
        }
        if signature.strange {
            return Err("it has a condition that is not understood here".into());
        }
        if let Some(weakness) = self.key().weakness() {
            return Err(weakness);
        }
        let Some(created) = signature.created else {
            return Err("it does not say when it was made".into());
        };
        if signature.lasts > 0 && created + signature.lasts <= now {
            return Err("it has expired".into());
        }
        Ok(created)
    }

    /// Whether the key may sign archives at `now`, and may have made a signature at `created`.
    fn usable(&self, created: u64, now: u64) -> Result<(), String> {
        self.primary_lives(now)?;
        if let Some((key, statements)) = self.sub {
            self.sub_lives(key, statements, now)?;
        }
        if created < self.key().created {
            return Err("it is older than the key".into());
        }
        Ok(())
    }

    fn primary_lives(&self, now: u64) -> Result<(), String> {
        let certificate = self.primary;
        let about_itself = |wanted: u8| {
            certificate
                .direct
                .iter()
                .filter(move |signature| signature.kind == wanted)
                .filter(|signature| certificate.says_of_itself(signature))
        };
        if about_itself(kind::KEY_REVOCATION).next().is_some() {
            return Err("the key was revoked".into());
        }
        let about_users = certificate.users.iter().flat_map(|(user, signatures)| {
            signatures
                .iter()
                .filter(|signature| kind::CERTIFICATIONS.contains(&signature.kind))
                .filter(|signature| names(signature, &certificate.primary))
                .filter(|signature| certificate.says_of_user(signature, user))
        });
        // The newest statement of the key about itself is the one that counts.
        let newest = about_users
            .chain(about_itself(kind::DIRECT_KEY))
            .max_by_key(|signature| signature.created);
        match newest {
            Some(statement) => lives(&certificate.primary, statement, now),
            None => Err("the key does not vouch for itself with a hash of SHA-2".into()),
        }
    }

    fn sub_lives(&self, key: &PublicKey, said: &[Signature], now: u64) -> Result<(), String> {
        let valid = |wanted: u8| {
            said.iter()
                .filter(move |signature| signature.kind == wanted)
                .filter(|signature| self.primary.says_of_subkey(signature, key))
        };
        if valid(kind::SUBKEY_REVOCATION).next().is_some() {
            return Err("the subkey was revoked".into());
        }
        let newest = valid(kind::SUBKEY_BINDING).max_by_key(|binding| binding.created);
        let Some(binding) = newest else {
            return Err("the subkey is not bound to its primary key".into());
        };
        let answered = binding.back.as_ref().is_some_and(|back| {
            back.kind == kind::PRIMARY_KEY_BINDING && self.primary.is_said_by_subkey(back, key)
        });
        if !binding.may_sign || !answered {
            return Err("the subkey is not for signing".into());
        }
        lives(key, binding, now)
    }
}

/// Whether a key that `statement` speaks of has not expired.
fn lives(key: &PublicKey, statement: &Signature, now: u64) -> Result<(), String> {
    let ends = key.created + statement.key_lasts;
    if statement.key_lasts > 0 && ends <= now {
        return Err(format!(
            "the key expired on {}",
            crate::net::date::show(ends)
        ));
    }
    Ok(())
}

/// Whether a signature says that this key made it. One that names nobody is by nobody.
fn names(signature: &Signature, key: &PublicKey) -> bool {
    if signature.fingerprints.is_empty() {
        // The id of a key is the end of its fingerprint (RFC 9580, section 5.5.4.2).
        return signature.ids.iter().any(|id| *id == key.fingerprint[12..]);
    }
    signature.fingerprints.contains(&key.fingerprint)
}

fn issuer(signature: &Signature) -> String {
    let names = signature.fingerprints.iter().map(<[u8; 20]>::as_slice);
    let ids = signature.ids.iter().map(<[u8; 8]>::as_slice);
    names
        .chain(ids)
        .next()
        .map_or_else(|| "an unnamed key".into(), upper_hex)
}

fn fingerprint(key: &PublicKey) -> String {
    upper_hex(&key.fingerprint)
}

fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
