//! `recipe gc`: what no root keeps goes from the store.

use serde::Serialize;

use super::answer::Form;
use super::app::App;
use super::exit::Failed;
use super::render::{bytes, plural};

/// What `recipe gc` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Tell what would go, and delete nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    dry_run: bool,
    removed: Amount,
    kept: Amount,
    /// Files that failed builds have left, which go too.
    left: Amount,
    /// What each root keeps; what several keep counts for each.
    roots: Vec<OneRoot>,
    /// Roots whose link is gone.
    gone: Vec<String>,
}

#[derive(Serialize)]
struct Amount {
    objects: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct OneRoot {
    link: String,
    objects: u64,
    bytes: u64,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let store = app.store()?;
    let report = store.gc(&recipe_store::GcOptions {
        dry_run: args.dry_run,
        ..Default::default()
    })?;
    let amount = |amount: recipe_store::Amount| Amount {
        objects: amount.files,
        bytes: amount.bytes,
    };
    let answer = Answer {
        dry_run: args.dry_run,
        removed: amount(report.removed),
        kept: amount(report.kept),
        left: amount(report.left),
        roots: report
            .roots
            .iter()
            .map(|(root, keeps)| OneRoot {
                link: root.link.to_string(),
                objects: keeps.files,
                bytes: keeps.bytes,
            })
            .collect(),
        gone: report
            .gone
            .iter()
            .map(|root| root.link.to_string())
            .collect(),
    };
    app.answer(args.form, "gc", &answer, || answer.text())
}

impl Answer {
    fn text(&self) -> String {
        let verb = if self.dry_run {
            "would delete"
        } else {
            "deleted"
        };
        let mut text = format!("{verb} {}", self.removed.words());
        if self.left.objects > 0 {
            let left = plural(self.left.objects as usize, "file");
            let size = bytes(self.left.bytes);
            text.push_str(&format!(
                ", and {left}, {size}, that failed builds have left"
            ));
        }
        if self.roots.is_empty() {
            text.push_str("\nno link to a result keeps anything");
        } else {
            text.push_str(&format!("\nkept {}, for:", self.kept.words()));
        }
        for root in &self.roots {
            let keeps = bytes(root.bytes);
            text.push_str(&format!("\n  {}  {keeps}", root.link));
        }
        for link in &self.gone {
            text.push_str(&format!("\n  {link} is gone, and keeps nothing any more"));
        }
        text
    }
}

impl Amount {
    fn words(&self) -> String {
        format!(
            "{}, {}",
            plural(self.objects as usize, "object"),
            bytes(self.bytes)
        )
    }
}
