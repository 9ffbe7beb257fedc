//! Unified diff → the text before it was applied, or after. Begin at [`undo`] and [`apply`].
//!
//! Debian ships Python's library with patches that only make sense under `/usr`. The pristine
//! files would cost a 22 MB download; undoing the named hunks costs a few hundred kilobytes that
//! the lock pins anyway.
//!
//! All that a hunk changes, and what stands between its changes, must be in the file exactly. So must
//! the lines around it, at an offset, because other patches of the same series have moved lines. Where
//! the series is of another version, upstream may have changed a line beside the place (each release of
//! Python names another pip there): then the lines on one side are enough, if that leaves one place.

use miette::Diagnostic;
use thiserror::Error;

/// Why a patch could not be read or undone.
#[derive(Debug, Error, Diagnostic, PartialEq, Eq)]
pub enum PatchError {
    /// The text is not a unified diff.
    #[error("line {line} of the patch is not what a unified diff has there: {text:?}")]
    #[diagnostic(
        code(build::patch_malformed),
        help("the distribution's source package has a patch in a form we do not know; report it")
    )]
    Malformed {
        /// Line number in the patch, from 1.
        line: usize,
        /// What stands there, shortened.
        text: String,
    },
    /// No place in the file reads like the hunk's old side.
    #[error("hunk {hunk} (line {line}) does not fit the file")]
    #[diagnostic(
        code(build::patch_does_not_apply),
        help(
            "make the patch anew against this version of the source; lines may have moved, but those around a change have to be the same"
        )
    )]
    DoesNotApply {
        /// Which hunk of the file, from 1.
        hunk: usize,
        /// Where the hunk says it starts in the file, from 1.
        line: usize,
    },
    /// No place in the file reads like the hunk's new side.
    #[error(
        "hunk {hunk} (line {line} of the patched file) is not in the file, so it cannot be undone"
    )]
    #[diagnostic(
        code(build::patch_does_not_reverse),
        help(
            "the binary package and the source package are of different versions: lock again, so that both move together; where the recipe names the source package (`patches`), name one that is nearer to the interpreter"
        )
    )]
    DoesNotReverse {
        /// Which hunk of the file, from 1.
        hunk: usize,
        /// Where the hunk says it starts in the patched file, from 1.
        line: usize,
    },
}

/// What a patch does to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilePatch {
    /// The file before, as written (`a/Lib/site.py`); `None` when the patch creates it.
    pub old: Option<String>,
    /// The file after, as written (`b/Lib/site.py`); `None` when the patch deletes it.
    pub new: Option<String>,
    /// The places it changes, in order.
    pub hunks: Vec<Hunk>,
}

/// One changed place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    /// First line in the patched file, from 1.
    pub start: usize,
    /// First line in the file before, from 1.
    pub before: usize,
    /// Context, removed and added lines, in order.
    pub lines: Vec<Line>,
}

/// A line of a hunk, with its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// In both files.
    Both(String),
    /// Only in the old file.
    Old(String),
    /// Only in the new file.
    New(String),
}

impl FilePatch {
    /// Whether a line that this patch adds contains one of `words`.
    pub(super) fn adds_any(&self, words: &[&str]) -> bool {
        let added = self.hunks.iter().flat_map(|hunk| &hunk.lines);
        added.into_iter().any(|line| match line {
            Line::New(text) => words.iter().any(|word| text.contains(word)),
            Line::Both(_) | Line::Old(_) => false,
        })
    }
}

impl FilePatch {
    /// The patch that undoes this one.
    fn reversed(&self) -> FilePatch {
        FilePatch {
            old: self.new.clone(),
            new: self.old.clone(),
            hunks: self.hunks.iter().map(Hunk::reversed).collect(),
        }
    }
}

impl Hunk {
    fn reversed(&self) -> Hunk {
        let lines = self.lines.iter().map(|line| match line {
            Line::Both(text) => Line::Both(text.clone()),
            Line::Old(text) => Line::New(text.clone()),
            Line::New(text) => Line::Old(text.clone()),
        });
        Hunk {
            start: self.before,
            before: self.start,
            lines: lines.collect(),
        }
    }
}

fn new_side(lines: &[Line]) -> Vec<&str> {
    let keep = |line| match line {
        &Line::Both(ref text) | &Line::New(ref text) => Some(text.as_str()),
        Line::Old(_) => None,
    };
    lines.iter().filter_map(keep).collect()
}

fn old_side(lines: &[Line]) -> Vec<&str> {
    let keep = |line| match line {
        &Line::Both(ref text) | &Line::Old(ref text) => Some(text.as_str()),
        Line::New(_) => None,
    };
    lines.iter().filter_map(keep).collect()
}

