//! Nodes with agents, which read their nodes from a file: no API server is needed to know the network.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use test_support::eventually;
use testbed::{Daemon, Node, Profile, Topology, pod_networks};

use crate::pod::Pod;
use crate::runtime::Runtime;

/// Where the programs under test are.
#[derive(Clone, Debug)]
pub struct AgentPaths {
    /// `sheave-agent`.
    pub agent: PathBuf,
    /// `sheave-cni`.
    pub plugin: PathBuf,
}

/// A topology whose nodes have agents.
#[derive(Debug)]
pub struct Lab {
    topology: Topology,
    paths: AgentPaths,
}

/// The settings' file and the nodes' file in a node.
const SETTINGS: &str = "/run/agent.yaml";
const NODES: &str = "/run/nodes.json";
/// The agent's name as a daemon.
const AGENT: &str = "agent";

// === impl Lab ===

impl Lab {
    /// Builds nodes, a client outside, and starts an agent on each node.
    ///
    /// # Panics
    /// When something of it fails.
    #[must_use]
    pub fn start(label: &str, nodes: usize, profile: Profile, paths: AgentPaths) -> Self {
        let lab = Self::without_agents(label, nodes, profile, paths);
        for node in lab.topology.nodes() {
            lab.write(node, NODES, &lab.nodes_file().to_string());
            lab.write(node, SETTINGS, &lab.settings(node).to_string());
            lab.start_agent(node);
        }
        for node in lab.topology.nodes() {
            lab.wait_until_ready(node);
        }
        lab
    }

    /// A topology that is there already, and an agent on each node with other settings than from a file of nodes. They
    /// are not waited for.
    ///
    /// # Panics
    /// When something of it fails.
    #[must_use]
    pub fn with_settings(topology: Topology, paths: AgentPaths, settings: impl Fn(&Node) -> Value) -> Self {
        let lab = Self { topology, paths };
        for node in lab.topology.nodes() {
            lab.write(node, SETTINGS, &settings(node).to_string());
            lab.start_agent(node);
        }
        lab
    }

    /// The same without agents, for other networks to be compared with.
    ///
    /// # Panics
    /// When something of it fails.
    #[must_use]
    pub fn without_agents(label: &str, nodes: usize, profile: Profile, paths: AgentPaths) -> Self {
        let built = Topology::builder(label).profile(profile).nodes(nodes).client().build();
        Self { topology: built.expect("a topology"), paths }
    }

    /// The topology.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// A node, from 1.
    pub fn node(&self, number: u8) -> &Node {
        self.topology.node(number)
    }

    /// A container runtime on a node.
    pub fn runtime(&self, number: u8) -> Runtime<'_> {
        Runtime::new(self.node(number), &self.paths.plugin)
    }

    /// A new pod on a node, attached.
    ///
    /// # Panics
    /// When it cannot be attached.
    #[must_use]
    pub fn pod<'a>(&'a self, number: u8, name: &str) -> Pod<'a> {
        let pod = Pod::create(self.node(number), name);
        let result = self.runtime(number).add("1.1.0", &pod).succeeds();
        pod.with_addresses_of(&result)
    }

    /// Starts a node's agent.
    ///
    /// # Panics
    /// When one runs.
    pub fn start_agent(&self, node: &Node) -> Daemon {
        let command = node.daemon(AGENT, &self.paths.agent).expect("the node runs");
        command.args(["run", "--config", SETTINGS]).start().expect("the agent starts")
    }

    /// Kills a node's agent, as a failure would.
    ///
    /// # Panics
    /// When none runs.
    pub fn kill_agent(&self, node: &Node) {
        node.find_daemon(AGENT).expect("an agent runs").kill().expect("it is killed");
    }

    /// Waits until pods can be attached.
    ///
    /// # Panics
    /// When the agent does not get ready, with its last words.
    pub fn wait_until_ready(&self, node: &Node) {
        let daemon = node.find_daemon(AGENT);
        let words = || daemon.as_ref().map_or_else(|| "it does not run".to_owned(), Daemon::last_words);
        eventually!(within: 60s, self.status(node).is_some_and(|it| it["ready"]["Ok"].is_null() && it["ready"].get("Ok").is_some()),
            "{} is not ready: {:?}\n{}", node.name(), self.status(node), words());
    }

    /// What the agent says of itself, if it answers.
    pub fn status(&self, node: &Node) -> Option<Value> {
        let output = node.command(&self.paths.agent).ok()?.args(["status", "--json"]).output().ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Runs a command of the agent's on a node and gives what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn command(&self, node: &Node, arguments: &[&str]) -> String {
        let command = node.command(&self.paths.agent).expect("the node runs").args(arguments);
        let output = command.output().expect("it ends");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The settings' file, for commands that take it.
    pub fn settings_file(&self) -> &'static str {
        SETTINGS
    }

    fn settings(&self, node: &Node) -> Value {
        json!({
            "nodeName": node.name().to_string(),
            "nodesFile": NODES,
            "addressReuseSeconds": 1,
            "flowTableSize": 65_536,
            "log": "info,sheave_agent=debug",
        })
    }

    /// All nodes as the API server would list them.
    fn nodes_file(&self) -> Value {
        let items = self.topology.nodes().iter().zip(1_u8..).map(|(node, number)| {
            let addresses = node.addresses().ips().map(|ip| json!({ "type": "InternalIP", "address": ip }));
            json!({
                "metadata": { "name": node.name().to_string() },
                "spec": { "podCIDRs": pod_networks(number).map(|network| network.to_string()) },
                "status": { "addresses": addresses },
            })
        });
        json!({ "items": items.collect::<Vec<_>>() })
    }

    fn write(&self, node: &Node, path: &str, text: &str) {
        let root = node.root().expect("the node runs");
        fs::write(root.join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path))), text)
            .expect("a file in the node");
    }
}
