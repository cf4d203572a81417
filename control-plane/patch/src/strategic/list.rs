//! How two lists merge.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use sheave_api::Document;

use super::directive::{Directive, MARKER};
use super::{FieldSchema, Schema, StrategicError, merge_object, order};

/// `patch` over `original` as the field's strategy says.
pub(super) fn merge_or_replace(
    field: &FieldSchema<'_>,
    original: Vec<Document>,
    patch: Vec<Document>,
) -> Result<Vec<Document>, StrategicError> {
    if !field.strategic.merge || (original.is_empty() && patch.is_empty()) {
        return Ok(patch);
    }
    let holds_objects = holds_objects(&[&original, &patch])?;
    match &field.strategic.merge_key {
        _ if !holds_objects => merge_scalars(original, patch),
        Some(key) => merge_objects(field.schema.items(), key, original, patch),
        None => Err(StrategicError::NoDeclaredMergeKey(field.schema.items().type_name().to_owned())),
    }
}

/// Removes every element that equals one of `scalars`.
pub(super) fn delete(items: &mut Vec<Document>, scalars: &[Document]) {
    let scalars = scalars.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    items.retain(|item| !scalars.contains(&item.to_string()));
}

/// What names an element: the value of its merge key, or itself in a list of scalars.
pub(super) fn name(item: &Document, merge_key: Option<&str>) -> Result<String, StrategicError> {
    let Some(key) = merge_key else { return Ok(item.to_string()) };
    let fields = item.as_object().ok_or_else(|| StrategicError::not_an_object(item))?;
    let value = fields.get(key).ok_or_else(|| StrategicError::no_merge_key(item, key))?;
    Ok(value.to_string())
}

fn merge_scalars(original: Vec<Document>, patch: Vec<Document>) -> Result<Vec<Document>, StrategicError> {
    let server_order = original.clone();
    let mut seen = BTreeSet::new();
    let both = original.into_iter().chain(patch.iter().cloned());
    let merged = both.filter(|item| seen.insert(item.to_string())).collect();
    order::arrange(merged, &patch, &server_order, None)
}

fn merge_objects(
    items: Schema<'_>,
    key: &str,
    mut original: Vec<Document>,
    patch: Vec<Document>,
) -> Result<Vec<Document>, StrategicError> {
    let Directives { patch, deleted, replaces } = Directives::split(key, patch)?;
    if replaces {
        return Ok(patch);
    }
    original.retain(|item| name(item, Some(key)).is_ok_and(|name| !deleted.contains(&name)) || !item.is_object());
    let server_order = original.clone();
    let merged = merge_by_key(items, key, original, &patch)?;
    order::arrange(merged, &patch, &server_order, Some(key))
}

fn merge_by_key(
    items: Schema<'_>,
    key: &str,
    mut merged: Vec<Document>,
    patch: &[Document],
) -> Result<Vec<Document>, StrategicError> {
    let mut places = BTreeMap::new();
    for (place, item) in merged.iter().enumerate() {
        places.entry(name(item, Some(key))?).or_insert(place);
    }
    for item in patch {
        let name = name(item, Some(key))?;
        let Some(place) = places.get(&name) else {
            places.insert(name, merged.len());
            merged.push(item.clone());
            continue;
        };
        if let (Document::Object(old), Document::Object(new)) = (merged[*place].take(), item.clone()) {
            merged[*place] = Document::Object(merge_object(items, old, new)?);
        }
    }
    Ok(merged)
}

/// A patched list of objects, with its `$patch` elements carried out.
struct Directives {
    /// The elements to merge.
    patch: Vec<Document>,
    /// The names of the elements to delete.
    deleted: BTreeSet<String>,
    /// Whether the original goes.
    replaces: bool,
}

// === impl Directives ===

impl Directives {
    fn split(key: &str, items: Vec<Document>) -> Result<Self, StrategicError> {
        let mut directives = Self { patch: Vec::new(), deleted: BTreeSet::new(), replaces: false };
        for item in items {
            let Some(directive) = item.get(MARKER) else {
                directives.patch.push(item);
                continue;
            };
            match (Directive::parse(directive), &item) {
                (Some(Directive::Delete), _) => {
                    directives.deleted.insert(name(&item, Some(key))?);
                }
                (Some(Directive::Replace), _) => directives.replaces = true,
                (Some(Directive::Merge), _) => return Err(StrategicError::MergeInList),
                (None, Document::Object(fields)) => {
                    return Err(StrategicError::unknown_directive(directive, fields));
                }
                (None, _) => return Err(StrategicError::not_an_object(&item)),
            }
        }
        Ok(directives)
    }
}

/// Whether lists that merge hold objects; they may not mix kinds or hold lists.
fn holds_objects(lists: &[&[Document]]) -> Result<bool, StrategicError> {
    let mut items = lists.iter().copied().flatten();
    let Some(first) = items.next() else { return Ok(false) };
    if first.is_array() {
        return Err(StrategicError::ListOfLists);
    }
    if items.any(|item| discriminant(item) != discriminant(first)) {
        return Err(StrategicError::mixed_list(lists));
    }
    Ok(first.is_object())
}
