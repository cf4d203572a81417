//! Internet Protocol version 6 (RFC 8200) with its extension headers.

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Fragment, IpAddress, IpFamily, IpProtocol, Malformed, Network, PacketBytes};

/// The family; it has no values.
#[derive(Debug)]
pub enum Ipv6 {}

/// The header without extension headers: 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6Header {
    version_class_label: U32,
    payload_length: U16,
    next_header: u8,
    hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}

const _: () = assert!(size_of::<Ipv6Header>() == 40);

/// The first bytes that every extension header has.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Extension {
    next_header: u8,
    length: u8,
}

/// The fragment header: 8 bytes (RFC 8200 section 4.5).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct FragmentHeader {
    next_header: u8,
    reserved: u8,
    offset_and_flags: U16,
    identification: U32,
}

const _: () = assert!(size_of::<FragmentHeader>() == 8);

/// A position in the chain of extension headers.
struct Chain {
    /// The header at `offset`.
    next: IpProtocol,
    offset: usize,
    /// What the fragment header said, once there was one.
    fragment: Option<Fragment>,
    identification: u32,
}

// === impl Ipv6Header ===

impl Ipv6Header {
    #[inline(always)]
    fn read<B: PacketBytes + ?Sized>(bytes: &B, offset: usize) -> Result<&Self, Malformed> {
        let header: &Self = bytes.read(offset).ok_or(Malformed::TruncatedIp)?;
        if header.version() == 6 { Ok(header) } else { Err(Malformed::BadIpVersion) }
    }

    #[inline(always)]
    fn network(&self, chain: Chain, end: usize) -> Network<'_, Ipv6> {
        Network {
            header: self,
            protocol: chain.next,
            fragment: chain.fragment.unwrap_or(Fragment::Whole),
            identification: chain.identification,
            transport: chain.offset,
            end,
        }
    }

    /// The version: 6, if this is IPv6 at all.
    #[inline(always)]
    #[must_use]
    pub fn version(&self) -> u8 {
        self.version_class_label.as_bytes()[0] >> 4
    }

    /// The length in bytes of everything behind this header, extension headers included.
    #[inline(always)]
    #[must_use]
    pub fn payload_length(&self) -> usize {
        usize::from(self.payload_length.get())
    }

    /// What follows this header: an extension header, or what the packet carries.
    #[inline(always)]
    #[must_use]
    pub const fn next_header(&self) -> IpProtocol {
        IpProtocol(self.next_header)
    }

    /// How many more routers may pass the packet on.
    #[inline(always)]
    #[must_use]
    pub const fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// The sender's address.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> [u8; 16] {
        self.source
    }

    /// The receiver's address.
    #[inline(always)]
    #[must_use]
    pub const fn destination(&self) -> [u8; 16] {
        self.destination
    }
}

// === impl FragmentHeader ===

impl FragmentHeader {
    /// Which part of its original the packet is.
    #[inline(always)]
    fn fragment(&self) -> Fragment {
        let field = self.offset_and_flags.get();
        Fragment::new(field & !7, field & 1 != 0)
    }
}

// === impl Ipv6 ===

impl Ipv6 {
    /// How many extension headers are followed: the recommended order of RFC 8200 has seven, one of them twice.
    pub const MAX_EXTENSIONS: usize = 8;
}

impl IpFamily for Ipv6 {
    type Header = Ipv6Header;
    type Address = [u8; 16];
    const ICMP: IpProtocol = IpProtocol::ICMPV6;

