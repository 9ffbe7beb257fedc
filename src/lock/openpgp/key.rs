//! Packets → [`Certificate`]s: public keys and what is said about them (RFC 9580, sections 5.5 and 10.1).
//!
//! Keys of version 4 are read. Signatures of RSA and Ed25519 are verified, by `ring`; others never fit.

use ring::digest;
use ring::signature::{self as verify, RsaParameters, UnparsedPublicKey};

use super::packet::{self, Packet, Reader};
use super::signature::{Hash, Signature};

/// The curve of Ed25519 where its key names it (section 9.2).
const ED25519: [u8; 9] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];

/// One public key.
#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    /// When it was made, in seconds since 1970.
    pub(super) created: u64,
    pub(super) fingerprint: [u8; 20],
    material: Material,
    /// What is hashed of it.
    hashed: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Ed25519(Vec<u8>),
    /// The number of another algorithm.
    Other(u8),
}

impl PublicKey {
    /// Reads the body of a packet; nothing for a version that is not known.
    fn read(body: &[u8]) -> Result<Option<PublicKey>, String> {
        let mut rest = Reader(body);
        if rest.byte()? != 4 {
            return Ok(None);
        }
        let created = rest.number(4)? as u64;
        let material = match rest.byte()? {
            1 | 3 => Material::Rsa {
                modulus: rest.integer()?.to_vec(),
                exponent: rest.integer()?.to_vec(),
            },
            22 => {
                let length = rest.byte()?.into();
                match (rest.take(length)? == ED25519, rest.integer()?) {
                    (true, [0x40, point @ ..]) => Material::Ed25519(point.to_vec()),
                    _ => Material::Other(22),
                }
            }
            27 => Material::Ed25519(rest.take(32)?.to_vec()),
            other => Material::Other(other),
        };
        let length = u16::try_from(body.len()).map_err(|_| "a key is too long")?;
        let hashed = [&[0x99], &length.to_be_bytes()[..], body].concat();
        // What else than SHA-1 a fingerprint of version 4 is, it is not said.
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &hashed);
        let mut fingerprint = [0; 20];
        fingerprint.copy_from_slice(digest.as_ref());
        Ok(Some(PublicKey {
            created,
            fingerprint,
            material,
            hashed,
        }))
    }

    /// Why no signature of this key is ever accepted.
    pub(super) fn weakness(&self) -> Option<String> {
        match &self.material {
            // ring takes moduli from 2,041 bits on for ones of 2,048.
            Material::Rsa { modulus, .. } if modulus.len() < 256 => {
                Some("its RSA key is shorter than 2048 bits".into())
            }
            Material::Rsa { .. } | Material::Ed25519(_) => None,
            Material::Other(id) => Some(format!(
                "its algorithm, number {id}, is neither RSA nor Ed25519"
            )),
        }
    }

    /// Whether a signature of `parts` was made with this key.
    pub(super) fn made(&self, signature: &Signature, parts: &[&[u8]]) -> bool {
        if signature.strange {
            return false;
        }
        let signed = signature.signed(parts);
        match (&self.material, signature.algorithm) {
            (Material::Rsa { modulus, exponent }, 1 | 3) => {
                let Some(parameters) = rsa_with(signature.hash) else {
                    return false;
                };
                let Ok(value) = Reader(&signature.values).integer() else {
                    return false;
                };
                let key = verify::RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                widened(value, modulus.len())
                    .is_some_and(|value| key.verify(parameters, &signed, &value).is_ok())
            }
            (Material::Ed25519(point), algorithm @ (22 | 27)) => {
                let (Some(hash), Some(value)) = (
                    digest_with(signature.hash),
                    ed25519_value(&signature.values, algorithm),
                ) else {
                    return false;
                };
                let digest = digest::digest(hash, &signed);
                UnparsedPublicKey::new(&verify::ED25519, point)
                    .verify(digest.as_ref(), &value)
                    .is_ok()
            }
            _ => false,
        }
    }
}

fn rsa_with(hash: Hash) -> Option<&'static RsaParameters> {
    match hash {
        Hash::Sha256 => Some(&verify::RSA_PKCS1_2048_8192_SHA256),
        Hash::Sha384 => Some(&verify::RSA_PKCS1_2048_8192_SHA384),
        Hash::Sha512 => Some(&verify::RSA_PKCS1_2048_8192_SHA512),
        Hash::Other(_) => None,
    }
}

fn digest_with(hash: Hash) -> Option<&'static digest::Algorithm> {
    match hash {
        Hash::Sha256 => Some(&digest::SHA256),
        Hash::Sha384 => Some(&digest::SHA384),
        Hash::Sha512 => Some(&digest::SHA512),
        Hash::Other(_) => None,
    }
}

