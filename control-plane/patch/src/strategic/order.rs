//! The order of a merged list: `$setElementOrder` before the order of the patch before the live order.
//!
//! Described in
//! [preserve-order-in-strategic-merge-patch.md](https://git.k8s.io/design-proposals-archive/cli/preserve-order-in-strategic-merge-patch.md).

use std::collections::BTreeMap;

use sheave_api::Document;

use super::directive::{Directive, MARKER, SET_ORDER, has_directive, parallel_list, without_directives};
use super::list::{merge_or_replace, name};
use super::{Object, Schema, StrategicError};

/// Merges every list for which the patch has a `$setElementOrder` and takes both from the patch.
pub(super) fn merge_ordered_lists(
    schema: Schema<'_>,
    original: &mut Object,
    patch: &mut Object,
) -> Result<(), StrategicError> {
    let keys = patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect::<Vec<_>>();
    for key in keys {
        let order = patch.remove(&key).unwrap_or_default();
        let Some(name) = parallel_list(&key, SET_ORDER)? else { continue };
        let order = list(order)?;
        let old = original.get(name).cloned().map(list).transpose()?;
        let new = patch.remove(name).map(list).transpose()?;
        if let Some(merged) = merge_ordered(schema, name, &order, old, new)? {
            original.insert(name.to_owned(), Document::Array(merged));
        }
    }
    Ok(())
}

fn list(value: Document) -> Result<Vec<Document>, StrategicError> {
    match value {
        Document::Array(items) => Ok(items),
        other => Err(StrategicError::not_a_list(&other)),
    }
}

fn merge_ordered(
    schema: Schema<'_>,
    name: &str,
    order: &[Document],
    old: Option<Vec<Document>>,
    new: Option<Vec<Document>>,
) -> Result<Option<Vec<Document>>, StrategicError> {
    let field = schema.field(name)?;
    let merge_key = field.strategic.merge_key.as_deref();
    check_order(new.as_deref().unwrap_or_default(), order, merge_key)?;
    let server_order = old.clone().unwrap_or_default();
    let merged = match (old, new) {
        (Some(old), Some(new)) => merge_or_replace(&field, old, new)?,
        (Some(old), None) => old,
        (None, Some(new)) => new.into_iter().filter_map(without_directives).collect(),
        (None, None) => return Ok(None),
    };
    arrange(merged, order, &server_order, merge_key).map(Some)
}

/// Refuses an order that lacks an element of the patch or has two of them the other way round. Elements that the
/// patch deletes need no place.
fn check_order(patch: &[Document], order: &[Document], merge_key: Option<&str>) -> Result<(), StrategicError> {
    if order.is_empty() {
        return Ok(());
    }
    let is_deleted = |item: &Document| item.get(MARKER).and_then(Directive::parse) == Some(Directive::Delete);
    let mut places = order.iter();
    for item in patch.iter().filter(|item| !is_deleted(item) && !has_directive(item)) {
        let item_name = name(item, merge_key)?;
        let mut found = false;
        for place in places.by_ref() {
            if name(place, merge_key)? == item_name {
                found = true;
                break;
            }
        }
        if !found {
            return Err(StrategicError::order_mismatch(patch, order));
        }
    }
    Ok(())
}

/// `merged` with the elements that are in `order` in that order, and the others, which only the server has, among
/// them: each before the first that stands behind it in `server_order`, as far as the other rule allows.
pub(super) fn arrange(
    merged: Vec<Document>,
    order: &[Document],
    server_order: &[Document],
    merge_key: Option<&str>,
) -> Result<Vec<Document>, StrategicError> {
    let order = places(order, merge_key)?;
    let server_order = places(server_order, merge_key)?;
    let (mut ordered, mut others) = (Vec::new(), Vec::new());
    for item in merged {
        let name = name(&item, merge_key)?;
        let on_server = server_order.get(&name).copied();
        match order.get(&name) {
            Some(place) => ordered.push((*place, on_server, item)),
            None => others.push((on_server.unwrap_or(usize::MAX), on_server, item)),
        }
    }
    ordered.sort_by_key(|(place, _, _)| *place);
    others.sort_by_key(|(place, _, _)| *place);

    let mut others = others.into_iter().peekable();
    let mut arranged = Vec::new();
    for (_, on_server, item) in ordered {
        let is_before =
            |other: &Option<usize>| matches!((other, on_server), (Some(other), Some(this)) if *other < this);
        while let Some((_, _, other)) = others.next_if(|(_, other, _)| is_before(other)) {
            arranged.push(other);
        }
        arranged.push(item);
    }
    arranged.extend(others.map(|(_, _, other)| other));
    Ok(arranged)
}

/// The first place of each name.
fn places(list: &[Document], merge_key: Option<&str>) -> Result<BTreeMap<String, usize>, StrategicError> {
    let mut places = BTreeMap::new();
    for (place, item) in list.iter().enumerate() {
        places.entry(name(item, merge_key)?).or_insert(place);
    }
    Ok(places)
}
