//! What a Deployment asks for, and the status that tells how far it is.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{self, PROGRESSING, REPLICA_FAILURE, TIMED_OUT, condition, find, has_reason, progressing};
use super::sets::replicas;
use crate::object::percent::surge_and_unavailable;

/// The number of pods that the user asks for.
pub(super) fn desired(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Whether pods are replaced bit by bit rather than all at once.
pub(super) fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate")
}

/// How many pods beyond the desired number an update may add.
pub(super) fn max_surge(deployment: &Deployment) -> i32 {
    limits(deployment).0
}

/// How many of the desired pods an update may leave unavailable.
pub(super) fn max_unavailable(deployment: &Deployment) -> i32 {
    limits(deployment).1.min(desired(deployment))
}

fn limits(deployment: &Deployment) -> (i32, i32) {
    if !is_rolling(deployment) || desired(deployment) == 0 {
        return (0, 0);
    }
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
    let limits =
        surge_and_unavailable(rolling.max_surge.as_ref(), rolling.max_unavailable.as_ref(), desired(deployment));
    // What the API server admitted can be read; if not, the most careful update that moves at all.
    limits.unwrap_or((0, 1))
}

/// How long a rollout may stand still, if that is limited.
pub(super) fn progress_deadline(deployment: &Deployment) -> Option<SignedDuration> {
    let seconds = deployment.spec.as_ref()?.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)?;
    Some(SignedDuration::from_secs(i64::from(seconds)))
}

/// The counters and the `Available` condition; other conditions are those of `before`.
pub(super) fn counters(
    deployment: &Deployment,
    before: &DeploymentStatus,
    current: Option<&ReplicaSet>,
    sets: &[&ReplicaSet],
    now: &Time,
) -> DeploymentStatus {
    let total = |of: fn(&ReplicaSet) -> i32| sets.iter().map(|set| of(set)).sum::<i32>();
    let available = total(|set| set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0));
    let unavailable = (total(replicas) - available).max(0);
    let terminating: Option<Vec<i32>> =
        sets.iter().map(|set| set.status.as_ref().and_then(|status| status.terminating_replicas)).collect();
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: nonzero(total(actual)),
        updated_replicas: nonzero(current.map_or(0, actual)),
        ready_replicas: nonzero(total(|set| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0))),
        available_replicas: nonzero(available),
        unavailable_replicas: nonzero(unavailable),
        terminating_replicas: terminating.map(|counts| counts.into_iter().sum()),
        collision_count: before.collision_count,
        conditions: before.conditions.clone(),
    };
    let (state, reason, message) = if available >= desired(deployment) - max_unavailable(deployment) {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    conditions::set(&mut status, condition(conditions::AVAILABLE, state, reason, message), now);
    status
}

/// Brings the `Progressing` and `ReplicaFailure` conditions of `status` up to date during a rollout.
pub(super) fn judge_progress(
    deployment: &Deployment,
    status: &mut DeploymentStatus,
    current: Option<&ReplicaSet>,
    sets: &[&ReplicaSet],
    now: &Time,
) {
    let before = deployment.status.clone().unwrap_or_default();
    let announced =
        status.replicas == status.updated_replicas && has_reason(status, PROGRESSING, conditions::NEW_SET_AVAILABLE);
    if progress_deadline(deployment).is_none() {
        conditions::remove(status, PROGRESSING);
    } else if !announced {
        let who = match current.and_then(|set| set.metadata.name.as_deref()) {
            Some(set) => format!("ReplicaSet {set:?}"),
            None => format!("Deployment {:?}", deployment.metadata.name.as_deref().unwrap_or_default()),
        };
        if is_complete(deployment, status) {
            let message = format!("{who} has successfully progressed.");
            conditions::set(status, progressing("True", conditions::NEW_SET_AVAILABLE, message), now);
        } else if has_moved(&before, status) {
            // Replaced even when it is the same: the deadline counts from the last move.
            let message = format!("{who} is progressing.");
            conditions::replace(status, progressing("True", conditions::SET_UPDATED, message), now);
        } else if has_timed_out(deployment, status, now.0) {
            let message = format!("{who} has timed out progressing.");
            conditions::set(status, progressing("False", TIMED_OUT, message), now);
        }
    }
    match replica_failure(current, sets) {
        Some(failure) => conditions::set(status, failure, now),
        None => conditions::remove(status, REPLICA_FAILURE),
    }
}

/// Whether all pods are of the current template and serve.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = desired(deployment);
    [status.updated_replicas, status.replicas, status.available_replicas]
        .into_iter()
        .all(|count| count.unwrap_or(0) == wanted)
        && status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
}

/// When a rollout that does not move will have run out of time.
pub(super) fn deadline(deployment: &Deployment, status: &DeploymentStatus) -> Option<Timestamp> {
    let limit = progress_deadline(deployment)?;
    if is_complete(deployment, status) || has_reason(status, PROGRESSING, TIMED_OUT) {
        return None;
    }
    let since = find(status, PROGRESSING)?.last_update_time.as_ref()?.0;
    // The condition's times are cut to seconds: one second later the deadline is surely over.
    since.checked_add(limit).and_then(|at| at.checked_add(SignedDuration::from_secs(1))).ok()
}

