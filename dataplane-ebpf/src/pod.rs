//! What pods send.

use aya_ebpf::bindings::__sk_buff;
use dataplane_common::{DropReason, EtherType, Hook, Ipv4, Ipv6, Link, NextHop, OwnerKind, Path, RouteKind};

use crate::family::Routed;
use crate::forward::{self, Verdict};
use crate::maps;
use crate::masquerade;
use crate::packet::{Packet, Scratch};
use crate::skb::Skb;
use crate::tcx::conclude;

/// Judges a frame that a pod has sent, and carries the verdict out.
#[inline(always)]
pub(crate) fn receive(skb: &mut Skb) -> i32 {
    if skb.has_vlan_tag() {
        return conclude(skb, Hook::Pod, Err(DropReason::Vlan));
    }
    skb.pull_headers();
    match Link::parse(skb) {
        Ok(Link { ethertype: EtherType::IPV4, network: Packet::NETWORK }) => packet::<Ipv4>(skb.as_raw()),
        Ok(Link { ethertype: EtherType::IPV6, network: Packet::NETWORK }) => packet::<Ipv6>(skb.as_raw()),
        // Pods have a static entry for their gateway; one that lost it may ask.
        Ok(Link { ethertype: EtherType::ARP, network: Packet::NETWORK }) => {
            conclude(skb, Hook::Pod, Ok(Verdict::STACK))
        }
        Ok(Link { network: Packet::NETWORK, .. }) => conclude(skb, Hook::Pod, Err(DropReason::NotIp)),
        Ok(_) => conclude(skb, Hook::Pod, Err(DropReason::Vlan)),
        Err(malformed) => conclude(skb, Hook::Pod, Err(malformed.into())),
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
    conclude(&skb, Hook::Pod, judged)
}

#[inline(always)]
fn judge<F: Routed>(skb: &mut Skb, scratch: &mut Scratch) -> Result<Verdict, DropReason> {
    let packet = &mut scratch.packet;
    packet.read::<F>(skb)?;
    if packet.resolves_neighbour::<F>(skb) {
        return Ok(Verdict::STACK);
    }
    // Before the source: an interface reports its groups from a link-local address, which is no spoofing.
    if packet.is_multicast::<F>() {
        return Err(DropReason::Multicast);
    }
    let interface = skb.interface();
    if !maps::owner(&packet.source).is_some_and(|owner| owner.is_pod_behind(interface)) {
        return Err(DropReason::SourceAddress);
    }
    match maps::owner(&packet.destination) {
        Some(owner) => match owner.kind() {
            Some(OwnerKind::Pod) => forward::to_pod::<F>(skb, packet, owner, Path::Pod),
            Some(OwnerKind::Host) => Ok(Verdict::STACK),
            Some(OwnerKind::Node) => forward::to_next_hop::<F>(skb, packet, owner.next_hop(), Path::Network),
            None => Err(DropReason::NoRoute),
        },
        None => by_route::<F>(skb, scratch),
    }
}

#[inline(always)]
fn by_route<F: Routed>(skb: &mut Skb, scratch: &mut Scratch) -> Result<Verdict, DropReason> {
    let packet = &scratch.packet;
    let Some(route) = maps::route(&packet.destination) else { return masquerade::outbound::<F>(skb, scratch) };
    match route.kind() {
        Some(RouteKind::Remote) => forward::to_next_hop::<F>(skb, packet, route.next_hop(), Path::Network),
        Some(RouteKind::Direct) => forward::to_next_hop::<F>(skb, packet, NextHop::OUTSIDE, Path::Network),
        Some(RouteKind::Local) => Err(DropReason::NoEndpoint),
        None => Err(DropReason::NoRoute),
    }
}
