//! What arrives from the network.
//!
//! What is not for a pod goes to the stack, which knows better what it is.

use aya_ebpf::bindings::__sk_buff;
use dataplane_common::{DropReason, EtherType, Hook, Ipv4, Ipv6, Link, OwnerKind, Path, RouteKind};

use crate::family::Routed;
use crate::forward::{self, Verdict};
use crate::maps;
use crate::masquerade;
use crate::packet::{Packet, Scratch};
use crate::skb::Skb;
use crate::tcx::conclude;

/// Judges a frame that has arrived at the uplink, and carries the verdict out.
#[inline(always)]
pub(crate) fn receive(skb: &mut Skb) -> i32 {
    // A switch that does not know a receiver yet sends its frames to everybody.
    if !skb.is_for_us() || skb.has_vlan_tag() {
        return conclude(skb, Hook::Uplink, Ok(Verdict::STACK));
    }
    skb.pull_headers();
    match Link::parse(skb) {
        Ok(Link { ethertype: EtherType::IPV4, network: Packet::NETWORK }) => packet::<Ipv4>(skb.as_raw()),
        Ok(Link { ethertype: EtherType::IPV6, network: Packet::NETWORK }) => packet::<Ipv6>(skb.as_raw()),
        Ok(_) | Err(_) => conclude(skb, Hook::Uplink, Ok(Verdict::STACK)),
    }
}

/// One family's packets; a function of its own, so that each family has the whole stack.
#[inline(never)]
fn packet<F: Routed>(context: *mut __sk_buff) -> i32 {
    let mut skb = Skb::from_raw(context);
    let judged = match maps::scratch() {
        Some(scratch) => judge::<F>(&mut skb, scratch),
        None => Err(DropReason::Rewrite),
    };
    conclude(&skb, Hook::Uplink, judged)
}

#[inline(always)]
fn judge<F: Routed>(skb: &mut Skb, scratch: &mut Scratch) -> Result<Verdict, DropReason> {
    match scratch.packet.read::<F>(skb) {
        Ok(()) => {}
        Err(DropReason::MappedAddress) => return Err(DropReason::MappedAddress),
        // The stack drops it, and counts it by its own names.
        Err(_) => return Ok(Verdict::STACK),
    }
    match maps::owner(&scratch.packet.destination) {
        Some(owner) => match owner.kind() {
            Some(OwnerKind::Pod) => {
                masquerade::note_opener::<F>(skb, scratch)?;
                forward::to_pod::<F>(skb, &scratch.packet, owner, Path::Pod)
            }
            Some(OwnerKind::Host) => Ok(masquerade::inbound::<F>(skb, scratch, owner)?.unwrap_or(Verdict::STACK)),
            Some(OwnerKind::Node) | None => Ok(Verdict::STACK),
        },
        None => match maps::route(&scratch.packet.destination).and_then(|route| route.kind()) {
            Some(RouteKind::Local) => Err(DropReason::NoEndpoint),
            Some(RouteKind::Remote | RouteKind::Direct) | None => Ok(Verdict::STACK),
        },
    }
}
