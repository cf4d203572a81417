//! The workload walks of the Kubernetes tutorials, by kubectl, over simulated nodes: what is applied becomes what runs,
//! and kubectl says so in Kubernetes' words.

mod cron_jobs;
mod daemon_sets;
mod deployments;
mod jobs;
mod nodes;
mod replica_sets;
mod stateful_sets;

use std::time::Duration;

use api_tests::{Kubectl, Outcome, Server, Terminal};
use sheave_controllers::runtime::clock::Clock;
use simulated_nodes::SimulatedNodes;

/// A cluster of two nodes and a terminal in front of it.
struct Cluster {
    terminal: Terminal,
    /// The time that the controllers go by.
    clock: Clock,
    // Fields are dropped in this order: the nodes end before the server that they talk to.
    _nodes: SimulatedNodes,
    _server: Server,
}

/// Runs `walk` with the oldest and the newest kubectl of this machine, each with a cluster of its own.
fn with_nodes(walk: fn(&Cluster)) {
    let mut versions = Kubectl::all();
    let newest = versions.pop();
    for kubectl in versions.into_iter().take(1).chain(newest) {
        let clock = Clock::default();
        let server = Server::start_with(|options| {
            options.controllers.clock = clock.clone();
            // A walk that moves the clock must not lose its nodes.
            options.controllers.node_monitor_grace_period = Duration::from_secs(86_400);
        });
        let nodes = server.block_on(SimulatedNodes::start_plain(server.client(), 2));
        let terminal = Terminal::open(&kubectl, server.kubeconfig());
        walk(&Cluster { terminal, clock, _nodes: nodes, _server: server });
    }
}

// === impl Cluster ===

impl Cluster {
    fn run(&self, line: &str) -> Outcome {
        self.terminal.run(line)
    }

    /// Runs a line that has to succeed and to print `text`.
    #[track_caller]
    fn says(&self, line: &str, text: &str) {
        self.run(line).succeeds().prints(text);
    }

    /// Runs a line until it prints `text`.
    fn comes_to_say(&self, line: &str, text: &str) {
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.terminal.wait(line, |outcome| outcome.code == 0 && squeeze(&outcome.stdout).contains(&squeeze(text)));
    }

    fn apply(&self, manifest: &str) {
        self.terminal.file("manifest.yaml", manifest);
        self.run("kubectl apply -f manifest.yaml").succeeds();
    }

    fn version(&self) -> (u32, u32) {
        self.terminal.version()
    }
}
