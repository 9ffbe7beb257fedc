//! When to try again, and after how long: full jitter, and what a server asked for, capped.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::date;

/// Times and bounds of the client. The defaults suit people; tests shorten them.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest silence while reading.
    pub idle: Duration,
    /// Over this long ...
    pub rate_window: Duration,
    /// ... at least this many bytes must come.
    pub rate_bytes: u64,
    /// How often one mirror is asked for one file.
    pub tries: u32,
    /// The first wait is a random part of this, the next of twice this, and so on.
    pub first_wait: Duration,
    /// No single wait is longer, whatever the server says.
    pub longest_wait: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            rate_window: Duration::from_secs(60),
            rate_bytes: 4096,
            tries: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
        }
    }
}

impl Timing {
    /// How long to wait before try `number` (the first retry is 1); `asked` is the server's `Retry-After`.
    pub fn wait(&self, number: u32, asked: Option<Duration>) -> Duration {
        let most = self
            .first_wait
            .saturating_mul(1 << number.saturating_sub(1).min(10));
        let jitter = most.min(self.longest_wait).mul_f64(chance());
        // A little jitter on top of what was asked, so that many clients do not come back at once.
        asked
            .map_or(jitter, |asked| asked + jitter)
            .min(self.longest_wait)
    }
}

/// `Retry-After`: seconds, or a date that lies ahead of `now` (seconds since 1970). Anything else counts as not said.
pub(super) fn retry_after(text: &str, now: u64) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(
            text.parse().unwrap_or(u64::from(u32::MAX)),
        ));
    }
    date::parse(text).map(|then| Duration::from_secs(then.saturating_sub(now)))
}

/// A number in 0..1 that differs between processes and calls. Only spreads load: no key or digest sees it.
fn chance() -> f64 {
    let random = RandomState::new().hash_one(0u8);
    (random >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn f060_retry_after_is_read_as_seconds_or_date_and_nothing_else() {
        let now = date::parse("Sat, 12 Sep 2026 07:55:41 GMT").unwrap();
        let seconds = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("2"), Some(2));
        assert_eq!(seconds("Sat, 12 Sep 2026 07:55:51 GMT"), Some(10));
        assert_eq!(seconds("Sat, 12 Sep 2020 07:55:51 GMT"), Some(0));
        assert_eq!(
            seconds("99999999999999999999999"),
            Some(u64::from(u32::MAX))
        );
        assert_eq!(seconds("-3"), None);
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds(""), None);
    }

    #[test]
    fn f060_no_wait_is_longer_than_the_cap() {
        let timing = Timing::default();
        assert_eq!(
            timing.wait(1, Some(Duration::from_secs(1_000_000_000))),
            timing.longest_wait
        );
        for number in 0..100 {
            assert!(timing.wait(number, None) <= timing.longest_wait);
        }
        assert!(timing.wait(1, Some(Duration::from_secs(2))) >= Duration::from_secs(2));
    }
}
