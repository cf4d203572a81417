//! The datapath's maps as typed tables.

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, IterableMap as _, LpmTrie, Map, MapData, PerCpuArray, RingBuf};
use dataplane_common::{
    DropReason, FlowEntry, FlowKey, Hook, IpAddress, Masquerade, NextHop, Owner, PacketCount, Path, Route, Traffic,
};

use super::MapError;
use crate::syscall::{self, Cursor};

pub(super) const OWNERS: &str = "OWNERS";
pub(super) const ROUTES: &str = "ROUTES";
pub(super) const NEXT_HOPS: &str = "NEXT_HOPS";
pub(super) const FLOWS: &str = "FLOWS";
pub(super) const FRAGMENTS: &str = "FRAGMENTS";
pub(super) const MASQUERADE: &str = "MASQUERADE";
pub(super) const TRAFFIC: &str = "TRAFFIC";
pub(super) const DROPS: &str = "DROPS";
pub(super) const EVENTS: &str = "EVENTS";
pub(super) const EVENTS_LOST: &str = "EVENTS_LOST";
pub(super) const LISTENERS: &str = "LISTENERS";

/// How many flows one system call reads.
const BATCH: usize = 4_096;

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillLevel {
    /// The map.
    pub map: &'static str,
    /// Entries in use. Flows that come and go meanwhile may or may not be counted.
    pub used: u32,
    /// Entries that there is room for.
    pub capacity: u32,
}

/// The maps of one loaded object.
pub(crate) struct Tables {
    pub(crate) owners: Table<HashMap<MapData, IpAddress, Owner>>,
    pub(crate) routes: Table<LpmTrie<MapData, IpAddress, Route>>,
    pub(crate) next_hops: Table<Array<MapData, NextHop>>,
    pub(crate) flows: Table<HashMap<MapData, FlowKey, FlowEntry>>,
    pub(crate) masquerade: Table<HashMap<MapData, u32, Masquerade>>,
    traffic: Table<PerCpuArray<MapData, Traffic>>,
    drops: Table<PerCpuArray<MapData, PacketCount>>,
    events_lost: Table<PerCpuArray<MapData, PacketCount>>,
    listeners: Table<Array<MapData, u32>>,
    /// Handed out once.
    events: Option<RingBuf<MapData>>,
}

/// A map and its name, for errors.
pub(crate) struct Table<M> {
    name: &'static str,
    map: M,
}

// === impl Tables ===

impl Tables {
    /// Takes the maps out of a loaded object.
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Self, MapError> {
        Ok(Self {
            owners: Table::take(ebpf, OWNERS)?,
            routes: Table::take(ebpf, ROUTES)?,
            next_hops: Table::take(ebpf, NEXT_HOPS)?,
            flows: Table::take(ebpf, FLOWS)?,
            masquerade: Table::take(ebpf, MASQUERADE)?,
            traffic: Table::take(ebpf, TRAFFIC)?,
            drops: Table::take(ebpf, DROPS)?,
            events_lost: Table::take(ebpf, EVENTS_LOST)?,
            listeners: Table::take(ebpf, LISTENERS)?,
            events: Some(Table::take(ebpf, EVENTS)?.map),
        })
    }

    /// Dropped packets since the maps were made, by hook and reason, without those that are 0.
    pub(crate) fn drops(&self) -> Result<Vec<(Hook, DropReason, u64)>, MapError> {
        let all = Hook::ALL.into_iter().flat_map(|hook| DropReason::all().map(move |reason| (hook, reason)));
        let counted = all.map(|(hook, reason)| Ok((hook, reason, self.drops.sum(reason.index(hook))?.get())));
        counted.filter(|counted| !matches!(counted, Ok((_, _, 0)))).collect()
    }

    /// Packets that went on, by hook and path.
    pub(crate) fn traffic(&self) -> Result<Vec<(Hook, Path, Traffic)>, MapError> {
        let all = Hook::ALL.into_iter().flat_map(|hook| Path::ALL.map(move |path| (hook, path)));
        all.map(|(hook, path)| Ok((hook, path, self.traffic.sum(path.index(hook))?))).collect()
    }

    /// Events that did not fit since the maps were made.
    pub(crate) fn events_lost(&self) -> Result<u64, MapError> {
        Ok(self.events_lost.sum(0)?.get())
    }

    /// The events, once.
    pub(crate) fn take_events(&mut self) -> Option<RingBuf<MapData>> {
        self.events.take()
    }

    /// Takes the events back.
    pub(crate) fn return_events(&mut self, events: RingBuf<MapData>) {
        self.events = Some(events);
    }

    /// Lets the programs tell events, or not.
    pub(crate) fn listen(&mut self, on: bool) -> Result<(), MapError> {
        self.listeners.map.set(0, u32::from(on), 0).map_err(|source| self.listeners.write(source))
    }

    /// How full the maps are.
    pub(crate) fn fill_levels(&self) -> Result<Vec<FillLevel>, MapError> {
        let used_hops = self.next_hops.entries()?.iter().filter(|hop| hop.interface() != 0).count();
        Ok(vec![
            self.owners.level(self.owners.entries()?.len(), self.owners.capacity()?),
            self.routes.level(self.routes.entries()?.len(), self.routes.capacity()?),
            self.next_hops.level(used_hops, self.next_hops.capacity()?),
            self.flows.level(self.flows.count()?, self.flows.capacity()?),
        ])
    }
}

// === impl Table ===

impl<M: TryFrom<Map, Error = aya::maps::MapError>> Table<M> {
    fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, MapError> {
        let map = ebpf.take_map(name).ok_or(MapError::Missing { name })?;
        let map = map.try_into().map_err(|source| MapError::Unexpected { name, source })?;
        Ok(Self { name, map })
    }
}

