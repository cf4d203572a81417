//! Removing a pod that did nothing wrong: it is told why before it goes.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::runtime::api::{Deletion, Requests};
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;

/// Why a pod is removed: the reason and the message of its `DisruptionTarget` condition (KEP-3329).
pub(super) struct Cause {
    pub(super) reason: &'static str,
    pub(super) message: &'static str,
    /// Whether the pod also counts as failed, because nobody is left to report how it ended.
    pub(super) fails: bool,
}

/// Notes the cause in the pod's status, then deletes it as `deletion` says. A pod that is gone is fine.
pub(super) async fn evict(
    requests: &Requests,
    clock: &Clock,
    pod: &Pod,
    cause: &Cause,
    deletion: &Deletion,
) -> Result<(), Error> {
    let key = ObjectKey::of(pod);
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": cause.reason, "message": cause.message,
        "lastTransitionTime": clock.time(),
    });
    let mut status = json!({"conditions": [condition]});
    if cause.fails && !crate::object::pod::is_finished(pod) {
        status["phase"] = json!("Failed");
    }
    let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
    ignore_not_found(requests.strategic_status::<Pod>(&key, patch).await)?;
    ignore_not_found(requests.delete::<Pod>(&key, deletion).await)
}
