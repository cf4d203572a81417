//! The fields that a document sets.

use std::collections::BTreeMap;

use serde_json::Map;
use sheave_api::Document;

use super::{Elements, Granularity, Shape, items};
use crate::fields::{FieldSet, PathElement};

/// The fields that an applied document claims: leaves, list elements, keys of maps, and what is empty.
pub(crate) fn field_set(shape: Shape<'_>, document: &Document) -> FieldSet {
    claims(shape, document).1
}

/// Whether the value itself is claimed, and what is below it.
fn claims(shape: Shape<'_>, value: &Document) -> (bool, FieldSet) {
    match (shape.granularity(&[Some(value)]), value) {
        (Granularity::Fields, Document::Object(fields)) => (fields.is_empty(), of_fields(shape, fields)),
        (Granularity::Elements(elements), Document::Array(items)) => (items.is_empty(), of_elements(elements, value)),
        _ => (true, FieldSet::default()),
    }
}

fn of_fields(shape: Shape<'_>, fields: &Map<String, Document>) -> FieldSet {
    let mut set = FieldSet::default();
    for (name, value) in fields {
        let child = shape.child_or_unknown(name);
        let (is_claimed, below) = claims(child.shape, value);
        set.graft(PathElement::field(name), is_claimed || child.declared.is_none(), below);
    }
    set
}

/// Every element is claimed; an element whose name stands twice is claimed as one.
fn of_elements(elements: Elements<'_>, list: &Document) -> FieldSet {
    let mut named = BTreeMap::<_, Vec<_>>::new();
    for item in items(Some(list)) {
        if let Ok(name) = elements.name(item) {
            named.entry(name).or_default().push(item);
        }
    }
    let mut set = FieldSet::default();
    for (name, items) in named {
        let below = if let [item] = items.as_slice() { claims(elements.item, item).1 } else { FieldSet::default() };
        set.graft(name, true, below);
    }
    set
}

/// `set` with the fields that the schema names and that have a member below them: an applied document claims the
/// leaves of `spec`, not `spec`; what removes fields must see both.
pub(crate) fn with_named_fields(shape: Shape<'_>, set: &FieldSet) -> FieldSet {
    let mut named = FieldSet::default();
    for (element, is_member, below) in set.steps() {
        let is_named = match element {
            PathElement::Field(name) => shape.child(name).is_some_and(|child| child.declared.is_some()),
            PathElement::Key(_) | PathElement::Value(_) | PathElement::Index(_) => false,
        };
        let below_named = with_named_fields(shape.step(element), below);
        named.graft(element.clone(), is_member || (is_named && !below.is_empty()), below_named);
    }
    named
}

/// Whether [`collapse_atomic`] would change `set`.
pub(crate) fn has_fields_below_atomic(shape: Shape<'_>, set: &FieldSet) -> bool {
    set.steps().any(|(element, _, below)| {
        let child = shape.step(element);
        !below.is_empty() && (child.is_atomic() || has_fields_below_atomic(child, below))
    })
}

/// `set` with what the schema owns as one: fields below a list or an object that became atomic are that value's.
pub(crate) fn collapse_atomic(shape: Shape<'_>, set: &FieldSet) -> FieldSet {
    let mut collapsed = FieldSet::default();
    for (element, is_member, below) in set.steps() {
        let child = shape.step(element);
        if !below.is_empty() && child.is_atomic() {
            collapsed.graft(element.clone(), true, FieldSet::default());
        } else {
            collapsed.graft(element.clone(), is_member, collapse_atomic(child, below));
        }
    }
    collapsed
}
