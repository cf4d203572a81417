//! A pod's interface pair: made, taken away, compared.
//!
//! ```text
//!   pod                                     node
//!   eth0  10.244.1.5/32, fd00:...:5/128     shv...  no address
//!   default via 169.254.1.1 / fe80::1       10.244.1.5 dev shv..., and a static neighbour for it
//!   static neighbour for the gateway
//! ```
//!
//! The pod has nothing on its link but a gateway that is on no interface: a static neighbour entry gives it the Ethernet
//! address of the node's end. So nobody asks (ARP, neighbour discovery) and nobody has to answer, a pod needs no subnet,
//! and the node's end needs no address. Programs stand at the node's end before it is set up: a pod never sends a
//! packet that they do not see.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;

use crate::endpoint::{Endpoint, gateway_for};
use crate::namespace::run_in;
use crate::netlink::{Link, Netlink, NetlinkError, Route, VethEnd};

/// How long the kernel gets to activate a new pair. It takes a few milliseconds on a queue of its own; what is sent
/// before is dropped without a word.
const ACTIVATION: Duration = Duration::from_secs(5);

/// What all pairs of the node have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// Largest packet in bytes.
    pub mtu: u32,
    /// With which address the node speaks to its pods, at most one of each family.
    pub sources: Vec<IpAddr>,
}

/// A pair could not be made or taken away.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The kernel's refusal.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The pod's namespace could not be entered.
    #[error("cannot enter the network namespace {path}: {source}")]
    Enter {
        /// Its path.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The pod has an interface of that name.
    #[error("the container has an interface {0} already: it was attached before, or by another plugin")]
    InterfaceExists(String),
    /// The pair was made and is gone.
    #[error("the interface {0} went while it was set up: did its container end?")]
    Gone(String),
    /// The pair does not send.
    #[error("the interface {name} is up and yet sends nothing after {} seconds", ACTIVATION.as_secs())]
    NotActive {
        /// Its name.
        name: String,
    },
}

/// Makes the pair, both ends down. What is left of an earlier one with the same name is removed first. Gives the index
/// of the node's end.
///
/// # Errors
/// [`WiringError`]; then nothing of it is there.
pub fn make_pair(endpoint: &Endpoint, namespace: BorrowedFd<'_>, mtu: u32) -> Result<u32, WiringError> {
    let mut netlink = Netlink::open()?;
    let name = &endpoint.host_interface;
    netlink.delete_link(name)?;
    let here = VethEnd { name, mac: endpoint.host_mac };
    let peer = VethEnd { name: &endpoint.attachment.interface, mac: endpoint.pod_mac };
    match netlink.add_veth(here, peer, namespace, mtu) {
        Err(error) if error.is_presence() => Err(WiringError::InterfaceExists(endpoint.attachment.interface.clone())),
        Err(error) => Err(error.into()),
        Ok(()) => match netlink.link(name)? {
            Some(link) => Ok(link.index),
            None => Err(WiringError::Gone(name.clone())),
        },
    }
}

/// Sets both ends up, with addresses, neighbours and routes, and waits until they send.
///
/// # Errors
/// [`WiringError`]; the caller removes the pair.
pub fn set_up(
    endpoint: &Endpoint,
    namespace: BorrowedFd<'_>,
    interface: u32,
    common: &Common,
) -> Result<(), WiringError> {
    let mut netlink = Netlink::open()?;
    netlink.describe_link(interface, &endpoint.name())?;
    netlink.set_up(interface)?;
    set_host_routes(&mut netlink, endpoint, interface, common)?;
    let inside = run_in(namespace, || set_up_inside(endpoint));
    inside.map_err(|source| WiringError::Enter { path: endpoint.namespace.clone(), source })??;
    wait_until_active(&mut netlink, &endpoint.host_interface)
}

/// Neighbours and routes from the node to a pod. They can be set again, also with others.
///
/// # Errors
/// The kernel's refusal.
pub fn set_host_routes(
    netlink: &mut Netlink,
    endpoint: &Endpoint,
    interface: u32,
    common: &Common,
) -> Result<(), NetlinkError> {
    for address in &endpoint.addresses {
        netlink.set_neighbour(interface, *address, endpoint.pod_mac)?;
        netlink.set_route(&host_route(*address, interface, common))?;
    }
    Ok(())
}

