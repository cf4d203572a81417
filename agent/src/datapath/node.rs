//! Other nodes: which pods are behind them, and how a frame to them is addressed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dataplane_common::{IpAddress, LinkAddresses, NextHop, Owner, OwnerKind, Route, RouteKind};
use ipnetwork::IpNetwork;

use super::{Datapath, DatapathError};

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRoute {
    /// Addresses of the node itself. The first of each family is the next hop to its pods of that family, and must be
    /// a neighbour on the uplink.
    pub addresses: Vec<IpAddr>,
    /// The networks of its pods.
    pub pod_networks: Vec<IpNetwork>,
}

/// What netlink tells of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// The index of the interface that it is on.
    pub interface: u32,
    /// The largest packet to it, in bytes: the interface's.
    pub mtu: u16,
    /// Its hardware address, once it is known.
    pub mac: Option<[u8; 6]>,
    /// The hardware address of the interface; meaningless while `mac` is not known.
    pub source_mac: [u8; 6],
}

// === impl Datapath ===

impl Datapath {
    /// Makes another node's pods and the node itself reachable. Until a neighbour is known by
    /// [`set_neighbour`](Self::set_neighbour) the kernel finds it out per packet, which is slower.
    ///
    /// # Errors
    ///
    /// [`DatapathError::NoUplink`] before [`set_uplink`](Self::set_uplink), [`DatapathError::NoNextHop`] for a pod
    /// network of a family that the node has no address of, and what the kernel refuses.
    pub fn set_node(&mut self, node: &NodeRoute) -> Result<(), DatapathError> {
        for network in &node.pod_networks {
            let hop = node.next_hop_to(*network).ok_or(DatapathError::NoNextHop { network: *network })?;
            let hop = self.next_hop(hop)?;
            let (bits, address) = prefix_of(*network);
            self.tables.routes.insert(bits, address, Route::remote(hop))?;
        }
        for address in &node.addresses {
            let hop = self.next_hop(*address)?;
            self.tables.owners.insert(&(*address).into(), &Owner::node(hop))?;
        }
        Ok(())
    }

    /// Forgets another node: its pods do not exist any more, its addresses are outside. What is not there is no error.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses.
    pub fn remove_node(&mut self, node: &NodeRoute) -> Result<(), DatapathError> {
        for network in &node.pod_networks {
            let (bits, address) = prefix_of(*network);
            self.tables.routes.remove(bits, address)?;
        }
        for address in &node.addresses {
            let address = IpAddress::from(*address);
            if self.tables.owners.get(&address)?.and_then(|owner| owner.kind()) == Some(OwnerKind::Node) {
                self.tables.owners.remove(&address)?;
            }
        }
        self.release_next_hops()
    }

    /// The other nodes, as the maps have them: pod networks by the next hops that lead to them. A node with two
    /// families is two of these.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses to read a map.
    pub fn nodes(&self) -> Result<Vec<NodeRoute>, DatapathError> {
        let mut nodes: BTreeMap<u32, NodeRoute> = BTreeMap::new();
        let empty = || NodeRoute { addresses: Vec::new(), pod_networks: Vec::new() };
        for (bits, address, route) in self.tables.routes.entries()? {
            if route.kind() == Some(RouteKind::Remote) {
                let node = nodes.entry(route.next_hop()).or_insert_with(empty);
                node.pod_networks.extend(network_of(bits, address));
            }
        }
        for (address, owner) in self.tables.owners.entries()? {
            if owner.kind() == Some(OwnerKind::Node) {
                nodes.entry(owner.next_hop()).or_insert_with(empty).addresses.push(address.into());
            }
        }
        Ok(nodes.into_values().collect())
    }

    /// Takes in what netlink tells of a neighbour; whether packets go to it. Neighbours of no concern are ignored.
    ///
    /// Traffic that goes past the stack does not keep the kernel's own entry alive: make the neighbours of
    /// [`next_hops`](Self::next_hops) managed ones (`NTF_MANAGED`, kernel 5.16) or resolve them again now and then.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses.
    pub fn set_neighbour(&mut self, neighbour: &Neighbour) -> Result<bool, DatapathError> {
        let address = IpAddress::from(neighbour.address);
        let Some(id) = self.find_next_hop(address)? else { return Ok(false) };
        let link = neighbour.mac.map(|mac| LinkAddresses { destination: mac, source: neighbour.source_mac });
        let hop = NextHop::neighbour(address, neighbour.interface, neighbour.mtu, link);
        self.tables.next_hops.set(id, hop)?;
        Ok(true)
    }

