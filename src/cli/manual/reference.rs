//! The definitions of the commands → the book's page of commands, and tests that hold them together.

use clap::{Arg, Command, CommandFactory as _};

use super::{commands, pages};
use crate::cli::{Cli, exit};

const INTRODUCTION: &str = "\
# Commands

<!-- Generated from the program: `RECIPE_WRITE_BOOK=1 cargo test --lib manual` writes this page. -->

`recipe help COMMAND` prints the same. Results go to standard output, everything else to standard error;
`--json` gives the result [as JSON](json.md). With a terminal there is a progress bar, without one (or
with `TERM=dumb`) a line every two seconds; `NO_COLOR=1` leaves colours out.

A recipe is named by its name, looked for in `./recipes` and then in the folders of the
[settings](settings.md), or by a path (a word with `/`, or one that ends in `.kdl`). `NAME@VARIANT` names a
[variant](language.md#variant), and `--set NAME=VALUE` gives a [parameter](language.md#param) another value;
each of these forms has its own lock beside the recipe and its own link.

`recipe completions bash|zsh|fish` prints completions for a shell, and `recipe man DIR` writes manual pages.
";

/// The page of the book.
fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    let (mut program, mut rest) = (None, Vec::new());
    for (words, command) in commands() {
        match words.as_slice() {
            [_] => program = Some(command),
            _ if command.has_subcommands() => {}
            _ => rest.push((words, command)),
        }
    }
    for (words, command) in rest {
        let about = command.get_about().map(ToString::to_string);
        text.push_str(&format!(
            "\n## `{}`\n\n{}.\n\n",
            words.join(" "),
            about.unwrap_or_default()
        ));
        let own = |arg: &&Arg| !arg.is_global_set() && !arg.is_hide_set();
        let own = own_args(&command, own);
        text.push_str(&table(&own));
    }
    if let Some(program) = program {
        text.push_str("\n## Settings of every command\n\n");
        text.push_str(&table(&own_args(&program, |arg| arg.is_global_set())));
    }
    text.push_str("\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n");
    for (code, _, long) in exit::CODES {
        text.push_str(&format!("| {code} | {long} |\n"));
    }
    text
}

fn own_args(command: &Command, wanted: impl Fn(&&Arg) -> bool) -> Vec<&Arg> {
    let known = |arg: &&Arg| !["help", "version"].contains(&arg.get_id().as_str());
    command
        .get_arguments()
        .filter(known)
        .filter(wanted)
        .collect()
}

fn table(args: &[&Arg]) -> String {
    if args.is_empty() {
        return String::new();
    }
    let mut text = "| argument | meaning |\n| --- | --- |\n".to_owned();
    for arg in args {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let mut default: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        default.retain(|value| value != "false");
        let default = match default.as_slice() {
            [] => String::new(),
            values => format!(" [default: {}]", values.join(" ")),
        };
        text.push_str(&format!(
            "| `{}` | {}{default} |\n",
            spelled(arg),
            help.replace('\n', " ").replace('|', "\\|")
        ));
    }
    text
}

/// `--level N`, `-o, --out-link LINK`, `NAME…`.
fn spelled(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .map(|names| names.join(" "))
        .unwrap_or_default();
    let many = arg
        .get_num_args()
        .is_some_and(|number| number.max_values() > 1)
        || matches!(arg.get_action(), clap::ArgAction::Append) && arg.is_positional();
    if arg.is_positional() {
        let end = if many { "…" } else { "" };
        let dashes = if arg.is_last_set() { "-- " } else { "" };
        return format!("{dashes}{value}{end}");
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let takes = arg.get_action().takes_values();
    if takes {
        format!("{} {value}", names.join(", "))
    } else {
        names.join(", ")
    }
}

#[test]
fn the_books_page_of_commands_is_what_the_program_does() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/book/src/reference/commands.md"
    );
    if std::env::var_os("RECIPE_WRITE_BOOK").is_some() {
        std::fs::write(path, reference()).expect("written");
    }
    let page = std::fs::read_to_string(path).expect("the page");
    assert!(
        page == reference(),
        "write it anew: RECIPE_WRITE_BOOK=1 cargo test --lib manual"
    );
}

#[test]
fn the_help_and_the_book_list_the_same_exit_codes() {
    let help = Cli::command().render_long_help().to_string();
    let page = reference();
    for (code, short, _) in exit::CODES {
        assert!(help.contains(&format!("\n  {code:<4} {short}")), "{code}");
        assert!(page.contains(&format!("\n| {code} | ")), "{code}");
    }
}

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let names: Vec<String> = pages().into_iter().map(|(name, _)| name).collect();
    for name in ["recipe.1", "recipe-build.1", "recipe-store-verify.1"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
}
