//! Network interfaces and their addresses.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::str::FromStr;

use ipnetwork::IpNetwork;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage, State,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};
use serde::{Deserialize, Serialize};

use super::socket::{Netlink, NetlinkError, or_absent};

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MacAddress(pub [u8; 6]);

/// What the agent knows of a network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address, if it has one.
    pub mac: Option<MacAddress>,
    /// Its largest packet in bytes, without the Ethernet header.
    pub mtu: u32,
    /// Whether it was set up.
    pub is_up: bool,
    /// Whether it sends: it is up and its other end is there.
    pub is_active: bool,
    /// Whether it is one end of a veth pair.
    pub is_veth: bool,
    /// Whether it is the loopback interface.
    pub is_loopback: bool,
}

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Its name, at most 15 bytes.
    pub name: &'a str,
    /// Its Ethernet address.
    pub mac: MacAddress,
}

/// Longest alias in characters; the kernel takes 255 bytes.
const ALIAS: usize = 60;

// === impl Netlink ===

impl Netlink {
    /// Makes a veth pair: one end here, its peer directly in another namespace (to move it there costs the kernel two
    /// grace periods). Both are down.
    ///
    /// # Errors
    /// The kernel's refusal: a name is taken on either side, or the right is missing.
    pub fn add_veth(
        &mut self,
        here: VethEnd<'_>,
        peer: VethEnd<'_>,
        peer_namespace: BorrowedFd<'_>,
        mtu: u32,
    ) -> Result<(), NetlinkError> {
        let peer_message = LinkUnspec::new_with_name(peer.name)
            .address(peer.mac.0.to_vec())
            .mtu(mtu)
            .setns_by_fd(peer_namespace.as_raw_fd())
            .build();
        let message: LinkMessageBuilder<LinkVeth> = LinkVeth::new(here.name, peer.name)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer_message)))
            .address(here.mac.0.to_vec())
            .mtu(mtu);
        let what = || format!("add the veth pair {} and {}", here.name, peer.name);
        self.request(what, RouteNetlinkMessage::NewLink(message.build()), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// An interface by its name, if there is one.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, NetlinkError> {
        let message = LinkUnspec::new_with_name(name).build();
        let found = self.get(|| format!("look the interface {name} up"), RouteNetlinkMessage::GetLink(message))?;
        Ok(found.as_ref().and_then(link_of))
    }

    /// All interfaces.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let all = RouteNetlinkMessage::GetLink(LinkMessage::default());
        Ok(self.dump(|| "list the interfaces".to_owned(), &all)?.iter().filter_map(link_of).collect())
    }

    /// Gives an interface of the node's an alias, for people, and keeps the kernel from giving it an IPv6 address of
    /// its own: the node speaks with other addresses. Only before it is set up.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn describe_link(&mut self, index: u32, alias: &str) -> Result<(), NetlinkError> {
        let without_address = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let message = LinkUnspec::new_with_index(index)
            .alias(alias.chars().take(ALIAS).collect::<String>())
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![without_address]))
            .build();
        self.request(|| format!("describe the interface {index}"), RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_up(&mut self, index: u32) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.request(|| format!("set the interface {index} up"), RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Removes an interface by its name, with its peer if it is a veth, and with its routes and neighbours. One that is
    /// not there is no error.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete_link(&mut self, name: &str) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_name(name).build();
        or_absent(self.request(|| format!("delete the interface {name}"), RouteNetlinkMessage::DelLink(message), 0))
    }

    /// Gives an interface an address, usable at once (no duplicate address detection: the agent gives each out once).
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn add_address(&mut self, index: u32, address: IpNetwork) -> Result<(), NetlinkError> {
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.header.prefix_len = address.prefix();
        message.header.family = family_of(address.ip());
        if address.is_ipv6() {
            message.header.flags |= AddressHeaderFlags::Nodad;
        }
        message.attributes = vec![AddressAttribute::Local(address.ip()), AddressAttribute::Address(address.ip())];
        let what = || format!("add the address {address}");
        self.request(what, RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// All addresses with the interface that each is on.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn addresses(&mut self) -> Result<Vec<(u32, IpNetwork)>, NetlinkError> {
        let all = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        Ok(self.dump(|| "list the addresses".to_owned(), &all)?.iter().filter_map(address_of).collect())
    }
}

// === impl MacAddress ===

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs = text.split(':').map(|pair| u8::from_str_radix(pair, 16)).collect::<Result<Vec<_>, _>>();
        let bytes = pairs.ok().and_then(|pairs| pairs.try_into().ok());
        bytes.map(Self).ok_or_else(|| format!("{text:?} is no Ethernet address: write six pairs of digits"))
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for MacAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

pub(super) fn family_of(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

pub(super) fn link_of(message: &RouteNetlinkMessage) -> Option<Link> {
    let (RouteNetlinkMessage::NewLink(message) | RouteNetlinkMessage::DelLink(message)) = message else { return None };
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mac: None,
        mtu: 0,
        is_up: flags.contains(LinkFlags::Up),
        is_active: false,
        is_veth: false,
        is_loopback: flags.contains(LinkFlags::Loopback),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::OperState(state) => link.is_active = *state == State::Up,
            LinkAttribute::Address(bytes) => link.mac = bytes.as_slice().try_into().ok().map(MacAddress),
            LinkAttribute::LinkInfo(infos) => {
                link.is_veth = infos.iter().any(|info| matches!(info, LinkInfo::Kind(InfoKind::Veth)));
            }
            _ => {}
        }
    }
    Some(link)
}

fn address_of(message: &RouteNetlinkMessage) -> Option<(u32, IpNetwork)> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(found) => local = Some(*found),
            AddressAttribute::Address(found) => address = Some(*found),
            _ => {}
        }
    }
    let network = IpNetwork::new(local.or(address)?, message.header.prefix_len).ok()?;
    Some((message.header.index, network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ethernet_address_reads_as_it_is_written() {
        let mac: MacAddress = "02:0a:ff:00:1c:9d".parse().unwrap();
        assert_eq!(mac.to_string(), "02:0a:ff:00:1c:9d");
        for wrong in ["", "02:0a:ff:00:1c", "02:0a:ff:00:1c:9d:00", "02:0a:ff:00:1c:xx", "020aff001c9d"] {
            assert!(wrong.parse::<MacAddress>().is_err(), "{wrong}");
        }
    }
}
