//! An answer → its bytes, to the end: bounded, hashed, resumed where the server knows how.
//!
//! Bytes that left [`Body::read`] cannot be taken back. So a body only goes on where it was cut when
//! the server proves that it continues the same file (206, the right `Content-Range`, and
//! `If-Range` or a hash that decides in the end); in every other case it fails, and
//! [`Net::deliver`](super::Net::deliver) starts from zero.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::time::Instant;

use reqwest::Url;
use reqwest::header;
use sha2::{Digest as _, Sha256};

use super::error::{Cause, Mismatch};
use super::request::{Answer, Sent, read_cause};
use super::{Net, Wanted};

/// A cut body is continued at most this often; then the whole download starts again.
const MOST_RESUMES: u32 = 20;

pub(super) struct Body<'a> {
    net: &'a Net,
    url: &'a Url,
    wanted: &'a Wanted<'a>,
    answer: Answer,
    /// All bytes of the file, by what we know or else by what the server said.
    total: Option<u64>,
    done: u64,
    hash: Sha256,
    resumes: u32,
    window: (Instant, u64),
    finished: bool,
    /// Why reading ended; `io::Error` cannot carry it through every reader above us.
    pub(super) failure: Option<Cause>,
}

impl<'a> Body<'a> {
    pub(super) fn new(
        net: &'a Net,
        url: &'a Url,
        wanted: &'a Wanted<'a>,
        answer: Answer,
    ) -> Result<Self, Cause> {
        if let (Some(coding), None) = (&answer.coding, wanted.sha256) {
            return Err(Cause::Coded(coding.clone()));
        }
        if wanted.size.is_none() && answer.length.is_some_and(|length| length > wanted.limit) {
            return Err(Cause::TooLong {
                limit: wanted.limit,
            });
        }
        let total = wanted.size.or(answer.length);
        let window = (Instant::now(), 0);
        let (hash, done, resumes) = (Sha256::new(), 0, 0);
        Ok(Body {
            net,
            url,
            wanted,
            answer,
            total,
            done,
            hash,
            resumes,
            window,
            finished: false,
            failure: None,
        })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether bytes of two answers were joined, so that a wrong hash may be our doing.
    pub(super) fn was_resumed(&self) -> bool {
        self.resumes > 0
    }

    fn pull(&mut self, buffer: &mut [u8]) -> Result<usize, Cause> {
        if self.finished || buffer.is_empty() {
            return Ok(0);
        }
        if self.wanted.size == Some(self.done) {
            // Only an empty file comes here: others finish with their last byte.
            return self.finish().map(|()| 0);
        }
        loop {
            let room = self.wanted.size.map_or(u64::MAX, |size| size - self.done);
            let most = buffer
                .len()
                .min(usize::try_from(room).unwrap_or(usize::MAX));
            match self.answer.body.read(&mut buffer[..most]) {
                Ok(0) if self.total.is_none_or(|total| self.done >= total) => {
                    return self.finish().map(|()| 0);
                }
                Ok(0) => self.resume(Cause::Cut {
                    got: self.done,
                    of: self.total,
                    reason: "the connection was closed".into(),
                })?,
                Ok(count) => return self.took(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let idle = self.net.settings.timing.idle;
                    self.resume(read_cause(&error, idle, self.done, self.total))?;
                }
            }
        }
    }

    fn took(&mut self, bytes: &[u8]) -> Result<usize, Cause> {
        self.done += bytes.len() as u64;
        if self.done > self.wanted.limit {
            return Err(Cause::TooLong {
                limit: self.wanted.limit,
            });
        }
        self.hash.update(bytes);
        if self.wanted.size == Some(self.done) {
            // Before the last bytes leave: no reader ever sees the end of a wrong file.
            self.finish()?;
        } else {
            self.check_rate(bytes.len() as u64)?;
        }
        self.net
            .watch
            .progress(self.wanted.path, self.done, self.total);
        Ok(bytes.len())
    }

    fn check_rate(&mut self, count: u64) -> Result<(), Cause> {
        let timing = &self.net.settings.timing;
        self.window.1 += count;
        let elapsed = self.window.0.elapsed();
        if elapsed < timing.rate_window {
            return Ok(());
        }
        let bytes = std::mem::replace(&mut self.window, (Instant::now(), 0)).1;
        if bytes >= timing.rate_bytes {
            return Ok(());
        }
        Err(Cause::Slow {
            bytes,
            seconds: elapsed.as_secs(),
        })
    }

    fn finish(&mut self) -> Result<(), Cause> {
        let got = hex(&self.hash.clone().finalize());
        let wrong_size = self.wanted.size.is_some_and(|size| size != self.done);
        if wrong_size || self.wanted.sha256.is_some_and(|expected| expected != got) {
            return Err(self.mismatch(got));
        }
        self.finished = true;
        Ok(())
    }

    fn mismatch(&self, got: String) -> Cause {
        Cause::Mismatch(Box::new(Mismatch {
            expected: self.wanted.sha256.unwrap_or_default().to_owned(),
            got,
            expected_size: self.wanted.size,
            got_size: self.done,
            content_type: self.answer.content_type.clone(),
        }))
    }

    /// Goes on where the body was cut, or fails for the reason it was cut.
    fn resume(&mut self, why: Cause) -> Result<(), Cause> {
        // The server sent all it promised: what is missing is not on this server, unless a range says so.
        let complete =
            self.answer.length.is_some_and(|length| length == self.done) && self.resumes == 0;
        let trusted = self.answer.validator.is_some() || self.wanted.sha256.is_some();
        let may = self.done > 0 && trusted && self.resumes < MOST_RESUMES;
        let next = if may { self.continued() } else { None };
        match next {
            Some(mut answer) => {
                self.resumes += 1;
                // The validator and type of the first answer stay; so does what it said of the whole.
                answer.validator = self.answer.validator.take();
                answer.content_type = self.answer.content_type.take();
                self.answer = answer;
                self.window = (Instant::now(), 0);
                Ok(())
            }
            None if complete => Err(self.mismatch(hex(&self.hash.clone().finalize()))),
            None => Err(why),
        }
    }

    fn continued(&self) -> Option<Answer> {
        let if_range = self
            .answer
            .validator
            .as_deref()
            .map(|validator| (header::IF_RANGE, validator));
        let timing = &self.net.settings.timing;
        if self.resumes > 0 {
            std::thread::sleep(timing.wait(self.resumes, None));
        }
        let answer = self
            .net
            .request(
                self.url,
                self.done,
                Sent {
                    headers: if_range.as_slice(),
                    posted: None,
                },
            )
            .ok()?;
        let changed = match (&self.answer.validator, &answer.validator) {
            (Some(before), Some(now)) => before != now,
            _ => false,
        };
        let fits = answer
            .range
            .as_deref()
            .is_some_and(|range| continues(range, self.done, self.total));
        (answer.status == 206 && fits && !changed && answer.coding.is_none()).then_some(answer)
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.pull(buffer) {
            Ok(count) => Ok(count),
            Err(cause) => {
                let text = cause.to_string();
                self.failure = Some(cause);
                Err(io::Error::other(text))
            }
        }
    }
}

/// Whether `bytes 5-9/10` continues a file of `total` bytes at `start`, to its end.
fn continues(range: &str, start: u64, total: Option<u64>) -> bool {
    let parts = || -> Option<(u64, u64, Option<u64>)> {
        let (span, whole) = range.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let whole = if whole == "*" {
            None
        } else {
            Some(whole.parse().ok()?)
        };
        Some((first.parse().ok()?, last.parse().ok()?, whole))
    };
    let Some((first, last, whole)) = parts() else {
        return false;
    };
    let same = whole.is_none() || total.is_none() || whole == total;
    let to_end = whole
        .or(total)
        .is_none_or(|size| last.checked_add(1) == Some(size));
    first == start && first <= last && same && to_end
}

/// Lower-case hex, as archives write hashes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::continues;

    #[test]
    fn f059_only_the_exact_continuation_counts() {
        assert!(continues("bytes 5-9/10", 5, Some(10)));
        assert!(continues("bytes 5-9/*", 5, Some(10)));
        for range in [
            "bytes 0-9/10",
            "bytes 5-8/10",
            "bytes 5-9/11",
            "bytes 6-9/10",
            "5-9/10",
            "bytes */10",
            "bytes 5-18446744073709551615/18446744073709551615",
            "bytes 9-5/10",
            "",
        ] {
            assert!(!continues(range, 5, Some(10)), "{range}");
        }
    }
}
