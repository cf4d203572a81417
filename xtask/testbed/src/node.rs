//! A node: a host with mount, UTS, PID and cgroup namespaces of its own, and what can befall a machine.

mod init;
mod mounts;

use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

pub use init::BootError;
pub(crate) use init::{Blueprint, Init, join};
pub use mounts::MountError;

use crate::cgroup::{Cgroup, CgroupError};
use crate::fabric::{Fabric, Wiring, WiringError};
use crate::host::{Host, Machine};
use crate::name::{HostName, Role};
use crate::namespace::NetworkNamespace;
use crate::process::{Entrance, HostCommand};

/// A machine of the cluster: one of its nodes, or the server.
///
/// It has its own host name, PID 1, process table, mount table (`/run`, `/etc`, `/opt`, `/var/lib`, a bpffs on
/// `/sys/fs/bpf`), cgroup root and network; everything else it shares with the machine.
#[derive(Debug)]
pub struct Node {
    host: Host,
    machine: Arc<Machine>,
    pods: Vec<Pod>,
    fabric: Arc<Fabric>,
    wiring: Wiring,
    /// Other nodes that have pods to route to.
    neighbours: Vec<u8>,
}

/// A pod of a node: a network namespace joined to it by a veth pair, and a cgroup in the node's.
///
/// Programs started in it see the node's files and processes.
#[derive(Debug)]
pub struct Pod {
    host: Host,
    /// Number on its node, from 1.
    number: u8,
}

/// What could not be done to a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its network.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// Its namespaces or PID 1.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// It survived its death.
    #[error("cannot kill PID 1 of {name}: {source}")]
    Kill {
        /// Name of the node.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

// === impl Node ===

impl Node {
    pub(crate) fn new(
        host: Host,
        machine: Arc<Machine>,
        pods: Vec<Pod>,
        fabric: Arc<Fabric>,
        wiring: Wiring,
        neighbours: Vec<u8>,
    ) -> Self {
        Self { host, machine, pods, fabric, wiring, neighbours }
    }

    /// Its pods.
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// Its pod with this number, from 1.
    ///
    /// # Panics
    /// When there is no such pod.
    pub fn pod(&self, number: u8) -> &Pod {
        &self.pods[usize::from(number) - 1]
    }

    /// Process id of its PID 1, as the machine sees it.
    ///
    /// # Errors
    /// When the node is down.
    pub fn init_process(&self) -> Result<u32, BootError> {
        Ok(self.machine.init()?.process())
    }

    /// The node's file system as a folder of the machine.
    ///
    /// # Errors
    /// When the node is down.
    pub fn root(&self) -> Result<PathBuf, BootError> {
        Ok(PathBuf::from(format!("/proc/{}/root", self.init_process()?)))
    }

    /// The folder of the machine that keeps what the node writes.
    pub fn data(&self) -> PathBuf {
        self.machine.blueprint.data.clone()
    }

    /// Cuts the node off: the network drops what it sends and what is sent to it, and tells nobody. Links stay up.
    pub fn cut_off(&self) -> Result<(), NodeError> {
        Ok(self.fabric.set_connected(self.host.name(), false)?)
    }

    /// Connects a node that was cut off.
    ///
    /// # Errors
    /// When the node is down: its kernel would answer for the dead.
    pub fn reconnect(&self) -> Result<(), NodeError> {
        self.machine.init()?;
        Ok(self.fabric.set_connected(self.host.name(), true)?)
    }

    /// Stops every process of the node where it stands. Its kernel goes on: it forwards packets and answers pings.
    pub fn freeze(&self) -> Result<(), NodeError> {
        Ok(self.host.cgroup().freeze()?)
    }

    /// Lets a frozen node go on.
    pub fn thaw(&self) -> Result<(), NodeError> {
        Ok(self.host.cgroup().thaw()?)
    }

    /// Ends the node as a power failure does: nobody hears a last word from its sockets, and only what it wrote to
    /// `/etc`, `/opt` and `/var/lib` is still there when it is booted again.
    pub fn kill(&self) -> Result<(), NodeError> {
        let init = self.machine.init()?;
        self.cut_off()?;
        let killed = init.kill();
        killed.map_err(|source| NodeError::Kill { name: self.host.name().to_string(), source })?;
        self.machine.set_init(None);
        Ok(self.clear_cgroup()?)
    }

    /// Starts a node that was killed, or whose PID 1 has ended, with a new network namespace; its pods get new ones
    /// too. A node that runs is left alone.
    pub fn boot(&self) -> Result<(), NodeError> {
        if self.machine.init().is_ok() {
            return Ok(());
        }
        self.clear_cgroup()?;
        self.fabric.unplug(self.host.name())?;
        for host in [&self.host].into_iter().chain(self.pods.iter().map(|pod| &pod.host)) {
            host.replace_network(crate::fabric::new_network(host.name())?);
        }
        self.start()
    }

    /// Where programs of the node live, apart from its pods.
    pub(crate) fn daemon_cgroup(&self) -> Cgroup {
        self.machine.blueprint.daemon_cgroup()
    }

    /// A command that starts the program it is given as a child of PID 1.
    pub(crate) fn starter(&self, cgroup: Cgroup) -> Result<HostCommand, BootError> {
        let entrance = Entrance { cgroup, ..self.host.entrance()? };
        Ok(HostCommand::new(entrance, init::program_in_memory()?).clean_env().arg("start"))
    }

    /// Kills what is left of the node and removes its cgroup, with the programs that are attached to it.
    fn clear_cgroup(&self) -> Result<(), CgroupError> {
        self.host.cgroup().kill()?;
        self.host.cgroup().remove()
    }

    /// Connects the node and its pods, and starts PID 1.
    pub(crate) fn start(&self) -> Result<(), NodeError> {
        let network = self.host.network();
        self.fabric.plug_in(&self.host, self.wiring)?;
        crate::fabric::route_to_pods(&network, &self.neighbours)?;
        self.machine.set_init(Some(self.machine.blueprint.boot(&network)?));
        for pod in &self.pods {
            pod.host.cgroup().create()?;
            pod.attach_to(&network, self.wiring)?;
        }
        Ok(())
    }
}

impl Deref for Node {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

// === impl Pod ===

impl Pod {
    pub(crate) fn new(host: Host, number: u8) -> Self {
        Self { host, number }
    }

    /// Name of the veth pair's end in the node.
    pub fn node_interface(&self) -> String {
        format!("pod{}", self.number)
    }

    fn attach_to(&self, node: &NetworkNamespace, wiring: Wiring) -> Result<(), WiringError> {
        crate::fabric::attach_pod(node, &self.node_interface(), &self.host, wiring)
    }
}

impl Deref for Pod {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

/// Name of the cgroup of a host below its cluster's, or of a pod below its node's.
pub(crate) fn cgroup_name(name: &HostName) -> String {
    match name.role() {
        Role::Pod { pod, .. } => format!("pod{pod}"),
        role => role.to_string(),
    }
}
