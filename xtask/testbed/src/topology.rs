//! Topologies: nodes, pods, a server and a client on one fabric, built in one go and gone with their guard.

mod builder;

use std::path::Path;
use std::sync::Arc;

pub use builder::TopologyBuilder;

use crate::address::{MAX_NODES, MAX_PODS_PER_NODE};
use crate::cgroup::{CgroupError, Hierarchies};
use crate::cleanup::Remains;
use crate::fabric::{Fabric, WiringError};
use crate::host::{Host, Machine};
use crate::link::Mtu;
use crate::name::{ClusterName, HostName, InvalidName, Role};
use crate::namespace::{NamespaceError, NetworkNamespace};
use crate::node::{Blueprint, Node, NodeError, Pod, cgroup_name};

/// A running topology.
///
/// Dropping it ends every process in it, and removes its namespaces, cgroups, mounts and folders; so does a panic, and
/// what a killed process leaves is removed by the next build of a topology. One built with
/// [`TopologyBuilder::persistent`] stays until [`crate::remove`].
#[derive(Debug)]
pub struct Topology {
    name: ClusterName,
    /// First of the guards, because what it kills keeps the others' things in use.
    remains: Remains,
    nodes: Vec<Node>,
    server: Option<Node>,
    client: Option<Host>,
    fabric: Arc<Fabric>,
}

/// Why there is no topology.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Its name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// More nodes or pods than there are addresses.
    #[error("{asked} {things} asked for, {most} is the most: the address plan ends there")]
    TooMany {
        /// `nodes` or `pods per node`.
        things: &'static str,
        /// How many were asked for.
        asked: usize,
        /// How many there can be.
        most: u8,
    },
    /// A persistent topology with this name runs.
    #[error("a topology {name} exists already: remove it first, or take another name")]
    Exists {
        /// Its name.
        name: ClusterName,
    },
    /// No topology with this name runs.
    #[error("there is no topology {name}")]
    Missing {
        /// Its name.
        name: ClusterName,
    },
    /// The machine's cgroups.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The fabric, the server or the client.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// A namespace that should be there.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A node or the server.
    #[error("{role}: {source}")]
    Node {
        /// Which.
        role: Role,
        /// What went wrong there.
        #[source]
        source: NodeError,
    },
}

// === impl Topology ===

impl Topology {
    /// A topology with this label; it belongs to this process. Nothing is made before [`TopologyBuilder::build`].
    pub fn builder(label: &str) -> TopologyBuilder {
        TopologyBuilder::new(label)
    }

    /// Opens a persistent topology that this or another process built. `data` is the folder it was built with.
    pub fn open(name: &ClusterName, data: &Path) -> Result<Self, TopologyError> {
        let hierarchies = Hierarchies::discover()?;
        let fabric = Fabric::open(name).map_err(|_| TopologyError::Missing { name: name.clone() })?;
        let opener = Opener { name, data, hierarchies: &hierarchies, fabric: Arc::new(fabric) };
        let hosts = crate::namespace::names();
        let mut roles: Vec<Role> = hosts
            .iter()
            .filter_map(|host| HostName::parse(host))
            .filter(|host| host.cluster() == name)
            .map(|host| host.role())
            .collect();
        roles.sort_by_key(|role| match role {
            Role::Node(node) => (*node, 0),
            Role::Pod { node, pod } => (*node, *pod),
            Role::Fabric | Role::Server | Role::Client => (0, 0),
        });
        let nodes = roles.iter().filter(|role| matches!(role, Role::Node(_)));
        Ok(Self {
            nodes: nodes.map(|role| opener.node(*role, &roles)).collect::<Result<_, _>>()?,
            server: roles.contains(&Role::Server).then(|| opener.node(Role::Server, &roles)).transpose()?,
            client: roles.contains(&Role::Client).then(|| opener.plain(Role::Client)).transpose()?,
            remains: Remains::kept(name, data, &hierarchies),
            name: name.clone(),
            fabric: opener.fabric,
        })
    }

