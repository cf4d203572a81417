//! Internet Protocol version 4 (RFC 791).

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{ChecksumUpdate, Fragment, IpAddress, IpFamily, IpProtocol, Malformed, Network, PacketBytes};

/// The family; it has no values.
#[derive(Debug)]
pub enum Ipv4 {}

/// The header without options: 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv4Header {
    version_and_length: u8,
    traffic_class: u8,
    total_length: U16,
    identification: U16,
    flags_and_offset: U16,
    time_to_live: u8,
    protocol: u8,
    checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
}

const _: () = assert!(size_of::<Ipv4Header>() == 20);

// === impl Ipv4Header ===

impl Ipv4Header {
    /// "Don't fragment", in the field that it shares with the offset.
    const DONT_FRAGMENT: u16 = 0x4000;
    /// "More fragments follow", in the field that it shares with the offset.
    const MORE_FRAGMENTS: u16 = 0x2000;
    /// The fragment's offset in units of 8 bytes.
    const OFFSET: u16 = 0x1fff;

    /// Reads a header and checks what everything else builds on: its version and its own length.
    #[inline(always)]
    fn read<B: PacketBytes + ?Sized>(bytes: &B, offset: usize) -> Result<&Self, Malformed> {
        let header: &Self = bytes.read(offset).ok_or(Malformed::TruncatedIp)?;
        if header.version() != 4 {
            return Err(Malformed::BadIpVersion);
        }
        if header.header_length() < size_of::<Self>() {
            return Err(Malformed::BadIpHeaderLength);
        }
        Ok(header)
    }

    #[inline(always)]
    fn network(&self, transport: usize, end: usize) -> Network<'_, Ipv4> {
        let identification = u32::from(self.identification.get());
        Network { header: self, protocol: self.protocol(), fragment: self.fragment(), identification, transport, end }
    }

    /// The version: 4, if this is IPv4 at all.
    #[inline(always)]
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version_and_length >> 4
    }

    /// The header's length in bytes, options included: 20 to 60 in a valid header.
    #[inline(always)]
    #[must_use]
    pub const fn header_length(&self) -> usize {
        (self.version_and_length & 0x0f) as usize * 4
    }

    /// The packet's length in bytes, header included.
    #[inline(always)]
    #[must_use]
    pub fn total_length(&self) -> usize {
        usize::from(self.total_length.get())
    }

    /// The number that a packet's fragments share.
    #[must_use]
    pub fn identification(&self) -> u16 {
        self.identification.get()
    }

    /// Which part of its original this packet is.
    #[inline(always)]
    #[must_use]
    pub fn fragment(&self) -> Fragment {
        let field = self.flags_and_offset.get();
        Fragment::new(field & Self::OFFSET, field & Self::MORE_FRAGMENTS != 0)
    }

    /// How many more routers may pass the packet on.
    #[inline(always)]
    #[must_use]
    pub const fn time_to_live(&self) -> u8 {
        self.time_to_live
    }

    /// What the packet carries.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        IpProtocol(self.protocol)
    }

    /// The header's checksum.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// The bytes 8 to 11, time to live to checksum, of this header when a router passes it on.
    #[inline(always)]
    #[must_use]
    pub fn passed_on(&self) -> [u8; 4] {
        let (old, new) = ([self.time_to_live, self.protocol], [self.time_to_live.wrapping_sub(1), self.protocol]);
        let [high, low] = ChecksumUpdate::new().replace(old, new).apply(self.checksum).get().to_be_bytes();
        [new[0], new[1], high, low]
    }

    /// The bytes 6 and 7, flags and offset, and the checksum of this header with "don't fragment" set.
    #[inline(always)]
    #[must_use]
    pub fn unfragmentable(&self) -> ([u8; 2], [u8; 2]) {
        let old = self.flags_and_offset.get();
        let (old, new) = (old.to_be_bytes(), (old | Self::DONT_FRAGMENT).to_be_bytes());
        (new, ChecksumUpdate::new().replace(old, new).apply(self.checksum).get().to_be_bytes())
    }

    /// The checksum of this header with one address replaced.
    #[inline(always)]
    #[must_use]
    pub fn checksum_with(&self, old: [u8; 4], new: [u8; 4]) -> [u8; 2] {
        ChecksumUpdate::new().replace(old, new).apply(self.checksum).get().to_be_bytes()
    }

    /// The sender's address.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> [u8; 4] {
        self.source
    }

    /// The receiver's address.
    #[inline(always)]
    #[must_use]
    pub const fn destination(&self) -> [u8; 4] {
        self.destination
    }
}

// === impl Ipv4 ===

impl IpFamily for Ipv4 {
    type Header = Ipv4Header;
    type Address = [u8; 4];
    const ICMP: IpProtocol = IpProtocol::ICMP;

    #[inline(always)]
    fn parse<B: PacketBytes + ?Sized>(bytes: &B, offset: usize) -> Result<Network<'_, Self>, Malformed> {
        let header = Ipv4Header::read(bytes, offset)?;
        let transport = offset + header.header_length();
        if !bytes.has(transport) {
            return Err(Malformed::TruncatedIpOptions);
        }
        if header.total_length() < header.header_length() {
            return Err(Malformed::BadIpLength);
        }
        let end = offset + header.total_length();
        if !bytes.has(end) {
            return Err(Malformed::TruncatedIpPayload);
        }
        Ok(header.network(transport, end))
    }

    #[inline(always)]
    fn parse_quoted<B: PacketBytes + ?Sized>(
        bytes: &B,
        offset: usize,
        end: usize,
    ) -> Result<Network<'_, Self>, Malformed> {
        let header = Ipv4Header::read(bytes, offset)?;
        Ok(header.network(offset + header.header_length(), end))
    }

    #[inline(always)]
    fn source(header: &Ipv4Header) -> [u8; 4] {
        header.source()
    }

    #[inline(always)]
    fn destination(header: &Ipv4Header) -> [u8; 4] {
        header.destination()
    }

    #[inline(always)]
    fn hops(header: &Ipv4Header) -> u8 {
        header.time_to_live()
    }

    #[inline(always)]
    fn key(address: [u8; 4]) -> IpAddress {
        IpAddress::v4(address)
    }

    #[inline(always)]
    fn address(key: IpAddress) -> [u8; 4] {
        key.last_four()
    }

    /// 224.0.0.0/4 and the broadcast address.
    #[inline(always)]
    fn is_multicast(address: [u8; 4]) -> bool {
        address[0] & 0xf0 == 0xe0 || address == [255; 4]
    }

    #[inline(always)]
    fn is_mapped(_: [u8; 4]) -> bool {
        false
    }
}
