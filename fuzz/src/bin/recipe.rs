//! Any text as a recipe: a recipe or an error comes back, soon, and the error can be shown. Its
//! canonical text is its own, and edits of it end.
#![no_main]

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/elf/mod.rs"]
mod elf;
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/platform.rs"]
mod platform;
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/recipe/mod.rs"]
mod recipe;

use camino::Utf8Path;
use libfuzzer_sys::fuzz_target;
use recipe::edit::{self, List};
use recipe::{Recipe, formatted};

fuzz_target!(|text: &str| {
    // No file of this folder can be read: requirements files are a test's business.
    if let Err(error) = Recipe::parse("fuzz.kdl", text.into(), Utf8Path::new("/nonexistent")) {
        let mut shown = String::new();
        let report = miette::NarratableReportHandler::new().render_report(&mut shown, &error);
        assert!(report.is_ok() && !shown.contains('\u{1b}'));
    }
    if let Ok(canonical) = formatted("fuzz.kdl", text) {
        assert_eq!(formatted("fuzz.kdl", &canonical).ok(), Some(canonical));
    }
    if let Ok(more) = edit::add("fuzz.kdl", text, List::Requirements, "six") {
        assert!(edit::remove("fuzz.kdl", &more, List::Requirements, "six").is_ok());
    }
});
