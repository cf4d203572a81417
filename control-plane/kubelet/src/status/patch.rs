//! The patch that makes the reported status the right one, without touching what others wrote into it.

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::{Map, Value, json};

/// Fields that nobody but the kubelet writes.
const OWN: &[&str] = &[
    "phase",
    "reason",
    "message",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "observedGeneration",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
];

/// A strategic merge patch that brings `pod`'s reported status to `wanted`; none when it is that already.
///
/// Conditions of others stay, since conditions merge by type. The UID in it makes the API server refuse it for another
/// pod of the same name.
#[must_use]
pub fn patch(pod: &Pod, wanted: &PodStatus) -> Option<Value> {
    let reported = document(pod.status.as_ref());
    let wanted = document(Some(wanted));
    let mut changes = Map::new();
    for field in OWN {
        let (before, after) = (reported.get(*field), wanted.get(*field));
        if before != after {
            changes.insert((*field).to_owned(), change(field, after));
        }
    }
    let conditions = changed_conditions(&reported, &wanted);
    if !conditions.is_empty() {
        changes.insert("conditions".to_owned(), Value::Array(conditions));
    }
    (!changes.is_empty()).then(|| json!({ "metadata": { "uid": pod.metadata.uid }, "status": changes }))
}

/// Lists of addresses merge by address, so an old one would stay.
fn change(field: &str, after: Option<&Value>) -> Value {
    match (field, after) {
        (_, None) => Value::Null,
        ("hostIPs" | "podIPs", Some(Value::Array(addresses))) => {
            let replace = std::iter::once(json!({ "$patch": "replace" }));
            Value::Array(replace.chain(addresses.iter().cloned()).collect())
        }
        (_, Some(value)) => value.clone(),
    }
}

/// Conditions that differ, with nulls for what is no longer said.
fn changed_conditions(reported: &Map<String, Value>, wanted: &Map<String, Value>) -> Vec<Value> {
    let list = |status: &Map<String, Value>| status.get("conditions").and_then(Value::as_array).cloned();
    let reported = list(reported).unwrap_or_default();
    let mut changed = Vec::new();
    for mut condition in list(wanted).unwrap_or_default() {
        let before = reported.iter().find(|before| before["type"] == condition["type"]);
        if before.is_some_and(|before| says_the_same(before, &condition)) {
            continue;
        }
        for field in ["reason", "message"] {
            if condition.get(field).is_none() && before.is_some_and(|before| before.get(field).is_some()) {
                condition[field] = Value::Null;
            }
        }
        changed.push(condition);
    }
    changed
}

fn says_the_same(before: &Value, after: &Value) -> bool {
    let fields = ["status", "reason", "message", "lastTransitionTime", "observedGeneration"];
    fields.iter().all(|field| before.get(*field) == after.get(*field))
}

fn document(status: Option<&PodStatus>) -> Map<String, Value> {
    match status.map(serde_json::to_value) {
        Some(Ok(Value::Object(fields))) => fields,
        Some(Ok(_) | Err(_)) | None => Map::new(),
    }
}
