//! Maps that outlive the agent: where they are pinned, which version of them this agent knows, and whether what is
//! pinned has the sizes that the programs expect (aya takes a pinned map as it is).

use std::io;
use std::path::{Path, PathBuf};

use aya::EbpfLoader;
use aya::maps::{Array, MapData, MapType};

use super::tables::{
    DROPS, EVENTS, EVENTS_LOST, FLOWS, FRAGMENTS, LISTENERS, MASQUERADE, NEXT_HOPS, OWNERS, ROUTES, TRAFFIC,
};

/// The version of keys, values and meaning of all maps together. One more for every change that an older or newer
/// agent would read wrongly.
const SCHEMA_VERSION: u32 = 1;

/// The map that holds the version; it is pinned first and read first.
const SCHEMA: &str = "SCHEMA";

/// How many entries the maps have room for. Maps that exist keep their size, see [`Resized`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Addresses of local pods, of nodes and of pods that policy names.
    pub owners: u32,
    /// Prefixes: one for each node and family, and the exclusions from masquerade.
    pub routes: u32,
    /// Neighbours: one for each node and family.
    pub next_hops: u32,
    /// Conversations that are translated or judged, two entries for a translated one. 163 MB for a million.
    pub flows: u32,
    /// Packets whose fragments are under way.
    pub fragments: u32,
    /// Bytes for events that nobody has read yet, a power of two of at least 4,096.
    pub events: u32,
}

/// A pinned map that has another size than the configuration asks for. It was kept, with what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resized {
    /// The map.
    pub map: &'static str,
    /// The entries that it has room for.
    pub actual: u32,
    /// The entries that the configuration asks for.
    pub configured: u32,
}

/// Pinned maps could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The folder could not be made, or is on another file system.
    #[error("cannot use the folder {}: {source}; it must be on a BPF file system (mount -t bpf bpf /sys/fs/bpf)", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The maps are another version's.
    #[error(
        "the maps in {} are of schema version {found}, this agent knows {known}: run the agent that made them, or take \
         them away with `sheave-agent cleanup`",
        .path.display()
    )]
    Schema {
        /// The folder.
        path: PathBuf,
        /// The version of the maps.
        found: u32,
        /// The version of this agent.
        known: u32,
    },
    /// The version could not be read or written.
    #[error("cannot read the schema version in {}", .path.display())]
    Version {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: aya::maps::MapError,
    },
    /// A pinned map could not be opened.
    #[error("cannot open the pinned map {}", .path.display())]
    Open {
        /// Where it is pinned.
        path: PathBuf,
        /// Why.
        #[source]
        source: aya::maps::MapError,
    },
    /// A pinned map is another map than the programs expect.
    #[error(
        "the pinned map {} is a {actual}, the programs expect a {expected}: take it away with `sheave-agent cleanup`",
        .path.display()
    )]
    Shape {
        /// Where it is pinned.
        path: PathBuf,
        /// What it is.
        actual: String,
        /// What it should be.
        expected: String,
    },
}

/// What a map must be: its type, and the sizes of key and value in bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Shape {
    map_type: MapType,
    key: u32,
    value: u32,
}

/// A map that is pinned.
struct Pinned {
    name: &'static str,
    shape: Shape,
    /// What the configuration says; nothing for a map whose size is the programs' own.
    entries: fn(&Sizes) -> Option<u32>,
}

const fn shape<K, V>(map_type: MapType) -> Shape {
    #[expect(clippy::cast_possible_truncation, reason = "tens of bytes")]
    Shape { map_type, key: size_of::<K>() as u32, value: size_of::<V>() as u32 }
}

const PINNED: [Pinned; 11] = {
    use dataplane_common::{
        FlowEntry, FlowKey, FragmentKey, FragmentPorts, IpAddress, Masquerade, NextHop, Owner, PacketCount, Route,
        Traffic,
    };
    const fn fixed(_: &Sizes) -> Option<u32> {
        None
    }
    [
        Pinned { name: OWNERS, shape: shape::<IpAddress, Owner>(MapType::Hash), entries: |sizes| Some(sizes.owners) },
        Pinned { name: ROUTES, shape: shape::<[u8; 20], Route>(MapType::LpmTrie), entries: |sizes| Some(sizes.routes) },
        Pinned {
            name: NEXT_HOPS,
            shape: shape::<u32, NextHop>(MapType::Array),
            entries: |sizes| Some(sizes.next_hops),
        },
        Pinned { name: FLOWS, shape: shape::<FlowKey, FlowEntry>(MapType::Hash), entries: |sizes| Some(sizes.flows) },
        Pinned {
            name: FRAGMENTS,
            shape: shape::<FragmentKey, FragmentPorts>(MapType::LruHash),
            entries: |sizes| Some(sizes.fragments),
        },
        Pinned { name: MASQUERADE, shape: shape::<u32, Masquerade>(MapType::Hash), entries: fixed },
        Pinned { name: TRAFFIC, shape: shape::<u32, Traffic>(MapType::PerCpuArray), entries: fixed },
        Pinned { name: DROPS, shape: shape::<u32, PacketCount>(MapType::PerCpuArray), entries: fixed },
        Pinned { name: EVENTS, shape: shape::<(), ()>(MapType::RingBuf), entries: |sizes| Some(sizes.events) },
        Pinned { name: EVENTS_LOST, shape: shape::<u32, PacketCount>(MapType::PerCpuArray), entries: fixed },
        Pinned { name: LISTENERS, shape: shape::<u32, u32>(MapType::Array), entries: fixed },
    ]
};

