//! An applied document over the live one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Map;
use sheave_api::Document;

use super::{Elements, Granularity, Shape, fields, is_empty, items};
use crate::fields::PathElement;

/// `applied` over `live`: what is granular merges, all else is replaced.
pub(crate) fn merge(shape: Shape<'_>, live: &Document, applied: &Document) -> Document {
    merge_values(shape, Some(live), applied)
}

fn merge_values(shape: Shape<'_>, live: Option<&Document>, applied: &Document) -> Document {
    match shape.granularity(&[live, Some(applied)]) {
        // Null says that there is nothing to apply below, which takes nothing away from others.
        Granularity::Fields | Granularity::Elements(_) if applied.is_null() => live.unwrap_or(applied).clone(),
        Granularity::Fields if !(is_empty(live) && is_empty(Some(applied))) => merge_fields(shape, live, applied),
        Granularity::Elements(elements) if !(is_empty(live) && is_empty(Some(applied))) => {
            merge_elements(elements, items(live), items(Some(applied)))
        }
        Granularity::Whole | Granularity::Fields | Granularity::Elements(_) => applied.clone(),
    }
}

fn merge_fields(shape: Shape<'_>, live: Option<&Document>, applied: &Document) -> Document {
    let mut merged = fields(live).cloned().unwrap_or_default();
    for (name, value) in fields(Some(applied)).unwrap_or(&Map::new()) {
        let value = merge_values(shape.child_or_unknown(name).shape, merged.get(name), value);
        merged.insert(name.clone(), value);
    }
    Document::Object(merged)
}

/// The applied elements in their order, and among them the live-only ones: each after the shared element that it
/// follows in the live list, and before what the applied list adds there.
fn merge_elements(elements: Elements<'_>, live: &[Document], applied: &[Document]) -> Document {
    let live_names = names(elements, live);
    let applied_names = names(elements, applied);
    let unique = unique_by_name(&live_names);
    let is_applied = applied_names.iter().map(|(name, _)| name).collect::<BTreeSet<_>>();
    let merge_item =
        |name: &PathElement, item: &Document| merge_values(elements.item, unique.get(name).copied().flatten(), item);

    let mut next_shared =
        applied_names.iter().map(|(name, _)| name).filter(|name| unique.contains_key(name)).peekable();
    let mut merged = Vec::with_capacity(live.len().max(applied.len()));
    let mut rest = live_names.iter().peekable();
    for (name, item) in &applied_names {
        // A shared element that is passed over here stands later in the applied list than in the live one.
        while let Some((live_name, live_item)) = rest.next_if(|(live_name, _)| Some(&live_name) != next_shared.peek()) {
            if !is_applied.contains(live_name) {
                merged.push((*live_item).clone());
            }
        }
        if next_shared.next_if_eq(&name).is_some() {
            rest.next();
        }
        merged.push(merge_item(name, item));
    }
    merged.extend(rest.filter(|(name, _)| !is_applied.contains(name)).map(|(_, item)| (*item).clone()));
    Document::Array(merged)
}

fn names<'v>(elements: Elements<'_>, list: &'v [Document]) -> Vec<(PathElement, &'v Document)> {
    list.iter().filter_map(|item| Some((elements.name(item).ok()?, item))).collect()
}

/// Each live name with its element; none for a name that stands twice, which cannot be merged, only replaced.
fn unique_by_name<'n, 'v>(named: &'n [(PathElement, &'v Document)]) -> BTreeMap<&'n PathElement, Option<&'v Document>> {
    let mut unique = BTreeMap::new();
    for (name, item) in named {
        unique.entry(name).and_modify(|present| *present = None).or_insert(Some(*item));
    }
    unique
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sheave_api::schema::{Arena, ListTopology, ListType, Scalar, Type};

    use super::*;

    /// The set `live` after the set `applied` was applied.
    fn merged(live: &[&str], applied: &[&str]) -> Vec<String> {
        let mut arena = Arena::default();
        let items = arena.add(Type::Scalar(Scalar::String));
        let list = arena.add(Type::List(ListType { items, topology: ListTopology::Set }));
        let merged = merge(Shape::new(&arena, list), &json!(live), &json!(applied));
        items_of(&merged)
    }

    fn items_of(list: &Document) -> Vec<String> {
        items(Some(list)).iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_applied_order_rules_and_the_rest_keeps_its_place() {
        for (live, applied, expected) in [
            (&["a", "b", "c"][..], &["a", "b", "c"][..], &["a", "b", "c"][..]),
            (&["a", "b", "c"], &["c", "a"], &["b", "c", "a"]),
            (&["a", "x", "b"], &["a", "b"], &["a", "x", "b"]),
            (&["a", "x", "b"], &["b", "a"], &["x", "b", "a"]),
            (&["x", "y"], &["a"], &["x", "y", "a"]),
            (&["x", "a", "y"], &["n", "a", "m"], &["x", "n", "a", "y", "m"]),
            (&[], &["a"], &["a"]),
            (&["x"], &[], &["x"]),
        ] {
            assert_eq!(merged(live, applied), expected, "{applied:?} over {live:?}");
        }
    }

    #[test]
    fn a_live_duplicate_is_replaced_once_and_kept_when_it_is_not_applied() {
        assert_eq!(merged(&["a", "a", "b"], &["a"]), ["a", "b"]);
        assert_eq!(merged(&["a", "a", "b"], &["b"]), ["a", "a", "b"]);
    }
}
