//! What the programs do differently for the two families: a few offsets, and the header checksum that only IPv4 has.

use dataplane_common::{
    ChecksumUpdate, DropReason, End, IpAddress, IpFamily, Ipv4, Ipv4Header, Ipv6, PacketBytes as _, Wire,
};

use crate::skb::{Skb, difference};

/// A family whose packets can be passed on and translated.
pub(crate) trait Routed: IpFamily<Address: Wire> {
    /// The version, which is the key of the masquerade's settings.
    const VERSION: u32;

    /// Takes one hop off the packet, whose network header is at `offset`.
    fn take_hop(skb: &mut Skb, offset: usize, hops: u8) -> Result<(), DropReason>;

    /// Replaces one end's address; transport checksums are not touched.
    fn replace(skb: &mut Skb, offset: usize, end: End, old: &IpAddress, new: &IpAddress) -> Result<(), DropReason>;

    /// Makes routers that would split the packet say so instead.
    fn forbid_fragments(skb: &mut Skb, offset: usize) -> Result<(), DropReason>;

    /// The difference that the replacement of an address makes in a checksum over it.
    fn address_difference(old: &IpAddress, new: &IpAddress, before: u32) -> u32;

    /// Adds the replacement of an address to an update of a finished checksum.
    fn update_address(update: ChecksumUpdate, old: &IpAddress, new: &IpAddress) -> ChecksumUpdate;

    /// The difference that the replacement of an address makes in a checksum over the whole network header.
    fn header_difference(old: &IpAddress, new: &IpAddress, before: u32) -> u32;
}

// === impl Routed ===

impl Routed for Ipv4 {
    const VERSION: u32 = 4;

    #[inline(always)]
    fn take_hop(skb: &mut Skb, offset: usize, _: u8) -> Result<(), DropReason> {
        let header: &Ipv4Header = skb.read(offset).ok_or(DropReason::Rewrite)?;
        let passed_on = header.passed_on();
        skb.write(offset + 8, passed_on)
    }

    #[inline(always)]
    fn replace(skb: &mut Skb, offset: usize, end: End, old: &IpAddress, new: &IpAddress) -> Result<(), DropReason> {
        let header: &Ipv4Header = skb.read(offset).ok_or(DropReason::Rewrite)?;
        let checksum = header.checksum_with(old.last_four(), new.last_four());
        skb.write(offset + 10, checksum)?;
        let position = match end {
            End::Source => 12,
            End::Destination => 16,
        };
        skb.write(offset + position, new.last_four())
    }

    #[inline(always)]
    fn forbid_fragments(skb: &mut Skb, offset: usize) -> Result<(), DropReason> {
        let header: &Ipv4Header = skb.read(offset).ok_or(DropReason::Rewrite)?;
        let (flags, checksum) = header.unfragmentable();
        skb.write(offset + 6, flags)?;
        skb.write(offset + 10, checksum)
    }

    #[inline(always)]
    fn address_difference(old: &IpAddress, new: &IpAddress, before: u32) -> u32 {
        difference(old.as_last_four(), new.as_last_four(), before)
    }

    #[inline(always)]
    fn update_address(update: ChecksumUpdate, old: &IpAddress, new: &IpAddress) -> ChecksumUpdate {
        update.replace(*old.as_last_four(), *new.as_last_four())
    }

    /// None: the header's own checksum takes back what the address changes.
    #[inline(always)]
    fn header_difference(_: &IpAddress, _: &IpAddress, before: u32) -> u32 {
        before
    }
}

impl Routed for Ipv6 {
    const VERSION: u32 = 6;

    /// Nothing in the packet covers the hop limit, but a card's sum over the whole packet does.
    #[inline(always)]
    fn take_hop(skb: &mut Skb, offset: usize, hops: u8) -> Result<(), DropReason> {
        skb.write_summed(offset + 7, &[hops.wrapping_sub(1)])
    }

    #[inline(always)]
    fn replace(skb: &mut Skb, offset: usize, end: End, _: &IpAddress, new: &IpAddress) -> Result<(), DropReason> {
        let position = match end {
            End::Source => 8,
            End::Destination => 24,
        };
        skb.write(offset + position, new.octets())
    }

    /// No router splits IPv6.
    #[inline(always)]
    fn forbid_fragments(_: &mut Skb, _: usize) -> Result<(), DropReason> {
        Ok(())
    }

    #[inline(always)]
    fn address_difference(old: &IpAddress, new: &IpAddress, before: u32) -> u32 {
        difference(old.as_octets(), new.as_octets(), before)
    }

    #[inline(always)]
    fn update_address(update: ChecksumUpdate, old: &IpAddress, new: &IpAddress) -> ChecksumUpdate {
        update.replace(*old.as_octets(), *new.as_octets())
    }

    #[inline(always)]
    fn header_difference(old: &IpAddress, new: &IpAddress, before: u32) -> u32 {
        Self::address_difference(old, new, before)
    }
}
