//! What should be in the kernel beside the endpoints, from what is known of the node and the cluster.
//!
//! The first step of fetch, plan, apply: a pure function from what was read to tables. Services and policies become
//! further tables here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnetwork::IpNetwork;

use crate::netlink::{MacAddress, Route};
use crate::node::NodeView;
use crate::programs::{Masquerading, NodeRoute, Uplink};

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// This node, once its object was read.
    pub own: Option<NodeView>,
    /// All nodes, this one included or not.
    pub nodes: Vec<NodeView>,
    /// The interface to the network.
    pub uplink: Option<UplinkFacts>,
    /// What the settings say of masquerade.
    pub masquerade: Option<MasqueradeSettings>,
}

/// The uplink as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkFacts {
    /// Its index.
    pub interface: u32,
    /// Its name.
    pub name: String,
    /// Its largest packet in bytes.
    pub mtu: u32,
    /// Its Ethernet address.
    pub mac: Option<MacAddress>,
    /// Networks that are on its link.
    pub networks: Vec<IpNetwork>,
    /// All addresses of the node that others can speak to.
    pub addresses: Vec<IpAddr>,
}

/// Masquerade as the settings have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasqueradeSettings {
    /// Ports that are used.
    pub ports: RangeInclusive<u16>,
    /// Destinations outside the cluster that know a way to pods.
    pub exclusions: Vec<IpNetwork>,
}

/// What should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The uplink of the programs.
    pub uplink: Option<Uplink>,
    /// The masquerade.
    pub masquerade: Option<Masquerading>,
    /// The other nodes, each by its next hops.
    pub nodes: Vec<NodeRoute>,
    /// Routes of the kernel to other nodes' pods.
    pub routes: BTreeSet<Route>,
    /// What cannot be, and why: for the log and the status.
    pub complaints: Vec<String>,
}

// === impl Desired ===

impl Desired {
    /// The tables that follow from what is known.
    pub fn new(known: &Known) -> Self {
        let mut desired = Self::default();
        let (Some(own), Some(uplink)) = (&known.own, &known.uplink) else { return desired };
        desired.uplink = Some(Uplink {
            interface: uplink.interface,
            mtu: u16::try_from(uplink.mtu).unwrap_or(u16::MAX),
            addresses: sorted(uplink.addresses.clone()),
            pod_networks: sorted(own.pod_networks.clone()),
        });
        desired.masquerade = known.masquerade.as_ref().map(|settings| masquerading(settings, own, uplink));
        for node in known.nodes.iter().filter(|node| node.name != own.name) {
            desired.add_node(node, uplink);
        }
        desired
    }

    fn add_node(&mut self, node: &NodeView, uplink: &UplinkFacts) {
        let complain = |reason: String| format!("node {}: {reason}", node.name);
        self.complaints.extend(node.complaints.iter().cloned().map(complain));
        let mut reachable = Vec::new();
        for network in &node.pod_networks {
            let Some(gateway) = node.address_like(*network) else {
                self.complaints.push(complain(format!(
                    "its pods of {network} cannot be reached: it has no InternalIP of that family"
                )));
                continue;
            };
            if !uplink.networks.iter().any(|on_link| on_link.contains(gateway)) {
                let reason = format!(
                    "its pods of {network} cannot be reached: its address {gateway} is not on the link of {}, and there is \
                     no tunnel in this version",
                    uplink.name
                );
                self.complaints.push(complain(reason));
                continue;
            }
            reachable.push(*network);
            let route =
                Route { destination: *network, gateway: Some(gateway), interface: uplink.interface, source: None };
            self.routes.insert(route);
        }
        self.nodes.extend(by_next_hop(&node.addresses, &reachable));
    }
}

/// A node as one entry for each of its addresses: the first of each family leads to its pods of that family.
pub fn by_next_hop(addresses: &[IpAddr], pod_networks: &[IpNetwork]) -> Vec<NodeRoute> {
    let is_first =
        |address: &IpAddr| addresses.iter().find(|other| other.is_ipv4() == address.is_ipv4()) == Some(address);
    let entry = |address: &IpAddr| {
        let behind = |network: &&IpNetwork| is_first(address) && network.is_ipv4() == address.is_ipv4();
        NodeRoute { addresses: vec![*address], pod_networks: pod_networks.iter().filter(behind).copied().collect() }
    };
    addresses.iter().map(entry).collect()
}

fn masquerading(settings: &MasqueradeSettings, own: &NodeView, uplink: &UplinkFacts) -> Masquerading {
    // The address that the cluster knows the node by; it must be the node's in the kernel as well, to get the answers.
    let mine = |v4: bool| {
        let of_family = |address: &&IpAddr| address.is_ipv4() == v4;
        let named = own.addresses.iter().filter(of_family).find(|address| uplink.addresses.contains(address));
        named.or_else(|| uplink.addresses.iter().find(of_family)).copied()
    };
    Masquerading {
        ipv4: mine(true).and_then(|address| if let IpAddr::V4(address) = address { Some(address) } else { None }),
        ipv6: mine(false).and_then(|address| if let IpAddr::V6(address) = address { Some(address) } else { None }),
        ports: settings.ports.clone(),
        exclusions: sorted(settings.exclusions.clone()),
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list.dedup();
    list
}
