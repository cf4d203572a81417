//! Building a topology: what is asked for, and the order in which it comes about.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use super::{MAX_NODES, MAX_PODS_PER_NODE, Topology, TopologyError, blueprint};
use crate::cgroup::Hierarchies;
use crate::cleanup::{self, Remains};
use crate::fabric::{Fabric, Profile, Wiring, new_network};
use crate::host::{Host, Machine};
use crate::link::Mtu;
use crate::name::{ClusterName, HostName, Role};
use crate::node::{Node, NodeError, Pod, cgroup_name};

/// What a topology shall have.
#[derive(Clone, Debug)]
#[must_use = "nothing is made before `build`"]
pub struct TopologyBuilder {
    label: String,
    profile: Profile,
    mtu: Mtu,
    nodes: usize,
    pods_per_node: usize,
    client: bool,
    server: bool,
    data: Option<PathBuf>,
    persistent: bool,
}

/// What the parts of one topology have in common while they are made.
struct Site {
    name: ClusterName,
    data: PathBuf,
    hierarchies: Hierarchies,
    fabric: Arc<Fabric>,
    wiring: Wiring,
    pods_per_node: u8,
    persistent: bool,
}

// === impl TopologyBuilder ===

impl TopologyBuilder {
    pub(super) fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            profile: Profile::Wire,
            mtu: Mtu::ETHERNET,
            nodes: 0,
            pods_per_node: 0,
            client: false,
            server: false,
            data: None,
            persistent: false,
        }
    }

    /// How real the packets on the uplinks are; [`Profile::Wire`] unless said otherwise.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// MTU of every link; 1500 unless said otherwise.
    pub fn mtu(mut self, mtu: Mtu) -> Self {
        self.mtu = mtu;
        self
    }

    /// So many nodes.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// So many plain pods on each node: namespaces with the addresses of pods, and routes to them on every node.
    ///
    /// Without plain pods the nodes have no such routes: they are left to whoever connects real ones.
    pub fn pods_per_node(mut self, pods: usize) -> Self {
        self.pods_per_node = pods;
        self
    }

    /// A host outside the cluster.
    pub fn client(mut self) -> Self {
        self.client = true;
        self
    }

    /// A machine for the control plane.
    pub fn server(mut self) -> Self {
        self.server = true;
        self
    }

    /// The folder where nodes keep what they write; one below the machine's temporary folder unless said otherwise.
    /// It must not be on an overlay. It is removed with the topology.
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// Lets the topology outlive this process, under the plain label as its name.
    pub fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// Makes it all. On an error nothing of it stays.
    pub fn build(self) -> Result<Topology, TopologyError> {
        let nodes = at_most("nodes", self.nodes, MAX_NODES)?;
        let pods_per_node = at_most("pods per node", self.pods_per_node, MAX_PODS_PER_NODE)?;
        let (name, hierarchies) = (self.cluster_name()?, Hierarchies::discover()?);
        cleanup::sweep(&hierarchies);
        let data = self.data.unwrap_or_else(|| cleanup::default_data(&name));
        let mut remains = Remains::new(&name, &data, &hierarchies);
        cleanup::create_cgroup(&name, &hierarchies)?;
        let wiring = Wiring { profile: self.profile, mtu: self.mtu };
        let fabric = Arc::new(Fabric::create(&name, self.mtu)?);
        let site = Site { name, data, hierarchies, fabric, wiring, pods_per_node, persistent: self.persistent };
        let mut machines = site.machines(nodes, self.server)?;
        let server = if self.server { machines.pop() } else { None };
        let client = self.client.then(|| site.plain(Role::Client)).transpose()?;
        if self.persistent {
            remains.keep();
        }
        Ok(Topology { name: site.name, remains, nodes: machines, server, client, fabric: site.fabric })
    }

    fn cluster_name(&self) -> Result<ClusterName, TopologyError> {
        if !self.persistent {
            return Ok(ClusterName::of_this_run(&self.label)?);
        }
        let name = ClusterName::persistent(&self.label)?;
        let fabric = HostName::new(&name, Role::Fabric).to_string();
        if crate::namespace::names().contains(&fabric) {
            return Err(TopologyError::Exists { name });
        }
        Ok(name)
    }
}

// === impl Site ===

impl Site {
    /// All nodes, and last the server, side by side: most of the time goes into waiting for the kernel.
    fn machines(&self, nodes: u8, server: bool) -> Result<Vec<Node>, TopologyError> {
        let roles = (1..=nodes).map(Role::Node).chain(server.then_some(Role::Server));
        thread::scope(|scope| {
            let building: Vec<_> = roles.map(|role| (role, scope.spawn(move || self.machine(role, nodes)))).collect();
            let built = building.into_iter().map(|(role, thread)| match thread.join() {
                Ok(node) => node.map_err(|source| TopologyError::Node { role, source }),
                Err(panic) => std::panic::resume_unwind(panic),
            });
            // All are waited for before the first error counts, so that none is built while its remains are removed.
            built.collect::<Vec<_>>().into_iter().collect()
        })
    }

    fn machine(&self, role: Role, nodes: u8) -> Result<Node, NodeError> {
        let name = HostName::new(&self.name, role);
        let network = new_network(&name)?;
        let machine = Arc::new(Machine::new(blueprint(&name, &self.data, &self.hierarchies, !self.persistent)));
        let cgroup = machine.blueprint.cgroup.clone();
        let (pods, neighbours) = match role {
            Role::Node(number) => (self.pods(number, &machine)?, self.neighbours(number, nodes)),
            Role::Fabric | Role::Server | Role::Client | Role::Pod { .. } => Default::default(),
        };
        let host = Host::new(name, network, cgroup, Some(machine.clone()));
        let node = Node::new(host, machine, pods, self.fabric.clone(), self.wiring, neighbours);
        node.start()?;
        Ok(node)
    }

    fn pods(&self, node: u8, machine: &Arc<Machine>) -> Result<Vec<Pod>, NodeError> {
        let pods = (1..=self.pods_per_node).map(|pod| {
            let name = HostName::new(&self.name, Role::Pod { node, pod });
            let cgroup = machine.blueprint.cgroup.child(&cgroup_name(&name));
            Ok(Pod::new(Host::new(name.clone(), new_network(&name)?, cgroup, Some(machine.clone())), pod))
        });
        pods.collect()
    }

    /// The nodes that a node routes to pods of.
    fn neighbours(&self, number: u8, nodes: u8) -> Vec<u8> {
        let others = (1..=nodes).filter(|other| *other != number);
        if self.pods_per_node > 0 { others.collect() } else { Vec::new() }
    }

    fn plain(&self, role: Role) -> Result<Host, TopologyError> {
        let name = HostName::new(&self.name, role);
        let network = new_network(&name)?;
        let cgroup = cleanup::cgroup_of(&self.name, &self.hierarchies).child(&cgroup_name(&name));
        cgroup.create()?;
        let host = Host::new(name, network, cgroup, None);
        self.fabric.plug_in(&host, self.wiring)?;
        Ok(host)
    }
}

fn at_most(things: &'static str, asked: usize, most: u8) -> Result<u8, TopologyError> {
    let within = u8::try_from(asked).ok().filter(|asked| *asked <= most);
    within.ok_or(TopologyError::TooMany { things, asked, most })
}