/// The 64 bytes of an Ed25519 signature: as they are, or as two integers.
fn ed25519_value(values: &[u8], algorithm: u8) -> Option<Vec<u8>> {
    let mut rest = Reader(values);
    if algorithm == 27 {
        return rest.take(64).ok().map(<[u8]>::to_vec);
    }
    let mut half = || widened(rest.integer().ok()?, 32);
    Some([half()?, half()?].concat())
}

/// A number with zeros before it until it is `width` bytes long.
fn widened(number: &[u8], width: usize) -> Option<Vec<u8>> {
    let zeros = width.checked_sub(number.len())?;
    Some([&vec![0; zeros], number].concat())
}

/// A primary key and everything that was found with it. Nothing of it is believed yet.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) primary: PublicKey,
    /// Signatures over the primary key alone: direct ones and revocations.
    pub(super) direct: Vec<Signature>,
    /// User ids with their signatures.
    pub(super) users: Vec<(Vec<u8>, Vec<Signature>)>,
    /// Subkeys with their signatures.
    pub(super) subkeys: Vec<(PublicKey, Vec<Signature>)>,
}

/// Whose signatures come next.
enum Subject {
    Primary,
    User,
    Subkey,
    /// Something that is not read.
    Nobody,
}

impl Certificate {
    /// Every certificate of a key ring; such as begin with a key of another version are passed over.
    pub(super) fn read_all(bytes: &[u8]) -> Result<Vec<Certificate>, String> {
        let mut packets = packet::packets(bytes)?.into_iter().peekable();
        if packets
            .peek()
            .is_some_and(|first| first.kind != packet::PUBLIC_KEY)
        {
            return Err("it does not begin with a public key".into());
        }
        let (mut all, mut current, mut subject) = (Vec::new(), None, Subject::Nobody);
        for packet in packets {
            if packet.kind == packet::PUBLIC_KEY {
                all.extend(current.take());
                current = PublicKey::read(packet.body)?.map(Certificate::of);
                subject = Subject::Primary;
            } else if let Some(certificate) = &mut current {
                certificate.add(&packet, &mut subject)?;
            }
        }
        all.extend(current);
        Ok(all)
    }

    fn add(&mut self, packet: &Packet<'_>, subject: &mut Subject) -> Result<(), String> {
        match packet.kind {
            packet::SIGNATURE => {
                let to = match subject {
                    Subject::Primary => Some(&mut self.direct),
                    Subject::User => self.users.last_mut().map(|(_, to)| to),
                    Subject::Subkey => self.subkeys.last_mut().map(|(_, to)| to),
                    Subject::Nobody => None,
                };
                if let Some(to) = to {
                    to.extend(Signature::read(packet.body)?);
                }
            }
            packet::USER_ID => {
                self.users.push((packet.body.to_vec(), Vec::new()));
                *subject = Subject::User;
            }
            packet::PUBLIC_SUBKEY => {
                let key = PublicKey::read(packet.body)?;
                *subject = key.as_ref().map_or(Subject::Nobody, |_| Subject::Subkey);
                self.subkeys.extend(key.map(|key| (key, Vec::new())));
            }
            // Notes of gpg to itself stand between a key and its signatures.
            packet::MARKER | packet::TRUST => {}
            _ => *subject = Subject::Nobody,
        }
        Ok(())
    }

    fn of(primary: PublicKey) -> Certificate {
        Certificate {
            primary,
            direct: Vec::new(),
            users: Vec::new(),
            subkeys: Vec::new(),
        }
    }

    /// Whether the primary key made a signature about itself.
    pub(super) fn says_of_itself(&self, signature: &Signature) -> bool {
        self.primary.made(signature, &[&self.primary.hashed])
    }

    /// Whether the primary key made a signature about one of its user ids.
    pub(super) fn says_of_user(&self, signature: &Signature, user: &[u8]) -> bool {
        let length = u32::try_from(user.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.primary
            .made(signature, &[&self.primary.hashed, &[0xb4], &length, user])
    }

    /// Whether the primary key made a signature about a subkey.
    pub(super) fn says_of_subkey(&self, signature: &Signature, subkey: &PublicKey) -> bool {
        self.primary
            .made(signature, &[&self.primary.hashed, &subkey.hashed])
    }

    /// Whether a subkey made a signature about the primary key.
    pub(super) fn is_said_by_subkey(&self, signature: &Signature, subkey: &PublicKey) -> bool {
        subkey.made(signature, &[&self.primary.hashed, &subkey.hashed])
    }
}
