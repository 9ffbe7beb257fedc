//! Text with frames → the bytes or the text inside (RFC 9580, sections 6 and 7).
//!
//! Checksums of armour are not looked at, as section 6.1 says: what counts is signed anyway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SignatureError;

const BEGIN_MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";
const BEGIN_KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END_KEY: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// A clear-signed file, taken apart; nothing of it is believed yet.
#[derive(Debug)]
pub(super) struct ClearSigned {
    /// The text, with `\n` between its lines and without white space at their ends.
    pub(super) text: String,
    /// Packets of signatures.
    pub(super) signatures: Vec<u8>,
}

/// Takes a clear-signed file apart. It must be exactly one block, from the first byte to the last.
pub(super) fn clear_signed(file: &[u8]) -> Result<ClearSigned, SignatureError> {
    let frame = |reason: &str| SignatureError::Frame(reason.into());
    let file = std::str::from_utf8(file).map_err(|_| frame("it is not UTF-8 text"))?;
    if file.bytes().any(|byte| matches!(byte, b'\r' | 0)) {
        return Err(frame("it holds carriage returns or zero bytes"));
    }
    let mut lines = file.lines();
    if lines.next() != Some(BEGIN_MESSAGE) {
        return Err(frame("it does not begin with a signed message"));
    }
    for header in lines.by_ref().take_while(|line| !line.trim().is_empty()) {
        if !header.starts_with("Hash: ") {
            return Err(frame("it has a header that is not signed"));
        }
    }
    let mut text = Vec::new();
    loop {
        let line = lines
            .next()
            .ok_or_else(|| frame("its signature does not begin"))?
            .trim_end_matches([' ', '\t']);
        if line == BEGIN_SIGNATURE {
            break;
        }
        // Lines that begin with a dash are escaped: a bare one is a frame.
        match (line.strip_prefix("- "), line) {
            (Some(line), _) => text.push(line),
            (None, "-") => text.push(""),
            (None, line) if line.starts_with('-') => {
                return Err(frame("it has a second frame inside its text"));
            }
            (None, line) => text.push(line),
        }
    }
    let mut armour = Vec::new();
    loop {
        let line = lines
            .next()
            .ok_or_else(|| frame("its signature does not end"))?
            .trim_end();
        if line == END_SIGNATURE {
            break;
        }
        if line.starts_with('-') {
            return Err(frame("it has a second frame inside its signature"));
        }
        armour.push(line);
    }
    if lines.any(|line| !line.trim().is_empty()) {
        return Err(frame("there is text after the signature"));
    }
    Ok(ClearSigned {
        text: text.join("\n"),
        signatures: decode(&armour).map_err(SignatureError::Unreadable)?,
    })
}

/// The packets of a file with public keys, armoured or not. What stands around the frames is not read.
pub(super) fn key_packets(file: &[u8]) -> Result<Vec<u8>, String> {
    let text = match std::str::from_utf8(file) {
        Ok(text) if text.contains(BEGIN_KEY) => text,
        _ => return Ok(file.to_vec()),
    };
    let (mut packets, mut lines) = (Vec::new(), text.lines().map(str::trim_end));
    while lines.any(|line| line == BEGIN_KEY) {
        let mut armour = Vec::new();
        loop {
            match lines.next() {
                Some(END_KEY) => break,
                Some(line) => armour.push(line),
                None => return Err("its armour does not end".into()),
            }
        }
        packets.extend(decode(&armour)?);
    }
    Ok(packets)
}

/// The bytes of an armour: its headers, an empty line, base64, and perhaps a checksum.
fn decode(lines: &[&str]) -> Result<Vec<u8>, String> {
    let mut lines = lines.iter();
    if !lines.any(|line| line.is_empty()) {
        return Err("its armour has no empty line before the data".into());
    }
    let data: String = lines
        .take_while(|line| !line.starts_with('='))
        .copied()
        .collect();
    STANDARD
        .decode(data)
        .map_err(|error| format!("its armour is not base64: {error}"))
}