    /// A jumbogram (RFC 2675) has payload length 0 and reads as truncated: no link here carries one.
    #[inline(always)]
    fn parse<B: PacketBytes + ?Sized>(bytes: &B, offset: usize) -> Result<Network<'_, Self>, Malformed> {
        let header = Ipv6Header::read(bytes, offset)?;
        let start = offset + size_of::<Ipv6Header>();
        let end = start + header.payload_length();
        if !bytes.has(end) {
            return Err(Malformed::TruncatedIpPayload);
        }
        Ok(header.network(Chain::new(header, start).follow(bytes, end)?, end))
    }

    #[inline(always)]
    fn parse_quoted<B: PacketBytes + ?Sized>(
        bytes: &B,
        offset: usize,
        end: usize,
    ) -> Result<Network<'_, Self>, Malformed> {
        let header = Ipv6Header::read(bytes, offset)?;
        let mut chain = Chain::new(header, offset + size_of::<Ipv6Header>());
        if chain.next == IpProtocol::FRAGMENT {
            chain.enter_fragment(bytes, end)?;
        }
        Ok(header.network(chain, end))
    }

    #[inline(always)]
    fn source(header: &Ipv6Header) -> [u8; 16] {
        header.source()
    }

    #[inline(always)]
    fn destination(header: &Ipv6Header) -> [u8; 16] {
        header.destination()
    }

    #[inline(always)]
    fn hops(header: &Ipv6Header) -> u8 {
        header.hop_limit()
    }

    #[inline(always)]
    fn key(address: [u8; 16]) -> IpAddress {
        IpAddress::v6(address)
    }

    #[inline(always)]
    fn address(key: IpAddress) -> [u8; 16] {
        key.octets()
    }

    /// ff00::/8.
    #[inline(always)]
    fn is_multicast(address: [u8; 16]) -> bool {
        address[0] == 0xff
    }

    /// ::ffff:0:0/96.
    #[inline(always)]
    fn is_mapped(address: [u8; 16]) -> bool {
        u128::from_be_bytes(address) >> 32 == 0xffff
    }
}

// === impl Chain ===

impl Chain {
    #[inline(always)]
    const fn new(header: &Ipv6Header, offset: usize) -> Self {
        Self { next: header.next_header(), offset, fragment: None, identification: 0 }
    }

    /// Goes to the first header that is no extension header, or to the end of what a later fragment has.
    #[inline(always)]
    fn follow<B: PacketBytes + ?Sized>(mut self, bytes: &B, end: usize) -> Result<Self, Malformed> {
        for position in 0..Ipv6::MAX_EXTENSIONS {
            match self.next {
                IpProtocol::HOP_BY_HOP if position > 0 => return Err(Malformed::MisplacedExtension),
                IpProtocol::HOP_BY_HOP | IpProtocol::ROUTING | IpProtocol::DESTINATION_OPTIONS => {
                    self.skip(bytes, end, 8, 1)?;
                }
                IpProtocol::AUTHENTICATION => self.skip(bytes, end, 4, 2)?,
                IpProtocol::FRAGMENT => {
                    self.enter_fragment(bytes, end)?;
                    if self.fragment == Some(Fragment::Later) {
                        return Ok(self);
                    }
                }
                _ => return Ok(self),
            }
        }
        if self.is_extension() { Err(Malformed::TooManyExtensions) } else { Ok(self) }
    }

    /// Goes past an extension header of `unit * (length + bias)` bytes.
    #[inline(always)]
    fn skip<B: PacketBytes + ?Sized>(
        &mut self,
        bytes: &B,
        end: usize,
        unit: usize,
        bias: usize,
    ) -> Result<(), Malformed> {
        let extension: &Extension = bytes.read(self.offset).ok_or(Malformed::TruncatedExtension)?;
        self.advance(extension.next_header, unit * (usize::from(extension.length) + bias), end)
    }

    #[inline(always)]
    fn enter_fragment<B: PacketBytes + ?Sized>(&mut self, bytes: &B, end: usize) -> Result<(), Malformed> {
        if self.fragment.is_some() {
            return Err(Malformed::MisplacedExtension);
        }
        let header: &FragmentHeader = bytes.read(self.offset).ok_or(Malformed::TruncatedExtension)?;
        self.fragment = Some(header.fragment());
        self.identification = header.identification.get();
        self.advance(header.next_header, size_of::<FragmentHeader>(), end)
    }

    #[inline(always)]
    fn advance(&mut self, next_header: u8, length: usize, end: usize) -> Result<(), Malformed> {
        self.next = IpProtocol(next_header);
        self.offset += length;
        if self.offset > end { Err(Malformed::TruncatedExtension) } else { Ok(()) }
    }

    #[inline(always)]
    const fn is_extension(&self) -> bool {
        matches!(
            self.next,
            IpProtocol::HOP_BY_HOP
                | IpProtocol::ROUTING
                | IpProtocol::DESTINATION_OPTIONS
                | IpProtocol::AUTHENTICATION
                | IpProtocol::FRAGMENT
        )
    }
}
