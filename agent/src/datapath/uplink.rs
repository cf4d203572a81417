//! The node's way to the network, and its own addresses.

use std::net::IpAddr;

use dataplane_common::{Hook, NextHop, Owner, OwnerKind, Route, RouteKind};
use ipnetwork::IpNetwork;

use super::node::{network_of, prefix_of};
use super::{Datapath, DatapathError};

/// The interface that leads to other nodes and outside, and who this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// The interface's index.
    pub interface: u32,
    /// The largest packet of the interface, in bytes.
    pub mtu: u16,
    /// Every address of this node, also those on other interfaces: packets to them go to the stack. Not the pods'
    /// gateway, and no loopback or link-local addresses.
    pub addresses: Vec<IpAddr>,
    /// The networks of this node's pods: an address in them that no pod has does not exist.
    pub pod_networks: Vec<IpNetwork>,
}

// === impl Datapath ===

impl Datapath {
    /// Attaches the program to the uplink and makes addresses and pod networks of this node those that are given.
    /// To be called again when any of it changes. An earlier uplink loses its program.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses.
    pub fn set_uplink(&mut self, uplink: &Uplink) -> Result<(), DatapathError> {
        let before = self.tables.next_hops.get(NextHop::OUTSIDE)?.interface();
        self.tables.next_hops.set(NextHop::OUTSIDE, NextHop::outside(uplink.interface, uplink.mtu))?;
        let ports = self.masquerade_ports()?;
        for address in &uplink.addresses {
            let owner = Owner::host(uplink.interface, ports);
            self.tables.owners.insert(&(*address).into(), &owner)?;
        }
        for (address, owner) in self.tables.owners.entries()? {
            if owner.kind() == Some(OwnerKind::Host) && !uplink.addresses.contains(&address.into()) {
                self.tables.owners.remove(&address)?;
            }
        }
        self.set_routes(RouteKind::Local, Route::local(), &uplink.pod_networks)?;
        self.attach(Hook::Uplink, uplink.interface)?;
        if before != 0 && before != uplink.interface {
            self.detach(before)?;
        }
        Ok(())
    }

    /// The uplink as the maps have it, nothing before [`set_uplink`](Self::set_uplink).
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses to read a map.
    pub fn uplink(&self) -> Result<Option<Uplink>, DatapathError> {
        let outside = self.tables.next_hops.get(NextHop::OUTSIDE)?;
        if outside.interface() == 0 {
            return Ok(None);
        }
        let owners = self.tables.owners.entries()?.into_iter();
        let hosts = owners.filter(|(_, owner)| owner.kind() == Some(OwnerKind::Host));
        let mut addresses: Vec<IpAddr> = hosts.map(|(address, _)| address.into()).collect();
        addresses.sort();
        let pod_networks = self.networks(RouteKind::Local)?;
        Ok(Some(Uplink { interface: outside.interface(), mtu: outside.mtu(), addresses, pod_networks }))
    }

    /// Makes `networks` the only routes of a kind.
    pub(super) fn set_routes(
        &mut self,
        kind: RouteKind,
        route: Route,
        networks: &[IpNetwork],
    ) -> Result<(), DatapathError> {
        for network in networks {
            let (bits, address) = prefix_of(*network);
            self.tables.routes.insert(bits, address, route)?;
        }
        let wanted: Vec<_> = networks.iter().map(|network| prefix_of(*network)).collect();
        for (bits, address, existing) in self.tables.routes.entries()? {
            if existing.kind() == Some(kind) && !wanted.contains(&(bits, address)) {
                self.tables.routes.remove(bits, address)?;
            }
        }
        Ok(())
    }

    /// The networks with routes of a kind, in order.
    pub(super) fn networks(&self, kind: RouteKind) -> Result<Vec<IpNetwork>, DatapathError> {
        let routes = self.tables.routes.entries()?.into_iter();
        let of_kind = routes.filter(|(_, _, route)| route.kind() == Some(kind));
        let mut networks: Vec<_> = of_kind.filter_map(|(bits, address, _)| network_of(bits, address)).collect();
        networks.sort();
        Ok(networks)
    }
}
