//! `scale`: the number of replicas of a workload, whatever the workload is.

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use sheave_api::Document;
use sheave_api::kind::GroupVersionKind;
use sheave_api::selector::LabelSelector;
use sheave_api::view::{Edit, View};

use crate::call::{Call, decode};
use crate::document;
use crate::input;
use crate::meta::Meta;
use crate::query::WriteOptions;
use crate::reply::Reply;
use crate::request::Verb;
use crate::status::StatusError;
use crate::write::{Part, PatchType, modify};

/// Answers GET, PUT and PATCH of `scale`.
pub(crate) async fn scale(call: &Call, body: &Bytes) -> Result<Reply, StatusError> {
    match call.verb {
        Verb::Get => Ok(Reply::json(StatusCode::OK, &scale_of(&decode(&call.entry()?)?))),
        Verb::Update => {
            let options = WriteOptions::parse(&call.query, &call.headers, "UpdateOptions")?;
            let wanted = input::document(call, body, &kind(), options.validation)?;
            write(call, &options, &mut |object| scaled(call, object, &wanted)).await
        }
        Verb::Patch => patch(call, body).await,
        _ => Err(StatusError::method_not_allowed()),
    }
}

async fn patch(call: &Call, body: &Bytes) -> Result<Reply, StatusError> {
    let patch_type = PatchType::of(&call.headers)?;
    let options = WriteOptions::parse_patch(&call.query, &call.headers, patch_type == PatchType::Apply)?;
    let patch = patch_type.read(body)?;
    let registry = &call.server.registry;
    let schema = registry.type_of(&kind()).ok_or_else(StatusError::no_such_resource)?;
    let mut options = options;
    // Ownership of the replicas is that of the change to the object itself.
    options.is_apply = false;
    write(call, &options, &mut |object| {
        let wanted = patch_type
            .apply(registry.schema(), schema, &scale_of(object), &patch)
            .map_err(|error| StatusError::bad_request(error.to_string()))?;
        scaled(call, object, &wanted)
    })
    .await
}

async fn write(
    call: &Call,
    options: &WriteOptions,
    change: &mut crate::write::Change<'_>,
) -> Result<Reply, StatusError> {
    let written = modify(call, Part::Main, options, change).await?;
    let object = document::decode(&written.value).map_err(StatusError::internal)?;
    Ok(Reply::json(StatusCode::OK, &scale_of(&object)))
}

/// `object` with the replicas that `scale` asks for.
fn scaled(call: &Call, object: &Document, scale: &Document) -> Result<Document, StatusError> {
    let replicas = scale.int("spec.replicas").unwrap_or(0);
    if replicas < 0 {
        let error = sheave_api::field::FieldError {
            path: sheave_api::field::Path::new("spec").child("replicas"),
            cause: sheave_api::field::Cause::Invalid,
            message: format!("Invalid value: {replicas}: must be greater than or equal to 0"),
        };
        return Err(StatusError::invalid_kind("autoscaling", "Scale", call.name(), &[error]));
    }
    let mut object = object.clone();
    object.put("spec.replicas", replicas);
    if !scale.resource_version().is_empty() {
        object.set_meta("resourceVersion", scale.resource_version());
    }
    if !scale.uid().is_empty() {
        object.set_meta("uid", scale.uid());
    }
    Ok(object)
}

fn kind() -> GroupVersionKind {
    GroupVersionKind::new("autoscaling", "v1", "Scale")
}

/// The Scale of a workload.
fn scale_of(object: &Document) -> Document {
    let metadata: serde_json::Map<_, _> = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), object["metadata"].get(field)?.clone())))
        .collect();
    let mut status = json!({"replicas": object.int("status.replicas").unwrap_or(0)});
    let selector = selector_of(object);
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {"replicas": object.int("spec.replicas").unwrap_or(0)}, "status": status})
}

/// A replication controller selects by a plain map, the others by a LabelSelector.
fn selector_of(object: &Document) -> String {
    let selector = object.at("spec.selector");
    if object.text("kind") == "ReplicationController" {
        return LabelSelector::from_map(selector).to_string();
    }
    LabelSelector::from_object(selector).map(|selector| selector.to_string()).unwrap_or_default()
}
