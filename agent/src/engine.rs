//! The agent's centre: endpoints, programs and routes of the node, changed by requests of the plugin ([`attach`]), by
//! what the cluster and the kernel tell ([`converge`]), and shown to people ([`describe`]).
//!
//! It is used from several threads. What takes long, making interfaces and attaching programs, holds no lock on the
//! endpoints; two calls for one attachment follow each other.

mod attach;
mod busy;
mod converge;
mod describe;
mod start;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnetwork::IpNetwork;

pub use converge::Converged;
pub use describe::{DescribedEndpoint, Description};
pub use start::StartError;

use self::busy::Busy;
use crate::desired::{Known, MasqueradeSettings};
use crate::endpoints::Endpoints;
use crate::node::NodeView;
use crate::programs::Programs;
use crate::sysctl::Sysctl;
use crate::wiring::Common;

/// What of the settings the engine needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The journal of endpoints.
    pub journal: PathBuf,
    /// The uplink, when it is not to be found out.
    pub uplink: Option<String>,
    /// The largest packet of pods in bytes, when it is not the uplink's.
    pub mtu: Option<u32>,
    /// Ports of the masquerade; none: pods speak to the outside under their own addresses.
    pub masquerade_ports: Option<RangeInclusive<u16>>,
    /// Destinations outside the cluster that know a way to pods.
    pub exclusions: Vec<IpNetwork>,
    /// How long a freed address stays unused.
    pub reuse_delay: Duration,
    /// The node's kernel settings.
    pub sysctl: Sysctl,
}

/// See the [module](self).
pub struct Engine {
    options: Options,
    endpoints: Mutex<Endpoints>,
    programs: Mutex<Box<dyn Programs>>,
    site: Mutex<Site>,
    busy: Busy,
}

/// What is known of the surroundings, and what came of it.
#[derive(Clone, Debug, Default)]
struct Site {
    known: Known,
    /// Whether every watch has brought its first list.
    is_synced: bool,
    /// What all pairs have in common; none before the uplink is known.
    common: Option<Common>,
    /// What is wrong at present, for people.
    complaints: Vec<String>,
}

// === impl Engine ===

impl Engine {
    /// Tells the engine about the cluster: this node, if it is known, and all nodes. `is_synced` says that the list is
    /// whole. [`converge`](Self::converge) acts upon it.
    pub fn set_nodes(&self, own: Option<NodeView>, nodes: Vec<NodeView>, is_synced: bool) {
        let networks = own.as_ref().map(|own| own.pod_networks.clone());
        {
            let mut site = self.site();
            site.known.own = own;
            site.known.nodes = nodes;
            site.is_synced = is_synced;
        }
        if let Some(networks) = networks {
            self.endpoints().set_networks(&networks);
        }
    }

    /// Removes flows that are over from the kernel's table.
    pub fn collect_garbage(&self) {
        match self.programs().collect_garbage() {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, "flows are over"),
            Err(problem) => tracing::warn!(error = format!("{problem:#}"), "flows that are over stay in the table"),
        }
    }

    fn masquerade_settings(&self) -> Option<MasqueradeSettings> {
        let ports = self.options.masquerade_ports.clone()?;
        Some(MasqueradeSettings { ports, exclusions: self.options.exclusions.clone() })
    }

    fn endpoints(&self) -> MutexGuard<'_, Endpoints> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn programs(&self) -> MutexGuard<'_, Box<dyn Programs>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).finish_non_exhaustive()
    }
}
