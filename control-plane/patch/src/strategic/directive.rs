//! The `$` keys of a strategic merge patch.

use std::collections::BTreeSet;

use sheave_api::Document;

use super::{Object, StrategicError};

/// The key that holds a [`Directive`].
pub(super) const MARKER: &str = "$patch";

/// Prefix of the parallel list of scalars to delete.
pub(super) const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";

/// Prefix of the parallel list that orders.
pub(super) const SET_ORDER: &str = "$setElementOrder";

const RETAIN_KEYS: &str = "$retainKeys";

/// What `$patch` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Replace,
    Delete,
    Merge,
}

// === impl Directive ===

impl Directive {
    pub(super) fn parse(value: &Document) -> Option<Self> {
        match value.as_str()? {
            "replace" => Some(Self::Replace),
            "delete" => Some(Self::Delete),
            "merge" => Some(Self::Merge),
            _ => None,
        }
    }
}

/// Carries out `$retainKeys`: fields of `original` that it does not list go; `patch` may set no others.
pub(super) fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), StrategicError> {
    let Some(listed) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Document::Array(listed) = listed else { return Err(StrategicError::BadRetainKeys) };
    let listed = listed.iter().filter_map(Document::as_str).collect::<BTreeSet<_>>();
    let is_bound = |key: &str| !key.starts_with(DELETE_FROM_LIST) && !key.starts_with(SET_ORDER);
    if patch.iter().any(|(key, value)| !value.is_null() && is_bound(key) && !listed.contains(key.as_str())) {
        return Err(StrategicError::BadRetainKeys);
    }
    original.retain(|key, _| listed.contains(key.as_str()));
    Ok(())
}

/// The list to which the parallel list `key` belongs; none if `key` does not begin with `prefix`.
pub(super) fn parallel_list<'k>(key: &'k str, prefix: &str) -> Result<Option<&'k str>, StrategicError> {
    if !key.starts_with(prefix) {
        return Ok(None);
    }
    match key.split_once('/') {
        Some((start, name)) if start == prefix => Ok(Some(name)),
        _ if prefix == SET_ORDER => Err(StrategicError::BadSetElementOrder),
        _ => Err(StrategicError::BadPrimitiveList),
    }
}

/// Whether this is an object with `$patch`.
pub(super) fn has_directive(value: &Document) -> bool {
    value.get(MARKER).is_some()
}

/// A value that the original does not have, ready to be stored: objects with directives and null fields dropped.
pub(super) fn without_directives(value: Document) -> Option<Document> {
    match value {
        Document::Object(fields) if fields.contains_key(MARKER) => None,
        Document::Object(fields) => {
            let kept = fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .filter_map(|(name, value)| Some((name, without_directives(value)?)));
            Some(Document::Object(kept.collect()))
        }
        Document::Array(items) => Some(Document::Array(items.into_iter().filter_map(without_directives).collect())),
        scalar @ (Document::Null | Document::Bool(_) | Document::Number(_) | Document::String(_)) => Some(scalar),
    }
}
