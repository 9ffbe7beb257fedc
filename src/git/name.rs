//! The names of objects: [`ObjectName`].

use std::fmt;
use std::str::FromStr;

/// The name of an object: the SHA-1 of its kind, its length and its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(pub(super) [u8; 20]);

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectName {
    type Err = ();

    /// 40 lower-case hex digits.
    fn from_str(text: &str) -> Result<ObjectName, ()> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(()),
        };
        let text: [u8; 40] = text.as_bytes().try_into().map_err(|_| ())?;
        let mut name = [0; 20];
        for (byte, pair) in name.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(ObjectName(name))
    }
}
