//! PUT of an object or of one of its parts.

use bytes::Bytes;
use sheave_api::Document;
use sheave_api::field::{Cause, FieldError, Path};

use super::create::create_object;
use super::modify::{Part, modify};
use crate::call::Call;
use crate::input;
use crate::meta::Meta;
use crate::query::WriteOptions;
use crate::reply::Reply;
use crate::status::StatusError;

/// Answers a PUT.
pub(crate) async fn update(call: &Call, part: Part, body: &Bytes) -> Result<Reply, StatusError> {
    let options = WriteOptions::parse(&call.query, &call.headers, "UpdateOptions")?;
    let wanted = input::document(call, body, &call.kind.gvk, options.validation)?;
    check_pinned(call, &wanted)?;
    if matches!(part, Part::Main) && call.stored_kind.strategy.allow_create_on_update && is_new(call, &wanted) {
        return create_object(call, wanted, &options).await?.reply(call);
    }
    modify(call, part, &options, &mut |_| Ok(wanted.clone())).await?.reply(call)
}

/// An update of an object that is not there may create it, where the kind allows that and no version is named.
fn is_new(call: &Call, wanted: &Document) -> bool {
    wanted.resource_version().is_empty() && call.server.store.get(&call.key()).is_none()
}

fn check_pinned(call: &Call, wanted: &Document) -> Result<(), StatusError> {
    let strategy = &call.stored_kind.strategy;
    let free = strategy.allow_unconditional_update || strategy.allow_create_on_update && is_new(call, wanted);
    if free || !wanted.resource_version().is_empty() {
        return Ok(());
    }
    let error = FieldError {
        path: Path::new("metadata").child("resourceVersion"),
        cause: Cause::Invalid,
        message: "Invalid value: 0x0: must be specified for an update".to_owned(),
    };
    Err(StatusError::invalid(&call.kind, call.name(), &[error]))
}
