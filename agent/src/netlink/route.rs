//! Routes. The agent's own are marked, so that it finds them again and touches no others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::link::family_of;
use super::socket::{Netlink, NetlinkError, or_absent};

/// Who has made a route, by rtnetlink(7)'s `rtm_protocol`: a number that no routing daemon uses. `ip route show proto
/// 83` lists the agent's.
pub const ROUTE_PROTOCOL: u8 = 83;

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// What it leads to.
    pub destination: IpNetwork,
    /// The neighbour that packets are given to; none when the destination is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The interface that packets leave by.
    pub interface: u32,
    /// The address that the node speaks with along it; none leaves it to the kernel.
    pub source: Option<IpAddr>,
}

// === impl Netlink ===

impl Netlink {
    /// Adds a route, or changes the one to the same destination, and marks it as the agent's.
    ///
    /// # Errors
    /// The kernel's refusal: above all a gateway that is not on a link.
    pub fn set_route(&mut self, route: &Route) -> Result<(), NetlinkError> {
        let what = || format!("set the route {route}");
        self.request(what, RouteNetlinkMessage::NewRoute(message(route)), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes a route. One that is not there is no error.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete_route(&mut self, route: &Route) -> Result<(), NetlinkError> {
        let what = || format!("delete the route {route}");
        or_absent(self.request(what, RouteNetlinkMessage::DelRoute(message(route)), 0))
    }

    /// The routes that the agent has made.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn own_routes(&mut self) -> Result<Vec<Route>, NetlinkError> {
        Ok(self.routes()?.into_iter().filter(|(protocol, _)| *protocol == ROUTE_PROTOCOL).map(|(_, it)| it).collect())
    }

    /// All unicast routes of the main table that have one next hop, whoever has made them.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn all_routes(&mut self) -> Result<Vec<Route>, NetlinkError> {
        Ok(self.routes()?.into_iter().map(|(_, route)| route).collect())
    }

    /// The interface and gateway of the default route of a family, of the lowest metric.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn default_route(&mut self, like: IpAddr) -> Result<Option<Route>, NetlinkError> {
        let routes = self.routes()?.into_iter().map(|(_, route)| route);
        // The kernel lists routes to the same destination from the lowest metric on.
        Ok(routes
            .into_iter()
            .find(|route| route.destination.prefix() == 0 && route.destination.ip().is_ipv4() == like.is_ipv4()))
    }

    fn routes(&mut self) -> Result<Vec<(u8, Route)>, NetlinkError> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut all = RouteMessage::default();
            all.header.address_family = family;
            let answers = self.dump(|| "list the routes".to_owned(), &RouteNetlinkMessage::GetRoute(all))?;
            found.extend(answers.iter().filter_map(route_of));
        }
        Ok(found)
    }
}

// === impl Route ===

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "to {}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        write!(f, " by interface {}", self.interface)
    }
}

fn message(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(route.destination.ip());
    message.header.destination_prefix_length = route.destination.prefix();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
    message.header.kind = RouteType::Unicast;
    // IPv6 has no scopes of routes and ignores this.
    message.header.scope = if route.gateway.is_some() { RouteScope::Universe } else { RouteScope::Link };
    if route.destination.prefix() > 0 {
        message.attributes.push(RouteAttribute::Destination(address(route.destination.network())));
    }
    if let Some(gateway) = route.gateway {
        message.attributes.push(RouteAttribute::Gateway(address(gateway)));
    }
    if let Some(source) = route.source {
        message.attributes.push(RouteAttribute::PrefSource(address(source)));
    }
    message.attributes.push(RouteAttribute::Oif(route.interface));
    message
}

fn route_of(message: &RouteNetlinkMessage) -> Option<(u8, Route)> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    if message.header.table != RouteHeader::RT_TABLE_MAIN || message.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut destination, mut gateway, mut interface, mut source) = (None, None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(found) => destination = ip(found),
            RouteAttribute::Gateway(found) => gateway = ip(found),
            RouteAttribute::PrefSource(found) => source = ip(found),
            RouteAttribute::Oif(found) => interface = Some(*found),
            _ => {}
        }
    }
    let everywhere = match message.header.address_family {
        AddressFamily::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let prefix = message.header.destination_prefix_length;
    let destination = IpNetwork::new(destination.unwrap_or(everywhere), prefix).ok()?;
    Some((u8::from(message.header.protocol), Route { destination, gateway, interface: interface?, source }))
}

fn address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}
