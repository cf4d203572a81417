//! A host: something with a network namespace and addresses, that programs and sockets can be put into.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::address::Addresses;
use crate::cgroup::Cgroup;
use crate::name::{HostName, Role};
use crate::namespace::NetworkNamespace;
use crate::node::{Blueprint, BootError, Init};
use crate::process::{Entrance, HostCommand};

/// A node, a pod, the client or the server.
///
/// # Caveats
/// What runs by [`Host::run`], and the sockets made so, belong to this process: they are in the host's network
/// namespace but not in its cgroup, so that programs attached to the cgroup do not see them. A program started by
/// [`Host::command`] is in all of the host's namespaces and in its cgroup.
#[derive(Debug)]
pub struct Host {
    name: HostName,
    addresses: Addresses,
    cgroup: Cgroup,
    /// Another one after the node was booted again.
    network: RwLock<Arc<NetworkNamespace>>,
    /// The node that the host is, or is on.
    machine: Option<Arc<Machine>>,
}

/// A node's life apart from its network: it can die and come again.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) blueprint: Blueprint,
    init: Mutex<Option<Arc<Init>>>,
}

// === impl Host ===

impl Host {
    /// Name of the one interface through which a host is connected.
    pub const UPLINK: &str = "eth0";

    pub(crate) fn new(
        name: HostName,
        network: NetworkNamespace,
        cgroup: Cgroup,
        machine: Option<Arc<Machine>>,
    ) -> Self {
        let addresses = Addresses::of(name.role());
        Self { name, addresses, cgroup, network: RwLock::new(Arc::new(network)), machine }
    }

    /// Its name, which is also its host name and its namespace's name below `/run/netns`.
    pub fn name(&self) -> &HostName {
        &self.name
    }

    /// Its addresses.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Its cgroup. A node's is the root that processes in the node see.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Its network namespace.
    pub fn network(&self) -> Arc<NetworkNamespace> {
        self.network.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs `work` on a thread that has entered the host's network namespace, and waits for it.
    ///
    /// # Panics
    /// When `work` does, and when the namespace cannot be entered: this process has lost the rights that it made the
    /// namespace with. [`NetworkNamespace::run`] returns that as an error.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.network().run(work) {
            Ok(value) => value,
            #[expect(clippy::panic, reason = "documented above; a test has nothing better to do with it")]
            Err(error) => panic!("{error}"),
        }
    }

    /// A program to run in all of the host's namespaces and in its cgroup.
    ///
    /// # Errors
    /// When the host's node is down.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<HostCommand, BootError> {
        Ok(HostCommand::new(self.entrance()?, program))
    }

    /// A TCP listener in the host, for the tokio runtime of the caller.
    pub fn listen(&self, address: impl Into<SocketAddr>) -> io::Result<tokio::net::TcpListener> {
        let address = address.into();
        let listener = self.run(|| std::net::TcpListener::bind(address))?;
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    }

    /// A TCP connection from the host, for the tokio runtime of the caller.
    pub async fn connect(&self, address: impl Into<SocketAddr>) -> io::Result<tokio::net::TcpStream> {
        let address = address.into();
        let socket = self.run(|| match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
        })?;
        socket.connect(address).await
    }

    /// A UDP socket in the host, for the tokio runtime of the caller.
    pub fn bind(&self, address: impl Into<SocketAddr>) -> io::Result<tokio::net::UdpSocket> {
        let address = address.into();
        let socket = self.run(|| std::net::UdpSocket::bind(address))?;
        socket.set_nonblocking(true)?;
        tokio::net::UdpSocket::from_std(socket)
    }

    pub(crate) fn replace_network(&self, network: NetworkNamespace) {
        *self.network.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(network);
    }

    pub(crate) fn entrance(&self) -> Result<Entrance, BootError> {
        let (host, network) = (self.name.to_string(), self.network());
        let Some(machine) = &self.machine else {
            return Ok(Entrance { host, network, init: None, cgroup: self.cgroup.clone() });
        };
        let cgroup = match self.name.role() {
            Role::Pod { .. } => self.cgroup.clone(),
            Role::Fabric | Role::Server | Role::Client | Role::Node(_) => machine.blueprint.daemon_cgroup(),
        };
        Ok(Entrance { host, network, init: Some(machine.init()?), cgroup })
    }
}

// === impl Machine ===

impl Machine {
    pub(crate) fn new(blueprint: Blueprint) -> Self {
        Self { blueprint, init: Mutex::default() }
    }

    /// PID 1, when it runs.
    pub(crate) fn init(&self) -> Result<Arc<Init>, BootError> {
        let init = self.init.lock().unwrap_or_else(PoisonError::into_inner);
        let running = init.as_ref().filter(|init| init.is_running());
        running.cloned().ok_or_else(|| BootError::Down { name: self.blueprint.name.clone() })
    }

    pub(crate) fn set_init(&self, running: Option<Init>) {
        *self.init.lock().unwrap_or_else(PoisonError::into_inner) = running.map(Arc::new);
    }
}
