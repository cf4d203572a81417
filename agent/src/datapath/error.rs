//! What can go wrong with the datapath.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use aya::EbpfError;
use aya::programs::ProgramError;
use ipnetwork::IpNetwork;

use crate::maps::{MapError, PinError};
use crate::rights::MissingRights;

/// The datapath did not do what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// This process may not load programs.
    #[error("cannot load the kernel programs")]
    Rights(#[from] MissingRights),
    /// The pinned maps cannot be taken over.
    #[error(transparent)]
    Pins(#[from] PinError),
    /// The object's maps could not be created.
    #[error("cannot create the maps of the kernel programs")]
    Load {
        /// Why.
        #[source]
        source: EbpfError,
    },
    /// The object has no such program: it was built from other sources than this agent.
    #[error("the kernel object has no program `{program}`")]
    Missing {
        /// The program.
        program: &'static str,
    },
    /// The kernel refused the program.
    #[error("the kernel refuses the program `{program}`")]
    Refused {
        /// The program.
        program: &'static str,
        /// Why, with the verifier's log.
        #[source]
        source: ProgramError,
    },
    /// The kernel did not run the program.
    #[error("cannot run the program `{program}`")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: ProgramError,
    },
    /// The program could not be attached to a network interface.
    #[error("cannot attach `{program}` to interface {interface}")]
    Attach {
        /// The program.
        program: &'static str,
        /// The interface's index.
        interface: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A link could not be pinned, or a pin not removed.
    #[error("cannot {action} {}", .path.display())]
    Pin {
        /// `pin a link at`, `remove`, ...
        action: &'static str,
        /// The pin.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A map could not be read or changed.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Pods of a node can be reached only by an address of that node of the same family.
    #[error("the pod network {network} has no next hop: its node has no address of that family")]
    NoNextHop {
        /// The pod network.
        network: IpNetwork,
    },
    /// There are more neighbours than the map has room for.
    #[error("no room for the next hop {address}: the map has {capacity} entries; configure a larger one")]
    TooManyNextHops {
        /// The neighbour.
        address: IpAddr,
        /// The map's size.
        capacity: u32,
    },
    /// The uplink must be known first.
    #[error("cannot add a node before the uplink is known")]
    NoUplink,
    /// Somebody else reads the events.
    #[error("the events are being read already")]
    EventsTaken,
}
