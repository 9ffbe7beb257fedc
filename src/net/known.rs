//! What was fetched before: sha256 → blob, as memos of the store. Begin at [`recall`].
//!
//! Archives name files by sha256, the store by BLAKE3. Losing a memo costs a download, never more.

use recipe_store::{BlobId, Digest, ObjectId, Session, Store, StoreError};

/// The blob that has this sha256, when it was fetched before and is still there.
pub fn recall(session: &Session, sha256: &str) -> Result<Option<BlobId>, StoreError> {
    let Some(bytes) = session.store().memo_get(&key(sha256))? else {
        return Ok(None);
    };
    let blob = match std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.parse().ok())
    {
        Some(ObjectId::Blob(blob)) => blob,
        _ => return Ok(None),
    };
    Ok(session.has(&ObjectId::Blob(blob))?.then_some(blob))
}

/// Remembers that a blob has this sha256. To be called once the blob is committed.
pub fn remember(store: &Store, sha256: &str, blob: &BlobId) -> Result<(), StoreError> {
    store.memo_put(&key(sha256), ObjectId::Blob(*blob).to_string().as_bytes())
}

fn key(sha256: &str) -> Digest {
    Digest::of(format!("recipe file by sha256 1\n{sha256}").as_bytes())
}
