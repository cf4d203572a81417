//! The fabric: a bridge in a namespace of its own that joins nodes, server and client, and the wiring of hosts to it.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;

use crate::address::{Addresses, POD_GATEWAY_IPV4, POD_GATEWAY_IPV6, pod_networks, with_prefix};
use crate::host::Host;
use crate::link::{LinkError, Mtu, NextHop, VethEnd};
use crate::name::{ClusterName, HostName, Role};
use crate::namespace::{NamespaceError, NetworkNamespace};
use crate::offload::{Offload, OffloadError};

/// Name of the bridge, alone in its namespace.
const BRIDGE: &str = "fabric";

/// Settings of every namespace. A new namespace takes some of them over from the machine, others not; here all count.
const EVERY_HOST: [(&str, &str); 4] = [
    // Addresses can be used at once: nobody else is there to have the same.
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
];

/// Settings of a node beside those: it forwards for its pods.
const NODE: [(&str, &str); 2] = [("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")];

/// How real the packets on the uplinks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// As on a cable: every checksum is filled in and no packet is longer than the MTU. For tests of what is right.
    Wire,
    /// Checksum and segmentation offload on, as a veth comes. For throughput.
    Fast,
}

/// How hosts are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wiring {
    pub(crate) profile: Profile,
    pub(crate) mtu: Mtu,
}

/// Settings of the fabric: it is a switch and takes no part in the traffic, not even on ports that are on no bridge.
const FABRIC: [(&str, &str); 2] =
    [("net/ipv6/conf/default/disable_ipv6", "1"), ("net/ipv4/conf/default/arp_ignore", "8")];

/// The bridge and its namespace.
#[derive(Debug)]
pub(crate) struct Fabric {
    network: NetworkNamespace,
}

