//! From what should be and what is to what is to be done, in an order that breaks nothing: additions before removals,
//! and the uplink before what is reached by it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::desired::Desired;
use crate::netlink::Route;
use crate::programs::{Masquerading, NodeRoute, Uplink};

/// What is in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// The uplink of the programs.
    pub uplink: Option<Uplink>,
    /// The masquerade.
    pub masquerade: Option<Masquerading>,
    /// The other nodes, by next hop.
    pub nodes: Vec<NodeRoute>,
    /// The agent's routes that lead to other nodes.
    pub routes: BTreeSet<Route>,
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make this the uplink.
    SetUplink(Uplink),
    /// Make this the masquerade.
    SetMasquerade(Masquerading),
    /// Make another node's pods reachable by the programs.
    SetNode(NodeRoute),
    /// Set a route of the kernel, for the node's own sockets and what the programs leave to the stack.
    SetRoute(Route),
    /// Delete a route of the kernel.
    DeleteRoute(Route),
    /// Forget another node.
    RemoveNode(NodeRoute),
}

/// The changes that lead from what is to what should be. Nothing is removed unless `complete`: before every watch has
/// brought its first list, what is missing is only not known yet.
pub fn plan(desired: &Desired, actual: &Actual, complete: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(uplink) = desired.uplink.as_ref().filter(|uplink| actual.uplink.as_ref() != Some(*uplink)) {
        changes.push(Change::SetUplink(uplink.clone()));
    }
    if let Some(wanted) = desired.masquerade.as_ref().filter(|wanted| actual.masquerade.as_ref() != Some(*wanted)) {
        changes.push(Change::SetMasquerade(wanted.clone()));
    }
    let (wanted, existing) = (normal(&desired.nodes), normal(&actual.nodes));
    changes.extend(desired.nodes.iter().filter(|node| !existing.contains(&key(node))).cloned().map(Change::SetNode));
    changes.extend(desired.routes.difference(&actual.routes).cloned().map(Change::SetRoute));
    if complete && desired.uplink.is_some() {
        let replaced = |route: &&Route| !desired.routes.iter().any(|kept| kept.destination == route.destination);
        changes.extend(actual.routes.difference(&desired.routes).filter(replaced).cloned().map(Change::DeleteRoute));
        let stale = existing.iter().filter(|node| !wanted.contains(node));
        changes.extend(stale.map(|node| Change::RemoveNode(without_what_stays(node, &desired.nodes))));
    }
    changes
}

/// A node for comparison: addresses and networks in order.
type Key = (Vec<IpAddr>, Vec<ipnetwork::IpNetwork>);

fn key(node: &NodeRoute) -> Key {
    let (mut addresses, mut networks) = (node.addresses.clone(), node.pod_networks.clone());
    addresses.sort();
    networks.sort();
    (addresses, networks)
}

fn normal(nodes: &[NodeRoute]) -> BTreeSet<Key> {
    nodes.iter().map(key).collect()
}

