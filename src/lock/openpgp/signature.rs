//! The body of a signature packet → [`Signature`] (RFC 9580, section 5.2). Only version 4 is read.

use super::packet::Reader;

/// What a signature is a signature of (section 5.2.1).
pub(super) mod kind {
    pub(in super::super) const TEXT: u8 = 0x01;
    pub(in super::super) const CERTIFICATIONS: std::ops::RangeInclusive<u8> = 0x10..=0x13;
    pub(in super::super) const SUBKEY_BINDING: u8 = 0x18;
    pub(in super::super) const PRIMARY_KEY_BINDING: u8 = 0x19;
    pub(in super::super) const DIRECT_KEY: u8 = 0x1f;
    pub(in super::super) const KEY_REVOCATION: u8 = 0x20;
    pub(in super::super) const SUBKEY_REVOCATION: u8 = 0x28;
}

/// A hash that signatures are made of (section 9.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
    /// One that is not accepted.
    Other(u8),
}

impl Hash {
    fn of(id: u8) -> Hash {
        match id {
            8 => Hash::Sha256,
            9 => Hash::Sha384,
            10 => Hash::Sha512,
            other => Hash::Other(other),
        }
    }

    /// Its name.
    pub(super) fn name(self) -> String {
        match self {
            Hash::Sha256 => "SHA256".into(),
            Hash::Sha384 => "SHA384".into(),
            Hash::Sha512 => "SHA512".into(),
            Hash::Other(1) => "MD5".into(),
            Hash::Other(2) => "SHA1".into(),
            Hash::Other(id) => format!("number {id}"),
        }
    }
}

/// A signature, as it describes itself. Times are seconds since 1970, durations seconds.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    pub(super) kind: u8,
    /// Number of the algorithm of its key.
    pub(super) algorithm: u8,
    pub(super) hash: Hash,
    /// When it was made; it must say so where it cannot be altered.
    pub(super) created: Option<u64>,
    /// How long it counts; 0 is for ever.
    pub(super) lasts: u64,
    /// How long the key that it speaks of counts; 0 is for ever.
    pub(super) key_lasts: u64,
    /// Whether the key that it speaks of is for signing.
    pub(super) may_sign: bool,
    /// Fingerprints and key ids of who made it, by its own words.
    pub(super) fingerprints: Vec<[u8; 20]>,
    pub(super) ids: Vec<[u8; 8]>,
    /// What a subkey says of its primary key.
    pub(super) back: Option<Box<Signature>>,
    /// It has a part that must be understood and is not.
    pub(super) strange: bool,
    /// What is hashed of it.
    hashed: Vec<u8>,
    /// The numbers that make it a signature.
    pub(super) values: Vec<u8>,
}

impl Signature {
    /// Reads the body of a packet; nothing for a version that is not known.
    pub(super) fn read(body: &[u8]) -> Result<Option<Signature>, String> {
        Signature::read_at(body, 0)
    }

    fn read_at(body: &[u8], depth: u8) -> Result<Option<Signature>, String> {
        let mut rest = Reader(body);
        if rest.byte()? != 4 {
            return Ok(None);
        }
        let (kind, algorithm, hash) = (rest.byte()?, rest.byte()?, Hash::of(rest.byte()?));
        let length = rest.number(2)?;
        let protected = rest.take(length)?;
        let hashed = body[..6 + length].to_vec();
        let length = rest.number(2)?;
        let open = rest.take(length)?;
        // The first 16 bits of the digest: a hint only.
        rest.take(2)?;
        let mut signature = Signature {
            kind,
            algorithm,
            hash,
            created: None,
            lasts: 0,
            key_lasts: 0,
            may_sign: false,
            fingerprints: Vec::new(),
            ids: Vec::new(),
            back: None,
            strange: false,
            hashed,
            values: rest.0.to_vec(),
        };
        signature.read_parts(protected, true, depth)?;
        signature.read_parts(open, false, depth)?;
        Ok(Some(signature))
    }

    /// Section 5.2.3.7. Who made a signature shows when it is verified, so anybody may write that.
    fn read_parts(&mut self, bytes: &[u8], protected: bool, depth: u8) -> Result<(), String> {
        let mut rest = Reader(bytes);
        while !rest.0.is_empty() {
            let length = rest.length()?;
            let mut part = Reader(rest.take(length)?);
            let head = part.byte()?;
            match (head & 0x7f, protected) {
                (2, true) => self.created = Some(part.number(4)? as u64),
                (3, true) => self.lasts = part.number(4)? as u64,
                (9, true) => self.key_lasts = part.number(4)? as u64,
                (27, true) => self.may_sign = part.0.first().is_some_and(|flags| flags & 2 != 0),
                (16, _) => self.ids.extend(<[u8; 8]>::try_from(part.0)),
                (33, _) => {
                    if let [4, fingerprint @ ..] = part.0 {
                        self.fingerprints.extend(<[u8; 20]>::try_from(fingerprint));
                    }
                }
                // One in it has none in turn.
                (32, _) if depth == 0 => {
                    self.back = Signature::read_at(part.0, 1)?.map(Box::new);
                }
                // What the owner of the key prefers and permits others to do.
                (4..=7 | 11 | 21..=26 | 28..=32 | 34 | 35, _) => {}
                _ => self.strange |= protected && head & 0x80 != 0,
            }
        }
        Ok(())
    }

    /// All that is hashed when `parts` are signed (section 5.2.4).
    pub(super) fn signed(&self, parts: &[&[u8]]) -> Vec<u8> {
        let length = u32::try_from(self.hashed.len()).unwrap_or(u32::MAX);
        let mut bytes = parts.concat();
        bytes.extend_from_slice(&self.hashed);
        bytes.extend_from_slice(&[4, 0xff]);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes
    }
}