/// A connection that could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// A namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A link, address, route or neighbour.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// An offload.
    #[error(transparent)]
    Offload(#[from] OffloadError),
    /// A kernel setting.
    #[error("cannot set {setting} in {namespace}: {source}; is /proc/sys mounted for writing?")]
    Setting {
        /// Its name in sysctl(8)'s slashed form.
        setting: &'static str,
        /// The namespace.
        namespace: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

// === impl Profile ===

impl Profile {
    /// The offloads of an uplink.
    pub fn offload(self) -> Offload {
        match self {
            Self::Wire => Offload::OFF,
            Self::Fast => Offload::ON,
        }
    }
}

// === impl Fabric ===

impl Fabric {
    pub(crate) fn create(cluster: &ClusterName, mtu: Mtu) -> Result<Self, WiringError> {
        let network = new_network(&HostName::new(cluster, Role::Fabric))?;
        network.links(async |links| links.add_bridge(BRIDGE, mtu).await)?;
        Ok(Self { network })
    }

    pub(crate) fn open(cluster: &ClusterName) -> Result<Self, NamespaceError> {
        let name = HostName::new(cluster, Role::Fabric).to_string();
        Ok(Self { network: NetworkNamespace::open(name)? })
    }

    /// The bridge's namespace, where captures see all traffic between hosts.
    pub(crate) fn network(&self) -> &NetworkNamespace {
        &self.network
    }

    /// How a connected host is connected.
    pub(crate) fn wiring_of(&self, host: &HostName) -> Result<Wiring, WiringError> {
        let port = port_of(host);
        let mtu = self.network.links(async |links| links.mtu(&port).await)?;
        let offload = Offload::get(&self.network, &port)?;
        let profile = if offload == Offload::ON { Profile::Fast } else { Profile::Wire };
        Ok(Wiring { profile, mtu })
    }

    /// Joins a host to the bridge by a veth pair, and gives it its addresses.
    pub(crate) fn plug_in(&self, host: &Host, wiring: Wiring) -> Result<(), WiringError> {
        let (port, addresses, network) = (port_of(host.name()), host.addresses(), host.network());
        self.network.links(async |links| {
            let bridge = links.index(BRIDGE).await?;
            let here = VethEnd { name: &port, mac: addresses.peer_mac() };
            let peer = VethEnd { name: Host::UPLINK, mac: addresses.mac };
            links.add_veth(here, peer, network.as_fd(), wiring.mtu, Some(bridge)).await
        })?;
        let offload = wiring.profile.offload();
        offload.set(&self.network, &port)?;
        offload.set(&network, Host::UPLINK)?;
        network.links(async |links| {
            links.set_up(Host::UPLINK).await?;
            let uplink = links.index(Host::UPLINK).await?;
            links.add_address(uplink, with_prefix(addresses.ipv4.into(), 24)).await?;
            links.add_address(uplink, with_prefix(addresses.ipv6.into(), 64)).await
        })?;
        Ok(self.network.links(async |links| links.wait_until_active(&port).await)?)
    }

    /// Removes a host's veth pair, as if its cable were pulled. One that is gone is no error.
    pub(crate) fn unplug(&self, host: &HostName) -> Result<(), WiringError> {
        match self.network.links(async |links| links.delete(&port_of(host)).await) {
            Ok(()) | Err(LinkError::NoSuchLink { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Forwards for a host, or silently drops everything from and to it: its port stays up, on no bridge. (The port
    /// state "disabled" does the same until anything about the port changes, then the bridge enables it again.)
    pub(crate) fn set_connected(&self, host: &HostName, connected: bool) -> Result<(), WiringError> {
        Ok(self.network.links(async |links| {
            let bridge = if connected { Some(links.index(BRIDGE).await?) } else { None };
            links.set_controller(&port_of(host), bridge).await
        })?)
    }

    /// Changes the MTU of both ends of a host's uplink. The bridge's own MTU, the largest of all, stays.
    pub(crate) fn set_mtu(&self, host: &Host, mtu: Mtu) -> Result<(), WiringError> {
        let port = port_of(host.name());
        self.network.links(async |links| links.set_mtu(&port, mtu).await)?;
        Ok(host.network().links(async |links| links.set_mtu(Host::UPLINK, mtu).await)?)
    }
}

/// A namespace for a host, set up but for its links.
pub(crate) fn new_network(name: &HostName) -> Result<NetworkNamespace, WiringError> {
    // A node that boots again has left its old name behind.
    crate::namespace::remove(&name.to_string())?;
    let mut namespace = NetworkNamespace::create(name.to_string())?;
    // From here on its cluster removes it, by name.
    namespace.keep();
    let own_settings: &[_] = match name.role() {
        Role::Node(_) => &NODE,
        Role::Fabric => &FABRIC,
        Role::Server | Role::Client | Role::Pod { .. } => &[],
    };
    namespace
        .run(|| EVERY_HOST.iter().chain(own_settings).try_for_each(apply))?
        .map_err(|(setting, source)| WiringError::Setting { setting, namespace: name.to_string(), source })?;
    namespace.links(async |links| links.set_up("lo").await)?;
    Ok(namespace)
}

/// Joins a pod to its node. The pod routes everything to a gateway that is only a neighbour entry, and needs no subnet.
pub(crate) fn attach_pod(
    node: &NetworkNamespace,
    node_interface: &str,
    pod: &Host,
    wiring: Wiring,
) -> Result<(), WiringError> {
    let (addresses, pod_network) = (pod.addresses(), pod.network());
    node.links(async |links| {
        let here = VethEnd { name: node_interface, mac: addresses.peer_mac() };
        let peer = VethEnd { name: Host::UPLINK, mac: addresses.mac };
        links.add_veth(here, peer, pod_network.as_fd(), wiring.mtu, None).await?;
        let link = links.index(node_interface).await?;
        for address in addresses.ips() {
            links.add_route(with_prefix(address, full_length(address)), NextHop::Link(link)).await?;
            links.add_neighbour(link, address, addresses.mac).await?;
        }
        Ok(())
    })?;
    pod_network.links(async |links| {
        links.set_up(Host::UPLINK).await?;
        let uplink = links.index(Host::UPLINK).await?;
        for (address, gateway) in pod_routes(addresses) {
            links.add_address(uplink, with_prefix(address, full_length(address))).await?;
            links.add_neighbour(uplink, gateway, addresses.peer_mac()).await?;
            links.add_route(with_prefix(gateway, full_length(gateway)), NextHop::Link(uplink)).await?;
            let everywhere = if address.is_ipv4() { [0; 4].into() } else { IpAddr::from([0; 16]) };
            links.add_route(with_prefix(everywhere, 0), NextHop::Gateway(gateway, uplink)).await?;
        }
        Ok(())
    })?;
    Ok(node.links(async |links| links.wait_until_active(node_interface).await)?)
}

/// Routes from a node to the plain pods of other nodes.
pub(crate) fn route_to_pods(node: &NetworkNamespace, others: &[u8]) -> Result<(), WiringError> {
    if others.is_empty() {
        return Ok(());
    }
    Ok(node.links(async |links| {
        let uplink = links.index(Host::UPLINK).await?;
        for other in others {
            let gateways = Addresses::of(Role::Node(*other)).ips();
            for (pods, gateway) in pod_networks(*other).into_iter().zip(gateways) {
                links.add_route(pods, NextHop::Gateway(gateway, uplink)).await?;
            }
        }
        Ok(())
    })?)
}

/// A pod's addresses, each with the gateway of its family.
fn pod_routes(addresses: Addresses) -> [(IpAddr, IpAddr); 2] {
    [(addresses.ipv4.into(), POD_GATEWAY_IPV4.into()), (addresses.ipv6.into(), POD_GATEWAY_IPV6.into())]
}

fn full_length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Name of a host's port on the bridge.
fn port_of(host: &HostName) -> String {
    host.role().to_string()
}

/// Writes one setting of the calling thread's network namespace.
fn apply((setting, value): &(&'static str, &str)) -> Result<(), (&'static str, io::Error)> {
    std::fs::write(format!("/proc/sys/{setting}"), value).map_err(|error| (*setting, error))
}