/// Where a hunk fits: a line of the file, and the lines of the hunk that are found there.
struct Fit<'h> {
    place: usize,
    lines: &'h [Line],
}

impl Hunk {
    /// The place nearest to `expected`, at or after line `from`.
    fn fit(&self, text: &[&str], from: usize, expected: usize) -> Option<Fit<'_>> {
        let whole = self.fit_whole(text, from, expected);
        whole.or_else(|| self.fit_on_one_side(text).filter(|fit| fit.place >= from))
    }

    /// The same where all of the hunk is found.
    fn fit_whole(&self, text: &[&str], from: usize, expected: usize) -> Option<Fit<'_>> {
        let lines = self.lines.as_slice();
        let place = nearest(text, &new_side(lines), from, expected)?;
        Some(Fit { place, lines })
    }

    /// The only place that has the changes and all lines before them, or all lines behind them.
    fn fit_on_one_side(&self, text: &[&str]) -> Option<Fit<'_>> {
        let same = |line: &&Line| matches!(line, Line::Both(_));
        let before = self.lines.iter().take_while(same).count();
        let behind = self.lines.iter().rev().take_while(same).count();
        let end = self.lines.len().checked_sub(behind)?;
        let changed = self.lines.get(before..end)?;
        if !changed.iter().any(|line| matches!(line, Line::New(_))) {
            return None;
        }
        let mut fits = Vec::new();
        for (is_there, lines) in [
            (before > 0, &self.lines[..end]),
            (behind > 0, &self.lines[before..]),
        ] {
            let wanted = new_side(lines);
            let places = (0..text.len()).filter(|&place| text[place..].starts_with(&wanted));
            fits.extend(
                places
                    .filter(|_| is_there)
                    .map(|place| Fit { place, lines }),
            );
        }
        match fits.len() {
            1 => fits.pop(),
            _ => None,
        }
    }
}

/// Takes a unified diff apart. Prose before, between and after the files is passed over.
pub(super) fn parse(text: &str) -> Result<Vec<FilePatch>, PatchError> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut files: Vec<FilePatch> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let header = lines.get(at + 1).and_then(|next| next.strip_prefix("+++ "));
        match (lines[at].strip_prefix("--- "), header) {
            (Some(old), Some(new)) => {
                files.push(FilePatch {
                    old: name(old),
                    new: name(new),
                    hunks: Vec::new(),
                });
                at += 2;
            }
            _ => {
                if let (Some(range), Some(file)) = (lines[at].strip_prefix("@@ "), files.last_mut())
                {
                    let range = Range::read(range).ok_or_else(|| malformed(at, lines[at]))?;
                    at += 1;
                    file.hunks.push(hunk(&lines, &mut at, &range)?);
                } else {
                    at += 1;
                }
            }
        }
    }
    Ok(files)
}

/// The text before `patch`: every hunk's new side is found and gives way to its old side.
pub(super) fn undo(text: &str, patch: &FilePatch) -> Result<String, PatchError> {
    turned(text, patch, Hunk::fit)
}

/// The text after `patch`: every hunk's old side is found and gives way to its new side. What is
/// around a change has to be the same on both sides of it.
pub(super) fn apply(text: &str, patch: &FilePatch) -> Result<String, PatchError> {
    turned(text, &patch.reversed(), Hunk::fit_whole).map_err(|error| match error {
        PatchError::DoesNotReverse { hunk, line } => PatchError::DoesNotApply { hunk, line },
        error => error,
    })
}

fn turned(
    text: &str,
    patch: &FilePatch,
    fit: impl for<'h> Fn(&'h Hunk, &[&str], usize, usize) -> Option<Fit<'h>>,
) -> Result<String, PatchError> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let mut drift = 0isize;
    for (index, hunk) in patch.hunks.iter().enumerate() {
        let expected = hunk.start.saturating_sub(1).saturating_add_signed(drift);
        let Some(Fit { place, lines: fits }) = fit(hunk, &lines, done, expected) else {
            return Err(PatchError::DoesNotReverse {
                hunk: index + 1,
                line: hunk.start,
            });
        };
        drift = place as isize - hunk.start.saturating_sub(1) as isize;
        out.extend(lines[done..place].iter().copied());
        out.extend(old_side(fits));
        done = place + new_side(fits).len();
    }
    out.extend(lines[done..].iter().copied());
    Ok(out)
}

