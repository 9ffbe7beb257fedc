//! [`Trace`] ⇄ bytes: a small text file, in one form only.
//!
//! ```text
//! recipe-trace 1 <BLAKE3 of all that follows this line>
//! key <hex>
//! output <object id> <name>          one line each, sorted by name
//! maker <tool and version>
//! started <milliseconds since 1970>
//! duration <milliseconds>
//! isolation <reached> <required>
//! preimage <number of bytes>
//! <the bytes that were hashed into the key, as they are>
//! ```

use std::collections::BTreeMap;

use crate::digest::{Digest, ObjectId, StepKey, number};
use crate::error::{Result, StoreError};

/// What a step made, and how. Holds no secret: nothing of the environment is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What was asked.
    pub key: StepKey,
    /// What came out, by the output's name: one line of printable text.
    pub outputs: BTreeMap<String, ObjectId>,
    /// Who made it: the tool and its version, one line.
    pub maker: String,
    /// When it began, in milliseconds since 1970. For people; nothing is ordered by it.
    pub started: u64,
    /// How long it took, in milliseconds.
    pub duration: u64,
    /// How far it was kept apart from the machine.
    pub isolation: Isolation,
    /// The bytes that were hashed into the key.
    pub preimage: Vec<u8>,
}

/// Two levels of isolation, each one word of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// What the machine gave.
    pub reached: String,
    /// What the step asked for.
    pub required: String,
}

const MAGIC: &str = "recipe-trace 1 ";

impl Trace {
    /// The file's bytes. Values that do not fit on a line are [`StoreError::Refused`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut body = format!("key {}\n", self.key);
        for (name, id) in &self.outputs {
            body += &format!("output {id} {}\n", line("the name of an output", name)?);
        }
        body += &format!("maker {}\n", line("the maker of a trace", &self.maker)?);
        body += &format!("started {}\nduration {}\n", self.started, self.duration);
        body += &format!(
            "isolation {} {}\n",
            word(&self.isolation.reached)?,
            word(&self.isolation.required)?
        );
        body += &format!("preimage {}\n", self.preimage.len());
        let mut body = body.into_bytes();
        body.extend_from_slice(&self.preimage);
        let mut bytes = format!("{MAGIC}{}\n", Digest::of(&body)).into_bytes();
        bytes.append(&mut body);
        Ok(bytes)
    }

    /// Reads what [`Trace::encode`] writes and refuses everything else, saying why.
    pub fn decode(bytes: &[u8]) -> Result<Trace, String> {
        let mut rest = bytes;
        let sum = field(&mut rest, MAGIC)?;
        if sum.parse() != Ok(Digest::of(rest)) {
            return Err("its checksum is wrong".into());
        }
        let key = field(&mut rest, "key ")?
            .parse()
            .map_err(|_| "its key is none")?;
        let mut outputs = BTreeMap::new();
        while rest.starts_with(b"output ") {
            let (id, name) = field(&mut rest, "output ")?
                .split_once(' ')
                .ok_or("an output without a name")?;
            outputs.insert(
                name.to_owned(),
                id.parse().map_err(|_| "an output without an id")?,
            );
        }
        let maker = field(&mut rest, "maker ")?.to_owned();
        let started = number(field(&mut rest, "started ")?).ok_or("its start is no number")?;
        let duration = number(field(&mut rest, "duration ")?).ok_or("its duration is no number")?;
        let levels = field(&mut rest, "isolation ")?
            .split_once(' ')
            .ok_or("its isolation is not two words")?;
        let isolation = Isolation {
            reached: levels.0.to_owned(),
            required: levels.1.to_owned(),
        };
        field(&mut rest, "preimage ")?;
        let trace = Trace {
            key,
            outputs,
            maker,
            started,
            duration,
            isolation,
            preimage: rest.to_vec(),
        };
        // One form only: order, doubles, and what a line may hold are all decided by writing it again.
        match trace.encode() {
            Ok(again) if again == bytes => Ok(trace),
            _ => Err("it is not in the one canonical form".into()),
        }
    }
}

/// Takes a line off `rest`, and `prefix` off the line.
pub(crate) fn field<'a>(rest: &mut &'a [u8], prefix: &str) -> Result<&'a str, String> {
    let wanted = || {
        format!(
            "there is no line {:?} where it should be",
            prefix.trim_end()
        )
    };
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or_else(wanted)?;
    let line = std::str::from_utf8(&rest[..end]).map_err(|_| "a line is not UTF-8")?;
    let value = line.strip_prefix(prefix).ok_or_else(wanted)?;
    *rest = &rest[end + 1..];
    Ok(value)
}

/// Refuses what is not one line of printable text.
pub(crate) fn line<'a>(what: &'static str, text: &'a str) -> Result<&'a str> {
    if text.is_empty() || text.chars().any(char::is_control) {
        let why = format!(
            "{:?} is not one line of printable text",
            text.chars().take(200).collect::<String>()
        );
        return Err(StoreError::Refused { what, why });
    }
    Ok(text)
}

fn word(text: &str) -> Result<&str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || !text.bytes().all(plain) {
        let why = format!(
            "{:?} is not one word of a-z, 0-9 and -",
            text.chars().take(200).collect::<String>()
        );
        return Err(StoreError::Refused {
            what: "an isolation level",
            why,
        });
    }
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "trace_tests.rs"]
mod tests;
