//! Neighbours: which Ethernet address an IP address of a link has.

use std::net::IpAddr;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteProtocol, RouteType};

use super::link::{MacAddress, family_of};
use super::route::ROUTE_PROTOCOL;
use super::socket::{Netlink, NetlinkError, or_absent};

/// A neighbour, as far as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neighbour {
    /// The interface that it is reached by.
    pub interface: u32,
    /// Its IP address.
    pub address: IpAddr,
    /// Its Ethernet address; none while the kernel asks for it or nobody answers.
    pub mac: Option<MacAddress>,
    /// Whether the agent has the kernel keep it known.
    pub is_managed: bool,
}

// === impl Netlink ===

impl Netlink {
    /// Names a neighbour's Ethernet address for good, so that nobody has to ask for it.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_neighbour(&mut self, interface: u32, address: IpAddr, mac: MacAddress) -> Result<(), NetlinkError> {
        let mut message = message(interface, address, NeighbourState::Permanent);
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        let what = || format!("set the neighbour {address} of the interface {interface} to {mac}");
        self.request(what, RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Has the kernel find a neighbour's Ethernet address out and keep it known, whether or not packets go to it by the
    /// stack (`NTF_EXT_MANAGED`, kernel 5.16); below that it is found out once. The answer comes as an event.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn manage_neighbour(&mut self, interface: u32, address: IpAddr) -> Result<(), NetlinkError> {
        let mut message = message(interface, address, NeighbourState::None);
        message.header.flags = NeighbourFlags::Use;
        message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::from(ROUTE_PROTOCOL)));
        let mut managed = message.clone();
        managed.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
        let what = || format!("look for the neighbour {address} at the interface {interface}");
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.request(what, RouteNetlinkMessage::NewNeighbour(managed), flags)
            .or_else(|_| self.request(what, RouteNetlinkMessage::NewNeighbour(message), flags))
    }

    /// Removes a neighbour. One that is not there is no error.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn forget_neighbour(&mut self, interface: u32, address: IpAddr) -> Result<(), NetlinkError> {
        let message = message(interface, address, NeighbourState::None);
        let what = || format!("forget the neighbour {address} at the interface {interface}");
        or_absent(self.request(what, RouteNetlinkMessage::DelNeighbour(message), 0))
    }

    /// The neighbours that the kernel knows or looks for.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>, NetlinkError> {
        let all = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        Ok(self.dump(|| "list the neighbours".to_owned(), &all)?.iter().filter_map(neighbour_of).collect())
    }
}

fn message(interface: u32, address: IpAddr, state: NeighbourState) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family_of(address);
    message.header.ifindex = interface;
    message.header.state = state;
    message.header.kind = RouteType::Unicast;
    let destination = match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    };
    message.attributes.push(NeighbourAttribute::Destination(destination));
    message
}

pub(super) fn neighbour_of(message: &RouteNetlinkMessage) -> Option<Neighbour> {
    let (message, gone) = match message {
        RouteNetlinkMessage::NewNeighbour(message) => (message, false),
        RouteNetlinkMessage::DelNeighbour(message) => (message, true),
        _ => return None,
    };
    let (mut address, mut mac, mut is_managed) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(found)) => address = Some(IpAddr::from(*found)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(found)) => address = Some(IpAddr::from(*found)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok().map(MacAddress),
            NeighbourAttribute::Protocol(protocol) => is_managed = u8::from(*protocol) == ROUTE_PROTOCOL,
            _ => {}
        }
    }
    let unknown =
        matches!(message.header.state, NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::None);
    let mac = mac.filter(|_| !gone && !unknown);
    Some(Neighbour { interface: message.header.ifindex, address: address?, mac, is_managed })
}
