//! GET of one object.

use http::StatusCode;

use super::object::Object;
use super::page::require_seen;
use super::rendering::Rendering;
use crate::body;
use crate::call::Call;
use crate::query::parse_resource_version;
use crate::reply::Reply;
use crate::status::StatusError;

/// Answers a GET from memory. A `resourceVersion` means "not older than", which the newest state always is.
pub(crate) fn get(call: &Call) -> Result<Reply, StatusError> {
    if let Some(version) = parse_resource_version(call.query.get("resourceVersion"))? {
        require_seen(&call.server.store, version)?;
    }
    let entry = call.entry()?;
    let rendering = Rendering::new(&call.kind, call.accepted, &call.query)?;
    Ok(Reply::new(StatusCode::OK, body::full(rendering.object(&Object::new(entry.value)))))
}
