//! What was different when two files were made → whether a difference comes from it. Begin at [`Scene`].

use std::ops::Range;

use crate::sandbox::elsewhere::Changed;

/// The same things in another order.
pub(super) const ORDER: &str = "an order: of a folder, or of what is hashed or runs at once";
const CLOCK: &str = "the clock";
/// Local time is at most so far from that of the sandbox, and the clocks of archives know no zone.
const ZONES: u64 = 15 * 3600;

/// What was different when the two were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// Words that a program could read.
    pub changed: Vec<Changed>,
    /// When they were made by the clock that programs saw, in seconds since 1970.
    pub clock: Option<(Range<u64>, Range<u64>)>,
}

impl Scene {
    /// Whether two times are those of the clock.
    pub(super) fn of_times(&self, before: Option<u64>, now: Option<u64>) -> Option<String> {
        self.is_clock(before?, now?, ZONES)
            .then(|| CLOCK.to_owned())
    }

    fn is_clock(&self, before: u64, now: u64, slack: u64) -> bool {
        let within = |range: &Range<u64>, time: u64| {
            let from = range.start.saturating_sub(slack);
            (from..=range.end.saturating_add(slack)).contains(&time)
        };
        let clock = self.clock.as_ref();
        clock.is_some_and(|(one, other)| within(one, before) && within(other, now))
    }

    /// Whether a number of four or eight bytes that holds byte `at` is a time of the clock.
    pub(super) fn of_numbers(&self, before: &[u8], now: &[u8], at: usize) -> Option<String> {
        let number = |bytes: &[u8], from: usize| {
            let four: [u8; 4] = bytes.get(from..from.checked_add(4)?)?.try_into().ok()?;
            Some((u32::from_le_bytes(four), u32::from_be_bytes(four)))
        };
        let is = |from: usize| {
            let (Some(before), Some(now)) = (number(before, from), number(now, from)) else {
                return false;
            };
            self.is_clock(before.0.into(), now.0.into(), 0)
                || self.is_clock(before.1.into(), now.1.into(), 0)
        };
        (at.saturating_sub(3)..=at)
            .any(is)
            .then(|| CLOCK.to_owned())
    }

    /// What two texts differ in, where it is something that was changed.
    pub(super) fn of_texts(&self, before: &str, now: &str) -> Option<String> {
        let (one, other) = (words(before), words(now));
        let only = |words: &[String], others: &[String]| -> Vec<String> {
            let news = words.iter().filter(|word| !others.contains(word));
            news.cloned().collect()
        };
        let (only_one, only_other) = (only(&one, &other), only(&other, &one));
        if only_one.is_empty() && only_other.is_empty() {
            let (mut one, mut other) = (one.clone(), other.clone());
            one.sort_unstable();
            other.sort_unstable();
            return (one == other && before != now).then(|| ORDER.to_owned());
        }
        let has = |words: &[String], value: &str| {
            let long = value.len() > 3 && !value.bytes().all(|byte| byte.is_ascii_digit());
            words
                .iter()
                .any(|word| word == value || long && word.contains(value))
        };
        let changed = self.changed.iter();
        let changed = changed.filter(|it| has(&only_one, &it.before) && has(&only_other, &it.now));
        let mut causes: Vec<&str> = changed.map(|it| it.what).collect();
        if self.reads_clock(&only_one, &only_other) {
            causes.push("clock");
        }
        causes.truncate(3);
        (!causes.is_empty()).then(|| format!("the {}", causes.join(", or the ")))
    }

    fn reads_clock(&self, before: &[String], now: &[String]) -> bool {
        let Some((one, other)) = &self.clock else {
            return false;
        };
        let year = |words: &[String], range: &Range<u64>| {
            let years = [range.start, range.end].map(|time| year_of(time).to_string());
            words
                .iter()
                .any(|word| years.iter().any(|year| has_number(word, year)))
        };
        let of_day = |words: &[String]| words.iter().any(|word| is_time_of_day(word));
        let pairs = before
            .iter()
            .flat_map(|one| now.iter().map(move |other| (one, other)));
        let counts = pairs.into_iter().any(|(one, other)| {
            let (Some(one), Some(other)) = (seconds(one), seconds(other)) else {
                return false;
            };
            self.is_clock(one, other, 0)
        });
        counts || year(before, one) && year(now, other) || of_day(before) && of_day(now)
    }
}

/// Whether `word` has the year in it, as a number of its own or before other digits: `2026-11-29`,
/// `20261129`.
fn has_number(word: &str, year: &str) -> bool {
    word.match_indices(year).any(|(at, _)| {
        let before = word[..at].bytes().next_back();
        let digits = word[at..].bytes().take_while(u8::is_ascii_digit).count();
        before.is_none_or(|byte| !byte.is_ascii_digit()) && matches!(digits, 4 | 8 | 12 | 14)
    })
}

fn is_time_of_day(word: &str) -> bool {
    let parts: Vec<&str> = word.split(':').collect();
    let two = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts.len(), 2 | 3) && parts.iter().all(two)
}

/// A number of seconds since 1970, be it written in parts of one.
fn seconds(word: &str) -> Option<u64> {
    let whole = word.split('.').next().unwrap_or(word);
    let number: u64 = whole.parse().ok()?;
    match whole.len() {
        9..=11 => Some(number),
        12..=14 => Some(number / 1_000),
        15..=17 => Some(number / 1_000_000),
        18..=20 => Some(number / 1_000_000_000),
        _ => None,
    }
}

fn words(text: &str) -> Vec<String> {
    let is_part = |char: char| char.is_alphanumeric() || "/._-:+".contains(char);
    let words = text.split(|char| !is_part(char));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The date of a moment: year, month, day (Howard Hinnant's `civil_from_days`).
pub(super) fn date_of(seconds: u64) -> (u64, u64, u64) {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let rest = day - (365 * year + year / 4 - year / 100);
    let month = (5 * rest + 2) / 153;
    let date = rest - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (year + era * 400 + next, month, date)
}

/// The moment that a date begins, as if it were that of no zone.
pub(super) fn seconds_of(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 {
        year.saturating_sub(1)
    } else {
        year
    };
    let (era, of_era) = (year / 400, year % 400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month + 2) / 5 + day.max(1) - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    days.saturating_sub(719_468) * 86_400
}

fn year_of(seconds: u64) -> u64 {
    date_of(seconds).0
}
