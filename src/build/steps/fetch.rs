//! Source → blob: bytes that were known by their hash before they came.

use recipe_store::BlobId;

use super::{Bench, StepError};
use crate::build::Event;
use crate::plan::Source;

pub(super) fn fetch(source: &Source, bench: &Bench<'_>) -> Result<BlobId, StepError> {
    let watch = Moved { bench };
    Ok(bench.shop.net.fetch(&source.into(), bench.session(), &watch)?)
}

struct Moved<'a> {
    bench: &'a Bench<'a>,
}
