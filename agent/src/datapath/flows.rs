//! The flow table: what is in it, and taking out what is over.

use aya::TestRunOptions;
use aya::programs::TestRun as _;
use dataplane_common::{Expired, FlowEntry, FlowKey, Tick, Tuple};
use zerocopy::IntoBytes as _;

use super::{COLLECT, Datapath, DatapathError, classifier};

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
        let mut flows = Vec::new();
        self.tables.flows.for_each_batch(|batch| {
            flows.extend(batch.iter().map(|(key, entry)| Flow::new(key, entry, now)));
            Ok::<(), DatapathError>(())
        })?;
        Ok(flows)
    }

    /// Removes the flows that are over: one round through the table, a batch at a time. The kernel looks at each again
    /// before it goes, so that one that has just come back to life stays.
    ///
    /// To be run every ten seconds or so.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses to read the map or to run the program.
    pub fn collect_garbage(&mut self) -> Result<Collected, DatapathError> {
        self.collect_garbage_as_of(now())
    }

    /// Like [`collect_garbage`](Self::collect_garbage), as if it were `now`.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn collect_garbage_as_of(&mut self, now: Tick) -> Result<Collected, DatapathError> {
        let mut collected = Collected::default();
        self.tables.flows.for_each_batch(|batch| {
            collected.examined += batch.len();
            // Of the two sides of an expired flow one looks expired by itself; the kernel then looks at both.
            let looks_expired = |(key, entry): &&(FlowKey, FlowEntry)| entry.is_expired(key.protocol(), None, now);
            let keys: Vec<FlowKey> = batch.iter().filter(looks_expired).map(|(key, _)| *key).collect();
            for keys in keys.chunks(Expired::MOST_KEYS) {
                collected.removed += self.collect(keys, now)?;
            }
            Ok::<(), DatapathError>(())
        })?;
        Ok(collected)
    }

    /// Lets the kernel look at these flows again and remove those that are expired; how many entries it removed.
    fn collect(&self, keys: &[FlowKey], now: Tick) -> Result<usize, DatapathError> {
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let request = [Expired::new(now, count).as_bytes(), keys.as_bytes()].concat();
        let program = classifier(&self.ebpf, COLLECT)?;
        let options = TestRunOptions { data_in: Some(&request), repeat: 1, ..TestRunOptions::new() };
        let refused = |source| DatapathError::Run { program: COLLECT, source };
        Ok(program.test_run(options).map_err(refused)?.return_value as usize)
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
