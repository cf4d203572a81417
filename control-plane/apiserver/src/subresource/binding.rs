//! Binding a pod to a node: what the scheduler does.

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use sheave_api::Document;
use sheave_api::kind::GroupVersionKind;
use sheave_api::view::{Edit, View};

use super::condition::set_condition;
use super::done;
use crate::call::Call;
use crate::input;
use crate::meta::Meta;
use crate::query::WriteOptions;
use crate::reply::Reply;
use crate::status::{StatusDetails, StatusError};
use crate::write::{Part, modify};

/// Answers `POST pods/NAME/binding`.
pub(crate) async fn bind(call: &Call, body: &Bytes) -> Result<Reply, StatusError> {
    let options = WriteOptions::parse(&call.query, &call.headers, "CreateOptions")?;
    let binding = input::document(call, body, &GroupVersionKind::new("", "v1", "Binding"), options.validation)?;
    modify(call, Part::Trusted, &options, &mut |pod| bound(pod, &binding)).await?;
    Ok(done())
}

/// Answers `POST bindings`, whose body names the pod.
pub(super) async fn bind_by_name(call: &Call, body: &Bytes) -> Result<Reply, StatusError> {
    let options = WriteOptions::parse(&call.query, &call.headers, "CreateOptions")?;
    let binding = input::document(call, body, &call.kind.gvk, options.validation)?;
    let pods = call.of_kind("", "v1", "pods", Some(binding.name()))?;
    modify(&pods, Part::Trusted, &options, &mut |pod| bound(pod, &binding)).await?;
    Ok(done())
}

fn bound(pod: &Document, binding: &Document) -> Result<Document, StatusError> {
    let node = binding.text("target.name");
    if !matches!(binding.text("target.kind"), "" | "Node") || node.is_empty() {
        return Err(StatusError::bad_request("target must be a Node with a name"));
    }
    if pod.is_deleting() {
        return Err(refused(pod, "is being deleted, cannot be assigned to a host"));
    }
    if !pod.text("spec.nodeName").is_empty() {
        return Err(refused(pod, &format!("is already assigned to node {:?}", pod.text("spec.nodeName"))));
    }
    if !pod.list("spec.schedulingGates").is_empty() {
        return Err(refused(pod, "has non-empty .spec.schedulingGates"));
    }
    let mut pod = pod.clone();
    pod.put("spec.nodeName", node);
    for (key, value) in binding.text_map("metadata.annotations") {
        if let Some(annotations) = pod.object_mut("metadata.annotations") {
            annotations.insert(key.to_owned(), value.into());
        }
    }
    if !binding.uid().is_empty() {
        pod.set_meta("uid", binding.uid());
    }
    set_condition(&mut pod, json!({"type": "PodScheduled", "status": "True"}));
    Ok(pod)
}

fn refused(pod: &Document, why: &str) -> StatusError {
    let name = pod.name();
    let message = format!("Operation cannot be fulfilled on pods/binding {name:?}: pod {name} {why}");
    StatusError::new(StatusCode::CONFLICT, "Conflict", message).with_details(StatusDetails {
        name: name.to_owned(),
        kind: "pods/binding".to_owned(),
        ..StatusDetails::default()
    })
}
