//! A terminal for a command: `script` of util-linux makes it.

use std::process::Command;

use super::Scratch;

/// The command at a terminal of so many columns and rows, not yet started. `line` are its words, as a shell
/// takes them. Where there is no `script` it cannot be started.
pub fn at_a_terminal(scratch: &Scratch, columns: u32, rows: u32, line: &str) -> Command {
    let recipe = env!("CARGO_BIN_EXE_recipe");
    let line = format!("stty cols {columns} rows {rows}; exec '{recipe}' {line}");
    let command = scratch.command([""; 0]);
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.env("TERM", "xterm").current_dir(scratch.work());
    script
}

/// What to say where there is none.
pub const NO_TERMINAL: &str = "there is no `script`, which makes a terminal";