impl<M> Table<M> {
    fn read(&self, source: aya::maps::MapError) -> MapError {
        MapError::Read { name: self.name, source }
    }

    fn write(&self, source: aya::maps::MapError) -> MapError {
        MapError::Write { name: self.name, source }
    }

    fn level(&self, used: usize, capacity: u32) -> FillLevel {
        FillLevel { map: self.name, used: u32::try_from(used).unwrap_or(u32::MAX), capacity }
    }

    fn capacity_of(&self, map: &MapData) -> Result<u32, MapError> {
        Ok(map.info().map_err(|source| self.read(source))?.max_entries())
    }
}

impl<K: aya::Pod, V: aya::Pod> Table<HashMap<MapData, K, V>> {
    pub(crate) fn get(&self, key: &K) -> Result<Option<V>, MapError> {
        match self.map.get(key, 0) {
            Ok(value) => Ok(Some(value)),
            Err(aya::maps::MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(self.read(source)),
        }
    }

    pub(crate) fn insert(&mut self, key: &K, value: &V) -> Result<(), MapError> {
        self.map.insert(key, value, 0).map_err(|source| MapError::Write { name: self.name, source })
    }

    /// Removes an entry; one that is not there is no error.
    pub(crate) fn remove(&mut self, key: &K) -> Result<(), MapError> {
        match self.map.remove(key) {
            Ok(()) | Err(aya::maps::MapError::KeyNotFound) => Ok(()),
            Err(source) if is_not_found(&source) => Ok(()),
            Err(source) => Err(self.write(source)),
        }
    }

    pub(crate) fn entries(&self) -> Result<Vec<(K, V)>, MapError> {
        self.map.iter().collect::<Result<_, _>>().map_err(|source| self.read(source))
    }

    fn capacity(&self) -> Result<u32, MapError> {
        self.capacity_of(self.map.map())
    }
}

impl<K, V> Table<HashMap<MapData, K, V>>
where
    K: aya::Pod + zerocopy::FromBytes + zerocopy::IntoBytes,
    V: aya::Pod + zerocopy::FromBytes + zerocopy::IntoBytes,
{
    /// Gives all entries to `look`, many at a time. What comes and goes meanwhile may or may not be among them.
    pub(crate) fn for_each_batch<E: From<MapError>>(
        &self,
        mut look: impl FnMut(&[(K, V)]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut entries, mut cursor) = (Vec::with_capacity(BATCH), Cursor::default());
        loop {
            entries.clear();
            let read = syscall::read_batch(self.map.map().fd(), &mut cursor, BATCH, &mut entries);
            let more = read.map_err(|source| MapError::Batch { name: self.name, source })?;
            look(&entries)?;
            if !more {
                return Ok(());
            }
        }
    }

    /// How many entries there are.
    fn count(&self) -> Result<usize, MapError> {
        let mut count = 0;
        self.for_each_batch(|batch| {
            count += batch.len();
            Ok::<(), MapError>(())
        })?;
        Ok(count)
    }
}

impl<V: aya::Pod> Table<LpmTrie<MapData, IpAddress, V>> {
    pub(crate) fn insert(&mut self, bits: u32, address: IpAddress, value: V) -> Result<(), MapError> {
        let key = Key::new(bits, address);
        self.map.insert(&key, value, 0).map_err(|source| MapError::Write { name: self.name, source })
    }

    /// Removes a prefix; one that is not there is no error.
    pub(crate) fn remove(&mut self, bits: u32, address: IpAddress) -> Result<(), MapError> {
        match self.map.remove(&Key::new(bits, address)) {
            Ok(()) | Err(aya::maps::MapError::KeyNotFound) => Ok(()),
            Err(source) if is_not_found(&source) => Ok(()),
            Err(source) => Err(self.write(source)),
        }
    }

    /// All prefixes: bits, address, value.
    pub(crate) fn entries(&self) -> Result<Vec<(u32, IpAddress, V)>, MapError> {
        let entries = self.map.iter().map(|entry| entry.map(|(key, value)| (key.prefix_len(), key.data(), value)));
        entries.collect::<Result<_, _>>().map_err(|source| self.read(source))
    }

    fn capacity(&self) -> Result<u32, MapError> {
        self.capacity_of(self.map.map())
    }
}

impl<V: aya::Pod> Table<Array<MapData, V>> {
    pub(crate) fn get(&self, index: u32) -> Result<V, MapError> {
        self.map.get(&index, 0).map_err(|source| self.read(source))
    }

    pub(crate) fn set(&mut self, index: u32, value: V) -> Result<(), MapError> {
        self.map.set(index, value, 0).map_err(|source| MapError::Write { name: self.name, source })
    }

    pub(crate) fn entries(&self) -> Result<Vec<V>, MapError> {
        (0..self.capacity()?).map(|index| self.get(index)).collect()
    }

    pub(crate) fn capacity(&self) -> Result<u32, MapError> {
        Ok(self.map.len())
    }
}

impl<V: aya::Pod + std::iter::Sum> Table<PerCpuArray<MapData, V>> {
    /// One counter over all CPUs.
    fn sum(&self, index: u32) -> Result<V, MapError> {
        Ok(self.map.get(&index, 0).map_err(|source| self.read(source))?.iter().copied().sum())
    }
}

/// aya gives a missing key as a failed system call where it removes one.
fn is_not_found(error: &aya::maps::MapError) -> bool {
    matches!(error, aya::maps::MapError::SyscallError(error) if error.io_error.kind() == std::io::ErrorKind::NotFound)
}
