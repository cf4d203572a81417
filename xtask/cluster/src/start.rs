//! Starting a cluster, step by step.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use testbed::containerd::Containerd;
use testbed::{ClusterName, Daemon, Node, Topology, TopologyError};

use crate::control::{Kubectl, NodeState};
use crate::error::{Cause, Step as _, StepError};
use crate::options::{Lifetime, Options};
use crate::{machine, network};

/// How long the API gets to answer, and nodes to be ready, on a busy machine.
const SERVER_PATIENCE: Duration = Duration::from_secs(60);
const NODES_PATIENCE: Duration = Duration::from_secs(120);

/// A running cluster.
///
/// Dropping one with [`Lifetime::ThisProcess`] ends it and removes everything of it.
#[derive(Debug)]
pub struct Cluster {
    topology: Topology,
    options: Options,
    kubectl: Kubectl,
}

// === impl Cluster ===

impl Cluster {
    /// Starts a cluster, or what is missing of one. `report` is told each step as it begins.
    ///
    /// # Errors
    /// The first step that fails. What runs by then stays when the cluster is one that stays, so that it can be looked
    /// at; `cargo xtask down` removes it.
    pub fn start(options: Options, report: &mut dyn FnMut(&str)) -> Result<Self, StepError> {
        options.programs.check().step("start programs in nodes")?;
        let topology = hosts(&options, report)?;
        let kubectl = Kubectl::new(&options.programs.kubectl, &machine::server_kubeconfig(topology.server()));
        let cluster = Self { topology, options, kubectl };
        cluster.start_server(report)?;
        cluster.start_nodes(report)?;
        Ok(cluster)
    }

    /// Its hosts.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// kubectl as its administrator.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The folder of image archives that nodes serve to their container runtimes.
    pub fn images(&self) -> &Path {
        &self.options.programs.images
    }

    /// The server, if it runs.
    pub fn server(&self) -> Option<Daemon> {
        self.topology.server().find_daemon("server")
    }

    /// The kubelet of a node, if it runs.
    pub fn kubelet(&self, number: u8) -> Option<Daemon> {
        self.topology.node(number).find_daemon("kubelet")
    }

    /// The containerd of a node, if it runs.
    pub fn containerd(&self, number: u8) -> Option<Containerd> {
        Containerd::find(self.topology.node(number))
    }

    /// Starts whatever of a node does not run: the node itself, its containerd, its kubelet, its pods' network.
    pub fn start_node(&self, number: u8) -> Result<(), StepError> {
        self.start_machine(self.topology.node(number))?;
        let states = self.kubectl.nodes().step("read the nodes")?;
        self.connect(&states)
    }

    /// Whether all nodes are ready; what the others say.
    pub fn not_ready(&self) -> Result<Vec<String>, StepError> {
        let states = self.kubectl.nodes().step("read the nodes")?;
        Ok(self.topology.nodes().iter().filter_map(|node| missing(node, &states)).collect())
    }

