//! Ethernet and VLAN tags (IEEE 802.3, 802.1Q, 802.1ad).

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Malformed, PacketBytes};

/// The Ethernet header: 14 bytes, without preamble and checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EthernetHeader {
    destination: [u8; 6],
    source: [u8; 6],
    ethertype: U16,
}

const _: () = assert!(size_of::<EthernetHeader>() == 14);

/// A VLAN tag as it follows an EtherType of 0x8100 or 0x88a8: the tag's control bits and the next EtherType.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VlanTag {
    control: U16,
    ethertype: U16,
}

const _: () = assert!(size_of::<VlanTag>() == 4);

/// What a frame carries, as IEEE assigns the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

/// A frame's link layer: where the network header begins and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What the frame carries behind its VLAN tags.
    pub ethertype: EtherType,
    /// The offset of the network header: 14, 18 or 22.
    pub network: usize,
}

// === impl EthernetHeader ===

impl EthernetHeader {
    /// The receiver's hardware address.
    #[must_use]
    pub const fn destination(&self) -> [u8; 6] {
        self.destination
    }

    /// The sender's hardware address.
    #[must_use]
    pub const fn source(&self) -> [u8; 6] {
        self.source
    }

    /// What follows: a VLAN tag, or the frame's content.
    #[inline(always)]
    #[must_use]
    pub fn ethertype(&self) -> EtherType {
        EtherType(self.ethertype.get())
    }
}

// === impl VlanTag ===

impl VlanTag {
    /// The VLAN's number, 12 bits.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.control.get() & 0x0fff
    }

    /// What follows: a second tag, or the frame's content.
    #[inline(always)]
    #[must_use]
    pub fn ethertype(&self) -> EtherType {
        EtherType(self.ethertype.get())
    }
}

// === impl EtherType ===

impl EtherType {
    /// Internet Protocol version 4.
    pub const IPV4: Self = Self(0x0800);
    /// Internet Protocol version 6.
    pub const IPV6: Self = Self(0x86dd);
    /// Address Resolution Protocol.
    pub const ARP: Self = Self(0x0806);
    /// A customer's VLAN tag (802.1Q).
    pub const VLAN: Self = Self(0x8100);
    /// A provider's VLAN tag in front of the customer's (802.1ad, QinQ).
    pub const PROVIDER_VLAN: Self = Self(0x88a8);

    /// Whether a VLAN tag follows. The same two numbers as the kernel's `eth_type_vlan`.
    #[inline(always)]
    #[must_use]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::PROVIDER_VLAN)
    }
}

// === impl Link ===

impl Link {
    /// How many VLAN tags are read.
    const MAX_TAGS: usize = 2;

    /// Reads the Ethernet header and up to two VLAN tags.
    ///
    /// # Errors
    ///
    /// `TruncatedEthernet`, `TruncatedVlan` or `TooManyVlanTags`.
    #[inline(always)]
    pub fn parse<B: PacketBytes + ?Sized>(bytes: &B) -> Result<Self, Malformed> {
        let header: &EthernetHeader = bytes.read(0).ok_or(Malformed::TruncatedEthernet)?;
        let mut link = Self { ethertype: header.ethertype(), network: size_of::<EthernetHeader>() };
        for _ in 0..Self::MAX_TAGS {
            if !link.ethertype.is_vlan() {
                return Ok(link);
            }
            let tag: &VlanTag = bytes.read(link.network).ok_or(Malformed::TruncatedVlan)?;
            link = Self { ethertype: tag.ethertype(), network: link.network + size_of::<VlanTag>() };
        }
        if link.ethertype.is_vlan() { Err(Malformed::TooManyVlanTags) } else { Ok(link) }
    }
}
