//! `recipe verify`: a copy of a closure, anywhere, against the manifest that it carries.

use camino::Utf8PathBuf;

use super::app::App;
use super::exit::Failed;
use super::render::{bytes, report};
use crate::closure;

/// What `recipe verify` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Top folder of the closure
    #[arg(value_name = "DIR")]
    folder: Utf8PathBuf,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let found = closure::verify(&args.folder)?;
    let manifest = &found.manifest;
    if found.problems.is_empty() {
        return app.say(&format!(
            "{} {} {}: {} files and links, {}, all as built",
            args.folder,
            manifest.name,
            manifest.version,
            manifest.entries.len(),
            bytes(found.bytes)
        ));
    }
    for (path, problem) in &found.problems {
        app.say(&format!("{:8} {}", problem.word(), path.escape_debug()))?;
    }
    Err(Failed::Damaged(report(
        format!(
            "{} is not as it was built: {} of its {} files and links differ",
            args.folder,
            found.problems.len(),
            manifest.entries.len()
        ),
        "copy the closure again from where it was built or exported".into(),
    )))
}
