//! The address plan of every topology.
//!
//! Fabric: 192.168.77.0/24 and fd00:77::/64, the server .2, node `i` .10+i, the client .200; the IPv6 address ends in
//! the same digits. Pods: 10.244.0.0/16 and fd00:10:244::/56, of which node `i` has 10.244.i.0/24 and
//! fd00:10:244:i::/64. Topologies do not share a network, so all of them use the same addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use crate::link::MacAddress;
use crate::name::Role;

/// The highest node number: the next address is the client's.
pub const MAX_NODES: u8 = 189;

/// The most pods that a node's network has room for in this plan.
pub const MAX_PODS_PER_NODE: u8 = 250;

/// The IPv4 address that pods send everything to; on no interface, the node answers for it.
pub const POD_GATEWAY_IPV4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The IPv6 address that pods send everything to.
pub const POD_GATEWAY_IPV6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The addresses of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// IPv4 address.
    pub ipv4: Ipv4Addr,
    /// IPv6 address.
    pub ipv6: Ipv6Addr,
    /// Ethernet address.
    pub mac: MacAddress,
}

// === impl Addresses ===

impl Addresses {
    /// Addresses of the host with this role. Those of the fabric are kept free: it is a switch and uses none.
    pub fn of(role: Role) -> Self {
        match role {
            Role::Fabric => Self::on_fabric(1),
            Role::Server => Self::on_fabric(2),
            Role::Node(node) => Self::on_fabric(node.saturating_add(10)),
            Role::Client => Self::on_fabric(200),
            Role::Pod { node, pod } => {
                let ipv4 = Ipv4Addr::new(10, 244, node, pod);
                let ipv6 = Ipv6Addr::new(0xfd00, 0x10, 0x244, written(node), 0, 0, 0, written(pod));
                Self { ipv4, ipv6, mac: mac(0, ipv4) }
            }
        }
    }

    /// Both IP addresses, IPv4 first.
    pub fn ips(&self) -> [IpAddr; 2] {
        [self.ipv4.into(), self.ipv6.into()]
    }

    /// Ethernet address of the interface at the other end of the veth pair.
    pub fn peer_mac(&self) -> MacAddress {
        mac(1, self.ipv4)
    }

    fn on_fabric(number: u8) -> Self {
        let ipv4 = Ipv4Addr::new(192, 168, 77, number);
        Self { ipv4, ipv6: Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, written(number)), mac: mac(0, ipv4) }
    }
}

/// The networks of the pods of one node.
pub fn pod_networks(node: u8) -> [IpNetwork; 2] {
    let ipv6 = Ipv6Addr::new(0xfd00, 0x10, 0x244, written(node), 0, 0, 0, 0);
    [with_prefix(Ipv4Addr::new(10, 244, node, 0).into(), 24), with_prefix(ipv6.into(), 64)]
}

/// An address with the length of its network's prefix. A longer prefix than the family has means the address alone.
pub(crate) fn with_prefix(address: IpAddr, prefix: u8) -> IpNetwork {
    IpNetwork::new(address, prefix).unwrap_or_else(|_| address.into())
}

/// A locally administered address that shows the IPv4 address and the end of the pair.
fn mac(end: u8, address: Ipv4Addr) -> MacAddress {
    let [a, b, c, d] = address.octets();
    MacAddress([0x02, end, a, b, c, d])
}

/// The group of an IPv6 address that reads like the decimal number: 11 gives `::11`.
fn written(number: u8) -> u16 {
    let number = u16::from(number);
    (number / 100) << 8 | (number / 10 % 10) << 4 | (number % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_the_addresses_of_the_plan() {
        for (role, ipv4, ipv6) in [
            (Role::Server, "192.168.77.2", "fd00:77::2"),
            (Role::Node(1), "192.168.77.11", "fd00:77::11"),
            (Role::Node(MAX_NODES), "192.168.77.199", "fd00:77::199"),
            (Role::Client, "192.168.77.200", "fd00:77::200"),
            (Role::Pod { node: 1, pod: 2 }, "10.244.1.2", "fd00:10:244:1::2"),
            (Role::Pod { node: 12, pod: 250 }, "10.244.12.250", "fd00:10:244:12::250"),
        ] {
            let addresses = Addresses::of(role);
            assert_eq!(
                (addresses.ipv4.to_string().as_str(), addresses.ipv6.to_string().as_str()),
                (ipv4, ipv6),
                "{role}"
            );
        }
    }

    #[test]
    fn a_pod_is_in_its_nodes_networks() {
        let networks = pod_networks(7);
        for address in Addresses::of(Role::Pod { node: 7, pod: 250 }).ips() {
            assert!(networks.iter().any(|network| network.contains(address)), "{address}");
        }
    }
}
