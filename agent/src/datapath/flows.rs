//! The flow table: what is in it, and taking out what is over.

use dataplane_common::{FlowEntry, FlowKey, Tick, Tuple};

use super::{Datapath, DatapathError};

/// One entry of the flow table, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The packet as it comes: of a translated flow those that are translated, else the opener's.
    pub original: Tuple,
    /// The packet as it goes on.
    pub translated: Tuple,
    /// Seconds since the last packet of this side.
    pub idle: u64,
}

/// What a round of [`Datapath::collect_garbage`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Entries that were looked at.
    pub examined: usize,
    /// Entries that were removed; the two of a translated flow go together.
    pub removed: usize,
}

/// A tick in nanoseconds.
const TICK: u64 = 1 << 30;

// === impl Datapath ===

impl Datapath {
    /// All entries of the flow table.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses to read the map.
    pub fn flows(&self) -> Result<Vec<Flow>, DatapathError> {
        let now = now();
        Ok(self.tables.flows.batches()?.into_iter().map(|(key, entry)| Flow::new(&key, &entry, now)).collect())
    }
}

/// The kernel's clock since the machine was started, as the programs read it.
pub(super) fn now() -> Tick {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Tick::from_nanoseconds(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0))
}

// === impl Flow ===

impl Flow {
    fn new(key: &FlowKey, entry: &FlowEntry, now: Tick) -> Self {
        let original = key.tuple(entry.direction());
        let ticks = u64::from(now.0.saturating_sub(entry.last_seen().0));
        Self { original, translated: entry.translate(original), idle: ticks * TICK / 1_000_000_000 }
    }
}
