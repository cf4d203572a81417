//! What a packet carries, as far as flows and their translation need to know it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Fragment, IpAddress, IpFamily, IpProtocol, Malformed, Network, PacketBytes, TcpFlags, Transport, Tuple};

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A part of a conversation.
    Conversation(Carried),
    /// An ICMP error, which quotes a packet in the other direction.
    IcmpError,
    /// A later fragment: whose it is, only the first one says.
    LaterFragment,
    /// Something without ports or what could stand for them.
    Other,
}

/// Ports, and where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The sender's port, in network order; of an echo request its identifier.
    pub source_port: [u8; 2],
    /// The receiver's port, in network order; of an echo reply its identifier.
    pub destination_port: [u8; 2],
    /// What kind of header it is.
    pub layer: Layer,
    /// TCP's flags.
    pub flags: Option<TcpFlags>,
}

/// The kinds of transport headers whose ports can be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// An ICMP or ICMPv6 echo request.
    EchoRequest,
    /// An ICMP or ICMPv6 echo reply.
    EchoReply,
    /// None in this packet: a later fragment.
    Absent,
}

/// Which end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
}

/// The first bytes of any transport header, and all of one that an ICMP error must quote (RFC 792).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Beginning {
    source: [u8; 2],
    destination: [u8; 2],
    rest: [u8; 4],
}

/// Types of ICMP messages (IANA).
mod icmp {
    pub(super) const ECHO_REPLY: u8 = 0;
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const ECHO_REQUEST: u8 = 8;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
}

/// Types of ICMPv6 messages (IANA); errors are those below 128.
mod icmpv6 {
    pub(super) const UNREACHABLE: u8 = 1;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
    pub(super) const ECHO_REQUEST: u8 = 128;
    pub(super) const ECHO_REPLY: u8 = 129;
    pub(super) const NEIGHBOUR_SOLICITATION: u8 = 135;
    pub(super) const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
}

// === impl Content ===

impl Content {
    /// Reads what `network` leads to.
    ///
    /// # Errors
    ///
    /// What is wrong with the transport header.
    #[inline(always)]
    pub fn parse<F: IpFamily, B: PacketBytes + ?Sized>(bytes: &B, network: &Network<'_, F>) -> Result<Self, Malformed> {
        if network.fragment == Fragment::Later {
            return Ok(Self::LaterFragment);
        }
        Ok(match Transport::parse(bytes, network)? {
            Transport::Tcp(header) => {
                let ports = (header.source().to_be_bytes(), header.destination().to_be_bytes());
                Self::conversation(ports, Layer::Tcp, Some(header.flags()))
            }
            Transport::Udp(header) => {
                let ports = (header.source().to_be_bytes(), header.destination().to_be_bytes());
                Self::conversation(ports, Layer::Udp, None)
            }
            Transport::Icmpv4(header) => Self::icmp(header.message_type(), header.rest()),
            Transport::Icmpv6(header) => Self::icmpv6(header.message_type(), header.rest()),
            Transport::Other => Self::Other,
            Transport::Absent => Self::LaterFragment,
        })
    }

    #[inline(always)]
    const fn conversation(ports: ([u8; 2], [u8; 2]), layer: Layer, flags: Option<TcpFlags>) -> Self {
        Self::Conversation(Carried { source_port: ports.0, destination_port: ports.1, layer, flags })
    }

    #[inline(always)]
    const fn icmp(message_type: u8, rest: [u8; 4]) -> Self {
        match message_type {
            icmp::ECHO_REQUEST => Self::Conversation(Carried::echo_request(rest)),
            icmp::ECHO_REPLY => Self::Conversation(Carried::echo_reply(rest)),
            icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM => Self::IcmpError,
            _ => Self::Other,
        }
    }

    #[inline(always)]
    const fn icmpv6(message_type: u8, rest: [u8; 4]) -> Self {
        match message_type {
            icmpv6::ECHO_REQUEST => Self::Conversation(Carried::echo_request(rest)),
            icmpv6::ECHO_REPLY => Self::Conversation(Carried::echo_reply(rest)),
            icmpv6::UNREACHABLE..=icmpv6::PARAMETER_PROBLEM => Self::IcmpError,
            _ => Self::Other,
        }
    }
}

/// Whether the packet resolves a neighbour's hardware address (RFC 4861): those who ask and answer have link-local
/// addresses, or none yet. A hop limit of 255 says that no router has passed it on.
#[inline(always)]
pub fn is_neighbour_discovery<F: IpFamily, B: PacketBytes + ?Sized>(bytes: &B, network: &Network<'_, F>) -> bool {
    if network.protocol != IpProtocol::ICMPV6 || network.fragment != Fragment::Whole || F::hops(network.header) != 255 {
        return false;
    }
    match Transport::parse(bytes, network) {
        Ok(Transport::Icmpv6(header)) => {
            matches!(header.message_type(), icmpv6::NEIGHBOUR_SOLICITATION | icmpv6::NEIGHBOUR_ADVERTISEMENT)
        }
        _ => false,
    }
}

// === impl Carried ===

impl Carried {
    #[inline(always)]
    const fn echo_request([high, low, ..]: [u8; 4]) -> Self {
        Self { source_port: [high, low], destination_port: [0; 2], layer: Layer::EchoRequest, flags: None }
    }

    #[inline(always)]
    const fn echo_reply([high, low, ..]: [u8; 4]) -> Self {
        Self { source_port: [0; 2], destination_port: [high, low], layer: Layer::EchoReply, flags: None }
    }

