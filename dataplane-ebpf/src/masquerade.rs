//! Pods speak to the outside under their node's address: the way out, the way back, and what is remembered.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_ktime_get_coarse_ns};
use dataplane_common::{
    Carried, Content, Direction, DropReason, End, FlowEntry, FlowKey, FlowKind, Fragment, FragmentKey, FragmentPorts,
    IpAddress, Masquerade, NextHop, Owner, OwnerKind, Path, Tick,
};

use crate::family::Routed;
use crate::forward::{self, Verdict};
use crate::maps;
use crate::packet::Scratch;
use crate::rewrite;
use crate::skb::Skb;

/// Errors of map updates (errno).
const EEXIST: i32 = -17;

/// The moment, as flows remember it. A coarse clock (kernel 5.11) is fine enough.
#[inline(always)]
#[expect(unsafe_code, reason = "helpers are foreign functions")]
pub(crate) fn now() -> Tick {
    // SAFETY: the helper takes nothing and always answers.
    Tick::from_nanoseconds(unsafe { bpf_ktime_get_coarse_ns() })
}

/// From a pod to the outside.
#[inline(always)]
pub(crate) fn outbound<F: Routed>(skb: &mut Skb, scratch: &mut Scratch) -> Result<Verdict, DropReason> {
    let packet = &scratch.packet;
    let hop = forward::next_hop(NextHop::OUTSIDE)?;
    if !forward::fits(skb, packet, hop.mtu()) {
        // The stack would send the fragments untranslated.
        F::forbid_fragments(skb, packet.network)?;
        return Ok(Verdict::STACK);
    }
    let carried = match packet.content::<F>(skb)? {
        Content::Conversation(carried) => carried,
        Content::IcmpError => return outbound_error::<F>(skb, scratch, hop),
        Content::LaterFragment => {
            scratch.fragment = packet.fragment_key();
            remembered(&scratch.fragment).ok_or(DropReason::UnknownFragment)?
        }
        Content::Other if maps::masquerade(F::VERSION).is_none() => {
            return forward::send::<F>(skb, packet, hop, Path::Network);
        }
        Content::Other => return Err(DropReason::Untranslatable),
    };
    if packet.fragment == Fragment::First {
        scratch.fragment = packet.fragment_key();
        remember(&scratch.fragment, carried);
    }
    let direction = scratch.key.set(&packet.source, &packet.destination, carried.ports(), packet.protocol);
    let entry = match maps::flow(&scratch.key) {
        Some(entry) => entry,
        None => {
            let Some(masquerade) = maps::masquerade(F::VERSION) else {
                return forward::send::<F>(skb, packet, hop, Path::Network);
            };
            if !carried.may_begin() {
                return Err(DropReason::UnknownFlow);
            }
            match begin(scratch, direction as u32, masquerade) {
                BEGUN => maps::flow(&scratch.key).ok_or(DropReason::FlowTableFull)?,
                EXHAUSTED => return Err(DropReason::PortsExhausted),
                _ => return Err(DropReason::FlowTableFull),
            }
        }
    };
    entry.see(now(), carried.flags);
    let packet = &scratch.packet;
    if entry.kind() == Some(FlowKind::Source) && entry.direction() == direction {
        rewrite::replace::<F>(skb, packet, carried, End::Source, entry.new_source())?;
        return forward::send::<F>(skb, packet, hop, Path::Translated);
    }
    forward::send::<F>(skb, packet, hop, Path::Network)
}

