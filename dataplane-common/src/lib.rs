//! What kernel programs and user space share: packet views, checksums, map layouts, drop reasons.
//!
//! Nothing here does I/O or allocates, so that one source serves the kernel, where the verifier proves every access,
//! and the host, where tests compare it with independent implementations. A packet is read only through
//! [`PacketBytes`]; everything above that trait is safe code.
//!
//! A frame is read in three steps, each of which is usable alone: [`Link`] (Ethernet and VLAN tags), [`Network`] (one
//! generic path over [`Ipv4`] and [`Ipv6`]), [`Transport`]. [`classify`] takes all three and names the result.
#![cfg_attr(not(test), no_std)]

mod address;
#[cfg(test)]
mod against_etherparse;
mod bytes;
mod carried;
mod checksum;
mod classify;
mod drop_reason;
mod ethernet;
mod event;
mod expired;
mod flow;
mod fragment;
mod ip;
mod ipv4;
mod ipv6;
mod maglev;
mod malformed;
mod masquerade;
mod outcome;
mod owner;
mod route;
mod service;
mod statistic;
mod traffic;
mod transport;
#[cfg(feature = "user")]
mod user;

pub use address::{IpAddress, LinkAddresses};
pub use bytes::{PacketBytes, Wire};
pub use carried::{Carried, Content, End, Layer, is_neighbour_discovery};
pub use checksum::{ChecksumUpdate, checksum};
pub use classify::classify;
pub use drop_reason::DropReason;
pub use ethernet::{EtherType, EthernetHeader, Link, VlanTag};
pub use event::{DropEvent, Hook};
pub use expired::Expired;
pub use flow::{Direction, FlowEntry, FlowKey, FlowKind, Tick, Tuple};
pub use fragment::{FragmentKey, FragmentPorts};
pub use ip::{Fragment, IpFamily, IpProtocol, Network};
pub use ipv4::{Ipv4, Ipv4Header};
pub use ipv6::{Ipv6, Ipv6Header};
pub use maglev::{MaglevBackend, MaglevWalk, fill_maglev, maglev_size};
pub use malformed::Malformed;
pub use masquerade::{Masquerade, PortCandidates};
pub use outcome::Outcome;
pub use owner::{Owner, OwnerKind};
pub use route::{NextHop, Route, RouteKind};
pub use service::{Backend, Frontend, FrontendKey, Row, Verdict};
pub use statistic::{Family, PacketCount, Protocol, Statistic};
pub use traffic::{Path, Traffic};
pub use transport::{Icmpv4Header, Icmpv6Header, TcpFlags, TcpHeader, Transport, UdpHeader};
/// Two bytes in network order, as header fields are.
pub use zerocopy::network_endian::U16;
