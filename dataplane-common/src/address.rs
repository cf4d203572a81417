//! Addresses as map keys hold them: one form for both families.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// An IPv4 or IPv6 address: 16 bytes in network order, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2).
///
/// One form serves both families, so that each table exists once. A mapped address never comes from the wire: the
/// programs drop IPv6 packets that carry one (RFC 4942 section 2.2), or IPv6 could speak for IPv4.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct IpAddress([u8; 16]);

const _: () = assert!(size_of::<IpAddress>() == 16);

/// The two hardware addresses of an Ethernet header, as they lie in it: the first 12 bytes of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LinkAddresses {
    /// The receiver's.
    pub destination: [u8; 6],
    /// The sender's.
    pub source: [u8; 6],
}

const _: () = assert!(size_of::<LinkAddresses>() == 12);

// === impl IpAddress ===

impl IpAddress {
    /// The prefix `::ffff:0:0/96`.
    const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

    /// How many bits of a mapped address come before the IPv4 address.
    pub const MAPPED_BITS: u32 = 96;

    /// Nobody's address: `::`.
    pub const UNSPECIFIED: Self = Self([0; 16]);

    /// An IPv4 address in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v4(address: [u8; 4]) -> Self {
        let [a, b, c, d] = address;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// An IPv6 address in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v6(address: [u8; 16]) -> Self {
        Self(address)
    }

    /// The 16 bytes in network order.
    #[inline(always)]
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        self.0
    }

    /// The 16 bytes in network order, where they lie.
    #[inline(always)]
    #[must_use]
    pub const fn as_octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// The last four bytes, where they lie: of a mapped address, the IPv4 address.
    #[inline(always)]
    #[must_use]
    pub fn as_last_four(&self) -> &[u8; 4] {
        let (_, last) = self.0.split_last_chunk::<4>().unwrap_or((&[], &[0; 4]));
        last
    }

    /// The IPv4 address, if this is one.
    #[must_use]
    pub fn as_v4(self) -> Option<[u8; 4]> {
        let (prefix, address) = self.0.split_first_chunk::<12>()?;
        if *prefix == Self::MAPPED { address.try_into().ok() } else { None }
    }

    /// The last four bytes: of a mapped address, the IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn last_four(self) -> [u8; 4] {
        let [.., a, b, c, d] = self.0;
        [a, b, c, d]
    }
}

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address.octets()),
            IpAddr::V6(address) => Self::v6(address.octets()),
        }
    }
}

impl From<IpAddress> for IpAddr {
    fn from(address: IpAddress) -> Self {
        match address.as_v4() {
            Some(octets) => Self::V4(Ipv4Addr::from(octets)),
            None => Self::V6(Ipv6Addr::from(address.0)),
        }
    }
}

impl fmt::Debug for IpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for IpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&IpAddr::from(*self), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_go_in_and_come_out() {
        for text in ["10.244.1.2", "0.0.0.0", "255.255.255.255", "fd00::1", "::", "::1", "::ffff:0:0:1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(IpAddress::from(address)), address, "{text}");
        }
    }

    #[test]
    fn an_ipv4_address_lies_at_the_end_behind_96_bits() {
        let address = IpAddress::v4([10, 0, 0, 1]);
        assert_eq!(address.last_four(), [10, 0, 0, 1]);
        assert_eq!(address.to_string(), "10.0.0.1");
        assert_eq!(IpAddress::MAPPED_BITS as usize, 8 * IpAddress::MAPPED.len());
    }
}