/// The start of `wanted` in `lines` at or after `from`, as near to `expected` as possible.
fn nearest(lines: &[&str], wanted: &[&str], from: usize, expected: usize) -> Option<usize> {
    let last = lines.len().checked_sub(wanted.len())?;
    (from..=last)
        .filter(|&place| lines[place..place + wanted.len()] == *wanted)
        .min_by_key(|&place| place.abs_diff(expected))
}

/// How many lines a hunk has on each side, and where it starts on the new one.
struct Range {
    old_start: usize,
    old_count: usize,
    new_start: usize,
    new_count: usize,
}

impl Range {
    /// `-7,12 +7,18 @@ def f():` (what follows the second `@@` is prose).
    fn read(text: &str) -> Option<Range> {
        let (range, _) = text.split_once(" @@")?;
        let (old, new) = range.split_once(' ')?;
        let (old_start, old_count) = pair(old.strip_prefix('-')?)?;
        let (new_start, new_count) = pair(new.strip_prefix('+')?)?;
        Some(Range {
            old_start,
            old_count,
            new_start,
            new_count,
        })
    }
}

fn pair(text: &str) -> Option<(usize, usize)> {
    match text.split_once(',') {
        Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    }
}

fn hunk(lines: &[&str], at: &mut usize, range: &Range) -> Result<Hunk, PatchError> {
    let (mut old, mut new) = (range.old_count, range.new_count);
    let mut out = Vec::new();
    while old > 0 || new > 0 {
        let text = lines
            .get(*at)
            .copied()
            .ok_or_else(|| malformed(*at, "(the end)"))?;
        let (sign, rest) = text
            .split_at_checked(1)
            .ok_or_else(|| malformed(*at, text))?;
        let fits = match sign {
            "+" => take(&mut new),
            "-" => take(&mut old),
            " " | "\n" => take(&mut old) && take(&mut new),
            "\\" => true,
            _ => false,
        };
        if !fits {
            return Err(malformed(*at, text));
        }
        match sign {
            "+" => out.push(Line::New(rest.to_owned())),
            "-" => out.push(Line::Old(rest.to_owned())),
            " " => out.push(Line::Both(rest.to_owned())),
            // Some tools strip the blank of an empty context line.
            "\n" => out.push(Line::Both("\n".to_owned())),
            _ => drop_line_end(&mut out),
        }
        *at += 1;
    }
    if lines.get(*at).is_some_and(|next| next.starts_with('\\')) {
        drop_line_end(&mut out);
        *at += 1;
    }
    Ok(Hunk {
        start: range.new_start,
        before: range.old_start,
        lines: out,
    })
}

fn take(count: &mut usize) -> bool {
    let some = *count > 0;
    *count = count.saturating_sub(1);
    some
}

/// `\ No newline at end of file` speaks of the line before it.
fn drop_line_end(lines: &mut [Line]) {
    if let Some(Line::Both(text) | Line::Old(text) | Line::New(text)) = lines.last_mut()
        && text.ends_with('\n')
    {
        text.pop();
    }
}

fn name(header: &str) -> Option<String> {
    let name = header
        .trim_end_matches(['\n', '\r'])
        .split('\t')
        .next()
        .unwrap_or_default()
        .trim();
    (name != "/dev/null").then(|| name.to_owned())
}

/// The patches of a quilt series, without comments and options.
pub(super) fn names(series: &str) -> impl Iterator<Item = &str> {
    series
        .lines()
        .filter_map(|line| line.split('#').next()?.split_whitespace().next())
}

