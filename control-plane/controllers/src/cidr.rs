//! Ranges of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses in CIDR notation, such as `10.244.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

/// A text that is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a CIDR such as 10.244.0.0/16 or fd00:10:244::/56")]
pub struct InvalidCidr {
    text: String,
}

// === impl Cidr ===

impl Cidr {
    /// The range of all addresses with the first `length` bits of `address`.
    pub(crate) fn new(address: IpAddr, length: u8) -> Self {
        Self { address: prefix(address, length), length }
    }

    /// Its first address.
    pub(crate) fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses have in common.
    pub(crate) fn length(self) -> u8 {
        self.length
    }

    /// Whether it is an IPv6 range.
    pub fn is_ipv6(self) -> bool {
        self.address.is_ipv6()
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        let length = self.length.min(other.length);
        self.is_ipv6() == other.is_ipv6() && prefix(self.address, length) == prefix(other.address, length)
    }

    /// The number of bits of an address of its family.
    pub(crate) fn width(self) -> u8 {
        if self.is_ipv6() { 128 } else { 32 }
    }

    /// How many addresses it has, at most `u128::MAX`.
    pub(crate) fn size(self) -> u128 {
        1u128.checked_shl(u32::from(self.width() - self.length)).unwrap_or(u128::MAX)
    }

    /// Its `index`-th address.
    pub(crate) fn nth(self, index: u128) -> IpAddr {
        from_bits(bits(self.address).saturating_add(index), self.is_ipv6())
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let invalid = || InvalidCidr { text: text.to_owned() };
        let (address, length) = text.trim().split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let length: u8 = length.parse().map_err(|_| invalid())?;
        if length > if address.is_ipv6() { 128 } else { 32 } {
            return Err(invalid());
        }
        Ok(Self { address: prefix(address, length), length })
    }
}

pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

pub(crate) fn from_bits(bits: u128, ipv6: bool) -> IpAddr {
    match u32::try_from(bits) {
        Ok(bits) if !ipv6 => IpAddr::V4(Ipv4Addr::from(bits)),
        _ => IpAddr::V6(Ipv6Addr::from(bits)),
    }
}

fn prefix(address: IpAddr, length: u8) -> IpAddr {
    let width: u32 = if address.is_ipv6() { 128 } else { 32 };
    let host_bits = width.saturating_sub(u32::from(length));
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
    from_bits(bits(address) & mask, address.is_ipv6())
}