    /// The neighbours that packets go to.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses to read the map.
    pub fn next_hops(&self) -> Result<Vec<Neighbour>, DatapathError> {
        let hops = self.tables.next_hops.entries()?.into_iter().skip(1);
        Ok(hops.filter(|hop| hop.interface() != 0).map(|hop| Neighbour::of(&hop)).collect())
    }

    /// The id of a neighbour's next hop, a new one if it has none.
    fn next_hop(&mut self, address: IpAddr) -> Result<u32, DatapathError> {
        let key = IpAddress::from(address);
        if let Some(id) = self.find_next_hop(key)? {
            return Ok(id);
        }
        let outside = self.tables.next_hops.get(NextHop::OUTSIDE)?;
        if outside.interface() == 0 {
            return Err(DatapathError::NoUplink);
        }
        let capacity = self.tables.next_hops.capacity()?;
        let free = self.position_of(|hop| hop.interface() == 0)?;
        let id = free.ok_or(DatapathError::TooManyNextHops { address, capacity })?;
        self.tables.next_hops.set(id, NextHop::neighbour(key, outside.interface(), outside.mtu(), None))?;
        Ok(id)
    }

    fn find_next_hop(&self, address: IpAddress) -> Result<Option<u32>, DatapathError> {
        self.position_of(|hop| hop.interface() != 0 && hop.address() == address)
    }

    /// The first next hop but that of the outside for which `is_it` says so.
    fn position_of(&self, is_it: impl Fn(&NextHop) -> bool) -> Result<Option<u32>, DatapathError> {
        for id in 1..self.tables.next_hops.capacity()? {
            if is_it(&self.tables.next_hops.get(id)?) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Frees the next hops that nothing leads to.
    fn release_next_hops(&mut self) -> Result<(), DatapathError> {
        let routes = self.tables.routes.entries()?.into_iter();
        let by_route = routes.filter(|(_, _, route)| route.kind() == Some(RouteKind::Remote));
        let mut used: Vec<u32> = by_route.map(|(_, _, route)| route.next_hop()).collect();
        let owners = self.tables.owners.entries()?.into_iter();
        let nodes = owners.filter(|(_, owner)| owner.kind() == Some(OwnerKind::Node));
        used.extend(nodes.map(|(_, owner)| owner.next_hop()));
        for id in 1..self.tables.next_hops.capacity()? {
            if !used.contains(&id) && self.tables.next_hops.get(id)?.interface() != 0 {
                self.tables.next_hops.set(id, NextHop::default())?;
            }
        }
        Ok(())
    }
}

// === impl NodeRoute ===

impl NodeRoute {
    /// The node's first address of a network's family.
    fn next_hop_to(&self, network: IpNetwork) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == network.is_ipv4())
    }
}

// === impl Neighbour ===

impl Neighbour {
    fn of(hop: &NextHop) -> Self {
        let link = hop.link();
        Self {
            address: hop.address().into(),
            interface: hop.interface(),
            mtu: hop.mtu(),
            mac: link.map(|link| link.destination),
            source_mac: link.map_or([0; 6], |link| link.source),
        }
    }
}

/// A network as the table of routes has it: bits of a 16-byte address, and that address.
pub(super) fn prefix_of(network: IpNetwork) -> (u32, IpAddress) {
    let mapped = if network.is_ipv4() { IpAddress::MAPPED_BITS } else { 0 };
    (mapped + u32::from(network.prefix()), network.network().into())
}

/// The network of a prefix; nothing for one that no network has.
pub(super) fn network_of(bits: u32, address: IpAddress) -> Option<IpNetwork> {
    let address = IpAddr::from(address);
    let mapped = if address.is_ipv4() { IpAddress::MAPPED_BITS } else { 0 };
    IpNetwork::new(address, u8::try_from(bits.checked_sub(mapped)?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_both_families_become_prefixes_and_networks_again() {
        for (text, bits) in [("10.244.1.0/24", 120), ("0.0.0.0/0", 96), ("fd00:10:244:1::/64", 64), ("::/0", 0)] {
            let network: IpNetwork = text.parse().unwrap();
            let (prefix, address) = prefix_of(network);
            assert_eq!((prefix, network_of(prefix, address)), (bits, Some(network)), "{text}");
        }
    }

    #[test]
    fn bits_of_the_address_beyond_the_prefix_do_not_count() {
        let of = |text: &str| prefix_of(text.parse().unwrap());
        assert_eq!(of("10.244.1.7/24"), of("10.244.1.0/24"));
    }
}
