//! The datapath: kernel programs, their maps and their places on interfaces, behind one door.
//!
//! # Guarantees
//! - Maps and links are pinned. Dropping a [`Datapath`], or killing its process, changes nothing about traffic; the next
//!   [`Datapath::open`] with the same folder takes over what is there, and swaps the programs one link at a time
//!   without a moment without one.
//! - A pod's interface passes nothing before [`Datapath::add_endpoint`] has returned, and nothing after
//!   [`Datapath::remove_endpoint`] has.
//! - Every operation can be repeated: it says what should be, and does what is missing.
//!
//! # Assumptions
//! - One process at a time works with a folder of pins.
//! - The calling thread is in the node's network namespace, where the interfaces are that are spoken of.
//! - The kernel forwards (`net.ipv4.ip_forward`, `net.ipv6.conf.all.forwarding`), and its routing table leads to pods
//!   of this node by their interfaces and to those of others by their nodes: expired packets and those too large are
//!   left to the stack, which sends the ICMP error; and the node's own sockets reach pods by it.
//! - Pods send everything to a link-local gateway with a static neighbour entry, whose hardware address is that of the
//!   pod's host-side interface.
//! - The ports of [`Masquerading`] are in `net.ipv4.ip_local_reserved_ports` and outside the NodePort range.

mod attachment;
mod endpoint;
mod error;
mod events;
mod flows;
mod masquerade;
mod node;
mod uplink;

use std::path::{Path, PathBuf};

use aya::programs::SchedClassifier;
use aya::{Ebpf, EbpfLoader};

pub use attachment::{AttachMode, cleanup};
pub use endpoint::Endpoint;
pub use error::DatapathError;
pub use events::Events;
pub use flows::{Collected, Flow};
pub use masquerade::Masquerading;
pub use node::{Neighbour, NodeRoute};
pub use uplink::Uplink;

use dataplane_common::{DropReason, Hook, Traffic};

use crate::maps::{self, FillLevel, MapError, Resized, Sizes, Tables};
use crate::object::OBJECT;
use crate::rights;

/// How the datapath is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder of the pins, on a BPF file system; made if it is not there. `/sys/fs/bpf/sheave` on a node.
    pub pins: PathBuf,
    /// Room in the maps. Those that exist keep their size, see [`Datapath::resized`].
    pub sizes: Sizes,
    /// How programs are attached.
    pub attach: AttachMode,
}

/// Kernel programs and maps, loaded and pinned. See the [module](self).
pub struct Datapath {
    ebpf: Ebpf,
    tables: Tables,
    pins: PathBuf,
    attach: AttachMode,
    resized: Vec<Resized>,
}

/// Programs of the object.
pub(crate) const FROM_POD: &str = "sheave_from_pod";
pub(crate) const FROM_UPLINK: &str = "sheave_from_uplink";
pub(crate) const COLLECT: &str = "sheave_collect";

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self { pins: PathBuf::from("/sys/fs/bpf/sheave"), sizes: Sizes::default(), attach: AttachMode::Auto }
    }
}

// === impl Datapath ===

impl Datapath {
    /// Loads the programs, makes the maps or takes over those that are pinned, and replaces the programs of links that
    /// are pinned by these. Nothing that is in the maps is touched.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Rights`] without the rights, [`DatapathError::Pins`] for maps of another schema version or
    /// shape, [`DatapathError::Load`] when the kernel refuses maps or programs. On an error everything goes on as before.
    pub fn open(config: Config) -> Result<Self, DatapathError> {
        rights::require(&rights::DATAPLANE)?;
        let Config { pins, sizes, attach } = config;
        maps::check_schema(&pins)?;
        let mut loader = EbpfLoader::new();
        let resized = maps::check_shapes(&pins, &sizes, &mut loader)?;
        let mut ebpf = loader.load(OBJECT).map_err(|source| DatapathError::Load { source })?;
        for name in [FROM_POD, FROM_UPLINK, COLLECT] {
            let program = classifier_mut(&mut ebpf, name)?;
            program.load().map_err(|source| DatapathError::Refused { program: name, source })?;
        }
        let tables = Tables::take(&mut ebpf)?;
        let mut datapath = Self { ebpf, tables, pins, attach, resized };
        datapath.replace_programs()?;
        Ok(datapath)
    }

    /// Maps that were there and keep another size than configured; they get the new one after
    /// [`cleanup`](Self::cleanup) only.
    pub fn resized(&self) -> &[Resized] {
        &self.resized
    }

    /// The folder of the pins.
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    /// Dropped packets since the maps were made, by hook and reason, without those that are 0.
    ///
    /// # Errors
    ///
    /// [`MapError`] when the kernel refuses a look-up.
    pub fn drops(&self) -> Result<Vec<(Hook, DropReason, u64)>, MapError> {
        self.tables.drops()
    }

    /// Packets that went on since the maps were made, by hook and path.
    ///
    /// # Errors
    ///
    /// [`MapError`] when the kernel refuses a look-up.
    pub fn traffic(&self) -> Result<Vec<(Hook, dataplane_common::Path, Traffic)>, MapError> {
        self.tables.traffic()
    }

    /// How full the maps are whose fill level can make trouble. Walks the flow table: for metrics, once in a while.
    ///
    /// # Errors
    ///
    /// [`MapError`] when the kernel refuses to read a map.
    pub fn fill_levels(&self) -> Result<Vec<FillLevel>, MapError> {
        self.tables.fill_levels()
    }

    /// Detaches all programs and removes all pins: pods have no network afterwards. [`cleanup`] does the same without
    /// loading anything first.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] names what could not be removed; the rest is.
    pub fn cleanup(self) -> Result<(), DatapathError> {
        let pins = self.pins.clone();
        drop(self);
        cleanup(&pins)
    }

    /// The program of this hook, for test runs.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Missing`] when the object was built from other sources.
    pub fn program(&self, hook: Hook) -> Result<&SchedClassifier, DatapathError> {
        classifier(&self.ebpf, program_of(hook))
    }
}

/// The program of a hook.
pub(crate) const fn program_of(hook: Hook) -> &'static str {
    match hook {
        Hook::Pod => FROM_POD,
        Hook::Uplink => FROM_UPLINK,
    }
}

pub(crate) fn classifier<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a SchedClassifier, DatapathError> {
    let program = ebpf.program(name).and_then(|program| program.try_into().ok());
    program.ok_or(DatapathError::Missing { program: name })
}

pub(crate) fn classifier_mut<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, DatapathError> {
    let program = ebpf.program_mut(name).and_then(|program| program.try_into().ok());
    program.ok_or(DatapathError::Missing { program: name })
}

impl std::fmt::Debug for Datapath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datapath").field("pins", &self.pins).field("attach", &self.attach).finish_non_exhaustive()
    }
}
