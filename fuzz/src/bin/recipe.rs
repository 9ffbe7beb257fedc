//! Any text as a recipe: a recipe or an error comes back, soon, and the error can be shown.
#![no_main]

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/recipe/mod.rs"]
mod recipe;

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/elf/mod.rs"]
mod elf;

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../src/platform.rs"]
mod platform;

use camino::Utf8Path;
use libfuzzer_sys::fuzz_target;
use recipe::Recipe;

fuzz_target!(|text: &str| {
    // No file of this folder can be read: requirements files are a test's business.
    if let Err(error) = Recipe::parse("fuzz.kdl", text.into(), Utf8Path::new("/nonexistent")) {
        let mut shown = String::new();
        let report = miette::NarratableReportHandler::new().render_report(&mut shown, &error);
        assert!(report.is_ok() && !shown.contains('\u{1b}'));
    }
});
