//! The served bytes of an object, parsed at most once and only as far as somebody asks.

use std::sync::OnceLock;

use bytes::Bytes;
use sheave_api::Document;

use crate::document;

/// An object as the store presents it. All readers of the same `Object` share what is parsed.
#[derive(Debug, Default)]
pub(crate) struct Object {
    bytes: Bytes,
    metadata: OnceLock<Document>,
    whole: OnceLock<Document>,
}

// === impl Object ===

impl Object {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The document `{"metadata": ...}` without the rest, unless the rest is parsed anyway.
    pub(crate) fn metadata(&self) -> &Document {
        if let Some(whole) = self.whole.get() {
            return whole;
        }
        self.metadata.get_or_init(|| {
            let metadata = document::metadata(&self.bytes).and_then(|bytes| document::decode(&bytes).ok());
            serde_json::json!({ "metadata": metadata })
        })
    }

    /// The whole document; null if the bytes are no JSON, which the store's are.
    pub(crate) fn document(&self) -> &Document {
        self.whole.get_or_init(|| document::decode(&self.bytes).unwrap_or_default())
    }
}
