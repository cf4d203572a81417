//! What the agent's command line shows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dataplane_common::{DropReason, Hook};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Engine;
use crate::datapath::Events;
use crate::endpoint::Endpoint;
use crate::maps::FillLevel;
use crate::programs::Figures;

/// The agent's state, for people and scripts; the form of `sheave-agent status --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Version of the agent.
    pub version: String,
    /// Name of its node, once that is known.
    pub node: Option<String>,
    /// The networks of the node's pods.
    pub pod_networks: Vec<String>,
    /// Whether ADD can succeed, else why not.
    pub ready: Result<(), String>,
    /// Whether the API server has told all nodes.
    pub synced: bool,
    /// Name of the uplink.
    pub uplink: Option<String>,
    /// Addresses of the node.
    pub node_addresses: Vec<IpAddr>,
    /// The largest packet of pods, in bytes.
    pub mtu: Option<u32>,
    /// Addresses in use.
    pub addresses_used: usize,
    /// Pods that there are addresses for.
    pub address_capacity: u64,
    /// Ethernet addresses of the nodes that packets go to.
    pub next_hops: BTreeMap<IpAddr, Option<String>>,
    /// What is wrong.
    pub complaints: Vec<String>,
    /// How full the kernel's maps are.
    pub maps: Vec<DescribedMap>,
    /// Packets that the kernel programs dropped, by place and reason.
    pub drops: Vec<DescribedDrops>,
    /// The attached containers.
    pub endpoints: Vec<DescribedEndpoint>,
}

/// An attached container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribedEndpoint {
    /// What the agent remembers.
    #[serde(flatten)]
    pub endpoint: Endpoint,
}

/// A kernel map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedMap {
    /// Its name.
    pub name: String,
    /// Entries in use.
    pub used: u32,
    /// Entries that there is room for.
    pub capacity: u32,
}

/// Dropped packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedDrops {
    /// Where.
    pub hook: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub packets: u64,
}

// === impl Engine ===

impl Engine {
    /// The state at this moment.
    pub fn describe(&self) -> Description {
        let ready = self.status().map_err(|error| error.message);
        let figures = self.figures().unwrap_or_default();
        let next_hops = self.programs().next_hops().unwrap_or_default();
        let mac = |mac: [u8; 6]| crate::netlink::MacAddress(mac).to_string();
        let (site, endpoints) = (self.site().clone(), self.endpoints());
        Description {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: site.known.own.map(|own| own.name),
            pod_networks: endpoints.pool().networks().iter().map(ToString::to_string).collect(),
            ready,
            synced: site.is_synced,
            uplink: site.known.uplink.as_ref().map(|uplink| uplink.name.clone()),
            node_addresses: site.known.uplink.map(|uplink| uplink.addresses).unwrap_or_default(),
            mtu: site.common.map(|common| common.mtu),
            addresses_used: endpoints.pool().used(),
            address_capacity: u64::try_from(endpoints.pool().capacity()).unwrap_or(u64::MAX),
            next_hops: next_hops.into_iter().map(|hop| (hop.address, hop.mac.map(mac))).collect(),
            complaints: site.complaints,
            maps: figures.maps.iter().map(DescribedMap::from).collect(),
            drops: figures.drops.iter().map(DescribedDrops::from).collect(),
            endpoints: endpoints.iter().cloned().map(|endpoint| DescribedEndpoint { endpoint }).collect(),
        }
    }

    /// What is counted in the kernel.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn figures(&self) -> anyhow::Result<Figures> {
        self.programs().figures()
    }

    pub(crate) fn open_events(&self) -> anyhow::Result<Events> {
        self.programs().open_events()
    }

    pub(crate) fn close_events(&self, events: Events) {
        if let Err(error) = self.programs().close_events(events) {
            warn!(error = format!("{error:#}"), "the programs go on telling drops");
        }
    }
}

// === impl DescribedMap ===

impl From<&FillLevel> for DescribedMap {
    fn from(level: &FillLevel) -> Self {
        Self { name: level.map.to_owned(), used: level.used, capacity: level.capacity }
    }
}

// === impl DescribedDrops ===

impl From<&(Hook, DropReason, u64)> for DescribedDrops {
    fn from((hook, reason, packets): &(Hook, DropReason, u64)) -> Self {
        Self { hook: hook.label().to_owned(), reason: reason.label().to_owned(), packets: *packets }
    }
}
