//! LIST: the presented bytes of each object, one after another, between a head and a tail.

use std::iter;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};

use super::object::Object;
use super::page::Page;
use super::rendering::Rendering;
use super::selection::Selection;
use crate::body;
use crate::call::Call;
use crate::keys;
use crate::query::ListOptions;
use crate::reply::Reply;
use crate::status::StatusError;

/// Answers a LIST. Nothing is held but the entries' handles and one chunk of output; objects are rendered while the
/// client reads.
pub(crate) fn list(call: &Call) -> Result<Reply, StatusError> {
    let options = ListOptions::parse(&call.query, false)?;
    let selection = Selection::parse(&call.kind, &options)?;
    let rendering = Rendering::new(&call.kind, call.accepted, &call.query)?;
    let page = Page::collect(&call.server.store, &prefix(call, &selection), &selection, &options)?;
    let head = rendering.list_head(&list_metadata(&page));
    let objects = page.entries.into_iter().map(|entry| Object::new(entry.value));
    let items = objects.filter(move |object| selection.matches(object)).map(move |object| rendering.item(&object));
    let pieces = iter::once(head).chain(separated(items)).chain(iter::once(Bytes::from_static(b"]}")));
    Ok(Reply::new(StatusCode::OK, body::chunked(pieces)))
}

/// The narrowest prefix that holds every selected object: a selector by name need not look at the others.
pub(crate) fn prefix(call: &Call, selection: &Selection) -> String {
    let namespace = call.path.namespace.as_deref().or(selection.namespace());
    keys::collection_prefix(&call.kind, namespace)
}

fn list_metadata(page: &Page) -> Value {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), page.revision.to_string().into());
    if let Some(token) = &page.continue_token {
        metadata.insert("continue".into(), token.as_str().into());
    }
    if let Some(remaining) = page.remaining {
        metadata.insert("remainingItemCount".into(), remaining.into());
    }
    metadata.into()
}

fn separated(items: impl Iterator<Item = Bytes>) -> impl Iterator<Item = Bytes> {
    items.enumerate().flat_map(|(index, item)| {
        let comma = (index > 0).then(|| Bytes::from_static(b","));
        comma.into_iter().chain(iter::once(item))
    })
}
