//! Two versions of one file → where they differ, and what that reads like. Begin at [`explain`].
//!
//! A file that is made of parts (`parts.rs`: ELF, zip, ar, gzip, byte code) is taken apart, and each part
//! that differs is looked at in the same way; text is compared line by line, all else byte by byte.
//! `cause.rs` recognises what a [`Scene`] says was different when the files were made. Pure, and made
//! for bytes of strangers: what cannot be taken apart is compared as it is.

mod cause;
mod parts;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use parts::{Form, Part};

pub use cause::Scene;

/// Differences of one file that are told.
const MOST: usize = 12;
/// Lines of one text.
const LINES: usize = 3;
/// Archives in archives.
const DEPTH: usize = 4;
/// Characters and bytes that are shown of each side.
const SHOWN: usize = 100;
const BYTES: usize = 8;

/// One place at which two versions of a file differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `section`, `entry`, `member`, `field`, `order`, `line`, `bytes`.
    pub kind: &'static str,
    /// Where, from the outside in: `entry a.so, ELF section .comment, byte 12`.
    pub place: String,
    /// What the first has there.
    pub before: String,
    /// What the second has there.
    pub now: String,
    /// What it comes from, where that can be read.
    pub cause: Option<String>,
}

/// Where the two versions of the file at `path` differ: the first places, and none for equal bytes.
pub fn explain(path: &str, before: &[u8], now: &[u8], scene: &Scene) -> Vec<Difference> {
    let mut look = Look {
        scene,
        found: Vec::new(),
    };
    look.file(path, "", before, now, 0);
    look.found.truncate(MOST);
    look.found
}

struct Look<'s> {
    scene: &'s Scene,
    found: Vec<Difference>,
}

impl Look<'_> {
    fn file(&mut self, path: &str, place: &str, before: &[u8], now: &[u8], depth: usize) {
        if before == now || self.found.len() >= MOST {
            return;
        }
        let form = Form::of(path, before).filter(|form| Form::of(path, now) == Some(*form));
        if let Some(form) = form
            && depth < DEPTH
            && let (Some(one), Some(other)) = (form.parts(before), form.parts(now))
        {
            let known = self.found.len();
            self.parts(form, place, &one, &other, depth);
            if self.found.len() > known {
                return;
            }
        }
        match (text(before), text(now)) {
            (Some(before), Some(now)) => self.text(place, before, now),
            _ => self.bytes(place, before, now),
        }
    }

    fn parts(
        &mut self,
        form: Form,
        place: &str,
        one: &[Part<'_>],
        other: &[Part<'_>],
        depth: usize,
    ) {
        let (one_order, other_order) = (numbered(one), numbered(other));
        let map = |parts: &[_]| -> BTreeMap<Key<'_>, &Part<'_>> { parts.iter().copied().collect() };
        let (first, second) = (map(&one_order), map(&other_order));
        let keys = one_order.iter().chain(&other_order).map(|(key, _)| key);
        let mut told = BTreeSet::new();
        for key in keys.filter(|key| told.insert(**key)) {
            let at = join(place, &form.place(key.0));
            match (first.get(key), second.get(key)) {
                (Some(one), Some(other)) => self.part(form, &at, one, other, depth),
                (one, _) => {
                    let word = |is: bool| if is { "there" } else { "not there" }.to_owned();
                    let (before, now) = (word(one.is_some()), word(one.is_none()));
                    self.add(form.kind(), at, before, now, None);
                }
            }
        }
        let order = |parts: &[Part<'_>]| -> Vec<String> {
            parts.iter().map(|part| part.name.clone()).collect()
        };
        let (one, other) = (order(one), order(other));
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        if one != other && sorted(&one) == sorted(&other) {
            let at = join(place, "the order of what is in it");
            let (before, now) = (shown(&one.join(" ")), shown(&other.join(" ")));
            self.add("order", at, before, now, Some(cause::ORDER.into()));
        }
    }

    fn part(&mut self, form: Form, at: &str, one: &Part<'_>, other: &Part<'_>, depth: usize) {
        for (field, same) in one.fields.iter().zip(&other.fields) {
            if field.shown == same.shown {
                continue;
            }
            let cause = self.scene.of_times(field.seconds, same.seconds);
            let cause = cause.or_else(|| self.scene.of_texts(&field.shown, &same.shown));
            let place = match at {
                "" => field.name.to_owned(),
                at => format!("{at}, {}", field.name),
            };
            self.add(
                "field",
                place,
                field.shown.clone(),
                same.shown.clone(),
                cause,
            );
        }
        if one.packed() == other.packed() {
            return;
        }
        let (before, now) = (one.bytes(), other.bytes());
        if before == now {
            let told = |part: &Part<'_>| format!("{} bytes", part.packed().len());
            let at = join(at, "how it is packed");
            return self.add("bytes", at, told(one), told(other), None);
        }
        if let Some(cause) = form.consequence(&one.name) {
            let (before, now) = (hexadecimal(&before, 0), hexadecimal(&now, 0));
            return self.add(form.kind(), at.to_owned(), before, now, Some(cause.into()));
        }
        let name = if form.nests() { one.name.as_str() } else { "" };
        let depth = if form.nests() { depth + 1 } else { DEPTH };
        self.file(name, at, &before, &now, depth);
    }

    fn text(&mut self, place: &str, before: &str, now: &str) {
        let (one, other): (Vec<&str>, Vec<&str>) =
            (before.lines().collect(), now.lines().collect());
        if is_reordered(&one, &other) {
            let first = one
                .iter()
                .zip(&other)
                .position(|(a, b)| a != b)
                .unwrap_or(0);
            let at = join(
                place,
                &format!("the order of lines, from line {}", first + 1),
            );
            let (before, now) = (shown(one[first]), shown(other[first]));
            return self.add("order", at, before, now, Some(cause::ORDER.into()));
        }
        let most = if one.len() == other.len() { LINES } else { 1 };
        let known = self.found.len();
        let count = one.len().max(other.len());
        for number in 0..count {
            let of = |lines: &[&str]| lines.get(number).map(|line| (*line).to_owned());
            let (before, now) = (of(&one), of(&other));
            if before == now {
                continue;
            }
            let (before, now) = (before.unwrap_or_default(), now.unwrap_or_default());
            let cause = self.scene.of_texts(&before, &now);
            let (before, now) = around(&before, &now);
            let at = join(place, &format!("line {}", number + 1));
            self.add("line", at, before, now, cause);
            if self.found.len() - known >= most {
                return;
            }
        }
        if self.found.len() == known {
            // Nothing but ends of lines.
            self.bytes(place, before.as_bytes(), now.as_bytes());
        }
    }

    fn bytes(&mut self, place: &str, before: &[u8], now: &[u8]) {
        let first = before.iter().zip(now).position(|(a, b)| a != b);
        let Some(first) = first else {
            let (before, now) = (before.len(), now.len());
            let told = |size: usize| format!("{size} bytes");
            let at = join(place, &format!("byte {}", before.min(now)));
            return self.add("bytes", at, told(before), told(now), None);
        };
        let at = join(place, &format!("byte {first}"));
        let words = (printable(before, first), printable(now, first));
        let number = self.scene.of_numbers(before, now, first);
        let (before, now, cause) = match words {
            (Some(one), Some(other)) if number.is_none() => {
                let cause = self.scene.of_texts(&one, &other);
                let (one, other) = around(&one, &other);
                (one, other, cause)
            }
            _ => (hexadecimal(before, first), hexadecimal(now, first), number),
        };
        self.add("bytes", at, before, now, cause);
    }

    fn add(
        &mut self,
        kind: &'static str,
        place: String,
        before: String,
        now: String,
        cause: Option<String>,
    ) {
        self.found.push(Difference {
            kind,
            place,
            before,
            now,
            cause,
        });
    }
}

/// A name, and a number where several have it.
type Key<'p> = (&'p str, usize);

