//! Whether a node is alive: when it was last heard of, and what to say of one that is silent.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::condition;

/// What was last heard of a node.
///
/// Times that the node writes are compared with each other alone: silence is counted by this machine's clock from the
/// moment at which something new was seen, so that nodes need no common clock, and a cluster whose server was down
/// for an hour is not full of dead nodes when it comes back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heard {
    renewed: Option<Timestamp>,
    reported: Option<Timestamp>,
    /// When this controller saw the latest sign of life.
    pub(super) at: Timestamp,
}

/// A node that never reported anything gets this long to begin.
const STARTUP_GRACE: SignedDuration = SignedDuration::from_secs(60);

/// The conditions that a silent node leaves unknown.
const REPORTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

// === impl Heard ===

impl Heard {
    /// What is known now, given what was known before.
    pub(super) fn update(before: Option<&Self>, node: &Node, lease: Option<&Lease>, now: Timestamp) -> Self {
        let renewed = lease.and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref().map(|time| time.0));
        let reported = condition(node, "Ready").and_then(|ready| ready.last_heartbeat_time.as_ref()).map(|time| time.0);
        let news = before.is_none_or(|before| before.renewed != renewed || before.reported != reported);
        // A node that never reported counts from its creation, and has not been heard of.
        let silent_from_birth = condition(node, "Ready").is_none() && renewed.is_none();
        let created = node.metadata.creation_timestamp.as_ref().map(|time| time.0).filter(|_| silent_from_birth);
        let at = match (news, before) {
            (false, Some(before)) => before.at,
            _ => created.unwrap_or(now),
        };
        Self { renewed, reported, at }
    }

    /// When the node counts as lost unless it is heard of.
    pub(super) fn deadline(&self, node: &Node, grace: SignedDuration) -> Timestamp {
        let grace = if condition(node, "Ready").is_none() { STARTUP_GRACE.max(grace) } else { grace };
        self.at.saturating_add(grace).unwrap_or(Timestamp::MAX)
    }
}

/// The conditions to publish for a silent node; empty if they are published already.
pub(super) fn unknown_conditions(node: &Node, now: &Time) -> Vec<NodeCondition> {
    let unknown = |kind: &&str| {
        let standing = condition(node, kind);
        if standing.is_some_and(|standing| standing.status == "Unknown") {
            return None;
        }
        let (reason, message) = match standing {
            Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
            None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
        };
        let heartbeat = standing.and_then(|standing| standing.last_heartbeat_time.clone());
        Some(NodeCondition {
            type_: (*kind).into(),
            status: "Unknown".into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_heartbeat_time: heartbeat.or_else(|| node.metadata.creation_timestamp.clone()),
            last_transition_time: Some(now.clone()),
        })
    };
    REPORTED.iter().filter_map(unknown).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn node(conditions: Value) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": "n1", "creationTimestamp": "1970-01-01T00:00:00Z"}, "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn ready(heartbeat: i64) -> Node {
        node(json!([{"type": "Ready", "status": "True", "lastHeartbeatTime": at(heartbeat).to_string()}]))
    }

    fn lease(second: i64) -> Lease {
        serde_json::from_value(json!({"spec": {"renewTime": format!("{:.6}", at(second))}})).unwrap()
    }

    #[test]
    fn a_renewed_lease_or_a_reported_status_is_a_sign_of_life_whatever_time_they_name() {
        let grace = SignedDuration::from_secs(40);
        let first = Heard::update(None, &ready(5), Some(&lease(5)), at(1000));
        assert_eq!(first.deadline(&ready(5), grace), at(1040));
        let nothing = Heard::update(Some(&first), &ready(5), Some(&lease(5)), at(1030));
        assert_eq!(nothing.deadline(&ready(5), grace), at(1040));
        let renewed = Heard::update(Some(&nothing), &ready(5), Some(&lease(6)), at(1030));
        assert_eq!(renewed.deadline(&ready(5), grace), at(1070));
        let reported = Heard::update(Some(&renewed), &ready(6), Some(&lease(6)), at(1035));
        assert_eq!(reported.deadline(&ready(6), grace), at(1075));
    }

    #[test]
    fn a_node_that_never_reported_has_a_minute_from_its_creation() {
        let silent = node(json!([]));
        let heard = Heard::update(None, &silent, None, at(30));
        assert_eq!(heard.deadline(&silent, SignedDuration::from_secs(40)), at(60));
    }

    #[test]
    fn a_silent_node_leaves_its_conditions_unknown_once() {
        let now = Time(at(100));
        let unknown = unknown_conditions(&ready(5), &now);
        let shown: Vec<_> = unknown.iter().map(|it| (it.type_.as_str(), it.reason.as_deref().unwrap())).collect();
        let never = "NodeStatusNeverUpdated";
        let expected = [
            ("Ready", "NodeStatusUnknown"),
            ("MemoryPressure", never),
            ("DiskPressure", never),
            ("PIDPressure", never),
        ];
        assert_eq!(shown, expected);
        assert_eq!(unknown[0].last_heartbeat_time, Some(Time(at(5))));
        let lost = node(json!(unknown));
        assert!(unknown_conditions(&lost, &now).is_empty());
    }
}
