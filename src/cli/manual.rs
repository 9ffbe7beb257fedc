//! The definitions of the commands → completions and manual pages.
//!
//! The book's page of commands is written from them too, by the tests in `manual/reference.rs`.

use camino::Utf8PathBuf;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, CommandFactory as _};
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
    /// The folder, such as /usr/local/share/man/man1; it is made where there is none
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
            "name a folder that you may write to".into(),
        ))
    };
    std::fs::create_dir_all(&args.folder).map_err(unwritable)?;
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
        let synopsis = synopsis(&words, &command);
        let written = clap_mangen::Man::new(command).render(&mut page);
        let page = written.map(|()| with_synopsis(&page, &synopsis));
        pages.push((format!("{name}.1"), page));
    }
    pages
}

/// The page with this line below SYNOPSIS instead of its own, which leaves out what values are called.
fn with_synopsis(page: &[u8], synopsis: &str) -> Vec<u8> {
    let page = String::from_utf8_lossy(page);
    let mut lines: Vec<&str> = page.lines().collect();
    let heading = lines.iter().position(|line| *line == ".SH SYNOPSIS");
    if let Some(line) = heading.and_then(|heading| lines.get_mut(heading + 1)) {
        *line = synopsis;
    }
    (lines.join("\n") + "\n").into_bytes()
}

/// How a command is typed, in the language of manual pages: its own options, then the settings of
/// every command, then its arguments.
fn synopsis(words: &[String], command: &Command) -> String {
    let mut parts = vec![format!("\\fB{}\\fR", escaped(&words.join(" ")))];
    let shown = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    let options = |global| {
        let of_kind = move |arg: &&Arg| !arg.is_positional() && arg.is_global_set() == global;
        shown().filter(of_kind)
    };
    parts.extend(options(false).chain(options(true)).map(|arg| {
        let short = arg.get_short().map(|short| format!("-{short}"));
        let long = arg.get_long().map(|long| format!("--{long}"));
        let names: Vec<String> = short.into_iter().chain(long).collect();
        let names: Vec<String> = names.iter().map(|name| bold(name)).collect();
        let takes = arg.get_action().takes_values();
        let value = takes.then(|| format!(" {}", value_of(arg)));
        let typed = names.join("|") + &value.unwrap_or_default();
        optional(arg, &typed)
    }));
    let arguments = shown().filter(|arg| arg.is_positional());
    parts.extend(arguments.map(|arg| optional(arg, &value_of(arg))));
    if command.has_subcommands() {
        parts.push("\\fICOMMAND\\fR".to_owned());
    }
    parts.join(" ")
}

fn bold(word: &str) -> String {
    format!("\\fB{}\\fR", escaped(word))
}

/// What the value of an argument is called.
fn value_of(arg: &Arg) -> String {
    let id = arg.get_id().as_str().to_uppercase();
    let names = arg.get_value_names().unwrap_or_default();
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let name = if names.is_empty() {
        id
    } else {
        names.join(" ")
    };
    format!("\\fI{}\\fR", escaped(&name))
}

/// In brackets unless it has to be there, with dots where there can be several.
fn optional(arg: &Arg, typed: &str) -> String {
    let many = arg
        .get_num_args()
        .is_some_and(|count| count.max_values() > 1);
    let many = many || matches!(arg.get_action(), ArgAction::Append);
    let dots = if many { "..." } else { "" };
    match arg.is_required_set() {
        true => format!("{typed}{dots}"),
        false => format!("[{typed}]{dots}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\(rs").replace('-', "\\-")
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
