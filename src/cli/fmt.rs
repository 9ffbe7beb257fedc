//! `recipe fmt`: recipes in their one canonical text.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::{App, replace};
use super::exit::Failed;
use super::render::plural;
use crate::recipe::{self, Recipe, formatted};

/// What `recipe fmt` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recipes, by name or path, and folders of them [default: the folder recipes]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Change nothing; fail when a file would change
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    /// Whether nothing was written.
    check: bool,
    files: Vec<OneFile>,
}

#[derive(Serialize)]
struct OneFile {
    path: String,
    /// Whether its text was, or is, another than the canonical one.
    changed: bool,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let mut answer = Answer {
        check: args.check,
        files: Vec::new(),
    };
    for path in files(args, app)? {
        let text = recipe::text(&path)?;
        let canonical = formatted(path.as_str(), &text)?;
        let changed = canonical != text;
        if changed && !args.check {
            replace(&path, canonical.as_bytes())?;
        }
        answer.files.push(OneFile {
            path: path.into_string(),
            changed,
        });
    }
    app.answer(args.form, "fmt", &answer, || answer.text())?;
    if args.check && answer.changed().count() > 0 {
        return Err(Failed::Stale(report(
            answer.count(),
            "run `recipe fmt`".to_owned(),
        )));
    }
    Ok(())
}

impl Answer {
    fn changed(&self) -> impl Iterator<Item = &OneFile> {
        self.files.iter().filter(|file| file.changed)
    }

    fn done(&self) -> &'static str {
        if self.check {
            "would change"
        } else {
            "changed"
        }
    }

    fn count(&self) -> String {
        let files = plural(self.files.len(), "file");
        format!("{files}, {} {}", self.changed().count(), self.done())
    }

    /// The count comes last, unless it is what the failure says.
    fn text(&self) -> String {
        let lines = self.changed();
        let lines = lines.map(|file| format!("{} {}", file.path, self.done()));
        let mut lines: Vec<String> = lines.collect();
        if !self.check || lines.is_empty() {
            lines.push(self.count());
        }
        lines.join("\n")
    }
}

fn files(args: &Args, app: &App) -> Result<Vec<Utf8PathBuf>, Failed> {
    if args.names.is_empty() {
        return Ok(all_in(Utf8Path::new("recipes"), app));
    }
    let mut files = Vec::new();
    for name in &args.names {
        let path = Utf8Path::new(name);
        if name.contains('/') && path.is_dir() {
            files.extend(all_in(path, app));
        } else {
            files.push(Recipe::find(name, &app.config.recipes)?);
        }
    }
    Ok(files)
}

fn all_in(folder: &Utf8Path, app: &App) -> Vec<Utf8PathBuf> {
    let files = Recipe::files(folder);
    if files.is_empty() {
        app.tell(&format!("There are no recipes in {folder}"));
    }
    files
}
