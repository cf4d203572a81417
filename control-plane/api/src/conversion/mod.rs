//! Conversion between the version of a kind that is served and the one that is stored, where the two differ.
//!
//! Two kinds have two versions: events (`v1` is stored, `events.k8s.io/v1` served beside it) and horizontal pod
//! autoscalers (`autoscaling/v2` is stored, `v1` served beside it). A conversion there and back loses nothing: what the
//! older autoscaler cannot say stands in annotations, as Kubernetes has it.

mod autoscaler;
mod autoscaler_metrics;
mod event;

use crate::Document;
use crate::kind::Kind;

/// Whether documents of this kind are stored in another version.
#[must_use]
pub fn is_needed(kind: &Kind) -> bool {
    kind.gvk != kind.storage
}

/// A stored document in the version of `kind`.
#[must_use]
pub fn to_served(kind: &Kind, mut stored: Document) -> Document {
    match kind.gvk.group.as_str() {
        "events.k8s.io" => event::to_regarding(&mut stored),
        "autoscaling" if is_needed(kind) => autoscaler::to_v1(&mut stored),
        _ => {}
    }
    set_type(&mut stored, &kind.gvk.api_version(), &kind.gvk.kind);
    stored
}

/// A document in the version of `kind` as it is stored.
#[must_use]
pub fn to_stored(kind: &Kind, mut served: Document) -> Document {
    match kind.gvk.group.as_str() {
        "events.k8s.io" => event::to_core(&mut served),
        "autoscaling" if is_needed(kind) => autoscaler::to_v2(&mut served),
        _ => {}
    }
    set_type(&mut served, &kind.storage.api_version(), &kind.storage.kind);
    served
}

fn set_type(document: &mut Document, api_version: &str, kind: &str) {
    if let Some(fields) = document.as_object_mut() {
        fields.insert("apiVersion".to_owned(), api_version.into());
        fields.insert("kind".to_owned(), kind.into());
    }
}