/// The node's route to one of its pods.
pub fn host_route(address: IpAddr, interface: u32, common: &Common) -> Route {
    let source = common.sources.iter().copied().find(|source| source.is_ipv4() == address.is_ipv4());
    Route { destination: address.into(), gateway: None, interface, source }
}

/// Removes the pair by the name of the node's end; addresses, neighbours and routes go with it. One that is gone is no
/// error.
///
/// # Errors
/// The kernel's refusal.
pub fn remove_pair(host_interface: &str) -> Result<(), NetlinkError> {
    Netlink::open()?.delete_link(host_interface)
}

/// What is not as [`set_up`] left it, in words; nothing when all is well.
///
/// # Errors
/// [`WiringError`] when it cannot be found out.
pub fn differences(endpoint: &Endpoint, namespace: BorrowedFd<'_>) -> Result<Vec<String>, WiringError> {
    let mut found = Vec::new();
    let mut netlink = Netlink::open()?;
    match netlink.link(&endpoint.host_interface)? {
        None => found.push(format!("the node has no interface {}", endpoint.host_interface)),
        Some(link) => {
            if !link.is_up {
                found.push(format!("the node's interface {} is down", link.name));
            }
            let routes = netlink.own_routes()?;
            for address in &endpoint.addresses {
                let leads_to_it =
                    |route: &Route| route.destination == IpNetwork::from(*address) && route.interface == link.index;
                if !routes.iter().any(leads_to_it) {
                    found.push(format!("the node has no route to {address} by {}", link.name));
                }
            }
        }
    }
    let inside = run_in(namespace, || differences_inside(endpoint));
    found.extend(inside.map_err(|source| WiringError::Enter { path: endpoint.namespace.clone(), source })??);
    Ok(found)
}

fn set_up_inside(endpoint: &Endpoint) -> Result<(), WiringError> {
    let mut netlink = Netlink::open()?;
    let name = &endpoint.attachment.interface;
    let link = netlink.link(name)?.ok_or_else(|| WiringError::Gone(name.clone()))?;
    netlink.set_up(link.index)?;
    for address in &endpoint.addresses {
        let gateway = gateway_for(*address);
        netlink.add_address(link.index, (*address).into())?;
        netlink.set_neighbour(link.index, gateway, endpoint.host_mac)?;
        for route in pod_routes(gateway, link.index) {
            netlink.set_route(&route)?;
        }
    }
    Ok(())
}

fn differences_inside(endpoint: &Endpoint) -> Result<Vec<String>, NetlinkError> {
    let mut netlink = Netlink::open()?;
    let name = &endpoint.attachment.interface;
    let Some(link) = netlink.link(name)? else { return Ok(vec![format!("the container has no interface {name}")]) };
    let mut found = Vec::new();
    if !link.is_up {
        found.push(format!("the container's interface {name} is down"));
    }
    if link.mac != Some(endpoint.pod_mac) {
        found.push(format!("the container's interface {name} has not the Ethernet address {}", endpoint.pod_mac));
    }
    let (addresses, routes) = (netlink.addresses()?, netlink.all_routes()?);
    for address in &endpoint.addresses {
        if !addresses.contains(&(link.index, (*address).into())) {
            found.push(format!("the container's interface {name} has not the address {address}"));
        }
        for route in pod_routes(gateway_for(*address), link.index) {
            if !routes.contains(&route) {
                found.push(format!("the container has no route {route}"));
            }
        }
    }
    Ok(found)
}

/// The routes of a pod in one family: the gateway is on the link, everything else behind it.
fn pod_routes(gateway: IpAddr, interface: u32) -> [Route; 2] {
    let everywhere = match gateway {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let everywhere = IpNetwork::new(everywhere, 0).unwrap_or_else(|_| everywhere.into());
    [
        Route { destination: gateway.into(), gateway: None, interface, source: None },
        Route { destination: everywhere, gateway: Some(gateway), interface, source: None },
    ]
}

fn wait_until_active(netlink: &mut Netlink, name: &str) -> Result<(), WiringError> {
    let deadline = Instant::now() + ACTIVATION;
    loop {
        match netlink.link(name)? {
            Some(Link { is_active: true, .. }) => return Ok(()),
            Some(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_micros(500)),
            Some(_) => return Err(WiringError::NotActive { name: name.to_owned() }),
            None => return Err(WiringError::Gone(name.to_owned())),
        }
    }
}
