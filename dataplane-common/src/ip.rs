//! What IPv4 and IPv6 have in common: one path over both, by type.

use crate::{IpAddress, Malformed, PacketBytes, Wire};

/// A version of the Internet Protocol. Code that is generic over it exists once and serves both.
pub trait IpFamily: Sized {
    /// The fixed part of the header.
    type Header: Wire;
    /// An address in network byte order.
    type Address: Wire + Copy + PartialEq;
    /// The protocol number of this family's ICMP.
    const ICMP: IpProtocol;

    /// Reads the network header at `offset`, options or extension headers included.
    ///
    /// # Errors
    ///
    /// What is wrong with the header.
    fn parse<B: PacketBytes + ?Sized>(bytes: &B, offset: usize) -> Result<Network<'_, Self>, Malformed>;

    /// Reads the network header at `offset` of a packet that an ICMP error quotes, of which only a part up to `end` is
    /// there. IPv6: extension headers other than a fragment header are not followed.
    ///
    /// # Errors
    ///
    /// What is wrong with the header.
    fn parse_quoted<B: PacketBytes + ?Sized>(
        bytes: &B,
        offset: usize,
        end: usize,
    ) -> Result<Network<'_, Self>, Malformed>;

    /// The sender's address.
    fn source(header: &Self::Header) -> Self::Address;

    /// The receiver's address.
    fn destination(header: &Self::Header) -> Self::Address;

    /// How many more routers may pass the packet on.
    fn hops(header: &Self::Header) -> u8;

    /// An address as map keys hold it.
    fn key(address: Self::Address) -> IpAddress;

    /// An address of a map key; meaningless if it is of the other family.
    fn address(key: IpAddress) -> Self::Address;

    /// Whether the address is that of several receivers.
    fn is_multicast(address: Self::Address) -> bool;

    /// Whether the address must not be on a wire because it stands for one of the other family.
    fn is_mapped(address: Self::Address) -> bool;
}

/// A packet's network layer, and where its transport layer lies.
#[derive(Debug)]
pub struct Network<'a, F: IpFamily> {
    /// The fixed part of the header.
    pub header: &'a F::Header,
    /// What the packet carries behind options and extension headers.
    pub protocol: IpProtocol,
    /// Which part of a packet this is.
    pub fragment: Fragment,
    /// What all fragments of a packet have in common; of a whole IPv6 packet 0.
    pub identification: u32,
    /// The offset of the transport header from the frame's first byte.
    pub transport: usize,
    /// The offset of the packet's end; what lies behind it in the frame is Ethernet's padding.
    pub end: usize,
}

/// What an IP packet carries, as IANA assigns the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpProtocol(pub u8);

/// Which part of its original a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// All of it. An IPv6 fragment header with offset 0 and no more fragments counts as that (RFC 6946).
    Whole,
    /// Its beginning, with the transport header.
    First,
    /// A later part, without transport header.
    Later,
}

// === impl IpProtocol ===

impl IpProtocol {
    /// Internet Control Message Protocol.
    pub const ICMP: Self = Self(1);
    /// Transmission Control Protocol.
    pub const TCP: Self = Self(6);
    /// User Datagram Protocol.
    pub const UDP: Self = Self(17);
    /// IPv6 routing header.
    pub const ROUTING: Self = Self(43);
    /// IPv6 fragment header.
    pub const FRAGMENT: Self = Self(44);
    /// Authentication header, an extension header of IPv6.
    pub const AUTHENTICATION: Self = Self(51);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// IPv6's "nothing follows".
    pub const NO_NEXT_HEADER: Self = Self(59);
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: Self = Self(60);
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: Self = Self(0);
}

// === impl Fragment ===

impl Fragment {
    /// From the offset, in any unit, and the "more fragments" bit.
    #[inline(always)]
    #[must_use]
    pub const fn new(offset: u16, more: bool) -> Self {
        match (offset, more) {
            (0, false) => Self::Whole,
            (0, true) => Self::First,
            (_, _) => Self::Later,
        }
    }
}
