//! One answer → text for people, or JSON for programs.
//!
//! Every command that answers has `--json`; the shape of each answer is in the book's reference,
//! "Answers in JSON", and a test holds the two together. `answer/failure.rs` is the object that
//! stands there where a command failed before it had an answer.

mod failure;

use std::ffi::OsString;
use std::io::Write as _;

use serde::Serialize;

use super::app::App;
use super::exit::Failed;
use failure::Failure;

/// Raised when a field goes or changes its meaning; a new field does not raise it.
const VERSION: u32 = 1;

/// For whom the answer is.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct Form {
    /// Answer in JSON; the book documents the shape
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    answer: &'a str,
    version: u32,
    #[serde(flatten)]
    body: &'a T,
}

impl App {
    /// Prints `body` in JSON, or what `text` says.
    pub(super) fn answer(
        &self,
        form: Form,
        name: &str,
        body: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failed> {
        if !form.json {
            let text = text();
            return if text.is_empty() {
                Ok(())
            } else {
                self.say(&text)
            };
        }
        let text = envelope(name, body).map_err(|error| {
            Failed::Usage(super::advice::report(
                format!("the answer cannot be written as JSON: {error}"),
                "leave `--json` out, and please report this".into(),
            ))
        })?;
        self.answered();
        self.say(&text)
    }
}

fn envelope(answer: &str, body: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Envelope {
        answer,
        version: VERSION,
        body,
    })
}

/// Whether the command line asks for JSON: also one that clap does not understand.
pub(super) fn is_wanted() -> bool {
    let words = std::env::args_os().skip(1);
    let ours = |word: &OsString| word != "--";
    words.take_while(ours).any(|word| word == "--json")
}

/// Prints a failure where the answer would stand.
pub(super) fn fail(failed: &Failed) {
    print(&Failure::of(failed));
}

/// The same for a command line that means nothing.
pub(super) fn fail_usage(error: &clap::Error) {
    print(&Failure::of_usage(error));
}

fn print(failure: &Failure) {
    if let Ok(text) = envelope("error", failure) {
        // Standard error tells it too, and the exit code.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}
