//! What was found: [`Report`]. Plain data; `cli` makes text of it.

use super::checks::{CHECKS, Check, How};

/// What one check found in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is as it should be.
    Holds,
    /// It is not.
    Fails {
        /// What was seen.
        found: String,
        /// Why that is so.
        cause: String,
    },
    /// It cannot be told here.
    Skipped {
        /// Why not.
        why: String,
    },
}

/// One check, in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The check's name in [`CHECKS`].
    pub check: &'static str,
    /// The root, and the user or the place in it.
    pub place: String,
    /// What was found.
    pub found: Found,
}

/// How many answers there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// As it should be.
    pub holds: usize,
    /// Not so.
    pub fails: usize,
    /// Could not be told.
    pub skipped: usize,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The folder that was tested.
    pub tree: String,
    /// What starts its Python.
    pub program: String,
    /// Where it was tested, in order.
    pub places: Vec<String>,
    /// The checks that were asked for, in order.
    pub checks: Vec<Check>,
    /// What each found, in the order of the checks.
    pub answers: Vec<Answer>,
    /// How many of each kind.
    pub counts: Counts,
}

impl Report {
    pub(super) fn new(
        tree: &str,
        program: &str,
        places: Vec<String>,
        checks: Vec<Check>,
        mut answers: Vec<Answer>,
    ) -> Report {
        for check in &checks {
            if let How::Undecidable(why) = check.how {
                answers.push(Answer::skipped(check.name, "anywhere", why));
            }
        }
        answers.retain(|answer| checks.iter().any(|check| check.name == answer.check));
        let order = |answer: &Answer| CHECKS.iter().position(|check| check.name == answer.check);
        answers.sort_by_key(order);
        let mut counts = Counts::default();
        for answer in &answers {
            match answer.found {
                Found::Holds => counts.holds += 1,
                Found::Fails { .. } => counts.fails += 1,
                Found::Skipped { .. } => counts.skipped += 1,
            }
        }
        Report {
            tree: tree.to_owned(),
            program: program.to_owned(),
            places,
            checks,
            answers,
            counts,
        }
    }

    /// What one check found, in every place.
    pub fn of<'a>(&'a self, check: &Check) -> impl Iterator<Item = &'a Answer> + use<'a> {
        let name = check.name;
        self.answers
            .iter()
            .filter(move |answer| answer.check == name)
    }
}

impl Answer {
    pub(super) fn holds(check: &'static str, place: &str) -> Answer {
        Answer {
            check,
            place: place.to_owned(),
            found: Found::Holds,
        }
    }

    pub(super) fn skipped(check: &'static str, place: &str, why: impl Into<String>) -> Answer {
        Answer {
            check,
            place: place.to_owned(),
            found: Found::Skipped { why: why.into() },
        }
    }

    pub(super) fn fails(
        check: &'static str,
        place: &str,
        found: impl Into<String>,
        cause: impl Into<String>,
    ) -> Answer {
        Answer {
            check,
            place: place.to_owned(),
            found: Found::Fails {
                found: found.into(),
                cause: cause.into(),
            },
        }
    }
}
