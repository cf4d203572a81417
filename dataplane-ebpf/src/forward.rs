//! Passing packets on, past the kernel's stack: what a router does, and the redirect.
//!
//! The redirect helpers do not care for hops or sizes: here is the one place that does. What has expired or is too large
//! goes to the stack instead, which sends the ICMP error.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::{bpf_redirect, bpf_redirect_neigh, bpf_redirect_peer};
use dataplane_common::{DropReason, IpProtocol, NextHop, Owner, PacketBytes as _, Path, TcpHeader};

use crate::family::Routed;
use crate::maps;
use crate::packet::Packet;
use crate::skb::Skb;

/// What is done with a packet that is not dropped.
#[derive(Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) target: Target,
    /// Under what it is counted.
    pub(crate) path: Path,
}

/// Where a packet goes.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// To whoever comes next: other programs, then the stack.
    Stack,
    /// Into the pod behind this interface, at once: the packet goes on within the pod's namespace.
    Pod(u32),
    /// Out of this interface as it is.
    Link(u32),
    /// Out of this interface, to the neighbour that the kernel's routes name.
    Neighbour(u32),
}

// === impl Verdict ===

impl Verdict {
    pub(crate) const STACK: Self = Self { target: Target::Stack, path: Path::Stack };
}

// === impl Target ===

impl Target {
    /// Does it: the number that the kernel expects from the program.
    #[inline(always)]
    #[expect(unsafe_code, reason = "helpers are foreign functions")]
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Stack => TC_ACT_UNSPEC,
            // SAFETY: the helper takes any number; since kernel 5.10.
            Self::Pod(interface) => unsafe { bpf_redirect_peer(interface, 0) as i32 },
            // SAFETY: as above.
            Self::Link(interface) => unsafe { bpf_redirect(interface, 0) as i32 },
            // SAFETY: without parameters the kernel looks the neighbour up by itself; since kernel 5.10.
            Self::Neighbour(interface) => unsafe { bpf_redirect_neigh(interface, core::ptr::null_mut(), 0, 0) as i32 },
        }
    }
}

/// The number that drops a packet.
pub(crate) const DROP: i32 = TC_ACT_SHOT;

/// Whether a router may pass the packet on, and it fits a link with this MTU.
#[inline(always)]
pub(crate) fn fits(skb: &Skb, packet: &Packet, mtu: u16) -> bool {
    packet.hops > 1 && length_on_wire(skb, packet) <= usize::from(mtu)
}

/// The largest packet that will be on the wire: the packet, or each of those that it will be taken apart into.
#[inline(always)]
fn length_on_wire(skb: &Skb, packet: &Packet) -> usize {
    let segment = skb.segment_size() as usize;
    if segment == 0 {
        return packet.end - packet.network;
    }
    let header = match packet.protocol {
        IpProtocol::TCP => skb.read::<TcpHeader>(packet.transport).map_or(20, TcpHeader::header_length),
        _ => 8,
    };
    packet.transport - packet.network + header + segment
}

/// Passes the packet on to a pod of this node.
#[inline(always)]
pub(crate) fn to_pod<F: Routed>(
    skb: &mut Skb,
    packet: &Packet,
    pod: &Owner,
    path: Path,
) -> Result<Verdict, DropReason> {
    if !fits(skb, packet, pod.mtu()) {
        return Ok(Verdict::STACK);
    }
    F::take_hop(skb, packet.network, packet.hops)?;
    skb.write(0, pod.link())?;
    Ok(Verdict { target: Target::Pod(pod.interface()), path })
}

/// Passes the packet on to the next hop with this id.
#[inline(always)]
pub(crate) fn to_next_hop<F: Routed>(
    skb: &mut Skb,
    packet: &Packet,
    id: u32,
    path: Path,
) -> Result<Verdict, DropReason> {
    let hop = next_hop(id)?;
    if !fits(skb, packet, hop.mtu()) {
        return Ok(Verdict::STACK);
    }
    send::<F>(skb, packet, hop, path)
}

/// The next hop with this id, if it is in use.
#[inline(always)]
pub(crate) fn next_hop(id: u32) -> Result<&'static NextHop, DropReason> {
    maps::next_hop(id).filter(|hop| hop.interface() != 0).ok_or(DropReason::NoRoute)
}

/// Sends a packet that [`fits`] to a next hop.
#[inline(always)]
pub(crate) fn send<F: Routed>(
    skb: &mut Skb,
    packet: &Packet,
    hop: &NextHop,
    path: Path,
) -> Result<Verdict, DropReason> {
    F::take_hop(skb, packet.network, packet.hops)?;
    let Some(link) = hop.link() else {
        return Ok(Verdict { target: Target::Neighbour(hop.interface()), path });
    };
    skb.write(0, link)?;
    Ok(Verdict { target: Target::Link(hop.interface()), path })
}
