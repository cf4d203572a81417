//! Every map of the kernel programs. `docs/maps.md` has a section on each; the agent's map module knows their names.
//!
//! Sizes here are those of tests; the agent sets others before the maps are made.

use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use dataplane_common::{
    DropEvent, DropReason, FlowEntry, FlowKey, FragmentKey, FragmentPorts, Hook, IpAddress, Masquerade, NextHop, Owner,
    PacketCount, Path, Route, Statistic, Traffic,
};

use crate::packet::Scratch;

/// Packets by family, protocol and outcome; the index is [`Statistic::index`].
#[btf_map]
static PACKET_COUNTS: PerCpuArray<PacketCount, { Statistic::COUNT }> = PerCpuArray::new();

/// Who has an address, by exact match.
#[btf_map]
pub(crate) static OWNERS: HashMap<IpAddress, Owner, 4096> = HashMap::new();

/// Where packets go whose destination has no owner, by longest prefix.
#[btf_map]
pub(crate) static ROUTES: LpmTrie<IpAddress, Route, 1024> = LpmTrie::new();

/// Neighbours on a link; index 0 is the way outside.
#[btf_map]
pub(crate) static NEXT_HOPS: Array<NextHop, 1024> = Array::new();

/// What is remembered of conversations.
#[btf_map]
pub(crate) static FLOWS: HashMap<FlowKey, FlowEntry, 65536> = HashMap::new();

/// Ports of packets whose fragments are under way. Least recently used entries go: a lost one costs a datagram.
#[btf_map]
pub(crate) static FRAGMENTS: LruHashMap<FragmentKey, FragmentPorts, 8192> = LruHashMap::new();

/// The address and the ports that pods show to the outside; the key is 4 or 6.
#[btf_map]
pub(crate) static MASQUERADE: HashMap<u32, Masquerade, 2> = HashMap::new();

/// Packets and bytes by hook and path; the index is [`Path::index`].
#[btf_map]
static TRAFFIC: PerCpuArray<Traffic, { Path::COUNT }> = PerCpuArray::new();

/// Dropped packets by hook and reason; the index is [`DropReason::index`].
#[btf_map]
static DROPS: PerCpuArray<PacketCount, { DropReason::COUNT }> = PerCpuArray::new();

/// Dropped packets, one by one, while somebody listens.
#[btf_map]
static EVENTS: RingBuf<DropEvent, 262_144> = RingBuf::new();

/// Events that did not fit.
#[btf_map]
static EVENTS_LOST: PerCpuArray<PacketCount, 1> = PerCpuArray::new();

/// What one packet needs that does not fit the stack.
#[btf_map]
static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// Not 0 while somebody listens to the events.
#[btf_map]
static LISTENERS: Array<u32, 1> = Array::new();

/// Who has an address.
#[inline(always)]
#[expect(unsafe_code, reason = "a map's value is a pointer")]
pub(crate) fn owner(address: &IpAddress) -> Option<&'static Owner> {
    // SAFETY: the kernel keeps the value as long as the program, and nobody writes into it: the agent replaces whole
    // values.
    unsafe { OWNERS.get(address) }
}

/// The longest prefix that an address is in.
#[inline(always)]
pub(crate) fn route(address: &IpAddress) -> Option<&'static Route> {
    ROUTES.get(&Key::new(128, *address))
}

/// A next hop. The agent writes while programs read: at worst one packet goes to a mixture of two neighbours.
#[inline(always)]
pub(crate) fn next_hop(id: u32) -> Option<&'static NextHop> {
    NEXT_HOPS.get(id)
}

/// What pods of a family show to the outside.
#[inline(always)]
#[expect(unsafe_code, reason = "a map's value is a pointer")]
pub(crate) fn masquerade(version: u32) -> Option<&'static Masquerade> {
    // SAFETY: as for owners.
    unsafe { MASQUERADE.get(version) }
}

/// A flow's entry.
#[inline(always)]
#[expect(unsafe_code, reason = "a map's value is a pointer")]
pub(crate) fn flow(key: &FlowKey) -> Option<&'static mut FlowEntry> {
    // SAFETY: the kernel keeps the value as long as the program. Other CPUs may write the time and the flags at the
    // same moment, which are plain numbers of which any is a good one.
    FLOWS.get_ptr_mut(key).map(|entry| unsafe { &mut *entry })
}

/// The ports of a packet whose fragments are under way.
#[inline(always)]
#[expect(unsafe_code, reason = "a map's value is a pointer")]
pub(crate) fn fragment(key: &FragmentKey) -> Option<FragmentPorts> {
    // SAFETY: as for owners; the value is copied at once.
    unsafe { FRAGMENTS.get(key) }.copied()
}

/// Room for what one packet needs.
#[inline(always)]
#[expect(unsafe_code, reason = "a map's value is a pointer")]
pub(crate) fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: each CPU has its own, the traffic control hooks do not interrupt one another, and each entry asks once.
    SCRATCH.get_ptr_mut(0).map(|scratch| unsafe { &mut *scratch })
}

/// Counts one packet on this CPU.
#[inline(always)]
pub(crate) fn count(statistic: Statistic) {
    increment(PACKET_COUNTS.get_ptr_mut(statistic.index()));
}

/// Counts a packet that went on, on this CPU.
#[inline(always)]
pub(crate) fn count_path(hook: Hook, path: Path, bytes: u32) {
    if let Some(traffic) = TRAFFIC.get_ptr_mut(path.index(hook)) {
        #[expect(unsafe_code, reason = "a map's value is a pointer")]
        // SAFETY: the kernel keeps the value as long as the program, and on this CPU nobody else writes it.
        unsafe {
            (*traffic).add(bytes);
        }
    }
}

/// Counts a drop on this CPU.
#[inline(always)]
pub(crate) fn count_drop(hook: Hook, reason: DropReason) {
    increment(DROPS.get_ptr_mut(reason.index(hook)));
}

/// Whether somebody listens to the events.
#[inline(always)]
pub(crate) fn has_listeners() -> bool {
    LISTENERS.get(0).is_some_and(|listeners| *listeners != 0)
}

/// Tells the listeners of a drop.
#[inline(always)]
pub(crate) fn tell(event: &DropEvent) {
    if EVENTS.output(event, 0).is_err() {
        increment(EVENTS_LOST.get_ptr_mut(0));
    }
}

#[inline(always)]
fn increment(count: Option<*mut PacketCount>) {
    if let Some(count) = count {
        #[expect(unsafe_code, reason = "a map's value is a pointer")]
        // SAFETY: the kernel keeps the value as long as the program, and on this CPU nobody else writes it.
        unsafe {
            (*count).increment();
        }
    }
}
