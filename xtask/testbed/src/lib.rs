//! Cluster nodes, pods and clients as namespaces of one machine.
//!
//! A [`Topology`] is a set of [`Host`]s on one fabric: [`Node`]s with all the namespaces that make a machine, [`Pod`]s
//! on them, a client outside the cluster, a server for the control plane. Tests build one for themselves; `cargo xtask
//! up` builds one that stays.
//!
//! ```no_run
//! use testbed::{Profile, Topology};
//!
//! let topology = Topology::builder("ping").profile(Profile::Wire).nodes(3).pods_per_node(2).client().build()?;
//! let listener = topology.node(2).run(|| std::net::TcpListener::bind("[::]:80"))?;
//! let uptime = topology.node(1).command("uptime")?.output()?;
//! topology.node(3).cut_off()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! - The machine's own network is not touched. What is on the machine are named bind mounts below `/run/netns`, one
//!   cgroup in each hierarchy and one data folder, all with the topology's name (see [`ClusterName`]).
//! - A topology is gone after its guard is dropped, also by a panic. When its process is killed, PID 1 of every node
//!   ends at once and with it all processes there (of a frozen node they wait to be killed); the rest goes with the next
//!   build of a topology.
//! - Topologies run side by side, also those of several processes, and do not see each other.
//!
//! # Assumptions
//! Root on Linux 5.14 or newer ([`requirement::check`] says what is missing).

mod address;
mod cgroup;
mod cleanup;
pub mod containerd;
mod daemon;
mod fabric;
mod host;
mod identity;
mod link;
mod name;
mod namespace;
mod node;
mod offload;
mod process;
pub mod requirement;
mod topology;

pub use address::{Addresses, MAX_NODES, MAX_PODS_PER_NODE, POD_GATEWAY_IPV4, POD_GATEWAY_IPV6, pod_networks};
pub use cgroup::{Cgroup, CgroupError};
pub use cleanup::{CleanupError, Failure, remove};
pub use daemon::{Daemon, DaemonCommand, DaemonError, Stopped};
pub use fabric::{Profile, WiringError};
pub use host::Host;
pub use identity::{InvalidIdentity, ProcessIdentity};
pub use link::{LinkError, Links, MacAddress, Mtu, NextHop, VethEnd};
pub use name::{ClusterName, HostName, InvalidName, Role};
pub use namespace::{NamespaceError, NetworkNamespace};
pub use node::{BootError, MountError, Node, NodeError, Pod};
pub use offload::{Offload, OffloadError};
pub use process::{CommandError, HostCommand, Process};
pub use topology::{Topology, TopologyBuilder, TopologyError};