/// An error that a pod sends about what came from outside.
#[inline(always)]
fn outbound_error<F: Routed>(skb: &mut Skb, scratch: &mut Scratch, hop: &NextHop) -> Result<Verdict, DropReason> {
    let Scratch { packet, quoted, key, .. } = scratch;
    let offset = packet.transport + rewrite::ICMP_HEADER;
    let carried = quoted.read_quoted::<F>(skb, offset, packet.end).ok_or(DropReason::Untranslatable)?;
    let direction = key.set(&quoted.source, &quoted.destination, carried.ports(), quoted.protocol);
    match maps::flow(key) {
        // The quoted packet came back; the entry is about those that went out.
        Some(entry) if entry.kind() == Some(FlowKind::Source) && entry.direction() == direction.opposite() => {
            rewrite::replace_error::<F>(skb, packet, quoted, carried, End::Source, entry.new_source())?;
            forward::send::<F>(skb, packet, hop, Path::Translated)
        }
        None if maps::masquerade(F::VERSION).is_some() => Err(DropReason::UnknownFlow),
        Some(_) | None => forward::send::<F>(skb, packet, hop, Path::Network),
    }
}

/// From the network to this node's own address, which may be an answer to a pod; nothing if it is not.
#[inline(always)]
pub(crate) fn inbound<F: Routed>(
    skb: &mut Skb,
    scratch: &mut Scratch,
    host: &Owner,
) -> Result<Option<Verdict>, DropReason> {
    let Scratch { packet, key, fragment, .. } = scratch;
    let carried = match packet.content::<F>(skb) {
        Ok(Content::Conversation(carried)) => carried,
        Ok(Content::IcmpError) => return inbound_error::<F>(skb, scratch, host),
        Ok(Content::LaterFragment) => {
            *fragment = packet.fragment_key();
            let Some(carried) = remembered(fragment) else { return Ok(None) };
            carried
        }
        Ok(Content::Other) | Err(_) => return Ok(None),
    };
    if !host.is_masquerade_port(u16::from_be_bytes(carried.destination_port)) {
        return Ok(None);
    }
    let direction = key.set(&packet.source, &packet.destination, carried.ports(), packet.protocol);
    let Some(entry) = maps::flow(key) else { return Ok(None) };
    if entry.kind() != Some(FlowKind::Destination) || entry.direction() != direction {
        return Ok(None);
    }
    if packet.fragment == Fragment::First {
        *fragment = packet.fragment_key();
        remember(fragment, carried);
    }
    entry.see(now(), carried.flags);
    let to = entry.new_destination();
    let pod = pod_with(to.0)?;
    rewrite::replace::<F>(skb, packet, carried, End::Destination, to)?;
    forward::to_pod::<F>(skb, packet, pod, Path::Translated).map(Some)
}

/// An error about what a pod has sent; its sender is some router on the way, or the receiver.
#[inline(always)]
fn inbound_error<F: Routed>(skb: &mut Skb, scratch: &mut Scratch, host: &Owner) -> Result<Option<Verdict>, DropReason> {
    let Scratch { packet, quoted, key, .. } = scratch;
    let offset = packet.transport + rewrite::ICMP_HEADER;
    let Some(carried) = quoted.read_quoted::<F>(skb, offset, packet.end) else { return Ok(None) };
    if !host.is_masquerade_port(u16::from_be_bytes(carried.source_port)) {
        return Ok(None);
    }
    let direction = key.set(&quoted.source, &quoted.destination, carried.ports(), quoted.protocol);
    let Some(entry) = maps::flow(key) else { return Ok(None) };
    // The quoted packet went out; the entry is about those that come back.
    if entry.kind() != Some(FlowKind::Destination) || entry.direction() != direction.opposite() {
        return Ok(None);
    }
    let to = entry.new_destination();
    let pod = pod_with(to.0)?;
    rewrite::replace_error::<F>(skb, packet, quoted, carried, End::Destination, to)?;
    forward::to_pod::<F>(skb, packet, pod, Path::Translated).map(Some)
}

#[inline(always)]
fn pod_with(address: &IpAddress) -> Result<&'static Owner, DropReason> {
    maps::owner(address).filter(|owner| owner.kind() == Some(OwnerKind::Pod)).ok_or(DropReason::NoEndpoint)
}

