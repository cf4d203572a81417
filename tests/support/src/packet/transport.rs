//! The transport layer of a test packet: TCP, UDP, ICMP, ICMPv6, or bytes as they are.

use super::network::{Network, sixteen_bits};
use super::{Layer, Packet};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// What an IP packet carries.
#[derive(Clone, Debug)]
pub(super) enum Transport {
    Tcp(Tcp),
    Udp {
        ports: (u16, u16),
        /// Whether a checksum is computed; without, the field is 0.
        checksum: bool,
    },
    Icmp(Icmp),
    /// The payload as it is, with this protocol number.
    Raw(u8),
}

/// A TCP header; data offset and checksum are computed.
#[derive(Clone, Debug)]
pub(super) struct Tcp {
    ports: (u16, u16),
    sequence: u32,
    acknowledgement: u32,
    flags: u8,
    window: u16,
    options: Vec<u8>,
}

/// The part of an ICMP or ICMPv6 message that all types share; the checksum is computed.
#[derive(Clone, Debug)]
pub(super) struct Icmp {
    message_type: u8,
    code: u8,
    rest: [u8; 4],
}

// === impl Packet ===

impl Packet {
    /// Sets TCP's SYN.
    #[track_caller]
    #[must_use]
    pub fn syn(self) -> Self {
        self.flags(0x02)
    }

    /// Sets TCP's ACK.
    #[track_caller]
    #[must_use]
    pub fn ack(self) -> Self {
        self.flags(0x10)
    }

    /// Sets TCP's FIN.
    #[track_caller]
    #[must_use]
    pub fn fin(self) -> Self {
        self.flags(0x01)
    }

    /// Sets TCP's RST.
    #[track_caller]
    #[must_use]
    pub fn rst(self) -> Self {
        self.flags(0x04)
    }

    /// Sets TCP's PSH.
    #[track_caller]
    #[must_use]
    pub fn psh(self) -> Self {
        self.flags(0x08)
    }

    /// Sets these of TCP's eight flag bits, besides those that are set.
    #[track_caller]
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.tcp().flags |= flags;
        self
    }

    /// TCP's sequence number.
    #[track_caller]
    #[must_use]
    pub fn sequence(mut self, number: u32) -> Self {
        self.tcp().sequence = number;
        self
    }

    /// TCP's acknowledgement number.
    #[track_caller]
    #[must_use]
    pub fn acknowledgement(mut self, number: u32) -> Self {
        self.tcp().acknowledgement = number;
        self
    }

    /// TCP's maximum segment size option.
    #[track_caller]
    #[must_use]
    pub fn mss(self, bytes: u16) -> Self {
        let [high, low] = bytes.to_be_bytes();
        self.tcp_options(&[2, 4, high, low])
    }

    /// TCP's options, padded with "end of options" to whole words; at most 40 bytes.
    #[track_caller]
    #[must_use]
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        assert!(options.len() <= 40, "TCP has room for 40 bytes of options, not {}", options.len());
        let mut padded = options.to_vec();
        padded.resize(options.len().next_multiple_of(4), 0);
        self.tcp().options = padded;
        self
    }

    /// Sends UDP without a checksum: the field is 0, which IPv4 allows.
    #[track_caller]
    #[must_use]
    pub fn no_checksum(mut self) -> Self {
        match &mut self.transport {
            Transport::Udp { checksum, .. } => *checksum = false,
            Transport::Tcp(_) | Transport::Icmp(_) | Transport::Raw(_) => panic!("only UDP goes without a checksum"),
        }
        self
    }

    /// Makes the ICMP message an echo request with this identifier and sequence number.
    #[track_caller]
    #[must_use]
    pub fn echo_request(self, identifier: u16, sequence: u16) -> Self {
        let (v4, v6) = (8, 128);
        self.echo(v4, v6, identifier, sequence)
    }

    /// Makes the ICMP message an echo reply with this identifier and sequence number.
    #[track_caller]
    #[must_use]
    pub fn echo_reply(self, identifier: u16, sequence: u16) -> Self {
        let (v4, v6) = (0, 129);
        self.echo(v4, v6, identifier, sequence)
    }

    /// Makes the ICMP message a "destination unreachable" with this code. Codes differ between the families.
    #[track_caller]
    #[must_use]
    pub fn unreachable(self, code: u8) -> Self {
        let message_type = if self.is_ipv6() { 1 } else { 3 };
        self.icmp_message(message_type, code, [0; 4])
    }

    /// Makes the ICMP message a "time exceeded in transit".
    #[track_caller]
    #[must_use]
    pub fn time_exceeded(self) -> Self {
        let message_type = if self.is_ipv6() { 3 } else { 11 };
        self.icmp_message(message_type, 0, [0; 4])
    }

    /// Makes the ICMP message tell the link's MTU: IPv4's "fragmentation needed", IPv6's "packet too big".
    #[track_caller]
    #[must_use]
    pub fn too_big(self, mtu: u16) -> Self {
        let (message_type, code) = if self.is_ipv6() { (2, 0) } else { (3, 4) };
        self.icmp_message(message_type, code, u32::from(mtu).to_be_bytes())
    }

    /// Makes the ICMP message any type and code, with the four bytes whose meaning depends on them.
    #[track_caller]
    #[must_use]
    pub fn icmp_message(mut self, message_type: u8, code: u8, rest: [u8; 4]) -> Self {
        match &mut self.transport {
            Transport::Icmp(icmp) => *icmp = Icmp { message_type, code, rest },
            Transport::Tcp(_) | Transport::Udp { .. } | Transport::Raw(_) => panic!("only ICMP has messages"),
        }
        self
    }

    /// Quotes the packet that an ICMP error is about: its network header and what follows, `limit` bytes in all. IPv4
    /// demands the header and 8 bytes (RFC 792), IPv6 as much as fits into 1280 (RFC 4443).
    #[track_caller]
    #[must_use]
    pub fn quoting(self, packet: &Self, limit: usize) -> Self {
        let bytes = packet.bytes();
        let quoted = &bytes[packet.offset_of(Layer::Network)..];
        self.payload(&quoted[..quoted.len().min(limit)])
    }

    #[track_caller]
    fn echo(self, v4: u8, v6: u8, identifier: u16, sequence: u16) -> Self {
        let message_type = if self.is_ipv6() { v6 } else { v4 };
        let [[a, b], [c, d]] = [identifier.to_be_bytes(), sequence.to_be_bytes()];
        self.icmp_message(message_type, 0, [a, b, c, d])
    }

    const fn is_ipv6(&self) -> bool {
        matches!(self.network, Network::Ipv6(_))
    }

    #[track_caller]
    fn tcp(&mut self) -> &mut Tcp {
        match &mut self.transport {
            Transport::Tcp(tcp) => tcp,
            Transport::Udp { .. } | Transport::Icmp(_) | Transport::Raw(_) => panic!("only TCP has this"),
        }
    }
}

