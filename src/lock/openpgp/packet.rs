//! Bytes → packets (RFC 9580, section 4), and the numbers inside them. Every length is a claim.

/// What is left of some bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or("it is cut off, or a length in it is too large")?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// The next number of `width` bytes, at most four.
    pub(super) fn number(&mut self, width: usize) -> Result<usize, String> {
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// The next integer of any length (section 3.2), without zeros at its beginning.
    pub(super) fn integer(&mut self) -> Result<&'a [u8], String> {
        let bits = self.number(2)?;
        let mut bytes = self.take(bits.div_ceil(8))?;
        while let [0, rest @ ..] = bytes {
            bytes = rest;
        }
        Ok(bytes)
    }

    /// A length in one, two or five bytes, as new packets and parts of signatures have it.
    pub(super) fn length(&mut self) -> Result<usize, String> {
        match self.byte()? {
            short @ 0..192 => Ok(short.into()),
            255 => self.number(4),
            long => Ok(((usize::from(long) - 192) << 8) + usize::from(self.byte()?) + 192),
        }
    }
}

/// One packet.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) kind: u8,
    pub(super) body: &'a [u8],
}

/// Section 5: the kinds of packets that are read here.
pub(super) const SIGNATURE: u8 = 2;
pub(super) const PUBLIC_KEY: u8 = 6;
pub(super) const MARKER: u8 = 10;
pub(super) const TRUST: u8 = 12;
pub(super) const USER_ID: u8 = 13;
pub(super) const PUBLIC_SUBKEY: u8 = 14;

/// All packets, in their order.
pub(super) fn packets(bytes: &[u8]) -> Result<Vec<Packet<'_>>, String> {
    let (mut rest, mut packets) = (Reader(bytes), Vec::new());
    while !rest.0.is_empty() {
        let head = rest.byte()?;
        let (kind, length) = match (head >> 6, head & 3) {
            (0b11, _) => match rest.0.first() {
                Some(224..=254) => return Err("it comes in parts of unknown length".into()),
                _ => (head & 63, rest.length()?),
            },
            (0b10, 3) => return Err("it has a packet of unknown length".into()),
            (0b10, width) => (head >> 2 & 15, rest.number(1 << width)?),
            _ => return Err("it does not consist of OpenPGP packets".into()),
        };
        packets.push(Packet {
            kind,
            body: rest.take(length)?,
        });
    }
    Ok(packets)
}
