//! The conditions of a Deployment.

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// At least the minimum of pods serves.
pub(super) const AVAILABLE: &str = "Available";
/// The rollout moves on, or is complete.
pub(super) const PROGRESSING: &str = "Progressing";
/// Pods cannot be created or deleted.
pub(super) const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The set of the current template could not be created.
pub(super) const SET_CREATE_ERROR: &str = "ReplicaSetCreateError";
/// The set of the current template was created.
pub(super) const NEW_SET: &str = "NewReplicaSetCreated";
/// A set of an earlier rollout has the current template.
pub(super) const FOUND_NEW_SET: &str = "FoundNewReplicaSet";
/// Pods came, went or became ready.
pub(super) const SET_UPDATED: &str = "ReplicaSetUpdated";
/// All pods are of the current template and serve.
pub(super) const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
/// Nothing moved for `progressDeadlineSeconds`.
pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
/// The user paused the rollout.
pub(super) const PAUSED: &str = "DeploymentPaused";
/// The user resumed the rollout.
pub(super) const RESUMED: &str = "DeploymentResumed";

/// A `Progressing` condition without times.
pub(super) fn progressing(status: &str, reason: &str, message: impl Into<String>) -> DeploymentCondition {
    condition(PROGRESSING, status, reason, message)
}

/// A condition without times; [`set`] adds them.
pub(super) fn condition(kind: &str, status: &str, reason: &str, message: impl Into<String>) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_transition_time: None,
        last_update_time: None,
    }
}

/// The condition of type `kind`.
pub(super) fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// Whether `status` has a condition of that type and reason.
pub(super) fn has_reason(status: &DeploymentStatus, kind: &str, reason: &str) -> bool {
    find(status, kind).is_some_and(|condition| condition.reason.as_deref() == Some(reason))
}

/// Puts `condition` in, unless one with the same status and reason stands. The time of transition is kept as long as
/// the status stays.
pub(super) fn set(status: &mut DeploymentStatus, condition: DeploymentCondition, now: &Time) {
    let standing = find(status, &condition.type_);
    if standing.is_some_and(|old| old.status == condition.status && old.reason == condition.reason) {
        return;
    }
    replace(status, condition, now);
}

/// Puts `condition` in, also in place of an equal one: its time of update starts anew.
pub(super) fn replace(status: &mut DeploymentStatus, condition: DeploymentCondition, now: &Time) {
    let standing = find(status, &condition.type_).filter(|old| old.status == condition.status);
    let since = standing.and_then(|old| old.last_transition_time.clone()).unwrap_or_else(|| now.clone());
    let kind = condition.type_.clone();
    remove(status, &kind);
    let times =
        DeploymentCondition { last_transition_time: Some(since), last_update_time: Some(now.clone()), ..condition };
    status.conditions.get_or_insert_default().push(times);
}

/// Takes the condition of type `kind` out.
pub(super) fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != kind);
    }
}