fn malformed(index: usize, text: &str) -> PatchError {
    PatchError::Malformed {
        line: index + 1,
        text: text.chars().take(60).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PATCH: &str = "\
Description: prose
 with lines

Index: b/Lib/x.py
===================================================================
--- a/Lib/x.py\t2020-01-01
+++ b/Lib/x.py
@@ -2,3 +2,4 @@ def f():
 two
-three
+THREE
+more

@@ -9 +10,2 @@
 nine
+ten
--- /dev/null
+++ b/Lib/new.py
@@ -0,0 +1,1 @@
+made
\\ No newline at end of file
";

    fn first() -> FilePatch {
        parse(PATCH).unwrap().remove(0)
    }

    #[test]
    fn a_series_has_comments_and_options() {
        let series = "# first\n#off.diff\n\none.diff\ntwo.diff -p1\nthree.diff # why\n";
        assert_eq!(
            names(series).collect::<Vec<_>>(),
            ["one.diff", "two.diff", "three.diff"]
        );
    }

    #[test]
    fn a_patch_that_was_applied_can_be_undone() {
        let before = "one\ntwo\nthree\nmore\n\nx\ny\nz\nnine\nend\n";
        let patch = "--- a/f\n+++ b/f\n@@ -2,3 +2,3 @@\n two\n-three\n+THREE\n more\n\
                     @@ -9 +9,2 @@\n nine\n+ten\n";
        let patch = parse(patch).unwrap().remove(0);
        let after = apply(before, &patch).unwrap();
        assert_eq!(
            after,
            before
                .replace("three", "THREE")
                .replace("nine\n", "nine\nten\n")
        );
        assert_eq!(undo(&after, &patch).unwrap(), before);
        assert!(matches!(
            apply("other\n", &patch),
            Err(PatchError::DoesNotApply { hunk: 1, .. })
        ));
    }

    #[test]
    fn a_series_patch_is_read_with_names_hunks_and_prose_around() {
        let files = parse(PATCH).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].new.as_deref(), Some("b/Lib/x.py"));
        assert_eq!(files[0].hunks.len(), 2);
        assert_eq!(files[1].old, None);
        assert_eq!(files[1].hunks[0].lines, [Line::New("made".to_owned())]);
    }

    #[test]
    fn undoing_gives_the_old_text_even_where_lines_have_moved() {
        let text = "zero\nhalf\none\ntwo\nTHREE\nmore\n\nfive\nnine\nten\n";
        let old = undo(text, &first()).unwrap();
        assert_eq!(old, "zero\nhalf\none\ntwo\nthree\n\nfive\nnine\n");
    }

    #[test]
    fn a_hunk_whose_context_differs_is_refused_and_named() {
        let text = "one\ntwo\nTHREE\nmore!\n\nnine\nten\n";
        let error = undo(text, &first()).unwrap_err();
        assert_eq!(error, PatchError::DoesNotReverse { hunk: 1, line: 2 });
    }

    /// Context on both sides of one added line.
    const BETWEEN: &str = "--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n above\n+added\n below\n";

    #[test]
    fn a_line_beside_the_changes_may_be_another_on_one_side() {
        let patch = &parse(BETWEEN).unwrap()[0];
        let undone = |text: &str| undo(text, patch);
        assert_eq!(undone("above\nadded\nother\n").unwrap(), "above\nother\n");
        assert_eq!(undone("other\nadded\nbelow\n").unwrap(), "other\nbelow\n");
        let refused = Err(PatchError::DoesNotReverse { hunk: 1, line: 1 });
        assert_eq!(undone("other\nadded\nother\n"), refused);
        assert_eq!(undone("above\nAdded\nbelow\n"), refused);
    }

    #[test]
    fn of_two_places_that_fit_on_one_side_none_is_taken() {
        let patch = &parse(BETWEEN).unwrap()[0];
        let refused = Err(PatchError::DoesNotReverse { hunk: 1, line: 1 });
        let twice = "above\nadded\n1\nabove\nadded\n2\n";
        assert_eq!(undo(twice, patch), refused);
        let either = "above\nadded\n1\n2\nadded\nbelow\n";
        assert_eq!(undo(either, patch), refused);
    }

    #[test]
    fn what_only_takes_away_is_not_looked_for_on_one_side() {
        let patch =
            &parse("--- a/f\n+++ b/f\n@@ -1,3 +1,2 @@\n above\n-gone\n below\n").unwrap()[0];
        assert_eq!(
            undo("above\nother\n", patch),
            Err(PatchError::DoesNotReverse { hunk: 1, line: 1 })
        );
    }

    #[test]
    fn of_two_fitting_places_the_nearer_one_is_taken() {
        let patch = &parse("--- a/f\n+++ b/f\n@@ -6,1 +6,2 @@\n x\n+y\n").unwrap()[0];
        let old = undo("x\ny\n3\n4\n5\nx\ny\n", patch).unwrap();
        assert_eq!(old, "x\ny\n3\n4\n5\nx\n");
    }

    #[test]
    fn a_broken_patch_is_an_error_with_its_line() {
        let text = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n x\n";
        assert!(matches!(
            parse(text),
            Err(PatchError::Malformed { line: 5, .. })
        ));
        let text = "--- a/f\n+++ b/f\n@@ nonsense\n";
        assert!(matches!(
            parse(text),
            Err(PatchError::Malformed { line: 3, .. })
        ));
        let text = "--- a/f\n+++ b/f\n@@ -1,9999999999999999999999 +1 @@\n";
        assert!(parse(text).is_err());
    }

    #[test]
    fn only_added_lines_count_as_added() {
        assert!(first().adds_any(&["more"]));
        assert!(!first().adds_any(&["three", "nine"]));
    }
}
