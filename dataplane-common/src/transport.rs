//! TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792) and ICMPv6 (RFC 4443).

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Fragment, IpFamily, IpProtocol, Malformed, Network, PacketBytes, Wire};

/// The TCP header without options: 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TcpHeader {
    source: U16,
    destination: U16,
    sequence: U32,
    acknowledgement: U32,
    data_offset: u8,
    flags: u8,
    window: U16,
    checksum: U16,
    urgent: U16,
}

const _: () = assert!(size_of::<TcpHeader>() == 20);

/// The eight flag bits of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

/// The UDP header: 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct UdpHeader {
    source: U16,
    destination: U16,
    length: U16,
    checksum: U16,
}

const _: () = assert!(size_of::<UdpHeader>() == 8);

/// The part of an ICMP message that all types share: 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Icmpv4Header {
    message_type: u8,
    code: u8,
    checksum: U16,
    rest: [u8; 4],
}

const _: () = assert!(size_of::<Icmpv4Header>() == 8);

/// The part of an ICMPv6 message that all types share: 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Icmpv6Header {
    message_type: u8,
    code: u8,
    checksum: U16,
    rest: [u8; 4],
}

const _: () = assert!(size_of::<Icmpv6Header>() == 8);

/// A packet's transport layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// TCP; its options are within the packet.
    Tcp(&'a TcpHeader),
    /// UDP; its length fits the packet.
    Udp(&'a UdpHeader),
    /// ICMP in IPv4.
    Icmpv4(&'a Icmpv4Header),
    /// ICMPv6 in IPv6.
    Icmpv6(&'a Icmpv6Header),
    /// A protocol that is not read further.
    Other,
    /// A fragment that has no transport header.
    Absent,
}

// === impl Transport ===

impl<'a> Transport<'a> {
    /// Reads the transport header that `network` leads to.
    ///
    /// # Errors
    ///
    /// What is wrong with the header.
    #[inline(always)]
    pub fn parse<F: IpFamily, B: PacketBytes + ?Sized>(
        bytes: &'a B,
        network: &Network<'_, F>,
    ) -> Result<Self, Malformed> {
        if network.fragment == Fragment::Later {
            return Ok(Self::Absent);
        }
        match network.protocol {
            IpProtocol::TCP => TcpHeader::parse(bytes, network).map(Self::Tcp),
            IpProtocol::UDP => UdpHeader::parse(bytes, network).map(Self::Udp),
            IpProtocol::ICMP if F::ICMP == IpProtocol::ICMP => read_within(bytes, network).map(Self::Icmpv4),
            IpProtocol::ICMPV6 if F::ICMP == IpProtocol::ICMPV6 => read_within(bytes, network).map(Self::Icmpv6),
            _ => Ok(Self::Other),
        }
    }
}

/// Reads a transport header that must end before the packet does; Ethernet's padding is not the packet's.
#[inline(always)]
fn read_within<'a, T: Wire, F: IpFamily, B: PacketBytes + ?Sized>(
    bytes: &'a B,
    network: &Network<'_, F>,
) -> Result<&'a T, Malformed> {
    if network.transport + size_of::<T>() > network.end {
        return Err(Malformed::TruncatedTransport);
    }
    bytes.read(network.transport).ok_or(Malformed::TruncatedTransport)
}

// === impl TcpHeader ===

impl TcpHeader {
    #[inline(always)]
    fn parse<'a, F: IpFamily, B: PacketBytes + ?Sized>(
        bytes: &'a B,
        network: &Network<'_, F>,
    ) -> Result<&'a Self, Malformed> {
        let header: &Self = read_within(bytes, network)?;
        if header.header_length() < size_of::<Self>() {
            return Err(Malformed::BadTcpHeaderLength);
        }
        if network.transport + header.header_length() > network.end {
            return Err(Malformed::TruncatedTransport);
        }
        Ok(header)
    }

    /// The sender's port.
    #[inline(always)]
    #[must_use]
    pub fn source(&self) -> u16 {
        self.source.get()
    }

    /// The receiver's port.
    #[inline(always)]
    #[must_use]
    pub fn destination(&self) -> u16 {
        self.destination.get()
    }

    /// The number of the segment's first byte.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.sequence.get()
    }

    /// The number of the next byte that the sender expects.
    #[must_use]
    pub fn acknowledgement(&self) -> u32 {
        self.acknowledgement.get()
    }

    /// The header's length in bytes, options included: 20 to 60 in a valid header.
    #[inline(always)]
    #[must_use]
    pub const fn header_length(&self) -> usize {
        (self.data_offset >> 4) as usize * 4
    }

    /// The flags.
    #[inline(always)]
    #[must_use]
    pub const fn flags(&self) -> TcpFlags {
        TcpFlags(self.flags)
    }

    /// The checksum over pseudo header, header and data.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }
}

// === impl TcpFlags ===

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// A connection begins.
    pub const SYN: Self = Self(0x02);
    /// The connection is refused or broken.
    pub const RST: Self = Self(0x04);
    /// Data that the receiver should pass on at once.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number is valid.
    pub const ACK: Self = Self(0x10);

    /// Whether all bits of `other` are set.
    #[inline(always)]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

// === impl UdpHeader ===

impl UdpHeader {
    /// A first fragment's length field speaks of the whole datagram, so that only its lower bound can be checked.
    #[inline(always)]
    fn parse<'a, F: IpFamily, B: PacketBytes + ?Sized>(
        bytes: &'a B,
        network: &Network<'_, F>,
    ) -> Result<&'a Self, Malformed> {
        let header: &Self = read_within(bytes, network)?;
        let too_long = network.fragment == Fragment::Whole && network.transport + header.length() > network.end;
        if header.length() < size_of::<Self>() || too_long {
            return Err(Malformed::BadUdpLength);
        }
        Ok(header)
    }

    /// The sender's port.
    #[inline(always)]
    #[must_use]
    pub fn source(&self) -> u16 {
        self.source.get()
    }

    /// The receiver's port.
    #[inline(always)]
    #[must_use]
    pub fn destination(&self) -> u16 {
        self.destination.get()
    }

    /// The length in bytes of header and data.
    #[inline(always)]
    #[must_use]
    pub fn length(&self) -> usize {
        usize::from(self.length.get())
    }

    /// The checksum over pseudo header, header and data; 0 in IPv4 means "none".
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }
}

// === impl Icmpv4Header ===

impl Icmpv4Header {
    /// What kind of message this is.
    #[inline(always)]
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        self.message_type
    }

    /// What variant of it.
    #[inline(always)]
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// The checksum over the message.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// The four bytes whose meaning depends on the type.
    #[inline(always)]
    #[must_use]
    pub const fn rest(&self) -> [u8; 4] {
        self.rest
    }
}

// === impl Icmpv6Header ===

impl Icmpv6Header {
    /// What kind of message this is.
    #[inline(always)]
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        self.message_type
    }

    /// What variant of it.
    #[inline(always)]
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// The checksum over pseudo header and message.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// The four bytes whose meaning depends on the type.
    #[inline(always)]
    #[must_use]
    pub const fn rest(&self) -> [u8; 4] {
        self.rest
    }
}
