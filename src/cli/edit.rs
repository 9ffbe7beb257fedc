//! `recipe add` and `recipe remove`: the lists of a recipe, edited without losing a comment.

use camino::Utf8Path;
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::{App, replace};
use super::exit::Failed;
use super::found::{Forms, Found};
use crate::recipe::Recipe;
use crate::recipe::edit::{self, List};

/// What both commands take.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path
    #[arg(value_name = "NAME")]
    name: String,
    /// Python requirements, such as 'requests>=2.32'
    #[arg(value_name = "REQUIREMENT", required_unless_present = "system")]
    requirements: Vec<String>,
    /// A Debian package; may be given several times
    #[arg(long, value_name = "PACKAGE")]
    system: Vec<String>,
    #[command(flatten)]
    forms: Forms,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer<'a> {
    path: &'a str,
    /// What was added or removed.
    entries: Vec<&'a str>,
}

impl Args {
    fn entries(&self) -> impl Iterator<Item = (List, &String)> {
        let requirements = self.requirements.iter();
        let packages = self.system.iter();
        requirements
            .map(|entry| (List::Requirements, entry))
            .chain(packages.map(|entry| (List::Packages, entry)))
    }

    fn answer<'a>(&'a self, found: &'a Found) -> Answer<'a> {
        Answer {
            path: found.path.as_str(),
            entries: self.entries().map(|(_, entry)| entry.as_str()).collect(),
        }
    }
}

/// `recipe add`.
pub(super) fn add(args: &Args, app: &App) -> Result<(), Failed> {
    let mut found = app.find(&args.name, &args.forms)?;
    let recipe = found.recipe()?;
    let mut text = recipe.text.inner().to_string();
    for (list, entry) in args.entries() {
        if let Some((said, place)) = present(&recipe, list, entry) {
            return Err(Failed::Usage(report(
                format!("`{said}` is in the recipe already: {place}"),
                format!(
                    "edit that line, or `recipe remove {} {said}` first",
                    args.name
                ),
            )));
        }
        text = edit::add(found.path.as_str(), &text, list, entry)?;
    }
    write(&found, text)?;
    let answer = args.answer(&found);
    app.answer(args.form, "add", &answer, || {
        format!("Added {} to {}", answer.entries.join(", "), answer.path)
    })
}

/// `recipe remove`.
pub(super) fn remove(args: &Args, app: &App) -> Result<(), Failed> {
    let mut found = app.find(&args.name, &args.forms)?;
    let recipe = found.recipe()?;
    let mut text = recipe.text.inner().to_string();
    for (list, entry) in args.entries() {
        match edit::remove(found.path.as_str(), &text, list, entry)? {
            Some(without) => text = without,
            None => return Err(absent(&recipe, &found.path, list, entry)),
        }
    }
    write(&found, text)?;
    let answer = args.answer(&found);
    app.answer(args.form, "remove", &answer, || {
        let entries = answer.entries.join(", ");
        format!("Removed {entries} from {}", answer.path)
    })
}

/// Writes the text, if it is a good recipe.
fn write(found: &Found, text: String) -> Result<(), Failed> {
    found.parse(&text)?;
    replace(&found.path, text.as_bytes())
}

/// The entry for the same thing that the recipe's own file has, and where.
fn present(recipe: &Recipe, list: List, entry: &str) -> Option<(String, String)> {
    let own = Utf8Path::new(recipe.text.name());
    let (said, file, line) = said(recipe, list, entry)?;
    (file == own).then(|| (said, format!("{file} line {line}")))
}

/// What the recipe, or something it builds on, says of the same thing, and where.
fn said(recipe: &Recipe, list: List, entry: &str) -> Option<(String, camino::Utf8PathBuf, usize)> {
    match list {
        List::Requirements => {
            let mut all = recipe.requirements().iter();
            let found = all.find(|it| list.same(&it.name, entry))?;
            Some((
                found.text.clone(),
                found.origin.file.clone(),
                found.origin.line,
            ))
        }
        List::Packages => {
            let found = recipe.system.packages.iter().find(|it| it.value == entry)?;
            let before = found
                .text
                .inner()
                .get(..found.span.offset())
                .unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Some((found.value.clone(), found.text.name().into(), line))
        }
    }
}

fn absent(recipe: &Recipe, path: &Utf8Path, list: List, entry: &str) -> Failed {
    let help = match said(recipe, list, entry) {
        Some((_, file, line)) => format!(
            "it is asked for in {file} line {line}: edit that file, or write \
             `{} {{ without \"{entry}\" }}` into the recipe",
            list.block()
        ),
        None => "the file lists what there is".to_owned(),
    };
    Failed::Usage(report(
        format!("`{entry}` is not in {path}, and nothing was changed"),
        help,
    ))
}
