//! `recipe fmt`: recipes in their one canonical text.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use super::advice::report;
use super::app::{App, replace, unreadable};
use super::exit::Failed;
use super::render::plural;
use crate::recipe::{Recipe, formatted};

/// What `recipe fmt` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recipes, by name or path, and folders of them [default: the folder recipes]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Change nothing; fail when a file would change
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let files = files(args, app)?;
    let mut changed = Vec::new();
    for path in &files {
        let text = read(path)?;
        let canonical = formatted(path.as_str(), &text)?;
        if canonical == text {
            continue;
        }
        if !args.check {
            replace(path, canonical.as_bytes())?;
        }
        changed.push(path);
    }
    let done = if args.check {
        "would change"
    } else {
        "changed"
    };
    for path in &changed {
        app.say(&format!("{path} {done}"))?;
    }
    let told = format!("{}, {} {done}", plural(files.len(), "file"), changed.len());
    if args.check && !changed.is_empty() {
        return Err(Failed::Stale(report(told, "run `recipe fmt`".to_owned())));
    }
    app.say(&told)
}

fn files(args: &Args, app: &App) -> Result<Vec<Utf8PathBuf>, Failed> {
    if args.names.is_empty() {
        return Ok(Recipe::files(Utf8Path::new("recipes")));
    }
    let mut files = Vec::new();
    for name in &args.names {
        let path = Utf8Path::new(name);
        if name.contains('/') && path.is_dir() {
            files.extend(Recipe::files(path));
        } else {
            files.push(Recipe::find(name, &app.config.recipes)?);
        }
    }
    Ok(files)
}

fn read(path: &Utf8Path) -> Result<String, Failed> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    String::from_utf8(bytes).map_err(|_| {
        Failed::File(report(
            format!("{path} is not UTF-8"),
            "write it anew in UTF-8; nothing was changed".to_owned(),
        ))
    })
}