fn numbered<'p>(parts: &'p [Part<'p>]) -> Vec<(Key<'p>, &'p Part<'p>)> {
    let mut times = BTreeMap::new();
    let number = |part: &'p Part<'p>| {
        let times = times.entry(part.name.as_str()).or_insert(0);
        *times += 1;
        ((part.name.as_str(), *times), part)
    };
    parts.iter().map(number).collect()
}

fn join(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", inner) => inner.to_owned(),
        (outer, "") => outer.to_owned(),
        (outer, inner) => format!("{outer}, {inner}"),
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.contains('\0')).then_some(text)
}

fn is_reordered(one: &[&str], other: &[&str]) -> bool {
    let sorted = |lines: &[&str]| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        lines.sort_unstable();
        lines
    };
    one.len() == other.len() && one != other && sorted(one) == sorted(other)
}

/// As much as can be shown of a line, from where two begin to differ.
fn around(before: &str, now: &str) -> (String, String) {
    let same = before
        .chars()
        .zip(now.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let skip = same.saturating_sub(SHOWN / 3);
    let part = |text: &str| {
        let rest: String = text.chars().skip(skip).collect();
        let rest = shown(&rest);
        if skip > 0 { format!("…{rest}") } else { rest }
    };
    (part(before), part(now))
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// The printable text around a byte, if there is some.
fn printable(bytes: &[u8], at: usize) -> Option<String> {
    let is = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let back = bytes[..at]
        .iter()
        .rev()
        .take(SHOWN / 2)
        .take_while(|byte| is(byte))
        .count();
    let on = bytes[at..]
        .iter()
        .take(SHOWN)
        .take_while(|byte| is(byte))
        .count();
    let text = &bytes[at - back..at + on];
    (text.len() >= 4 && on > 0).then(|| String::from_utf8_lossy(text).into_owned())
}

fn hexadecimal(bytes: &[u8], from: usize) -> String {
    let part: Cow<'_, [u8]> = bytes.get(from..).unwrap_or(&[]).into();
    let mut words: Vec<String> = part
        .iter()
        .take(BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if part.len() > BYTES {
        words.push("…".into());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests;
