//! `recipe verify`: a copy of a closure, anywhere, against the manifest that it carries.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::App;
use super::exit::Failed;
use super::render::bytes;
use crate::closure;

/// What `recipe verify` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Top folder of the closure
    #[arg(value_name = "DIR")]
    folder: Utf8PathBuf,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer<'a> {
    folder: &'a str,
    name: &'a str,
    /// Version of the closure.
    closure_version: &'a str,
    sound: bool,
    /// Files and links that the manifest lists.
    entries: usize,
    bytes: u64,
    problems: Vec<OneProblem<'a>>,
}

#[derive(Serialize)]
struct OneProblem<'a> {
    path: &'a str,
    /// `missing`, `extra`, `changed`, `mode`, `kind`, `set-id`, `writable`.
    problem: &'static str,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    if !args.folder.is_dir() {
        return Err(no_folder(&args.folder));
    }
    let found = closure::verify(&args.folder)?;
    let manifest = &found.manifest;
    let answer = Answer {
        folder: args.folder.as_str(),
        name: &manifest.name,
        closure_version: &manifest.version,
        sound: found.problems.is_empty(),
        entries: manifest.entries.len(),
        bytes: found.bytes,
        problems: found
            .problems
            .iter()
            .map(|(path, problem)| OneProblem {
                path,
                problem: problem.word(),
            })
            .collect(),
    };
    app.answer(args.form, "verify", &answer, || answer.text())?;
    if answer.sound {
        return Ok(());
    }
    let only_bits = found
        .problems
        .iter()
        .all(|(_, problem)| problem.is_of_bits());
    Err(Failed::Damaged(if only_bits {
        report(
            format!(
                "{} has its bytes as they were built, and {} of its files and folders have \
                 permissions that let others change it or gain by it",
                args.folder,
                answer.problems.len()
            ),
            format!("take them away: chmod -R o-w,ug-s {}", args.folder),
        )
    } else {
        report(
            format!(
                "{} is not as it was built: {} of its {} files and links differ",
                args.folder,
                answer.problems.len(),
                answer.entries
            ),
            "copy the closure again from where it was built or exported".into(),
        )
    }))
}

fn no_folder(path: &Utf8Path) -> Failed {
    let (what, help) = if path.exists() {
        (
            "not a folder",
            "unpack an archive first, and name the folder that comes of it",
        )
    } else {
        (
            "not there",
            "name the top folder of a closure, such as result/NAME or a copy of it",
        )
    };
    Failed::Usage(report(format!("{path} is {what}"), help.into()))
}

impl Answer<'_> {
    fn text(&self) -> String {
        if self.sound {
            return format!(
                "{} {} {}: {} files and links, {}, all as built",
                self.folder,
                self.name,
                self.closure_version,
                self.entries,
                bytes(self.bytes)
            );
        }
        let lines: Vec<String> = self
            .problems
            .iter()
            .map(|found| format!("{:8} {}", found.problem, found.path.escape_debug()))
            .collect();
        lines.join("\n")
    }
}