fn has_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    if has_reason(status, PROGRESSING, conditions::NEW_SET_AVAILABLE) {
        return false;
    }
    has_reason(status, PROGRESSING, TIMED_OUT) || deadline(deployment, status).is_some_and(|at| at <= now)
}

fn has_moved(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let count = |count: Option<i32>| count.unwrap_or(0);
    let old = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(after.updated_replicas) > count(before.updated_replicas)
        || old(after) < old(before)
        || count(after.ready_replicas) > count(before.ready_replicas)
        || count(after.available_replicas) > count(before.available_replicas)
}

/// The failure of the current set, or else of any other.
fn replica_failure(current: Option<&ReplicaSet>, sets: &[&ReplicaSet]) -> Option<DeploymentCondition> {
    let failure = |set: &ReplicaSet| {
        let conditions = set.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions?.iter().find(|condition| condition.type_ == REPLICA_FAILURE).cloned()
    };
    let failure = current.and_then(failure).or_else(|| sets.iter().find_map(|set| failure(set)))?;
    let (reason, message) = (failure.reason.unwrap_or_default(), failure.message.unwrap_or_default());
    Some(condition(REPLICA_FAILURE, &failure.status, &reason, message))
}

fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

/// Counters that the API leaves out when they are zero.
fn nonzero(count: i32) -> Option<i32> {
    Some(count).filter(|count| *count != 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn deployment(status: Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "generation": 2},
            "spec": {"replicas": 3, "selector": {}, "template": {}, "progressDeadlineSeconds": 60},
            "status": status,
        }))
        .unwrap()
    }

    fn set(has: i32, available: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {"name": "web-1"}, "spec": {"replicas": 3, "selector": {}},
            "status": {"replicas": has, "readyReplicas": available, "availableReplicas": available},
        }))
        .unwrap()
    }

    fn judged(before: Value, set: &ReplicaSet, now: i64) -> (String, DeploymentStatus) {
        let deployment = deployment(before);
        let before = deployment.status.clone().unwrap_or_default();
        let mut status = counters(&deployment, &before, Some(set), &[set], &at(now));
        judge_progress(&deployment, &mut status, Some(set), &[set], &at(now));
        let condition = find(&status, PROGRESSING).cloned().unwrap();
        (format!("{} {}", condition.status, condition.reason.unwrap()), status)
    }

    fn standing(reason: &str, second: i64, replicas: i32) -> Value {
        json!({
            "replicas": replicas, "updatedReplicas": replicas,
            "conditions": [{"type": "Progressing", "status": "True", "reason": reason,
                            "lastUpdateTime": at(second), "lastTransitionTime": at(second)}],
        })
    }

    #[test]
    fn a_rollout_progresses_completes_or_times_out() {
        let (created, updated) = ("NewReplicaSetCreated", "ReplicaSetUpdated");
        for (what, before, set, now, expected) in [
            ("pods came", standing(created, 0, 0), set(2, 0), 30, "True ReplicaSetUpdated"),
            ("nothing moved yet", standing(created, 0, 2), set(2, 0), 30, "True NewReplicaSetCreated"),
            ("nothing moved for too long", standing(updated, 0, 2), set(2, 0), 62, "False ProgressDeadlineExceeded"),
            ("all serve", standing(updated, 0, 3), set(3, 3), 62, "True NewReplicaSetAvailable"),
            (
                "a complete one never times out",
                standing("NewReplicaSetAvailable", 0, 3),
                set(3, 1),
                999,
                "True NewReplicaSetAvailable",
            ),
        ] {
            assert_eq!(judged(before, &set, now).0, expected, "{what}");
        }
    }

    #[test]
    fn each_move_starts_the_deadline_anew_but_not_the_time_of_transition() {
        let (_, status) = judged(standing("ReplicaSetUpdated", 0, 1), &set(2, 0), 50);
        let condition = find(&status, PROGRESSING).unwrap();
        assert_eq!(
            (condition.last_update_time.clone(), condition.last_transition_time.clone()),
            (Some(at(50)), Some(at(0)))
        );
        assert_eq!(deadline(&deployment(json!({})), &status), Some(at(111).0));
    }

    #[test]
    fn a_deployment_is_available_while_its_minimum_serves() {
        let mut rolling = deployment(json!({}));
        rolling.spec.as_mut().unwrap().strategy =
            serde_json::from_value(json!({"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}})).unwrap();
        for (available, expected) in [(3, "True"), (2, "True"), (1, "False")] {
            let set = set(3, available);
            let status = counters(&rolling, &DeploymentStatus::default(), Some(&set), &[&set], &at(0));
            assert_eq!(find(&status, conditions::AVAILABLE).unwrap().status, expected, "{available} of 3");
        }
    }

    #[test]
    fn a_failing_set_fails_its_deployment_until_it_recovers() {
        let mut failing = set(1, 1);
        failing.status.as_mut().unwrap().conditions = serde_json::from_value(
            json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}]),
        )
        .unwrap();
        let deployment = deployment(json!({}));
        let mut status = DeploymentStatus::default();
        judge_progress(&deployment, &mut status, None, &[&failing], &at(0));
        assert_eq!(find(&status, REPLICA_FAILURE).and_then(|c| c.message.clone()).as_deref(), Some("quota"));
        judge_progress(&deployment, &mut status, None, &[&set(1, 1)], &at(1));
        assert_eq!(find(&status, REPLICA_FAILURE), None);
    }
}
