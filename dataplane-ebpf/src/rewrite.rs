//! Replacing one end of a packet, and the opposite end of a packet that an ICMP error quotes.

use dataplane_common::{Carried, ChecksumUpdate, DropReason, End, IpAddress, Layer, PacketBytes as _, U16};

use crate::family::Routed;
use crate::packet::Packet;
use crate::skb::{Skb, Sum, difference};

/// The length of an ICMP error's own header.
pub(crate) const ICMP_HEADER: usize = 8;

/// Replaces address and port of one end. Of a later fragment only the address: what covers it is in the first one.
#[inline(always)]
pub(crate) fn replace<F: Routed>(
    skb: &mut Skb,
    packet: &Packet,
    carried: Carried,
    end: End,
    to: (&IpAddress, [u8; 2]),
) -> Result<(), DropReason> {
    let old = packet.end(end);
    if carried.layer != Layer::Absent {
        let checksum = packet.transport + carried.layer.checksum();
        let or_none = carried.layer == Layer::Udp;
        if covers_addresses::<F>(carried.layer) {
            let change = F::address_difference(old, to.0, 0);
            skb.update_checksum(checksum, change, Sum::Pseudo, or_none, F::VERSION == 6)?;
        }
        skb.update_checksum_of_port(checksum, carried.port(end), to.1, or_none)?;
        skb.write(packet.transport + carried.layer.port(end), to.1)?;
    }
    F::replace(skb, packet.network, end, old, to.0)
}

/// Whether the checksum covers the addresses as well: all but that of IPv4's ICMP.
#[inline(always)]
const fn covers_addresses<F: Routed>(layer: Layer) -> bool {
    match layer {
        Layer::Tcp | Layer::Udp => true,
        Layer::EchoRequest | Layer::EchoReply | Layer::Absent => F::VERSION == 6,
    }
}

/// Replaces one end of an ICMP error, and the opposite end of what it quotes (RFC 5508 section 4.2): the checksum of
/// the quoted transport header too, if it is there.
#[inline(always)]
pub(crate) fn replace_error<F: Routed>(
    skb: &mut Skb,
    packet: &Packet,
    quoted: &Packet,
    carried: Carried,
    end: End,
    to: (&IpAddress, [u8; 2]),
) -> Result<(), DropReason> {
    let inner_end = end.opposite();
    let (outer, inner) = (packet.end(end), quoted.end(inner_end));
    let (old_port, new_port) = (carried.port(inner_end), to.1);
    // What changes within the quoted packet, as the error's own checksum sees it.
    let change = F::header_difference(inner, to.0, 0);
    let mut change = difference(&word(old_port), &word(new_port), change);
    let checksum = quoted.transport + carried.layer.checksum();
    if checksum + 2 <= quoted.end {
        let old: [u8; 2] = *skb.read(checksum).ok_or(DropReason::Rewrite)?;
        let update = ChecksumUpdate::new().replace(old_port, new_port);
        let update = if covers_addresses::<F>(carried.layer) { F::update_address(update, inner, to.0) } else { update };
        let new = if carried.layer == Layer::Udp {
            update.apply_udp(U16::from_bytes(old))
        } else {
            update.apply(U16::from_bytes(old))
        };
        change = difference(&word(old), &word(new.to_bytes()), change);
        skb.write(checksum, new)?;
    }
    skb.write(quoted.transport + carried.layer.port(inner_end), new_port)?;
    F::replace(skb, quoted.network, inner_end, inner, to.0)?;
    let checksum = packet.transport + Layer::EchoRequest.checksum();
    skb.update_checksum(checksum, change, Sum::Covered, false, false)?;
    if F::VERSION == 6 {
        let change = F::address_difference(outer, to.0, 0);
        skb.update_checksum(checksum, change, Sum::Pseudo, false, true)?;
    }
    F::replace(skb, packet.network, end, outer, to.0)
}

/// Two bytes at an even offset, as a word that a checksum sees.
#[inline(always)]
const fn word([high, low]: [u8; 2]) -> [u8; 4] {
    [high, low, 0, 0]
}
