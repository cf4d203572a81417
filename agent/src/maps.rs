//! The kernel's maps as typed tables. Only this module and the kernel programs know their names.

mod pinning;
mod tables;

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use dataplane_common::{PacketCount, Statistic};

pub use pinning::{PinError, Resized, Sizes};
pub(crate) use pinning::{check_schema, check_shapes};
pub use tables::FillLevel;
pub(crate) use tables::Tables;

/// Packets by family, protocol and outcome.
const PACKET_COUNTS: &str = "PACKET_COUNTS";

/// A map could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The kernel object has no such map: it was built from other sources than this agent.
    #[error("the kernel object has no map `{name}`")]
    Missing {
        /// The map.
        name: &'static str,
    },
    /// The map has another type or other sizes than this agent expects.
    #[error("the map `{name}` is not what this agent expects")]
    Unexpected {
        /// The map.
        name: &'static str,
        /// What differs.
        #[source]
        source: aya::maps::MapError,
    },
    /// The kernel refused a look-up.
    #[error("cannot read the map `{name}`")]
    Read {
        /// The map.
        name: &'static str,
        /// Why.
        #[source]
        source: aya::maps::MapError,
    },
    /// The kernel refused a change; a full map says so in the cause (E2BIG).
    #[error("cannot change the map `{name}`")]
    Write {
        /// The map.
        name: &'static str,
        /// Why.
        #[source]
        source: aya::maps::MapError,
    },
    /// The kernel refused to read many entries at once.
    #[error("cannot read the map `{name}` in batches")]
    Batch {
        /// The map.
        name: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Packets by family, protocol and outcome since the programs were loaded.
pub struct PacketCounts<'a> {
    array: PerCpuArray<&'a MapData, PacketCount>,
}

// === impl PacketCounts ===

impl<'a> PacketCounts<'a> {
    pub(crate) fn of(ebpf: &'a Ebpf) -> Result<Self, MapError> {
        let map = ebpf.map(PACKET_COUNTS).ok_or(MapError::Missing { name: PACKET_COUNTS })?;
        let unexpected = |source| MapError::Unexpected { name: PACKET_COUNTS, source };
        Ok(Self { array: map.try_into().map_err(unexpected)? })
    }

    /// One counter, summed over all CPUs. Packets that are counted meanwhile may or may not be in the sum.
    ///
    /// # Errors
    ///
    /// [`MapError::Read`] when the kernel refuses the look-up.
    pub fn get(&self, statistic: Statistic) -> Result<u64, MapError> {
        let read = |source| MapError::Read { name: PACKET_COUNTS, source };
        let per_cpu = self.array.get(&statistic.index(), 0).map_err(read)?;
        Ok(per_cpu.iter().copied().sum::<PacketCount>().get())
    }

    /// All counters that are not 0, each summed over all CPUs.
    ///
    /// # Errors
    ///
    /// [`MapError::Read`] when the kernel refuses a look-up.
    pub fn nonzero(&self) -> Result<Vec<(Statistic, u64)>, MapError> {
        let counts = Statistic::all().map(|statistic| Ok((statistic, self.get(statistic)?)));
        counts.filter(|count| !matches!(count, Ok((_, 0)))).collect()
    }
}
