//! Which interface leads to the network, and which addresses the node has.

use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::IpNetwork;

use crate::desired::UplinkFacts;
use crate::endpoint::INTERFACE_PREFIX;
use crate::netlink::{Link, Netlink, NetlinkError};

/// No uplink.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// The kernel's refusal.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The settings name an interface that is not there.
    #[error("the setting `uplink` names {0}, and the node has no such interface")]
    Missing(String),
    /// Nothing says which it is.
    #[error(
        "cannot tell which interface leads to the network: none has one of the node's addresses ({0}), and there is no \
         default route; name it in the setting `uplink`"
    )]
    Unknown(String),
}

/// Finds the uplink: the interface that the settings name, else the one with one of the node's own addresses, else that
/// of the default route.
///
/// # Errors
/// [`UplinkError`].
pub fn find(netlink: &mut Netlink, setting: Option<&str>, own: &[IpAddr]) -> Result<UplinkFacts, UplinkError> {
    let links = netlink.links()?;
    let addresses = netlink.addresses()?;
    let foreign = |link: &&Link| !link.is_loopback && !link.name.starts_with(INTERFACE_PREFIX);
    let by_index = |index: u32| links.iter().filter(foreign).find(|link| link.index == index);
    let found = match setting {
        Some(name) => {
            let named = links.iter().find(|link| link.name == name);
            Some(named.ok_or_else(|| UplinkError::Missing(name.to_owned()))?)
        }
        None => {
            let of_own = addresses.iter().filter(|(_, network)| own.contains(&network.ip()));
            of_own.filter_map(|(index, _)| by_index(*index)).next()
        }
    };
    let found = match found {
        Some(link) => link,
        None => by_default_route(netlink)?.and_then(by_index).ok_or_else(|| UplinkError::Unknown(list(own)))?,
    };
    Ok(facts(found, &links, &addresses))
}

fn by_default_route(netlink: &mut Netlink) -> Result<Option<u32>, NetlinkError> {
    for like in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
        if let Some(route) = netlink.default_route(like)? {
            return Ok(Some(route.interface));
        }
    }
    Ok(None)
}

fn facts(uplink: &Link, links: &[Link], addresses: &[(u32, IpNetwork)]) -> UplinkFacts {
    let is_pods = |index: u32| links.iter().any(|link| link.index == index && link.name.starts_with(INTERFACE_PREFIX));
    let spoken_to = addresses.iter().filter(|(index, network)| !is_pods(*index) && is_global(network.ip()));
    let mut own: Vec<IpAddr> = spoken_to.map(|(_, network)| network.ip()).collect();
    own.sort();
    own.dedup();
    let on_link = addresses.iter().filter(|(index, network)| *index == uplink.index && is_global(network.ip()));
    UplinkFacts {
        interface: uplink.index,
        name: uplink.name.clone(),
        mtu: uplink.mtu,
        mac: uplink.mac,
        networks: on_link.map(|(_, network)| *network).collect(),
        addresses: own,
    }
}

/// Whether others can speak to an address.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local() && address != Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local() && !address.is_unspecified(),
    }
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "it has none yet".to_owned();
    }
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}
