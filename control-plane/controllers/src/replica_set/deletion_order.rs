//! Which pod goes first when a set shrinks.
//!
//! The order is Kubernetes' (`ActivePodsWithRanks`): pods that do not serve before pods that do, then what the user
//! said (`controller.kubernetes.io/pod-deletion-cost`), then crowded nodes, then young and restless pods.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::object::owner::uid;
use crate::object::pod;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// `pods`, the first to go first. `related` are the pods that count when a node's crowd is measured.
pub(super) fn in_deletion_order(mut pods: Vec<Arc<Pod>>, related: &[Arc<Pod>], now: Timestamp) -> Vec<Arc<Pod>> {
    let mut crowd = HashMap::<&str, usize>::new();
    for node in related.iter().filter_map(|pod| pod::node(pod)) {
        *crowd.entry(node).or_default() += 1;
    }
    pods.sort_by(|one, two| compare(one, two, &crowd, now));
    pods
}

fn compare(one: &Pod, two: &Pod, crowd: &HashMap<&str, usize>, now: Timestamp) -> Ordering {
    let rank = |pod: &Pod| pod::node(pod).and_then(|node| crowd.get(node)).copied().unwrap_or(0);
    pod::node(one)
        .is_some()
        .cmp(&pod::node(two).is_some())
        .then_with(|| pod::phase(one).cmp(&pod::phase(two)))
        .then_with(|| pod::is_ready(one).cmp(&pod::is_ready(two)))
        .then_with(|| deletion_cost(one).cmp(&deletion_cost(two)))
        .then_with(|| Reverse(rank(one)).cmp(&Reverse(rank(two))))
        .then_with(|| younger_first(pod::ready_since(one), pod::ready_since(two), now, one, two))
        .then_with(|| Reverse(pod::restarts(one)).cmp(&Reverse(pod::restarts(two))))
        .then_with(|| younger_first(created(one), created(two), now, one, two))
}

/// Ages are compared by their order of magnitude, and equal ones by UID: among pods that are about equally old the
/// choice is as good as random, so that shrinking does not always hit the zone that was scaled last (KEP-2185).
fn younger_first(
    one: Option<Timestamp>,
    two: Option<Timestamp>,
    now: Timestamp,
    one_pod: &Pod,
    two_pod: &Pod,
) -> Ordering {
    if one == two {
        return Ordering::Equal;
    }
    let magnitude = |at: Option<Timestamp>| {
        let age = at.map_or(0, |at| now.duration_since(at).as_nanos());
        if age <= 0 { -1 } else { i64::from(age.ilog2()) }
    };
    magnitude(one).cmp(&magnitude(two)).then_with(|| uid(&one_pod.metadata).cmp(uid(&two_pod.metadata)))
}

/// What the user says the pod's loss would cost; 0 if nothing or nonsense.
fn deletion_cost(pod: &Pod) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(DELETION_COST)).and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-01-02T00:00:00Z";

    fn pod(name: &str, change: Value) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "containerStatuses": [{"name": "c", "restartCount": 0, "image": "", "imageID": "", "ready": true}],
            },
        });
        merge(&mut pod, &change);
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn merge(target: &mut Value, change: &Value) {
        match (target, change) {
            (Value::Object(target), Value::Object(change)) => {
                change.iter().for_each(|(key, value)| merge(target.entry(key).or_insert(Value::Null), value));
            }
            (target, change) => *target = change.clone(),
        }
    }

    #[test]
    fn each_rule_decides_when_those_before_it_do_not() {
        let ready = |status: &str, since: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": since}]}});
        let restarts = json!({"status": {"containerStatuses":
            [{"name": "c", "restartCount": 5, "image": "", "imageID": "", "ready": true}]}});
        for (rule, first, second) in [
            ("unbound first", json!({"spec": {"nodeName": ""}}), json!({"status": {"phase": "Pending"}})),
            ("pending before running", json!({"status": {"phase": "Pending"}}), ready("False", NOW)),
            ("unready before cheap", ready("False", NOW), json!({"metadata": {"annotations": {DELETION_COST: "-5"}}})),
            (
                "cheap before crowded",
                json!({"metadata": {"annotations": {DELETION_COST: "-5"}}}),
                json!({"spec": {"nodeName": "crowded"}}),
            ),
            ("crowded before young", json!({"spec": {"nodeName": "crowded"}}), ready("True", "2026-01-01T23:59:00Z")),
            ("serving for less long", ready("True", "2026-01-01T23:59:00Z"), restarts.clone()),
            (
                "restless before newly created",
                restarts,
                json!({"metadata": {"creationTimestamp": "2026-01-01T23:59:00Z"}}),
            ),
            (
                "newly created before the rest",
                json!({"metadata": {"creationTimestamp": "2026-01-01T23:59:00Z"}}),
                json!({}),
            ),
        ] {
            let related =
                [json!({"spec": {"nodeName": "crowded"}}), json!({"spec": {"nodeName": "crowded"}}), json!({})];
            let related: Vec<_> = related.into_iter().map(|change| pod("related", change)).collect();
            let (first, second) = (pod("z-first", first), pod("a-second", second));
            for pods in [vec![first.clone(), second.clone()], vec![second, first]] {
                let ordered = in_deletion_order(pods, &related, NOW.parse().unwrap());
                assert_eq!(pod::name(&ordered[0]), "z-first", "{rule}");
            }
        }
    }

    #[test]
    fn ages_of_one_magnitude_are_told_apart_by_uid_alone() {
        let since = |at: &str| json!({"metadata": {"creationTimestamp": at}});
        let pods = vec![pod("b", since("2026-01-01T12:00:00Z")), pod("a", since("2026-01-01T11:30:00Z"))];
        let ordered = in_deletion_order(pods, &[], NOW.parse().unwrap());
        assert_eq!(pod::name(&ordered[0]), "a");
    }
}