/// Somebody outside speaks to a pod by the pod's own address: the pod's answers must not be masqueraded.
#[inline(always)]
pub(crate) fn note_opener<F: Routed>(skb: &Skb, scratch: &mut Scratch) -> Result<(), DropReason> {
    let Scratch { packet, key, entry, .. } = scratch;
    let Ok(Content::Conversation(carried)) = packet.content::<F>(skb) else { return Ok(()) };
    if !carried.opens()
        || maps::owner(&packet.source).is_some()
        || maps::route(&packet.source).is_some()
        || maps::masquerade(F::VERSION).is_none()
    {
        return Ok(());
    }
    let direction = key.set(&packet.source, &packet.destination, carried.ports(), packet.protocol);
    if let Some(entry) = maps::flow(key) {
        entry.see(now(), carried.flags);
        return Ok(());
    }
    *entry = FlowEntry::plain(direction, NextHop::OUTSIDE, now());
    match maps::FLOWS.insert(&*key, &*entry, u64::from(BPF_NOEXIST)) {
        Ok(()) | Err(EEXIST) => Ok(()),
        Err(_) => Err(DropReason::FlowTableFull),
    }
}

/// What [`begin`] says: a function of its own can only return a number.
const BEGUN: i32 = 0;
const FULL: i32 = 1;
const EXHAUSTED: i32 = 2;

/// Makes the two entries of a new flow, whose key and direction are given.
///
/// The answers' entry comes first and only where there is none: that is what gives a port to one flow alone. If the
/// other one cannot be made, it is taken back; so it is when another CPU was quicker with a packet of the same flow.
///
/// A function of its own, because the stack of its caller is full.
#[inline(never)]
fn begin(scratch: &mut Scratch, direction: u32, masquerade: &Masquerade) -> i32 {
    let Scratch { key, reply_key, entry, reply, .. } = scratch;
    let direction = if direction == Direction::FromLower as u32 { Direction::FromLower } else { Direction::FromUpper };
    let now = now();
    let mut candidates = masquerade.candidates(key, random());
    for _ in 0..Masquerade::ATTEMPTS {
        let port = candidates.next_port();
        *entry = FlowEntry::source(direction, (masquerade.address(), port), NextHop::OUTSIDE, now);
        let reply_direction = entry.set_reply_key(key, reply_key);
        *reply = entry.answering(&key.tuple(direction), reply_direction);
        match maps::FLOWS.insert(&*reply_key, &*reply, u64::from(BPF_NOEXIST)) {
            Ok(()) => return finish(key, entry, reply_key),
            Err(EEXIST) => {}
            Err(_) => return FULL,
        }
    }
    EXHAUSTED
}

/// Adds the entry of what goes out to that of the answers, or takes that back.
#[inline(always)]
fn finish(key: &FlowKey, entry: &FlowEntry, reply_key: &FlowKey) -> i32 {
    let Err(error) = maps::FLOWS.insert(key, entry, u64::from(BPF_NOEXIST)) else { return BEGUN };
    // It was there a moment ago; there is nothing else to do about it.
    let _ = maps::FLOWS.remove(reply_key);
    if error == EEXIST { BEGUN } else { FULL }
}

#[inline(always)]
#[expect(unsafe_code, reason = "helpers are foreign functions")]
fn random() -> u32 {
    // SAFETY: the helper takes nothing and always answers.
    unsafe { bpf_get_prandom_u32() }
}

/// Notes the ports of a first fragment for those that follow.
#[inline(always)]
fn remember(key: &FragmentKey, carried: Carried) {
    let ports = FragmentPorts { source: carried.source_port, destination: carried.destination_port };
    // If it fails, the later fragments are dropped, and counted.
    let _ = maps::FRAGMENTS.insert(key, &ports, 0);
}

/// The ports that the first fragment had.
#[inline(always)]
fn remembered(key: &FragmentKey) -> Option<Carried> {
    maps::fragment(key).map(|ports| Carried::remembered(ports.source, ports.destination))
}
