//! The status of a set, from its pods.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::replicated::Replicated;
use crate::object::pod;
use crate::runtime::error::Error;

/// Why a set has not the pods that it should have.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Pods could not be created.
    Create(Error),
    /// Pods could not be deleted.
    Delete(Error),
}

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The status to publish.
pub(super) fn compute<R: Replicated>(
    owner: &R,
    pods: &[Arc<Pod>],
    trouble: Option<&Trouble>,
    now: &Time,
) -> ReplicaSetStatus {
    let active: Vec<&Pod> = pods.iter().map(AsRef::as_ref).filter(|pod| pod::is_active(pod)).collect();
    let ready = active.iter().filter(|pod| pod::is_ready(pod));
    let available = active.iter().filter(|pod| pod::is_available(pod, owner.min_ready_seconds(), now.0));
    let terminating = pods.iter().filter(|pod| pod::is_terminating(pod) && !pod::is_finished(pod));
    let before = owner.status();
    ReplicaSetStatus {
        replicas: count(active.iter()),
        fully_labeled_replicas: nonzero(active.iter().filter(|pod| has_template_labels(owner, pod))),
        ready_replicas: nonzero(ready),
        available_replicas: nonzero(available),
        terminating_replicas: Some(count(terminating)),
        observed_generation: owner.meta().generation,
        conditions: conditions(before.conditions, trouble, now),
    }
}

/// When the next of the ready pods becomes available, if one has to wait for that.
pub(super) fn next_availability(min_ready_seconds: i32, pods: &[Arc<Pod>], now: Timestamp) -> Option<Timestamp> {
    let active = pods.iter().filter(|pod| pod::is_active(pod));
    active.filter_map(|pod| pod::available_at(pod, min_ready_seconds)).filter(|at| *at > now).min()
}

fn count<T>(items: impl Iterator<Item = T>) -> i32 {
    i32::try_from(items.count()).unwrap_or(i32::MAX)
}

/// Counters that the API leaves out when they are zero.
fn nonzero<T>(items: impl Iterator<Item = T>) -> Option<i32> {
    Some(count(items)).filter(|count| *count > 0)
}

fn has_template_labels<R: Replicated>(owner: &R, pod: &Pod) -> bool {
    let wanted = owner.template().and_then(|template| template.metadata.as_ref()?.labels.as_ref());
    wanted.into_iter().flatten().all(|(key, value)| pod::label(pod, key) == Some(value))
}

fn conditions(
    before: Option<Vec<ReplicaSetCondition>>,
    trouble: Option<&Trouble>,
    now: &Time,
) -> Option<Vec<ReplicaSetCondition>> {
    let (standing, mut others): (Vec<_>, Vec<_>) =
        before.into_iter().flatten().partition(|condition| condition.type_ == REPLICA_FAILURE);
    if let Some(trouble) = trouble {
        others.push(standing.into_iter().next().unwrap_or_else(|| trouble.condition(now)));
    }
    (!others.is_empty()).then_some(others)
}

// === impl Trouble ===

impl Trouble {
    /// The error behind it.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Create(error) | Self::Delete(error) => error,
        }
    }

    fn condition(&self, now: &Time) -> ReplicaSetCondition {
        let (reason, error) = match self {
            Self::Create(error) => ("FailedCreate", error),
            Self::Delete(error) => ("FailedDelete", error),
        };
        ReplicaSetCondition {
            type_: REPLICA_FAILURE.into(),
            status: "True".into(),
            reason: Some(reason.into()),
            message: Some(error.message()),
            last_transition_time: Some(now.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use serde_json::{Value, json};

    use super::*;

    fn set() -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {"generation": 4},
            "spec": {
                "replicas": 3, "minReadySeconds": 10, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}},
            },
        }))
        .unwrap()
    }

    fn pod(labels: Value, phase: &str, ready_since: Option<&str>, deleted: bool) -> Arc<Pod> {
        let conditions = ready_since.map(|at| json!([{"type": "Ready", "status": "True", "lastTransitionTime": at}]));
        let deletion = deleted.then_some("2026-01-01T00:00:00Z");
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"labels": labels, "deletionTimestamp": deletion},
                "status": {"phase": phase, "conditions": conditions},
            }))
            .unwrap(),
        )
    }

    fn now() -> Time {
        Time("2026-01-01T00:01:00Z".parse().unwrap())
    }

    #[test]
    fn each_pod_is_counted_by_its_state() {
        let full = json!({"app": "web", "tier": "front"});
        let pods = [
            pod(full.clone(), "Running", Some("2026-01-01T00:00:00Z"), false),
            pod(json!({"app": "web"}), "Running", Some("2026-01-01T00:00:55Z"), false),
            pod(full.clone(), "Pending", None, false),
            pod(full.clone(), "Running", Some("2026-01-01T00:00:00Z"), true),
            pod(full, "Failed", None, false),
        ];
        let status = compute(&set(), &pods, None, &now());
        assert_eq!(status.replicas, 3, "neither finished nor terminating pods count");
        assert_eq!(status.fully_labeled_replicas, Some(2));
        assert_eq!(status.ready_replicas, Some(2));
        assert_eq!(status.available_replicas, Some(1), "the second serves for 5 s of 10");
        assert_eq!(status.terminating_replicas, Some(1));
        assert_eq!(status.observed_generation, Some(4));
        assert_eq!(next_availability(10, &pods, now().0), Some("2026-01-01T00:01:05Z".parse().unwrap()));
    }

    #[test]
    fn a_failure_is_a_condition_until_it_is_over_and_keeps_its_first_time() {
        let error = || Error::Invalid { object: "x".into(), reason: "quota".into() };
        let mut set = set();
        set.status = Some(compute(&set, &[], Some(&Trouble::Create(error())), &now()));
        let condition = set.status.clone().unwrap().conditions.unwrap().remove(0);
        assert_eq!((condition.reason.as_deref(), condition.message.as_deref()), (Some("FailedCreate"), Some("quota")));
        let later = Time("2026-01-01T01:00:00Z".parse().unwrap());
        let again = compute(&set, &[], Some(&Trouble::Create(error())), &later).conditions.unwrap();
        assert_eq!(again[0].last_transition_time, condition.last_transition_time);
        assert_eq!(compute(&set, &[], None, &later).conditions, None);
    }
}
