//! A document without some of its fields.

use serde_json::Map;
use sheave_api::Document;

use super::{Elements, Granularity, Shape};
use crate::fields::{FieldSet, PathElement};

/// `document` without the fields in `set`. A list or an object from which something was taken goes as well once it
/// is empty; what is owned as one value stays or goes with its own path.
pub(crate) fn remove(shape: Shape<'_>, document: Document, set: &FieldSet) -> Document {
    remove_below(shape, document, set).unwrap_or_else(|| Document::Object(Map::new()))
}

fn remove_below(shape: Shape<'_>, value: Document, set: &FieldSet) -> Option<Document> {
    match (shape.granularity(&[Some(&value)]), value) {
        (Granularity::Fields, Document::Object(fields)) if !fields.is_empty() => {
            let kept = remove_fields(shape, fields, set);
            (!kept.is_empty()).then_some(Document::Object(kept))
        }
        (Granularity::Elements(elements), Document::Array(items)) if !items.is_empty() => {
            let kept = remove_elements(elements, items, set);
            (!kept.is_empty()).then_some(Document::Array(kept))
        }
        (_, value) => Some(value),
    }
}

fn remove_fields(shape: Shape<'_>, fields: Map<String, Document>, set: &FieldSet) -> Map<String, Document> {
    let mut kept = Map::new();
    for (name, value) in fields {
        let (is_member, below) = set.at(&PathElement::field(&name));
        let left = match below {
            _ if is_member => None,
            Some(below) => remove_below(shape.child_or_unknown(&name).shape, value, below),
            None => Some(value),
        };
        if let Some(value) = left {
            kept.insert(name, value);
        }
    }
    kept
}

fn remove_elements(elements: Elements<'_>, items: Vec<Document>, set: &FieldSet) -> Vec<Document> {
    let left = |item: Document| {
        let Ok(name) = elements.name(&item) else { return Some(item) };
        match set.at(&name) {
            (true, _) => None,
            (false, Some(below)) => remove_below(elements.item, item, below),
            (false, None) => Some(item),
        }
    };
    items.into_iter().filter_map(left).collect()
}
