//! How many lost nodes are believed: when a whole zone falls silent, the network is a likelier cause than the nodes.
//!
//! The rules and numbers are those of kube-controller-manager's defaults.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

use super::is_ready;
use super::taints::Eviction;

/// Nodes per second that a zone may lose (`--node-eviction-rate`).
const RATE: f64 = 0.1;
/// The same for a large zone of which most is lost (`--secondary-node-eviction-rate`).
const SECONDARY_RATE: f64 = 0.01;
/// The share of lost nodes from which a zone counts as disrupted (`--unhealthy-zone-threshold`).
const DISRUPTED: f64 = 0.55;
/// Zones up to this size lose no further nodes while they are disrupted (`--large-cluster-size-threshold`).
const SMALL: usize = 50;

/// Lets nodes be given up one after another. Remembers, for each zone, when it may lose the next.
#[derive(Default)]
pub(super) struct Gate {
    next: HashMap<String, Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Zone {
    nodes: usize,
    lost: usize,
}

// === impl Gate ===

impl Gate {
    /// Whether `node` may be given up at `now`, given all nodes. `newly` says that it is not given up yet and would
    /// take the zone's turn. The time is when to ask again, if that helps.
    pub(super) fn ask<'a>(
        &mut self,
        node: &Node,
        all: impl Iterator<Item = &'a Node>,
        newly: bool,
        now: Timestamp,
    ) -> (Eviction, Option<Timestamp>) {
        let zones = count(all);
        if zones.values().all(|zone| zone.lost == zone.nodes) {
            return (Eviction::Off, None);
        }
        let name = zone_of(node);
        let rate = zones.get(&name).copied().unwrap_or_default().rate();
        if !newly {
            return (Eviction::Held, None);
        }
        if rate <= 0.0 {
            return (Eviction::Held, None);
        }
        match self.next.get(&name) {
            Some(next) if *next > now => (Eviction::Held, Some(*next)),
            _ => {
                let pause = jiff::SignedDuration::from_secs_f64(1.0 / rate);
                self.next.insert(name, now.saturating_add(pause).unwrap_or(Timestamp::MAX));
                (Eviction::Allowed, None)
            }
        }
    }
}

fn count<'a>(nodes: impl Iterator<Item = &'a Node>) -> BTreeMap<String, Zone> {
    let mut zones = BTreeMap::<String, Zone>::new();
    for node in nodes {
        let zone = zones.entry(zone_of(node)).or_default();
        zone.nodes += 1;
        zone.lost += usize::from(!is_ready(node));
    }
    zones
}

fn zone_of(node: &Node) -> String {
    let label =
        |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned().unwrap_or_default();
    format!("{}:{}", label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

// === impl Zone ===

impl Zone {
    #[expect(clippy::cast_precision_loss, reason = "a share of node counts needs no more than a double's precision")]
    fn rate(self) -> f64 {
        let disrupted = self.lost > 2 && self.lost < self.nodes && self.lost as f64 / self.nodes as f64 >= DISRUPTED;
        match (disrupted, self.nodes > SMALL) {
            (false, _) => RATE,
            (true, true) => SECONDARY_RATE,
            (true, false) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(zone: &str, ready: bool) -> Node {
        serde_json::from_value(json!({
            "metadata": {"labels": {"topology.kubernetes.io/zone": zone}},
            "status": {"conditions": [{"type": "Ready", "status": if ready {"True"} else {"Unknown"}}]},
        }))
        .unwrap()
    }

    fn nodes(zone: &str, ready: usize, lost: usize) -> Vec<Node> {
        let ready = (0..ready).map(|_| node(zone, true));
        ready.chain((0..lost).map(|_| node(zone, false))).collect()
    }

    fn answer(all: &[Node]) -> Eviction {
        Gate::default().ask(&node("a", false), all.iter(), true, Timestamp::UNIX_EPOCH).0
    }

    #[test]
    fn a_lost_node_is_believed_unless_too_many_are_lost_with_it() {
        let with = |mut nodes: Vec<Node>, more: Vec<Node>| {
            nodes.extend(more);
            nodes
        };
        for (what, all, expected) in [
            ("one of two", nodes("a", 1, 1), Eviction::Allowed),
            ("the only one", nodes("a", 0, 1), Eviction::Off),
            ("all of them", nodes("a", 0, 5), Eviction::Off),
            ("most of a small zone", nodes("a", 2, 3), Eviction::Held),
            ("less than most of it", nodes("a", 3, 3), Eviction::Allowed),
            ("most of a large zone", nodes("a", 20, 40), Eviction::Allowed),
            ("a whole zone but not the other", with(nodes("a", 0, 3), nodes("b", 3, 0)), Eviction::Allowed),
            ("all of both zones", with(nodes("a", 0, 3), nodes("b", 0, 3)), Eviction::Off),
        ] {
            assert_eq!(answer(&all), expected, "{what}");
        }
    }

    #[test]
    fn a_zone_loses_one_node_in_ten_seconds() {
        let (mut gate, all) = (Gate::default(), nodes("a", 3, 2));
        let mut at = |second| gate.ask(&node("a", false), all.iter(), true, Timestamp::from_second(second).unwrap()).0;
        assert_eq!(
            [at(0), at(9), at(10), at(11)],
            [Eviction::Allowed, Eviction::Held, Eviction::Allowed, Eviction::Held]
        );
    }
}
