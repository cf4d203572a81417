//! Conversion between the version that a request speaks and the one that is stored.
//!
//! Kinds with two versions over one storage: events (`v1` stored, `events.k8s.io/v1` served beside) and horizontal pod
//! autoscalers (`autoscaling/v2` stored, `v1` served beside).

use std::borrow::Cow;

use sheave_api::Document;
use sheave_api::kind::Kind;

/// Whether documents of this kind are stored in another version.
pub(crate) fn is_needed(kind: &Kind) -> bool {
    kind.gvk != kind.storage
}

/// A stored document in the version of `kind`.
pub(crate) fn to_served<'a>(kind: &Kind, stored: &'a Document) -> Cow<'a, Document> {
    if !is_needed(kind) {
        return Cow::Borrowed(stored);
    }
    let mut document = stored.clone();
    set_type(&mut document, &kind.gvk.api_version(), &kind.gvk.kind);
    Cow::Owned(document)
}

/// A document in the version of `kind` as it is stored.
pub(crate) fn to_stored(kind: &Kind, mut served: Document) -> Document {
    if is_needed(kind) {
        set_type(&mut served, &kind.storage.api_version(), &kind.storage.kind);
    }
    served
}

fn set_type(document: &mut Document, api_version: &str, kind: &str) {
    document["apiVersion"] = api_version.into();
    document["kind"] = kind.into();
}
