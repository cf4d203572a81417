//! Packets for tests, written as one reads them: `tcp("10.0.0.1:4000 -> 10.96.0.1:80").syn()`.
//!
//! A packet is described by layers; [`Packet::bytes`] makes the frame, with lengths and checksums right. What a test
//! wants wrong it says at the end: [`Packet::patch`], [`Packet::truncate`], [`Packet::pad`]. Nothing here shares code
//! with the parser under test; checksums are those of an independent crate.
//!
//! Bad descriptions panic with the place of the test, because a test cannot go on from them.
#![expect(clippy::panic, reason = "a test with a packet that cannot be described must stop")]

mod describe;
mod flow;
mod fragments;
mod network;
mod transport;

use std::net::IpAddr;

pub use describe::{describe, difference};
use flow::Flow;
use network::{Ipv4, Ipv6, Network};
use transport::{Icmp, Tcp, Transport};

/// A frame in the making. Two packets are equal if their bytes are; compare those.
#[derive(Clone, Debug)]
pub struct Packet {
    source_mac: [u8; 6],
    destination_mac: [u8; 6],
    /// EtherType and control bits of each VLAN tag, the outermost first.
    tags: Vec<(u16, u16)>,
    network: Network,
    transport: Transport,
    payload: Vec<u8>,
    faults: Vec<Fault>,
}

/// Where a patch is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The frame's first byte.
    Ethernet,
    /// The network header.
    Network,
    /// The transport header; without one, what the network header carries.
    Transport,
    /// The transport's data.
    Payload,
}

/// Something that a test wants wrong, in the order in which it was said.
#[derive(Clone, Debug)]
enum Fault {
    Patch(Layer, usize, Vec<u8>),
    Truncate(usize),
    Pad(usize),
}

/// The senders' and receivers' hardware addresses unless a test says otherwise: locally administered.
const SOURCE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const DESTINATION_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

/// EtherTypes of VLAN tags: a customer's (802.1Q) and a provider's (802.1ad).
const VLAN: u16 = 0x8100;
const PROVIDER_VLAN: u16 = 0x88a8;

/// A TCP segment without flags or data: `tcp("10.0.0.1:4000 -> 10.96.0.1:80")`, and `[fd00::1]:4000` for IPv6.
#[track_caller]
#[must_use]
pub fn tcp(flow: &str) -> Packet {
    let flow = Flow::with_ports(flow);
    Packet::new(&flow, Transport::Tcp(Tcp::new(flow.ports())))
}

/// An empty UDP datagram.
#[track_caller]
#[must_use]
pub fn udp(flow: &str) -> Packet {
    let flow = Flow::with_ports(flow);
    Packet::new(&flow, Transport::Udp { ports: flow.ports(), checksum: true })
}

/// An echo request, ICMP or ICMPv6 as the addresses say: `icmp("10.0.0.1 -> 10.0.0.2")`.
#[track_caller]
#[must_use]
pub fn icmp(flow: &str) -> Packet {
    let flow = Flow::without_ports(flow);
    Packet::new(&flow, Transport::Icmp(Icmp::echo_request(flow.is_ipv6())))
}

/// An IP packet of any protocol, which carries the payload as it is.
#[track_caller]
#[must_use]
pub fn ip(flow: &str, protocol: u8) -> Packet {
    Packet::new(&Flow::without_ports(flow), Transport::Raw(protocol))
}

/// A frame that is not IP, which carries the payload as it is.
#[must_use]
pub fn frame(ethertype: u16) -> Packet {
    Packet::over(Network::Other(ethertype), Transport::Raw(0))
}

// === impl Packet ===

impl Packet {
    fn new(flow: &Flow, transport: Transport) -> Self {
        let network = match (flow.source, flow.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Network::Ipv4(Ipv4::new(source, destination)),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Network::Ipv6(Ipv6::new(source, destination)),
            (_, _) => unreachable!("a flow has one family"),
        };
        Self::over(network, transport)
    }

