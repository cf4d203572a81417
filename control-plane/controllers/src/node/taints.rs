//! The taints that a node's conditions call for.

use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{condition, taints};

pub(super) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(super) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
pub(super) const NO_SCHEDULE: &str = "NoSchedule";
pub(super) const NO_EXECUTE: &str = "NoExecute";

/// Condition type and status, and the taint by which they keep new pods away.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Whether pods may be sent away from nodes like this one at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// Yes.
    Allowed,
    /// Those that are being sent away go on; no node is added.
    Held,
    /// No, and nodes that were marked are marked no longer: more likely it is this server that is cut off.
    Off,
}

/// The taints that the node should have; those that are none of this controller's stay as they are.
pub(super) fn wanted(node: &Node, eviction: Eviction, now: &Time) -> Vec<Taint> {
    let mut wanted: Vec<Taint> = taints(node).iter().filter(|taint| !is_ours(taint)).cloned().collect();
    let keep = |key: &str, effect: &str| {
        let standing = taints(node).iter().find(|taint| taint.key == key && taint.effect == effect);
        standing.cloned().unwrap_or_else(|| taint(key, effect, now))
    };
    for key in keys(node) {
        wanted.push(keep(key, NO_SCHEDULE));
    }
    if let Some(key) = lost(node) {
        let marked = taints(node).iter().any(is_no_execute_of_ours);
        if eviction == Eviction::Allowed || (eviction == Eviction::Held && marked) {
            wanted.push(keep(key, NO_EXECUTE));
        }
    }
    wanted
}

/// Whether the node would be marked for eviction and is not yet.
pub(super) fn is_newly_lost(node: &Node) -> bool {
    lost(node).is_some() && !taints(node).iter().any(is_no_execute_of_ours)
}

/// The taint of a node that is not ready, if it is not.
fn lost(node: &Node) -> Option<&'static str> {
    keys(node).find(|key| [NOT_READY, UNREACHABLE].contains(key))
}

fn keys(node: &Node) -> impl Iterator<Item = &'static str> {
    let holds = |kind: &str, status: &str| condition(node, kind).is_some_and(|condition| condition.status == status);
    let unschedulable = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    let by_condition = BY_CONDITION.into_iter().filter(move |(kind, status, _)| holds(kind, status));
    by_condition.map(|(_, _, key)| key).chain(unschedulable.then_some(UNSCHEDULABLE))
}

fn is_ours(taint: &Taint) -> bool {
    let by_condition = BY_CONDITION.iter().any(|(_, _, key)| *key == taint.key) || taint.key == UNSCHEDULABLE;
    (taint.effect == NO_SCHEDULE && by_condition) || is_no_execute_of_ours(taint)
}

fn is_no_execute_of_ours(taint: &Taint) -> bool {
    taint.effect == NO_EXECUTE && [NOT_READY, UNREACHABLE].contains(&taint.key.as_str())
}

fn taint(key: &str, effect: &str, now: &Time) -> Taint {
    Taint { key: key.into(), effect: effect.into(), time_added: Some(now.clone()), value: None }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn node(ready: &str, taints: Value, unschedulable: bool) -> Node {
        serde_json::from_value(json!({
            "spec": {"taints": taints, "unschedulable": unschedulable},
            "status": {"conditions": [{"type": "Ready", "status": ready}, {"type": "DiskPressure", "status": "False"}]},
        }))
        .unwrap()
    }

    fn shown(node: &Node, eviction: Eviction) -> Vec<String> {
        let now = Time(Timestamp::UNIX_EPOCH);
        let short = |key: &str| key.trim_start_matches("node.kubernetes.io/").to_owned();
        wanted(node, eviction, &now).iter().map(|taint| format!("{}:{}", short(&taint.key), taint.effect)).collect()
    }

    #[test]
    fn conditions_become_taints_and_foreign_taints_stay() {
        let foreign = json!([{"key": "gpu", "effect": "NoSchedule", "value": "yes"}]);
        let marked = json!([{"key": NOT_READY, "effect": NO_EXECUTE}]);
        for (what, node, eviction, expected) in [
            ("ready", node("True", json!([]), false), Eviction::Allowed, vec![]),
            ("cordoned", node("True", json!([]), true), Eviction::Allowed, vec!["unschedulable:NoSchedule"]),
            (
                "not ready",
                node("False", foreign, false),
                Eviction::Allowed,
                vec!["gpu:NoSchedule", "not-ready:NoSchedule", "not-ready:NoExecute"],
            ),
            (
                "silent",
                node("Unknown", json!([]), false),
                Eviction::Allowed,
                vec!["unreachable:NoSchedule", "unreachable:NoExecute"],
            ),
            ("one after another", node("Unknown", json!([]), false), Eviction::Held, vec!["unreachable:NoSchedule"]),
            (
                "marked before",
                node("Unknown", marked.clone(), false),
                Eviction::Held,
                vec!["unreachable:NoSchedule", "unreachable:NoExecute"],
            ),
            ("all are lost", node("Unknown", marked.clone(), false), Eviction::Off, vec!["unreachable:NoSchedule"]),
            ("ready again", node("True", marked, false), Eviction::Allowed, vec![]),
        ] {
            assert_eq!(shown(&node, eviction), expected, "{what}");
        }
    }

    #[test]
    fn a_taint_keeps_the_time_at_which_it_was_added() {
        let early = "2026-01-01T00:00:00Z";
        let marked = node("Unknown", json!([{"key": UNREACHABLE, "effect": NO_EXECUTE, "timeAdded": early}]), false);
        let taints = wanted(&marked, Eviction::Allowed, &Time(Timestamp::UNIX_EPOCH));
        let kept = taints.iter().find(|taint| taint.effect == NO_EXECUTE).unwrap();
        assert_eq!(kept.time_added, Some(Time(early.parse().unwrap())));
    }
}
