//! Any text, as a recipe: a recipe or an error comes back, soon, and the error can be shown.

#![no_main]

use camino::Utf8Path;
use libfuzzer_sys::fuzz_target;
use recipe::recipe::Recipe;

fuzz_target!(|text: &str| {
    // No file of this folder can be read: includes are a test's business.
    if let Err(error) = Recipe::parse("fuzz.kdl", text.into(), Utf8Path::new("/nonexistent")) {
        let mut shown = String::new();
        miette::NarratableReportHandler::new()
            .render_report(&mut shown, &error)
            .expect("a report is text");
    }
});
