//! Conversion between the version that a request speaks and the one that is stored.

use std::borrow::Cow;

use sheave_api::Document;
use sheave_api::conversion;
pub(crate) use sheave_api::conversion::is_needed;
use sheave_api::kind::Kind;

/// A stored document in the version of `kind`.
pub(crate) fn to_served<'a>(kind: &Kind, stored: &'a Document) -> Cow<'a, Document> {
    if !is_needed(kind) {
        return Cow::Borrowed(stored);
    }
    Cow::Owned(conversion::to_served(kind, stored.clone()))
}

/// A document in the version of `kind` as it is stored.
pub(crate) fn to_stored(kind: &Kind, served: Document) -> Document {
    if is_needed(kind) { conversion::to_stored(kind, served) } else { served }
}
