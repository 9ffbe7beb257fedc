//! The recipe's own checks, run inside the closure: no network, nothing of the host but the names of its
//! user and group.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use recipe_store::TreeId;

use super::build::filled;
use super::proof::last_words;
use super::{Bench, Made, StepError};
use crate::build::FailedCheck;
use crate::plan::Means;
use crate::recipe::{Ask, Check};
use crate::sandbox::{Identity, Level, Spec, Status, Stdin};

/// Where the closure lies while it is checked.
const PLACE: &str = "/in/closure";

/// Who there is: any host has somebody of the number that a program runs under.
const USERS: &str = "\
root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:user:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
";
const GROUPS: &str = "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n";

/// Seconds after which a check is stopped whose recipe says nothing.
const LIMIT: u32 = 600;

pub(super) fn check(
    bench: &Bench<'_>,
    closure: &TreeId,
    means: Means,
    checks: &[Check],
) -> Result<Made, StepError> {
    let host = bench.session().checkout(closure)?;
    let level = Mutex::new(Level::Landlocked);
    let ran: Vec<Result<(), FailedCheck>> = checks
        .par_iter()
        .enumerate()
        .map(|(index, check)| one(bench, &host, means, index, check, &level))
        .collect::<Result<_, StepError>>()?;
    let failed: Vec<FailedCheck> = ran.into_iter().filter_map(Result::err).collect();
    if !failed.is_empty() {
        let passed = checks.len() - failed.len();
        return Err(StepError::Checks { failed, passed });
    }
    let report = format!("{} checks passed\n", checks.len());
    let output = bench.session().put_blob(report.as_bytes(), false)?.into();
    Ok(Made {
        output,
        isolation: match means {
            Means::Emulated => "emulated",
            Means::Native | Means::Structure => {
                let level = level.into_inner();
                level.unwrap_or_else(PoisonError::into_inner).word()
            }
        },
    })
}

/// Runs one check; the outer failure is ours, the inner one its own.
fn one(
    bench: &Bench<'_>,
    host: &Utf8Path,
    means: Means,
    index: usize,
    check: &Check,
    level: &Mutex<Level>,
) -> Result<Result<(), FailedCheck>, StepError> {
    let mut spec = spec(check)
        .input(host, PLACE)
        .usual_places()
        .env("HOME", "/tmp")
        .env("PATH", format!("{PLACE}/bin"))
        .env("TMPDIR", "/tmp");
    spec.cwd = "/tmp".into();
    spec.identity = Identity::User;
    let made = [("/etc/passwd", USERS), ("/etc/group", GROUPS)];
    let made = made.map(|(path, text)| (path.into(), text.as_bytes().to_vec()));
    spec.files.extend(made);
    let limit = Duration::from_secs(check.limit.unwrap_or(LIMIT).into());
    spec.limits.wall = Some(limit);
    let spec = spec.emulated(bench.emulator(means));
    // The place inside means nothing to a person: the same file can be looked at in the store.
    let known = |text: &str| text.replace(PLACE, host.as_str());
    let failed = |said: String| FailedCheck {
        index,
        check: words(check),
        said: known(&said),
    };
    if let Ask::Run(words) = &check.ask
        && let Some(program) = words.first()
        && !program.starts_with(['/', '$'])
        && host.join(program).symlink_metadata().is_err()
    {
        let why = format!(
            "the closure has no `{program}`: a program is named by its path inside, such as bin/python3"
        );
        return Ok(Err(failed(why)));
    }
    match bench.shop.sandbox.run(&spec, Stdin::Empty) {
        Ok(outcome) => {
            let mut least = level.lock().unwrap_or_else(PoisonError::into_inner);
            *least = outcome.level.min(*least);
            drop(least);
            let printed = [outcome.stdout.as_slice(), &outcome.stderr].concat();
            let printed = known(&String::from_utf8_lossy(&printed));
            let took = outcome.duration.as_millis();
            bench.keep(format!("check {} ({took} ms)\n{printed}", words(check)).as_bytes());
            Ok(if outcome.success() {
                Ok(())
            } else if outcome.status == Status::TimedOut {
                let most = limit.as_secs();
                Err(failed(format!(
                    "{}\nit was stopped after {most} s: `timeout=\"{}m\"` beside it in the recipe gives it longer",
                    last_words(&outcome),
                    (most / 60 + 1) * 2
                )))
            } else {
                Err(failed(last_words(&outcome)))
            })
        }
        Err(error) if error.is_programs() => Ok(Err(failed(error.to_string()))),
        Err(error) => Err(error.into()),
    }
}

fn spec(check: &Check) -> Spec {
    match &check.ask {
        Ask::Python(code) => Spec::new(format!("{PLACE}/bin/python3")).args(["-c", code]),
        Ask::Run(words) => {
            let words: Vec<String> = words
                .iter()
                .map(|word| filled(word, &[("closure", PLACE)]))
                .collect();
            let program = words.first().map_or("", String::as_str);
            let path = if program.starts_with('/') {
                Utf8PathBuf::from(program)
            } else {
                Utf8PathBuf::from(PLACE).join(program)
            };
            Spec::new(path).args(&words[words.len().min(1)..])
        }
    }
}

fn words(check: &Check) -> String {
    match &check.ask {
        Ask::Python(code) => format!("python {code:?}"),
        Ask::Run(words) => format!("run {}", words.join(" ")),
    }
}
