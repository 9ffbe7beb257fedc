//! One answer → text for people, or JSON for programs.
//!
//! Every command that answers a question has `--json`; the shape of each answer is in the book's
//! reference, "Answers in JSON", and a test holds the two together.

use serde::Serialize;

use super::app::App;
use super::exit::Failed;

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
        let envelope = Envelope {
            answer: name,
            version: VERSION,
            body,
        };
        let text = serde_json::to_string_pretty(&envelope).map_err(|error| {
            Failed::Usage(super::advice::report(
                format!("the answer cannot be written as JSON: {error}"),
                "leave `--json` out, and please report this".into(),
            ))
        })?;
        self.say(&text)
    }
}
