//! The definitions of the commands → completions and manual pages.
//!
//! The book's page of commands is written from them too, by the tests in `manual/reference.rs`.

use camino::Utf8PathBuf;
use clap::builder::PossibleValuesParser;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::App;
use super::exit::Failed;
use super::{Cli, render};

/// What `recipe completions` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell: put what is printed where it reads completions
    #[arg(value_name = "SHELL", value_parser = PossibleValuesParser::new(["bash", "zsh", "fish"]))]
    shell: String,
}

/// What `recipe man` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// The folder, such as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    folder: Utf8PathBuf,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer<'a> {
    folder: &'a str,
    pages: Vec<String>,
}

pub(super) fn completions(args: &Completions, app: &App) -> Result<(), Failed> {
    let shell = match args.shell.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "recipe", &mut text);
    app.say(String::from_utf8_lossy(&text).trim_end())
}

pub(super) fn man(args: &Man, app: &App) -> Result<(), Failed> {
    let unwritable = |error: std::io::Error| {
        Failed::File(report(
            format!(
                "the manual could not be written to {}: {error}",
                args.folder
            ),
            "name a folder that exists and that you may write to".into(),
        ))
    };
    let mut answer = Answer {
        folder: args.folder.as_str(),
        pages: Vec::new(),
    };
    for (name, page) in pages() {
        let path = args.folder.join(&name);
        std::fs::write(path, page.map_err(unwritable)?).map_err(unwritable)?;
        answer.pages.push(name);
    }
    app.answer(args.form, "man", &answer, || {
        let pages = render::plural(answer.pages.len(), "page");
        format!("Wrote {pages} to {}", answer.folder)
    })
}

/// `recipe.1`, `recipe-build.1`, `recipe-store-verify.1`, …
fn pages() -> Vec<(String, std::io::Result<Vec<u8>>)> {
    let mut pages = Vec::new();
    for (words, command) in commands() {
        let mut page = Vec::new();
        let name = words.join("-");
        let written = clap_mangen::Man::new(command).render(&mut page);
        pages.push((format!("{name}.1"), written.map(|()| page)));
    }
    pages
}

/// Every command with the words that name it, the program itself first.
fn commands() -> Vec<(Vec<String>, Command)> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut all = Vec::new();
    let mut waiting = vec![(vec!["recipe".to_owned()], program)];
    while let Some((words, command)) = waiting.pop() {
        // Last first, so that they come in the order of `--help`.
        let below: Vec<&Command> = command
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
            .collect();
        for below in below.into_iter().rev() {
            let mut words = words.clone();
            words.push(below.get_name().to_owned());
            waiting.push((words, below.clone()));
        }
        all.push((words, command));
    }
    all
}

#[cfg(test)]
mod reference;