/// Where a map is pinned.
fn pinned_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(name.to_ascii_lowercase())
}

/// Makes the folder if it is not there, and compares the version of the maps in it; an empty one gets this version.
pub(crate) fn check_schema(folder: &Path) -> Result<(), PinError> {
    let unusable = |source| PinError::Folder { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let version = |source| PinError::Version { path: folder.to_owned(), source };
    let path = pinned_path(folder, SCHEMA);
    let mut map = open_or_create_version(&path).map_err(|error| match error {
        aya::maps::MapError::PinError { error: aya::pin::PinError::SyscallError(error), .. } => {
            unusable(error.io_error)
        }
        error => version(error),
    })?;
    match map.get(&0, 0).map_err(version)? {
        // An agent that was killed between making the map and writing it.
        0 => map.set(0, SCHEMA_VERSION, 0).map_err(version),
        SCHEMA_VERSION => Ok(()),
        found => Err(PinError::Schema { path: folder.to_owned(), found, known: SCHEMA_VERSION }),
    }
}

fn open_or_create_version(path: &Path) -> Result<Array<MapData, u32>, aya::maps::MapError> {
    if path.exists() {
        return aya::maps::Map::Array(MapData::from_pin(path)?).try_into();
    }
    let map = Array::<MapData, u32>::create(1, 0)?;
    let named = |error| aya::maps::MapError::PinError { name: Some(SCHEMA.to_owned()), error };
    map.pin(path).map_err(named)?;
    aya::maps::Map::Array(MapData::from_pin(path)?).try_into()
}

/// Compares the pinned maps with what the programs expect, and tells the loader sizes and places. Returns the maps that
/// keep another size than configured.
pub(crate) fn check_shapes<'a>(
    folder: &Path,
    sizes: &Sizes,
    loader: &mut EbpfLoader<'a>,
) -> Result<Vec<Resized>, PinError> {
    let mut resized = Vec::new();
    for pinned in &PINNED {
        let path = pinned_path(folder, pinned.name);
        let configured = (pinned.entries)(sizes);
        if path.exists() {
            let actual = pinned.entries_of(&path)?;
            let other = configured.filter(|configured| *configured != actual);
            resized.extend(other.map(|configured| Resized { map: pinned.name, actual, configured }));
        }
        if let Some(entries) = configured {
            loader.map_max_entries(pinned.name, entries);
        }
        loader.map_pin_path(pinned.name, path);
    }
    Ok(resized)
}

// === impl Pinned ===

impl Pinned {
    /// The size of the map pinned at `path`, which must be what is expected.
    fn entries_of(&self, path: &Path) -> Result<u32, PinError> {
        let open = |source| PinError::Open { path: path.to_owned(), source };
        let info = MapData::from_pin(path).and_then(|map| map.info()).map_err(open)?;
        let actual = Shape { map_type: info.map_type().map_err(open)?, key: info.key_size(), value: info.value_size() };
        if actual != self.shape {
            let (actual, expected) = (actual.to_string(), self.shape.to_string());
            return Err(PinError::Shape { path: path.to_owned(), actual, expected });
        }
        Ok(info.max_entries())
    }
}

// === impl Sizes ===

impl Default for Sizes {
    /// Room for 1,000 nodes, 1,000 pods on this node, and 128,000 conversations with the outside (43 MB in all).
    fn default() -> Self {
        Self { owners: 16_384, routes: 4_096, next_hops: 4_096, flows: 262_144, fragments: 8_192, events: 262_144 }
    }
}

// === impl Shape ===

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} map with keys of {} and values of {} bytes", self.map_type, self.key, self.value)
    }
}
