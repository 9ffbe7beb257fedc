//! `recipe init`: a small recipe that builds, to begin with.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::{App, replace};
use super::config::here;
use super::exit::Failed;
use crate::recipe::{Recipe, RecipeError};

/// What `recipe init` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the recipe [default: that of the current folder]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer<'a> {
    name: &'a str,
    path: &'a str,
}

/// What it says is what the guide begins with.
const TEMPLATE: &str = include_str!("init.kdl");

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => here().file_name().map(named).unwrap_or_default(),
    };
    match Recipe::find(&name, &[]) {
        Err(RecipeError::NotFound { .. }) => {}
        Err(RecipeError::BadName { name, why }) => {
            return Err(Failed::Usage(report(
                format!("{name:?} cannot be the name of a recipe: {why}"),
                "for example: recipe init mine".to_owned(),
            )));
        }
        Ok(path) if name.contains('/') || name.ends_with(".kdl") => {
            return Err(Failed::Usage(report(
                format!("{path} is a path, and a name is wanted"),
                "for example: recipe init mine".to_owned(),
            )));
        }
        Ok(path) => {
            return Err(Failed::Usage(report(
                format!("there is a recipe of this name: {path}"),
                "take another name, or edit that file".to_owned(),
            )));
        }
        Err(error) => return Err(error.into()),
    }
    let folder = Utf8Path::new("recipes");
    fs::create_dir_all(folder).map_err(|error| {
        Failed::File(report(
            format!("the folder recipes could not be made: {error}"),
            "go to a folder that you may write to".to_owned(),
        ))
    })?;
    let path = folder.join(format!("{name}.kdl"));
    replace(&path, TEMPLATE.replace("NAME", &name).as_bytes())?;
    let answer = Answer {
        name: &name,
        path: path.as_str(),
    };
    app.answer(args.form, "init", &answer, || {
        format!(
            "{path}\n  recipe build {name}            make result/{name}\n  recipe add {name} requests     have a \
             Python package in it"
        )
    })
}

/// A folder's name as the name of a recipe.
fn named(folder: &str) -> String {
    let good = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() || "+._-".contains(c) => c,
        _ => '-',
    };
    let name: String = folder.chars().map(good).take(64).collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    match name {
        "" => "hello".to_owned(),
        name => Utf8PathBuf::from(name).into_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_recipe_is_canonical_and_good() {
        let text = TEMPLATE.replace("NAME", "hello");
        assert_eq!(crate::recipe::formatted("x", &text).expect("KDL"), text);
        let recipe = Recipe::parse("hello.kdl", text.into(), Utf8Path::new(".")).expect("good");
        assert_eq!(recipe.name, "hello");
        assert!(!recipe.checks.is_empty());
    }

    #[test]
    fn a_folder_gives_a_name_that_can_be_one() {
        for (folder, name) in [
            ("My App", "my-app"),
            ("scylla-python", "scylla-python"),
            ("...", "hello"),
            ("ünïcode", "n-code"),
        ] {
            assert_eq!(named(folder), name);
        }
    }
}