    /// Its name.
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// Whether it has a server and a client: a persistent one whose making was cut short lacks the client at least,
    /// which is made last.
    pub fn is_whole(&self) -> bool {
        self.server.is_some() && self.client.is_some()
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with this number, from 1: its names end in `n1`, its addresses in 11.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn node(&self, number: u8) -> &Node {
        &self.nodes[usize::from(number) - 1]
    }

    /// The host outside the cluster.
    ///
    /// # Panics
    /// When it was built without one.
    #[expect(clippy::expect_used, reason = "documented: asking for what was not built is a mistake in the test")]
    pub fn client(&self) -> &Host {
        self.client.as_ref().expect("the topology was built without `client()`")
    }

    /// The machine of the control plane: like a node, but without pods.
    ///
    /// # Panics
    /// When it was built without one.
    #[expect(clippy::expect_used, reason = "documented: asking for what was not built is a mistake in the test")]
    pub fn server(&self) -> &Node {
        self.server.as_ref().expect("the topology was built without `server()`")
    }

    /// The bridge's namespace: its ports are called like the hosts (`n1`, `client`), captures there see everything.
    pub fn fabric(&self) -> &NetworkNamespace {
        self.fabric.network()
    }

    /// Changes the MTU of a host's uplink, at both ends.
    pub fn set_mtu(&self, host: &Host, mtu: Mtu) -> Result<(), WiringError> {
        self.fabric.set_mtu(host, mtu)
    }

    /// Ends the topology, like dropping it, and says what could not be removed.
    pub fn remove(mut self) -> Result<(), crate::cleanup::CleanupError> {
        self.remains.remove()
    }
}

/// Puts a topology's parts together again from what the machine shows.
struct Opener<'a> {
    name: &'a ClusterName,
    data: &'a Path,
    hierarchies: &'a Hierarchies,
    fabric: Arc<Fabric>,
}

// === impl Opener ===

impl Opener<'_> {
    fn plain(&self, role: Role) -> Result<Host, TopologyError> {
        let name = HostName::new(self.name, role);
        let network = NetworkNamespace::open(name.to_string())?;
        let cgroup = crate::cleanup::cgroup_of(self.name, self.hierarchies).child(&cgroup_name(&name));
        Ok(Host::new(name, network, cgroup, None))
    }

    fn node(&self, role: Role, roles: &[Role]) -> Result<Node, TopologyError> {
        let name = HostName::new(self.name, role);
        let machine = Arc::new(Machine::new(blueprint(&name, self.data, self.hierarchies, false)));
        machine.set_init(machine.blueprint.find().ok());
        let cgroup = machine.blueprint.cgroup.clone();
        let pods = roles.iter().filter_map(|of| match of {
            Role::Pod { node, pod } if Role::Node(*node) == role => Some((*pod, HostName::new(self.name, *of))),
            _ => None,
        });
        let pods = pods.map(|(pod, name)| {
            let network = NetworkNamespace::open(name.to_string())?;
            let cgroup = cgroup.child(&cgroup_name(&name));
            Ok(Pod::new(Host::new(name, network, cgroup, Some(machine.clone())), pod))
        });
        let pods = pods.collect::<Result<Vec<_>, NamespaceError>>()?;
        let wiring = self.fabric.wiring_of(&name)?;
        let network = NetworkNamespace::open(name.to_string())?;
        let host = Host::new(name, network, cgroup, Some(machine.clone()));
        Ok(Node::new(host, machine, pods, self.fabric.clone(), wiring, nodes_with_pods(roles, role)))
    }
}

/// The other nodes that a node routes to pods of.
fn nodes_with_pods(roles: &[Role], own: Role) -> Vec<u8> {
    let with_pods = roles.iter().filter_map(|role| match role {
        Role::Pod { node, pod: 1 } if Role::Node(*node) != own => Some(*node),
        _ => None,
    });
    if matches!(own, Role::Node(_)) { with_pods.collect() } else { Vec::new() }
}

fn blueprint(name: &HostName, data: &Path, hierarchies: &Hierarchies, ends_with_us: bool) -> Blueprint {
    Blueprint {
        name: name.to_string(),
        data: data.join(name.role().to_string()),
        hierarchies: hierarchies.clone(),
        cgroup: crate::cleanup::cgroup_of(name.cluster(), hierarchies).child(&cgroup_name(name)),
        ends_with_us,
    }
}