// === impl Transport ===

impl Transport {
    pub(super) const fn protocol(&self, network: &Network) -> u8 {
        match (self, network) {
            (Self::Tcp(_), _) => TCP,
            (Self::Udp { .. }, _) => UDP,
            (Self::Icmp(_), Network::Ipv6(_)) => ICMPV6,
            (Self::Icmp(_), _) => ICMP,
            (Self::Raw(protocol), _) => *protocol,
        }
    }

    pub(super) const fn header_length(&self) -> usize {
        match self {
            Self::Tcp(tcp) => 20 + tcp.options.len(),
            Self::Udp { .. } | Self::Icmp(_) => 8,
            Self::Raw(_) => 0,
        }
    }

    /// Header and data, with the checksum over both and the pseudo header where there is one.
    #[track_caller]
    pub(super) fn bytes(&self, network: &Network, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::Tcp(tcp) => with_checksum(tcp.bytes(payload), 16, network, TCP),
            Self::Udp { ports, checksum } => {
                let bytes = udp(*ports, payload);
                if *checksum { with_checksum(bytes, 6, network, UDP) } else { bytes }
            }
            Self::Icmp(icmp) => with_checksum(icmp.bytes(payload), 2, network, self.protocol(network)),
            Self::Raw(_) => payload.to_vec(),
        }
    }
}

fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = ports.0.to_be_bytes().to_vec();
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend(sixteen_bits(8 + payload.len()).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

/// Fills in the checksum at `position`, where `bytes` have 0. A UDP checksum of 0 is sent as 0xffff (RFC 768).
#[track_caller]
fn with_checksum(mut bytes: Vec<u8>, position: usize, network: &Network, protocol: u8) -> Vec<u8> {
    let sum = match protocol {
        ICMP => etherparse::checksum::Sum16BitWords::new(),
        _ => network.pseudo_header(protocol, bytes.len()),
    };
    let sum = sum.add_slice(&bytes);
    // The crate sums bytes as they lie in memory.
    let checksum = if protocol == UDP { sum.to_ones_complement_with_no_zero() } else { sum.ones_complement() };
    bytes[position..position + 2].copy_from_slice(&checksum.to_ne_bytes());
    bytes
}

// === impl Tcp ===

impl Tcp {
    pub(super) const fn new(ports: (u16, u16)) -> Self {
        Self { ports, sequence: 0, acknowledgement: 0, flags: 0, window: 0xffff, options: Vec::new() }
    }

    #[track_caller]
    fn bytes(&self, payload: &[u8]) -> Vec<u8> {
        let words = sixteen_bits((20 + self.options.len()) / 4).to_be_bytes()[1];
        let mut bytes = self.ports.0.to_be_bytes().to_vec();
        bytes.extend(self.ports.1.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgement.to_be_bytes());
        bytes.extend([words << 4, self.flags]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.options);
        bytes.extend(payload);
        bytes
    }
}

// === impl Icmp ===

impl Icmp {
    pub(super) const fn echo_request(is_ipv6: bool) -> Self {
        Self { message_type: if is_ipv6 { 128 } else { 8 }, code: 0, rest: [0, 1, 0, 1] }
    }

    fn bytes(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![self.message_type, self.code, 0, 0];
        bytes.extend(self.rest);
        bytes.extend(payload);
        bytes
    }
}
