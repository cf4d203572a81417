//! DELETE of a collection: every object that the selectors match, each by itself.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use http::StatusCode;
use serde_json::json;

use super::delete::{Deleted, delete_object, options};
use crate::body;
use crate::call::Call;
use crate::keys::name_of;
use crate::query::ListOptions;
use crate::read::{Object, Page, Rendering, Selection, prefix};
use crate::reply::Reply;
use crate::status::StatusError;

/// So many deletions are under way at once; they share the store's commits.
const AT_ONCE: usize = 32;

/// Answers a DELETE of a collection with the objects that it deleted.
pub(crate) async fn delete_collection(call: &Call, request: &Bytes) -> Result<Reply, StatusError> {
    let options = options(call, request)?;
    let list = ListOptions::parse(&call.query, false)?;
    let selection = Selection::parse(&call.kind, &list)?;
    let page = Page::collect(&call.server.store, &prefix(call, &selection), &selection, &list)?;
    let doomed = page.entries.into_iter().filter(|entry| selection.matches(&Object::new(entry.value.clone())));
    let names: Vec<String> = doomed.map(|entry| name_of(&entry.key).to_owned()).collect();
    let deletions: Vec<BoxFuture<'_, _>> =
        names.iter().map(|name| delete_object(call, name, &options).boxed()).collect();
    let mut deleted = Vec::new();
    let mut outcomes = futures::stream::iter(deletions).buffered(AT_ONCE);
    while let Some(outcome) = outcomes.next().await {
        deleted.extend(gone_is_fine(outcome)?);
    }
    let rendering = Rendering::new(&call.kind, call.accepted, &call.query)?;
    let items: Vec<Bytes> = deleted.into_iter().map(|value| rendering.item(&Object::new(value))).collect();
    let mut bytes = rendering.list_head(&json!({"resourceVersion": page.revision.to_string()})).to_vec();
    bytes.extend_from_slice(&items.join(&b","[..]));
    bytes.extend_from_slice(b"]}");
    Ok(Reply::new(StatusCode::OK, body::full(bytes)))
}

/// An object that somebody else deleted meanwhile is no failure.
fn gone_is_fine(outcome: Result<Deleted, StatusError>) -> Result<Option<Bytes>, StatusError> {
    match outcome {
        Ok(Deleted::Gone(value) | Deleted::Lingers(value)) => Ok(Some(value)),
        Err(error) if error.code() == StatusCode::NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}
