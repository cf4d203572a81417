//! The annotation of `kubectl apply`, for objects that move to `kubectl apply --server-side` and back.

use serde_json::json;
use sheave_api::Document;

use super::Conflict;
use crate::fields::FieldSet;
use crate::limits::check_depth;
use crate::typed::{Shape, compare, field_set};

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Bytes that the keys and values of an object's annotations may have together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// The conflicts that are left when kubectl may take over what its client-side apply set and nobody changed since.
pub(super) fn without_allowed(
    shape: Shape<'_>,
    api_version: &str,
    live: &Document,
    conflicts: Vec<Conflict>,
) -> Vec<Conflict> {
    match still_as_applied(shape, api_version, live) {
        Some(allowed) => conflicts.into_iter().filter(|conflict| !allowed.contains(&conflict.path.0)).collect(),
        None => conflicts,
    }
}

/// The fields of the last applied configuration that the live document still has with the same values.
fn still_as_applied(shape: Shape<'_>, api_version: &str, live: &Document) -> Option<FieldSet> {
    let last: Document = serde_json::from_str(annotation(live)?).ok()?;
    check_depth(&last).ok()?;
    if last.get("apiVersion").and_then(Document::as_str) != Some(api_version) {
        return None;
    }
    let changes = compare(shape, &last, live);
    Some(field_set(shape, &last).difference(&changes.written()).difference(&changes.removed))
}

/// Where `document` carries the annotation, brings it up to what was `applied`, so that a client-side apply after
/// this one finds the right base. An annotation that grows too large goes.
pub(super) fn refresh(document: &mut Document, applied: &Document) {
    if annotation(document).is_none() {
        return;
    }
    let mut last = applied.clone();
    if let Some(annotations) = annotations_mut(&mut last) {
        annotations.remove(ANNOTATION);
    }
    let Some(annotations) = annotations_mut(document) else { return };
    annotations.insert(ANNOTATION.to_owned(), json!(format!("{last}\n")));
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MAX_ANNOTATIONS {
        annotations.remove(ANNOTATION);
    }
}

fn annotation(document: &Document) -> Option<&str> {
    let annotations = document.pointer("/metadata/annotations")?;
    annotations.get(ANNOTATION)?.as_str().filter(|value| !value.is_empty())
}

fn annotations_mut(document: &mut Document) -> Option<&mut serde_json::Map<String, Document>> {
    document.pointer_mut("/metadata/annotations")?.as_object_mut()
}
