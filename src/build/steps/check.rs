//! The recipe's own checks, run inside the closure: no network, nothing of the host.

use camino::Utf8PathBuf;
use rayon::prelude::*;
use recipe_store::TreeId;

use super::proof::last_words;
use super::{Bench, Made, StepError};
use crate::recipe::Check;
use crate::sandbox::{Identity, Spec, Stdin};

/// Where the closure lies while it is checked.
const PLACE: &str = "/in/closure";

pub(super) fn check(
    bench: &Bench<'_>,
    closure: &TreeId,
    checks: &[Check],
) -> Result<Made, StepError> {
    let host = bench.session().checkout(closure)?;
    checks.par_iter().try_for_each(|check| {
        let mut spec = spec(check)
            .input(&host, PLACE)
            .usual_places()
            .env("HOME", "/tmp")
            .env("PATH", format!("{PLACE}/bin"))
            .env("TMPDIR", "/tmp");
        spec.cwd = "/tmp".into();
        spec.identity = Identity::User;
        let outcome = bench.shop.sandbox.run(&spec, Stdin::Empty)?;
        if outcome.success() {
            return Ok(());
        }
        Err(StepError::Guard {
            what: format!(
                "the check `{}` failed:\n{}",
                words(check),
                last_words(&outcome)
            ),
            help: "the check stands in the recipe's `check` node; it ran in the finished closure \
                   without network and without any file of the host"
                .into(),
        })
    })?;
    let report = format!("{} checks passed\n", checks.len());
    let output = bench.session().put_blob(report.as_bytes(), false)?.into();
    Ok(Made {
        output,
        isolation: "namespaces",
    })
}

fn spec(check: &Check) -> Spec {
    match check {
        Check::Python(code) => Spec::new(format!("{PLACE}/bin/python3")).args(["-c", code]),
        Check::Run(words) => {
            let program = words.first().map_or("", String::as_str);
            let path = if program.starts_with('/') {
                Utf8PathBuf::from(program)
            } else {
                Utf8PathBuf::from(PLACE).join(program)
            };
            Spec::new(path).args(words.iter().skip(1))
        }
    }
}

fn words(check: &Check) -> String {
    match check {
        Check::Python(code) => format!("python {code:?}"),
        Check::Run(words) => format!("run {}", words.join(" ")),
    }
}
