//! Every map of the kernel programs. `docs/maps.md` has a section on each; the agent's map module knows their names.

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::btf_map;
use dataplane_common::{PacketCount, Statistic};

/// Packets by family, protocol and outcome; the index is [`Statistic::index`].
#[btf_map]
static PACKET_COUNTS: PerCpuArray<PacketCount, { Statistic::COUNT }> = PerCpuArray::new();

/// Counts one packet on this CPU.
#[inline(always)]
pub(crate) fn count(statistic: Statistic) {
    if let Some(count) = PACKET_COUNTS.get_ptr_mut(statistic.index()) {
        #[expect(unsafe_code, reason = "a map's value is a pointer")]
        // SAFETY: the kernel keeps the value as long as the program, and on this CPU nobody else writes it.
        unsafe {
            (*count).increment();
        }
    }
}
