//! Internet Protocol version 4 (RFC 791).

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Fragment, IpFamily, IpProtocol, Malformed, Network, PacketBytes};

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
    /// "More fragments follow", in the field that it shares with the offset.
    const MORE_FRAGMENTS: u16 = 0x2000;
    /// The fragment's offset in units of 8 bytes.
    const OFFSET: u16 = 0x1fff;

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
        let header: &Ipv4Header = bytes.read(offset).ok_or(Malformed::TruncatedIp)?;
        if header.version() != 4 {
            return Err(Malformed::BadIpVersion);
        }
        if header.header_length() < size_of::<Ipv4Header>() {
            return Err(Malformed::BadIpHeaderLength);
        }
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
        Ok(Network { header, protocol: header.protocol(), fragment: header.fragment(), transport, end })
    }

    #[inline(always)]
    fn source(header: &Ipv4Header) -> [u8; 4] {
        header.source()
    }

    #[inline(always)]
    fn destination(header: &Ipv4Header) -> [u8; 4] {
        header.destination()
    }
}