    /// Starts the server when it does not run, and waits until it is ready.
    pub fn start_server(&self, report: &mut dyn FnMut(&str)) -> Result<(), StepError> {
        let server = self.topology.server();
        server.boot().step("boot the server's host")?;
        let daemon = match server.find_daemon("server") {
            Some(running) => running,
            None => {
                report("starting the server");
                let listener = listen(self.port()).step("open the API's socket on this machine")?;
                machine::start_server(server, listener, &self.options).step("start the server")?
            }
        };
        let began = Instant::now();
        while let Err(error) = self.kubectl.run(&["get", "--raw", "/readyz"]) {
            if !daemon.is_running() {
                return Err(ended("start the server", &daemon));
            }
            if began.elapsed() > SERVER_PATIENCE {
                let timed_out = timed_out("the API does not answer", SERVER_PATIENCE, &[error.to_string()]);
                return Err(StepError::new("start the server", timed_out).with_log(daemon.log()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The port that was asked for; of a server that is started again, the one in its kubeconfig.
    fn port(&self) -> u16 {
        let kubeconfig = std::fs::read_to_string(self.kubectl.kubeconfig()).unwrap_or_default();
        let kubeconfig: serde_json::Value = serde_json::from_str(&kubeconfig).unwrap_or_default();
        let server = kubeconfig["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default();
        let before = server.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        before.unwrap_or(self.options.port)
    }

    fn start_nodes(&self, report: &mut dyn FnMut(&str)) -> Result<(), StepError> {
        let nodes = self.topology.nodes();
        report(&format!("starting {} nodes: containerd and kubelet", nodes.len()));
        thread::scope(|scope| {
            let starting: Vec<_> = nodes.iter().map(|node| scope.spawn(|| self.start_machine(node))).collect();
            let joined = starting
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            // All are waited for before the first failure counts.
            joined.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()
        })?;
        report("waiting until the nodes have registered");
        let registered = self.wait_for_nodes("register", |_, state| state.pod_cidr.is_some())?;
        report("installing the pod network: deploy/sheave.yaml");
        self.connect(&registered)?;
        report("waiting until the nodes are ready");
        self.wait_for_nodes("become ready", |_, state| state.not_ready.is_none()).map(drop)
    }

    fn start_machine(&self, node: &Node) -> Result<(), StepError> {
        let name = machine::node_name(node);
        node.boot().step(&format!("boot {name}"))?;
        machine::ensure_containerd(node).step(&format!("start containerd in {name}"))?;
        let started = machine::ensure_kubelet(node, self.topology.server(), &self.options);
        started.step(&format!("start the kubelet in {name}")).map(drop)
    }

    fn connect(&self, states: &[NodeState]) -> Result<(), StepError> {
        let server = self.topology.server();
        network::install(&self.kubectl, server).step("install the pod network")?;
        network::route_from_server(server, self.topology.nodes(), states).step("route the server to the pods")
    }

    /// Waits until `is_so` of every node.
    fn wait_for_nodes(
        &self,
        what: &str,
        is_so: impl Fn(&Node, &NodeState) -> bool,
    ) -> Result<Vec<NodeState>, StepError> {
        let began = Instant::now();
        loop {
            let states = self.kubectl.nodes().step("read the nodes")?;
            let lacking = self.topology.nodes().iter().find(|node| {
                let state = states.iter().find(|state| state.name == machine::node_name(node));
                !state.is_some_and(|state| is_so(node, state))
            });
            let Some(node) = lacking else { return Ok(states) };
            let step = format!("have {} {what}", machine::node_name(node));
            let kubelet = node.find_daemon("kubelet");
            let Some(kubelet) = kubelet.filter(Daemon::is_running) else {
                return Err(self.kubelet_ended(&step, node));
            };
            if began.elapsed() > NODES_PATIENCE {
                let details: Vec<_> = missing(node, &states).into_iter().collect();
                let timed_out = timed_out("it has not come about", NODES_PATIENCE, &details);
                return Err(StepError::new(step, timed_out).with_log(kubelet.log()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn kubelet_ended(&self, step: &str, node: &Node) -> StepError {
        let log = node.data().join("daemons/kubelet.log");
        let last_words = last_lines(&log);
        StepError::new(step, Cause::Ended { program: "sheave node".to_owned(), last_words }).with_log(&log)
    }
}

/// Builds the hosts, or opens those that are there.
fn hosts(options: &Options, report: &mut dyn FnMut(&str)) -> Result<Topology, StepError> {
    let builder = Topology::builder(&options.name).nodes(options.nodes).server().client();
    let Lifetime::UntilRemoved { data } = &options.lifetime else {
        report(&format!("making {} nodes, a server and a client as namespaces", options.nodes));
        return builder.build().step("make the hosts");
    };
    let name = ClusterName::persistent(&options.name).map_err(TopologyError::from).step("name the cluster")?;
    match Topology::open(&name, data) {
        Ok(topology) if !topology.is_whole() => {
            Err(StepError::new("open the hosts", Cause::Unfinished { name: options.name.clone() }))
        }
        Ok(_) if !data.exists() => {
            Err(StepError::new("open the hosts", Cause::Elsewhere { name: options.name.clone() }))
        }
        Ok(topology) if topology.nodes().len() == options.nodes => {
            report("the hosts are there already");
            Ok(topology)
        }
        Ok(topology) => {
            let (running, wanted) = (topology.nodes().len(), options.nodes);
            let name = options.name.clone();
            Err(StepError::new("start the cluster", Cause::OtherSize { name, running, wanted }))
        }
        Err(TopologyError::Missing { .. }) => {
            report(&format!("making {} nodes, a server and a client as namespaces", options.nodes));
            builder.data(data).persistent().build().step("make the hosts")
        }
        Err(error) => Err(StepError::new("open the hosts", error)),
    }
}

/// A socket on the machine's own loopback address; another port than the one that was asked for is no help, because
/// the kubeconfig of a running shell names it.
fn listen(port: u16) -> Result<TcpListener, Cause> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|source| Cause::Listen { port, source })
}

/// Why a node is not ready; nothing when it is.
fn missing(node: &Node, states: &[NodeState]) -> Option<String> {
    let name = machine::node_name(node);
    match states.iter().find(|state| state.name == name) {
        Some(state) => state.not_ready.as_ref().map(|message| format!("{name}: {message}")),
        None => Some(format!("{name}: it has not registered")),
    }
}

fn timed_out(what: &'static str, patience: Duration, details: &[String]) -> Cause {
    let detail = if details.is_empty() { String::new() } else { format!(": {}", details.join("; ")) };
    Cause::TimedOut { what, seconds: patience.as_secs(), detail }
}

fn ended(step: &str, daemon: &Daemon) -> StepError {
    let (program, last_words) = (daemon.name().to_owned(), daemon.last_words());
    StepError::new(step, Cause::Ended { program, last_words }).with_log(daemon.log())
}

/// The end of a log.
fn last_lines(log: &PathBuf) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
