//! The traffic control hooks: entries, and what both do with a verdict.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use dataplane_common::{Content, DropEvent, DropReason, EtherType, Hook, Ipv4, Ipv6, Link};

use crate::family::Routed;
use crate::forward::{DROP, Verdict};
use crate::maps;
use crate::packet::{Packet, Scratch};
use crate::skb::Skb;
use crate::{pod, uplink};

/// Everything that a pod sends, on the ingress side of its host-side interface.
///
/// # Minimum kernel version
///
/// 5.11, for the coarse clock; attached by TCX from 6.6 on.
#[classifier]
fn sheave_from_pod(context: TcContext) -> i32 {
    pod::receive(&mut Skb::new(&context))
}

/// Everything that arrives from the network, on the ingress side of the uplink.
///
/// # Minimum kernel version
///
/// As above.
#[classifier]
fn sheave_from_uplink(context: TcContext) -> i32 {
    uplink::receive(&mut Skb::new(&context))
}

/// Counts a verdict and carries it out: the one place where packets leave a program.
#[inline(always)]
pub(crate) fn conclude(skb: &Skb, hook: Hook, judged: Result<Verdict, DropReason>) -> i32 {
    match judged {
        Ok(verdict) => {
            maps::count_path(hook, verdict.path, skb.length());
            verdict.target.code()
        }
        Err(reason) => {
            maps::count_drop(hook, reason);
            if maps::has_listeners() {
                tell(skb.as_raw(), hook, reason);
            }
            DROP
        }
    }
}

/// Tells the listeners of a drop; the packet is read again, because only this path needs it.
#[inline(never)]
#[expect(unsafe_code, reason = "helpers are foreign functions")]
fn tell(context: *mut __sk_buff, hook: Hook, reason: DropReason) -> i32 {
    let skb = Skb::from_raw(context);
    let Some(scratch) = maps::scratch() else { return 0 };
    // SAFETY: the helper takes nothing and always answers.
    let time = unsafe { bpf_ktime_get_ns() };
    scratch.event = DropEvent::new(time, hook, reason, skb.interface(), skb.length());
    match Link::parse(&skb) {
        Ok(Link { ethertype: EtherType::IPV4, network: Packet::NETWORK }) => add_tuple::<Ipv4>(&skb, scratch),
        Ok(Link { ethertype: EtherType::IPV6, network: Packet::NETWORK }) => add_tuple::<Ipv6>(&skb, scratch),
        Ok(_) | Err(_) => {}
    }
    maps::tell(&scratch.event);
    0
}

#[inline(always)]
fn add_tuple<F: Routed>(skb: &Skb, scratch: &mut Scratch) {
    let Scratch { packet, event, .. } = scratch;
    if packet.read::<F>(skb).is_err() {
        return;
    }
    let ports = match packet.content::<F>(skb) {
        Ok(Content::Conversation(carried)) => carried.ports(),
        Ok(Content::IcmpError | Content::LaterFragment | Content::Other) | Err(_) => ([0; 2], [0; 2]),
    };
    event.set_ends(&packet.source, &packet.destination, ports, packet.protocol);
}
