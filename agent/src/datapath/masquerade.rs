//! Under which address pods speak to the outside.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use dataplane_common::{IpAddress, Masquerade, Owner, OwnerKind, Route, RouteKind};
use ipnetwork::IpNetwork;

use super::{Datapath, DatapathError};

/// What is masqueraded, and as what. A destination is outside when it is no node and in no pod network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masquerading {
    /// The address of IPv4 packets; without one they keep the pod's.
    pub ipv4: Option<Ipv4Addr>,
    /// The address of IPv6 packets; without one they keep the pod's.
    pub ipv6: Option<Ipv6Addr>,
    /// Ports and echo identifiers that are used. No socket of the node and no NodePort may have one of them.
    pub ports: RangeInclusive<u16>,
    /// Destinations outside that know a way to pods and see their own addresses.
    pub exclusions: Vec<IpNetwork>,
}

/// Keys of the map: the families by their version.
const IPV4: u32 = 4;
const IPV6: u32 = 6;

// === impl Datapath ===

impl Datapath {
    /// Makes the masquerade what is given. Flows that are under way stay as they are.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses.
    pub fn set_masquerade(&mut self, masquerading: &Masquerading) -> Result<(), DatapathError> {
        let ports = (*masquerading.ports.start(), *masquerading.ports.end());
        // First the answers, or the first of them would go to the node.
        self.set_answer_ports(ports)?;
        let addresses = [
            (IPV4, masquerading.ipv4.map(|address| IpAddress::v4(address.octets()))),
            (IPV6, masquerading.ipv6.map(|address| IpAddress::v6(address.octets()))),
        ];
        self.set_routes(RouteKind::Direct, Route::direct(), &masquerading.exclusions)?;
        for (family, address) in addresses {
            match address {
                Some(address) => {
                    let masquerade = Masquerade::new(address, ports.0, ports.1);
                    self.tables.masquerade.insert(&family, &masquerade)?;
                }
                None => self.tables.masquerade.remove(&family)?,
            }
        }
        Ok(())
    }

    /// The masquerade as the maps have it, nothing where there is none.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses to read a map.
    pub fn masquerade(&self) -> Result<Option<Masquerading>, DatapathError> {
        let (ipv4, ipv6) = (self.tables.masquerade.get(&IPV4)?, self.tables.masquerade.get(&IPV6)?);
        let Some((first, last)) = ipv4.or(ipv6).map(|masquerade| masquerade.ports()) else { return Ok(None) };
        Ok(Some(Masquerading {
            ipv4: ipv4.and_then(|masquerade| masquerade.address().as_v4()).map(Ipv4Addr::from),
            ipv6: ipv6.map(|masquerade| Ipv6Addr::from(masquerade.address().octets())),
            ports: first..=last,
            exclusions: self.networks(RouteKind::Direct)?,
        }))
    }

    /// The ports at which this node takes answers to pods.
    pub(super) fn masquerade_ports(&self) -> Result<(u16, u16), DatapathError> {
        Ok(self.masquerade()?.map_or((0, 0), |masquerade| (*masquerade.ports.start(), *masquerade.ports.end())))
    }

    fn set_answer_ports(&mut self, ports: (u16, u16)) -> Result<(), DatapathError> {
        for (address, owner) in self.tables.owners.entries()? {
            if owner.kind() == Some(OwnerKind::Host) {
                self.tables.owners.insert(&address, &Owner::host(owner.interface(), ports))?;
            }
        }
        Ok(())
    }
}