/// What of a stale entry leads nowhere any more: a network that moved to another node, or an address that another entry
/// has now, was overwritten above and must not be removed.
fn without_what_stays((addresses, networks): &Key, desired: &[NodeRoute]) -> NodeRoute {
    let kept = |address: &&IpAddr| !desired.iter().any(|node| node.addresses.contains(address));
    let moved = |network: &&ipnetwork::IpNetwork| !desired.iter().any(|node| node.pod_networks.contains(network));
    NodeRoute {
        addresses: addresses.iter().filter(kept).copied().collect(),
        pod_networks: networks.iter().filter(moved).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::{Known, MasqueradeSettings, UplinkFacts};
    use crate::node::NodeView;

    fn node(number: u8) -> NodeView {
        NodeView {
            name: format!("n{number}"),
            addresses: vec![[192, 168, 77, 10 + number].into(), format!("fd00:77::{}", 10 + number).parse().unwrap()],
            pod_networks: vec![
                format!("10.244.{number}.0/24").parse().unwrap(),
                format!("fd00:10:244:{number}::/64").parse().unwrap(),
            ],
            complaints: Vec::new(),
        }
    }

    fn known(others: &[u8]) -> Known {
        Known {
            own: Some(node(1)),
            nodes: others.iter().map(|number| node(*number)).collect(),
            uplink: Some(UplinkFacts {
                interface: 2,
                name: "eth0".into(),
                mtu: 1500,
                mac: None,
                networks: vec!["192.168.77.0/24".parse().unwrap(), "fd00:77::/64".parse().unwrap()],
                addresses: node(1).addresses,
            }),
            masquerade: Some(MasqueradeSettings { ports: 61000..=65535, exclusions: Vec::new() }),
        }
    }

    /// What a kernel is like after the changes, as far as this module can see.
    fn apply(mut actual: Actual, changes: &[Change]) -> Actual {
        for change in changes {
            match change.clone() {
                Change::SetUplink(uplink) => actual.uplink = Some(uplink),
                Change::SetMasquerade(masquerade) => actual.masquerade = Some(masquerade),
                Change::SetNode(node) => {
                    for other in &mut actual.nodes {
                        other.pod_networks.retain(|network| !node.pod_networks.contains(network));
                    }
                    actual
                        .nodes
                        .retain(|other| !node.addresses.iter().any(|address| other.addresses.contains(address)));
                    actual.nodes.push(node);
                }
                Change::RemoveNode(node) => {
                    for other in &mut actual.nodes {
                        other.pod_networks.retain(|network| !node.pod_networks.contains(network));
                        other.addresses.retain(|address| !node.addresses.contains(address));
                    }
                    actual.nodes.retain(|node| !node.addresses.is_empty());
                }
                Change::SetRoute(route) => {
                    actual.routes.retain(|other| other.destination != route.destination);
                    actual.routes.insert(route);
                }
                Change::DeleteRoute(route) => drop(actual.routes.remove(&route)),
            }
        }
        actual
    }

    #[test]
    fn a_plan_leads_from_any_cluster_to_any_other_and_then_there_is_nothing_to_do() {
        let clusters: [&[u8]; 4] = [&[], &[2], &[2, 3], &[3, 4, 5]];
        for from in clusters {
            for to in clusters {
                let start = apply(Actual::default(), &plan(&Desired::new(&known(from)), &Actual::default(), true));
                let desired = Desired::new(&known(to));
                let end = apply(start.clone(), &plan(&desired, &start, true));
                assert_eq!(plan(&desired, &end, true), [], "{from:?} -> {to:?}");
                assert_eq!(normal(&end.nodes), normal(&desired.nodes), "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn additions_come_before_removals_and_the_uplink_before_all() {
        let start = apply(Actual::default(), &plan(&Desired::new(&known(&[2])), &Actual::default(), true));
        let mut changed = known(&[3]);
        changed.uplink.as_mut().unwrap().mtu = 9000;
        let changes = plan(&Desired::new(&changed), &start, true);
        let rank = |change: &Change| match change {
            Change::SetUplink(_) => 0,
            Change::SetMasquerade(_) => 1,
            Change::SetNode(_) => 2,
            Change::SetRoute(_) => 3,
            Change::DeleteRoute(_) => 4,
            Change::RemoveNode(_) => 5,
        };
        let ranks: Vec<_> = changes.iter().map(rank).collect();
        assert!(ranks.is_sorted(), "{changes:?}");
        assert_eq!(ranks, [0, 2, 2, 3, 3, 4, 4, 5, 5]);
    }

    #[test]
    fn nothing_is_removed_before_everything_is_known() {
        let start = apply(Actual::default(), &plan(&Desired::new(&known(&[2, 3])), &Actual::default(), true));
        assert_eq!(plan(&Desired::new(&known(&[2])), &start, false), []);
        assert_eq!(plan(&Desired::default(), &start, true), [], "without an own node nothing is known");
    }

    #[test]
    fn a_network_that_moves_to_another_node_is_not_taken_from_it_again() {
        let start = apply(Actual::default(), &plan(&Desired::new(&known(&[2])), &Actual::default(), true));
        let mut changed = known(&[3]);
        changed.nodes[0].pod_networks = node(2).pod_networks;
        let desired = Desired::new(&changed);
        let changes = plan(&desired, &start, true);
        let taken = |change: &Change| {
            matches!(change, Change::DeleteRoute(_))
                || matches!(change, Change::RemoveNode(node) if !node.pod_networks.is_empty())
        };
        assert!(!changes.iter().any(taken), "{changes:?}");
    }

    #[test]
    fn a_node_that_is_not_on_the_link_is_left_out_and_said() {
        let mut known = known(&[2, 3]);
        known.nodes[0].addresses = vec!["203.0.113.5".parse().unwrap()];
        let desired = Desired::new(&known);
        assert_eq!(desired.routes.len(), 2, "those to n3");
        assert!(desired.complaints.iter().any(|complaint| complaint.contains("not on the link of eth0")));
        assert!(desired.complaints.iter().any(|complaint| complaint.contains("no InternalIP of that family")));
    }
}
