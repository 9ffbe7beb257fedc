//! The `recipe` command: argv in, exit code out. See [`recipe::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    recipe::cli::main()
}
