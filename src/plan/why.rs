//! Two pre-images → their first difference, told by the same walk as `key.rs`. Begin at [`difference`].

use recipe_store::ObjectId;

use super::key::{Listener, escape, tell, version_of};
use super::step::Resolved;

/// One fact of a step that counts, in the order of [`tell`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its name: `step`, `exclude`, `tree`.
    pub name: String,
    /// Its value, escaped as in a pre-image.
    pub value: String,
    /// Which of the step's inputs it is, where it is one: a place in [`super::Step::inputs`].
    pub input: Option<usize>,
}

/// The first thing in which two steps differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Name of the fact.
    pub field: String,
    /// Which input of the step as it is now, where the fact is one.
    pub input: Option<usize>,
    /// What it was; none where there was no such fact.
    pub before: Option<String>,
    /// What it is; none where there is no such fact any more.
    pub now: Option<String>,
}

/// All that counts of a step.
pub fn facts(step: &Resolved) -> Vec<Fact> {
    let mut facts = Facts::default();
    tell(step, &mut facts);
    facts.facts
}

/// The first difference between the pre-image that a trace holds and a step as it is now; none where
/// their keys are the same.
pub fn difference(before: &[u8], now: &Resolved) -> Option<Difference> {
    let text = String::from_utf8_lossy(before);
    let before: Vec<(&str, &str)> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .collect();
    let now = facts(now);
    let same = |(before, now): &(&(&str, &str), &Fact)| **before == (&now.name, &now.value);
    let head = before.iter().zip(&now).take_while(same).count();
    let (before, now) = (&before[head..], &now[head..]);
    // What both end with says whether something was put in, taken out, or changed.
    let tail = before.iter().rev().zip(now.iter().rev());
    let tail = tail.take_while(same).count();
    let (before, now) = (
        before[..before.len() - tail].first(),
        now[..now.len() - tail].first(),
    );
    let was = |(_, value): &(&str, &str)| (*value).to_owned();
    match (before, now) {
        (None, None) => None,
        (Some(before), Some(now)) if before.0 == now.name => Some(Difference {
            field: now.name.clone(),
            input: now.input,
            before: Some(was(before)),
            now: Some(now.value.clone()),
        }),
        (_, Some(now)) => Some(Difference {
            field: now.name.clone(),
            input: now.input,
            before: None,
            now: Some(now.value.clone()),
        }),
        (Some(before), None) => Some(Difference {
            field: before.0.to_owned(),
            input: None,
            before: Some(was(before)),
            now: None,
        }),
    }
}

#[derive(Default)]
struct Facts {
    facts: Vec<Fact>,
    inputs: usize,
}

impl Listener for Facts {
    fn kind(&mut self, kind: &str) {
        self.fact("step", &format!("{kind} {}", version_of(kind)));
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.facts.push(Fact {
            name: name.to_owned(),
            value: escape(value),
            input: None,
        });
    }

    fn object(&mut self, name: &str, id: &ObjectId) {
        self.facts.push(Fact {
            name: name.to_owned(),
            value: id.to_string(),
            input: Some(self.inputs),
        });
        self.inputs += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use recipe_store::{BlobId, Digest};

    use super::*;
    use crate::plan::Step;

    fn blob(text: &str) -> ObjectId {
        ObjectId::Blob(BlobId {
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
        })
    }

    fn step(deb: &str, named: bool, exclude: &[&str]) -> Resolved {
        Step::UnpackDeb {
            deb: blob(deb),
            package: "libc6".into(),
            named,
            exclude: exclude.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    fn told(before: &Resolved, now: &Resolved) -> Option<(String, Option<String>, Option<String>)> {
        let found = difference(&before.preimage(), now)?;
        Some((found.field, found.before, found.now))
    }

    #[test]
    fn the_fact_that_changed_is_named_with_what_it_was() {
        let one = step("a", false, &["x", "z"]);
        assert_eq!(told(&one, &one), None);
        let yes = told(&one, &step("a", true, &["x", "z"]));
        assert_eq!(
            yes,
            Some(("named".into(), Some("no".into()), Some("yes".into())))
        );
        let more = told(&one, &step("a", false, &["x", "y", "z"]));
        assert_eq!(more, Some(("exclude".into(), None, Some("y".into()))));
        let less = told(&one, &step("a", false, &["z"]));
        assert_eq!(less, Some(("exclude".into(), Some("x".into()), None)));
    }

    #[test]
    fn an_input_that_changed_is_named_by_its_place() {
        let found = difference(&step("a", false, &[]).preimage(), &step("b", false, &[]));
        let found = found.map(|found| (found.field, found.input));
        assert_eq!(found, Some(("deb".into(), Some(0))));
    }

    #[test]
    fn another_version_of_the_same_work_is_a_difference() {
        let now = step("a", false, &[]);
        let text = String::from_utf8_lossy(&now.preimage()).into_owned();
        let old = text.replacen("step unpack-deb ", "step unpack-deb 0", 1);
        let found = difference(old.as_bytes(), &now).map(|found| found.field);
        assert_eq!(found.as_deref(), Some("step"));
    }

    proptest! {
        #[test]
        fn two_steps_differ_just_when_their_keys_do(
            one in proptest::collection::vec("[a-c\\\\\n]{0,3}", 0..4),
            two in proptest::collection::vec("[a-c\\\\\n]{0,3}", 0..4),
        ) {
            let of = |words: &[String]| {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                step("a", false, &words)
            };
            let (one, two) = (of(&one), of(&two));
            prop_assert_eq!(
                difference(&one.preimage(), &two).is_none(),
                one.key() == two.key()
            );
        }
    }
}
