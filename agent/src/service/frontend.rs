//! Every address and port of a service, with what a node does with traffic to it.

use std::net::IpAddr;

use super::selection::Selection;
use super::spec::{Protocol, Service, ServicePort, TrafficPolicy};

/// An address and port that clients use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// Where.
    pub address: FrontendAddress,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// What kind of address it is.
    pub exposure: Exposure,
    /// For clients within: pods, and processes of nodes.
    pub inside: Verdict,
    /// For all others.
    pub outside: Verdict,
    /// Whether the service's source ranges say which clients may use it.
    pub is_filtered: bool,
}

/// Where a frontend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrontendAddress {
    /// At one address.
    Ip(IpAddr),
    /// At all addresses of the node, of IPv4 or of IPv6.
    Node {
        /// Which family.
        is_ipv4: bool,
    },
}

/// The ways to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exposure {
    /// A cluster IP.
    ClusterIp,
    /// An external IP.
    ExternalIp,
    /// An address of a load balancer.
    LoadBalancer,
    /// A port of every node.
    NodePort,
}

/// What is done with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It goes to an endpoint.
    Balance {
        /// Which endpoints: those of the selection under this policy.
        policy: TrafficPolicy,
        /// Whether the endpoint sees the node's address instead of the client's, so that answers come back this way.
        masquerade: bool,
    },
    /// It is refused at once: nobody serves.
    Reject,
    /// It is dropped: the policy wants an endpoint on this node and there is none, so that a load balancer tries another.
    Drop,
}

/// The frontends of one port of a service in one address family.
#[must_use]
pub fn frontends(service: &Service, port: &ServicePort, is_ipv4: bool, selection: &Selection) -> Vec<Frontend> {
    let of_family = |addresses: &[IpAddr]| -> Vec<FrontendAddress> {
        addresses
            .iter()
            .filter(|address| address.is_ipv4() == is_ipv4)
            .map(|address| FrontendAddress::Ip(*address))
            .collect()
    };
    let node = port.node_port.map(|_| FrontendAddress::Node { is_ipv4 });
    // Where no range is of an address's family, there is nothing to filter by, as in kube-proxy.
    let has_ranges = service.source_ranges.iter().any(|range| range.is_ipv4() == is_ipv4);
    let ways = [
        (Exposure::ClusterIp, of_family(&service.cluster_ips)),
        (Exposure::ExternalIp, of_family(&service.external_ips)),
        (Exposure::LoadBalancer, of_family(&service.load_balancer_ips)),
        (Exposure::NodePort, node.into_iter().collect()),
    ];
    let frontend = |exposure: Exposure, address: FrontendAddress| {
        let (inside, outside) = exposure.verdicts(service, selection);
        Frontend {
            address,
            protocol: port.protocol,
            port: if exposure == Exposure::NodePort { port.node_port.unwrap_or_default() } else { port.port },
            exposure,
            inside,
            outside,
            is_filtered: exposure == Exposure::LoadBalancer && has_ranges,
        }
    };
    ways.into_iter()
        .flat_map(|(exposure, addresses)| addresses.into_iter().map(move |address| (exposure, address)))
        .map(|(exposure, address)| frontend(exposure, address))
        .collect()
}

// === impl Exposure ===

impl Exposure {
    /// For clients within and for all others.
    fn verdicts(self, service: &Service, selection: &Selection) -> (Verdict, Verdict) {
        let balance = |policy, masquerade| Verdict::of(selection, policy, masquerade);
        match self {
            // From elsewhere than a pod, answers would not come back through this node.
            Self::ClusterIp => (balance(service.internal_policy, false), balance(service.internal_policy, true)),
            // Within, the policy for outside traffic does not count: the client is no load balancer that could try
            // another node.
            _ => {
                let masquerade = service.external_policy == TrafficPolicy::Cluster;
                (balance(TrafficPolicy::Cluster, false), balance(service.external_policy, masquerade))
            }
        }
    }
}

// === impl Verdict ===

impl Verdict {
    fn of(selection: &Selection, policy: TrafficPolicy, masquerade: bool) -> Self {
        match (selection.exists, selection.under(policy).is_empty()) {
            (false, _) => Self::Reject,
            (true, true) => Self::Drop,
            (true, false) => Self::Balance { policy, masquerade },
        }
    }
}
