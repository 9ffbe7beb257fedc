//! A conformance [`Report`] as text, as Markdown, or as what is answered in JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::conformance::{Answer, Check, Found, Report};

/// How many bytes of what was seen are shown for one failure.
const SHOWN: usize = 600;

/// For a terminal: the table, then each failure, then what was skipped.
pub(super) fn text(report: &Report) -> String {
    let mut out = format!(
        "{} ({}), in: {}\n\n",
        report.tree,
        report.program,
        report.places.join("; ")
    );
    let width = report.checks.iter().map(|check| check.name.len()).max();
    let width = width.unwrap_or_default();
    line(&mut out, width, "rows", "check", "found", "expected");
    for check in &report.checks {
        let found = summary(report, check);
        line(
            &mut out,
            width,
            check.rows,
            check.name,
            &found,
            check.expected,
        );
    }
    for failure in failures(report) {
        let _ = write!(
            out,
            "\nFAILS    {}: expected: {}\nin       {}\nfound    {}\ncause    {}\n",
            failure.check.name,
            failure.check.expected,
            failure.places.join("; "),
            short(failure.found),
            failure.cause
        );
    }
    out.push('\n');
    for (why, places) in skipped(report) {
        let _ = writeln!(out, "skipped  {}: {why}", places.join("; "));
    }
    let counts = report.counts;
    let _ = write!(
        out,
        "{} hold, {} fail, {} skipped",
        counts.holds, counts.fails, counts.skipped
    );
    out
}

fn line(out: &mut String, width: usize, rows: &str, name: &str, found: &str, expected: &str) {
    let _ = writeln!(out, "{rows:12} {name:width$}  {found:24} {expected}");
}

/// For a page: one table, and the failures as a list.
pub(super) fn markdown(report: &Report) -> String {
    let mut out = format!(
        "`{}` (`{}`), in: {}\n\n| rows | check | expected | found |\n| --- | --- | --- | --- |\n",
        report.tree,
        report.program,
        report.places.join("; ")
    );
    for check in &report.checks {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            check.rows,
            check.name,
            cell(check.expected),
            cell(&summary(report, check))
        );
    }
    out.push('\n');
    for failure in failures(report) {
        let _ = writeln!(
            out,
            "- **{}**: {}. Found in {}: `` {} ``",
            failure.check.name,
            failure.cause,
            failure.places.join("; "),
            short(failure.found).replace('`', "'")
        );
    }
    let counts = report.counts;
    let _ = write!(
        out,
        "\n{} hold, {} fail, {} skipped.",
        counts.holds, counts.fails, counts.skipped
    );
    out
}

/// The answer in JSON.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    folder: &'a str,
    program: &'a str,
    holds: usize,
    fails: usize,
    skipped: usize,
    places: &'a [String],
    checks: Vec<OneCheck<'a>>,
}

#[derive(Serialize)]
struct OneCheck<'a> {
    rows: &'a str,
    name: &'a str,
    expected: &'a str,
    results: Vec<OneResult<'a>>,
}

#[derive(Serialize)]
struct OneResult<'a> {
    place: &'a str,
    /// `holds`, `fails`, `skipped`.
    result: &'static str,
    /// What was seen, of a failure.
    found: Option<&'a str>,
    cause: Option<&'a str>,
    /// Why it was skipped.
    why: Option<&'a str>,
}

/// For programs.
pub(super) fn body(report: &Report) -> Body<'_> {
    let counts = report.counts;
    let check = |check: &'_ Check| OneCheck {
        rows: check.rows,
        name: check.name,
        expected: check.expected,
        results: report.of(check).map(one_result).collect(),
    };
    Body {
        folder: &report.tree,
        program: &report.program,
        holds: counts.holds,
        fails: counts.fails,
        skipped: counts.skipped,
        places: &report.places,
        checks: report.checks.iter().map(check).collect(),
    }
}

fn one_result(answer: &Answer) -> OneResult<'_> {
    let (result, found, cause, why) = match &answer.found {
        Found::Holds => ("holds", None, None, None),
        Found::Fails { found, cause } => {
            ("fails", Some(found.as_str()), Some(cause.as_str()), None)
        }
        Found::Skipped { why } => ("skipped", None, None, Some(why.as_str())),
    };
    OneResult {
        place: &answer.place,
        result,
        found,
        cause,
        why,
    }
}

/// One word or two for all places of one check.
fn summary(report: &Report, check: &Check) -> String {
    let (mut holds, mut fails, mut skipped) = (0, 0, 0);
    for answer in report.of(check) {
        match answer.found {
            Found::Holds => holds += 1,
            Found::Fails { .. } => fails += 1,
            Found::Skipped { .. } => skipped += 1,
        }
    }
    match (holds, fails, skipped) {
        (0, 0, _) => "skipped".into(),
        (1, 0, 0) => "holds".into(),
        (_, 0, 0) => format!("holds in {holds}"),
        (_, 0, _) => format!("holds in {holds}, {skipped} skipped"),
        (0, 1, _) => "FAILS".into(),
        _ => format!("FAILS in {fails} of {}", holds + fails),
    }
}

/// One failure, with all places in which it is the same.
struct Failure<'a> {
    check: &'a Check,
    found: &'a str,
    cause: &'a str,
    places: Vec<&'a str>,
}

fn failures(report: &Report) -> Vec<Failure<'_>> {
    let mut failures: Vec<Failure<'_>> = Vec::new();
    for check in &report.checks {
        for Answer { place, found, .. } in report.of(check) {
            let Found::Fails { found, cause } = found else {
                continue;
            };
            // Paths and numbers differ from place to place: the first is shown for all.
            let same = |failure: &&mut Failure<'_>| {
                failure.check.name == check.name && failure.cause == cause
            };
            match failures.iter_mut().find(same) {
                Some(failure) => failure.places.push(place),
                None => failures.push(Failure {
                    check,
                    found,
                    cause,
                    places: vec![place],
                }),
            }
        }
    }
    failures
}

/// Why something was skipped, and what: the check where it is one, how many else.
fn skipped(report: &Report) -> BTreeMap<&str, Vec<String>> {
    let mut groups: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for answer in &report.answers {
        if let Found::Skipped { why } = &answer.found {
            *groups
                .entry(why)
                .or_default()
                .entry(answer.check)
                .or_default() += 1;
        }
    }
    let shown = |(name, count): (&str, usize)| match count {
        1 => name.to_owned(),
        _ => format!("{name} ({count})"),
    };
    groups
        .into_iter()
        .map(|(why, checks)| {
            let all = checks.len();
            let mut names: Vec<String> = checks.into_iter().take(8).map(shown).collect();
            if all > names.len() {
                names.push(format!("{} more", all - names.len()));
            }
            (why, names)
        })
        .collect()
}

/// What was seen, on one line and not too long.
fn short(found: &str) -> String {
    let line = found.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