    /// The ports of a later fragment, which somebody has remembered.
    #[inline(always)]
    #[must_use]
    pub const fn remembered(source_port: [u8; 2], destination_port: [u8; 2]) -> Self {
        Self { source_port, destination_port, layer: Layer::Absent, flags: None }
    }

    /// Reads the transport header of a packet that an ICMP error quotes: its first 8 bytes are there.
    #[inline(always)]
    pub fn parse_quoted<F: IpFamily, B: PacketBytes + ?Sized>(bytes: &B, network: &Network<'_, F>) -> Option<Self> {
        if network.fragment == Fragment::Later || network.transport + size_of::<Beginning>() > network.end {
            return None;
        }
        let header: &Beginning = bytes.read(network.transport)?;
        let ports =
            |layer| Self { source_port: header.source, destination_port: header.destination, layer, flags: None };
        match network.protocol {
            IpProtocol::TCP => Some(ports(Layer::Tcp)),
            IpProtocol::UDP => Some(ports(Layer::Udp)),
            protocol if protocol == F::ICMP => {
                let message_type = header.source[0];
                let content = match protocol {
                    IpProtocol::ICMP => Content::icmp(message_type, header.rest),
                    _ => Content::icmpv6(message_type, header.rest),
                };
                match content {
                    Content::Conversation(carried) => Some(carried),
                    Content::IcmpError | Content::LaterFragment | Content::Other => None,
                }
            }
            _ => None,
        }
    }

    /// Who speaks to whom.
    #[inline(always)]
    #[must_use]
    pub const fn tuple(&self, source: IpAddress, destination: IpAddress, protocol: IpProtocol) -> Tuple {
        let (source_port, destination_port) = (self.source_port, self.destination_port);
        Tuple { source, destination, source_port, destination_port, protocol: protocol.0 }
    }

    /// The sender's port and the receiver's.
    #[inline(always)]
    #[must_use]
    pub const fn ports(&self) -> ([u8; 2], [u8; 2]) {
        (self.source_port, self.destination_port)
    }

    /// Whether this begins a conversation, and is not just a part of one.
    #[inline(always)]
    #[must_use]
    pub const fn opens(&self) -> bool {
        match (self.layer, self.flags) {
            (Layer::Tcp, Some(flags)) => flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK),
            (Layer::Udp | Layer::EchoRequest, _) => true,
            (Layer::Tcp | Layer::EchoReply | Layer::Absent, _) => false,
        }
    }

    /// Whether this may get an entry where there is none: all but what can only be an answer. A TCP connection whose
    /// entry is gone gets a new port, so that the other side refuses it and the pod need not wait.
    #[inline(always)]
    #[must_use]
    pub const fn may_begin(&self) -> bool {
        match (self.layer, self.flags) {
            (Layer::Tcp, Some(flags)) => {
                let is_answer = flags.contains(TcpFlags::SYN) && flags.contains(TcpFlags::ACK);
                !is_answer && !flags.contains(TcpFlags::RST)
            }
            (Layer::Udp | Layer::EchoRequest, _) => true,
            (Layer::Tcp | Layer::EchoReply | Layer::Absent, _) => false,
        }
    }

    /// The port of one end.
    #[inline(always)]
    #[must_use]
    pub const fn port(&self, end: End) -> [u8; 2] {
        match end {
            End::Source => self.source_port,
            End::Destination => self.destination_port,
        }
    }
}

// === impl Layer ===

impl Layer {
    /// Where the checksum is, from the header's first byte.
    #[inline(always)]
    #[must_use]
    pub const fn checksum(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
            Self::EchoRequest | Self::EchoReply | Self::Absent => 2,
        }
    }

    /// Where one end's port is, from the header's first byte. Echo messages have one identifier for both.
    #[inline(always)]
    #[must_use]
    pub const fn port(self, end: End) -> usize {
        match (self, end) {
            (Self::EchoRequest | Self::EchoReply, _) => 4,
            (Self::Tcp | Self::Udp | Self::Absent, End::Source) => 0,
            (Self::Tcp | Self::Udp | Self::Absent, End::Destination) => 2,
        }
    }
}

// === impl End ===

impl End {
    /// The other one.
    #[inline(always)]
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(flags: u8) -> Carried {
        Carried { source_port: [0, 1], destination_port: [0, 2], layer: Layer::Tcp, flags: Some(TcpFlags(flags)) }
    }

    #[test]
    fn only_a_first_packet_opens_and_no_answer_begins() {
        let udp = Carried { layer: Layer::Udp, flags: None, ..tcp(0) };
        for (name, carried, opens, begins) in [
            ("SYN", tcp(0x02), true, true),
            ("SYN and ACK", tcp(0x12), false, false),
            ("data", tcp(0x18), false, true),
            ("RST", tcp(0x14), false, false),
            ("a datagram", udp, true, true),
            ("an echo request", Carried::echo_request([0; 4]), true, true),
            ("an echo reply", Carried::echo_reply([0; 4]), false, false),
            ("a later fragment", Carried::remembered([0; 2], [0; 2]), false, false),
        ] {
            assert_eq!((carried.opens(), carried.may_begin()), (opens, begins), "{name}");
        }
    }

    #[test]
    fn an_echo_and_its_reply_are_one_conversation() {
        let (pod, host) = (IpAddress::v4([10, 0, 0, 1]), IpAddress::v4([10, 0, 0, 2]));
        let request = Carried::echo_request([1, 2, 0, 1]).tuple(pod, host, IpProtocol::ICMP);
        let reply = Carried::echo_reply([1, 2, 0, 1]).tuple(host, pod, IpProtocol::ICMP);
        assert_eq!(request.reversed(), reply);
    }
}