    fn over(network: Network, transport: Transport) -> Self {
        Self {
            source_mac: SOURCE_MAC,
            destination_mac: DESTINATION_MAC,
            tags: Vec::new(),
            network,
            transport,
            payload: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// The sender's hardware address.
    #[must_use]
    pub fn from_mac(mut self, address: [u8; 6]) -> Self {
        self.source_mac = address;
        self
    }

    /// The receiver's hardware address.
    #[must_use]
    pub fn to_mac(mut self, address: [u8; 6]) -> Self {
        self.destination_mac = address;
        self
    }

    /// Adds a customer's VLAN tag (802.1Q) within those that are there.
    #[must_use]
    pub fn vlan(mut self, id: u16) -> Self {
        self.tags.push((VLAN, id));
        self
    }

    /// Adds a provider's VLAN tag (802.1ad) within those that are there: `.provider_vlan(7).vlan(8)` is QinQ.
    #[must_use]
    pub fn provider_vlan(mut self, id: u16) -> Self {
        self.tags.push((PROVIDER_VLAN, id));
        self
    }

    /// The data that the transport carries.
    #[must_use]
    pub fn payload(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.payload = bytes.as_ref().to_vec();
        self
    }

    /// Overwrites bytes of the finished frame, `offset` bytes into a layer; checksums and lengths are not adjusted.
    #[must_use]
    pub fn patch(mut self, layer: Layer, offset: usize, bytes: &[u8]) -> Self {
        self.faults.push(Fault::Patch(layer, offset, bytes.to_vec()));
        self
    }

    /// Cuts the finished frame to `length` bytes; the lengths in its headers still promise the rest.
    #[must_use]
    pub fn truncate(mut self, length: usize) -> Self {
        self.faults.push(Fault::Truncate(length));
        self
    }

    /// Pads the finished frame with zeros to `length` bytes, as Ethernet does to reach its minimum of 60.
    #[must_use]
    pub fn pad(mut self, length: usize) -> Self {
        self.faults.push(Fault::Pad(length));
        self
    }

    /// The frame.
    ///
    /// # Panics
    ///
    /// When a patch lies outside the frame or a length does not fit its field.
    #[track_caller]
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.sound_bytes();
        for fault in &self.faults {
            self.apply(fault, &mut bytes);
        }
        bytes
    }

    /// The offsets at which a header of the frame begins or ends, in order: where truncation is interesting.
    #[must_use]
    pub fn boundaries(&self) -> Vec<usize> {
        let mut boundaries: Vec<usize> = (0..=self.tags.len()).map(|tags| 14 + 4 * tags).collect();
        let network = self.offset_of(Layer::Network);
        boundaries.extend(self.network.boundaries().into_iter().map(|offset| network + offset));
        boundaries.push(self.offset_of(Layer::Payload));
        boundaries.dedup();
        boundaries
    }

    /// Where a layer begins in the frame.
    #[must_use]
    pub fn offset_of(&self, layer: Layer) -> usize {
        let network = 14 + 4 * self.tags.len();
        let transport = network + self.network.header_length();
        match layer {
            Layer::Ethernet => 0,
            Layer::Network => network,
            Layer::Transport => transport,
            Layer::Payload => transport + self.transport.header_length(),
        }
    }

    /// The frame before anything is made wrong.
    #[track_caller]
    fn sound_bytes(&self) -> Vec<u8> {
        let carried = self.transport.bytes(&self.network, &self.payload);
        let mut bytes = [self.destination_mac, self.source_mac].concat();
        for (ethertype, control) in &self.tags {
            bytes.extend(ethertype.to_be_bytes());
            bytes.extend(control.to_be_bytes());
        }
        bytes.extend(self.network.ethertype().to_be_bytes());
        bytes.extend(self.network.bytes(self.protocol(), &carried));
        bytes
    }

    /// The number of what the network layer carries.
    fn protocol(&self) -> u8 {
        self.transport.protocol(&self.network)
    }

    #[track_caller]
    fn apply(&self, fault: &Fault, bytes: &mut Vec<u8>) {
        match fault {
            Fault::Truncate(length) => bytes.truncate(*length),
            Fault::Pad(length) => bytes.resize(bytes.len().max(*length), 0),
            Fault::Patch(layer, offset, patch) => {
                let start = self.offset_of(*layer) + offset;
                let length = bytes.len();
                let Some(place) = bytes.get_mut(start..start + patch.len()) else {
                    panic!("a patch of {} bytes at {start} lies outside the frame of {length}", patch.len());
                };
                place.copy_from_slice(patch);
            }
        }
    }
}

#[cfg(test)]
mod tests;
